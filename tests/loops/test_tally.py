"""What is counted in plain numbers is told as Prometheus's own metrics would tell it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from ringback.tally import Spread, Tally

BOUNDS = (0.001, 0.5, 1.0, 30.0)


def _text(registry):
    """The page, without when each metric was made, which nobody asked for."""
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if "_created" not in line)


@given(some.lists(some.sampled_from([("a", "x"), ("a", 'q"\\\n'), ("b", "x")])))
def test_a_tally_is_a_counter(counted):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("polls", "How many.", ["one", "two"], registry=ours, known=[("c", "0")])
    counter = Counter("polls", "How many.", ["one", "two"], registry=theirs)
    counter.labels("c", "0")
    for labels in counted:
        tally.counts[labels] += 1
        counter.labels(*labels).inc()
    assert _text(ours) == _text(theirs)


@given(some.lists(some.sampled_from([*BOUNDS, 0.0, 0.25, 0.75, 31.0, 1e9])))
def test_a_spread_is_a_histogram(observed):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    spread = Spread("lag", "How late.", buckets=BOUNDS, registry=ours)
    histogram = Histogram("lag", "How late.", buckets=BOUNDS, registry=theirs)
    for value in observed:
        spread.observe(value)
        histogram.observe(value)
    assert _text(ours) == _text(theirs)
