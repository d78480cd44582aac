"""How a destination is doing: when to leave it alone, when to give it its queue back, when to pause it.

Secret: which outcomes blame the destination rather than the event. Pure: one value in, one value out.

    429, Retry-After   held: nobody sends to it until then
    a failure          failing, since the first in a row; after five days of nothing else it is paused
    410                paused at once
    a success          when it was failing: its whole queue is released, one at a time, in the order observed
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from ringback.core import retry
from ringback.core.model import AttemptOutcome
from ringback.core.retry import Outcome

PAUSED_AFTER = timedelta(days=5)
"""Of nothing but failures (Standard Webhooks: at least 12 h between first and last, which this includes)."""

RELEASE_RATE = 50.0
"""Deliveries a second while a queue is released: a receiver that has just come back is not run over."""


class Turn(StrEnum):
    """What an outcome changes for the destination as a whole."""

    FAILING = "failing"
    RELEASED = "released"
    PAUSED = "paused"


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """A destination's state. `held_until` stays known after its end: it says which events were held back."""

    held_until: datetime | None = None
    failing_since: datetime | None = None
    replaying: bool = False

    def held_at(self, now: datetime) -> bool:
        """Whether nothing may be sent to it."""
        return self.held_until is not None and now < self.held_until


def after(reach: Reach, outcome: Outcome, now: datetime, jitter: float) -> tuple[Reach, Turn | None]:
    """The state after an attempt that ended now, and what that changes."""
    if outcome.outcome is AttemptOutcome.DELIVERED:
        was_failing = reach.failing_since is not None
        reach = replace(reach, failing_since=None, replaying=reach.replaying or was_failing)
        return reach, Turn.RELEASED if was_failing else None
    if outcome.throttled or outcome.retry_after:
        until = now + retry.wait_of(outcome, jitter)
        reach = replace(reach, held_until=max(until, reach.held_until or until))
    if outcome.gone:
        return reach, Turn.PAUSED
    if outcome.throttled:
        return reach, None
    if reach.failing_since is None:
        return replace(reach, failing_since=now), Turn.FAILING
    return reach, Turn.PAUSED if now - reach.failing_since >= PAUSED_AFTER else None


def resumed(reach: Reach, now: datetime) -> Reach:
    """The state when a pause ends: its queue is replayed, and what was owed before now was held back."""
    return replace(reach, held_until=now, failing_since=None, replaying=True)


def caught_up(reach: Reach) -> Reach:
    """The queue is empty: from now on as fast as it takes them."""
    return replace(reach, replaying=False)


def shifted(reach: Reach, by: timedelta) -> Reach:
    """The state after the wall clock was stepped."""
    held, failing = reach.held_until, reach.failing_since
    return replace(
        reach,
        held_until=held + by if held is not None else None,
        failing_since=failing + by if failing is not None else None,
    )
