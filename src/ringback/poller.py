"""The poll loop: a due watch is asked about, what changed is decided, and made durable.

    tick:  claim what is due -> poll each
    poll:  ask -> read -> note the account's health -> decide and keep      (dispatcher.deliver is its mirror)

Secret: the order of these steps, and what happens when one cannot be done. What an answer means is the provider's, what
follows is core's, what lasts is the store's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ringback.accounts import Accounts
from ringback.asker import Asker, Told
from ringback.core import lifecycle
from ringback.core.advance import Rules, advance
from ringback.core.clock import Clock
from ringback.core.errors import Stale, StoreFull
from ringback.core.model import Answer, Change, Observation, Trouble, Watch, WatchState
from ringback.pacing import Pacing
from ringback.store.base import Reschedule, Store, WatchQuery
from ringback.telemetry import Telemetry
from ringback.underway import UnderWay

LEASE = timedelta(minutes=2)
FULL_AGAIN = timedelta(seconds=5)
"""How often a full store is tried again; meanwhile nobody is asked what could not be kept."""

OPEN = frozenset({WatchState.PENDING, WatchState.QUEUED, WatchState.RUNNING})
PAGE = 1000


class PollTerms(msgspec.Struct, frozen=True):
    """What the configuration says of polling; replaced as a whole. `learns`: what was learned decides when to poll."""

    rules: Rules
    concurrency: int
    learns: bool = False


class Poller:
    """Claims due watches and polls each in a task of its own, at most `concurrency` at once."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        asker: Asker,
        *,
        terms: PollTerms,
        clock: Clock,
        telemetry: Telemetry,
        wake: Callable[[datetime], None],
        report: Callable[[Exception], None],
    ) -> None:
        self.terms = terms
        self._store = store
        self._accounts = accounts
        self._asker = asker
        self._clock = clock
        self._telemetry = telemetry
        self._wake = wake
        self._report = report
        self._pacing = Pacing(store)
        self._in_flight = UnderWay()
        self._exhausted: frozenset[str] = frozenset()
        self._full_until: datetime | None = None

    # ------------------------------------------------------------------ the tick

    async def tick(self) -> datetime | None:
        """Claim what is due and poll it; says when there is work next."""
        now = self._clock.now()
        if not await self._has_space(now):
            return self._full_until
        for account in self._accounts.asked_anew(self._asker.credentials.stamp):
            await self._hasten(account)
        free = self.terms.concurrency - len(self._in_flight)
        for watch in await self._store.claim_watches(now, free, LEASE, self._accounts.limits(now)):
            if watch.id not in self._in_flight:
                await self._begin(watch, now)
        return await self._next_at(now)

    def shift(self, by: timedelta) -> None:
        """The wall clock was stepped."""
        self._full_until = self._full_until + by if self._full_until is not None else None

    async def drain(self) -> None:
        """Wait for the polls under way."""
        await self._in_flight.drain()

    async def cancel(self) -> None:
        """Give up on those that are still under way: their leases are gone with the process."""
        await self._in_flight.cancel()

    async def _begin(self, watch: Watch, now: datetime) -> None:
        resting = self._accounts.resting(watch.account, now)
        if resting is not None and now < watch.deadline_at:
            await self._put_off(watch, resting, now)
            return
        self._accounts.began(watch.account)
        self._telemetry.poll_began(now - (watch.next_poll_at or now))
        self._in_flight.begin([watch.id], self._turn(watch, resting), name=f"poll-{watch.id}")

    async def _turn(self, watch: Watch, resting: Trouble | None) -> None:
        """One poll, whatever becomes of it: a bad watch ends nobody else's turn, and its lease brings it back."""
        outcome = "problem"
        try:
            outcome = await self.poll(watch, resting)
        except StoreFull:
            self._full_until = self._clock.now() + FULL_AGAIN
            await self._store.reschedule([Reschedule(replace(watch, next_poll_at=self._full_until))])
        except Exception as error:  # noqa: BLE001 - a surprise is said, not passed on
            self._report(error)
        finally:
            crowded = len(self._in_flight) >= self.terms.concurrency or watch.account in self._exhausted
            self._in_flight.end([watch.id])
            self._accounts.ended(watch.account)
            self._telemetry.poll_ended(outcome)
            if crowded:
                self._wake(self._clock.now())

    async def _next_at(self, now: datetime) -> datetime | None:
        """The next due watch of an account that may be asked, or the next turn of one that has to wait for its rate."""
        self._exhausted = frozenset(name for name, limit in self._accounts.limits(now).items() if limit == 0)
        if len(self._in_flight) >= self.terms.concurrency:
            return None  # the end of a poll wakes us
        times = (await self._store.next_watch_at(self._exhausted), self._accounts.next_turn_at(now))
        return min((at for at in times if at is not None), default=None)

    # ------------------------------------------------------------------ one poll

    async def poll(self, watch: Watch, resting: Trouble | None = None) -> str:
        """One poll; says what came of it. `resting`: the account may not be asked, but the watch is at its deadline."""
        told = await self._asker.ask(watch) if resting is None else Told(Observation(trouble=resting))
        if resting is None:
            await self._note_health(watch, told.seen)
        return await self._keep(watch, told)

    async def _note_health(self, watch: Watch, seen: Observation) -> None:
        """What the answer says about the account, beside the task."""
        if seen.unknown_word is not None:
            self._telemetry.unknown_word(watch.provider, seen.unknown_word)
        routes, now = self.terms.rules.routes, self._clock.now()
        if seen.trouble is not None:
            await self._accounts.troubled(watch, seen.trouble, routes, now)
        elif await self._accounts.answered(watch.account, routes, now):
            await self._hasten(watch.account)

    async def _keep(self, watch: Watch, told: Told) -> str:
        """Commit what changed, or only note when to ask again. Whoever committed first is joined, not overwritten."""
        seen = told.seen
        current: Watch | None = watch
        while current is not None and not current.state.final:
            now = self._clock.now()
            rules = await self._rules_for(current, now)
            after, change = advance(current, seen, rules, now, jitter=self._clock.jitter())
            if await self._stored(after, change, told.answer if change or seen.trouble is not None else None):
                return self._told(current, after, change)
            current = await self._store.watch(watch.id)
        return "unchanged"

    async def _rules_for(self, watch: Watch, now: datetime) -> Rules:
        """The rules, with the pace of this watch."""
        rules = self.terms.rules
        return replace(rules, pace=await self._pacing.of(watch, rules.pace, now)) if self.terms.learns else rules

    async def _stored(self, after: Watch, change: Change | None, answer: Answer | None) -> bool:
        """False when the watch has moved on meanwhile."""
        if change is None:
            return not await self._store.reschedule([Reschedule(after, answer)])
        try:
            await self._store.commit(replace(change, answer=answer))
        except Stale:
            return False
        return True

    def _told(self, before: Watch, after: Watch, change: Change | None) -> str:
        if after.next_poll_at is not None:
            self._wake(after.next_poll_at)
        if change is not None:
            self._telemetry.changed(before, after, change.events)
        if after.problem is not None:
            self._telemetry.troubled(after, after.problem)
            return "problem"
        self._telemetry.observed(after)
        return "unchanged" if change is None else "changed"

    # ------------------------------------------------------------------ what is not polled now

    async def _put_off(self, watch: Watch, resting: Trouble, now: datetime) -> None:
        """The account rests: the watch shows why, and comes back after the rest, at the latest at its deadline."""
        later = now + (resting.retry_after or timedelta()) + self.terms.rules.pace.min_interval * self._clock.jitter()
        known = watch.problem is not None and watch.problem.code in (lifecycle.NOT_FOUND, resting.code)
        shown = watch if known else lifecycle.trouble(watch, resting, now)[0]  # nobody was asked: nothing is counted
        await self._store.reschedule([Reschedule(replace(shown, next_poll_at=min(later, watch.deadline_at)))])

    async def _hasten(self, account: str) -> None:
        """The account works again: its watches come back within one interval instead of after their back-off."""
        cursor: str | None = None
        now = self._clock.now()
        spread = self.terms.rules.pace.min_interval
        while True:
            page = await self._store.watches(WatchQuery(states=OPEN, account=account, limit=PAGE, cursor=cursor))
            soon = (
                replace(watch, next_poll_at=max(now + spread * self._clock.jitter(), watch.not_before_at or now))
                for watch in page.items
                if watch.id not in self._in_flight and (watch.next_poll_at or now) > now + spread
            )
            await self._store.reschedule([Reschedule(watch) for watch in soon])
            cursor = page.next
            if cursor is None:
                self._wake(now)
                return

    async def _has_space(self, now: datetime) -> bool:
        if self._full_until is None:
            return True
        if now < self._full_until:
            return False
        try:
            await self._store.probe()
        except StoreFull:
            self._full_until = now + FULL_AGAIN
            return False
        self._full_until = None
        return True
