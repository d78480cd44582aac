"""When to poll: within the limits whatever was learned, and sooner after the end than any fixed spacing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from statistics import fmean

import given
import msgspec
import pytest
import simulated
from given import HOUR, NOW, PACE, SECOND
from hypothesis import given as forall
from hypothesis import strategies as some
from simulated import DURATIONS, BackOff, Limits, law_of, measured

from ringback.core import model
from ringback.core.cadence import Fixed, Learned, learned, schedule
from ringback.core.law import Law, taught

LENGTHS = some.floats(0.01, 10**6)
AGES = some.floats(0, 10**7)
LIMITS = some.tuples(some.floats(0.05, 5), some.floats(1, 50), some.floats(1, 50)).map(
    lambda parts: Limits(parts[0] * parts[1], parts[0], parts[0] * parts[1] * parts[2])
)
TASKS = 500


def of(lengths) -> Law:
    """What these completions teach."""
    law = simulated.LAW
    for length in lengths:
        law = taught(law, timedelta(seconds=length))
    return law


def gap(pace, age_s: float, **fields) -> float:
    """The gap, in seconds, of a watch of this age."""
    now = NOW + timedelta(seconds=age_s)
    return pace.cadence.gap(given.watch(**fields), now).total_seconds()


# ---------------------------------------------------------------------- within the limits


@forall(some.floats(0, 1, exclude_max=True), some.integers(1, 10**6), some.integers(0, 30))
def test_a_gap_keeps_its_limits_whatever_the_jitter(jitter, wanted_s, problems):
    """At least min_interval, at most max_interval (or the watch's own, if longer), never past the deadline."""
    problem = model.Problem("timeout", "slow", NOW, problems) if problems else None
    watch = given.watch(interval=wanted_s * SECOND, problem=problem, deadline_at=NOW + 9 * HOUR)
    due = schedule(watch, PACE, None, NOW, jitter).next_poll_at
    longest = max(60, wanted_s)
    assert due <= NOW + 9 * HOUR
    if due < NOW + 9 * HOUR:
        assert 1 <= (due - NOW).total_seconds() <= longest


@forall(some.floats(0, 1, exclude_max=True), some.integers(1, 10**6), some.integers(1, 5000))
def test_a_grid_only_delays_and_by_less_than_its_step(jitter, wanted_s, step_ms):
    """But nothing is put off beyond its deadline."""
    step = timedelta(milliseconds=step_ms)
    watch = given.watch(interval=wanted_s * SECOND, deadline_at=NOW + 9 * HOUR)
    without = schedule(watch, PACE, None, NOW, jitter).next_poll_at
    due = schedule(watch, msgspec.structs.replace(PACE, grid=step), None, NOW, jitter).next_poll_at
    assert without <= due < without + step
    assert due == watch.deadline_at or (due - datetime(1970, 1, 1, tzinfo=UTC)) % step == timedelta()


@forall(some.lists(LENGTHS, max_size=60), LIMITS, AGES)
def test_what_was_learned_keeps_the_limits(lengths, limits, age_s):
    """Whatever was learned, at any age and for any interval: no gap below min_interval or above max_interval."""
    found = gap(limits.pace(of(lengths)), age_s)
    assert limits.least * 0.999 <= found <= limits.most * 1.001 + 1e-6


@pytest.mark.parametrize(
    ("hint_s", "asked_s", "least_s"), [(10, None, 10), (10, 60, 10), (10, 3, 3), (0.1, None, 1), (90, None, 90)]
)
def test_a_hint_of_the_provider_is_the_shortest_gap(hint_s, asked_s, least_s):
    """But a watch that asks for a shorter interval means it, and min_interval holds."""
    pace = msgspec.structs.replace(PACE, cadence=Fixed(2 * SECOND), hint=hint_s * SECOND)
    watch = given.watch(interval=asked_s * SECOND if asked_s else None)
    assert pace.least(watch) == least_s * SECOND
    for jitter, share in ((0.0, 0.9), (0.5, 1.0), (0.99, 1.098)):
        gap = (schedule(watch, pace, None, NOW, jitter).next_poll_at - NOW).total_seconds()
        assert gap == pytest.approx(max(min((asked_s or 2) * share, 60), least_s))


@forall(some.lists(LENGTHS, min_size=10, max_size=60), AGES, some.integers(1, 3600))
def test_what_the_provider_asks_for_is_waited_for(lengths, age_s, asked_s):
    """Retry-After is a lower bound, wherever the law expects the end."""
    now = NOW + timedelta(seconds=age_s)
    watch = given.watch(deadline_at=now + 9 * HOUR)
    due = schedule(watch, Limits().pace(of(lengths)), asked_s * SECOND, now, 0.0).next_poll_at
    assert due >= now + asked_s * SECOND


@pytest.mark.parametrize("known", [0, 1, 9])
def test_below_ten_completions_the_interval_is_kept(known):
    """Nothing is made of what may be chance."""
    limits = Limits()
    assert limits.pace(of([20.0] * known)).cadence == Fixed(5 * SECOND)
    assert isinstance(limits.pace(of([20.0] * 10)).cadence, Learned)


def test_an_interval_at_the_lower_limit_is_kept():
    """Nothing can be gathered where no gap may be shorter."""
    pace = Limits(1, 1).pace()
    assert learned(of([20.0] * 300), SECOND, pace) == Fixed(SECOND)


@pytest.mark.parametrize(("count", "longest"), [(20, 2), (49, 2), (50, 4), (400, 4)])
def test_the_fixed_rate_is_never_left_altogether(count, longest):
    """Before the slow lane no gap is longer than four intervals, and than two while fifty are not seen."""
    pace = Limits(5, 1).pace(of([100.0] * count))
    gaps = [gap(pace, age) for age in range(0, 300, 5)]
    assert max(gaps) <= 5 * longest + 1e-6
    assert max(gaps) > 5 * longest * 0.8


def test_a_law_that_does_not_fit_is_trusted_less():
    """After twenty ends that are no longer where they were, no gap is longer than two intervals again."""
    pace = Limits(5, 1).pace(of([100.0] * 100 + [300.0] * 20))
    assert max(gap(pace, age) for age in range(0, 300, 5)) <= 10 + 1e-6


def test_what_is_long_over_due_goes_slow():
    """Past all that was ever seen, and all that is feared, the gap grows with the age up to max_interval."""
    pace = Limits(2, 1, 60).pace(of([20.0] * 100))
    gaps = [gap(pace, age) for age in (500, 800, 1000, 10**5)]
    assert gaps == sorted(gaps)
    assert gap(pace, 500) == pytest.approx(500 / 16, rel=0.1)
    assert gaps[-1] == pytest.approx(60)


# ---------------------------------------------------------------------- where tasks end


def test_polls_gather_where_tasks_end():
    """All tasks take exactly 20 s: gaps are long before, and short there."""
    pace = Limits().pace(of([20.0] * 200))
    assert min(gap(pace, age) for age in (18, 19, 20)) < 1.5
    assert gap(pace, 0) > 9


def test_a_spike_is_seen_five_times_as_soon():
    """Tasks of exactly 20.0 s: half a second late instead of two and a half, with no more polls."""
    limits = Limits()
    fixed = measured(lambda _: 20.0, limits.pace(), TASKS)
    found = measured(lambda _: 20.0, limits.pace(law_of(lambda _: 20.0, 200, limits, seed=1)), TASKS)
    assert found.delay_s < 0.3 * fixed.delay_s
    assert found.polls < 1.01 * fixed.polls


@pytest.mark.parametrize("interval", [2.5, 5.0, 10.0, 20.0])
@pytest.mark.parametrize("name", list(DURATIONS)[:2])
def test_the_interval_means_the_mean_spacing(name, interval):
    """Whatever interval a watch asks for, its polls are about as many as that interval would take."""
    law = law_of(DURATIONS[name], 200, Limits(), seed=1)
    limits = Limits(interval)
    fixed = measured(DURATIONS[name], limits.pace(), TASKS)
    found = measured(DURATIONS[name], limits.pace(law), TASKS)
    assert found.polls == pytest.approx(fixed.polls, rel=0.04)


@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_tasks_shorter_than_the_interval_are_not_seen_later(seconds):
    """One poll is about all they get, and it does not come later than it would."""
    durations = simulated.lognormal(seconds, 0.2)
    limits = Limits()
    found = measured(durations, limits.pace(law_of(durations, 100, limits, seed=1)), TASKS)
    fixed = measured(durations, limits.pace(), TASKS)
    assert found.delay_s < 1.05 * fixed.delay_s
    assert found.polls < 1.05 * fixed.polls


# ---------------------------------------------------------------------- how much sooner

TARGETS = {
    "lognormal": (0.80, 0.85),
    "70 % near": (0.60, 0.75),
    "heavy tail": (0.90, 0.93),
    "queue": (0.85, 0.90),
}
"""The delay against the fixed interval's at equal polls: after 200 completions, and after 50."""

AT_MOST_WHEN_WRONG = 1.6
AGAINST_A_BACK_OFF = 0.35


def mean(durations, count: int, *, scale: float = 1.0) -> float:
    """The delay against the fixed interval's at equal polls, over two laws."""
    limits = Limits()
    fixed = measured(durations, limits.pace(), 2 * TASKS, seed=9)
    laws = [law_of(durations, count, limits, seed=seed, scale=scale) for seed in (1, 2)]
    return fmean(measured(durations, limits.pace(law), TASKS, seed=3).against(fixed) for law in laws)


@pytest.mark.parametrize("name", DURATIONS)
def test_ends_are_seen_sooner_for_the_same_polls(name):
    """After 200 completions, and a little less after 50. `make bench-cadence` measures it more finely."""
    after_200, after_50 = next(targets for start, targets in TARGETS.items() if name.startswith(start))
    assert mean(DURATIONS[name], 200) <= after_200
    assert mean(DURATIONS[name], 50) <= after_50


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("name", DURATIONS)
def test_a_wrong_law_costs_little(name, scale):
    """Learned on tasks that took half or twice as long, and not noticed yet."""
    assert mean(DURATIONS[name], 200, scale=scale) <= AT_MOST_WHEN_WRONG


@pytest.mark.parametrize("name", DURATIONS)
def test_a_back_off_is_left_far_behind(name):
    """At equal polls, a gap that grows by half with every poll sees ends three times as late or worse."""
    durations, limits = DURATIONS[name], Limits()
    found = measured(durations, limits.pace(law_of(durations, 200, limits, seed=1)), TASKS)
    back_off = measured(durations, Limits(most=10**6).of(BackOff(SECOND)), TASKS)
    assert found.against(back_off) <= AGAINST_A_BACK_OFF


def test_a_reopened_task_begins_anew():
    """Its age counts from when it was reopened: it is not in the slow lane."""
    pace = Limits().pace(of([20.0] * 200))
    reopened = {"began_at": NOW + 10 * HOUR}
    assert gap(pace, 10 * 3600 + 19.5, **reopened) == pytest.approx(gap(pace, 19.5))
    assert gap(pace, 10 * 3600) == pytest.approx(60)
