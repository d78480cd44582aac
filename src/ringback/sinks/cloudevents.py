"""An event as a structured CloudEvent 1.0: the same data in the envelope that event buses read.

Secret: what each CloudEvents attribute is taken from. Pure. `source` and `id` together name the event, as they must.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from ringback.core.model import AccountData, DestinationData, Event, TaskData
from ringback.sinks.payload import event_shape

CONTENT_TYPE = "application/cloudevents+json"
SPEC_VERSION = "1.0"


def cloudevent_json(event: Event) -> bytes:
    """The event as UTF-8 JSON. Raises LookupError when a document that is shown was not read from the store."""
    shape = event_shape(event)
    kind, producer, subject = _about(event.data)
    return msgspec.json.encode(
        {
            "specversion": SPEC_VERSION,
            "id": event.id,
            "source": f"/ringback/{kind}/{quote(producer, safe='')}",
            "type": event.type,
            "subject": subject,
            "time": shape["timestamp"],
            "datacontenttype": "application/json",
            "data": shape["data"],
        }
    )


def _about(data: TaskData | AccountData | DestinationData) -> tuple[str, str, str]:
    """The kind of what raised it, its name, and whom it is about."""
    match data:
        case TaskData():
            return "providers", data.provider, data.task_id
        case AccountData():
            return "accounts", data.account, data.account
        case DestinationData():
            return "destinations", data.destination, data.destination
