"""How a provider is asked about a watch, and what it says.

    prepare -> send -> read -> (the result is elsewhere? -> prepare -> send -> read)
    prepare -> send -> split -> read each        where a provider can be asked about many tasks at once

Secret: what stands between a watch and its answer: the provider's dialect, the account's credential and whether it may
go there (promise 6), and the way out. Whatever goes wrong is an Observation with a trouble.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from ringback import recent
from ringback.accounts import BAD_PARAMS, BLOCKED_HOST, NO_ACCOUNT, NO_PROVIDER, Accounts, AccountTerms
from ringback.core.clock import Clock
from ringback.core.errors import BadInput, PresetError, RingbackError, UnknownName
from ringback.core.health import UNAUTHORIZED
from ringback.core.lifecycle import NOT_FOUND, SAME
from ringback.core.model import NOTHING, Answer, Observation, Trouble, Watch
from ringback.credentials import Credentials, origin_of
from ringback.outbound import Outbound, OutboundError, Prepared, Via
from ringback.providers.base import NO_RESULT, REJECTED, About, Ask, Catalogue, Provider

TIMEOUT_S = 30.0
"""Of one request, whatever the provider does; the lease of its watch outlasts two of them."""

OF_ONE = (NOT_FOUND, REJECTED)
"""Why many tasks are refused as a whole when it may be because of one of them: then each is asked about alone."""

LEFT_OUT = 10_000
"""Watches of which is remembered that they are to be asked about alone."""

RESULT_TRIES = 5
"""Answers in a row without the result of a task that has succeeded; then it is told without."""

KEY_AT_LEAST = 6
"""Characters of a key that is looked for in a vendor's words."""

NO_TERMS = AccountTerms()
"""Of a provider that needs no account."""


class Told(msgspec.Struct, frozen=True):
    """What came of asking: what it says, and the answer as it came, if there was one; read by a catalogue's preset."""

    seen: Observation
    answer: Answer | None = None
    catalogue: Catalogue | None = None


class _Way(msgspec.Struct, frozen=True):
    """Whom to ask, and with what: all of one configuration, even when another one comes meanwhile."""

    provider: Provider
    terms: AccountTerms
    params: Mapping[str, str]
    credentials: Credentials


class Asker:
    """Asks about a watch, or about several with one request. Catalogue and credentials may be exchanged."""

    def __init__(
        self, accounts: Accounts, catalogue: Catalogue, credentials: Credentials, *, outbound: Outbound, clock: Clock
    ) -> None:
        self._catalogue = catalogue
        self.credentials = credentials
        self._accounts = accounts
        self._outbound = outbound
        self._clock = clock
        self._recent = recent.Recent()
        self._left_out: set[str] = set()

    @property
    def catalogue(self) -> Catalogue:
        """The presets."""
        return self._catalogue

    @catalogue.setter
    def catalogue(self, catalogue: Catalogue) -> None:
        """They may read the same answers as something else."""
        self._catalogue = catalogue
        self._recent.forget_answers()

    def together(self, watches: Sequence[Watch]) -> list[list[Watch]]:
        """The watches that one request asks about, each in one group: most are alone in theirs."""
        groups: list[list[Watch]] = []
        open_groups: dict[tuple[object, ...], list[Watch]] = {}
        for watch in watches:
            limit = self.at_once(watch.provider)
            if limit == 1 or watch.id in self._left_out:
                groups.append([watch])
                continue
            key = recent.alike(watch)
            group = open_groups.get(key)
            if group is None or len(group) >= limit:
                group = open_groups[key] = []
                groups.append(group)
            group.append(watch)
        return groups

    async def ask(self, watches: Sequence[Watch]) -> list[Told | None]:
        """What the provider says about each task of a group, in their order.

        None for one that its answer left out: the next time it is asked about alone.
        """
        if len(watches) == 1:
            self._left_out.discard(watches[0].id)
            return [await self._ask(watches[0])]
        told = await self._ask_many(watches)
        if len(self._left_out) > LEFT_OUT:
            self._left_out.clear()  # some may be followed no longer
        self._left_out.update(watch.id for watch in watches if watch.id not in told)
        return [told.get(watch.id) for watch in watches]

    async def _ask(self, watch: Watch) -> Told:
        """About one task."""
        answer, catalogue = None, self._catalogue
        try:
            way = self._way(watch)
            answer = await self._asked(watch, way)
            seen = await self._read(watch, way, answer)
        except RingbackError as error:
            seen = Observation(trouble=_trouble(error))
        return self._told(seen, answer, watch.account, catalogue)

    def remember(self, watch: Watch, told: Told) -> None:
        """The watch has become what was told: the same answer again need not be read."""
        read = told.seen is not SAME and told.seen.trouble is None and told.catalogue is self._catalogue
        if watch.state.final:
            self._recent.forget(watch)
        elif read and told.answer is not None:
            self._recent.read(watch, told.seen, told.answer)

    async def _asked(self, watch: Watch, way: _Way) -> Answer:
        """Ask with a request that is there already, for all watches that are asked about alike or for this one."""
        key = recent.alike(watch)
        if way.provider.timeless and not watch.dialect and recent.is_plain(watch.task_id):
            try:
                known = self._known(key, recent.ANY, watch.account, way)
            except BadInput:
                known = None  # no request can be made about ANY: what is wrong is said of the task's own
            if known is not None and known.is_about_any:
                return await self._carried(known, watch.account, way, watch.task_id)
        known = self._known((*key, watch.task_id), watch.task_id, watch.account, way)
        return await self._carried(known, watch.account, way)

    def _known(self, key: Hashable, task_id: str, account: str, way: _Way) -> recent.Known:
        """The request about a task, made once: it is the same every time but for its signature."""
        made_of = recent.MadeOf(way.provider, way.terms, way.credentials)
        known = self._recent.request(key, made_of)
        if known is not None:
            return known
        ask = way.provider.ask(task_id, way.params, way.terms.base_url or "")
        known = recent.Known(*self._allowed(ask, account, way), made_of, recent.fits_any(ask))
        return self._recent.begin(key, known)

    async def _ask_many(self, watches: Sequence[Watch]) -> dict[str, Told]:
        """About several with one request, by the id of the watch; those that its answer leaves out are left out."""
        first, told, catalogue = watches[0], dict[str, Told](), self._catalogue
        every = [watch.id for watch in watches]
        ids = list(dict.fromkeys(watch.task_id for watch in watches))
        try:
            way = self._way(first)
            try:
                ask = way.provider.ask_many(ids, way.params, way.terms.base_url or "")
            except BadInput:
                return told  # one id that cannot be asked about hurts no other: each is asked about alone
            answer = await self._answer(ask, first.account, way)
            refused = way.provider.refusal(answer)
            if refused is not None and refused.trouble is not None and refused.trouble.code in OF_ONE:
                return told
            if refused is not None:
                return dict.fromkeys(every, self._told(refused, answer, first.account))
            parts = way.provider.split(answer, ids)
            there = [watch for watch in watches if watch.task_id in parts]
            every_seen = await asyncio.gather(*(self._read(watch, way, parts[watch.task_id]) for watch in there))
            for watch, seen in zip(there, every_seen, strict=True):
                told[watch.id] = self._told(seen, parts[watch.task_id], watch.account, catalogue)
        except RingbackError as error:
            trouble = Observation(trouble=_trouble(error))
            return dict.fromkeys(every, self._told(trouble, None, first.account))
        return told

    def about(self, provider: str) -> About | None:
        """What a provider is; None where its preset is gone: whoever asks will say why."""
        try:
            return self.catalogue.about(provider)
        except RingbackError:
            return None

    def at_once(self, provider: str) -> int:
        """How many tasks one request may ask about."""
        about = self.about(provider)
        return (about.batch if about is not None else None) or 1

    def _told(self, seen: Observation, answer: Answer | None, account: str, catalogue: Catalogue | None = None) -> Told:
        if seen.trouble is not None and seen.trouble.code == UNAUTHORIZED:
            self.credentials.doubt(account, self._clock.now())
        return Told(seen if answer is None else self._discreet(seen, account), answer, catalogue)

    def _way(self, watch: Watch) -> _Way:
        provider = self.catalogue.of(watch.provider, watch.dialect)
        terms = self._accounts.terms(watch.account)
        if terms is None and provider.about.needs_account:
            raise BadInput(
                f"account '{watch.account}' is not configured any more: its watches wait for it", code=NO_ACCOUNT
            )
        return _Way(provider, terms or NO_TERMS, {**watch.params, **watch.secrets}, self.credentials)

    async def _answer(self, ask: Ask, account: str, way: _Way) -> Answer:
        """Sign and send a request that is sent once."""
        return await self._carried(recent.Known(*self._allowed(ask, account, way)), account, way)

    async def _carried(self, known: recent.Known, account: str, way: _Way, task_id: str | None = None) -> Answer:
        """Sign and send one request; about this task, when it is one about any.

        Raises OutboundError, and BadInput when it cannot be signed.
        """
        about, now = way.provider.about, self._clock.now()
        if about.credentials:
            await way.credentials.freshen(account, now)
        prepared = self._prepared(known, account, way, now)
        if task_id is not None:
            prepared = recent.about(prepared, task_id)
        answer = await self._outbound.carry(prepared, timeout_s=TIMEOUT_S, body_limit=about.body_limit)
        return replace(answer, at=self._clock.now())

    def _prepared(self, known: recent.Known, account: str, way: _Way, now: datetime) -> Prepared:
        """The request as it goes out now: signed anew where the credential or the time has changed something."""
        try:
            given = way.credentials.reveal(account) if way.provider.about.credentials else NOTHING
            if known.prepared is not None and way.provider.timeless and given == known.given:
                return known.prepared
            signed = way.provider.sign(known.unsigned, given, now)
        except BadInput as error:
            raise BadInput(error.message, code=UNAUTHORIZED) from error
        known.given, known.prepared = given, self._outbound.prepare(signed, via=known.via)
        return known.prepared

    def _allowed(self, ask: Ask, account: str, way: _Way) -> tuple[Ask, Via]:
        """The request with the account's headers, if they may go there, and the way out.

        Raises BadInput when the credential may not. Where a caller had a say in the host, the guard looks where it
        leads.
        """
        about, terms = way.provider.about, way.terms
        trusted = terms.base_url or about.trusted
        may_go = way.credentials.may_go(account, ask.url, trusted, about.hosts)
        if about.credentials and not may_go:
            raise BadInput(f"the key of account '{account}' may not go to this host", code=BLOCKED_HOST)
        if may_go:
            ask = replace(ask, headers={**ask.headers, **terms.headers})
        ours = bool(trusted) and origin_of(ask.url) == origin_of(trusted)
        return ask, terms.via if ours else replace(terms.via, guarded=True)

    async def _read(self, watch: Watch, way: _Way, answer: Answer) -> Observation:
        """What an answer says, with the result that has to be asked for, too.

        Without it the task is not over, until it was asked for often enough.
        """
        if self._recent.same(watch, answer):
            return SAME
        seen = way.provider.read(answer, watch.task_id)
        try:
            ask = way.provider.ask_result(seen, answer, watch.task_id, way.params, way.terms.base_url or "")
            if ask is None:
                return seen
            self._accounts.asks(watch.account)
            whole = way.provider.read_result(seen, await self._answer(ask, watch.account, way))
        except OutboundError as error:
            whole = Observation(trouble=_trouble(error))
        except BadInput as error:
            whole = Observation(trouble=Trouble(NO_RESULT, error.message))
        if whole.trouble is None:
            return whole
        tried = watch.problem.count if watch.problem is not None and watch.problem.code == whole.trouble.code else 0
        return seen if tried + 1 >= RESULT_TRIES else whole

    def _discreet(self, seen: Observation, account: str) -> Observation:
        """Some vendors repeat the key that they refuse: it must not reach a log or a list. A short one is any word."""
        if seen.trouble is None:
            return seen
        message = seen.trouble.message
        with contextlib.suppress(BadInput):  # no such account, or its file is gone: then there is no key to look for
            for key in self.credentials.reveal(account).values():
                message = message.replace(key, "***") if len(key) >= KEY_AT_LEAST else message
        return replace(seen, trouble=replace(seen.trouble, message=message))


def _trouble(error: RingbackError) -> Trouble:
    """Why nothing was asked, or no answer was had."""
    if isinstance(error, OutboundError) or error.code in (NO_ACCOUNT, BLOCKED_HOST, UNAUTHORIZED):
        return Trouble(error.code, error.message)
    if isinstance(error, (UnknownName, PresetError)):
        return Trouble(NO_PROVIDER, error.message.splitlines()[0])
    if isinstance(error, BadInput):
        return Trouble(BAD_PARAMS, error.message)
    raise error
