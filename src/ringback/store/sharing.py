"""What is read from the disk repeats itself: an event says again what its watch says. It is kept in memory once.

Secret: which fields of which values are equal, mostly. What is not equal stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec.structs import force_setattr

from ringback.core.document import Document
from ringback.core.model import NOTHING, Change, Delivery, Event, Progress, TaskData, Watch
from ringback.store.base import Entry, Kept, Settlement

NAMES = 10_000
"""Names that are remembered while reading (of providers, accounts, destinations, origins), documents and progress."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_let = force_setattr
"""What is written out below costs a third of what a loop over names does, and there are a million values."""


class Sharing:
    """What was met so far in one reading."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._documents: dict[Document, Document] = {}
        self._progress: dict[tuple[object, ...], Progress] = {}

    def share(self, entry: Entry, known: Watch | None = None) -> None:
        """Make equal parts of an entry the same, and the same as those of the watch that is there already."""
        if isinstance(entry, Kept):
            self._watch(entry.watch, None)
            for _, event in entry.events:
                _event(event, entry.watch)
            self._deliveries(entry.deliveries, [event for _, event in entry.events], entry.watch)
            tried = [delivery.id for delivery in entry.deliveries if delivery.id in entry.attempts]
            _let(entry, "attempts", {id: entry.attempts[id] for id in tried})
        elif isinstance(entry, Change):
            self._watch(entry.watch, known)
            for event in entry.events:
                _event(event, entry.watch)
            self._deliveries(entry.deliveries, entry.events, entry.watch)
        elif isinstance(entry, Settlement):
            self._deliveries((entry.delivery,), (), known)

    def _watch(self, watch: Watch | None, known: Watch | None) -> None:
        if watch is None:
            return
        _let(watch, "provider", self._name(watch.provider))
        _let(watch, "account", self._name(watch.account))
        if watch.details is not None:
            _let(watch, "details", _one_of(self._documents, watch.details, watch.details))
        if watch.progress is not None:
            _let(watch, "progress", _one_of(self._progress, _exactly(watch.progress), watch.progress))
        for field in ("params", "secrets", "metadata"):
            if not getattr(watch, field):
                _let(watch, field, NOTHING)
        if known is not None:
            _as_before(watch, known)

    def _deliveries(self, deliveries: Sequence[Delivery], events: Sequence[Event], watch: Watch | None) -> None:
        by_id = {event.id: event for event in events}
        for delivery in deliveries:
            group = self._name(delivery.group)
            _let(delivery, "group", group)
            if delivery.destination == group:
                _let(delivery, "destination", group)
            if watch is not None and delivery.watch_id == watch.id:
                _let(delivery, "watch_id", watch.id)
            event = by_id.get(delivery.event_id)
            if event is not None:
                _let(delivery, "event_id", event.id)
                if delivery.created_at == event.at:
                    _let(delivery, "created_at", event.at)

    def _name(self, name: str) -> str:
        return _one_of(self._names, name, name)


def _one_of(met: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    """The first that had this key."""
    return met.setdefault(key, value) if len(met) < NAMES else met.get(key, value)


def _exactly(progress: Progress) -> tuple[object, ...]:
    """What tells progress apart where 1 and 1.0 are equal: they are not written alike."""
    value, total, fraction = progress.value, progress.total, progress.fraction
    return (value, type(value), total, type(total), fraction, type(fraction), progress.text)


def _as_before(watch: Watch, known: Watch) -> None:
    """Let a watch have what it had before."""
    _let(watch, "id", known.id)
    if watch.task_id == known.task_id:
        _let(watch, "task_id", known.task_id)
    if watch.registered_at == known.registered_at:
        _let(watch, "registered_at", known.registered_at)
    if watch.deadline_at == known.deadline_at:
        _let(watch, "deadline_at", known.deadline_at)


def _event(event: Event, watch: Watch | None) -> None:
    """Let an event have what its watch has, and the watch the times at which it moved."""
    if watch is None or not isinstance(event.data, TaskData):
        return
    _names_of(event.data, watch)
    _values_of(event.data, watch)
    at = event.at
    if event.data.observed_at == at:
        _let(event.data, "observed_at", at)
    if watch.changed_at == at:
        _let(watch, "changed_at", at)
    if watch.first_seen_at == at:
        _let(watch, "first_seen_at", at)
    if watch.last_polled_at == at:
        _let(watch, "last_polled_at", at)
    if watch.finished_at == at:
        _let(watch, "finished_at", at)


def _names_of(data: TaskData, watch: Watch) -> None:
    if (data.watch_id, data.task_id, data.owner) == (watch.id, watch.task_id, watch.owner):
        _let(data, "watch_id", watch.id)
        _let(data, "task_id", watch.task_id)
        _let(data, "owner", watch.owner)
    if (data.provider, data.account) == (watch.provider, watch.account):
        _let(data, "provider", watch.provider)
        _let(data, "account", watch.account)


def _values_of(data: TaskData, watch: Watch) -> None:
    if data.params == watch.params:
        _let(data, "params", watch.params)
    if data.metadata == watch.metadata:
        _let(data, "metadata", watch.metadata)
    if data.progress is not None and watch.progress is not None and _exactly(data.progress) == _exactly(watch.progress):
        _let(data, "progress", watch.progress)
    if data.details is not None and data.details == watch.details:
        _let(data, "details", watch.details)
    if data.result is not None and data.result == watch.result:
        _let(data, "result", watch.result)
    if data.registered_at == watch.registered_at:
        _let(data, "registered_at", watch.registered_at)
