"""The public shape of an event: what a webhook receives, and what the API shows.

Secret: the names, the order and the limits of what leaves the house. Pure. `owner` is ours and never shown.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from ringback.core.document import Document
from ringback.core.model import AccountData, DestinationData, Event, TaskData

SHOWN_AT_MOST = 64 * 1024
"""Bytes of JSON: a larger document is named by its size; it stands whole at `/v1/watches/{id}/answer`."""

NULL = msgspec.Raw(b"null")
EMPTY = msgspec.Raw(b"{}")


def event_json(event: Event) -> bytes:
    """The event as UTF-8 JSON. Raises LookupError when a document that is shown was not read from the store."""
    return msgspec.json.encode(event_shape(event))


def event_shape(event: Event) -> dict[str, Any]:
    """The event as a mapping that msgspec encodes in the public order."""
    return {"id": event.id, "type": event.type, "timestamp": rfc3339(event.at), "data": _data_shape(event.data)}


def shown(document: Document | None, *, absent: msgspec.Raw = NULL) -> msgspec.Raw:
    """A document as it is shown: its text, or only its size when it is too large (the text is then not needed)."""
    if document is None:
        return absent
    if document.size > SHOWN_AT_MOST:
        return msgspec.Raw(b'{"truncated":true,"bytes":%d}' % document.size)
    return msgspec.Raw(document.text)


def rfc3339(at: datetime) -> str:
    """An aware time in UTC, to the millisecond; what is finer is cut, so that order is kept."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _data_shape(data: TaskData | AccountData | DestinationData) -> dict[str, Any]:
    match data:
        case TaskData():
            return _task_shape(data)
        case AccountData():
            return {"account": data.account, "problem": data.problem, "watches": data.watches}
        case DestinationData():
            return {
                "destination": data.destination,
                "reason": data.reason,
                "since": rfc3339(data.since),
                "pending": data.pending,
            }


def _task_shape(data: TaskData) -> dict[str, Any]:
    return {
        "watch_id": data.watch_id,
        "provider": data.provider,
        "account": data.account,
        "task_id": data.task_id,
        "params": data.params,
        "state": data.state,
        "previous_state": data.previous_state,
        "sequence": data.sequence,
        "progress": data.progress,
        "result": shown(data.result),
        "result_expires_at": _maybe(data.result_expires_at),
        "error": data.error,
        "details": shown(data.details, absent=EMPTY),
        "metadata": data.metadata,
        "registered_at": rfc3339(data.registered_at),
        "previous_poll_at": _maybe(data.previous_poll_at),
        "observed_at": rfc3339(data.observed_at),
    }


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
