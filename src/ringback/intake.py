"""The one door: registering, abandoning and hastening, for the command line, HTTP and the configuration file.

    registration -> checked -> watch found? -> new, joined or reopened -> commit

Secret: what makes a registration good, and what a second one for the same task adds. Idempotent on a watch's identity:
whoever commits second reads again and joins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    EventType,
    Watch,
    WatchState,
)
from ringback.core.routing import Routes, Target
from ringback.fields import CALLBACKS, metadata_of
from ringback.providers.base import Catalogue
from ringback.registration import ADMIN, Caller, Draft, Registration, Terms, draft
from ringback.store.base import Reschedule, Store

TRIES = 8
"""Commits that met somebody else's before we say so: each reads again and joins."""


class Registered(msgspec.Struct, frozen=True):
    """The watch, and whether it was made just now."""

    watch: Watch
    created: bool


class Intake:
    """Registers, abandons and hastens watches."""

    def __init__(
        self, store: Store, catalogue: Catalogue, now: Callable[[], datetime], *, terms: Terms, wake: Callable[[], None]
    ) -> None:
        self.terms = terms
        self._store = store
        self._catalogue = catalogue
        self._now = now
        self._wake = wake

    async def register(self, asked: Registration, caller: Caller = ADMIN) -> Registered:
        """Judge what is asked, and follow it. Raises BadInput, Forbidden, StoreError."""
        return await self.follow(draft(asked, caller, self.terms, self._catalogue))

    async def follow(self, wanted: Draft) -> Registered:
        """Follow a task, or join its watch. Raises BadInput when it takes no more, StoreError."""
        for _ in range(TRIES):
            known = await self._store.watch(wanted.id)
            now = self._now()
            watch = _new(wanted, now) if known is None else _joined(known, wanted, now)
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

    async def _owed_to_newcomers(self, before: Watch | None, after: Watch) -> tuple[Delivery, ...]:
        """Whoever joins a watch that is over gets its final event at once."""
        if before is None or not after.state.final:
            return ()
        event = await self._store.event(ids.event_id(after.id, after.sequence))
        if event is None:
            return ()
        owed = advance.owed(event, _newcomers(before, after, event.type, self.terms.routes), self._now())
        return tuple([await self._owed_anew(delivery) for delivery in owed])

    async def _owed_anew(self, delivery: Delivery) -> Delivery:
        """One that was owed before (a callback that was dropped and came back) keeps its attempts."""
        known = await self._store.delivery(delivery.id)
        return retry.anew(known[0], delivery.created_at) if known is not None else delivery


def _new(wanted: Draft, now: datetime) -> Watch:
    return Watch(
        id=wanted.id,
        owner=wanted.owner,
        provider=wanted.provider,
        account=wanted.account,
        task_id=wanted.task_id,
        params=wanted.params,
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


def _joined(watch: Watch, wanted: Draft, now: datetime) -> Watch:
    """A known watch with what the registration adds; the same watch when it adds nothing."""
    joined = replace(
        watch,
        callbacks=_with(watch.callbacks, wanted.callback),
        to=watch.to if wanted.to is None else tuple(dict.fromkeys((*(watch.to or ()), *wanted.to))),
        events=wanted.events or watch.events,
        metadata=metadata_of({**watch.metadata, **wanted.metadata}),
        interval=wanted.interval or watch.interval,
    )
    if watch.state in REOPEN_BY_THEMSELVES or (watch.state.final and wanted.reopen):
        joined = lifecycle.reopen(joined, now + wanted.deadline, now)
    elif wanted.deadline_given and not watch.state.final:
        joined = replace(joined, deadline_at=now + wanted.deadline)
    return watch if joined == watch else replace(joined, version=watch.version + 1)


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
            yield Target(name, name)
    for callback in after.callbacks:
        if callback.id not in known and routing.wants(callback, event):
            yield routing.to_callback(callback)
