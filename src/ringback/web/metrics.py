"""/metrics: what is counted as it happens, and what the store counts.

Secret: how the store's counts become metrics, at the moment of the scrape. All other metrics are telemetry.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from ringback.core.errors import Forbidden
from ringback.core.model import WatchState
from ringback.store.base import Stats
from ringback.web.parts import By, Having

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus or OpenMetrics text.", "content": {"text/plain": {"schema": {}}}}},
)
async def metrics(request: Request, parts: Having, caller: By) -> Response:
    """Everything that is counted."""
    if caller.sees is not None:
        raise Forbidden("the metrics count everybody's tasks: use a token whose scope is admin")
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    body = encode(Scrape(parts.registry, await parts.store.stats(), parts.now()))
    return Response(body, headers={"content-type": content_type})


class Scrape:
    """A registry as it is now, with the counts of the store. Labels are states: there is a fixed number of them."""

    def __init__(self, registry: CollectorRegistry, stats: Stats, now: datetime) -> None:
        self._registry = registry
        self._stats = stats
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        yield from self._registry.collect()
        watches = GaugeMetricFamily("ringback_watches", "Watches kept, by state.", labels=["state"])
        for state in WatchState:
            watches.add_metric([state.value], self._stats.watches.get(state.value, 0))
        yield watches
        yield GaugeMetricFamily("ringback_events_kept", "Events kept.", self._stats.events)
        pending = sum(self._stats.pending.values())
        yield GaugeMetricFamily("ringback_deliveries_pending", "Deliveries that are owed.", pending)
        yield GaugeMetricFamily(
            "ringback_delivery_oldest_pending_seconds",
            "Age of the oldest delivery that is owed; 0 for none.",
            self._age(),
        )

    def _age(self) -> float:
        since = self._stats.oldest_pending_at
        return max((self._now - since).total_seconds(), 0.0) if since is not None else 0.0
