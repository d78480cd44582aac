"""The delivery loop: a due delivery is sent, what follows is decided, and made durable.

    tick:     claim what is due -> deliver each
    deliver:  still wanted? -> send -> decide -> keep          (poller.poll is its mirror)

Secret: the order of these steps. How to send is the sink's, when to stop is core/retry.py's, whose turn it is
destinations.py's, what lasts is the store's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from ringback.core import retry
from ringback.core.clock import Clock
from ringback.core.document import Document
from ringback.core.errors import Stale, StoreFull
from ringback.core.ids import event_id
from ringback.core.model import (
    Callback,
    Change,
    Delivery,
    DeliveryState,
    Event,
    EventType,
    TaskData,
    WatchState,
)
from ringback.core.retry import Again, GiveUp, Outcome, Policy, Step, Superseded
from ringback.destinations import CALLBACK_CONCURRENCY, Destinations
from ringback.sinks.base import Message, Sent, Sink
from ringback.store.base import DeliveryQuery, Owed, Settlement, Store
from ringback.telemetry import Telemetry
from ringback.underway import UnderWay

LEASE = timedelta(minutes=2)
"""Outlasts every sink's own time-out."""

AT_ONCE = 256
"""Attempts under way, over all destinations."""

FULL_AGAIN_S = 5.0
"""How often an attempt that a full store could not keep is offered again."""

GATHERED = 500
"""Deliveries in one digest; the rest come with the next."""


class Dispatcher:
    """Claims due deliveries and sends each in a task of its own."""

    def __init__(
        self,
        store: Store,
        destinations: Destinations,
        callback_sink: Callable[[Callback], Sink],
        *,
        clock: Clock,
        telemetry: Telemetry,
        wake: Callable[[datetime], None],
        report: Callable[[Exception], None],
    ) -> None:
        self.callback_sink = callback_sink
        self._store = store
        self._destinations = destinations
        self._clock = clock
        self._telemetry = telemetry
        self._wake = wake
        self._report = report
        self._in_flight = UnderWay()

    # ------------------------------------------------------------------ the tick

    async def tick(self) -> datetime | None:
        """Claim what is due and send it; says when there is work next."""
        now = self._clock.now()
        limits = self._destinations.limits(now)
        free = AT_ONCE - len(self._in_flight)
        claimed = await self._store.claim_deliveries(now, free, LEASE, limits, CALLBACK_CONCURRENCY)
        for owed in claimed:
            if owed.delivery.id not in self._in_flight:
                await self._begin(owed)
        for group in self._destinations.replaying:
            if limits.get(group) and all(owed.delivery.group != group for owed in claimed):
                self._destinations.caught_up(group)
        return await self._next_at(now)

    async def drain(self) -> None:
        """Wait for the attempts under way."""
        await self._in_flight.drain()

    async def cancel(self) -> None:
        """Give up on those that are still under way: their leases are gone with the process."""
        await self._in_flight.cancel()

    async def test(self, name: str) -> Outcome:
        """Send a made-up event to a configured destination, now and once. Raises UnknownName."""
        self._destinations.check(name)
        now = self._clock.now()
        message = Message(f"dlv_test_{now.timestamp():.0f}", specimen(name, now), 1)
        return (await self._destinations.channels[name].sink.send([message], now)).outcome

    async def _begin(self, owed: Owed) -> None:
        """One task for a delivery, or for all that a channel gathers into one."""
        group = owed.delivery.group
        crowded = self._destinations.began(group)
        channel = self._destinations.channels.get(owed.delivery.destination)
        batch = [owed]
        if channel is not None and channel.gathers and (crowded or channel.digest is not None):
            try:
                batch = await self._gathered(owed)
            except BaseException:
                self._destinations.ended(group)
                raise
        ids = [one.delivery.id for one in batch]
        self._in_flight.begin(ids, self._turn(batch), name=f"deliver-{owed.delivery.id}")

    async def _gathered(self, first: Owed) -> list[Owed]:
        """All that is pending for the destination, the longest owed first: whole lanes, so that order is kept."""
        query = DeliveryQuery(state=DeliveryState.PENDING, destination=first.delivery.destination, limit=GATHERED)
        page = await self._store.deliveries(query)
        newest_first = page.items
        while page.next is not None:
            page = await self._store.deliveries(replace(query, cursor=page.next))
            newest_first = [*newest_first[-GATHERED:], *page.items]
        batch = []
        for delivery in newest_first[: -GATHERED - 1 : -1]:
            event = await self._store.event(delivery.event_id)
            if event is not None and delivery.id not in self._in_flight:
                batch.append(Owed(delivery, event, None, newer=False, handle=None))
        return batch or [first]

    async def _turn(self, batch: list[Owed]) -> None:
        """One attempt, whatever becomes of it: a bad one ends nobody else's turn, and its lease brings it back."""
        try:
            await self.deliver(batch)
        except Exception as error:  # noqa: BLE001 - a surprise is said, not passed on
            self._report(error)
        finally:
            self._in_flight.end([owed.delivery.id for owed in batch])
            self._destinations.ended(batch[0].delivery.group)
            self._wake(self._clock.now())

    async def _next_at(self, now: datetime) -> datetime | None:
        """The next due delivery of a group that has room, or when one has room again."""
        if len(self._in_flight) >= AT_ONCE:
            return None  # the end of an attempt wakes us
        full = {group for group, room in self._destinations.limits(now).items() if room == 0}
        times = (await self._store.next_delivery_at(full), self._destinations.opens_at(now))
        return min((at for at in times if at is not None), default=None)

    # ------------------------------------------------------------------ one delivery

    async def deliver(self, batch: Sequence[Owed]) -> None:
        """Send what is still wanted, decide what follows, keep both."""
        wanted = [owed for owed in batch if not await self._is_unwanted(owed)]
        if not wanted:
            return
        at = self._clock.now()
        sent = await self._send(wanted, at)
        for owed in wanted:
            await self._keep(owed, sent, at)
        await self._destinations.concluded(
            wanted[0].delivery.group, sent.outcome, self._clock.now(), self._clock.jitter()
        )

    async def _is_unwanted(self, owed: Owed) -> bool:
        """Settle without an attempt what nobody is there for any more, or what a newer event has made stale."""
        delivery = owed.delivery
        what: Step | None = None
        if owed.callback is None and delivery.destination.startswith("callback:"):
            what = GiveUp("the watch no longer has this callback (it answered 410 Gone)")
        elif owed.callback is None and delivery.destination not in self._destinations.channels:
            what = GiveUp(f"destination '{delivery.destination}' was removed from the configuration")
        elif retry.is_superseded(delivery, newer=owed.newer, held_until=self._destinations.held_until(delivery.group)):
            what = Superseded()
        if what is not None:
            await self._settle(delivery, what)
        return what is not None

    async def _send(self, wanted: Sequence[Owed], at: datetime) -> Sent:
        """One attempt; the sink bounds its time and never raises for what a receiver does."""
        self._telemetry.attempt_began()
        messages = [Message(one.delivery.id, one.event, one.delivery.attempts + 1, one.handle) for one in wanted]
        return await self._sink(wanted[0]).send(messages, at)

    async def _keep(self, owed: Owed, sent: Sent, at: datetime) -> None:
        """Record the attempt with what follows from it: one commit."""
        stored = await self._store.delivery(owed.delivery.id)
        delivery = stored[0] if stored is not None else owed.delivery  # its times, if the clock was stepped meanwhile
        outcome, now = sent.outcome, self._clock.now()
        what = retry.step(delivery, outcome, self._policy(delivery), now, self._clock.jitter())
        if outcome.gone and owed.callback is not None:
            await self._drop(owed.callback, delivery.watch_id)
        elif outcome.gone:
            what = Again(now, delivery.position)  # its destination is paused now, and keeps its queue
        attempt = retry.attempt_of(delivery, outcome, at)
        await self._settle(delivery, what, Settlement(delivery, attempt, sent.handle))
        self._telemetry.attempt_ended(delivery, attempt, what)

    async def _settle(self, delivery: Delivery, what: Step, made: Settlement | None = None) -> None:
        """Keep it, however long the store is full: an attempt is recorded before the next may start."""
        after = retry.settled(delivery, what, self._clock.now(), attempted=made is not None)
        settlement = replace(made or Settlement(delivery), delivery=after)
        while True:
            try:
                await self._store.settle(settlement)
            except StoreFull:
                await asyncio.sleep(FULL_AGAIN_S)
                continue
            except Stale:
                return
            if after.settled_at is not None:
                self._telemetry.settled(after)
            return

    async def _drop(self, callback: Callback, watch_id: str) -> None:
        """A callback that answers 410 is forgotten; what it is still owed is discarded when its turn comes."""
        while True:
            watch = await self._store.watch(watch_id)
            if watch is None or watch.callback(callback.destination) is None:
                return
            left = tuple(other for other in watch.callbacks if other.id != callback.id)
            try:
                await self._store.commit(Change(watch=replace(watch, callbacks=left, version=watch.version + 1)))
            except Stale:
                continue
            return

    def _sink(self, owed: Owed) -> Sink:
        if owed.callback is not None:
            return self.callback_sink(owed.callback)
        return self._destinations.channels[owed.delivery.destination].sink

    def _policy(self, delivery: Delivery) -> Policy:
        channel = self._destinations.channels.get(delivery.destination)
        return channel.policy if channel is not None else Policy()


def specimen(name: str, now: datetime) -> Event:
    """A made-up event in the true shape, that says of itself that it is a test."""
    data = TaskData(
        watch_id="w_test",
        owner="",
        provider="ringback-test",
        account="ringback-test",
        task_id="test",
        params={},
        state=WatchState.SUCCEEDED,
        previous_state=WatchState.RUNNING,
        sequence=1,
        progress=None,
        result=Document.of_text(b'"This is a test: ringback can reach you."'),
        result_expires_at=None,
        error=None,
        details=None,
        metadata={"ringback": "test"},
        registered_at=now,
        previous_poll_at=None,
        observed_at=now,
    )
    return Event(event_id(f"test:{name}:{now.isoformat()}", 1), EventType.TASK_SUCCEEDED, now, data)
