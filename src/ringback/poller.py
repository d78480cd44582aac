"""The poll loop: a due watch is asked about, what changed is decided, and made durable.

    tick:  claim a few that are due -> group what one request asks about -> poll each group -> the next few
    poll:  ask -> of each watch: note the account's health -> decide and keep     (dispatcher.deliver is its mirror)

Secret: the order of these steps, and what happens when one cannot be done. What an answer means is the provider's, what
follows is core's, what lasts is the store's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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
from ringback.credentials import Credentials
from ringback.pacing import Pacing
from ringback.store.base import Reschedule, Store, WatchQuery
from ringback.telemetry import Telemetry
from ringback.underway import UnderWay

LEASE = timedelta(minutes=2)
FULL_AGAIN = timedelta(seconds=5)
"""How often a full store is tried again; meanwhile nobody is asked what could not be kept."""

A_FEW = 64
"""Watches that are claimed and begun with at a time, so that the loop does not stand still."""

OPEN = frozenset({WatchState.PENDING, WatchState.QUEUED, WatchState.RUNNING})
PAGE = 1000


class PollTerms(msgspec.Struct, frozen=True):
    """What the configuration says of polling; replaced as a whole. `learns`: what was learned decides when to poll."""

    rules: Rules
    concurrency: int
    learns: bool = False


class Poller:
    """Claims due watches and polls each in a task of its own, at most `concurrency` at once.

    `wake` has the next tick at a time, `hurry` as soon as may be: watches are due, and there is room again.
    """

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
        hurry: Callable[[], None],
        report: Callable[[Exception], None],
    ) -> None:
        self.terms = terms
        self._store = store
        self._accounts = accounts
        self._asker = asker
        self._clock = clock
        self._telemetry = telemetry
        self._wake = wake
        self._hurry = hurry
        self._report = report
        self._pacing = Pacing(store)
        self._in_flight = UnderWay()
        self._renewing = UnderWay()
        self._exhausted: frozenset[str] = frozenset()
        self._full_until: datetime | None = None

    # ------------------------------------------------------------------ the tick

    async def tick(self) -> datetime | None:
        """Claim what is due and poll it; says when there is work next."""
        now = self._clock.now()
        if not await self._has_space(now):
            return self._full_until
        self._renew_tokens(now)
        for account in self._accounts.asked_anew(self._asker.credentials.stamp):
            await self._hasten(account)
        more = True
        while more:
            more = await self._begin_a_few(now)
            await asyncio.sleep(0)
        return await self._next_at(now)

    def shift(self, by: timedelta) -> None:
        """The wall clock was stepped."""
        self._full_until = self._full_until + by if self._full_until is not None else None

    async def drain(self) -> None:
        """Wait for the polls under way."""
        await self._in_flight.drain()
        await self._renewing.drain()

    async def cancel(self) -> None:
        """Give up on those that are still under way: their leases are gone with the process."""
        await self._in_flight.cancel()
        await self._renewing.cancel()

    async def _begin_a_few(self, now: datetime) -> bool:
        """Claim what is due and begin with it; whether there may be more that can be begun with now."""
        free = min(self.terms.concurrency - len(self._in_flight), A_FEW)
        claimed = await self._store.claim_watches(now, free, LEASE, self._accounts.limits(now))
        due, alone = list[Watch](), list[Watch]()
        for watch in claimed:
            if watch.id not in self._in_flight:
                (alone if _is_to_be_left_alone(watch, now) else due).append(watch)
        begun = [await self._begin(group, now) for group in self._asker.together(due)]
        begun += [await self._begin([watch], now, instead=_as_it_is(watch)) for watch in alone]
        return len(claimed) == A_FEW and any(begun)

    async def _begin(self, group: Sequence[Watch], now: datetime, *, instead: Observation | None = None) -> bool:
        """One request about a group, if that may be begun; or what is taken as seen `instead`.

        While its account is left alone only those at their deadline have a turn.
        """
        account = group[0].account
        resting = self._accounts.resting(account, now)
        if resting is not None:
            await self._put_off([watch for watch in group if now < watch.deadline_at], resting, now)
            group = [watch for watch in group if now >= watch.deadline_at]
            instead = Observation(trouble=resting)
        elif instead is None and not self._accounts.may_begin(account):
            await self._store.reschedule([Reschedule(watch) for watch in group])  # due, when the rate lets them
            return False
        if group:
            self._accounts.began(account, at_once=self._asker.at_once(group[0].provider), asks=instead is None)
            for watch in group:
                self._telemetry.poll_began(now - (watch.next_poll_at or now))
            ids = [watch.id for watch in group]
            self._in_flight.begin(ids, self._turn(group, instead), name=f"poll-{ids[0]}")
        return True

    async def _turn(self, group: Sequence[Watch], instead: Observation | None) -> None:
        """One poll, whatever becomes of it: a surprise ends nobody else's turn, and a lease brings its watches back."""
        outcomes = ["problem"] * len(group)
        account = group[0].account
        try:
            outcomes = await self.poll(group, instead)
        except Exception as error:  # noqa: BLE001 - a surprise is said, not passed on
            self._report(error)
        finally:
            full = len(self._in_flight) >= self.terms.concurrency
            self._in_flight.end([watch.id for watch in group])
            self._accounts.ended(account)
            for outcome in outcomes:
                self._telemetry.poll_ended(outcome)
            if full or account in self._exhausted:
                self._hurry()
            elif self._exhausted:  # what one account does not take is the others'
                self._wake(self._clock.now())

    async def _next_at(self, now: datetime) -> datetime | None:
        """The next due watch of an account that may be asked, or the next turn of one that has to wait for its rate."""
        self._exhausted = frozenset(name for name, limit in self._accounts.limits(now).items() if limit == 0)
        if len(self._in_flight) >= self.terms.concurrency:
            return None  # the end of a poll wakes us
        times = (await self._store.next_watch_at(self._exhausted), self._accounts.next_turn_at(now))
        return min((at for at in times if at is not None), default=None)

    # ------------------------------------------------------------------ one poll

    async def poll(self, group: Sequence[Watch], instead: Observation | None = None) -> list[str]:
        """One poll of a watch, or of several that one request asks about; says what came of each.

        `instead` of an answer: nobody may be asked, but the watches are at their deadline.
        """
        told = await self._asker.ask(group) if instead is None else [Told(instead)] * len(group)
        return [await self._conclude(watch, one, asked=instead is None) for watch, one in zip(group, told, strict=True)]

    async def _conclude(self, watch: Watch, told: Told | None, *, asked: bool) -> str:
        """Note what it says of the account, decide, keep: each watch by itself, so that a bad one hurts no other."""
        now = self._clock.now()
        try:
            if told is None:
                return await self._once_more(watch)
            if asked:
                await self._note_health(watch, told.seen, now)
            return await self._keep(watch, told)
        except StoreFull:
            self._full_until = self._clock.now() + FULL_AGAIN
            await self._store.reschedule([Reschedule(replace(watch, next_poll_at=self._full_until))])
        except Exception as error:  # noqa: BLE001 - a surprise is said, not passed on
            self._report(error)
        return "problem"

    async def _note_health(self, watch: Watch, seen: Observation, now: datetime) -> None:
        """What the answer says about the account, beside the task."""
        if seen.unknown_word is not None:
            self._telemetry.unknown_word(watch.provider, seen.unknown_word)
        routes = self.terms.rules.routes
        if seen.trouble is not None:
            await self._accounts.troubled(watch, seen.trouble, routes, now)
        elif await self._accounts.answered(watch.account, routes, now):
            await self._hasten(watch.account)

    async def _keep(self, watch: Watch, told: Told) -> str:
        """Commit what changed, or only note when to ask again. Whoever committed first is joined, not overwritten."""
        seen = told.seen
        current: Watch | None = watch
        while current is not None and not current.state.final:
            now = self._clock.now()  # the clock may have been stepped, and the watch with it
            rules = await self._rules_for(current, now)
            after, change = advance(current, seen, rules, now, jitter=self._clock.jitter())
            shown = seen is lifecycle.SAME and current.problem is None  # since it was read first
            if await self._stored(after, change, told.answer if change or not shown else None):
                self._asker.remember(after, told)
                return self._told(current, after, change)
            current = await self._store.watch(watch.id)
        return "unchanged"

    async def _rules_for(self, watch: Watch, now: datetime) -> Rules:
        """The rules, with the pace of this watch."""
        rules = self.terms.rules
        pace, about = rules.pace, self._asker.about(watch.provider)
        if about is not None and (about.interval is not None or about.batch is not None):
            pace = replace(pace, hint=about.interval, grid=pace.min_interval if about.batch is not None else None)
        if self.terms.learns:
            pace = await self._pacing.of(watch, pace, now)
        return rules if pace is rules.pace else replace(rules, pace=pace)

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

    async def _once_more(self, watch: Watch) -> str:
        """Nothing was said of it: it is still due."""
        await self._store.reschedule([Reschedule(watch)])
        self._wake(self._clock.now())
        return "unchanged"

    async def _put_off(self, watches: Sequence[Watch], resting: Trouble, now: datetime) -> None:
        """The account rests: its watches show why, and come back after the rest, at the latest at their deadline."""
        polls = []
        for watch in watches:
            rest = (resting.retry_after or timedelta()) + self.terms.rules.pace.min_interval * self._clock.jitter()
            known = watch.problem is not None and watch.problem.code in (lifecycle.NOT_FOUND, resting.code)
            # nobody was asked: nothing is counted
            shown = watch if known else lifecycle.trouble(watch, resting, now)[0]
            polls.append(Reschedule(replace(shown, next_poll_at=min(now + rest, watch.deadline_at))))
        await self._store.reschedule(polls)

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

    def _renew_tokens(self, now: datetime) -> None:
        """An account whose token is refused is left alone, but the program that prints it may have another one."""
        credentials = self._asker.credentials
        for account in self._accounts.locked_out():
            if account not in self._renewing and credentials.due(account, now):
                self._renewing.begin([account], self._renewed(account, credentials, now), name=f"renew-{account}")

    async def _renewed(self, account: str, credentials: Credentials, now: datetime) -> None:
        try:
            await credentials.freshen(account, now)
        finally:
            self._renewing.end([account])
            self._wake(self._clock.now())

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


def _is_to_be_left_alone(watch: Watch, now: datetime) -> bool:
    """Whether its provider asked for patience beyond its deadline, which is all that it is due for."""
    until, due = watch.not_before_at, watch.next_poll_at
    return until is not None and now < until and (due is None or due < until)


def _as_it_is(watch: Watch) -> Observation:
    """What was last seen of it, as if it were seen again."""
    problem = watch.problem
    return lifecycle.SAME if problem is None else Observation(trouble=Trouble(problem.code, problem.message))
