"""A token bucket: how many may go now, and when the next may.

Secret: how a rate is kept. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

BURST_S = 0.2
"""How much of a second's worth may go at once: a rate is a spacing, not a stampede at the start of each second."""


class Bucket(msgspec.Struct, frozen=True):
    """Tokens at a time; `per_second` None is unlimited, `burst` None the usual share of a second."""

    per_second: float | None
    tokens: float = 1.0
    at: datetime | None = None
    burst: float | None = None

    def filled(self, now: datetime, share: float = 1.0) -> Bucket:
        """The bucket now, filled at a share of its rate."""
        if self.per_second is None:
            return self
        passed_s = max((now - self.at).total_seconds(), 0.0) if self.at is not None else BURST_S
        most = max(self.burst or self.per_second * BURST_S, 1.0)
        return replace(self, tokens=min(self.tokens + passed_s * self.per_second * share, most), at=now)

    def taken(self, count: int) -> Bucket:
        """The bucket with so many tokens less."""
        return self if self.per_second is None else replace(self, tokens=self.tokens - count)

    def allows(self, most: int) -> int:
        """How many may go now, `most` at most."""
        return most if self.per_second is None else max(min(int(self.tokens), most), 0)

    def next_at(self, now: datetime, share: float = 1.0) -> datetime:
        """When one more may go."""
        if self.per_second is None or self.tokens >= 1.0:
            return now
        return now + timedelta(seconds=(1.0 - self.tokens) / (self.per_second * share))

    def shifted(self, by: timedelta) -> Bucket:
        """The bucket after the wall clock was stepped."""
        return replace(self, at=self.at + by) if self.at is not None else self
