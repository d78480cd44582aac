"""Which event loop runs the daemon: uvloop's where it is installed (`ringback[fast]`), else Python's own.

Secret: uvloop. All else is written for asyncio, and tests run the way out on both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TypeVar

_Answer = TypeVar("_Answer")


def run(main: Coroutine[None, None, _Answer]) -> _Answer:
    """What asyncio.run does, on the fastest loop there is."""
    with asyncio.Runner(loop_factory=_fastest()) as runner:
        return runner.run(main)


def name() -> str:
    """Whose loop is running: `asyncio` or `uvloop`."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def _fastest() -> Callable[[], asyncio.AbstractEventLoop]:
    with suppress(ImportError):  # the extra was not asked for, or there is none for this system
        from uvloop import new_event_loop  # noqa: PLC0415

        return new_event_loop
    return asyncio.new_event_loop
