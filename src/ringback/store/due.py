"""What is due when, by group: a heap of heaps.

Secret: how the longest due is found among groups of which some may not be handed out just now. Pure.

Each group (an account, a destination) has a heap of entries; `_heads` orders the groups by their first time. Both are
lazy: an entry counts only while it is the one in `_at` (or says what `_announced` says), stale ones are dropped when
met, and a group whose stale entries outnumber its live ones is built anew. What is claimed is away: it waits in a heap
of its own, which is short, since most are set again long before their lease ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from itertools import count

_Entry = tuple[float, int, str, str]
"""Time, number, id, group: the very same tuple in a heap and in `_at`, while it counts."""


class DueHeap:
    """Due times of ids, each in one group. Times are seconds on any one scale."""

    def __init__(self) -> None:
        self._at: dict[str, _Entry] = {}
        self._groups: dict[str, list[_Entry]] = {}
        self._live: dict[str, int] = {}
        self._heads: list[tuple[float, str]] = []
        self._announced: dict[str, float] = {}
        self._leased: set[str] = set()
        self._away: set[str] = set()
        self._leases: list[_Entry] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._at)

    def set(self, id: str, group: str, at: float) -> None:
        """Make an id due at a time, instead of when it was due before."""
        self.remove(id)
        entry = self._at[id] = (at, next(self._numbers), id, group)
        self._enter(entry)

    def remove(self, id: str) -> None:
        """Forget an id; one that is not there is fine."""
        self._leased.discard(id)
        known = self._at.pop(id, None)
        if id in self._away:
            self._away.remove(id)
        elif known is not None:
            self._live[known[3]] -= 1

    def claim(
        self, now: float, limit: int, limits: Mapping[str, int], until: float, others: int | None = None
    ) -> list[str]:
        """Up to `limit` ids that are due, the longest due first, and of a group no more than its limit.

        They are due again at `until`, unless set or removed before.
        """
        self._return(now)
        each = limit if others is None else others
        found: list[str] = []
        taken: dict[str, int] = {}
        passed: list[str] = []
        while len(found) < limit and self._heads and self._heads[0][0] <= now:
            at, group = heapq.heappop(self._heads)
            if self._announced.get(group) != at:
                continue
            del self._announced[group]
            heap = self._trimmed(group)
            if not heap or heap[0][0] > at:
                self._announce(group)
            elif taken.get(group, 0) >= limits.get(group, each):
                passed.append(group)
            else:
                id = heapq.heappop(heap)[2]
                found.append(id)
                taken[group] = taken.get(group, 0) + 1
                self._lend(id, group, until)
                self._announce(group)
        for group in passed:
            self._announce(group)
        return found

    def leased(self, id: str) -> bool:
        """Whether an id was claimed and neither set nor removed since."""
        return id in self._leased

    def next_at(self, without: Collection[str]) -> float | None:
        """The earliest due time, leaving out some groups."""
        times = (self._next_due(without), self._next_lease(without))
        return min((at for at in times if at is not None), default=None)

    def _next_due(self, without: Collection[str]) -> float | None:
        if without:
            heaps = [self._trimmed(group) for group in list(self._groups) if group not in without]
            return min((heap[0][0] for heap in heaps if heap), default=None)
        while self._heads:
            at, group = self._heads[0]
            heap = self._trimmed(group)
            if self._announced.get(group) == at and heap and heap[0][0] == at:
                return at
            heapq.heappop(self._heads)
            if self._announced.get(group) == at:
                del self._announced[group]
            self._announce(group)
        return None

    def _next_lease(self, without: Collection[str]) -> float | None:
        while self._leases and not self._counts(self._leases[0]):
            heapq.heappop(self._leases)
        if not self._leases or self._leases[0][3] not in without:
            return self._leases[0][0] if self._leases else None
        return min((e[0] for e in self._leases if e[3] not in without and self._counts(e)), default=None)

    def shift(self, by: float) -> None:
        """Move every due time."""
        self._leases = self._shifted(self._leases, by)
        for group in list(self._groups):
            self._rebuild(group, by)

    # ------------------------------------------------------------------ leases

    def _lend(self, id: str, group: str, until: float) -> None:
        """The id is away, and due again then."""
        self._live[group] -= 1
        self._leased.add(id)
        self._away.add(id)
        entry = self._at[id] = (until, next(self._numbers), id, group)
        heapq.heappush(self._leases, entry)

    def _return(self, now: float) -> None:
        """Whoever had it did nothing with it in time: it is due like any other."""
        while self._leases and (self._leases[0][0] <= now or not self._counts(self._leases[0])):
            entry = heapq.heappop(self._leases)
            if self._counts(entry):
                self._away.remove(entry[2])
                self._enter(entry)

    # ------------------------------------------------------------------ groups

    def _enter(self, entry: _Entry) -> None:
        group = entry[3]
        self._live[group] = self._live.get(group, 0) + 1
        heap = self._groups.setdefault(group, [])
        heapq.heappush(heap, entry)
        if len(heap) > 64 + 2 * self._live[group]:
            self._rebuild(group)
        elif heap[0] is entry:
            self._announce(group)

    def _trimmed(self, group: str) -> list[_Entry]:
        heap = self._groups.get(group)
        if heap is None:
            return []
        while heap and not self._counts(heap[0]):
            heapq.heappop(heap)
        if not heap:
            del self._groups[group], self._live[group]
            self._announced.pop(group, None)
        return heap

    def _counts(self, entry: _Entry) -> bool:
        return self._at.get(entry[2]) is entry

    def _announce(self, group: str) -> None:
        heap = self._trimmed(group)
        if heap and self._announced.get(group) != heap[0][0]:
            self._announced[group] = heap[0][0]
            heapq.heappush(self._heads, (heap[0][0], group))
            if len(self._heads) > 64 + 2 * len(self._announced):
                self._heads = [(at, name) for name, at in self._announced.items()]
                heapq.heapify(self._heads)

    def _rebuild(self, group: str, by: float = 0.0) -> None:
        self._groups[group] = self._shifted(self._groups[group], by)
        self._announce(group)

    def _shifted(self, entries: list[_Entry], by: float) -> list[_Entry]:
        """A heap of those that count, later by so much."""
        live = [entry for entry in entries if self._counts(entry)]
        if by:
            live = [(at + by, number, id, group) for at, number, id, group in live]
            self._at.update((entry[2], entry) for entry in live)
        heapq.heapify(live)
        return live
