"""How every account is doing, kept while the daemon runs: health, rate, polls in flight, and what was announced of it.

    limits    how many of an account's watches may be claimed now
    answered, troubled   what a poll says about its account; news are committed with their event, once

Secret: the state behind one account's turn. core/health.py and core/rate.py decide; the mark in the store remembers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from ringback.core import health
from ringback.core.advance import about_ourselves
from ringback.core.health import Health, News
from ringback.core.model import AccountData, Error, EventType, Mark, Trouble, Watch
from ringback.core.rate import Bucket
from ringback.core.routing import Routes
from ringback.outbound import Via
from ringback.store.base import Store
from ringback.telemetry import Telemetry

EVENT_OF_NEWS = {News.DEGRADED: EventType.PROVIDER_DEGRADED, News.RECOVERED: EventType.PROVIDER_RECOVERED}
NO_ACCOUNT, NO_PROVIDER, BAD_PARAMS, BLOCKED_HOST = "no_account", "no_provider", "bad_params", "blocked_host"
OUR_OWN_FAULTS = frozenset({NO_ACCOUNT, NO_PROVIDER, BAD_PARAMS, BLOCKED_HOST})
"""Troubles that no provider answered: the configuration's or the registration's, not the account's health."""


class AccountTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says of an account; `base_url` None means the preset's, `per_second` None unlimited."""

    base_url: str | None = None
    per_second: float | None = None
    headers: Mapping[str, str] = {}
    via: Via = Via()


class _Account:
    """One account's turn."""

    def __init__(self, bucket: Bucket) -> None:
        self.health = Health()
        self.bucket = bucket
        self.in_flight = 0
        self.at_once = 1
        self.stamp: object = None
        self.told = False
        self.telling = asyncio.Lock()


class Accounts:
    """Every account that has watches or is configured."""

    def __init__(self, store: Store, telemetry: Telemetry) -> None:
        self._store = store
        self._telemetry = telemetry
        self._concurrency = 1
        self._terms: Mapping[str, AccountTerms] = {}
        self._accounts: dict[str, _Account] = {}
        self._in_flight = 0
        self._sequences: dict[str, int] = {}

    def agree(self, terms: Mapping[str, AccountTerms], *, concurrency: int) -> None:
        """Work by these terms from now on; rates that changed start anew.

        Of the polls at once, `concurrency`, an account may have a quarter of those that the others leave it: some are
        left however many accounts are slow.
        """
        self._concurrency = concurrency
        for name, account in self._accounts.items():
            rate = terms[name].per_second if name in terms else None
            if account.bucket.per_second != rate:
                account.bucket = Bucket(rate)
        self._terms = terms
        for name in terms:
            self._of(name)

    async def remember(self) -> None:
        """Take up what was announced before a restart."""
        for mark in await self._store.marks():
            kind, _, name = mark.subject.partition(":")
            if kind != "account":
                continue
            self._sequences[name] = mark.sequence
            if mark.active:
                self._of(name).health = Health(degraded=Error(mark.code, mark.message))
                self._of(name).told = True

    def terms(self, name: str) -> AccountTerms | None:
        """What the configuration says of an account, None when it names no such account."""
        return self._terms.get(name)

    def limits(self, now: datetime) -> dict[str, int]:
        """How many watches of each account may be claimed. One that rests has no limit: its watches are put off.

        Where one request asks about several, as many times more; `may_begin` then says how many requests that are.
        """
        limits: dict[str, int] = {}
        for name, account in self._accounts.items():
            account.bucket = account.bucket.filled(now, account.health.share)
            if not account.health.rests_at(now):
                limits[name] = account.bucket.allows(self._room(account)) * account.at_once
        return limits

    def may_begin(self, name: str) -> bool:
        """Whether one more request of the account may go now, of those whose watches were claimed."""
        account = self._of(name)
        return account.at_once == 1 or account.bucket.allows(self._room(account)) > 0

    def next_turn_at(self, now: datetime) -> datetime | None:
        """When a rate next lets a poll of some account go that has room for it."""
        times = [
            account.bucket.next_at(now, account.health.share)
            for account in self._accounts.values()
            if account.bucket.allows(1) == 0 and self._room(account) and not account.health.rests_at(now)
        ]
        return min(times, default=None)

    def began(self, name: str, *, at_once: int, asks: bool = True) -> None:
        """A poll of the account is under way, of a provider that can be asked about so many tasks at once.

        One that does not ask takes nothing of the rate.
        """
        account = self._of(name)
        account.in_flight += 1
        self._in_flight += 1
        account.at_once = max(account.at_once, at_once)
        if asks:
            account.bucket = account.bucket.taken(1)

    def asks(self, name: str) -> None:
        """One more request of the account goes out, whether or not its rate lets it: what comes after waits for it."""
        account = self._of(name)
        account.bucket = account.bucket.taken(1)

    def ended(self, name: str) -> None:
        """A poll of the account came to its end."""
        self._of(name).in_flight -= 1
        self._in_flight -= 1

    def resting(self, name: str, now: datetime) -> Trouble | None:
        """Why the account is left alone just now, and for how long; None when it is not."""
        state = self._of(name).health
        if state.resting_until is None or not state.rests_at(now):
            return None
        why = state.degraded or Error(health.RATE_LIMITED, "the provider asked for patience")
        return Trouble(why.code, why.message, state.resting_until - now)

    async def answered(self, name: str, routes: Routes, now: datetime) -> bool:
        """A poll was answered. True when the account has just recovered."""
        account = self._of(name)
        account.health, news = health.answered(account.health, now)
        await self._tell(name, routes, now)
        return news is not None

    async def troubled(self, watch: Watch, met: Trouble, routes: Routes, now: datetime) -> None:
        """A poll of the watch was answered with trouble."""
        if met.code in OUR_OWN_FAULTS:
            return
        name = watch.account
        open_watches = await self._store.open_watches(name)
        account = self._of(name)
        before = account.health
        account.health, _ = health.troubled(before, met, watch.id, open_watches, now)
        if account.health.resting_until is not None and not before.rests_at(now):
            self._telemetry.account_rests(name, account.health.resting_until)
        await self._tell(name, routes, now)

    def asked_anew(self, stamp_of: Callable[[str], object]) -> list[str]:
        """The accounts whose key did not work and has been changed since: they may be asked again at once."""
        changed = []
        for name, account in self._accounts.items():
            stamp = stamp_of(name)
            if account.health.unauthorized and account.stamp is not None and stamp != account.stamp:
                account.health = health.asked_anew(account.health)
                changed.append(name)
            account.stamp = stamp
        return changed

    def locked_out(self) -> list[str]:
        """The accounts whose key does not work."""
        return [name for name, account in self._accounts.items() if account.health.unauthorized]

    def shift(self, by: timedelta) -> None:
        """The wall clock was stepped."""
        for account in self._accounts.values():
            account.health = health.shifted(account.health, by)
            account.bucket = account.bucket.shifted(by)

    def _room(self, account: _Account) -> int:
        """How many more polls of the account may be under way, whatever its rate."""
        others = self._in_flight - account.in_flight
        most = 1 if account.health.on_trial else max((self._concurrency - others) // 4, 1)
        return max(most - account.in_flight, 0)

    def _of(self, name: str) -> _Account:
        known = self._accounts.get(name)
        if known is None:
            terms = self._terms.get(name)
            known = self._accounts[name] = _Account(Bucket(terms.per_second if terms is not None else None))
        return known

    async def _tell(self, name: str, routes: Routes, now: datetime) -> None:
        """Announce what was not said yet, one at a time: what a full store refused is said by the next poll."""
        account = self._of(name)
        if (account.health.degraded is not None) == account.told:
            return
        async with account.telling:
            why = account.health.degraded
            if (why is not None) == account.told:
                return
            await self._announce(name, News.RECOVERED if why is None else News.DEGRADED, why, routes, now)
            account.told = why is not None

    async def _announce(self, name: str, news: News, why: Error | None, routes: Routes, now: datetime) -> None:
        """Commit the mark with its event. Both live in one change, so a restart neither repeats nor forgets it."""
        watches = await self._store.open_watches(name)
        sequence = self._sequences.get(name, 0) + 1
        mark = Mark(
            subject=f"account:{name}",
            active=news is News.DEGRADED,
            since=now,
            code=why.code if why is not None else "",
            message=why.message if why is not None else "",
            sequence=sequence,
        )
        change = about_ourselves(mark, AccountData(name, why, watches), EVENT_OF_NEWS[news], routes)
        await self._store.commit(change)
        self._sequences[name] = sequence
        self._telemetry.account_news(name, news, mark.message, watches)
        self._telemetry.recorded(change.events)
