"""The one door: registering, abandoning and hastening, for the command line, HTTP and the configuration file.

    registration -> checked -> watch found? -> new, joined or reopened -> commit

Secret: what makes a registration good, and what a second one for the same task adds. Idempotent on a watch's identity:
whoever commits second reads again and joins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from ringback.core import advance, ids, lifecycle, retry, routing
from ringback.core.errors import BadInput, Conflict, Stale, UnknownName
from ringback.core.model import (
    REOPEN_BY_THEMSELVES,
    Callback,
    Change,
    Delivery,
    DeliveryState,
    EventType,
    Watch,
    WatchState,
)
from ringback.core.routing import Routes, Target
from ringback.fields import CALLBACKS, metadata_of
from ringback.registration import ADMIN, Caller, Draft, Registration, Terms, draft
from ringback.store.base import DeliveryQuery, Reschedule, Store

TRIES = 128
"""Commits that met somebody else's before we say so: each reads again and joins."""

AT_ONCE = 200
"""Deliveries that are resent in one commit."""


class Registered(msgspec.Struct, frozen=True):
    """The watch, and whether it was made just now."""

    watch: Watch
    created: bool


class Intake:
    """Registers, abandons and hastens watches."""

    def __init__(self, store: Store, now: Callable[[], datetime], *, terms: Terms, wake: Callable[[], None]) -> None:
        self.terms = terms
        self._store = store
        self._now = now
        self._wake = wake

    async def register(self, asked: Registration, caller: Caller = ADMIN) -> Registered:
        """Judge what is asked, and follow it. Raises BadInput, Forbidden, StoreError."""
        wanted = draft(asked, caller, self.terms)
        if wanted.callback is not None:
            await self._examine("callback_url", wanted.callback.url)
        if wanted.dialect:
            await self._examine("ask.url", wanted.url)
        return await self.follow(wanted)

    async def _examine(self, field: str, url: str) -> None:
        """Refuse a URL of the caller's that leads where none of those may."""
        why = await self.terms.egress.examine(url) if self.terms.egress is not None else None
        if why is not None:
            raise BadInput(f"{field}: {why}", code="egress_denied")

    async def follow(self, wanted: Draft, *, standing: bool = False) -> Registered:
        """Follow a task, or join its watch. Raises BadInput when it takes no more, StoreError.

        `standing`: it is in the configuration, which is read again and again: it reopens nothing and moves no deadline.
        """
        for _ in range(TRIES):
            known = await self._store.watch(wanted.id)
            now = self._now()
            watch = _new(wanted, now) if known is None else _joined(known, wanted, now, standing=standing)
            if watch == known:
                return Registered(watch, created=False)
            try:
                await self._store.commit(Change(watch=watch, deliveries=await self._owed_to_newcomers(known, watch)))
            except Stale:
                continue
            return Registered(watch, created=known is None)
        raise Stale(f"watch {wanted.id} is changed by many at once: try again", watch=wanted.id)

    async def find(self, id: str, caller: Caller = ADMIN) -> Watch:
        """A watch that the caller may see. Raises UnknownName."""
        watch = await self._store.watch(id)
        if watch is None or caller.sees not in (None, watch.owner):
            raise UnknownName(f"there is no watch '{id}': `ringback list` shows those there are", watch=id)
        return watch

    async def abandon(self, id: str, caller: Caller = ADMIN) -> Watch:
        """Stop following; what is owed is still delivered. One that is over stays as it is. Raises UnknownName."""
        for _ in range(TRIES):
            watch = await self.find(id, caller)
            if watch.state.final:
                return watch
            now = self._now()
            after = replace(lifecycle.end(watch, WatchState.ABANDONED, now), next_poll_at=None)
            after, change = advance.keep(watch, after, None, self.terms.routes, now)
            try:
                await self._store.commit(change)
            except Stale:
                continue
            return after
        raise Stale(f"watch {id} is changed by many at once: try again", watch=id)

    async def poll_soon(self, id: str, caller: Caller = ADMIN) -> Watch:
        """Poll as soon as the provider's Retry-After allows. Raises UnknownName, Conflict when it is final."""
        watch = await self.find(id, caller)
        if watch.state.final:
            raise Conflict(f"watch {id} is {watch.state.value}: register it with reopen to follow it again", watch=id)
        soon = replace(watch, next_poll_at=max(self._now(), watch.not_before_at or self._now()))
        await self._store.reschedule([Reschedule(soon)])
        self._wake()
        return soon

    async def resend(self, id: str, caller: Caller = ADMIN) -> Delivery:
        """Owe a settled delivery again, from the start of its schedule. Raises UnknownName, Conflict when pending."""
        found = await self._store.delivery(id)
        if found is None or caller.sees not in (None, found[0].owner):
            raise UnknownName(f"there is no delivery '{id}': `ringback deliveries` shows those there are", delivery=id)
        if found[0].state is DeliveryState.PENDING:
            raise Conflict(f"delivery {id} is pending: it is sent when its time comes", delivery=id)
        again = retry.anew(found[0], self._now())
        await self._store.commit(Change(deliveries=(again,)))
        return again

    async def resend_many(
        self,
        *,
        state: DeliveryState | None = None,
        destination: str | None = None,
        since: datetime | None = None,
        caller: Caller = ADMIN,
    ) -> int:
        """Owe again all settled deliveries that match, the oldest first; returns how many. Raises BadInput."""
        if state is None and destination is None and since is None:
            raise BadInput("resend: say which, with at least one of state, destination and since", code="too_wide")
        if state is DeliveryState.PENDING:
            raise BadInput("state: pending deliveries are sent anyway; resend discarded, superseded or delivered ones")
        found = await self._settled(DeliveryQuery(owner=caller.sees, state=state, destination=destination), since)
        oldest_first = found[::-1]
        slices = [oldest_first[start : start + AT_ONCE] for start in range(0, len(found), AT_ONCE)]
        return sum([await self._owe_again(few) for few in slices])

    async def _owe_again(self, few: list[Delivery]) -> int:
        """One commit; when somebody else has settled or resent one of them meanwhile, one each."""
        try:
            await self._store.commit(Change(deliveries=tuple(retry.anew(one, self._now()) for one in few)))
        except Stale:
            return sum([await self._owe_again([one]) for one in few]) if len(few) > 1 else 0
        return len(few)

    async def _settled(self, query: DeliveryQuery, since: datetime | None) -> list[Delivery]:
        """Every settled delivery that matches, the newest first."""
        found: list[Delivery] = []
        while True:
            page = await self._store.deliveries(query)
            found += [
                delivery
                for delivery in page.items
                if delivery.settled_at is not None and (since is None or delivery.settled_at >= since)
            ]
            if page.next is None:
                return found
            query = replace(query, cursor=page.next)

    async def _owed_to_newcomers(self, before: Watch | None, after: Watch) -> tuple[Delivery, ...]:
        """Whoever joins a watch that is over gets its final event at once."""
        if before is None or not after.state.final:
            return ()
        event = await self._store.event(ids.event_id(after.id, after.sequence))
        if event is None:
            return ()
        owed = advance.owed(event, _newcomers(before, after, event.type, self.terms.routes), self._now())
        anew = [await self._owed_anew(delivery) for delivery in owed]
        return tuple(delivery for delivery in anew if delivery is not None)

    async def _owed_anew(self, delivery: Delivery) -> Delivery | None:
        """One that was given up before keeps its attempts; None when it is owed anyway, or was had."""
        known = await self._store.delivery(delivery.id)
        if known is None:
            return delivery
        if known[0].state in (DeliveryState.PENDING, DeliveryState.DELIVERED):
            return None
        return retry.anew(known[0], delivery.created_at)


def _new(wanted: Draft, now: datetime) -> Watch:
    return Watch(
        id=wanted.id,
        owner=wanted.owner,
        provider=wanted.provider,
        account=wanted.account,
        task_id=wanted.task_id,
        params=wanted.params,
        secrets=wanted.secrets,
        dialect=wanted.dialect,
        key=_key(wanted, wanted.params),
        metadata=wanted.metadata,
        to=wanted.to,
        events=wanted.events,
        callbacks=(wanted.callback,) if wanted.callback is not None else (),
        interval=wanted.interval,
        registered_at=now,
        changed_at=now,
        deadline_at=now + wanted.deadline,
        next_poll_at=now,
    )


def _joined(watch: Watch, wanted: Draft, now: datetime, *, standing: bool = False) -> Watch:
    """A known watch with what the registration adds; the same watch when it adds nothing."""
    params = watch.params if wanted.given.items() <= watch.params.items() else {**watch.params, **wanted.given}
    joined = replace(
        watch,
        params=params,
        key=_key(wanted, params),
        callbacks=_with(watch.callbacks, wanted.callback),
        to=watch.to if wanted.to is None else tuple(dict.fromkeys((*(watch.to or ()), *wanted.to))),
        events=_events(watch, wanted),
        metadata=metadata_of({**watch.metadata, **wanted.metadata}),
        interval=wanted.interval or watch.interval,
        secrets=wanted.secrets or watch.secrets,
        dialect=wanted.dialect or watch.dialect,
    )
    if standing:
        pass
    elif watch.state in REOPEN_BY_THEMSELVES or (watch.state.final and wanted.reopen):
        joined = lifecycle.reopen(joined, now + wanted.deadline, now)
    elif wanted.deadline_given and not watch.state.final:
        deadline_at = now + wanted.deadline
        due = min(joined.next_poll_at or now, deadline_at)
        joined = replace(joined, deadline_at=deadline_at, next_poll_at=due)
    if joined.interval and joined.interval != watch.interval and joined.next_poll_at is not None:
        soon = max(now + joined.interval, joined.not_before_at or now)
        joined = replace(joined, next_poll_at=min(joined.next_poll_at, soon))
    return watch if joined == watch else replace(joined, version=watch.version + 1)


def _key(wanted: Draft, params: Mapping[str, str]) -> str:
    """What durations are learned by, beside the provider and the account."""
    return params.get(wanted.learn_by or "", "")


def _events(watch: Watch, wanted: Draft) -> tuple[str, ...] | None:
    """The filter of a watch's `to`: a registration that names nobody in `to` does not narrow it for the others."""
    if wanted.to is None or wanted.events is None:
        return watch.events
    return wanted.events if watch.to is None else tuple(dict.fromkeys((*(watch.events or ()), *wanted.events)))


def _with(callbacks: tuple[Callback, ...], newcomer: Callback | None) -> tuple[Callback, ...]:
    if newcomer is None:
        return callbacks
    others = tuple(callback for callback in callbacks if callback.id != newcomer.id)
    if len(others) >= CALLBACKS:
        raise BadInput(f"callback_url: a watch takes at most {CALLBACKS} callbacks", code="too_many_callbacks")
    if len(others) == len(callbacks):
        return (*callbacks, newcomer)
    return tuple(newcomer if callback.id == newcomer.id else callback for callback in callbacks)


def _newcomers(before: Watch, after: Watch, event: EventType, routes: Routes) -> Iterable[Target]:
    known = {callback.id for callback in before.callbacks}
    for name in after.to or ():
        if name not in (before.to or ()) and routing.wants_by_name(name, after, event, routes):
            yield routes.target(name)
    for callback in after.callbacks:
        if callback.id not in known and routing.wants(callback, event):
            yield routing.to_callback(callback)
