"""`list`, `show`, `events`, `deliveries`: what the daemon knows.

Secret: which questions each command puts to the API, and how pages are followed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ringback.cli import show as layout
from ringback.cli.client import LOCAL, Daemon, segment
from ringback.core.errors import Unreachable

PAGE = 1000
"""Rows asked for at once where all of them are wanted; the API gives no more."""

FOLLOW_EVERY_S = 0.5
PATIENCE_S = 2.0
"""Between two questions while following: when all is well, and when the daemon does not answer."""

Json = Annotated[bool, Parameter(name="--json", show_default=False, help="print the API's own answer")]
AnyId = Annotated[str, Parameter(help="a watch's or a delivery's id")]
Limit = Annotated[int, Parameter(help="rows at most, up to 1000")]
Cursor = Annotated[str | None, Parameter(help="go on after an earlier page (its `next`)")]
WatchState = Literal[
    "pending", "queued", "running", "succeeded", "failed", "cancelled", "expired", "vanished", "abandoned"
]
DeliveryState = Literal["pending", "delivered", "superseded", "discarded"]


def list_(
    *,
    state: Annotated[WatchState | None, Parameter(help="only in this state", show_choices=True)] = None,
    provider: Annotated[str | None, Parameter(help="only of this provider")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: Json = False,
    daemon: Daemon = LOCAL,
) -> None:
    """List the watches, newest first.

    Example: `ringback list --state running`
    """
    body = daemon.get("/v1/watches", state=state, provider=provider, limit=limit, cursor=cursor)
    _page(body, layout.WATCH, layout.watch_row, as_json=as_json)


def deliveries(
    *,
    state: Annotated[DeliveryState | None, Parameter(help="only in this state", show_choices=True)] = None,
    destination: Annotated[str | None, Parameter(help="only to this destination, or `callback:ID`")] = None,
    watch: Annotated[str | None, Parameter(help="only of this watch")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
    as_json: Json = False,
    daemon: Daemon = LOCAL,
) -> None:
    """List what was delivered and what is still owed, newest first.

    Example: `ringback deliveries --state pending`
    """
    body = daemon.get("/v1/deliveries", state=state, destination=destination, watch=watch, limit=limit, cursor=cursor)
    _page(body, layout.DELIVERY, layout.delivery_row, as_json=as_json)


def show(id: AnyId, /, *, as_json: Json = False, daemon: Daemon = LOCAL) -> None:
    """Show one watch with its events and deliveries, or one delivery with its attempts.

    Example: `ringback show w_0f3a...`
    """
    if id.startswith("dlv_"):
        body = daemon.get(f"/v1/deliveries/{segment(id)}")
        return layout.raw(body) if as_json else _delivery(json.loads(body))
    body = daemon.get(f"/v1/watches/{segment(id)}")
    return layout.raw(body) if as_json else _watch(json.loads(body), daemon)


def events(
    *,
    follow: Annotated[bool, Parameter(show_default=False, help="go on with what happens, until Ctrl-C")] = False,
    type: Annotated[str | None, Parameter(help="only of this type; a glob such as task.*")] = None,
    watch: Annotated[str | None, Parameter(help="only of this watch")] = None,
    after: Annotated[str | None, Parameter(help="only what came after this cursor (a page's `next`)")] = None,
    as_json: Json = False,
    daemon: Daemon = LOCAL,
) -> None:
    """Print what happened, oldest first.

    Example: `ringback events --follow --type task.failed`
    """
    for body in _feed(daemon, {"type": type, "watch": watch}, after, follow=follow):
        if as_json:
            layout.raw(body)
        else:
            for event in json.loads(body)["items"]:
                print(layout.event_line(event), flush=follow)


def _feed(daemon: Daemon, query: Mapping[str, str | None], cursor: str | None, *, follow: bool) -> Iterator[bytes]:
    """The pages of the feed; while it is followed, only those that hold something."""
    get = daemon.get
    while True:
        body = get("/v1/events", after=cursor, limit=PAGE, **query)
        page = json.loads(body)
        cursor = page["next"]
        if page["items"] or not follow:
            yield body
        if len(page["items"]) == PAGE:
            continue
        if not follow:
            return
        get = partial(_patiently, daemon)
        time.sleep(FOLLOW_EVERY_S)


def _patiently(daemon: Daemon, path: str, **query: str | int | None) -> bytes:
    """The same answer, if need be after the daemon has been started again."""
    for turn in count():
        try:
            return daemon.get(path, **query)
        except Unreachable as error:
            if turn == 0:
                layout.note(f"{error.message} Trying again until it does.")
            time.sleep(PATIENCE_S)
    raise AssertionError("count() has no end")


def _page(body: bytes, headers: tuple[str, ...], row: Any, *, as_json: bool) -> None:
    if as_json:
        return layout.raw(body)
    page = json.loads(body)
    if not page["items"]:
        return layout.note("There are none.")
    layout.table(headers, (row(item) for item in page["items"]))
    if page["next"]:
        layout.note(f"There are more: --cursor {page['next']}")
    return None


def _watch(watch: dict[str, Any], daemon: Daemon) -> None:
    history = json.loads(daemon.get(f"/v1/watches/{segment(watch['id'])}/events", limit=PAGE))
    owed = json.loads(daemon.get("/v1/deliveries", watch=watch["id"], limit=PAGE))
    layout.watch_in_full(watch)
    for title, lines in (("events", history["items"]), ("deliveries", owed["items"])):
        if lines:
            print(f"\n{title}")
        if title == "events":
            print("\n".join(layout.event_line(event) for event in lines), end="\n" if lines else "")
        elif lines:
            layout.table(layout.DELIVERY, (layout.delivery_row(delivery) for delivery in lines))


def _delivery(delivery: dict[str, Any]) -> None:
    layout.delivery_in_full(delivery)
