"""The pace of every watch: what was learned of its kind, ready for the next poll.

    a task is over -> its law has changed -> a later poll of that kind makes the table anew -> every poll looks it up

Secret: how often a table is made anew, and how many are kept. Making one takes a millisecond or two, using it a few
microseconds; a law that knows much has to learn some more before it is worth it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ringback.core.cadence import Pace, learned
from ringback.core.law import Kind, Law, kind_of
from ringback.core.model import Watch
from ringback.store.base import Store

WORTH_IT = 40
"""A table is made anew when its law has learned a fortieth of what it weighs."""

AT_MOST = 1000
"""Tables: one for each kind and each interval that somebody asked for. Each takes 8 KB; the oldest goes."""


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
        interval = configured.cadence.gap(watch, now)
        made = self._made.get((kind, interval))
        if made is None or made.configured is not configured or _has_learned(made.law, law):
            cadence = learned(law, interval, configured)
            made = self._made[kind, interval] = _Made(replace(configured, cadence=cadence), law, configured)
            while len(self._made) > AT_MOST:
                del self._made[next(iter(self._made))]
        return made.pace


def _has_learned(before: Law, now: Law) -> bool:
    return before is not now and abs(now.count - before.count) * WORTH_IT >= before.evidence
