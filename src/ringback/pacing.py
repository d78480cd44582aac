"""The pace of every watch: what was learned of its kind, ready for the next poll.

    a task is over -> its law has changed -> a later poll of that kind makes the table anew -> every poll looks it up

Secret: how often a table is made anew, and how many are kept. Making one takes a millisecond or two, using it a few
microseconds; a law that knows much has to learn some more before it is worth it.
"""

from __future__ import annotations

import functools
import math
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ringback.core.cadence import Learned, Pace, learned
from ringback.core.law import Kind, Law, kind_of
from ringback.core.model import Watch
from ringback.store.base import Store

WORTH_IT = 40
"""A table is made anew when its law has learned a fortieth of what it weighs."""

AT_MOST = 1000
"""Tables: one for each kind and step of intervals. Each takes 8 KB; the oldest goes."""

STEP = 1.05
"""Intervals that are as near to each other share a table, so that callers who choose theirs freely do not fill it."""


class _Made(msgspec.Struct, frozen=True):
    """A pace, and what it was made of."""

    pace: Pace
    law: Law
    configured: Pace


class Pacing:
    """Knows the pace of a watch."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: dict[tuple[Kind, timedelta], _Made] = {}

    async def of(self, watch: Watch, configured: Pace, now: datetime) -> Pace:
        """By the law of its kind, with as many polls as the configured cadence would take; without a law by that."""
        kind = kind_of(watch)
        law = await self._store.law(kind)
        if law is None:
            return configured
        least = configured.least(watch)
        interval = _step_of(max(configured.cadence.gap(watch, now), least))
        made = self._made.get((kind, interval))
        if made is None or made.configured != configured or _has_learned(made.law, law):
            cadence = learned(law, interval, replace(configured, min_interval=least))
            pace = replace(configured, cadence=cadence) if isinstance(cadence, Learned) else configured
            made = self._made[kind, interval] = _Made(pace, law, configured)
            while len(self._made) > AT_MOST:
                del self._made[next(iter(self._made))]
        return made.pace


@functools.lru_cache(AT_MOST)
def _step_of(interval: timedelta) -> timedelta:
    """The interval that stands for this one and those near it."""
    steps = round(math.log(max(interval.total_seconds(), 0.001), STEP))
    return timedelta(seconds=STEP**steps)


def _has_learned(before: Law, now: Law) -> bool:
    return before is not now and abs(now.count - before.count) * WORTH_IT >= before.evidence
