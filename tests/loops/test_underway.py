"""What a loop has under way."""

from __future__ import annotations

import asyncio

from ringback.underway import UnderWay


async def test_draining_waits_for_every_turn_also_for_one_that_fails():
    """A turn keeps its ids until it has ended."""
    flight, gate = UnderWay(), asyncio.Event()

    async def turn(*ids: str) -> None:
        try:
            await gate.wait()
            raise RuntimeError("a turn may fail")
        finally:
            flight.end(ids)

    flight.begin(["a", "b"], turn("a", "b"), name="one")
    flight.begin(["c"], turn("c"), name="other")
    assert (len(flight), "a" in flight, "d" in flight) == (2, True, False)
    draining = asyncio.create_task(flight.drain())
    await asyncio.sleep(0)
    assert not draining.done()
    gate.set()
    async with asyncio.timeout(10):
        await draining
    assert len(flight) == 0


async def test_giving_up_ends_what_has_begun_and_what_has_not():
    """Shutdown never waits for a turn that was cancelled before its first step."""
    flight, begun = UnderWay(), asyncio.Event()

    async def turn() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            flight.end(["a"])

    flight.begin(["a"], turn(), name="begun")
    await begun.wait()
    flight.begin(["b"], turn(), name="not begun")
    async with asyncio.timeout(10):
        await flight.cancel()
    assert len(flight) == 0
