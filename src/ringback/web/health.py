"""/healthz and /readyz: what a supervisor and a load balancer ask.

Secret: that those who ask at once share one write; they need no token, so asking must cost the disk nothing more.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from ringback.core.errors import StoreError
from ringback.store.base import Store
from ringback.web import problems, shapes
from ringback.web.openapi import Json, ref, says
from ringback.web.parts import Having

PROBE_WITHIN_S = 5.0
"""A store that takes longer to write one line is not ready."""


class Readiness:
    """Whether the store can write, asked once for all who ask meanwhile."""

    def __init__(self) -> None:
        self._probe: asyncio.Task[list[str]] | None = None

    async def problems(self, store: Store) -> list[str]:
        """What hinders the store; an empty list is readiness."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(_cannot_write(store))
        return await asyncio.shield(self._probe)


async def _readiness(request: Request) -> Readiness:
    readiness: Readiness = request.app.state.readiness
    return readiness


router = APIRouter(tags=["health"])


@router.get("/healthz", responses=says(ref(shapes.Health), refuses=(503,)))
@router.head("/healthz", include_in_schema=False)
async def healthz(parts: Having) -> Response:
    """Whether the loops make progress."""
    return _health(parts.alive())


@router.get("/readyz", responses=says(ref(shapes.Health), refuses=(503,)))
@router.head("/readyz", include_in_schema=False)
async def readyz(parts: Having, readiness: Annotated[Readiness, Depends(_readiness)]) -> Response:
    """Whether the loops make progress and the store can write."""
    return _health([*parts.alive(), *await readiness.problems(parts.store)])


def _health(found: list[str]) -> Response:
    if not found:
        return Json(shapes.Health("ok"))
    unhealthy = HTTPStatus.SERVICE_UNAVAILABLE
    return problems.answer(problems.details(unhealthy, "unhealthy", "; ".join(found), {"problems": found}))


async def _cannot_write(store: Store) -> list[str]:
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            await store.probe()
    except TimeoutError:
        return [f"the store did not write within {PROBE_WITHIN_S:g} s"]
    except StoreError as error:
        return [error.message]
    return []
