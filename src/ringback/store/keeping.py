"""Taking the rows of a snapshot while the table goes on changing.

Secret: how that is consistent without a copy. A row is taken when its turn comes, or at the last moment before an entry
changes it; so every row is as it was at the start. (A poll that changed nothing may move a row before it is taken: that
is what may be forgotten anyway.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ringback.core.model import Change
from ringback.store.base import Entry, Kept, Pruned, Settlement, Shifted


class Keeping:
    """The rows of one snapshot; `row` gives a watch's row as it is just now."""

    def __init__(self, watches: Iterable[str], ourselves: Kept, row: Callable[[str], Kept]) -> None:
        self._row = row
        self._left = dict.fromkeys(watches)
        self._turns = iter(list(self._left))
        self._early: dict[str, Kept] = {}
        self._ourselves: Kept | None = ourselves

    def before(self, entry: Entry) -> None:
        """The entry is about to be applied: take what it changes."""
        match entry:
            case Change():
                changed = {delivery.watch_id for delivery in entry.deliveries}
                changed.update(event.watch_id for event in entry.events)
                if entry.watch is not None:
                    changed.add(entry.watch.id)
            case Settlement():
                changed = {entry.delivery.watch_id}
            case Pruned():
                changed = set(entry.watches)
            case Shifted():
                changed = set(self._left)
            case _:
                changed = set()
        for id in changed:
            if id in self._left:
                self._early[id] = self._row(id)
                del self._left[id]

    def take(self, limit: int) -> list[Kept]:
        """The next rows, in the order of the table; none at the end."""
        rows: list[Kept] = []
        for id in self._turns:
            if id in self._left:
                rows.append(self._row(id))
                del self._left[id]
            else:
                rows.append(self._early.pop(id))
            if len(rows) >= limit:
                return rows
        if self._ourselves is not None:
            rows.append(self._ourselves)
            self._ourselves = None
        return rows
