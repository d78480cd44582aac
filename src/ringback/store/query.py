"""Pages of a table: watches, events, deliveries.

Secret: what a cursor is. A watch's or delivery's is its time in microseconds and its id, an event's its position in the
feed: letters, digits, dots and underscores, so that it stands in a URL and in a shell as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import dropwhile, islice
from typing import TypeVar

from ringback.core.errors import BadInput
from ringback.core.model import Delivery, Event, Watch
from ringback.store.base import DeliveryQuery, EventQuery, Page, WatchQuery
from ringback.store.table import Table

LIMIT = 1000
"""Rows a page at most."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_Row = TypeVar("_Row", Watch, Delivery)


def watches(table: Table, query: WatchQuery) -> Page[Watch]:
    """Newest first."""
    found = (
        watch
        for watch in _older(table.watches, query.cursor, _registered_at)
        if query.owner in (None, watch.owner)
        and (not query.states or watch.state in query.states)
        and query.provider in (None, watch.provider)
        and query.account in (None, watch.account)
    )
    return _page(found, query.limit, _registered_at)


def deliveries(table: Table, query: DeliveryQuery) -> Page[Delivery]:
    """Newest first."""
    found = (
        delivery
        for delivery in _older(table.deliveries, query.cursor, _created_at)
        if query.owner in (None, delivery.owner)
        and query.state in (None, delivery.state)
        and query.destination in (None, delivery.destination)
        and query.watch in (None, delivery.watch_id)
    )
    return _page(found, query.limit, _created_at)


def events(table: Table, query: EventQuery) -> Page[Event]:
    """Oldest first; the feed always has a next page, to be asked for later."""
    after = _position(query.cursor)
    found = list(islice(_events_after(table, after, query), min(query.limit, LIMIT)))
    return Page([event for _, event in found], str(found[-1][0] if found else after))


def _events_after(table: Table, after: int, query: EventQuery) -> Iterator[tuple[int, Event]]:
    for position, event in _candidates(table, after, query.watch):
        if (
            position > after
            and query.owner in (None, event.owner)
            and (query.type is None or fnmatchcase(event.type.value, query.type))
        ):
            yield position, event


def _candidates(table: Table, after: int, watch_id: str | None) -> Iterable[tuple[int, Event]]:
    if watch_id is not None:
        watch = table.watches.get(watch_id)
        return (table.events[event.id] for event in table.events_of(watch)) if watch is not None else ()
    if after <= 0:
        return table.events.values()
    newer: list[tuple[int, Event]] = []
    for row in reversed(table.events.values()):
        if row[0] <= after:
            break
        newer.append(row)
    return reversed(newer)


def _page(rows: Iterable[_Row], limit: int, time: Callable[[_Row], datetime]) -> Page[_Row]:
    asked = min(limit, LIMIT)
    found = list(islice(rows, asked + 1))
    page = found[:asked]
    more = len(found) > asked and page
    return Page(page, _cursor(time(page[-1]), page[-1].id) if more else None)


def _older(rows: dict[str, _Row], cursor: str | None, time: Callable[[_Row], datetime]) -> Iterator[_Row]:
    """Rows stand in the order in which they were added, which is only nearly that of their times.

    So the last row of a page is the mark for the next. When it is gone meanwhile its time has to do: a row of the same
    time may then come twice, and none is left out.
    """
    before = _time_and_id(cursor)
    newest_first = reversed(rows.values())
    if before is None:
        return newest_first
    at, id = before
    if id not in rows:
        return (row for row in newest_first if time(row) <= at)
    return islice(dropwhile(lambda row: row.id != id, newest_first), 1, None)


def _registered_at(watch: Watch) -> datetime:
    return watch.registered_at


def _created_at(delivery: Delivery) -> datetime:
    return delivery.created_at


def _position(cursor: str | None) -> int:
    try:
        return int(cursor) if cursor else 0
    except ValueError:
        raise _bad(cursor) from None


def _cursor(at: datetime, id: str) -> str:
    return f"{(at - EPOCH) // MICROSECOND}.{id}"


def _time_and_id(cursor: str | None) -> tuple[datetime, str] | None:
    if not cursor:
        return None
    number, _, id = cursor.partition(".")
    try:
        at = EPOCH + int(number) * MICROSECOND
    except (ValueError, OverflowError):
        raise _bad(cursor) from None
    if not id:
        raise _bad(cursor)
    return at, id


def _bad(cursor: str | None) -> BadInput:
    return BadInput(f"'{cursor}' is no cursor: pass the 'next' of the page before", code="bad_cursor")


def moment(seconds: float | None) -> datetime | None:
    """Epoch seconds as a time."""
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
