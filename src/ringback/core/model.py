"""The words of ringback as values: watch, observation, event, delivery, attempt, change.

Secret: what each word means. Pure.

Glossary (docs/reference/glossary.md is the public one):

    task         the work at the remote, named by (provider, task_id)
    watch        our record of following one task
    observation  what one answer of the provider says about the task; a problem when it says nothing
    event        an immutable fact: something changed, and when we saw it
    destination  a configured place to ring back; a callback is a URL that came with a watch
    delivery     one event owed to one destination or callback
    attempt      one try of a delivery, numbered from 1
    lane         the deliveries of one watch to one destination: sent in order, one at a time
    mark         what must not be announced again: a degraded account, a paused destination
    change       what one decision keeps: the unit of commit, of a journal line, of replay and of a test

Every value is a frozen `msgspec.Struct`, outside the garbage collector (values form no cycles, and there are very
many). Mappings inside them are values too: never changed in place. `*_at` is an aware UTC time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from ringback.core.document import Document


class WatchState(StrEnum):
    """Where a task stands; the last six are final."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    VANISHED = "vanished"
    ABANDONED = "abandoned"

    @property
    def final(self) -> bool:
        """Whether the watch is over (it moves again only by being reopened)."""
        return self in FINAL_STATES


FINAL_STATES = frozenset(
    {
        WatchState.SUCCEEDED,
        WatchState.FAILED,
        WatchState.CANCELLED,
        WatchState.EXPIRED,
        WatchState.VANISHED,
        WatchState.ABANDONED,
    }
)
REOPEN_BY_THEMSELVES = frozenset({WatchState.EXPIRED, WatchState.VANISHED, WatchState.ABANDONED})


class EventType(StrEnum):
    """Every kind of fact that is sent to somebody."""

    TASK_QUEUED = "task.queued"
    TASK_RUNNING = "task.running"
    TASK_PROGRESSED = "task.progressed"
    TASK_STALLED = "task.stalled"
    TASK_SUCCEEDED = "task.succeeded"
    TASK_FAILED = "task.failed"
    TASK_CANCELLED = "task.cancelled"
    TASK_EXPIRED = "task.expired"
    TASK_VANISHED = "task.vanished"
    PROVIDER_DEGRADED = "provider.degraded"
    PROVIDER_RECOVERED = "provider.recovered"
    DESTINATION_PAUSED = "destination.paused"
    DESTINATION_RESUMED = "destination.resumed"

    @property
    def about_a_task(self) -> bool:
        """False for what is said about ourselves: `provider.*` and `destination.*`."""
        return self.value.startswith("task.")

    @property
    def lasting(self) -> bool:
        """Whether it stays worth telling: final states, and what is said about ourselves. Never superseded."""
        return self not in PASSING_EVENTS


PASSING_EVENTS = frozenset(
    {EventType.TASK_QUEUED, EventType.TASK_RUNNING, EventType.TASK_PROGRESSED, EventType.TASK_STALLED}
)
ONLY_WHERE_ASKED_FOR = frozenset({EventType.TASK_PROGRESSED, EventType.TASK_STALLED})
EVENT_OF_STATE: Mapping[WatchState, EventType] = {
    WatchState.QUEUED: EventType.TASK_QUEUED,
    WatchState.RUNNING: EventType.TASK_RUNNING,
    WatchState.SUCCEEDED: EventType.TASK_SUCCEEDED,
    WatchState.FAILED: EventType.TASK_FAILED,
    WatchState.CANCELLED: EventType.TASK_CANCELLED,
    WatchState.EXPIRED: EventType.TASK_EXPIRED,
    WatchState.VANISHED: EventType.TASK_VANISHED,
}
"""Pending and abandoned are missing on purpose: neither raises an event."""


class DeliveryState(StrEnum):
    """Where one owed delivery stands; all but `pending` are settled."""

    PENDING = "pending"
    DELIVERED = "delivered"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"


class AttemptOutcome(StrEnum):
    """How one try ended: `failed` is tried again, `refused` is not."""

    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"


class Error(msgspec.Struct, frozen=True, gc=False):
    """Why a task failed, in the provider's words."""

    code: str
    message: str


class Progress(msgspec.Struct, frozen=True, gc=False):
    """How far a task is: a value, of a total, as a fraction of 1, in words; what is not known is None."""

    value: int | float | None = None
    total: int | float | None = None
    fraction: float | None = None
    text: str | None = None


class Problem(msgspec.Struct, frozen=True, gc=False):
    """Why a watch cannot be read just now; `count` answers in a row since `since` had this code."""

    code: str
    message: str
    since: datetime
    count: int


class Trouble(msgspec.Struct, frozen=True, gc=False):
    """One answer that says nothing about the task: what is wrong, and how long the provider asks us to wait."""

    code: str
    message: str
    retry_after: timedelta | None = None


class Observation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one answer says. Exactly one of `state` and `trouble` is set, none where nothing is new (lifecycle.SAME).

    `unknown_word` is the provider's status word when its preset does not list it: the state is then `running`.
    `settled_at` is the provider's own finish time, when it gives one.
    """

    state: WatchState | None = None
    trouble: Trouble | None = None
    unknown_word: str | None = None
    result: Document | None = None
    result_expires_at: datetime | None = None
    error: Error | None = None
    progress: Progress | None = None
    details: Document | None = None
    settled_at: datetime | None = None
    retry_after: timedelta | None = None


class Answer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A provider's answer as it came: HTTP status, lower-case header names, raw body."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""
    at: datetime | None = None


class Callback(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A URL that came with a watch; `secret` None means the instance's own."""

    id: str
    url: str
    events: tuple[str, ...] | None = None
    secret: str | None = None

    @property
    def destination(self) -> str:
        """The name its deliveries carry."""
        return f"callback:{self.id}"


NOTHING: dict[str, str] = {}
"""What most watches have for params and metadata: one for all of them, which nobody changes."""


class Watch(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Our record of following one task.

    `version` counts commits and guards them (compare-and-set); `sequence` counts recorded events. `key` tells apart
    tasks that take different times. `began_at` is since when its age counts, when that is not its registration: it was
    reopened, or the wall clock was stepped. `not_before_at` is how long the provider asked us to wait. It, `polls`,
    `last_polled_at`, `next_poll_at` and `problem` may be a little older after a crash, nothing else. `secrets` are
    params that are never shown. `dialect` is the JSON text of how to ask and read, when no preset says it (provider
    `http`): a caller's own credential may be in it, so it is not shown.
    """

    id: str
    owner: str
    provider: str
    account: str
    task_id: str
    params: dict[str, str] = {}
    secrets: dict[str, str] = {}
    dialect: str = ""
    state: WatchState = WatchState.PENDING
    progress: Progress | None = None
    result: Document | None = None
    result_expires_at: datetime | None = None
    error: Error | None = None
    details: Document | None = None
    metadata: dict[str, str] = {}
    to: tuple[str, ...] | None = None
    events: tuple[str, ...] | None = None
    callbacks: tuple[Callback, ...] = ()
    interval: timedelta | None = None
    key: str = ""
    sequence: int = 0
    version: int = 1
    polls: int = 0
    stalled: bool = False
    registered_at: datetime
    began_at: datetime | None = None
    changed_at: datetime
    deadline_at: datetime
    first_seen_at: datetime | None = None
    finished_at: datetime | None = None
    last_polled_at: datetime | None = None
    next_poll_at: datetime | None = None
    not_before_at: datetime | None = None
    problem: Problem | None = None

    def callback(self, destination: str) -> Callback | None:
        """The callback that a delivery's destination names, if the watch still has it."""
        return next((callback for callback in self.callbacks if callback.destination == destination), None)


class TaskData(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="about", tag="task"):
    """What an event says about a task: the watch as it was when the change was observed."""

    watch_id: str
    owner: str
    provider: str
    account: str
    task_id: str
    params: dict[str, str]
    state: WatchState
    previous_state: WatchState
    sequence: int
    progress: Progress | None
    result: Document | None
    result_expires_at: datetime | None
    error: Error | None
    details: Document | None
    metadata: dict[str, str]
    registered_at: datetime
    previous_poll_at: datetime | None
    observed_at: datetime


class AccountData(msgspec.Struct, frozen=True, gc=False, tag_field="about", tag="account"):
    """What a `provider.*` event says: the account, what is wrong, and how many open watches it has."""

    account: str
    problem: Error | None
    watches: int


class DestinationData(msgspec.Struct, frozen=True, gc=False, tag_field="about", tag="destination"):
    """What a `destination.*` event says: why it is paused since when, and how many deliveries wait."""

    destination: str
    reason: str | None
    since: datetime
    pending: int


class Event(msgspec.Struct, frozen=True, gc=False):
    """An immutable fact; `at` is when it was observed."""

    id: str
    type: EventType
    at: datetime
    data: TaskData | AccountData | DestinationData

    @property
    def watch_id(self) -> str:
        """The watch it belongs to; empty for what is said about ourselves."""
        return self.data.watch_id if isinstance(self.data, TaskData) else ""

    @property
    def sequence(self) -> int:
        """Its number in the watch's history; 0 for what is said about ourselves."""
        return self.data.sequence if isinstance(self.data, TaskData) else 0

    @property
    def owner(self) -> str:
        """Who may see it; what is said about ourselves belongs to the administrators."""
        return self.data.owner if isinstance(self.data, TaskData) else ""


class Delivery(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One event owed to one destination or callback.

    `group` is what shares a fate: the destination's name, or the origin of a callback's URL. `position` is the place in
    the retry schedule, `attempts` how many were made. `next_attempt_at` is None once settled.
    """

    id: str
    event_id: str
    event_type: EventType
    watch_id: str
    owner: str
    sequence: int
    destination: str
    group: str
    state: DeliveryState = DeliveryState.PENDING
    reason: str | None = None
    attempts: int = 0
    position: int = 0
    created_at: datetime
    first_attempt_at: datetime | None = None
    next_attempt_at: datetime | None = None
    settled_at: datetime | None = None

    @property
    def lane(self) -> tuple[str, str]:
        """Deliveries of one lane go out in order, one at a time."""
        return (self.watch_id, self.destination)


class Attempt(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One try of a delivery. `status` is the channel's own code (HTTP, SMTP); `excerpt` at most 4 KiB of its answer."""

    number: int
    at: datetime
    outcome: AttemptOutcome
    latency_ms: float
    status: int | None = None
    message: str | None = None
    excerpt: str | None = None


class Mark(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What must not be announced again after a restart.

    `subject` is `account:NAME` (degraded) or `destination:NAME` (paused); `active` whether it is so now; `sequence`
    counts the events raised about it, so that their ids are digests like all others.
    """

    subject: str
    active: bool
    since: datetime
    code: str
    message: str
    sequence: int


class Change(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="entry", tag="change"):
    """What one decision keeps, all or nothing. Deliveries replace those of the same id.

    `took` is how old the task was when it was over, where that teaches how long its kind takes.
    """

    watch: Watch | None = None
    events: tuple[Event, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    marks: tuple[Mark, ...] = ()
    answer: Answer | None = None
    took: timedelta | None = None
