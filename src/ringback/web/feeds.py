"""The routes that only read: events, providers.

Secret: none of its own.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from ringback.fields import check_glob
from ringback.sinks.payload import event_shape
from ringback.store.base import EventQuery
from ringback.web import shapes
from ringback.web.learned import learned
from ringback.web.openapi import EventPage, Json, ref, says
from ringback.web.parts import By, Having, Limit, only_known_parameters

After = Annotated[str | None, Query(description="The `next` of an earlier page: what happened since.")]

router = APIRouter(dependencies=[Depends(only_known_parameters)])


@router.get("/v1/events", tags=["events"], responses=says(ref(EventPage)))
async def events(
    parts: Having,
    caller: By,
    *,
    after: After = None,
    type: Annotated[str | None, Query(description="A glob, such as `task.*`.")] = None,
    watch: str | None = None,
    limit: Limit = 100,
) -> Response:
    """What happened, oldest first."""
    if type is not None:
        check_glob("type", type)
    query = EventQuery(owner=caller.sees, type=type, watch=watch, limit=limit, cursor=after)
    page = await parts.store.events(query)
    return Json({"items": [event_shape(event) for event in page.items], "next": page.next})


@router.get("/v1/providers", tags=["providers"], responses=says(ref(shapes.ProviderPage)))
async def providers(parts: Having) -> Response:
    """Every API that can be followed."""
    return Json(shapes.ProviderPage([shapes.provider(about) for about in parts.catalogue().abouts()], None))


@router.get("/v1/providers/{id}", tags=["providers"], responses=says(ref(shapes.ProviderWithLaws), refuses=(404,)))
async def provider(id: str, parts: Having, caller: By) -> Response:
    """How one API is followed, and how long its tasks take, as far as that was learned."""
    about = parts.catalogue().about(id)
    known = learned(await parts.store.laws(about.id), caller.accounts)
    return Json(shapes.provider_with_laws(about, known))
