"""The queue for a place."""

import asyncio

import pytest

from ringback.slots import Slots


async def _holding(slots, thing, left, held):
    await slots.wait(thing)
    try:
        held.append(thing)
        await left.wait()
    finally:
        slots.leave(thing)


async def _begun(count, slots, left, held):
    tasks = [asyncio.create_task(_holding(slots, "a", left, held)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_no_more_than_there_are_places():
    """The others wait, and get the place of whoever leaves."""
    slots, left, held = Slots(2), asyncio.Event(), []
    tasks = await _begun(5, slots, left, held)
    assert len(held) == 2
    left.set()
    await asyncio.gather(*tasks)
    assert len(held) == 5
    assert (slots.users, slots.waiting) == ({}, {})


async def test_one_thing_does_not_wait_for_another():
    """Places are each thing's own."""
    slots, left, held = Slots(1), asyncio.Event(), []
    tasks = await _begun(2, slots, left, held)
    assert not slots.take("a")
    assert slots.take("b")
    assert held == ["a"]
    left.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_whoever_gives_up_loses_no_place(which):
    """Holding or waiting: the next in the queue gets its turn all the same."""
    slots, left, held = Slots(1), asyncio.Event(), []
    tasks = await _begun(3, slots, left, held)
    tasks[which].cancel()
    left.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(end, asyncio.CancelledError) for end in ended].count(True) == 1
    assert len(held) == (3 if which == 0 else 2)
    assert (slots.users, slots.waiting) == ({}, {})


async def test_a_place_that_was_given_to_one_who_gives_up_goes_on():
    """Between the turn and its taking somebody may be cancelled."""
    slots, held = Slots(1), []
    first_left, left = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(_holding(slots, "a", first_left, held))
    await asyncio.sleep(0)
    others = await _begun(2, slots, left, held)
    left.set()
    first_left.set()
    await first
    others[0].cancel()
    await asyncio.gather(*others, return_exceptions=True)
    assert (slots.users, slots.waiting) == ({}, {})
