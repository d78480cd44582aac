"""The routes of destinations: how each is doing, a test event, pausing and resuming. For administrators only.

Secret: none of its own; destinations.py has their state, the dispatcher sends.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from ringback.core.errors import UnknownName
from ringback.registration import Caller
from ringback.web import shapes
from ringback.web.openapi import Json, ref, says
from ringback.web.parts import By, Having, Parts, only_admins, only_known_parameters

router = APIRouter(tags=["destinations"], dependencies=[Depends(only_admins), Depends(only_known_parameters)])


@router.get("/v1/destinations", responses=says(ref(shapes.DestinationPage), refuses=(503,)))
async def destinations(parts: Having) -> Response:
    """Every configured destination, by name: whether it is paused, why, and what it is owed."""
    found = await parts.destinations.listing()
    return Json(shapes.DestinationPage([shapes.destination(one) for one in found], None))


@router.post("/v1/destinations/{name}/test", responses=says(ref(shapes.Tested), refuses=(404, 503)))
async def test(name: str, parts: Having) -> Response:
    """Send a test event now, and say what came back. It is tried once, and nothing of it is kept."""
    return Json(shapes.tested(await parts.test(name)))


@router.post("/v1/destinations/{name}/pause", responses=says(ref(shapes.Destination), refuses=(404, 503)))
async def pause(name: str, parts: Having, caller: By) -> Response:
    """Send nothing to it until it is resumed; what it is owed is kept. One that is paused stays as it is."""
    await parts.destinations.pause(name, parts.now(), _by_hand(caller))
    return Json(await _as_it_is(name, parts))


@router.post("/v1/destinations/{name}/resume", responses=says(ref(shapes.Destination), refuses=(404, 503)))
async def resume(name: str, parts: Having) -> Response:
    """Send again: first what it is owed, one at a time, in the order observed. One that is active stays as it is."""
    await parts.destinations.resume(name, parts.now())
    return Json(await _as_it_is(name, parts))


def _by_hand(caller: Caller) -> str:
    return f"paused by hand (token '{caller.name}')" if caller.name else "paused by hand"


async def _as_it_is(name: str, parts: Parts) -> shapes.Destination:
    for one in await parts.destinations.listing():
        if one.name == name:
            return shapes.destination(one)
    raise UnknownName(f"destination '{name}' was removed from the configuration meanwhile", destination=name)
