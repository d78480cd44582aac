"""The description of the API at /openapi.json: routes from FastAPI, schemas from the structs that are really encoded.

Secret: how the two are merged. Every operation says which problems it can answer with; a test holds all to the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi

from ringback.core.model import Error, EventType, Progress, WatchState
from ringback.registration import Registration
from ringback.web import problems, shapes
from ringback.web.auth import OPEN
from ringback.web.shapes import Time

REF = "#/components/schemas/{name}"
NEVER_SENT = frozenset({"HTTPValidationError", "ValidationError"})
"""FastAPI's own shape of an error: ours is RFC 9457."""


class Json(Response):
    """A value that msgspec encodes: keys in the struct's order, null for None."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode it."""
        return msgspec.json.encode(content)


class TaskData(msgspec.Struct, frozen=True, kw_only=True):
    """What an event says about a task: its watch as it was when the change was observed."""

    watch_id: str
    provider: str
    account: str
    task_id: str
    params: dict[str, str]
    state: WatchState
    previous_state: WatchState
    sequence: int
    progress: Progress | None
    result: msgspec.Raw
    result_expires_at: Time | None
    error: Error | None
    details: msgspec.Raw
    metadata: dict[str, str]
    registered_at: Time
    previous_poll_at: Time | None
    observed_at: Time


class AccountData(msgspec.Struct, frozen=True):
    """What a `provider.*` event says."""

    account: str
    problem: Error | None
    watches: int


class DestinationData(msgspec.Struct, frozen=True):
    """What a `destination.*` event says."""

    destination: str
    reason: str | None
    since: Time
    pending: int


class Event(msgspec.Struct, frozen=True):
    """An immutable fact, as a webhook receives it; `type` says whose data it carries."""

    id: str
    type: EventType
    timestamp: Time
    data: msgspec.Raw


class EventPage(msgspec.Struct, frozen=True):
    """Oldest first; `next` is where to go on, now or later: it is never null."""

    items: list[Event]
    next: str


SHOWN = (
    Registration,
    shapes.Watch,
    shapes.WatchPage,
    shapes.BatchItem,
    shapes.Delivery,
    shapes.DeliveryPage,
    shapes.DeliveryWithAttempts,
    shapes.Resend,
    shapes.Resent,
    shapes.Destination,
    shapes.DestinationPage,
    shapes.Tested,
    shapes.Provider,
    shapes.ProviderPage,
    shapes.ProviderWithLaws,
    shapes.ProblemDetails,
    shapes.Health,
    EventPage,
    TaskData,
    AccountData,
    DestinationData,
)


def json_body(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a route that decodes its own body tells of it."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Where the schema of a struct stands."""
    return {"$ref": REF.format(name=kind.__name__)}


def says(schema: Mapping[str, Any], *statuses: int, refuses: Iterable[int] = ()) -> dict[int | str, dict[str, Any]]:
    """What a route answers: this JSON with these statuses (200), and a problem with those."""
    good = {"content": {Json.media_type: {"schema": schema}}}
    bad = {"content": {problems.MEDIA_TYPE: {"schema": ref(shapes.ProblemDetails)}}}
    told: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, **good} for status in statuses or (200,)
    }
    for status in (*refuses, 500):
        told[status] = {"description": HTTPStatus(status).phrase, **bad}
    return told


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole description."""
    told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    _, schemas = msgspec.json.schema_components(SHOWN, ref_template=REF)
    schemas["Event"]["properties"]["data"] = {"anyOf": [ref(TaskData), ref(AccountData), ref(DestinationData)]}
    theirs = {name: schema for name, schema in told["components"]["schemas"].items() if name not in NEVER_SENT}
    told["components"] = {
        "schemas": {**schemas, **theirs},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    for path, operations in told["paths"].items():
        for operation in operations.values():
            guard = () if path in OPEN else (401, 403)
            strict = (422,) if path.startswith("/v1/") else ()
            _correct(operation, refuses=(*guard, *strict))
    return told


def _correct(operation: dict[str, Any], *, refuses: tuple[int, ...]) -> None:
    """What FastAPI cannot know of an operation: the gate, our own 422, and that a query holds no null."""
    operation["responses"].pop("422", None)
    told = says({}, refuses=refuses)
    operation["responses"] |= {str(status): response for status, response in told.items() if status != HTTPStatus.OK}
    if HTTPStatus.UNAUTHORIZED in refuses:
        operation["security"] = [{"token": []}]
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
        if kinds:
            schema |= kinds[0]
