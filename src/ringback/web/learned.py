"""What was learned of how long tasks take, as it is shown: how many, the median, and a histogram of a few bars.

Secret: how a law is read for people. Pure. All lengths are seconds, to three digits: nobody learns more than that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from math import ceil

import msgspec

from ringback.core.law import EDGES, SPANS, Law

BINS_A_BAR = 4
"""Each bar is half an octave: it ends 1.4 times as late as the one before."""


class Bar(msgspec.Struct, frozen=True):
    """The share of the tasks that is over at this age, and was not at the bar's before."""

    up_to_s: float
    share: float


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """How long the tasks of one account take; `key` is their value of the preset's `learn_by`, empty without one.

    `count` is how many were seen to end since the first; the other figures weigh the last few hundred.
    """

    account: str
    key: str
    count: int
    median_s: float
    p95_s: float
    histogram: tuple[Bar, ...]


def learned(laws: Iterable[Law], accounts: Collection[str] | None) -> list[Learned]:
    """What may be seen by who may use these accounts; None is all of them."""
    return [_shown(law) for law in laws if accounts is None or law.kind[1] in accounts]


def _shown(law: Law) -> Learned:
    _, account, key = law.kind
    return Learned(
        account=account,
        key=key,
        count=law.count,
        median_s=_rounded(_age_at(law, 0.5)),
        p95_s=_rounded(_age_at(law, 0.95)),
        histogram=tuple(_bars(law)),
    )


def _bars(law: Law) -> Iterator[Bar]:
    """From the first that has tasks to the last, those between them too."""
    bars: defaultdict[int, float] = defaultdict(float)
    for bin, weight in law.weights.items():
        bars[ceil(bin / BINS_A_BAR)] += weight
    for place in range(min(bars), max(bars) + 1):
        end = min(place * BINS_A_BAR + 1, len(SPANS))
        yield Bar(_rounded(EDGES[end]), round(bars[place] / law.evidence, 3))


def _age_at(law: Law, share: float) -> float:
    """The age at which this share of the tasks is over."""
    wanted = share * law.evidence
    for bin, weight in sorted(law.weights.items()):
        if wanted <= weight:
            return EDGES[bin] + SPANS[bin] * wanted / weight
        wanted -= weight
    return EDGES[-1]


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.3g}")
