"""The beat: what happens again and again, and when it happens earlier.

    duty -> runs -> says when it has work next -> the beat wakes it then, or at its next turn

Secret: APScheduler, and what the wall clock does to it. It lives on the wall clock: a step back would silence its jobs,
so a look by the event loop's own (monotonic) clock notices a step, has the store move what is due, and anchors every
job anew. Between a step and its notice `SteadyClock.now` goes on as if nothing had happened: nothing fires early or
twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from ringback.core.errors import StoreBroken
from ringback.telemetry import Telemetry

STEP = timedelta(seconds=1)
"""A larger difference between wall and steady clock is a step; slewing stays below and is followed in steps of this."""

LOOK_EVERY_S = 1.0
LEAST_WAIT_S = 0.005
"""Turns that are asked for closer together are taken as one, unless a duty's are to be further apart."""

DUTIES = 20
"""A job for each duty, never for each watch: a scheduler of 100,000 jobs blocks the loop for seconds."""

Duty = Callable[[], Awaitable[datetime | None]]
"""Does what is due and says when there is work next, if it knows."""


class SteadyClock:
    """The steady wall clock: set from the system's once, then driven by the monotonic one until it is anchored anew."""

    def __init__(self) -> None:
        self._anchor = (datetime.now(UTC), time.monotonic())

    def now(self) -> datetime:
        """The time, never stepping while the system's clock does."""
        wall, monotonic = self._anchor
        return wall + timedelta(seconds=time.monotonic() - monotonic)

    def jitter(self) -> float:
        """A number in [0, 1): the only randomness in polling and delivering."""
        return random.random()  # noqa: S311 - spreads load, guards nothing

    def stepped(self) -> timedelta | None:
        """How far the system's clock has moved away, when that is a step."""
        by = datetime.now(UTC) - self.now()
        return by if abs(by) > STEP else None

    def anchor(self) -> None:
        """Follow the system's clock from here on."""
        self._anchor = (datetime.now(UTC), time.monotonic())


class Beat:
    """Runs duties periodically, and at once when woken. A duty never runs twice at a time."""

    def __init__(
        self, clock: SteadyClock, telemetry: Telemetry, on_step: Callable[[timedelta], Awaitable[None]]
    ) -> None:
        self.clock = clock
        self._telemetry = telemetry
        self._on_step = on_step
        self._turns: dict[str, _Turn] = {}
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._look: asyncio.Task[None] | None = None
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, name: str, duty: Duty, every: timedelta, *, apart_s: float = LEAST_WAIT_S) -> None:
        """Have a duty run at the latest `every` so often, and turns that are due within `apart_s` as one."""
        if len(self._turns) >= DUTIES:
            raise ValueError(f"more than {DUTIES} duties: a duty serves all watches, not one")
        turn = _Turn(name, duty, every, self, apart_s)
        self._turns[name] = turn
        self._scheduler.add_job(turn.take, IntervalTrigger(seconds=every.total_seconds(), timezone=UTC), id=name)

    def start(self) -> None:
        """Begin, with every duty at once."""
        self._scheduler.start()
        self._look = asyncio.create_task(self._watch_the_clock())
        for name in self._turns:
            self.wake(name)

    def wake(self, name: str) -> None:
        """Run a duty now; when it is running, once more after that."""
        self._turns[name].wake()

    def hurry(self, name: str) -> None:
        """Run a duty as soon as may be: sooner than its turns are apart otherwise."""
        self._turns[name].arm(self.clock.now(), LEAST_WAIT_S)

    def wake_at(self, name: str, at: datetime) -> None:
        """Run a duty at that time, if it would not run before."""
        turn = self._turns[name]
        turn.arm(at, turn.apart_s)

    def last_run_ago(self, name: str) -> timedelta:
        """How long ago a duty last came to its end: what the watchdog and /healthz look at."""
        return timedelta(seconds=time.monotonic() - self._turns[name].ended_at)

    async def stop(self) -> None:
        """No new turns; those under way end first (APScheduler would cancel them)."""
        if self._look is not None:
            self._look.cancel()
        for turn in self._turns.values():
            turn.stopped = True
            turn.cancel_timer()
        await asyncio.gather(*(turn.idle() for turn in self._turns.values()))
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _watch_the_clock(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            by = self.clock.stepped()
            if by is None:
                continue
            self._telemetry.clock_stepped(by)
            try:
                await self._on_step(by)
            except Exception as error:  # noqa: BLE001 - the look goes on; a store that broke is reported by its duties
                self._telemetry.duty_failed("clock", error)
                continue
            self.clock.anchor()
            for name, turn in self._turns.items():
                self._scheduler.reschedule_job(
                    name, trigger=IntervalTrigger(seconds=turn.every.total_seconds(), timezone=UTC)
                )
                turn.wake()

    def report(self, duty: str, error: Exception) -> None:
        """One duty's surprise ends one turn; a broken store ends the process."""
        self._telemetry.duty_failed(duty, error)
        if isinstance(error, StoreBroken) and not self.failed.done():
            self.failed.set_exception(error)


class _Turn:
    """One duty: running or not, to run again or not, and the timer for when it has work next."""

    def __init__(self, name: str, duty: Duty, every: timedelta, beat: Beat, apart_s: float) -> None:
        self.name = name
        self.every = every
        self.ended_at = time.monotonic()
        self.stopped = False
        self._duty = duty
        self._beat = beat
        self._again = False
        self._task: asyncio.Task[None] | None = None
        self.apart_s = apart_s
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for: datetime | None = None

    async def take(self) -> None:
        """What APScheduler calls."""
        self.wake()

    def wake(self) -> None:
        """Run now, or again after the run under way."""
        if self.stopped:
            return
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self.cancel_timer()
        self._task = asyncio.create_task(self._run(), name=f"duty-{self.name}")

    def cancel_timer(self) -> None:
        """Forget when there is work next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._armed_for = None

    async def idle(self) -> None:
        """Wait for the run under way."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._again = False
            try:
                next_at = await self._duty()
            except Exception as error:  # noqa: BLE001 - whatever it was, the other duties and the next turn go on
                self._beat.report(self.name, error)
                next_at = None
            self.ended_at = time.monotonic()
            if not self._again or self.stopped:
                break
        if next_at is not None:
            self.arm(next_at, self.apart_s)

    def arm(self, at: datetime, least_s: float) -> None:
        """Wake then, but not at once, if that is before the next turn anyway and before what the timer is set to."""
        if self._armed_for is not None and at >= self._armed_for and least_s == self.apart_s:
            return  # the usual case: somebody else is due earlier
        wait_s = max((at - self._beat.clock.now()).total_seconds(), least_s)
        if self.stopped or wait_s >= self.every.total_seconds():
            return
        loop = asyncio.get_running_loop()
        if self._timer is None or self._timer.when() > loop.time() + wait_s:
            self.cancel_timer()
            self._timer = loop.call_later(wait_s, self._ring)
            self._armed_for = at

    def _ring(self) -> None:
        self._timer = self._armed_for = None
        self.wake()
