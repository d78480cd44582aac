"""What the API is made of: handed in by app.py, looked up on every request; and what every list is asked with.

Secret: where a request finds the parts. Replacing `app.state.parts` swaps them all at once (a reload).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, FastAPI, Query, Request
from prometheus_client import CollectorRegistry

from ringback.core.errors import BadInput, Forbidden, nearest
from ringback.core.retry import Outcome
from ringback.destinations import DestinationStatus
from ringback.intake import Intake
from ringback.providers.base import Catalogue
from ringback.registration import Caller
from ringback.store.base import Store


@dataclass(frozen=True)
class Token:
    """One `[tokens.NAME]`: what it is, and whom it makes of its bearer."""

    caller: Caller
    secret: str = field(repr=False)


class Destinations(Protocol):
    """The configured destinations, as people see and command them. Every verb may raise StoreError."""

    async def listing(self) -> Sequence[DestinationStatus]:
        """All of them, by name."""

    async def pause(self, name: str, now: datetime, reason: str) -> None:
        """Send nothing until it is resumed; again is fine. Raises UnknownName."""

    async def resume(self, name: str, now: datetime) -> None:
        """Send again, first what was kept; again is fine. Raises UnknownName."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that the API needs.

    `tokens` and `catalogue` give those of this moment and raise nothing. `loopback`: nobody from outside can connect.
    `alive` names what makes no progress; an empty list is health. `failed` is told what was asked and which unforeseen
    exception it met. `test` sends a test event to a destination and raises UnknownName. Who has the `turn` begins the
    next registrations of a batch.
    """

    store: Store
    intake: Intake
    destinations: Destinations
    test: Callable[[str], Awaitable[Outcome]]
    catalogue: Callable[[], Catalogue]
    registry: CollectorRegistry
    now: Callable[[], datetime]
    tokens: Callable[[], Collection[Token]]
    loopback: bool
    alive: Callable[[], list[str]]
    failed: Callable[[str, BaseException], None]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


def parts_of(app: FastAPI) -> Parts:
    """The parts that are in force."""
    parts: Parts = app.state.parts
    return parts


async def _parts(request: Request) -> Parts:
    return parts_of(request.app)


async def _caller(request: Request) -> Caller:
    """Who asks, as the gate has decided."""
    caller: Caller = request.state.caller
    return caller


async def only_admins(request: Request) -> None:
    """Destinations are everybody's. Raises Forbidden for who sees only its own."""
    caller: Caller = request.state.caller
    if caller.sees is not None:
        raise Forbidden("destinations are shared by all: use a token whose scope is admin")


async def only_known_parameters(request: Request) -> None:
    """A filter with a slip of the pen must not answer with everything. Raises BadInput with the nearest name."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            hint = nearest(name, known) or (f" There are {', '.join(known)}." if known else " It takes none.")
            raise BadInput(f"{name[:80]}: there is no such parameter.{hint}", code="unknown_parameter", field=name[:80])


Having = Annotated[Parts, Depends(_parts)]
By = Annotated[Caller, Depends(_caller)]
Limit = Annotated[int, Query(ge=1, le=1000, description="Items a page.")]
Cursor = Annotated[str | None, Query(description="The `next` of the page before.")]
