"""When to poll next.

Secret: the spacing of polls. Pure: jitter is an argument, a number in [0, 1).

`Cadence` is the seam: `Fixed` spaces polls evenly, `Learned` gathers them where tasks end. A task ends once, and among
those that are still open at an age some part ends in the next second: the hazard h of that age. With a given number of
polls the mean delay is least when their density is proportional to sqrt(h) (Barlow, Hunter and Proschan 1963; Keller
1974). So the rate of polls at an age is

    scale * sqrt(h) + share / interval        never outside 1 / max_interval .. 1 / min_interval

and the next poll comes when the integral of it has grown by one. `scale` is such that a task is polled as often, on
average, as it would be at the fixed interval. `share` is what bounds the price of a law that is wrong. Where hardly a
task is left, the slow lane begins: the gap grows with the age, up to `max_interval`.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from math import floor, log, sqrt
from typing import Protocol

import msgspec
from msgspec.structs import replace

from ringback.core.law import EDGES, SPANS, Law, age, shares
from ringback.core.model import Watch

JITTER = 0.1
"""Gaps vary by this much either way, so that tasks registered together do not stay together."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Where every grid begins."""

DOUBLINGS = 16
"""More would overflow, and max_interval has long since been reached."""

TOO_FEW, FEW = 10, 50
"""Completions below which nothing is learned yet, and below which the law is unsure."""

SHARE, SHARE_WHEN_UNSURE = 0.25, 0.5
"""Of the fixed rate, which is kept everywhere: no gap is longer than four or two intervals, but in the slow lane."""

LEFT, NOBODY = 0.001, 1e-12
"""The slow lane begins where less than this is left of the tasks, with the fear of a wrong law. (At half a percent, and
a fine interval, the few that are seen late would outweigh what all others gain) ..."""

SLOW = 16
"""... and its gaps are this part of the age: what ends there is seen late, but not late for its age."""

SCALES, STEPS = (-10.0, 20.0), 14
"""The scale is looked for among these powers of two, and found to a five hundredth of one."""


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


class Learned(msgspec.Struct, frozen=True):
    """Gaps by the age of the task: `polls` says how many there are up to each of the law's EDGES."""

    polls: tuple[float, ...]

    def gap(self, watch: Watch, now: datetime) -> timedelta:
        """Until the table has grown by one: a few microseconds, every poll asks for it."""
        age_s = max(age(watch, now).total_seconds(), 0.0)
        return timedelta(seconds=_read(self.polls, EDGES, _read(EDGES, self.polls, age_s) + 1) - age_s)


class Pace(msgspec.Struct, frozen=True):
    """The limits around a cadence; a watch that asks for a longer interval than `max_interval` gets it.

    `hint` is the shortest gap that the provider likes; a watch that asks for a shorter interval gets that. With a
    `grid` every poll waits for the next of its times: what one request can ask about is then due together.
    """

    cadence: Cadence
    min_interval: timedelta
    max_interval: timedelta
    hint: timedelta | None = None
    grid: timedelta | None = None

    def least(self, watch: Watch) -> timedelta:
        """The shortest gap between two polls of a watch."""
        if self.hint is None:
            return self.min_interval
        return max(self.min_interval, min(self.hint, watch.interval or self.hint))


def schedule(watch: Watch, pace: Pace, asked: timedelta | None, now: datetime, jitter: float) -> Watch:
    """The watch with the time of its next poll, at the latest its deadline; none when it is final.

    After a problem the gap doubles with every answer in a row that says nothing. `asked` is what the provider asks for
    (Retry-After): jitter only adds to it.
    """
    if watch.state.final:
        return replace(watch, next_poll_at=None, not_before_at=None)
    least = pace.least(watch)
    longest = max(pace.max_interval, watch.interval or timedelta(), least)
    gap = pace.cadence.gap(watch, now)
    if watch.problem is not None:
        gap = min(gap * 2 ** min(watch.problem.count - 1, DOUBLINGS), longest)
    gap = min(max(gap * (1 - JITTER + 2 * JITTER * jitter), least), longest)
    wait = asked * (1 + JITTER * jitter) if asked is not None else timedelta()
    due = now + max(gap, wait)
    if pace.grid is not None:
        due += (EPOCH - due) % pace.grid
    due = min(due, max(watch.deadline_at, now))
    return replace(watch, next_poll_at=due, not_before_at=now + asked if asked is not None else None)


def learned(law: Law, interval: timedelta, pace: Pace) -> Cadence:
    """What a law comes to for watches that ask for this interval; the fixed one while too little is known."""
    if law.evidence < TOO_FEW or interval <= pace.min_interval:
        return Fixed(interval)
    interval_s = interval.total_seconds()
    share = (SHARE if law.evidence >= FEW and law.fits else SHARE_WHEN_UNSURE) / interval_s
    least, most = 1 / max(pace.max_interval, interval).total_seconds(), 1 / pace.min_interval.total_seconds()
    seen, feared = shares(law)
    roots, highest, left = [], [], 1.0
    for part, span, until in zip(feared, SPANS, EDGES[1:], strict=True):
        after = max(left - part, NOBODY)
        roots.append(sqrt(log(left / after) / span))
        highest.append(min(most, max(least, SLOW / until)) if left < LEFT else most)
        left = after

    def polls(exponent: float) -> list[float]:
        rates = (min(max(2**exponent * root + share, least), high) for root, high in zip(roots, highest, strict=True))
        return list(accumulate((rate * span for rate, span in zip(rates, SPANS, strict=True)), initial=0.0))

    budget = _expected(seen, [edge / interval_s for edge in EDGES])
    low, high = SCALES
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if _expected(seen, polls(middle)) > budget else (middle, high)
    return Learned(tuple(polls(low)))


def _expected(parts: list[float], polls: list[float]) -> float:
    """How many polls a task gets before it is over, which may be anywhere in its bin: whole ones, so floors count."""
    floors = [floor(count) * (count - (floor(count) + 1) / 2) for count in polls]  # their integral from 0 to the count
    bins = zip(parts, pairwise(floors), pairwise(polls), strict=True)
    return sum(part * (upto - since) / (last - first) for part, (since, upto), (first, last) in bins)


def _read(axis: tuple[float, ...], values: tuple[float, ...], at: float) -> float:
    """The value at a place of the axis, in a straight line between those around it."""
    place = min(max(bisect_right(axis, at), 1), len(axis) - 1)
    low, high = axis[place - 1], axis[place]
    return values[place - 1] + (values[place] - values[place - 1]) * (at - low) / (high - low)
