"""What the loops take as time and chance: handed down, so that tests turn it. Pure: a port, no clock."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time, and the only randomness in polling and delivering."""

    def now(self) -> datetime:
        """The steady wall clock: never stepping."""

    def jitter(self) -> float:
        """A number in [0, 1)."""
