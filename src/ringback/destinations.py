"""How every destination is doing, kept while the daemon runs: holds, pauses, rates, attempts in flight, what was told.

    limits      how many deliveries of each group may be claimed now
    concluded   what an attempt says about its destination: hold it, release its queue, pause it
    pause, resume   by hand

Secret: the state behind one destination's turn. core/reach.py and core/rate.py decide; the mark in the store remembers.
A group is a destination, or an origin of callbacks: that one is held and released like any other, and never paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from ringback.core import reach
from ringback.core.advance import about_ourselves
from ringback.core.errors import UnknownName, nearest
from ringback.core.model import Change, DestinationData, EventType, Mark
from ringback.core.rate import Bucket
from ringback.core.reach import RELEASE_RATE, Reach, Turn
from ringback.core.retry import Outcome, Policy
from ringback.core.routing import Routes
from ringback.sinks.base import Sink
from ringback.store.base import Store
from ringback.telemetry import Telemetry

CALLBACK_CONCURRENCY = 8
"""Attempts at once to one origin of callbacks."""

GROUPS_KEPT = 10_000
"""Origins of callbacks that are remembered; beyond so many, first those that are well are forgotten."""

SUBJECT = "destination:"


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A configured destination: its sink, and how much and how often it takes.

    `per_second` None is unlimited. A channel that `gathers` (e-mail) sends several deliveries as one when there are
    more than its rate lets go; with `digest` always, so long after the first was owed.
    """

    sink: Sink
    policy: Policy = Policy()
    concurrency: int = 8
    per_second: float | None = None
    gathers: bool = False
    digest: timedelta | None = None
    kind: str = "webhook"


class DestinationStatus(msgspec.Struct, frozen=True):
    """What people are told of a destination."""

    name: str
    type: str
    state: Literal["active", "paused"]
    reason: str | None
    since: datetime | None
    pending: int
    oldest_pending_at: datetime | None


class _Group:
    """One destination's turn."""

    def __init__(self, channel: Channel | None) -> None:
        self.reach = Reach()
        self.busy = 0
        self.concurrency = channel.concurrency if channel is not None else CALLBACK_CONCURRENCY
        self.gathers = channel is not None and channel.gathers
        self.bucket = _bucket(channel)
        self.release = Bucket(RELEASE_RATE)

    def room(self, now: datetime) -> int:
        """How many more may be sent now."""
        self.bucket, self.release = self.bucket.filled(now), self.release.filled(now)
        if self.reach.held_at(now):
            return 0
        most = 1 if self.reach.replaying or self.gathers else self.concurrency
        free = self.bucket.allows(max(most - self.busy, 0))
        return self.release.allows(free) if self.reach.replaying else free

    def opens_at(self, now: datetime) -> datetime | None:
        """When a group without room has some again by the passing of time alone."""
        if self.reach.held_at(now):
            return self.reach.held_until
        if self.busy:
            return None
        slow = self.release.next_at(now) if self.reach.replaying else now
        return max(self.bucket.next_at(now), slow)

    @property
    def well(self) -> bool:
        """Whether nothing is known of it that matters."""
        return not self.busy and self.reach == Reach()


def _bucket(channel: Channel | None) -> Bucket:
    """What gathers may send a minute's worth at once: one mail an event until there are many."""
    if channel is None or channel.per_second is None:
        return Bucket(None)
    burst = channel.per_second * 60 if channel.gathers else None
    return Bucket(channel.per_second, tokens=burst or 1.0, burst=burst)


class Destinations:
    """Every configured destination, and every origin of callbacks that was met."""

    def __init__(self, store: Store, telemetry: Telemetry) -> None:
        self.channels: Mapping[str, Channel] = {}
        self._routes = Routes()
        self._store = store
        self._telemetry = telemetry
        self._groups: dict[str, _Group] = {}
        self._telling = asyncio.Lock()
        self._marks: dict[str, Mark] = {}

    def agree(self, channels: Mapping[str, Channel], routes: Routes) -> None:
        """Work by these channels from now on; what is known of a destination's reach stays."""
        self.channels, self._routes = channels, routes
        for name, channel in channels.items():
            known, fresh = self._groups.get(name), _Group(channel)
            if known is not None:
                fresh.reach, fresh.busy = known.reach, known.busy
            self._groups[name] = fresh

    async def remember(self) -> None:
        """Take up what was so before a restart: who is paused, who was failing since when."""
        for mark in await self._store.marks():
            if mark.subject.startswith(SUBJECT):
                name = mark.subject.removeprefix(SUBJECT)
                self._marks[name] = mark
                if not mark.active and mark.code == Turn.FAILING:
                    group = self._of(name)
                    group.reach = replace(group.reach, failing_since=mark.since)

    # ------------------------------------------------------------------ the turn

    def limits(self, now: datetime) -> dict[str, int]:
        """How many deliveries of each group may be claimed."""
        self._forget_some()
        return {name: 0 if self.is_paused(name) else group.room(now) for name, group in self._groups.items()}

    def opens_at(self, now: datetime) -> datetime | None:
        """When the next group without room has some again."""
        times = (
            group.opens_at(now)
            for name, group in self._groups.items()
            if not self.is_paused(name) and group.room(now) == 0
        )
        return min((at for at in times if at is not None), default=None)

    def began(self, name: str) -> bool:
        """A delivery is on its way. True when the rate lets no further one go just now."""
        group = self._of(name)
        group.busy += 1
        group.bucket = group.bucket.taken(1)
        if group.reach.replaying:
            group.release = group.release.taken(1)
        return group.bucket.allows(1) == 0

    def ended(self, name: str) -> None:
        """It came to its end; an origin of callbacks that is well is not remembered."""
        group = self._of(name)
        group.busy -= 1
        if name not in self.channels and group.well:
            del self._groups[name]

    def caught_up(self, name: str) -> None:
        """Nothing more of its queue is due."""
        group = self._of(name)
        if group.reach.replaying and not group.busy:
            group.reach = reach.caught_up(group.reach)

    @property
    def replaying(self) -> list[str]:
        """The groups whose queue is being released."""
        return [name for name, group in self._groups.items() if group.reach.replaying]

    def held_until(self, name: str) -> datetime | None:
        """The end of the last hold or pause: passing events from before it may be superseded."""
        known = self._groups.get(name)
        return known.reach.held_until if known is not None else None

    async def concluded(self, name: str, outcome: Outcome, now: datetime, jitter: float) -> None:
        """Draw the conclusions from an attempt. What one callback asks for holds up no other at its origin."""
        if name not in self.channels and (outcome.throttled or outcome.retry_after):
            return
        group = self._of(name)
        group.reach, turn = reach.after(group.reach, outcome, now, jitter)
        if turn is Turn.RELEASED:
            await self._store.release(name)
        if name not in self.channels or turn is None:
            return
        if turn is Turn.PAUSED:
            await self.pause(name, now, outcome.message or "nothing but failures")
            return
        async with self._telling:
            if not self.is_paused(name):
                await self._note(name, Turn.FAILING if turn is Turn.FAILING else "", now)

    # ------------------------------------------------------------------ pause and resume

    def is_paused(self, name: str) -> bool:
        """Whether its queue is kept and nothing is sent."""
        mark = self._marks.get(name)
        return mark is not None and mark.active and name in self.channels

    async def pause(self, name: str, now: datetime, reason: str = "paused by hand") -> None:
        """Send nothing until it is resumed; again is fine. Raises UnknownName."""
        self.check(name)
        async with self._telling:
            if not self.is_paused(name):
                await self._announce(name, EventType.DESTINATION_PAUSED, reason, now)

    async def resume(self, name: str, now: datetime) -> None:
        """Replay its queue, one at a time, in the order observed; again is fine. Raises UnknownName."""
        self.check(name)
        async with self._telling:
            if not self.is_paused(name):
                return
            await self._announce(name, EventType.DESTINATION_RESUMED, "", now)
        group = self._of(name)
        group.reach = reach.resumed(group.reach, now)
        await self._store.release(name)

    async def listing(self) -> list[DestinationStatus]:
        """Every configured destination, by name."""
        stats = await self._store.stats()
        return [
            self._status(name, stats.pending.get(name, 0), stats.oldest.get(name)) for name in sorted(self.channels)
        ]

    def check(self, name: str) -> None:
        """Raise UnknownName unless it is configured."""
        if name not in self.channels:
            raise UnknownName(
                f"there is no destination '{name}' in the configuration.{nearest(name, self.channels)}",
                destination=name,
            )

    def shift(self, by: timedelta) -> None:
        """The wall clock was stepped."""
        for group in self._groups.values():
            group.reach = reach.shifted(group.reach, by)
            group.bucket, group.release = group.bucket.shifted(by), group.release.shifted(by)

    # ------------------------------------------------------------------ what is kept

    async def _announce(self, name: str, event: EventType, reason: str, now: datetime) -> None:
        """Commit the mark with its event: a restart neither forgets nor repeats it."""
        known = self._marks.get(name)
        paused = event is EventType.DESTINATION_PAUSED
        mark = Mark(
            subject=SUBJECT + name,
            active=paused,
            since=now,
            code=Turn.PAUSED if paused else "",
            message=reason,
            sequence=(known.sequence if known is not None else 0) + 1,
        )
        pending = (await self._store.stats()).pending.get(name, 0)
        data = DestinationData(name, reason or None, now, pending)
        change = about_ourselves(mark, data, event, self._routes)
        await self._store.commit(change)
        self._marks[name] = mark
        self._telemetry.recorded(change.events)
        self._telemetry.destination_news(name, event, reason, pending)

    async def _note(self, name: str, code: str, now: datetime) -> None:
        """Keep since when it is failing, so that five days are five days across restarts."""
        sequence = self._marks[name].sequence if name in self._marks else 0
        mark = Mark(subject=SUBJECT + name, active=False, since=now, code=code, message="", sequence=sequence)
        await self._store.commit(Change(marks=(mark,)))
        self._marks[name] = mark

    def _status(self, name: str, pending: int, oldest: datetime | None) -> DestinationStatus:
        mark = self._marks.get(name)
        paused = mark is not None and mark.active
        return DestinationStatus(
            name,
            self.channels[name].kind,
            "paused" if paused else "active",
            mark.message if mark is not None and paused else None,
            mark.since if mark is not None and paused else None,
            pending,
            oldest,
        )

    def _of(self, name: str) -> _Group:
        known = self._groups.get(name)
        if known is None:
            known = self._groups[name] = _Group(self.channels.get(name))
        return known

    def _forget_some(self) -> None:
        """A tenth more than has to be, the longest known first; one that was held is just tried again."""
        over = len(self._groups) - GROUPS_KEPT
        if over > 0:
            idle = [name for name, group in self._groups.items() if name not in self.channels and not group.busy]
            idle.sort(key=lambda name: not self._groups[name].well)
            for name in idle[: over + GROUPS_KEPT // 10]:
                del self._groups[name]
