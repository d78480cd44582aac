"""What the tests of stores do again and again: follow a watch, settle a delivery, claim what is due."""

from __future__ import annotations

from datetime import datetime, timedelta

import given
from msgspec.structs import replace

from ringback.core import retry
from ringback.core.advance import keep
from ringback.core.model import (
    EVENT_OF_STATE,
    AttemptOutcome,
    Change,
    Delivery,
    Mark,
    Watch,
    WatchState,
)
from ringback.core.retry import Again, Done, Outcome, Step, attempt_of, settled
from ringback.core.routing import Routes
from ringback.store.base import Owed, Reschedule, Settlement, Store

LEASE = timedelta(seconds=30)
BUILDS = Routes({"builds": ("task.*",)})
HARD_TEXT = 'タスクは「完了」しました。"引用"\\\n次の行 🎉\u2028'
LARGE = HARD_TEXT * 600
"""About 40 KB of UTF-8."""


def moved(watch: Watch, state: str, *, at: datetime = given.NOW, to: Routes = BUILDS, **fields: object) -> Change:
    """The change that brings a watch to a state, with its event and what is owed of it."""
    reached = WatchState(state)
    after = replace(
        watch,
        state=reached,
        changed_at=at,
        finished_at=at if reached.final else None,
        next_poll_at=None if reached.final else at + 5 * given.SECOND,
        **fields,
    )
    return keep(watch, after, EVENT_OF_STATE.get(reached), to, at)[1]


def ended(watch: Watch, took: timedelta) -> Change:
    """The change that sees the task over and teaches how long it took, owing nothing."""
    return replace(moved(watch, "succeeded", to=Routes()), took=took)


async def follow(store: Store, *states: str, of: Watch | None = None, **fields: object) -> Watch:
    """Register a watch and bring it through these states."""
    watch = of or given.watch()
    await store.commit(Change(watch=watch))
    for state in states:
        change = moved(watch, state, **fields)
        await store.commit(change)
        assert change.watch is not None
        watch = change.watch
    return watch


def settlement(delivery: Delivery, what: Step | None = None, *, at: datetime = given.NOW) -> Settlement:
    """An attempt and what follows: delivered, unless another step is given."""
    outcome = AttemptOutcome.DELIVERED if what is None else AttemptOutcome.FAILED
    attempt = attempt_of(delivery, Outcome(outcome=outcome, latency_ms=3.5, status=200, excerpt=HARD_TEXT), at)
    return Settlement(settled(delivery, what or Done(), at, attempted=True), attempt)


def polled(watch: Watch, **fields: object) -> Reschedule:
    """A poll that changed nothing."""
    known = {"polls": watch.polls + 1, "last_polled_at": given.NOW, "next_poll_at": given.NOW + 5 * given.SECOND}
    return Reschedule(replace(watch, **(known | fields)))


def again(at: datetime) -> Again:
    """Try again then."""
    return Again(at, 1)


async def due(store: Store, now: datetime, limit: int = 100, **limits: int) -> list[Watch]:
    """Claim watches."""
    return await store.claim_watches(now, limit, LEASE, limits)


async def owed(store: Store, now: datetime, limit: int = 100, **limits: int) -> list[Owed]:
    """Claim deliveries."""
    return await store.claim_deliveries(now, limit, LEASE, limits)


def mark(subject: str = "account:302ai", **fields: object) -> Mark:
    """Something that must not be announced again."""
    known = {"active": True, "since": given.NOW, "code": "unauthorized", "message": "no", "sequence": 1}
    return Mark(subject=subject, **(known | fields))


def anew(delivery: Delivery) -> Delivery:
    """A settled delivery, owed again now."""
    return retry.anew(delivery, given.NOW)
