"""Events, messages and secrets that the tests of sinks send."""

import json
from datetime import UTC, datetime, timedelta

from ringback.core.document import Document
from ringback.core.ids import delivery_id, event_id
from ringback.core.model import AccountData, DestinationData, Error, Event, EventType, Progress, TaskData, WatchState
from ringback.sinks.base import Message
from ringback.sinks.signing import secret_from

NOW = datetime(2026, 11, 22, 5, 33, 0, 123456, UTC)
SECRET = secret_from(bytes(range(32)))
OLD_SECRET = secret_from(bytes(range(100, 124)))
HARD_TEXT = '終わりました。"quoted" \\ and\nlines\r\n\t😀 ' * 850
"""About 40 KB of what breaks careless receivers: Japanese, quotes, newlines."""


def document(value):
    """A JSON value as the provider seam keeps it."""
    return Document.of_text(json.dumps(value, ensure_ascii=False).encode())


def task_event(type=EventType.TASK_SUCCEEDED, **changes):
    """A task's event; what is not said is as in the contract's example."""
    data = {
        "watch_id": "w_1f0c",
        "owner": "ci",
        "provider": "302ai-browser",
        "account": "302ai",
        "task_id": "26cbe8e5-0d5e",
        "params": {},
        "state": WatchState.SUCCEEDED,
        "previous_state": WatchState.RUNNING,
        "sequence": 3,
        "progress": Progress(value=3),
        "result": document("42 items"),
        "result_expires_at": None,
        "error": None,
        "details": document({"is_successful": True, "current_step": 3, "steps": []}),
        "metadata": {},
        "registered_at": NOW - timedelta(minutes=2),
        "previous_poll_at": NOW - timedelta(seconds=5),
        "observed_at": NOW,
    } | changes
    return Event(event_id(data["watch_id"], data["sequence"]), type, NOW, TaskData(**data))


def account_event():
    """An account cannot be asked any more."""
    data = AccountData("302ai", Error("unauthorized", "the key is refused"), 12)
    return Event(event_id("account:302ai", 1), EventType.PROVIDER_DEGRADED, NOW, data)


def destination_event():
    """A destination is left alone."""
    data = DestinationData("builds", "it answered 410", NOW - timedelta(days=5), 7)
    return Event(event_id("destination:builds", 1), EventType.DESTINATION_PAUSED, NOW, data)


def message(event=None, attempt=1):
    """One delivery of an event."""
    event = event or task_event()
    return Message(delivery_id(event.id, "builds"), event, attempt)
