"""Since when a watch is over: what retention counts from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from ringback.core.model import Delivery, Watch


def over_since(watch: Watch, deliveries: Iterable[Delivery]) -> datetime:
    """When the last of a watch was settled."""
    times = [delivery.settled_at for delivery in deliveries if delivery.settled_at is not None]
    if watch.finished_at is not None:
        times.append(watch.finished_at)
    return max(times, default=datetime.fromtimestamp(0, UTC))
