"""What is queued to be written and does not count yet.

    claimed   watches and deliveries that a queued entry decides on: whoever decides on them too is Stale
    touched   watches (and events about ourselves) that any queued entry is about: they are not pruned now
    going     what a queued entry forgets: whatever is about it is Stale
    shifting  steps of the clock that are queued: every watch moves on by them, so what was decided before is Stale

Secret: which entries may be queued at the same time. No I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import timedelta

from msgspec.structs import replace

from ringback.core import lifecycle, retry
from ringback.core.errors import Stale
from ringback.core.model import Change, Delivery
from ringback.store.base import Entry, Pruned, Settlement, Shifted


class InFlight:
    """The entries between being checked and being durable."""

    def __init__(self) -> None:
        self._claimed: set[str] = set()
        self._touched: Counter[str] = Counter()
        self._going: set[str] = set()
        self._shifting = timedelta()

    @property
    def touched(self) -> Collection[str]:
        """What must not be pruned now."""
        return self._touched.keys()

    def refuse(self, entry: Change | Settlement) -> None:
        """Raise Stale when somebody else's decision on the same thing is being written."""
        met = next((id for id in _claims(entry) if id in self._claimed), None) or next(
            (id for id in _subjects(entry) if id in self._going), None
        )
        if met is None and self._shifting and isinstance(entry, Change) and entry.watch and entry.watch.version > 1:
            met = entry.watch.id
        if met is not None:
            raise Stale(f"{met} is being changed by somebody else", id=met)

    def moved(self, entry: Change | Settlement) -> Change | Settlement:
        """The entry as it has to be after the steps that are queued before it: it was decided on the old times."""
        by = self._shifting
        if not by:
            return entry
        if isinstance(entry, Settlement):
            return replace(entry, delivery=retry.shifted(entry.delivery, by))
        watch = entry.watch
        return replace(
            entry,
            watch=replace(lifecycle.shifted(watch, by), version=watch.version) if watch is not None else None,
            deliveries=tuple(retry.shifted(delivery, by) for delivery in entry.deliveries),
        )

    def enter(self, entry: Entry) -> None:
        """The entry is queued."""
        self._claimed.update(_claims(entry))
        self._touched.update(_subjects(entry))
        if isinstance(entry, Pruned):
            self._going.update(_subjects(entry))
        if isinstance(entry, Shifted):
            self._shifting += entry.by

    def leave(self, entry: Entry) -> None:
        """The entry is durable, or refused."""
        self._claimed.difference_update(_claims(entry))
        for id in _subjects(entry):
            self._touched[id] -= 1
            if not self._touched[id]:
                del self._touched[id]
        if isinstance(entry, Pruned):
            self._going.difference_update(_subjects(entry))
        if isinstance(entry, Shifted):
            self._shifting -= entry.by


def _claims(entry: Entry) -> list[str]:
    match entry:
        case Change():
            claimed = [delivery.id for delivery in entry.deliveries]
            return [entry.watch.id, *claimed] if entry.watch is not None else claimed
        case Settlement():
            return [entry.delivery.id]
        case Pruned():
            return [*entry.watches, *entry.events]
        case _:
            return []


def _subjects(entry: Entry) -> set[str]:
    match entry:
        case Change():
            subjects = {_subject(delivery) for delivery in entry.deliveries}
            subjects.update(event.watch_id or event.id for event in entry.events)
            return subjects | {entry.watch.id} if entry.watch is not None else subjects
        case Settlement():
            return {_subject(entry.delivery)}
        case Pruned():
            return {*entry.watches, *entry.events}
        case _:
            return set()


def _subject(delivery: Delivery) -> str:
    return delivery.watch_id or delivery.event_id
