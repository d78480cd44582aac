"""The poll loop learns how long tasks take, and asks when they are over, with time turned by hand."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import given
import pytest
from given import HOUR, MINUTE, NOW, SECOND
from msgspec.structs import replace

from ringback import pacing
from ringback.core.cadence import Fixed, Learned
from ringback.core.law import Law, taught
from ringback.pacing import Pacing
from ringback.poller import PollTerms

KIND = ("302ai-browser", "302ai", "")


class Clockwork:
    """Every task takes the same time from its first look on, whenever it is asked about."""

    def __init__(self, daemon, upstream, clock, took):
        self.clock = clock
        self.daemon = daemon
        self.took = took
        self.asked = []
        self._began = {}
        self._send = upstream.send
        self._says = upstream.says
        upstream.send = self.send

    async def send(self, ask, **more):
        task_id = ask.url.rpartition("/")[2]
        began = self._began.setdefault(task_id, self.clock.now())
        age = self.clock.now() - began
        self.asked.append(age.total_seconds())
        self._says(task_id, "finished" if age >= self.took else "running")
        return await self._send(ask, **more)

    async def follow(self, task_id, **fields):
        """One task to its end; the ages at which it was asked about."""
        self.asked.clear()
        watch = await self.daemon.register(task_id, **fields)
        while not watch.state.final:
            self.clock.turn(max(watch.next_poll_at - self.clock.now(), timedelta()))
            await self.daemon.poll()
            watch = await self.daemon.store.watch(watch.id)
        return list(self.asked)


@pytest.fixture
def learns(daemon):
    """A daemon with the cadence of the default configuration."""
    daemon.poller.terms = PollTerms(given.rules(), 256, learns=True)
    return daemon


@pytest.fixture
def clockwork(learns, upstream, clock):
    return Clockwork(learns, upstream, clock, 63 * SECOND)


async def test_polls_gather_around_the_end_that_was_learned(clockwork, learns):
    """The first task is asked about every 5 s; once sixty are known, seldom before the end and often there."""
    first = await clockwork.follow("task-0")
    assert first == [5.0 * number for number in range(14)]
    for number in range(1, 60):
        await clockwork.follow(f"task-{number}")
    (law,) = await learns.store.laws("302ai-browser")
    assert law.count == 60
    asked = await clockwork.follow("the last")
    gaps = [after - before for before, after in pairwise(asked)]
    assert min(gaps[:3]) > 7
    assert max(gaps[-3:]) < 3
    assert asked[-1] - 63 < 1.5
    assert len(asked) <= len(first)


async def test_a_watch_that_asks_for_an_interval_gets_it_on_average(clockwork):
    """Half as many polls for twice the interval, gathered at the same place."""
    for number in range(60):
        await clockwork.follow(f"task-{number}")
    usual = await clockwork.follow("usual")
    spread = await clockwork.follow("spread", interval="10s")
    assert abs(len(spread) - 1 - (len(usual) - 1) / 2) <= 1
    assert spread[-1] - 63 < 5


async def test_fixed_learns_without_using_it(daemon, upstream, clock):
    """With the fixed cadence the spacing stays, and what was learned is there when the cadence is changed."""
    clockwork = Clockwork(daemon, upstream, clock, 63 * SECOND)
    for number in range(12):
        assert await clockwork.follow(f"task-{number}") == [5.0 * number for number in range(14)]
    assert (await daemon.store.law(KIND)).count == 12
    daemon.poller.terms = PollTerms(given.rules(), 256, learns=True)
    assert await clockwork.follow("the last") != [5.0 * number for number in range(14)]


async def test_a_task_that_was_over_before_it_was_registered_teaches_nothing(learns, upstream):
    """However many of them there are: the first look finds them over."""
    for number in range(20):
        upstream.says(f"task-{number}", "finished")
        await learns.register(f"task-{number}")
    await learns.poll()
    assert (await learns.store.stats()).watches == {"succeeded": 20}
    assert await learns.store.law(KIND) is None


# ---------------------------------------------------------------------- tables


def _law(count, law=Law(KIND)):  # noqa: B008 - a frozen value
    for _ in range(count):
        law = taught(law, 20 * SECOND)
    return law


async def _of(paces, store, law, configured=given.PACE, **fields):
    store.table.laws.put([law])
    return await paces.of(given.watch(**fields), configured, NOW)


async def test_a_table_is_made_anew_when_enough_was_learned(daemon):
    """At first with every completion, later with every fortieth of what is weighed."""
    paces = Pacing(daemon.store)
    assert await paces.of(given.watch(), given.PACE, NOW) is given.PACE
    few = await _of(paces, daemon.store, _law(9))
    assert few.cadence == Fixed(5 * SECOND)
    ten = await _of(paces, daemon.store, _law(10))
    assert isinstance(ten.cadence, Learned)
    assert (ten.min_interval, ten.max_interval) == (given.PACE.min_interval, given.PACE.max_interval)
    many = await _of(paces, daemon.store, _law(400))
    assert await _of(paces, daemon.store, _law(409)) is many
    assert await _of(paces, daemon.store, _law(410)) is not many


async def test_each_interval_and_each_configuration_has_its_table(daemon):
    """A watch's own interval, and limits that a reload has changed."""
    paces = Pacing(daemon.store)
    usual = await _of(paces, daemon.store, _law(50))
    own = await _of(paces, daemon.store, _law(50), interval=2 * MINUTE)
    assert own.cadence != usual.cadence
    assert await _of(paces, daemon.store, _law(50)) is usual
    changed = replace(given.PACE, max_interval=HOUR)
    assert (await _of(paces, daemon.store, _law(50), changed)).max_interval == HOUR


async def test_tables_have_a_limit(daemon, monkeypatch):
    """Whatever intervals people ask for: the oldest goes."""
    monkeypatch.setattr(pacing, "AT_MOST", 3)
    paces = Pacing(daemon.store)
    for seconds in range(2, 10):
        await _of(paces, daemon.store, _law(10), interval=timedelta(seconds=seconds))
    assert [round(interval.total_seconds()) for _, interval in paces._made] == [7, 8, 9]


async def test_intervals_that_are_near_each_other_share_a_table(daemon):
    """Callers choose them freely: 1,200 of 5 to 6.2 s would otherwise push each other out all the time."""
    paces, law = Pacing(daemon.store), _law(50)
    for step in range(1200):
        pace = await _of(paces, daemon.store, law, interval=timedelta(milliseconds=5000 + step))
        assert isinstance(pace.cadence, Learned)
    assert len(paces._made) <= 6


async def test_too_little_known_means_the_very_interval(daemon):
    """Only tables are shared."""
    configured = replace(given.PACE, cadence=Fixed(timedelta(milliseconds=5123)))
    assert await _of(Pacing(daemon.store), daemon.store, _law(3), configured) == configured
