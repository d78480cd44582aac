"""`destinations`: how each is doing, a test event, pausing and resuming.

Secret: none of its own.
"""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import App, Parameter

from ringback.cli import exits
from ringback.cli import show as layout
from ringback.cli.client import LOCAL, Daemon, segment
from ringback.cli.read import Json

app = App(name="destinations", version_flags=())

Name = Annotated[str, Parameter(help="a destination of the configuration: `ringback destinations` lists them")]


@app.default
def destinations(*, as_json: Json = False, daemon: Daemon = LOCAL) -> None:
    """List the destinations: which are paused and why, and what each is owed.

    Example: `ringback destinations`
    """
    body = daemon.get("/v1/destinations")
    if as_json:
        return layout.raw(body)
    items = json.loads(body)["items"]
    if not items:
        return layout.note("There are none: add [destinations.NAME] to the daemon's configuration.")
    return layout.table(layout.DESTINATION, map(layout.destination_row, items))


@app.command(name="test")
def send_test(name: Name, /, *, as_json: Json = False, daemon: Daemon = LOCAL) -> int:
    """Send a test event and print what came back; exit 1 unless it was delivered.

    Example: `ringback destinations test builds`
    """
    body = daemon.send("POST", _path(name, "test"))
    found = json.loads(body)
    if as_json:
        layout.raw(body)
    else:
        layout.tested(name, found)
    return exits.DONE if found["outcome"] == "delivered" else exits.FOUND


@app.command
def pause(name: Name, /, *, as_json: Json = False, daemon: Daemon = LOCAL) -> None:
    """Send nothing to a destination until it is resumed; what it is owed is kept.

    Example: `ringback destinations pause builds`
    """
    body = daemon.send("POST", _path(name, "pause"))
    if as_json:
        return layout.raw(body)
    found = json.loads(body)
    since, reason = layout.moment(found["since"]), layout.clean(found["reason"] or "")
    return print(f"{found['name']} is paused since {since} ({reason}); {layout.deliveries(found['pending'])} kept.")


@app.command
def resume(name: Name, /, *, as_json: Json = False, daemon: Daemon = LOCAL) -> None:
    """Send to a destination again: first what it is owed, one at a time, in the order observed.

    Example: `ringback destinations resume builds`
    """
    body = daemon.send("POST", _path(name, "resume"))
    if as_json:
        return layout.raw(body)
    found = json.loads(body)
    return print(f"{found['name']} is active; {layout.deliveries(found['pending'])} sent now.")


def _path(name: str, verb: str) -> str:
    return f"/v1/destinations/{segment(name)}/{verb}"
