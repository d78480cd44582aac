"""The routes of watches: register, read, wait, hasten, abandon.

Secret: none of its own; the intake decides, shapes.py shows.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from ringback.core.errors import BadInput, UnknownName
from ringback.core.model import WatchState
from ringback.durations import duration
from ringback.registration import Caller, Registration
from ringback.sinks.payload import event_shape
from ringback.store.base import EventQuery, WatchQuery
from ringback.web import bodies, problems, shapes
from ringback.web.openapi import EventPage, Json, json_body, ref, says
from ringback.web.parts import By, Cursor, Having, Limit, Parts, only_known_parameters
from ringback.web.waits import AT_MOST, Holding, unless_gone

BATCH_AT_MOST = 1000
SLICE = 25
"""Registrations of a batch that are under way at once: enough for the store to commit them together.

Of all batches only one begins so many in one round of the loop: others get their turn between.
"""

ANSWER_HEADERS = {
    "content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "content-disposition": 'attachment; filename="answer"',
}
"""A provider's answer may be a hostile page: no browser may run it in our name."""

MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,80}/[\w!#$&^.+-]{1,80}(; ?charset=[\w.:-]{1,40})?", re.ASCII)
LONGEST_WAIT = f"{AT_MOST.total_seconds():g}s"

Wait = Annotated[
    str | None,
    Query(
        description=f"Hold the answer so long at most, up to {LONGEST_WAIT}.",
        json_schema_extra={"pattern": r"^[0-9]{1,15}(\.[0-9]{1,6})?(ms|s|m|h|d)$"},
    ),
]
AfterSequence = Annotated[
    int | None, Query(ge=0, description="Hold it until the sequence is above this; left out: above what it is now.")
]

router = APIRouter(tags=["watches"], dependencies=[Depends(only_known_parameters)])


@router.post(
    "/v1/watches",
    status_code=201,
    responses=says(ref(shapes.Watch), 201, 200, refuses=(400, 409, 413, 415, 503)),
    openapi_extra=json_body(ref(Registration)),
)
async def register(request: Request, parts: Having, caller: By) -> Response:
    """Follow a task: 201 with its new watch, 200 when it was watched already and what is new was added."""
    asked = bodies.decoded(await bodies.body_of(request), Registration)
    done = await parts.intake.register(asked, caller)
    return Json(shapes.watch(done.watch), 201 if done.created else 200)


@router.post(
    "/v1/watches/batch",
    responses=says({"type": "array", "items": ref(shapes.BatchItem)}, refuses=(400, 413, 415)),
    openapi_extra=json_body({"type": "array", "maxItems": BATCH_AT_MOST, "items": ref(Registration)}),
)
async def register_batch(request: Request, parts: Having, caller: By) -> Response:
    """Follow up to 1,000 tasks: each is answered in its place, with its watch or its problem; none hinders another."""
    asked = bodies.decoded(await bodies.body_of(request), list[msgspec.Raw])
    if len(asked) > BATCH_AT_MOST:
        raise BadInput(
            f"a batch takes at most {BATCH_AT_MOST} registrations, not {len(asked)}: send several", code="too_many"
        )
    done: list[dict[str, Any]] = []
    for start in range(0, len(asked), SLICE):
        part = asked[start : start + SLICE]
        async with parts.turn:
            begun = asyncio.gather(*(_register_item(item, parts, caller) for item in part))
            await asyncio.sleep(0)
        done += await begun
    return Json(done)


async def _register_item(item: msgspec.Raw, parts: Parts, caller: Caller) -> dict[str, Any]:
    """One item's answer: a shapes.BatchItem."""
    try:
        done = await parts.intake.register(bodies.decoded(item, Registration), caller)
    except Exception as error:  # noqa: BLE001 - one bad item must not take the other 999 with it
        problem = problems.details_of(error, in_path=False)
        if problem["code"] == problems.INTERNAL:
            parts.failed("POST /v1/watches/batch", error)
        return {"status": problem["status"], "problem": msgspec.Raw(problems.encoded(problem))}
    return {"status": 201 if done.created else 200, "watch": shapes.watch(done.watch)}


@router.get("/v1/watches", responses=says(ref(shapes.WatchPage), refuses=(503,)))
async def watches(
    parts: Having,
    caller: By,
    *,
    state: Annotated[list[WatchState] | None, Query(description="Any of these.")] = None,
    provider: str | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """The watches, newest first."""
    query = WatchQuery(owner=caller.sees, states=state or (), provider=provider, limit=limit, cursor=cursor)
    page = await parts.store.watches(query)
    return Json(shapes.WatchPage([shapes.watch(watch) for watch in page.items], page.next))


@router.get("/v1/watches/{id}", responses=says(ref(shapes.Watch), refuses=(404, 503)))
async def watch(
    id: str,
    request: Request,
    *,
    parts: Having,
    caller: By,
    waits: Holding,
    wait: Wait = None,
    after: AfterSequence = None,
) -> Response:
    """One watch; with `wait`, once its sequence is above `after` or it is final, or when the wait is over."""
    if wait is None:
        return Json(shapes.watch(await parts.intake.find(id, caller)))
    length = _length_of(wait)
    if after is None:
        after = (await parts.intake.find(id, caller)).sequence
    held = waits.until(
        id,
        lambda: parts.intake.find(id, caller),
        moved=lambda watch: watch.state.final or watch.sequence > after,
        wait=length,
    )
    return Json(shapes.watch(await unless_gone(request, held)))


@router.get("/v1/watches/{id}/events", responses=says(ref(EventPage), refuses=(404,)))
async def history(id: str, *, parts: Having, caller: By, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """What happened to a watch, oldest first."""
    await parts.intake.find(id, caller)
    page = await parts.store.events(EventQuery(owner=caller.sees, watch=id, limit=limit, cursor=cursor))
    return Json({"items": [event_shape(event) for event in page.items], "next": page.next})


@router.get(
    "/v1/watches/{id}/answer",
    response_class=Response,
    responses={
        200: {
            "description": "The provider's body, with its content type; its HTTP status is in x-ringback-status.",
            "content": {"*/*": {"schema": {}}},
            "headers": {"x-ringback-status": {"schema": {"type": "integer"}}},
        },
        404: says({}, refuses=(404,))[404],
    },
)
async def answer(id: str, parts: Having, caller: By) -> Response:
    """The provider's last answer, as it came.

    One that changed nothing is kept in memory alone, up to 4 MiB of them: after a restart, or past that, it is the
    last one that changed something.
    """
    await parts.intake.find(id, caller)
    found = await parts.store.answer(id)
    if found is None:
        raise UnknownName(f"watch {id} has no answer yet: it was not polled, or nothing came back", code="no_answer")
    said = found.headers.get("content-type", "")
    media_type = said if MEDIA_TYPE.fullmatch(said) else "application/octet-stream"
    headers = {**ANSWER_HEADERS, "x-ringback-status": str(found.status), "content-type": media_type}
    return Response(found.body, headers=headers)


@router.delete("/v1/watches/{id}", responses=says(ref(shapes.Watch), refuses=(404, 409, 503)))
async def abandon(id: str, parts: Having, caller: By) -> Response:
    """Follow it no longer; what is owed is still delivered. One that is over stays as it is."""
    return Json(shapes.watch(await parts.intake.abandon(id, caller)))


@router.post("/v1/watches/{id}/poll", status_code=202, responses=says(ref(shapes.Watch), 202, refuses=(404, 409, 503)))
async def poll(id: str, parts: Having, caller: By) -> Response:
    """Poll it soon: as soon as the provider's Retry-After allows. 409 when it is final."""
    return Json(shapes.watch(await parts.intake.poll_soon(id, caller)), 202)


def _length_of(wait: str) -> timedelta:
    try:
        length = duration(wait)
    except BadInput as error:
        raise BadInput(f"wait: {error.message}", code="bad_parameter", field="wait") from error
    if length > AT_MOST:
        raise BadInput(f"wait: at most {LONGEST_WAIT} at once; ask again", code="bad_parameter", field="wait")
    return length
