"""Tasks that nobody ran, followed by the functions that the daemon calls: how late ends are seen, at how many polls.

Durations are drawn from `random` with a seed to learn from, and taken evenly from the distribution to measure with.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from math import exp, log
from statistics import NormalDist, fmean

import given
import msgspec
from msgspec.structs import replace

from ringback.core.cadence import Cadence, Fixed, Pace, learned, schedule
from ringback.core.law import Law, lesson, taught
from ringback.core.model import Watch
from ringback.pacing import _has_learned

Quantile = Callable[[float], float]
"""The age in seconds at which a share of the tasks is over."""

RUNNING = given.watch(
    state="running", first_seen_at=given.NOW, last_polled_at=given.NOW, deadline_at=given.NOW + 10**6 * given.HOUR
)
OVER = given.seen("succeeded")
LAW = Law((RUNNING.provider, RUNNING.account, ""))


def lognormal(median: float, sigma: float) -> Quantile:
    """Most things that people and machines do."""
    return lambda share: median * exp(sigma * NormalDist().inv_cdf(share))


def two_humps(share: float) -> float:
    """70 % near 20 s, 30 % near 300 s: what is in a cache, and what is not."""
    short, long = lognormal(20, 0.15), lognormal(300, 0.15)
    return short(share / 0.7) if share < 0.7 else long((share - 0.7) / 0.3)


def heavy_tail(share: float) -> float:
    """Lomax with shape 1.5: a mean of two minutes, and no variance."""
    return 60 * ((1 - share) ** (-1 / 1.5) - 1)


def _queue_and_run() -> Quantile:
    """A wait of a minute on average, and then a run of a minute in the median."""
    dice = random.Random(5)
    sums = sorted(dice.expovariate(1 / 60) + dice.lognormvariate(log(60), 0.2) for _ in range(20_000))
    return lambda share: sums[int(share * len(sums))]


DURATIONS: Mapping[str, Quantile] = {
    "lognormal, median 90 s, sigma 0.5": lognormal(90, 0.5),
    "70 % near 20 s, 30 % near 300 s": two_humps,
    "heavy tail (Lomax 1.5)": heavy_tail,
    "queue (exp 60 s) + run (lognormal 60 s, sigma 0.2)": _queue_and_run(),
}


class Limits(msgspec.Struct, frozen=True):
    """What the configuration says, in seconds: its defaults."""

    interval: float = 5
    least: float = 1
    most: float = 60

    def pace(self, law: Law | None = None) -> Pace:
        """The pace of a watch, by a law or by the interval."""
        spacing = timedelta(seconds=self.interval)
        pace = self.of(Fixed(spacing))
        return pace if law is None else replace(pace, cadence=learned(law, spacing, pace))

    def of(self, cadence: Cadence) -> Pace:
        """Any cadence within the limits."""
        return Pace(cadence, timedelta(seconds=self.least), timedelta(seconds=self.most))


class BackOff(msgspec.Struct, frozen=True):
    """What many clients do: a gap that grows by half with every poll."""

    first: timedelta

    def gap(self, watch: Watch, now: object) -> timedelta:
        """By how often it was polled."""
        return self.first * 1.5 ** min(watch.polls, 30)


class Followed(msgspec.Struct, frozen=True):
    """How one task was followed, or the means of many."""

    delay_s: float
    polls: float
    took: timedelta | None = None

    def against(self, other: Followed) -> float:
        """The delay as a part of another's at equal polls: half as many polls are twice the delay."""
        return self.delay_s * self.polls / (other.delay_s * other.polls)


def followed(duration_s: float, pace: Pace, dice: random.Random) -> Followed:
    """One task from its registration to the poll that sees its end."""
    over_at = given.NOW + timedelta(seconds=duration_s)
    watch = schedule(RUNNING, pace, None, given.NOW, dice.random())
    while watch.next_poll_at < over_at:
        now = watch.next_poll_at
        watch = schedule(replace(watch, last_polled_at=now, polls=watch.polls + 1), pace, None, now, dice.random())
    now = watch.next_poll_at
    return Followed((now - over_at).total_seconds(), watch.polls + 1, lesson(watch, OVER, now))


def law_of(durations: Quantile, count: int, limits: Limits, *, seed: int, scale: float = 1.0) -> Law:
    """What this many completions teach, each seen by the polls that the law before it led to."""
    dice, law, used, pace = random.Random(seed), LAW, LAW, limits.pace()
    for _ in range(count):
        if _has_learned(used, law):
            used, pace = law, limits.pace(law)
        took = followed(scale * durations(dice.uniform(1e-9, 1 - 1e-9)), pace, dice).took
        law = law if took is None else taught(law, took)
    return law


def measured(durations: Quantile, pace: Pace, tasks: int, *, seed: int = 1) -> Followed:
    """The mean over tasks that stand for all of them."""
    dice = random.Random(seed)
    each = [followed(durations((place + 0.5) / tasks), pace, dice) for place in range(tasks)]
    return Followed(fmean(one.delay_s for one in each), fmean(one.polls for one in each))
