"""The routes of deliveries: what is owed and what was, and sending it once more.

Secret: how people say since when: as a length of time before now, or as a time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from ringback.core.errors import BadInput, UnknownName
from ringback.core.model import DeliveryState
from ringback.durations import duration
from ringback.store.base import DeliveryQuery
from ringback.web import bodies, shapes
from ringback.web.openapi import Json, json_body, ref, says
from ringback.web.parts import By, Cursor, Having, Limit, only_known_parameters

Moment = Annotated[datetime, msgspec.Meta(tz=True)]

router = APIRouter(tags=["deliveries"], dependencies=[Depends(only_known_parameters)])


@router.get("/v1/deliveries", responses=says(ref(shapes.DeliveryPage)))
async def deliveries(
    parts: Having,
    caller: By,
    *,
    state: DeliveryState | None = None,
    destination: Annotated[str | None, Query(description="A destination's name, or `callback:ID`.")] = None,
    watch: str | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """What is owed and what was, newest first."""
    query = DeliveryQuery(
        owner=caller.sees, state=state, destination=destination, watch=watch, limit=limit, cursor=cursor
    )
    page = await parts.store.deliveries(query)
    return Json(shapes.DeliveryPage([shapes.delivery(delivery) for delivery in page.items], page.next))


@router.post(
    "/v1/deliveries/resend",
    status_code=202,
    responses=says(ref(shapes.Resent), 202, refuses=(400, 409, 413, 415, 503)),
    openapi_extra=json_body(ref(shapes.Resend)),
)
async def resend_many(request: Request, parts: Having, caller: By) -> Response:
    """Owe all of these once more, from the start of the schedule. Those that are still pending are left alone."""
    asked = bodies.decoded(await bodies.body_of(request), shapes.Resend)
    if asked.destination == "":
        raise BadInput("destination: is empty: name one, or leave it out", code="bad_field", field="destination")
    since = since_of(asked.since, parts.now()) if asked.since is not None else None
    resent = await parts.intake.resend_many(
        state=asked.state, destination=asked.destination, since=since, caller=caller
    )
    return Json(shapes.Resent(resent), 202)


@router.get("/v1/deliveries/{id}", responses=says(ref(shapes.DeliveryWithAttempts), refuses=(404,)))
async def delivery(id: str, parts: Having, caller: By) -> Response:
    """One delivery with its attempts."""
    found = await parts.store.delivery(id)
    if found is None or caller.sees not in (None, found[0].owner):
        raise UnknownName(f"there is no delivery '{id}': /v1/deliveries lists those there are", delivery=id)
    return Json(shapes.delivery_with_attempts(*found))


@router.post(
    "/v1/deliveries/{id}/resend", status_code=202, responses=says(ref(shapes.Delivery), 202, refuses=(404, 409, 503))
)
async def resend(id: str, parts: Having, caller: By) -> Response:
    """Owe a settled delivery once more, from the start of the schedule. 409 while it is still pending."""
    return Json(shapes.delivery(await parts.intake.resend(id, caller)), 202)


def since_of(text: str, now: datetime) -> datetime:
    """`2h` is so long before now; else a time as RFC 3339 writes it. Raises BadInput."""
    try:
        return msgspec.convert(text, Moment)
    except msgspec.ValidationError:
        pass
    try:
        return now - duration(text)
    except BadInput as error:
        raise BadInput(
            f"since: {error.message}; or a time with its zone, such as 2026-11-22T05:33:00Z",
            code="bad_field",
            field="since",
        ) from error
