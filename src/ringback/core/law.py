"""How long tasks of one kind take: what the ends that were seen have taught.

Secret: which ends teach, and how they are counted and smoothed. Pure.

A law is a histogram of ages at which tasks were over, in bins that are each a twelfth longer than the one before. It
weighs the last few hundred: each completion pushes the older ones down a little. In logarithmic time it needs no idea
of how long tasks take at all: twenty seconds and two hours are learned alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from datetime import datetime, timedelta
from itertools import accumulate, pairwise
from math import exp, log, sqrt

import msgspec
from msgspec.structs import replace

from ringback.core.model import Observation, Watch, WatchState

Kind = tuple[str, str, str]
"""Tasks that take equally long, as far as we can tell: provider, account, and their value of what it is learned by."""

TEACHES = frozenset({WatchState.SUCCEEDED, WatchState.FAILED})
"""The ends that are the work's own: one that was cancelled says how patient somebody was."""

EDGES: tuple[float, ...] = (0.0, *(2.0 ** (place / 8 - 2) for place in range(193)), 2.0**25)
"""In seconds: eight bins to an octave, from a quarter of a second to 48 days, and one for all that is longer."""

SPANS = tuple(until - since for since, until in pairwise(EDGES))
BIN = log(2) / 8
"""How wide a bin is in logarithmic time."""

KEPT = 400.0
"""Completions that a law weighs: enough to know its tail, and old ones are outweighed within some dozens."""

LAST, MISFIT = 20, 0.5
"""Chance alone takes the last twenty so far from those before them less than once in ten thousand. (A batch can: its
short tasks come first. So a law that does not fit is trusted less, and nothing that it knows is thrown away.)"""

NARROW, WIDE = 0.1, 0.3
"""How far a completion speaks for its neighbours, in logarithmic time: less far, the more of them there are."""

ASTRAY, ASTRAY_BY = 0.2, 0.7
"""The part of each completion that speaks for twice and for half its age: by so much a law may be wrong at any time."""


class Law(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`weights` by bin, the bins of the `last` twenty, and the `count` of all that ever taught."""

    kind: Kind
    count: int = 0
    weights: dict[int, float] = {}
    last: tuple[int, ...] = ()

    @property
    def evidence(self) -> float:
        """How many completions are weighed."""
        return sum(self.weights.values())

    @property
    def fits(self) -> bool:
        """Whether the last twenty may come from where those before them came from (by Kolmogorov and Smirnov)."""
        others, last = self.evidence - LAST, Counter(self.last)
        steps = (last[bin] / LAST - (self.weights[bin] - last[bin]) / others for bin in sorted(self.weights))
        return others < LAST or max(map(abs, accumulate(steps))) <= MISFIT


def kind_of(watch: Watch) -> Kind:
    """The tasks that this one is like."""
    return (watch.provider, watch.account, watch.key)


def age(watch: Watch, at: datetime) -> timedelta:
    """How long the watch had been followed at a time."""
    return at - (watch.began_at or watch.registered_at)


def lesson(watch: Watch, seen: Observation, now: datetime) -> timedelta | None:
    """How old a task was when it was over, where this answer about its open watch tells that well enough to learn from.

    It was over between the poll before and this one: when the provider says, else in the middle. Its age counts from
    its registration, because nobody tells when it was submitted. What would teach nonsense teaches nothing:

    - a task that was over at the first look: it was registered afterwards, or nobody could look for long
    - a watch that was reopened, or lived through a step of the clock: its age is not the task's
    - a window too wide to tell, because the poll came late (a restart, an outage) or those before it met a problem
    """
    before, due = watch.last_polled_at, watch.next_poll_at
    if seen.state not in TEACHES or watch.began_at or not (watch.first_seen_at and before and due):
        return None
    if seen.settled_at is not None and before <= seen.settled_at <= now:
        return age(watch, seen.settled_at)
    wide = now - before > max(2 * (due - before), age(watch, before) / 4)
    return None if wide or watch.problem is not None else age(watch, before + (now - before) / 2)


def taught(law: Law, took: timedelta) -> Law:
    """The law with one more completion."""
    bin = max(bisect_left(EDGES, took.total_seconds(), hi=len(SPANS)) - 1, 0)
    fade = min(KEPT / (law.evidence + 1), 1.0)
    weights = {place: weight * fade for place, weight in law.weights.items()}
    weights[bin] = weights.get(bin, 0.0) + fade
    return replace(law, count=law.count + 1, weights=weights, last=(*law.last, bin)[-LAST:])


def shares(law: Law) -> tuple[list[float], list[float]]:
    """The part of the tasks that is over in each bin: as it was seen, and with the fear that the law is wrong."""
    seen = _smoothed(law.weights, min(max(WIDE * sqrt(LAST / law.evidence), NARROW), WIDE))
    astray = _smoothed(law.weights, ASTRAY_BY)
    return seen, [near * (1 - ASTRAY) + far * ASTRAY for near, far in zip(seen, astray, strict=True)]


def _smoothed(weights: dict[int, float], width: float) -> list[float]:
    """Each completion spread over the bins around it, as a bell."""
    reach = round(3 * width / BIN)
    bell = [exp(-((step * BIN / width) ** 2) / 2) for step in range(-reach, reach + 1)]
    parts = [0.0] * len(SPANS)
    for bin, weight in weights.items():
        for place, height in enumerate(bell, bin - reach):
            parts[min(max(place, 0), len(SPANS) - 1)] += weight * height
    total = sum(parts)
    return [part / total for part in parts]
