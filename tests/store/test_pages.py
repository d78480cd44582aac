"""Pages: nothing twice, nothing left out, whatever the times and whatever is forgotten between two pages."""

from datetime import timedelta

import given
import pytest
from hypothesis import given as each
from hypothesis import strategies as st
from msgspec.structs import replace

from ringback.core.model import Change, WatchState
from ringback.core.routing import Routes
from ringback.store import query as pages
from ringback.store.base import DeliveryQuery, EventQuery, Pruned, WatchQuery
from ringback.store.table import Table
from tests.store import steps

NOW = given.NOW


def _table(seconds):
    """Watches that were registered at these seconds, in this order, each with an event that is owed."""
    table = Table()
    for number, second in enumerate(seconds):
        at = NOW + timedelta(seconds=second)
        watch = given.watch(f"task-{number}", registered_at=at, owner="ci" if number % 2 else "me")
        table.apply(Change(watch=watch), 2 * number + 1)
        table.apply(steps.moved(watch, "queued", at=at), 2 * number + 2)
    return table


def _all(ask, table, query):
    found = []
    while True:
        page = ask(table, query)
        assert len(page.items) <= query.limit
        found += [item.id for item in page.items]
        if page.next is None or not page.items:
            return found
        query = replace(query, cursor=page.next)


@each(seconds=st.lists(st.integers(-3, 3), max_size=25), limit=st.integers(1, 7))
def test_pages_together_are_everything_once(seconds, limit):
    """Newest added first, also where clocks stood still or went back."""
    table = _table(seconds)
    assert _all(pages.watches, table, WatchQuery(limit=limit)) == list(reversed(table.watches))
    assert _all(pages.deliveries, table, DeliveryQuery(limit=limit)) == list(reversed(table.deliveries))
    assert _all(pages.events, table, EventQuery(limit=limit)) == list(table.events)


@each(seconds=st.lists(st.integers(0, 2), min_size=2, max_size=20), limit=st.integers(1, 4))
def test_filters_and_pages_agree(seconds, limit):
    """A page of a filtered list is filled with what matches."""
    table = _table(seconds)
    mine = [id for id in reversed(table.watches) if table.watches[id].owner == "ci"]
    assert _all(pages.watches, table, WatchQuery(limit=limit, owner="ci")) == mine


@each(
    times=st.lists(st.integers(0, 2), min_size=3, max_size=15).map(sorted),
    limit=st.integers(1, 4),
    gone=st.integers(0, 14),
)
def test_nothing_is_left_out_when_the_mark_is_forgotten(times, limit, gone):
    """A row that is pruned between two pages, even the one the cursor names, takes no other with it."""
    table = _table(times)
    first = pages.watches(table, WatchQuery(limit=limit))
    forgotten = first.items[min(gone, len(first.items) - 1)].id
    rest = set(table.watches) - {watch.id for watch in first.items}
    del table.watches[forgotten]
    if first.next is not None:
        assert rest <= set(_all(pages.watches, table, WatchQuery(limit=limit, cursor=first.next)))


def test_a_row_that_does_not_match_any_more_is_still_a_mark():
    """The list of running watches goes on where it was, though the last of a page has finished meanwhile."""
    table = _table([0] * 4)
    page = pages.watches(table, WatchQuery(limit=2, states={WatchState.QUEUED}))
    last = page.items[-1]
    table.apply(steps.moved(last, "succeeded", to=Routes()), 99)
    rest = pages.watches(table, WatchQuery(limit=2, states={WatchState.QUEUED}, cursor=page.next))
    assert [watch.task_id for watch in rest.items] == ["task-1", "task-0"]


def test_a_page_has_a_limit_of_its_own():
    """However many are asked for."""
    table = _table([0] * (pages.LIMIT + 5))
    for ask, query in ((pages.watches, WatchQuery), (pages.deliveries, DeliveryQuery), (pages.events, EventQuery)):
        assert len(ask(table, query(limit=10**9)).items) == pages.LIMIT


@pytest.mark.parametrize("cursor", [None, "", "0"])
def test_a_feed_begins_at_the_beginning(cursor):
    """No cursor is the first page; an empty feed has a next page too."""
    table = _table([0, 0])
    assert len(pages.events(table, EventQuery(cursor=cursor)).items) == 2
    assert pages.events(Table(), EventQuery(cursor=cursor)).next == "0"


def test_the_feed_goes_on_over_what_is_forgotten():
    """A cursor whose event is gone still finds all that came after it."""
    table = _table([0, 0, 0])
    cursor = pages.events(table, EventQuery(limit=1)).next
    watch = next(iter(table.watches.values()))
    table.apply(steps.moved(watch, "succeeded", to=Routes()), 50)
    table.apply(Pruned((watch.id,)), 51)
    assert [event.data.task_id for event in pages.events(table, EventQuery(cursor=cursor)).items] == [
        "task-1",
        "task-2",
    ]
