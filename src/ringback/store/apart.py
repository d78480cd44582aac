"""A store in memory whose large documents are not: they are read when somebody asks.

Secret: that reading takes time, in which the value may move on and its files be removed; then it is read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from ringback.core.errors import StoreDamaged
from ringback.core.model import Answer, Event, Watch
from ringback.store import query as pages
from ringback.store import results
from ringback.store.base import EventQuery, Owed, Page, Reschedule, WatchQuery
from ringback.store.memory import MemoryStore
from ringback.store.noted import Noted
from ringback.store.results import Results

READS_AT_MOST = 3
"""How often a value is read again that changes while its documents are read."""

THREADS = 4
"""How many documents or snapshots are read and written at once."""

_Value = TypeVar("_Value", Watch, Event)
_From = TypeVar("_From")
_To = TypeVar("_To")


class Report(Protocol):
    """Told, on the loop, of what somebody should know.

    `fact` is one of `torn_tail`, `copied_aside`, `orphans_removed`, `compacted`, `compaction_failed`, `store_full`,
    `space_returned`, `store_broken`, `result_damaged`.
    """

    def __call__(self, fact: str, **facts: object) -> None:
        """Note it."""


class ApartStore(MemoryStore):
    """What is claimed, read and noted, with texts from files; how they come there is the journal's."""

    def __init__(self, files: Results, report: Report) -> None:
        super().__init__()
        self._results = files
        self._report = report
        self._noted = Noted()
        self._has_polled = False
        # Threads of its own: those of the loop may all be waiting for somebody's slow name server.
        self._threads = ThreadPoolExecutor(THREADS, "ringback-store")

    async def reschedule(self, polls: Sequence[Reschedule]) -> list[str]:
        """Note them. Answers stand beside the table, which holds what is kept and nothing else."""
        self._has_polled = True
        answered = [poll for poll in polls if poll.answer is not None]
        if not answered:
            return await super().reschedule(polls)
        for poll in answered:
            if poll.answer is not None and self.table.counts(poll):
                self._noted.note(poll.watch.id, poll.answer)
        return await super().reschedule([Reschedule(poll.watch) for poll in polls])

    async def claim_deliveries(
        self, now: datetime, limit: int, lease: timedelta, limits: Mapping[str, int], others: int | None = None
    ) -> list[Owed]:
        """What is due. One whose documents cannot be read stays leased and is reported; the others go out."""
        claimed = self.table.claim_lanes(now, limit, lease, limits, others)
        if not any(results.has_stub(owed.event) for owed in claimed):
            return claimed
        found = await self._in_thread(lambda: [_tried(self._results.whole, owed.event) for owed in claimed])
        for owed, event in zip(claimed, found, strict=True):
            if isinstance(event, StoreDamaged) and owed.event.id in self.table.events:
                self._report("result_damaged", message=event.message, delivery=owed.delivery.id, **event.facts)
        return [
            replace(owed, event=event)
            for owed, event in zip(claimed, found, strict=True)
            if not isinstance(event, StoreDamaged)
        ]

    async def watch(self, id: str) -> Watch | None:
        """One watch."""
        found = await self._whole([id], self.table.watches.get)
        return found[0] if found else None

    async def event(self, id: str) -> Event | None:
        """One event."""
        found = await self._whole([id], self._event)
        return found[0] if found else None

    async def watches(self, query: WatchQuery) -> Page[Watch]:
        """A page."""
        page = pages.watches(self.table, query)
        return Page(await self._whole([watch.id for watch in page.items], self.table.watches.get), page.next)

    async def events(self, query: EventQuery) -> Page[Event]:
        """A page."""
        page = pages.events(self.table, query)
        return Page(await self._whole([event.id for event in page.items], self._event), page.next)

    async def answer(self, watch_id: str) -> Answer | None:
        """The last answer, noted or kept."""
        noted = self._noted.get(watch_id)
        if noted is not None:
            return noted
        for _ in range(READS_AT_MOST):
            found = self.table.answers.get(watch_id)
            if found is None:
                return None
            try:
                return await self._in_thread(self._results.whole_answer, watch_id, found)
            except StoreDamaged:
                if self.table.answers.get(watch_id) == found:
                    raise
        return None

    def _event(self, id: str) -> Event | None:
        found = self.table.events.get(id)
        return found[1] if found else None

    async def _in_thread(self, act: Callable[..., _To], *args: Any) -> _To:
        """Do what waits for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(act, *args))

    async def _whole(self, ids: Sequence[str], find: Callable[[str], _Value | None]) -> list[_Value]:
        """Values with all their texts, read in a thread. Raises StoreDamaged."""
        for _ in range(READS_AT_MOST):
            found = [value for value in map(find, ids) if value is not None]
            if not any(map(results.has_stub, found)):
                return found
            try:
                return await self._in_thread(lambda values: [self._results.whole(value) for value in values], found)
            except StoreDamaged:
                if all(find(value.id) is value for value in found):
                    raise
        return []


def _tried(read: Callable[[_From], _To], value: _From) -> _To | StoreDamaged:
    """What was read, or the damage that was met, as a value."""
    try:
        return read(value)
    except StoreDamaged as exc:
        return exc
