"""Metrics of what happens in every poll: kept in plain numbers, and put into words when Prometheus asks.

Secret: how little counting costs. prometheus_client's own metrics lock and look up each time, which all together would
be a tenth of a poll.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Tally(Collector):
    """A counter with labels; `known` are those that are told before anything was counted."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str],
        *,
        registry: CollectorRegistry,
        known: Iterable[tuple[str, ...]] = (),
    ) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter(dict.fromkeys(known, 0))
        self._family = (name, text, labels)
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """What was counted until now."""
        name, text, labels = self._family
        family = CounterMetricFamily(name, text, labels=labels)
        for values, count in self.counts.items():
            family.add_metric(values, count)
        yield family


class Spread(Collector):
    """A histogram without labels."""

    def __init__(self, name: str, text: str, *, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._text = name, text
        self._bounds = tuple(buckets)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        """One more; a value that is a bound belongs below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        """What was observed until now."""
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        buckets = list(zip(names, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._text, buckets=buckets, sum_value=self._sum)
