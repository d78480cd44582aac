"""The store that forgets: for `ringback wait`, tests, and as the plainest reading of the port."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count

from ringback.core.law import Kind, Law
from ringback.core.model import Answer, Attempt, Change, Delivery, Event, Mark, Watch
from ringback.store import query as pages
from ringback.store.base import (
    DeliveryQuery,
    Entry,
    EventQuery,
    Listener,
    Owed,
    Page,
    Reschedule,
    Settlement,
    Shifted,
    Stats,
    WatchQuery,
)
from ringback.store.table import Table


class MemoryStore:
    """A Table behind the port; what the journal adds is that it lasts."""

    def __init__(self) -> None:
        self.table = Table()
        self._listeners: list[Listener] = []
        self._numbers = count(1)

    async def open(self, now: datetime) -> None:
        """Nothing to read."""

    async def close(self) -> None:
        """Nothing to finish."""

    async def commit(self, change: Change) -> None:
        """Check and apply."""
        self.table.check(change)
        self._apply(change)

    async def settle(self, settlement: Settlement) -> None:
        """Check and apply."""
        self.table.check(settlement)
        self._apply(settlement)

    async def reschedule(self, polls: Sequence[Reschedule]) -> list[str]:
        """Note them."""
        moved_on = [poll.watch.id for poll in polls if not self.table.counts(poll)]
        for watch in self.table.reschedule(polls):
            self._tell(Change(watch=watch))
        return moved_on

    async def claim_watches(
        self, now: datetime, limit: int, lease: timedelta, limits: Mapping[str, int]
    ) -> list[Watch]:
        """What is due."""
        return self.table.claim_watches(now, limit, lease, limits)

    async def claim_deliveries(
        self, now: datetime, limit: int, lease: timedelta, limits: Mapping[str, int], others: int | None = None
    ) -> list[Owed]:
        """What is due."""
        return self.table.claim_lanes(now, limit, lease, limits, others)

    async def release(self, group: str) -> None:
        """Make its lanes due."""
        self.table.release(group)

    async def next_watch_at(self, without: Collection[str]) -> datetime | None:
        """When the next watch is due."""
        return pages.moment(self.table.watch_due.next_at(without))

    async def next_delivery_at(self, without: Collection[str]) -> datetime | None:
        """When the next delivery is due."""
        return pages.moment(self.table.lane_due.next_at(without))

    async def shift(self, by: timedelta) -> None:
        """Move what is due."""
        self._apply(Shifted(by))

    async def prune(self, before: datetime, keep_at_most: int, keep: Collection[str], limit: int) -> int:
        """Forget what is over."""
        pruned = self.table.prunable(before, keep_at_most, keep, limit)
        self._apply(pruned)
        return len(pruned.watches)

    async def tend(self) -> None:
        """Nothing to tend."""

    async def probe(self) -> None:
        """Memory can be written."""

    async def marks(self) -> list[Mark]:
        """Every mark."""
        return list(self.table.marks.values())

    async def law(self, kind: Kind) -> Law | None:
        """What is known of a kind."""
        return self.table.laws.of(kind)

    async def laws(self, provider: str) -> list[Law]:
        """Every law of a provider."""
        return sorted((law for law in self.table.laws.all() if law.kind[0] == provider), key=lambda law: law.kind)

    async def open_watches(self, account: str) -> int:
        """How many open watches an account has."""
        return self.table.open_by_account[account]

    async def stats(self) -> Stats:
        """Counts."""
        return self.table.stats()

    async def watch(self, id: str) -> Watch | None:
        """One watch."""
        return self.table.watches.get(id)

    async def answer(self, watch_id: str) -> Answer | None:
        """The last answer."""
        return self.table.answers.get(watch_id)

    async def event(self, id: str) -> Event | None:
        """One event."""
        found = self.table.events.get(id)
        return found[1] if found else None

    async def delivery(self, id: str) -> tuple[Delivery, tuple[Attempt, ...]] | None:
        """One delivery with its attempts."""
        found = self.table.deliveries.get(id)
        return (found, self.table.attempts.get(id, ())) if found else None

    async def watches(self, query: WatchQuery) -> Page[Watch]:
        """A page."""
        return pages.watches(self.table, query)

    async def events(self, query: EventQuery) -> Page[Event]:
        """A page."""
        return pages.events(self.table, query)

    async def deliveries(self, query: DeliveryQuery) -> Page[Delivery]:
        """A page."""
        return pages.deliveries(self.table, query)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell a listener of every entry."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _apply(self, entry: Entry) -> None:
        self.table.apply(entry, next(self._numbers))
        self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        for listener in list(self._listeners):
            listener(entry)
