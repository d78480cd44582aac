"""The public JSON of watches, deliveries, attempts, destinations and providers: what the API and `--json` show.

Secret: the names and their order. Never shown: who owns a watch, what signs a callback. Pure.
An event's shape is the webhook's and stands in sinks/payload.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ringback.core import model
from ringback.core.model import AttemptOutcome, DeliveryState, Error, EventType, Progress, WatchState
from ringback.core.retry import Outcome
from ringback.destinations import DestinationStatus
from ringback.durations import spelled
from ringback.providers.base import About
from ringback.sinks.payload import EMPTY, rfc3339, shown
from ringback.web.learned import Learned

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"}, description="RFC 3339, UTC, milliseconds")]
Length = Annotated[str, Meta(description="a length of time: 200ms, 5s, 10m, 2h, 7d")]


class Callback(msgspec.Struct, frozen=True):
    """A URL that came with a watch; its deliveries name `callback:ID`."""

    id: str
    url: str
    events: tuple[str, ...] | None


class WatchProblem(msgspec.Struct, frozen=True):
    """Why a watch cannot be read just now; `count` answers in a row since `since` said so."""

    code: str
    message: str
    since: Time
    count: int


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one task that is followed."""

    id: str
    provider: str
    account: str
    task_id: str
    params: dict[str, str]
    state: WatchState
    progress: Progress | None
    result: msgspec.Raw
    result_expires_at: Time | None
    error: Error | None
    details: msgspec.Raw
    metadata: dict[str, str]
    to: tuple[str, ...] | None
    events: tuple[str, ...] | None
    callbacks: tuple[Callback, ...]
    sequence: int
    polls: int
    registered_at: Time
    first_seen_at: Time | None
    finished_at: Time | None
    last_polled_at: Time | None
    next_poll_at: Time | None
    deadline_at: Time
    problem: WatchProblem | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a delivery; `status` is the channel's own code, `excerpt` the beginning of its answer."""

    number: int
    at: Time
    outcome: AttemptOutcome
    latency_ms: float
    status: int | None
    message: str | None
    excerpt: str | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event owed to one destination or callback; `watch_id` is null for what is said about ourselves."""

    id: str
    event_id: str
    event_type: EventType
    watch_id: str | None
    sequence: int | None
    destination: str
    state: DeliveryState
    reason: str | None
    attempt_count: int
    created_at: Time
    first_attempt_at: Time | None
    next_attempt_at: Time | None
    settled_at: Time | None


class DeliveryWithAttempts(Delivery, frozen=True, kw_only=True):
    """A delivery and its attempts, oldest first."""

    attempts: tuple[Attempt, ...]


class Resend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which settled deliveries to send once more: all that fit; at least one of these is given.

    `since` is when they were settled; `state` is not `pending`.
    """

    state: DeliveryState | None = None
    destination: str | None = None
    since: Annotated[str, Meta(description="so long ago (2h), or an RFC 3339 time")] | None = None


class Resent(msgspec.Struct, frozen=True):
    """How many are owed once more."""

    resent: int


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One configured destination; `reason` and `since` say why it is paused, and since when."""

    name: str
    type: str
    state: Annotated[str, Meta(extra_json_schema={"enum": ["active", "paused"]})]
    reason: str | None
    since: Time | None
    pending: int
    oldest_pending_at: Time | None


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """What came back for a test event."""

    outcome: AttemptOutcome
    status: int | None
    latency_ms: float
    message: str | None
    excerpt: str | None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One API that can be followed."""

    id: str
    title: str
    vendor: str
    base_url: str
    source: str
    confidence: str
    menu: str | None
    notes: str | None
    hosts: tuple[str, ...]
    credentials: tuple[str, ...]
    params: tuple[str, ...]
    defaults: dict[str, str]
    identity: tuple[str, ...]
    secrets: tuple[str, ...]
    states: dict[str, str]
    interval: Length | None
    deadline: Length | None
    rate: float | None
    body_limit: int
    native_callback: str | None
    batch: int | None
    learn_by: str | None


class ProviderWithLaws(Provider, frozen=True, kw_only=True):
    """One provider, and what was learned of how long its tasks take, by account and key."""

    learned: list[Learned] | UnsetType = UNSET


class ProblemDetails(msgspec.Struct, frozen=True):
    """RFC 9457; the facts of the case stand beside these members."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class BatchItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one registration: its status with the watch, or with the problem."""

    status: int
    watch: Watch | UnsetType = UNSET
    problem: ProblemDetails | UnsetType = UNSET


class Health(msgspec.Struct, frozen=True):
    """All is well."""

    status: str


class WatchPage(msgspec.Struct, frozen=True):
    """Newest first; `next` is the cursor of the following page, null at the end."""

    items: list[Watch]
    next: str | None


class DeliveryPage(msgspec.Struct, frozen=True):
    """Newest first."""

    items: list[Delivery]
    next: str | None


class DestinationPage(msgspec.Struct, frozen=True):
    """By name, all at once: `next` is null."""

    items: list[Destination]
    next: str | None


class ProviderPage(msgspec.Struct, frozen=True):
    """All at once: `next` is null."""

    items: list[Provider]
    next: str | None


def watch(kept: model.Watch) -> Watch:
    """A watch as it is shown. Raises LookupError when a document that is shown was not read from the store."""
    return Watch(
        id=kept.id,
        provider=kept.provider,
        account=kept.account,
        task_id=kept.task_id,
        params=kept.params,
        state=kept.state,
        progress=kept.progress,
        result=shown(kept.result),
        result_expires_at=_maybe(kept.result_expires_at),
        error=kept.error,
        details=shown(kept.details, absent=EMPTY),
        metadata=kept.metadata,
        to=kept.to,
        events=kept.events,
        callbacks=tuple(Callback(callback.id, callback.url, callback.events) for callback in kept.callbacks),
        sequence=kept.sequence,
        polls=kept.polls,
        registered_at=rfc3339(kept.registered_at),
        first_seen_at=_maybe(kept.first_seen_at),
        finished_at=_maybe(kept.finished_at),
        last_polled_at=_maybe(kept.last_polled_at),
        next_poll_at=_maybe(kept.next_poll_at),
        deadline_at=rfc3339(kept.deadline_at),
        problem=_problem(kept.problem),
    )


def delivery(kept: model.Delivery) -> Delivery:
    """A delivery as it is shown in a list."""
    return Delivery(
        id=kept.id,
        event_id=kept.event_id,
        event_type=kept.event_type,
        watch_id=kept.watch_id or None,
        sequence=kept.sequence if kept.watch_id else None,
        destination=kept.destination,
        state=kept.state,
        reason=kept.reason,
        attempt_count=kept.attempts,
        created_at=rfc3339(kept.created_at),
        first_attempt_at=_maybe(kept.first_attempt_at),
        next_attempt_at=_maybe(kept.next_attempt_at),
        settled_at=_maybe(kept.settled_at),
    )


def delivery_with_attempts(kept: model.Delivery, attempts: Iterable[model.Attempt]) -> DeliveryWithAttempts:
    """A delivery as it is shown alone."""
    return DeliveryWithAttempts(
        **msgspec.structs.asdict(delivery(kept)), attempts=tuple(_attempt(attempt) for attempt in attempts)
    )


def destination(now: DestinationStatus) -> Destination:
    """A destination as it is shown."""
    return Destination(
        name=now.name,
        type=now.type,
        state=now.state,
        reason=now.reason,
        since=_maybe(now.since),
        pending=now.pending,
        oldest_pending_at=_maybe(now.oldest_pending_at),
    )


def tested(outcome: Outcome) -> Tested:
    """What a sink says of a test event."""
    return Tested(
        outcome=outcome.outcome,
        status=outcome.status,
        latency_ms=round(outcome.latency_ms, 1),
        message=outcome.message,
        excerpt=outcome.excerpt,
    )


def provider(about: About) -> Provider:
    """A provider as it is shown: what its preset says of it, lengths of time as people write them."""
    said = {name: getattr(about, name) for name in Provider.__struct_fields__}
    return Provider(**{**said, "interval": _length(about.interval), "deadline": _length(about.deadline)})


def provider_with_laws(about: About, learned: list[Learned] | UnsetType) -> ProviderWithLaws:
    """A provider as it is shown alone; nothing learned is shown where nobody could be asked."""
    return ProviderWithLaws(**msgspec.structs.asdict(provider(about)), learned=learned)


def _attempt(kept: model.Attempt) -> Attempt:
    return Attempt(**{**msgspec.structs.asdict(kept), "at": rfc3339(kept.at)})


def _problem(kept: model.Problem | None) -> WatchProblem | None:
    return None if kept is None else WatchProblem(kept.code, kept.message, rfc3339(kept.since), kept.count)


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _length(span: timedelta | None) -> str | None:
    return None if span is None else spelled(span)
