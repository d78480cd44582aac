"""`resend`: deliveries that are over, owed once more.

Secret: none of its own; the intake decides what may be sent again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import Parameter

from ringback.cli import exits
from ringback.cli.client import LOCAL, Daemon, segment
from ringback.cli.read import Json
from ringback.cli.show import clean, deliveries, note, raw
from ringback.core.errors import BadInput, Conflict, UnknownName

SettledState = Literal["delivered", "superseded", "discarded"]


def resend(
    ids: Annotated[
        list[str] | None,
        Parameter(name="ID", help="a delivery's id; `ringback deliveries` shows it"),
    ] = None,
    /,
    *,
    state: Annotated[SettledState | None, Parameter(help="all in this state", show_choices=True)] = None,
    destination: Annotated[str | None, Parameter(help="all to this destination, or `callback:ID`")] = None,
    since: Annotated[
        str | None, Parameter(help="all that were settled since: so long ago (2h), or a time (2026-11-22T05:33:00Z)")
    ] = None,
    as_json: Json = False,
    daemon: Daemon = LOCAL,
) -> int:
    """Send deliveries again that are over: these, or all that fit every option given.

    Example: `ringback resend --state discarded --since 2h`
    """
    wishes = {"state": state, "destination": destination, "since": since}
    wishes = {name: wish for name, wish in wishes.items() if wish is not None}
    if bool(ids) == bool(wishes):
        raise BadInput("Say which deliveries: either their ids, or --state, --destination and --since.")
    if ids:
        return _each(ids, daemon, as_json=as_json)
    body = daemon.send("POST", "/v1/deliveries/resend", json.dumps(wishes).encode())
    if as_json:
        raw(body)
    else:
        print(f"{deliveries(json.loads(body)['resent'])} owed again.")
    return exits.DONE


def _each(ids: Sequence[str], daemon: Daemon, *, as_json: bool) -> int:
    """One after another; one that cannot be sent again hinders no other."""
    refused = 0
    for id in ids:
        try:
            body = daemon.send("POST", f"/v1/deliveries/{segment(id)}/resend")
        except (UnknownName, Conflict) as error:
            refused += 1
            note(f"{clean(id)}: refused: {error.message}")
            continue
        if as_json:
            raw(body)
        else:
            delivery = json.loads(body)
            print(f"{delivery['id']} is owed to {clean(delivery['destination'])} again.", flush=True)
    return exits.USAGE if refused else exits.DONE
