"""The product in one function: properties that hold for every history, and the cases people rely on."""

from __future__ import annotations

from datetime import timedelta

import given
from given import HOUR, MINUTE, NOW, SECOND
from hypothesis import given as forall
from hypothesis import strategies as some
from msgspec.structs import replace

from ringback.core import ids
from ringback.core.advance import FORGETTABLE, about_ourselves, advance
from ringback.core.document import NOT_HERE
from ringback.core.model import (
    AccountData,
    Callback,
    Error,
    EventType,
    Mark,
    Observation,
    Progress,
    Trouble,
    WatchState,
)
from ringback.core.routing import Routes

STATES = some.sampled_from(["queued", "running", "succeeded", "failed", "cancelled"])
PROGRESS = some.none() | some.builds(Progress, some.integers(0, 5))
ANSWERS = some.builds(lambda state, progress: given.seen(state, progress=progress), STATES, PROGRESS)
TROUBLES = some.sampled_from(["not_found", "unavailable", "unauthorized", "rate_limited", "timeout"]).map(
    lambda code: Observation(trouble=Trouble(code, "as it is"))
)
HISTORIES = some.lists(some.tuples(ANSWERS | TROUBLES, some.integers(1, 4000)), max_size=25)
EVERYTHING = given.routes(all=("*",), finals=("task.succeeded", "task.failed"))


def replayed(history, to: Routes = EVERYTHING, **fields):
    """Every (watch, change) that a history of answers makes, in order."""
    watch, now, steps = given.watch(**fields), NOW, []
    for seen, wait_s in history:
        now += timedelta(seconds=wait_s)
        watch, change = advance(watch, seen, given.rules(routes=to), now, jitter=0.5)
        steps.append((watch, change))
    return steps


@forall(HISTORIES)
def test_sequence_has_no_gaps_and_ids_depend_on_identity_and_sequence_alone(history):
    """Events of a watch are 1, 2, 3, ...; each id is the digest of the watch's id and that number."""
    events = [event for _, change in replayed(history) if change is not None for event in change.events]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.id for event in events] == [ids.event_id(event.watch_id, event.sequence) for event in events]


@forall(HISTORIES)
def test_a_final_watch_never_changes_again(history):
    """Once final, no answer makes a change."""
    final = None
    for watch, change in replayed(history):
        if final is not None:
            assert (watch, change) == (final, None)
        elif watch.state.final:
            final = watch


@forall(HISTORIES)
def test_every_change_is_the_next_version_and_every_event_has_its_deliveries(history):
    """Compare-and-set needs versions without gaps; who is to be told is in the same change."""
    version = 1
    for watch, change in replayed(history):
        if change is None:
            continue
        version += 1
        assert (change.watch, change.watch.version) == (watch, version)
        for event in change.events:
            wanted = {"all"} | ({"finals"} if event.type.value in ("task.succeeded", "task.failed") else set())
            assert {delivery.destination for delivery in change.deliveries} == wanted
            assert all(delivery.event_id == event.id for delivery in change.deliveries)


@forall(ANSWERS)
def test_the_same_observation_twice_raises_nothing(seen):
    """The second time only what may be forgotten moves."""
    (first, _), (second, change) = replayed([(seen, 1), (seen, 1)])
    assert change is None
    assert all(
        getattr(first, name) == getattr(second, name) for name in first.__struct_fields__ if name not in FORGETTABLE
    )


@forall(HISTORIES)
def test_progress_and_stalling_are_recorded_only_where_somebody_asks(history):
    """Without a taker the watch still moves, and the sequence does not."""
    steps = replayed(history, to=given.routes(builds=("task.succeeded", "task.running")))
    types = {event.type for _, change in steps if change is not None for event in change.events}
    assert not types & {EventType.TASK_PROGRESSED, EventType.TASK_STALLED}


def test_a_skipped_state_raises_no_invented_event():
    """From pending to succeeded between two polls is one event, sequence 1."""
    ((watch, change),) = replayed([(given.seen("succeeded", result=given.document("done")), 5)])
    assert [event.type for event in change.events] == [EventType.TASK_SUCCEEDED]
    data = change.events[0].data
    assert (data.previous_state, data.sequence, watch.sequence) == (WatchState.PENDING, 1, 1)
    assert (data.previous_poll_at, data.observed_at) == (None, NOW + 5 * SECOND)
    assert data.result.text == b'"done"'


def test_the_deadline_ends_what_is_not_over_and_an_answer_in_time_wins():
    """At the deadline: a final answer counts, anything else is expired."""
    seen, at = given.seen("running"), (NOW + 24 * HOUR - NOW).total_seconds()
    ((watch, change),) = replayed([(seen, at)])
    assert (watch.state, change.events[0].type) == (WatchState.EXPIRED, EventType.TASK_EXPIRED)
    assert watch.next_poll_at is None
    ((watch, _),) = replayed([(given.seen("succeeded"), at)])
    assert watch.state is WatchState.SUCCEEDED
    ((watch, _),) = replayed([(Observation(trouble=Trouble("unauthorized", "no")), at)])
    assert watch.state is WatchState.EXPIRED


def test_stalling_is_an_event_where_asked_for():
    """Half an hour of nothing new, said once."""
    steps = replayed([(given.seen("running"), 1), (given.seen("running"), 1801), (given.seen("running"), 1801)])
    assert [change and [event.type.value for event in change.events] for _, change in steps] == [
        ["task.running"],
        ["task.stalled"],
        None,
    ]


def test_an_unlisted_word_is_running():
    """Never final: the observation says running, and so does the watch."""
    seen = Observation(state=WatchState.RUNNING, unknown_word="warming_up")
    ((watch, _),) = replayed([(seen, 1)])
    assert watch.state is WatchState.RUNNING


def test_a_callback_gets_the_final_states_alone_unless_it_asks():
    """So that a callback means done."""
    callback = Callback("cb_1", "https://ci.example.org:8443/hook?x=1")
    asking = replace(callback, id="cb_2", events=("task.*",))
    steps = replayed(
        [(given.seen("running"), 1), (given.seen("succeeded"), 1)], to=Routes(), callbacks=(callback, asking)
    )
    assert [[delivery.destination for delivery in change.deliveries] for _, change in steps] == [
        ["callback:cb_2"],
        ["callback:cb_1", "callback:cb_2"],
    ]
    assert {delivery.group for _, change in steps for delivery in change.deliveries} == {"https://ci.example.org:8443"}


def test_a_problem_is_not_a_change_but_moves_the_next_poll_away():
    """It backs off, doubling up to max_interval, and writes nothing."""
    trouble = Observation(trouble=Trouble("unavailable", "503"))
    steps = replayed([(trouble, 1)] * 6)
    assert all(change is None for _, change in steps)
    now, gaps = NOW, []
    for watch, _ in steps:
        now += SECOND
        gaps.append((watch.next_poll_at - now).total_seconds())
    assert gaps == [5, 10, 20, 40, 60, 60]


def test_retry_after_is_a_lower_bound_and_is_remembered():
    """What the provider asks for holds, jitter only adds."""
    seen = Observation(trouble=Trouble("unavailable", "503", 3 * MINUTE))
    ((watch, _),) = replayed([(seen, 1)])
    assert watch.not_before_at == NOW + SECOND + 3 * MINUTE
    assert watch.not_before_at <= watch.next_poll_at <= watch.not_before_at + 0.1 * (3 * MINUTE)


def test_what_is_said_about_ourselves_goes_only_to_who_names_it():
    """Its mark and its event are one change; its id is a digest of the mark and its sequence."""
    mark = Mark(subject="account:302ai", active=True, since=NOW, code="unauthorized", message="bad key", sequence=3)
    data = AccountData("302ai", Error("unauthorized", "bad key"), 7)
    to = given.routes(builds=("task.*",), team=("task.failed", "provider.*"))
    change = about_ourselves(mark, data, EventType.PROVIDER_DEGRADED, to)
    assert change.marks == (mark,)
    assert change.events[0].id == ids.event_id("account:302ai", 3)
    assert [delivery.destination for delivery in change.deliveries] == ["team"]


def test_documents_are_equal_when_their_text_is():
    """Also when one of them was not read from the store: a quiet poll must not look like a change."""
    one, same_text = given.document({"a": 1}), given.document({"a": 1})
    stub = replace(one, json=NOT_HERE)
    assert one == same_text == stub
    assert not one != stub  # noqa: SIM202 - the operator itself is meant
    assert one != given.document({"a": 2})
    steps = replayed([(given.seen("running", details=one), 1), (given.seen("running", details=same_text), 1)])
    assert steps[1][1] is None
