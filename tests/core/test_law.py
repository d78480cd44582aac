"""What teaches how long tasks take, and how it is kept: nothing that was not seen, and never more than it weighs."""

from __future__ import annotations

from datetime import timedelta

import given
import msgspec
import pytest
from given import HOUR, MINUTE, NOW, SECOND
from hypothesis import given as forall
from hypothesis import strategies as some
from msgspec.structs import replace

from ringback.core import law, lifecycle
from ringback.core.advance import advance
from ringback.core.law import EDGES, Law, lesson, shares, taught
from ringback.core.model import Problem

KIND = ("302ai-browser", "302ai", "")
LENGTHS = some.floats(0, 10**8).map(lambda seconds: timedelta(seconds=seconds))
POLLED = given.watch(
    state="running",
    first_seen_at=NOW + SECOND,
    last_polled_at=NOW + 80 * SECOND,
    next_poll_at=NOW + 90 * SECOND,
)
"""An open watch of the age of 80 s, to be polled at 90."""


def of(*seconds: float, law: Law = Law(KIND)) -> Law:  # noqa: B008 - a frozen value
    """What these completions teach, one after another."""
    for length in seconds:
        law = taught(law, timedelta(seconds=length))
    return law


# ---------------------------------------------------------------------- what teaches


@pytest.mark.parametrize(
    ("state", "teaches"),
    [("succeeded", True), ("failed", True), ("cancelled", False), ("running", False), ("queued", False)],
)
def test_the_works_own_ends_teach(state, teaches):
    """An end seen between 80 and 90 s teaches 85 s; one that somebody else decided on, and what is no end, nothing."""
    took = lesson(POLLED, given.seen(state), NOW + 90 * SECOND)
    assert took == (85 * SECOND if teaches else None)


@pytest.mark.parametrize(("settled_s", "took_s"), [(82, 82), (80, 80), (90, 90), (79, 85), (91, 85)])
def test_the_providers_own_finish_time_is_taken_where_it_can_be_true(settled_s, took_s):
    """Between the two polls it can; outside of them its clock is not ours, and the middle is as good."""
    seen = given.seen("succeeded", settled_at=NOW + settled_s * SECOND)
    assert lesson(POLLED, seen, NOW + 90 * SECOND) == took_s * SECOND


@pytest.mark.parametrize(
    "watch",
    [
        replace(POLLED, first_seen_at=None),
        replace(POLLED, first_seen_at=None, last_polled_at=None),
        replace(POLLED, began_at=NOW),
        replace(POLLED, problem=Problem("timeout", "slow", NOW, 1)),
        lifecycle.reopen(replace(POLLED, state=given.WatchState.EXPIRED), NOW + HOUR, NOW),
        lifecycle.shifted(POLLED, HOUR),
    ],
    ids=["never seen open", "never polled", "an age of its own", "after a problem", "reopened", "through a step"],
)
def test_what_would_teach_nonsense_teaches_nothing(watch):
    """A task registered after the fact, a watch whose age is not the task's, a window of which nothing is known."""
    assert lesson(watch, given.seen("succeeded"), NOW + 90 * SECOND) is None


@pytest.mark.parametrize(
    ("late_s", "took_s"),
    [(0, 85), (10, 90), (11, None), (3600, None)],
    ids=["on time", "once its gap late", "later than that", "after an outage"],
)
def test_a_poll_that_came_late_teaches_nothing(late_s, took_s):
    """A window that the restart of a daemon made is not one in which the task was over in the middle."""
    took = lesson(POLLED, given.seen("succeeded"), NOW + (90 + late_s) * SECOND)
    assert took == (took_s * SECOND if took_s is not None else None)


def test_a_window_that_is_narrow_against_the_age_teaches_however_late_it_is():
    """Twenty minutes more or less after two hours are no more than the histogram's own width."""
    watch = replace(POLLED, last_polled_at=NOW + 2 * HOUR, next_poll_at=NOW + 2 * HOUR + SECOND)
    assert lesson(watch, given.seen("failed"), NOW + 2 * HOUR + 20 * MINUTE) == 2 * HOUR + 10 * MINUTE


def test_a_change_brings_its_lesson_along():
    """What an end teaches is part of the change that records it; other changes teach nothing."""
    _, over = advance(POLLED, given.seen("succeeded"), given.rules(), NOW + 90 * SECOND, jitter=0.5)
    assert over.took == 85 * SECOND
    queued = replace(POLLED, state=given.WatchState.QUEUED)
    _, on = advance(queued, given.seen("running"), given.rules(), NOW + 90 * SECOND, jitter=0.5)
    assert on.took is None


# ---------------------------------------------------------------------- how it is kept


@forall(some.lists(LENGTHS, max_size=30))
def test_a_completion_lies_in_its_bin(lengths):
    """Whatever its length: each bin holds what ended after its beginning and until its end."""
    for length in lengths:
        (bin,) = taught(Law(KIND), length).weights
        assert EDGES[bin] < length.total_seconds() <= EDGES[bin + 1] or bin in (0, len(EDGES) - 2)


@forall(some.lists(LENGTHS, max_size=60))
def test_what_is_learned_is_remembered_in_a_snapshot(lengths):
    """A law comes back from JSON as it went in, so that what follows teaches the same."""
    known = Law(KIND)
    for length in lengths:
        known = taught(known, length)
    assert msgspec.json.decode(msgspec.json.encode(known), type=Law) == known
    assert (known.count, round(known.evidence)) == (len(lengths), len(lengths))


def test_old_completions_are_outweighed():
    """A law weighs four hundred, whatever it has seen: another four hundred leave a third of the old."""
    known = of(*[20] * 1000)
    assert (known.count, round(known.evidence, 6), len(known.last)) == (1000, law.KEPT, law.LAST)
    old = next(iter(known.weights))
    newer = of(*[300] * 400, law=known)
    assert 0.3 < newer.weights[old] / newer.evidence < 0.4


@forall(some.lists(some.floats(0.01, 10**7), min_size=1, max_size=40))
def test_every_task_is_over_somewhere(lengths):
    """What was seen and what is feared are both shares of all tasks."""
    for parts in shares(of(*lengths)):
        assert min(parts) >= 0
        assert sum(parts) == pytest.approx(1)


def test_half_and_twice_the_age_are_feared():
    """A law of tasks that take 100 s thinks it possible that they take 50 or 200, and not that they take 2,000."""
    seen, feared = shares(of(*[100] * 400))
    for seconds, possible in ((50, True), (200, True), (2000, False)):
        (bin,) = of(seconds).weights
        assert seen[bin] == 0
        assert (feared[bin] > 0.002) is possible


@pytest.mark.parametrize(
    ("before", "after", "fits"),
    [
        ([60, 80, 100, 120] * 20, [60, 80, 100, 120] * 5, True),
        ([60, 80, 100, 120] * 20, [130, 160, 200, 240] * 5, False),
        ([60, 80, 100, 120] * 20, [15, 20, 25, 30] * 5, False),
        ([20, 20, 300] * 30, [300] * 20, False),
        ([60, 80] * 5, [600] * 20, True),
    ],
    ids=["as before", "twice as long", "a quarter", "only one of the humps", "too few to say"],
)
def test_twenty_that_do_not_fit_are_noticed(before, after, fits):
    """Tasks that take another time now, or a batch that brings its short ones first."""
    assert of(*before, *after).fits is fits


def test_nothing_that_was_learned_is_thrown_away():
    """Twenty that do not fit leave the others in the histogram: the next batch may be as those were."""
    known = of(*[20] * 200, *[300] * 20)
    assert not known.fits
    assert [round(known.weights[bin]) for bin in sorted(known.weights)] == [200, 20]
