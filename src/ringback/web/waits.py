"""Held answers: whoever waits for a watch to move is woken by the store, and reads again.

Secret: who waits for which watch. A wake-up that is lost costs latency: the wait ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from ringback.core.model import Change, Watch
from ringback.store.base import Entry, Pruned
from ringback.web.problems import TooMany

AT_MOST = timedelta(seconds=60)
"""One wait; proxies cut longer ones."""

HELD_AT_MOST = 1000
"""Answers held at once: each keeps a connection."""


class Waits:
    """The answers that are held. One listener of the store serves them all."""

    def __init__(self) -> None:
        self._wakes: dict[str, set[asyncio.Event]] = {}
        self._held = 0
        self._cut = False

    def note(self, entry: Entry) -> None:
        """A listener: wake whoever waits for what this entry moved."""
        if isinstance(entry, Change) and entry.watch is not None:
            self._wake(entry.watch.id)
        elif isinstance(entry, Pruned):
            for id in entry.watches:
                self._wake(id)

    def cut(self) -> None:
        """Answer everybody now, and hold nobody any more: the server is about to stop."""
        self._cut = True
        for id in list(self._wakes):
            self._wake(id)

    async def until(
        self, id: str, read: Callable[[], Awaitable[Watch]], *, moved: Callable[[Watch], bool], wait: timedelta
    ) -> Watch:
        """The watch once it has moved, or as it is when the wait is over. Raises TooMany, and what `read` raises."""
        over = asyncio.get_running_loop().time() + wait.total_seconds()
        with self._waiting(id) as wake:  # before the first read, so that nothing falls between
            watch = await read()
            while not moved(watch) and not self._cut:
                try:
                    async with asyncio.timeout_at(over):
                        await wake.wait()
                except TimeoutError:
                    return await read()
                wake.clear()
                watch = await read()
        return watch

    def _wake(self, id: str) -> None:
        for wake in self._wakes.get(id, ()):
            wake.set()

    @contextmanager
    def _waiting(self, id: str) -> Iterator[asyncio.Event]:
        if self._held >= HELD_AT_MOST:
            raise TooMany(f"{HELD_AT_MOST} answers are held already: ask without ?wait=, or later")
        wake = asyncio.Event()
        self._held += 1
        self._wakes.setdefault(id, set()).add(wake)
        try:
            yield wake
        finally:
            self._held -= 1
            self._wakes[id].discard(wake)
            if not self._wakes[id]:
                del self._wakes[id]


async def _waits(request: Request) -> Waits:
    waits: Waits = request.app.state.waits
    return waits


Holding = Annotated[Waits, Depends(_waits)]


async def unless_gone(request: Request, held: Coroutine[None, None, Watch]) -> Watch:
    """A held answer, given up when nobody is left to get it. Raises ClientDisconnect."""
    answer, gone = asyncio.create_task(held), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        answer.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
