"""How many may be at one thing at a time; the others wait in the order in which they came.

    take     a place, if one is free            wait     for one, in turn
    leave    it to whoever waits longest

Secret: the queue. A thing that nobody is at is forgotten.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Hashable


class Slots:
    """So many places for each thing."""

    def __init__(self, each: int) -> None:
        self.users: Counter[Hashable] = Counter()
        self.waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._each = each

    def take(self, thing: Hashable) -> bool:
        """Take a place if one is free."""
        if self.users[thing] >= self._each:
            return False
        self.users[thing] += 1
        return True

    async def wait(self, thing: Hashable) -> None:
        """Wait for a place, and take it."""
        if self.take(thing):
            return
        turn = asyncio.get_running_loop().create_future()
        queue = self.waiting.setdefault(thing, deque())
        queue.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(thing)
            elif turn in queue:
                queue.remove(turn)
                if not queue:
                    self.waiting.pop(thing, None)
            raise

    def leave(self, thing: Hashable) -> None:
        """Leave a place: to whoever waits longest, if anybody does."""
        queue = self.waiting.get(thing)
        while queue:
            turn = queue.popleft()
            if not queue:
                del self.waiting[thing]
            if not turn.done():
                turn.set_result(None)
                return
        self.users[thing] -= 1
        if not self.users[thing]:
            del self.users[thing]
