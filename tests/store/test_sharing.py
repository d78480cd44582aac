"""What is read again is equal to what was written, and kept once."""

from __future__ import annotations

from datetime import timedelta

import given
import msgspec
import pytest
from given import NOW, SECOND

from ringback.core.advance import advance
from ringback.core.model import Answer, Attempt, AttemptOutcome, Change, Progress
from ringback.core.retry import Done, settled
from ringback.store import segment
from ringback.store.answers import Answers
from ringback.store.base import Kept, Settlement
from ringback.store.sharing import Sharing

RULES = given.rules(routes=given.routes(team=("task.*",)))


def _history(**fields):
    """A watch that ran and finished: its changes, in order."""
    watch = given.watch(**fields)
    changes = [Change(watch=watch)]
    for number, state in enumerate(("running", "succeeded"), 1):
        seen = given.seen(state, progress=Progress(value=number), details=given.document({"n": number}))
        watch, change = advance(watch, seen, RULES, NOW + number * SECOND, jitter=0.5)
        changes.append(change)
    return changes


def _again(entry):
    """As it comes from the disk."""
    return segment.decode(segment.encode(entry))


@pytest.mark.parametrize("fields", [{}, {"owner": "ci", "params": {"model": "m"}, "metadata": {"team": "video"}}])
def test_a_row_keeps_equal_parts_once(fields):
    """Nothing of it is another value afterwards."""
    _, running, final = _history(**fields)
    events = tuple(enumerate((*running.events, *final.events)))
    deliveries = (*running.deliveries, *final.deliveries)
    attempt = Attempt(number=1, at=NOW, outcome=AttemptOutcome.DELIVERED, latency_ms=1.5)
    row = Kept(watch=final.watch, events=events, deliveries=deliveries, attempts={deliveries[0].id: (attempt,)})
    read = _again(row)
    Sharing().share(read)
    assert read == row
    assert next(iter(read.attempts)) is read.deliveries[0].id
    for _, event in read.events:
        for name in ("task_id", "provider", "account", "params", "metadata", "registered_at"):
            assert getattr(event.data, name) is getattr(read.watch, name)
        assert event.data.watch_id is read.watch.id
        assert event.data.observed_at is event.at
    for delivery, (_, event) in zip(read.deliveries, read.events, strict=True):
        assert (delivery.event_id is event.id, delivery.watch_id is read.watch.id) == (True, True)


def test_entries_one_after_the_other_keep_equal_parts_once():
    """A change has what the change before it has."""
    read, known, share = [], None, Sharing().share
    changes = _history()
    for change in changes:
        entry = _again(change)
        share(entry, known)
        read.append(entry)
        known = entry.watch
    assert read == changes
    assert read[2].watch.task_id is read[0].watch.task_id
    assert read[2].events[0].data.task_id is read[0].watch.task_id


def test_watches_that_are_as_far_have_the_same_progress():
    """A whole number and a fraction that are equal are written differently, and stay so."""
    share = Sharing().share
    read = []
    for value in (1, 1, 1.0, 1.0, None):
        entry = _again(Change(watch=given.watch(progress=Progress(value=value, text="half way"))))
        share(entry)
        read.append(entry.watch.progress)
    assert [progress.value for progress in read] == [1, 1, 1.0, 1.0, None]
    assert [type(progress.value) for progress in read] == [int, int, float, float, type(None)]
    assert [read[0] is read[1], read[1] is read[2], read[2] is read[3]] == [True, False, True]


def test_a_settlement_names_its_watch_by_the_same_text():
    """And is what it was."""
    _, running, _ = _history()
    attempt = Attempt(number=1, at=NOW, outcome=AttemptOutcome.DELIVERED, latency_ms=1.5)
    entry = Settlement(settled(running.deliveries[0], Done(), NOW, attempted=True), attempt)
    read = _again(entry)
    Sharing().share(read, running.watch)
    assert read == entry
    assert read.delivery.watch_id is running.watch.id


def test_what_is_not_equal_stays():
    """An event from before the metadata grew keeps the metadata of its time."""
    _, running, _ = _history(metadata={"team": "video"})
    later = msgspec.structs.replace(running.watch, metadata={"team": "video", "run": "7"}, progress=Progress(value=9))
    read = _again(Kept(watch=later, events=((1, running.events[0]),)))
    Sharing().share(read)
    assert read.events[0][1] == running.events[0]


ANSWERS = [
    Answer(status=200),
    Answer(status=502, headers={"server": "nginx", "x": ""}, body=b"<h1>Bad gateway</h1>", at=NOW),
    Answer(status=200, headers={"x-ünï": "cödé"}, body=bytes(range(256)) * 16, at=NOW + timedelta(microseconds=1)),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_comes_out_as_it_went_in(answer):
    """However it is kept meanwhile; the last one of a watch counts."""
    answers = Answers()
    answers["w_1"] = Answer(status=404)
    answers["w_1"] = answer
    answers["w_2"] = ANSWERS[0]
    assert answers.get("w_1") == answer
    assert dict(answers.items()) == {"w_1": answer, "w_2": ANSWERS[0]}
    answers.forget("w_1")
    answers.forget("w_1")
    assert (answers.get("w_1"), len(answers)) == (None, 1)
