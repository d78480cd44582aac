"""The public shape of an event, held to the contract."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.document import Document
from ringback.core.model import Error, Event, EventType, Progress, TaskData, WatchState
from ringback.sinks.payload import SHOWN_AT_MOST, event_json, event_shape, rfc3339, shown
from tests.sinks.samples import HARD_TEXT, NOW, account_event, destination_event, document, task_event

TASK = (
    '{"id":"%s","type":"task.succeeded","timestamp":"2026-11-22T05:33:00.123Z",'
    '"data":{"watch_id":"w_1f0c","provider":"302ai-browser","account":"302ai","task_id":"26cbe8e5-0d5e","params":{},'
    '"state":"succeeded","previous_state":"running","sequence":3,'
    '"progress":{"value":3,"total":null,"fraction":null,"text":null},'
    '"result":"42 items","result_expires_at":null,"error":null,'
    '"details":{"is_successful": true, "current_step": 3, "steps": []},"metadata":{},'
    '"registered_at":"2026-11-22T05:31:00.123Z","previous_poll_at":"2026-11-22T05:32:55.123Z",'
    '"observed_at":"2026-11-22T05:33:00.123Z"}}'
)
PROVIDER = (
    '{"id":"%s","type":"provider.degraded","timestamp":"2026-11-22T05:33:00.123Z",'
    '"data":{"account":"302ai","problem":{"code":"unauthorized","message":"the key is refused"},"watches":12}}'
)
DESTINATION = (
    '{"id":"%s","type":"destination.paused","timestamp":"2026-11-22T05:33:00.123Z",'
    '"data":{"destination":"builds","reason":"it answered 410","since":"2026-11-17T05:33:00.123Z","pending":7}}'
)


@pytest.mark.parametrize(
    ("event", "golden"), [(task_event(), TASK), (account_event(), PROVIDER), (destination_event(), DESTINATION)]
)
def test_an_event_looks_as_the_contract_says(event, golden):
    """Every key, in its place, to the byte: receivers and signatures depend on it."""
    assert event_json(event).decode() == golden % event.id


def test_what_is_absent_is_null_and_details_are_empty():
    """A receiver can always look into `details`."""
    absent = dict.fromkeys(("progress", "result", "details", "previous_poll_at"))
    data = json.loads(event_json(task_event(**absent)))["data"]
    assert data | {"progress": None, "result": None, "details": {}, "previous_poll_at": None} == data


def test_a_failure_says_why():
    """`error` holds the provider's code and words, `result_expires_at` a time like all others."""
    event = task_event(EventType.TASK_FAILED, error=Error("unsuccessful", "it gave up"), result_expires_at=NOW)
    data = json.loads(event_json(event))["data"]
    assert data["error"] == {"code": "unsuccessful", "message": "it gave up"}
    assert data["result_expires_at"] == "2026-11-22T05:33:00.123Z"


def test_the_owner_is_ours():
    """Whose token registered a task is nobody else's business."""
    assert "owner" not in event_shape(task_event(owner="ci"))["data"]
    assert b"ci-token" not in event_json(task_event(owner="ci-token"))


def test_a_hard_result_arrives_intact():
    """Japanese text, 40 KB, quotes and newlines."""
    event = task_event(result=document(HARD_TEXT))
    assert len(HARD_TEXT.encode()) > 40_000
    assert json.loads(event_json(event))["data"]["result"] == HARD_TEXT


@pytest.mark.parametrize("field", ["result", "details"])
def test_a_large_document_is_named_by_its_size(field):
    """64 KiB of UTF-8 JSON are shown, one byte more is not; the large text is not even needed for that."""
    fits, large = document("終" * 21844 + "ab"), Document("0" * 32, SHOWN_AT_MOST + 1)
    assert fits.size == SHOWN_AT_MOST
    assert json.loads(event_json(task_event(**{field: fits})))["data"][field] == "終" * 21844 + "ab"
    data = json.loads(event_json(task_event(**{field: large})))["data"]
    assert data[field] == {"truncated": True, "bytes": SHOWN_AT_MOST + 1}


def test_a_document_that_was_not_read_is_not_guessed():
    """What would have to be shown and is not there is an error, never an empty result."""
    with pytest.raises(LookupError):
        shown(Document("0" * 32, 10))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 11, 22, 5, 33, tzinfo=UTC), "2026-11-22T05:33:00.000Z"),
        (datetime(2026, 11, 22, 5, 33, 0, 999999, UTC), "2026-11-22T05:33:00.999Z"),
        (datetime(2026, 11, 22, 0, 3, tzinfo=timezone(timedelta(hours=-5, minutes=-30))), "2026-11-22T05:33:00.000Z"),
        (datetime(33, 1, 1, tzinfo=UTC), "0033-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_utc_to_the_millisecond(at, text):
    """RFC 3339 with milliseconds and Z, whatever zone a time came in."""
    assert rfc3339(at) == text


WORDS = st.text(max_size=40)
TIMES = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))]), min_value=datetime(1971, 1, 1))  # noqa: DTZ001
NUMBERS = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
STATES = st.sampled_from(WatchState)
PROGRESS = st.builds(Progress, NUMBERS, NUMBERS, st.none() | st.floats(0, 1), st.none() | WORDS)


@given(
    type=st.sampled_from(EventType),
    at=TIMES,
    result=JSON,
    details=st.dictionaries(WORDS, JSON, max_size=4),
    data=st.fixed_dictionaries(
        {
            **dict.fromkeys(("watch_id", "owner", "provider", "account", "task_id"), WORDS),
            "params": st.dictionaries(WORDS, WORDS, max_size=3),
            "metadata": st.dictionaries(WORDS, WORDS, max_size=3),
            "state": STATES,
            "previous_state": STATES,
            "sequence": st.integers(min_value=1),
            "progress": st.none() | PROGRESS,
            "error": st.none() | st.builds(Error, WORDS, WORDS),
            "result_expires_at": st.none() | TIMES,
            "previous_poll_at": st.none() | TIMES,
            "registered_at": TIMES,
            "observed_at": TIMES,
        }
    ),
)
def test_any_event_reads_back_as_it_was(type, at, result, details, data):
    """Whatever text, number or document an event holds: standard JSON with the same values."""
    event = Event("evt_1", type, at, TaskData(result=document(result), details=document(details), **data))
    read = json.loads(event_json(event).decode())
    assert (read["id"], read["type"], datetime.fromisoformat(read["timestamp"])) == ("evt_1", type, _cut(at))
    expected = {name: value for name, value in data.items() if name != "owner"}
    for name in ("result_expires_at", "previous_poll_at", "registered_at", "observed_at"):
        expected[name] = _cut(data[name])
        read["data"][name] = read["data"][name] and datetime.fromisoformat(read["data"][name])
    for name in ("progress", "error"):
        value = data[name]
        expected[name] = value and {field: getattr(value, field) for field in value.__struct_fields__}
    assert read["data"] == expected | {"result": result, "details": details}


def _cut(at):
    return at and at.replace(microsecond=at.microsecond // 1000 * 1000)
