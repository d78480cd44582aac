"""How many may be at one thing at a time; the others wait in the order in which they came.

Secret: the queue. A thing that nobody is at is forgotten.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Hashable
from types import TracebackType


class Slots:
    """So many places for each thing."""

    def __init__(self, each: int) -> None:
        self.users: Counter[Hashable] = Counter()
        self.waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._each = each

    def one_of(self, thing: Hashable) -> _Slot:
        """A place for as long as the `async with` lasts."""
        return _Slot(self, thing)

    async def take(self, thing: Hashable) -> None:
        """Wait for a place."""
        if self.users[thing] < self._each:
            self.users[thing] += 1
            return
        turn = asyncio.get_running_loop().create_future()
        queue = self.waiting.setdefault(thing, deque())
        queue.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give_back(thing)
            elif turn in queue:
                queue.remove(turn)
                if not queue:
                    self.waiting.pop(thing, None)
            raise

    def give_back(self, thing: Hashable) -> None:
        """Leave a place to whoever waits longest."""
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


class _Slot:
    __slots__ = ("_slots", "_thing")

    def __init__(self, slots: Slots, thing: Hashable) -> None:
        self._slots = slots
        self._thing = thing

    async def __aenter__(self) -> None:
        await self._slots.take(self._thing)

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slots.give_back(self._thing)
