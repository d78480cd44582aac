"""How a watch moves."""

from __future__ import annotations

from datetime import timedelta

import given
import pytest
from given import HOUR, MINUTE, NOW, SECOND

from ringback.core import lifecycle
from ringback.core.model import Error, EventType, Progress, Trouble, WatchState

OPEN = (WatchState.PENDING, WatchState.QUEUED, WatchState.RUNNING)
SEEN = (*OPEN[1:], WatchState.SUCCEEDED, WatchState.FAILED, WatchState.CANCELLED)
FINAL = tuple(state for state in WatchState if state.final)


@pytest.mark.parametrize("before", OPEN)
@pytest.mark.parametrize("after", SEEN)
def test_every_open_state_moves_to_every_state_that_a_provider_can_say(before, after):
    """The event is that of the new state; staying where it was is none."""
    moved, event = lifecycle.transition(given.watch(state=before), given.seen(after), NOW)
    assert moved.state is after
    assert event == (None if before is after else EventType(f"task.{after.value}"))
    assert moved.finished_at == (NOW if after.final else None)


@pytest.mark.parametrize("state", FINAL)
@pytest.mark.parametrize("after", SEEN)
def test_a_final_watch_does_not_move(state, after):
    """Whatever is seen, a watch that is over stays as it is."""
    watch = given.watch(state=state)
    assert lifecycle.transition(watch, given.seen(after), NOW) == (watch, None)
    assert lifecycle.trouble(watch, Trouble("unavailable", "down"), NOW) == (watch, None)


def test_progress_moves_the_watch_and_is_an_event_only_when_it_differs():
    """The same progress twice is nothing; an answer without progress keeps the last one."""
    first = Progress(1, None, None, "opening")
    watch, event = lifecycle.transition(given.watch(state="running"), given.seen("running", progress=first), NOW)
    assert event is EventType.TASK_PROGRESSED
    again, event = lifecycle.transition(watch, given.seen("running", progress=first), NOW + SECOND)
    assert event is None
    assert again.changed_at == NOW
    kept, event = lifecycle.transition(watch, given.seen("running"), NOW + SECOND)
    assert (kept.progress, event) == (first, None)


def test_a_trouble_is_counted_and_an_answer_clears_it():
    """The same code in a row counts up from its first time; another code starts anew."""
    watch, _ = lifecycle.trouble(given.watch(), Trouble("unavailable", "503"), NOW)
    watch, _ = lifecycle.trouble(watch, Trouble("unavailable", "502"), NOW + SECOND)
    assert (watch.problem.count, watch.problem.since, watch.problem.message) == (2, NOW, "502")
    watch, _ = lifecycle.trouble(watch, Trouble("timeout", "slow"), NOW + 2 * SECOND)
    assert (watch.problem.count, watch.problem.since) == (1, NOW + 2 * SECOND)
    watch, _ = lifecycle.transition(watch, given.seen("queued"), NOW + 3 * SECOND)
    assert watch.problem is None


@pytest.mark.parametrize(
    ("was_seen", "answers", "over", "vanishes"),
    [
        (True, 3, 10 * MINUTE, True),
        (True, 3, 10 * MINUTE - SECOND, False),
        (True, 2, 20 * MINUTE, False),
        (False, 3, 59 * MINUTE, False),
        (False, 2, HOUR, True),
    ],
)
def test_a_task_that_is_only_ever_not_found_vanishes_in_the_end(was_seen, answers, over, vanishes):
    """Ten minutes and three answers for one that was seen, an hour for one that never was."""
    watch = given.watch(state="running" if was_seen else "pending", first_seen_at=NOW if was_seen else None)
    event = None
    for index in range(answers):
        at = NOW + over * index / (answers - 1)
        watch, event = lifecycle.trouble(watch, Trouble("not_found", "404"), at)
    assert (event is EventType.TASK_VANISHED) is vanishes
    assert (watch.state is WatchState.VANISHED) is vanishes


def test_another_trouble_between_restarts_the_count_of_not_found():
    """Nothing but 404: a server error in between says that the provider was not itself."""
    watch = given.watch(state="running", first_seen_at=NOW)
    for minutes, code in ((0, "not_found"), (5, "not_found"), (6, "unavailable"), (7, "not_found"), (12, "not_found")):
        watch, event = lifecycle.trouble(watch, Trouble(code, "?"), NOW + timedelta(minutes=minutes))
        assert event is None


def test_reopening_starts_over_but_keeps_the_sequence():
    """State, result, error and problem are gone; identity, callbacks and sequence stay."""
    over = given.watch(state="failed", sequence=4, error=Error("x", "y"), finished_at=NOW, result=given.document("r"))
    again = lifecycle.reopen(over, NOW + 2 * HOUR, NOW + HOUR)
    assert (again.state, again.sequence, again.error, again.result) == (WatchState.PENDING, 4, None, None)
    assert (again.finished_at, again.next_poll_at, again.deadline_at) == (None, NOW + HOUR, NOW + 2 * HOUR)


def test_stalling_is_said_once_until_something_changes():
    """No change for so long, said once."""
    watch = given.watch(state="running")
    assert not lifecycle.stalls(watch, 30 * MINUTE, NOW + 29 * MINUTE)
    assert lifecycle.stalls(watch, 30 * MINUTE, NOW + 30 * MINUTE)
    told = given.watch(state="running", stalled=True)
    assert not lifecycle.stalls(told, 30 * MINUTE, NOW + HOUR)
    moved, _ = lifecycle.transition(told, given.seen("queued"), NOW + HOUR)
    assert not moved.stalled
