"""What a loop has under way: one task for each id it works on, or one for several.

Secret: how tasks are kept until they end. Both loops have one of these, and wait for it at shutdown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable


class UnderWay:
    """Tasks by the ids they work on. A turn says itself that it has ended; only then may another begin on its ids.

    Its length is how many turns there are: what one request or one mail is about counts as one, however much it is.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turns = 0

    def __len__(self) -> int:
        return self._turns

    def __contains__(self, id: str) -> bool:
        return id in self._tasks

    def begin(self, ids: Iterable[str], turn: Coroutine[None, None, None], *, name: str) -> None:
        """Let a turn go."""
        self._tasks.update(dict.fromkeys(ids, asyncio.create_task(turn, name=name)))
        self._turns += 1

    def end(self, ids: Iterable[str]) -> None:
        """The turn is over."""
        for id in ids:
            del self._tasks[id]
        self._turns -= 1

    async def drain(self) -> None:
        """Wait for every turn."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def cancel(self) -> None:
        """Give up on those that are still under way: their leases are gone with the process."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._turns = 0
        self._tasks.clear()  # a turn that had not begun yet has not said that it ended
