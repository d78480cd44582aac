"""How an account is doing: when to leave it alone, how fast it may be asked, and when somebody must be told.

Secret: which answers blame the account rather than the task. Pure: one value in, one value out.

    429              the account rests until Retry-After (else 30 s, doubling to 10 min), and its rate is halved
    401, 403         two watches in a row without a success between them (or its only one): degraded, asked every 5 min
    any other        nothing but trouble for 2 minutes: degraded; it goes on being asked, each watch at its own pace
    an answer        recovered; the rate climbs back step by step
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from ringback.core.lifecycle import NOT_FOUND
from ringback.core.model import Error, Trouble

RATE_LIMITED = "rate_limited"
UNAUTHORIZED = "unauthorized"
REST = timedelta(seconds=30)
REST_AT_MOST = timedelta(minutes=10)
ASK_AGAIN = timedelta(minutes=5)
FAILING_FOR = timedelta(minutes=2)
RATE_FLOOR = 1 / 64
RATE_STEP = 1.25
RATE_STEP_EVERY = timedelta(seconds=15)


class News(StrEnum):
    """What somebody must be told about an account."""

    DEGRADED = "degraded"
    RECOVERED = "recovered"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """An account's state of health. `share` is the part of its rate that may be used just now."""

    resting_until: datetime | None = None
    rests: int = 0
    share: float = 1.0
    share_moved_at: datetime | None = None
    unauthorized: frozenset[str] = frozenset()
    failing_since: datetime | None = None
    degraded: Error | None = None

    def rests_at(self, now: datetime) -> bool:
        """Whether the account is to be left alone."""
        return self.resting_until is not None and now < self.resting_until

    @property
    def on_trial(self) -> bool:
        """Whether one poll at a time is enough to learn if the key works again."""
        return self.degraded is not None and self.degraded.code == UNAUTHORIZED


WELL = Health()


def answered(health: Health, now: datetime) -> tuple[Health, News | None]:
    """A poll of the account was answered with a state."""
    if health == WELL:
        return health, None
    share, moved_at = health.share, health.share_moved_at
    if moved_at is not None and now - moved_at >= RATE_STEP_EVERY:
        share = min(share * RATE_STEP, 1.0)
        moved_at = now if share < 1.0 else None
    resting = health.resting_until if health.rests_at(now) and not health.on_trial else None
    after = Health(
        resting_until=resting, rests=health.rests if moved_at is not None else 0, share=share, share_moved_at=moved_at
    )
    return after, News.RECOVERED if health.degraded is not None else None


def troubled(health: Health, met: Trouble, watch: str, open_watches: int, now: datetime) -> tuple[Health, News | None]:
    """A poll of the account was answered with trouble; `open_watches` is how many it has."""
    if met.code == RATE_LIMITED:
        return _throttled(health, met, now), None
    if met.code == NOT_FOUND:
        return health, None
    if met.code == UNAUTHORIZED:
        return _locked_out(health, met, watch, open_watches, now)
    since = health.failing_since or now
    after = replace(health, failing_since=since)
    if after.degraded is None and now - since >= FAILING_FOR:
        return replace(after, degraded=Error(met.code, met.message)), News.DEGRADED
    return after, None


def asked_anew(health: Health) -> Health:
    """The account's secret changed: what was held against the old one is forgotten, the announcement is not."""
    return replace(health, resting_until=None, unauthorized=frozenset(), rests=0)


def shifted(health: Health, by: timedelta) -> Health:
    """The state after the wall clock was stepped: rests last as long as they would have."""
    times = {name: getattr(health, name) for name in ("resting_until", "share_moved_at", "failing_since")}
    return replace(health, **{name: at + by for name, at in times.items() if at is not None})


def _throttled(health: Health, met: Trouble, now: datetime) -> Health:
    """Answers that were under way when the first 429 came are one warning, not many."""
    if health.rests_at(now):
        return replace(health, resting_until=max(health.resting_until or now, now + (met.retry_after or timedelta())))
    rest = met.retry_after or min(REST * 2 ** min(health.rests, 10), REST_AT_MOST)
    return replace(
        health,
        resting_until=now + rest,
        rests=health.rests + 1,
        share=max(health.share / 2, RATE_FLOOR),
        share_moved_at=now,
    )


def _locked_out(
    health: Health, met: Trouble, watch: str, open_watches: int, now: datetime
) -> tuple[Health, News | None]:
    after = replace(health, unauthorized=health.unauthorized | {watch})
    if not open_watches or len(after.unauthorized) < min(2, open_watches):
        return after, None
    news = News.DEGRADED if health.degraded is None else None
    until = max(health.resting_until or now, now + ASK_AGAIN)
    return replace(after, resting_until=until, degraded=Error(met.code, met.message)), news
