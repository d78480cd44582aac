"""What follows an attempt: done, again at a time, or given up.

Secret: when to stop. Pure: jitter is an argument, a number in [0, 1). Attempts count from 1.

The default schedule and the limits are those of Standard Webhooks with a denser start, so that a receiver that is being
redeployed is reached within a minute or two.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ringback.core.model import Attempt, AttemptOutcome, Delivery, DeliveryState

JITTER = 0.2
"""Waits vary by this much either way."""

SCHEDULE = tuple(
    timedelta(seconds=seconds) for seconds in (5, 15, 60, 120, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
)
"""Waits before the 2nd, 3rd, ... attempt: 13 attempts in about 75 hours."""

LASTS = timedelta(hours=76)
"""A held-back delivery (429) keeps its place in the schedule, but not for ever."""

PASSING_LASTS = timedelta(minutes=10)
"""An event that is not final is not worth telling after that."""

RETRY_AFTER_AT_MOST = timedelta(hours=24)
HOLD = timedelta(seconds=30)
"""How long a destination that says 429 without Retry-After is left alone."""


class Policy(msgspec.Struct, frozen=True):
    """When a destination's deliveries are tried again; `retry` replaces the default schedule and its limits."""

    retry: tuple[timedelta, ...] | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a sink says of one try.

    `throttled`: the receiver asks for patience (429), which is no failure of the delivery. `gone`: it wants nothing
    more (410). `latency_ms` is the time the try took.
    """

    outcome: AttemptOutcome
    latency_ms: float = 0.0
    status: int | None = None
    message: str | None = None
    excerpt: str | None = None
    retry_after: timedelta | None = None
    throttled: bool = False
    gone: bool = False


class Done(msgspec.Struct, frozen=True):
    """Somebody has it."""


class Again(msgspec.Struct, frozen=True):
    """Try again at that time, from that place in the schedule."""

    at: datetime
    position: int


class GiveUp(msgspec.Struct, frozen=True):
    """Discard it, for this reason."""

    reason: str


class Superseded(msgspec.Struct, frozen=True):
    """A newer event of the watch is owed to the same destination."""


Step = Done | Again | GiveUp | Superseded


def step(delivery: Delivery, outcome: Outcome, policy: Policy, now: datetime, jitter: float) -> Step:
    """What follows this outcome of a delivery's next attempt."""
    if outcome.outcome is AttemptOutcome.DELIVERED:
        return Done()
    if outcome.outcome is AttemptOutcome.REFUSED:
        return GiveUp(outcome.message or "the receiver refused it")
    schedule = SCHEDULE if policy.retry is None else policy.retry
    started = delivery.first_attempt_at or now
    if outcome.throttled:
        at, position = now + wait_of(outcome, jitter), delivery.position
    elif delivery.position >= len(schedule):
        return GiveUp(f"no success in {delivery.attempts + 1} attempts; the last: {outcome.message}")
    else:
        wait = schedule[delivery.position] * (1 - JITTER + 2 * JITTER * jitter)
        at, position = now + max(wait, _asked(outcome, jitter)), delivery.position + 1
    asked_for = outcome.throttled or _asked(outcome, jitter) > timedelta()
    if _too_late(delivery, policy, at - started, stretched=asked_for):
        return GiveUp(f"too late to try again; the last: {outcome.message}")
    return Again(at, position)


def wait_of(outcome: Outcome, jitter: float) -> timedelta:
    """How long a destination that asks for patience is left alone: what it asks for, up to a day; jitter only adds."""
    return _asked(outcome, jitter) or HOLD * (1 + JITTER * jitter)


def settled(delivery: Delivery, what: Step, now: datetime, *, attempted: bool) -> Delivery:
    """The delivery after a step; `attempted` is False when it was decided without a try."""
    count = delivery.attempts + 1 if attempted else delivery.attempts
    first = (delivery.first_attempt_at or now) if attempted else delivery.first_attempt_at
    moved = replace(delivery, attempts=count, first_attempt_at=first)
    match what:
        case Again(at, position):
            return replace(moved, next_attempt_at=at, position=position)
        case Done():
            return replace(moved, state=DeliveryState.DELIVERED, next_attempt_at=None, settled_at=now)
        case Superseded():
            return replace(moved, state=DeliveryState.SUPERSEDED, next_attempt_at=None, settled_at=now)
        case GiveUp(reason):
            return replace(moved, state=DeliveryState.DISCARDED, reason=reason, next_attempt_at=None, settled_at=now)


def shifted(delivery: Delivery, by: timedelta) -> Delivery:
    """The delivery after the wall clock was stepped: it is due, and too late, as soon as it would have been."""
    first, due = delivery.first_attempt_at, delivery.next_attempt_at
    return replace(
        delivery,
        created_at=delivery.created_at + by,
        first_attempt_at=first + by if first is not None else None,
        next_attempt_at=due + by if due is not None else None,
    )


def anew(delivery: Delivery, now: datetime) -> Delivery:
    """A settled delivery owed again, from the start of the schedule; attempts go on being numbered."""
    return replace(
        delivery,
        state=DeliveryState.PENDING,
        reason=None,
        position=0,
        created_at=now,
        first_attempt_at=None,
        next_attempt_at=now,
        settled_at=None,
    )


def attempt_of(delivery: Delivery, outcome: Outcome, at: datetime) -> Attempt:
    """The record of a try that began at `at`."""
    return Attempt(
        number=delivery.attempts + 1,
        at=at,
        outcome=outcome.outcome,
        latency_ms=round(outcome.latency_ms, 1),
        status=outcome.status,
        message=outcome.message,
        excerpt=outcome.excerpt,
    )


def is_superseded(delivery: Delivery, *, newer: bool, held_until: datetime | None) -> bool:
    """Whether a newer event makes this one not worth sending.

    Never a lasting one. A passing one only when it failed an attempt, or was owed before its destination's last hold
    ended.
    """
    if not newer or delivery.event_type.lasting:
        return False
    return delivery.attempts > 0 or (held_until is not None and delivery.created_at < held_until)


def _asked(outcome: Outcome, jitter: float) -> timedelta:
    asked = min(outcome.retry_after or timedelta(), RETRY_AFTER_AT_MOST)
    return asked * (1 + JITTER * jitter)


def _too_late(delivery: Delivery, policy: Policy, lasted: timedelta, *, stretched: bool) -> bool:
    """A schedule ends by itself; only being held back (429, Retry-After) can stretch it."""
    if delivery.event_type.lasting or policy.retry is not None:
        return stretched and lasted > LASTS
    return lasted > PASSING_LASTS
