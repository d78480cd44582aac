"""When to poll next.

Secret: the spacing of polls. Pure: jitter is an argument, a number in [0, 1).

`Cadence` is the seam: `Fixed` spaces polls evenly; a cadence that learns how long tasks take stands beside it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from msgspec.structs import replace

from ringback.core.model import Watch

JITTER = 0.1
"""Gaps vary by this much either way, so that tasks registered together do not stay together."""

DOUBLINGS = 16
"""More would overflow, and max_interval has long since been reached."""


class Cadence(Protocol):
    """Says how long after `now` an open watch is polled again, before limits and jitter."""

    def gap(self, watch: Watch, now: datetime) -> timedelta:
        """The ideal gap after an answer."""


class Fixed(msgspec.Struct, frozen=True):
    """The same gap every time."""

    interval: timedelta

    def gap(self, watch: Watch, now: datetime) -> timedelta:
        """The watch's own interval, else the setting's."""
        return watch.interval or self.interval


class Pace(msgspec.Struct, frozen=True):
    """The limits around a cadence; a watch that asks for a longer interval than `max_interval` gets it."""

    cadence: Cadence
    min_interval: timedelta
    max_interval: timedelta


def schedule(watch: Watch, pace: Pace, asked: timedelta | None, now: datetime, jitter: float) -> Watch:
    """The watch with the time of its next poll, at the latest its deadline; none when it is final.

    After a problem the gap doubles with every answer in a row that says nothing. `asked` is what the provider asks for
    (Retry-After): jitter only adds to it.
    """
    if watch.state.final:
        return replace(watch, next_poll_at=None, not_before_at=None)
    longest = max(pace.max_interval, watch.interval or timedelta())
    gap = pace.cadence.gap(watch, now)
    if watch.problem is not None:
        gap = min(gap * 2 ** min(watch.problem.count - 1, DOUBLINGS), longest)
    gap = min(max(gap, pace.min_interval), longest) * (1 - JITTER + 2 * JITTER * jitter)
    wait = asked * (1 + JITTER * jitter) if asked is not None else timedelta()
    due = min(now + max(gap, wait), max(watch.deadline_at, now))
    return replace(watch, next_poll_at=due, not_before_at=now + asked if asked is not None else None)
