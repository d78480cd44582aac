"""The beat: turns, wake-ups, and a wall clock that jumps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ringback import scheduler
from ringback.core.errors import StoreBroken
from ringback.scheduler import DUTIES, Beat, SteadyClock
from ringback.telemetry import Telemetry

HOUR = timedelta(hours=1)


class Duty:
    """Counts its turns; says what it was told to say next; can be held or fail."""

    def __init__(self, *says: object) -> None:
        self.says = list(says)
        self.turns = 0
        self.turned = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> datetime | None:
        self.turns += 1
        self.turned.set()
        await self.gate.wait()
        said = self.says.pop(0) if self.says else None
        if isinstance(said, Exception):
            raise said
        return said

    async def turned_again(self) -> None:
        await asyncio.wait_for(self.turned.wait(), 10)
        self.turned.clear()


class Wall:
    """A wall clock that can be set; scheduler.py reads it as `datetime`."""

    def __init__(self) -> None:
        self.off = timedelta()

    def now(self, zone=None) -> datetime:
        return datetime.now(zone) + self.off


@pytest.fixture
def wall(monkeypatch) -> Wall:
    wall = Wall()
    monkeypatch.setattr(scheduler, "datetime", wall)
    monkeypatch.setattr(scheduler, "LOOK_EVERY_S", 0.01)
    return wall


@pytest.fixture
async def steps() -> list[timedelta]:
    return []


@pytest.fixture
async def beat(wall, steps):
    async def stepped(by: timedelta) -> None:
        steps.append(by)

    beat = Beat(SteadyClock(), Telemetry(), stepped)
    yield beat
    await beat.stop()


async def test_every_duty_runs_at_the_start_and_again_at_its_turn(beat):
    """The periodic turn needs no wake-up."""
    duty = Duty()
    beat.add("poll", duty, timedelta(milliseconds=20))
    beat.start()
    for _ in range(3):
        await duty.turned_again()


async def test_a_wake_up_during_a_run_is_one_more_run(beat):
    """However many there are; and never two at a time."""
    duty = Duty()
    duty.gate.clear()
    beat.add("poll", duty, HOUR)
    beat.start()
    await duty.turned_again()
    for _ in range(5):
        beat.wake("poll")
    assert duty.turns == 1
    duty.gate.set()
    await duty.turned_again()
    await asyncio.sleep(0)
    assert duty.turns == 2


async def test_a_duty_that_knows_its_next_work_is_woken_for_it(beat):
    """Long before its next turn."""
    duty = Duty(beat.clock.now() + timedelta(milliseconds=30))
    beat.add("poll", duty, HOUR)
    beat.start()
    await duty.turned_again()
    await duty.turned_again()
    beat.wake_at("poll", beat.clock.now() + timedelta(milliseconds=30))
    await duty.turned_again()


async def test_a_duty_is_hurried_although_its_turns_are_far_apart(beat):
    """Somebody waits: sooner than others that are due would have it run."""
    duty = Duty()
    beat.add("poll", duty, HOUR, apart_s=600.0)
    beat.start()
    await duty.turned_again()
    beat.wake_at("poll", beat.clock.now())
    beat.hurry("poll")
    await duty.turned_again()


async def test_one_that_fails_goes_on_and_stops_nobody(beat):
    """Only a broken store is the end, for the whole process."""
    bad, good = Duty(RuntimeError("boom")), Duty()
    beat.add("bad", bad, timedelta(milliseconds=20))
    beat.add("good", good, timedelta(milliseconds=20))
    beat.start()
    for duty in (bad, bad, good, good):
        await duty.turned_again()
    assert not beat.failed.done()
    beat.report("bad", StoreBroken("the disk failed"))
    with pytest.raises(StoreBroken):
        await beat.failed


@pytest.mark.parametrize("by", [timedelta(days=-1), timedelta(days=1)])
async def test_a_step_of_the_wall_clock_is_noticed_and_the_turns_go_on(beat, wall, steps, by):
    """`now` does not jump before everything that is due was moved; then it follows the wall."""
    noticed = asyncio.Event()

    async def on_step(found: timedelta) -> None:
        steps.append(found)
        assert abs(beat.clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
        noticed.set()

    beat._on_step = on_step
    duty = Duty()
    beat.add("poll", duty, timedelta(milliseconds=20))
    beat.start()
    await duty.turned_again()
    wall.off = by
    await asyncio.wait_for(noticed.wait(), 10)
    for _ in range(3):
        await duty.turned_again()
    assert len(steps) == 1
    assert abs(steps[0] - by) < timedelta(minutes=1)
    assert abs(beat.clock.now() - datetime.now(UTC) - by) < timedelta(minutes=1)


async def test_a_step_that_could_not_be_kept_is_tried_again(beat, wall, steps):
    """Until the store has space: the clock is anchored only after it."""
    told = asyncio.Event()

    async def on_step(found: timedelta) -> None:
        steps.append(found)
        if len(steps) < 3:
            raise RuntimeError("full")
        told.set()

    beat._on_step = on_step
    beat.start()
    wall.off = HOUR
    await asyncio.wait_for(told.wait(), 10)
    assert len(steps) == 3


async def test_stopping_waits_for_the_turn_under_way(beat):
    """And no other begins."""
    duty = Duty()
    duty.gate.clear()
    beat.add("poll", duty, timedelta(milliseconds=20))
    beat.start()
    await duty.turned_again()
    stopping = asyncio.create_task(beat.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    duty.gate.set()
    await asyncio.wait_for(stopping, 10)
    beat.wake("poll")
    assert duty.turns == 1


async def test_there_is_no_duty_a_watch(beat):
    """More than twenty is a mistake in the making."""
    for number in range(DUTIES):
        beat.add(f"duty-{number}", Duty(), HOUR)
    with pytest.raises(ValueError, match="a duty serves all watches"):
        beat.add("one-too-many", Duty(), HOUR)


async def test_how_long_ago_a_duty_ended_is_known(beat):
    """What /healthz and the watchdog look at: a duty that hangs grows old."""
    duty = Duty()
    beat.add("poll", duty, HOUR)
    beat.start()
    await duty.turned_again()
    before = beat.last_run_ago("poll")
    assert before < timedelta(seconds=30)
    duty.gate.clear()
    beat.wake("poll")
    await duty.turned_again()
    assert beat.last_run_ago("poll") > before
    duty.gate.set()
