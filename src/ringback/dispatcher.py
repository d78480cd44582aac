"""The delivery loop: a due delivery is sent, what follows is decided, and made durable.

    tick:     claim what is due -> deliver each
    deliver:  still wanted? -> send -> decide -> keep          (poller.poll is its mirror)

Secret: the order of these steps, and how long a destination that asks for patience is left alone. How to send is the
sink's, when to stop is core/retry.py's, what lasts is the store's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ringback.core import retry
from ringback.core.clock import Clock
from ringback.core.errors import Stale, StoreFull
from ringback.core.model import Callback, Change, Delivery
from ringback.core.retry import GiveUp, Policy, Step, Superseded
from ringback.sinks.base import Message, Sent, Sink
from ringback.store.base import Owed, Settlement, Store
from ringback.telemetry import Telemetry

LEASE = timedelta(minutes=2)
"""Outlasts every sink's own time-out."""

AT_ONCE = 256
"""Attempts under way, over all destinations."""

FULL_AGAIN_S = 5.0
"""How often an attempt that a full store could not keep is offered again."""

CALLBACK_CONCURRENCY = 8
"""Attempts at once to one origin of callbacks."""

HELD_AT_MOST = 1000
"""Ends of holds that are remembered."""


class Channel(msgspec.Struct, frozen=True):
    """A configured destination: its sink, when it is tried again, how many attempts at once."""

    sink: Sink
    policy: Policy = Policy()
    concurrency: int = 8


class Dispatcher:
    """Claims due deliveries and sends each in a task of its own."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        callback_sink: Callable[[Callback], Sink],
        *,
        clock: Clock,
        telemetry: Telemetry,
        wake: Callable[[datetime], None],
        report: Callable[[Exception], None],
    ) -> None:
        self.channels = channels
        self.callback_sink = callback_sink
        self._store = store
        self._clock = clock
        self._telemetry = telemetry
        self._wake = wake
        self._report = report
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._busy: Counter[str] = Counter()
        self._held: dict[str, datetime] = {}

    # ------------------------------------------------------------------ the tick

    async def tick(self) -> datetime | None:
        """Claim what is due and send it; says when there is work next."""
        now = self._clock.now()
        free = AT_ONCE - len(self._in_flight)
        for owed in await self._store.claim_deliveries(now, free, LEASE, self._limits(now)):
            if owed.delivery.id not in self._in_flight:
                self._begin(owed)
        return await self._next_at(now)

    def shift(self, by: timedelta) -> None:
        """The wall clock was stepped: a hold lasts as long as it would have."""
        self._held = {group: until + by for group, until in self._held.items()}

    async def drain(self) -> None:
        """Wait for the attempts under way."""
        while self._in_flight:
            await asyncio.gather(*self._in_flight.values(), return_exceptions=True)

    async def cancel(self) -> None:
        """Give up on those that are still under way: their leases are gone with the process."""
        for task in self._in_flight.values():
            task.cancel()
        await self.drain()

    def _begin(self, owed: Owed) -> None:
        self._busy[owed.delivery.group] += 1
        task = asyncio.create_task(self._turn(owed), name=f"deliver-{owed.delivery.id}")
        self._in_flight[owed.delivery.id] = task

    async def _turn(self, owed: Owed) -> None:
        """One delivery, whatever becomes of it: a bad one ends nobody else's turn, and its lease brings it back."""
        group = owed.delivery.group
        try:
            await self.deliver(owed)
        except Exception as error:  # noqa: BLE001 - a surprise is said, not passed on
            self._report(error)
        finally:
            del self._in_flight[owed.delivery.id]
            self._busy[group] -= 1
            if not self._busy[group]:
                del self._busy[group]
            self._wake(self._clock.now())

    def _limits(self, now: datetime) -> dict[str, int]:
        """How many of each group may be claimed; one that is held may not be at all."""
        limits = {name: channel.concurrency for name, channel in self.channels.items()}
        for group, busy in self._busy.items():
            limits[group] = max(limits.get(group, CALLBACK_CONCURRENCY) - busy, 0)
        return limits | {group: 0 for group, until in self._held.items() if until > now}

    async def _next_at(self, now: datetime) -> datetime | None:
        """The next due delivery of a group that has room, or the end of a hold."""
        full = {group for group, limit in self._limits(now).items() if limit == 0}
        due = await self._store.next_delivery_at(full)
        ends = (until for until in self._held.values() if until > now)
        return min((at for at in (due, *ends) if at is not None), default=None)

    # ------------------------------------------------------------------ one delivery

    async def deliver(self, owed: Owed) -> None:
        """Send what is still wanted, decide what follows, keep both."""
        unwanted = self._unwanted(owed)
        if unwanted is not None:
            await self._settle(owed.delivery, unwanted)
            return
        at = self._clock.now()
        sent = await self._send(owed, at)
        await self._keep(owed, sent, at)

    def _unwanted(self, owed: Owed) -> Step | None:
        """Why it is not sent at all: nobody is there any more, or a newer event has made it stale."""
        delivery = owed.delivery
        if owed.callback is None and delivery.destination.startswith("callback:"):
            return GiveUp("the watch no longer has this callback (it answered 410 Gone)")
        if owed.callback is None and delivery.destination not in self.channels:
            return GiveUp(f"destination '{delivery.destination}' was removed from the configuration")
        if retry.is_superseded(delivery, newer=owed.newer, held_until=self._held.get(delivery.group)):
            return Superseded()
        return None

    async def _send(self, owed: Owed, at: datetime) -> Sent:
        """One attempt; the sink bounds its time and never raises for what a receiver does."""
        self._telemetry.attempt_began()
        sink = self._sink(owed)
        message = Message(owed.delivery.id, owed.event, owed.delivery.attempts + 1, owed.handle)
        return await sink.send([message], at)

    async def _keep(self, owed: Owed, sent: Sent, at: datetime) -> None:
        """Record the attempt with what follows from it: one commit."""
        stored = await self._store.delivery(owed.delivery.id)
        delivery = stored[0] if stored is not None else owed.delivery  # its times, if the clock was stepped meanwhile
        outcome, now, jitter = sent.outcome, self._clock.now(), self._clock.jitter()
        if outcome.throttled or outcome.retry_after is not None:
            self._hold(delivery.group, now + retry.wait_of(outcome, jitter))
        if outcome.gone and owed.callback is not None:
            await self._drop(owed.callback, delivery.watch_id)
        what = retry.step(delivery, outcome, self._policy(delivery), now, jitter)
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

    def _hold(self, group: str, until: datetime) -> None:
        """Leave a whole destination alone. Old ends stay known: they say which events were held back (superseding)."""
        now = self._clock.now()
        if len(self._held) > HELD_AT_MOST:
            self._held = {name: end for name, end in self._held.items() if end > now}
        self._held[group] = max(until, self._held.get(group, until))

    def _sink(self, owed: Owed) -> Sink:
        if owed.callback is not None:
            return self.callback_sink(owed.callback)
        return self.channels[owed.delivery.destination].sink

    def _policy(self, delivery: Delivery) -> Policy:
        channel = self.channels.get(delivery.destination)
        return channel.policy if channel is not None else Policy()
