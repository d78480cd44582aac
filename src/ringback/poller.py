"""The poll loop: a due watch is asked about, what changed is decided, and made durable.

    tick:  claim what is due -> poll each
    poll:  ask -> read -> note the account's health -> decide and keep      (dispatcher.deliver is its mirror)

Secret: the order of these steps, and what happens when one cannot be done. What an answer means is the provider's, what
follows is core's, what lasts is the store's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ringback.accounts import BAD_PARAMS, BLOCKED_HOST, NO_ACCOUNT, NO_PROVIDER, Accounts, AccountTerms
from ringback.core import lifecycle
from ringback.core.advance import Rules, advance
from ringback.core.clock import Clock
from ringback.core.errors import BadInput, Stale, StoreFull, UnknownName
from ringback.core.health import UNAUTHORIZED
from ringback.core.model import Answer, Change, Observation, Trouble, Watch, WatchState
from ringback.credentials import Credentials
from ringback.outbound import Outbound, OutboundError, Prepared
from ringback.providers.base import Ask, Catalogue, Provider
from ringback.recent import Recent
from ringback.store.base import Reschedule, Store, WatchQuery
from ringback.telemetry import Telemetry
from ringback.underway import UnderWay

LEASE = timedelta(minutes=2)
TIMEOUT_S = 30.0
"""Of one poll, whatever the provider does; the lease outlasts it."""

FULL_AGAIN = timedelta(seconds=5)
"""How often a full store is tried again; meanwhile nobody is asked what could not be kept."""

OPEN = frozenset({WatchState.PENDING, WatchState.QUEUED, WatchState.RUNNING})
PAGE = 1000


class PollTerms(msgspec.Struct, frozen=True):
    """What the configuration says of polling; replaced as a whole."""

    rules: Rules
    concurrency: int


class Poller:
    """Claims due watches and polls each in a task of its own, at most `concurrency` at once."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        catalogue: Catalogue,
        *,
        credentials: Credentials,
        outbound: Outbound,
        terms: PollTerms,
        clock: Clock,
        telemetry: Telemetry,
        wake: Callable[[datetime], None],
        report: Callable[[Exception], None],
    ) -> None:
        self.catalogue = catalogue
        self.credentials = credentials
        self.terms = terms
        self._store = store
        self._accounts = accounts
        self._outbound = outbound
        self._clock = clock
        self._telemetry = telemetry
        self._wake = wake
        self._report = report
        self._in_flight = UnderWay()
        self._recent = Recent()
        self._exhausted: frozenset[str] = frozenset()
        self._full_until: datetime | None = None

    # ------------------------------------------------------------------ the tick

    async def tick(self) -> datetime | None:
        """Claim what is due and poll it; says when there is work next."""
        now = self._clock.now()
        if not await self._has_space(now):
            return self._full_until
        for account in self._accounts.asked_anew(self.credentials.stamp):
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
        answer = resting or await self._ask(watch)
        seen = self._read(watch, answer)
        if resting is None:
            await self._note_health(watch, seen)
        return await self._keep(watch, seen, answer)

    async def _ask(self, watch: Watch) -> Answer | Trouble:
        """The provider's answer, or why there is none."""
        try:
            prepared = self._prepared(watch)
            if isinstance(prepared, Trouble):
                return prepared
            limit = self.catalogue.get(watch.provider).about.body_limit
            answer = await self._outbound.carry(prepared, timeout_s=TIMEOUT_S, body_limit=limit)
        except OutboundError as error:
            return Trouble(error.code, error.message)
        return replace(answer, at=self._clock.now())

    def _prepared(self, watch: Watch) -> Prepared | Trouble:
        """The request with the account's credential, if that may go there (promise 6)."""
        terms = self._accounts.terms(watch.account)
        if terms is None:
            return Trouble(NO_ACCOUNT, f"account '{watch.account}' is not configured any more: its watches wait for it")
        try:
            provider = self.catalogue.get(watch.provider)
            unsigned = self._unsigned(watch, provider, terms)
        except BadInput as error:
            return Trouble(NO_PROVIDER if isinstance(error, UnknownName) else BAD_PARAMS, error.message)
        if unsigned is None:
            return Trouble(BLOCKED_HOST, f"the key of account '{watch.account}' may not go to this host")
        try:
            signed = provider.sign(unsigned, self.credentials.reveal(watch.account), self._clock.now())
        except BadInput as error:
            return Trouble(UNAUTHORIZED, error.message)
        known = self._recent.prepared(watch, signed)
        return known or self._recent.remember(watch, signed, self._outbound.prepare(signed, via=terms.via))

    def _unsigned(self, watch: Watch, provider: Provider, terms: AccountTerms) -> Ask | None:
        """The request without the credential, made once a watch; None when the credential may not go there."""
        made_of = (provider, terms, self.credentials, watch.params)
        known = self._recent.unsigned(watch, made_of)
        if known is not None:
            return known
        base_url = terms.base_url or provider.about.base_url
        ask = provider.ask(watch.task_id, watch.params, base_url)
        if not self.credentials.may_go(watch.account, ask.url, base_url, provider.about.hosts):
            return None
        return self._recent.begin(watch, made_of, replace(ask, headers={**terms.headers, **ask.headers}))

    def _read(self, watch: Watch, answer: Answer | Trouble) -> Observation:
        if isinstance(answer, Trouble):
            return Observation(trouble=answer)
        if self._recent.same(watch, answer):
            return lifecycle.as_it_is(watch)
        seen = self.catalogue.get(watch.provider).read(answer, watch.task_id)
        if seen.trouble is not None:
            seen = replace(seen, trouble=self._without_keys(seen.trouble, watch.account))
        if seen.unknown_word is not None:
            self._telemetry.unknown_word(watch.provider, seen.unknown_word)
        return seen

    def _without_keys(self, met: Trouble, account: str) -> Trouble:
        """Some vendors repeat the key that they refuse: it must not reach a log or a list."""
        message = met.message
        with contextlib.suppress(BadInput):  # its file is gone meanwhile: then there is no key to look for
            for key in self.credentials.reveal(account).values():
                message = message.replace(key, "***") if key else message
        return replace(met, message=message)

    async def _note_health(self, watch: Watch, seen: Observation) -> None:
        """What the answer says about the account, beside the task."""
        routes, now = self.terms.rules.routes, self._clock.now()
        if seen.trouble is not None:
            await self._accounts.troubled(watch, seen.trouble, routes, now)
        elif await self._accounts.answered(watch.account, routes, now):
            await self._hasten(watch.account)

    async def _keep(self, watch: Watch, seen: Observation, answer: Answer | Trouble) -> str:
        """Commit what changed, or only note when to ask again. Whoever committed first is joined, not overwritten."""
        came = answer if isinstance(answer, Answer) else None
        current: Watch | None = watch
        while current is not None and not current.state.final:
            now = self._clock.now()
            after, change = advance(current, seen, self.terms.rules, now, jitter=self._clock.jitter())
            if await self._stored(after, change, came if change is not None or seen.trouble is not None else None):
                self._remember(after, seen, came)
                return self._told(current, after, change)
            current = await self._store.watch(watch.id)
        return "unchanged"

    async def _stored(self, after: Watch, change: Change | None, answer: Answer | None) -> bool:
        """False when the watch has moved on meanwhile."""
        if change is None:
            return not await self._store.reschedule([Reschedule(after, answer)])
        try:
            await self._store.commit(replace(change, answer=answer))
        except Stale:
            return False
        return True

    def _remember(self, after: Watch, seen: Observation, answer: Answer | None) -> None:
        if after.state.final:
            self._recent.forget(after)
        elif seen.trouble is None and answer is not None:
            self._recent.read(after, seen, answer)

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
