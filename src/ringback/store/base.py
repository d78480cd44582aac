"""The port of the store: seam 2.

Secret: none of its own; these are the obligations that every store keeps (tests/store/contract.py holds them to it).

1.  `commit` is all or nothing: the watch, its events, the deliveries owed, marks and the answer become durable
    together, before it returns. It is compare-and-set: a change's watch carries version n + 1 and is refused with Stale
    unless the store has version n (nothing, for 1). Whoever is refused can read what refused it.
    A delivery that it owes again must be settled, with as many attempts as the store's has.
2.  `settle` is one commit too: the attempt and what follows from it. It is refused with Stale unless the store's
    delivery is pending and has as many attempts as the settled one had before.
3.  Nothing is seen (read, claimed, listened to) before it is durable.
4.  `claim_*` hands out what is due, the longest due first, each under a lease: until it ends nobody else gets it.
    A lease is not a change: it needs no durability, and whatever is kept for the watch or delivery ends it.
    `limits` says how many of one account or group may be handed out; what it does not name is unlimited.
5.  A delivery is handed out only when it is the first pending one of its lane, and it is due when its time has come or
    when it failed an attempt and a newer one of its lane may supersede it.
6.  `reschedule` may be lost in a crash: the poll then comes early. It changes nothing if the watch has moved on.
7.  What is read is whole: documents carry their text. What is claimed need not be, but an owed event is.
8.  `shift` moves every time that something open is measured by when the wall clock was stepped: what was due in 5 s
    still is. The watches have moved on by it: what was decided on the old times is Stale.
9.  Listeners are told after a commit is durable. They are wake-ups: losing one costs latency, never data.
10. A change that says how long its task `took` teaches the law of its watch's kind, once, and the law is as durable as
    the change. It outlives the watches that taught it. 1,000 kinds are remembered, those that were taught last.
11. When there is no space, `commit` and `settle` raise StoreFull and keep nothing. When the disk fails they raise
    StoreBroken from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

import msgspec

from ringback.core.law import Kind, Law
from ringback.core.model import (
    Answer,
    Attempt,
    Callback,
    Change,
    Delivery,
    DeliveryState,
    Event,
    Mark,
    Problem,
    Watch,
    WatchState,
)

Item = TypeVar("Item")


class Settlement(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="entry", tag="settled"):
    """A delivery after a step, the attempt (None: decided without a try), and a sink's handle for its lane."""

    delivery: Delivery
    attempt: Attempt | None = None
    handle: str | None = None


class Pruned(msgspec.Struct, frozen=True, gc=False, tag_field="entry", tag="pruned"):
    """Watches forgotten with all that is theirs, and events about ourselves."""

    watches: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


class Shifted(msgspec.Struct, frozen=True, gc=False, tag_field="entry", tag="shifted"):
    """The wall clock was stepped by so much."""

    by: timedelta


class Poll(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What polls that changed nothing have left of a watch at this version."""

    id: str
    version: int
    polls: int
    last_polled_at: datetime | None = None
    next_poll_at: datetime | None = None
    not_before_at: datetime | None = None
    problem: Problem | None = None


class Polled(msgspec.Struct, frozen=True, gc=False, tag_field="entry", tag="polled"):
    """Where polls had come to when the store was closed in order."""

    watches: tuple[Poll, ...]


class Kept(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True, tag_field="entry", tag="kept"):
    """All that is known of one watch (or, without one, of ourselves): a row of a snapshot.

    `events` come with their positions in the feed, `attempts` by delivery id, `handles` by destination.
    """

    watch: Watch | None = None
    answer: Answer | None = None
    events: tuple[tuple[int, Event], ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    attempts: dict[str, tuple[Attempt, ...]] = {}
    handles: dict[str, str] = {}
    marks: tuple[Mark, ...] = ()
    laws: tuple[Law, ...] = ()


Entry = Change | Settlement | Pruned | Shifted | Polled | Kept
Listener = Callable[[Entry], None]


class Reschedule(msgspec.Struct, frozen=True, gc=False):
    """A watch that was polled without a change: same version, new `polls`, `last_polled_at`, `next_poll_at`, `problem`.

    `answer` replaces the one that is shown, in memory only.
    """

    watch: Watch
    answer: Answer | None = None


class Owed(msgspec.Struct, frozen=True, gc=False):
    """A claimed delivery with what sending it needs.

    `callback` is None for a configured destination, and for a callback that its watch no longer has. `newer`: a later
    delivery of its lane is pending. `handle` is what the lane's sink left last time.
    """

    delivery: Delivery
    event: Event
    callback: Callback | None
    newer: bool
    handle: str | None


class WatchQuery(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Newest first. None matches all; `cursor` is a page's `next`."""

    owner: str | None = None
    states: Collection[WatchState] = ()
    provider: str | None = None
    account: str | None = None
    limit: int = 100
    cursor: str | None = None


class EventQuery(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Oldest first, after a position in the feed. `type` is a glob."""

    owner: str | None = None
    type: str | None = None
    watch: str | None = None
    limit: int = 100
    cursor: str | None = None


class DeliveryQuery(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Newest first. None matches all."""

    owner: str | None = None
    state: DeliveryState | None = None
    destination: str | None = None
    watch: str | None = None
    limit: int = 100
    cursor: str | None = None


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """One page of a list; `next` is the cursor of the following one, None at the end (a feed always has one)."""

    items: list[Item]
    next: str | None


class Stats(msgspec.Struct, frozen=True, gc=False):
    """Counts for metrics and for people. `pending` and `oldest` (since when) are by group."""

    watches: dict[str, int]
    events: int
    pending: dict[str, int]
    oldest: dict[str, datetime]

    @property
    def oldest_pending_at(self) -> datetime | None:
        """Since when the longest owed delivery is."""
        return min(self.oldest.values(), default=None)


class Store(Protocol):
    """Where truth is. Every verb may raise StoreError."""

    async def open(self, now: datetime) -> None:
        """Take the store and read it. Raises StoreLocked, StoreDamaged, SetupError."""

    async def close(self) -> None:
        """Finish what was begun and let go."""

    async def commit(self, change: Change) -> None:
        """Keep a change. Raises Stale, StoreFull."""

    async def settle(self, settlement: Settlement) -> None:
        """Keep an attempt and what follows from it. Raises Stale, StoreFull."""

    async def reschedule(self, polls: Sequence[Reschedule]) -> list[str]:
        """Note polls that changed nothing; returns the watches that have moved on: decide again."""

    async def claim_watches(
        self, now: datetime, limit: int, lease: timedelta, limits: Mapping[str, int]
    ) -> list[Watch]:
        """Open watches that are due; `limits` by account."""

    async def claim_deliveries(
        self, now: datetime, limit: int, lease: timedelta, limits: Mapping[str, int], others: int | None = None
    ) -> list[Owed]:
        """Deliveries that are due; `limits` by group, and `others` for each group that is not named there."""

    async def release(self, group: str) -> None:
        """Make every lane of a group due at once, the longest owed first. May be lost in a crash."""

    async def next_watch_at(self, without: Collection[str]) -> datetime | None:
        """When the next watch is due, leaving out these accounts."""

    async def next_delivery_at(self, without: Collection[str]) -> datetime | None:
        """When the next delivery is due, leaving out these groups."""

    async def shift(self, by: timedelta) -> None:
        """The wall clock was stepped by so much."""

    async def prune(self, before: datetime, keep_at_most: int, keep: Collection[str], limit: int) -> int:
        """Forget up to `limit` watches that are over, owe nothing, and were settled before then or are too many.

        `keep` are ids that stay. Returns how many were forgotten.
        """

    async def tend(self) -> None:
        """Do the upkeep that is due (a journal compacts itself)."""

    async def probe(self) -> None:
        """Show that the store can write. Raises StoreError when it cannot."""

    async def marks(self) -> list[Mark]:
        """Every mark."""

    async def law(self, kind: Kind) -> Law | None:
        """What was learned of how long the tasks of a kind take."""

    async def laws(self, provider: str) -> list[Law]:
        """All that was learned of a provider's tasks, by account and key."""

    async def open_watches(self, account: str) -> int:
        """How many open watches an account has."""

    async def stats(self) -> Stats:
        """Counts."""

    async def watch(self, id: str) -> Watch | None:
        """One watch."""

    async def answer(self, watch_id: str) -> Answer | None:
        """The last answer that was kept or noted."""

    async def event(self, id: str) -> Event | None:
        """One event."""

    async def delivery(self, id: str) -> tuple[Delivery, tuple[Attempt, ...]] | None:
        """One delivery with its attempts."""

    async def watches(self, query: WatchQuery) -> Page[Watch]:
        """A page of watches. Raises BadInput for a cursor that is none."""

    async def events(self, query: EventQuery) -> Page[Event]:
        """A page of the feed, or of one watch's history."""

    async def deliveries(self, query: DeliveryQuery) -> Page[Delivery]:
        """A page of deliveries."""

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Be told of every commit. Returns how to stop."""
