"""What tests start from: a watch, an event, a delivery, with only what matters said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ringback.core.advance import Rules, advance, owed
from ringback.core.cadence import Fixed, Pace
from ringback.core.document import Document
from ringback.core.ids import watch_id
from ringback.core.model import Change, Delivery, Event, Observation, Watch, WatchState
from ringback.core.routing import Routes, Target

NOW = datetime(2026, 11, 22, 5, 33, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
PACE = Pace(Fixed(5 * SECOND), SECOND, 60 * SECOND)


def watch(task_id: str = "task-1", **fields: Any) -> Watch:
    """An open watch, registered now, due now."""
    defaults: dict[str, Any] = {
        "owner": "",
        "provider": "302ai-browser",
        "account": "302ai",
        "registered_at": NOW,
        "changed_at": NOW,
        "deadline_at": NOW + 24 * HOUR,
        "next_poll_at": NOW,
    }
    known = defaults | fields
    known["state"] = WatchState(known.get("state", "pending"))
    id = watch_id(known["owner"], known["provider"], known["account"], task_id, {})
    return Watch(**({"id": id, "task_id": task_id} | known))


def seen(state: WatchState | str, **fields: Any) -> Observation:
    """An answer that says this state."""
    return Observation(state=WatchState(state), **fields)


def document(value: Any) -> Document:
    """A JSON value as a document."""
    return Document.of_text(msgspec.json.encode(value))


def rules(**fields: Any) -> Rules:
    """Five seconds between polls, nobody configured."""
    return Rules(**({"pace": PACE} | fields))


def routes(**destinations: tuple[str, ...]) -> Routes:
    """Destinations by name with their default events, no routes."""
    return Routes(destinations)


def change(state: WatchState | str, of: Watch | None = None, **fields: Any) -> Change:
    """The change that seeing this state makes of a watch; `to` names who is configured."""
    to: Routes = fields.pop("to", routes(builds=("task.*",)))
    _, found = advance(of or watch(), seen(state, **fields), rules(routes=to), NOW + SECOND, jitter=0.5)
    assert found is not None
    return found


def event(state: WatchState | str = "succeeded", of: Watch | None = None, **fields: Any) -> Event:
    """The event of a watch reaching this state."""
    return change(state, of, **fields).events[0]


def delivery(of: Event | None = None, destination: str = "builds", **fields: Any) -> Delivery:
    """A delivery of an event, due now."""
    made = owed(of or event(), [Target(destination, destination)], NOW)[0]
    return msgspec.structs.replace(made, **fields)


def shown(task_id: str, status: str, *, step: int = 0, **told: Any) -> Any:
    """What 302.AI says of a browser task, with every field that it has."""
    return {
        "task_id": task_id,
        "status": status,
        "result": told.get("result"),
        "is_successful": told.get("is_successful"),
        "current_step": step,
        "steps": [{"step": number, "next_goal": f"Open result {number} and read it"} for number in range(1, step + 1)],
    }


def envelope(code: int, message: str) -> Any:
    """The 302.AI gateway's own error."""
    return {"error": {"err_code": code, "message": message, "type": "api_error"}}
