"""`store`: the journal of a stopped daemon, looked at, exported, repaired.

Secret: what a line of an export is; the modules of store/ do the rest.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ringback.cli import exits
from ringback.cli.read import Json
from ringback.cli.show import facts, note, raw

if TYPE_CHECKING:
    from ringback.store.base import Kept

app = App(
    name="store",
    help="Look at, export and repair the journal of a stopped daemon.\n\nExample: `ringback store verify ./data`",
    version_flags=(),
)

Directory = Annotated[Path, Parameter(name="DIR", help="the directory of store.url, such as ./ringback-data")]


@app.command
def verify(directory: Directory, /) -> int:
    """Read a whole journal and say what is wrong; exit 1 when it is damaged.

    Example: `ringback store verify ./ringback-data`
    """
    from ringback.store import examine

    found = examine.verify(directory)
    for finding in found.findings:
        place = f"{finding.file}, byte {finding.byte}: "
        note(place + finding.what.removeprefix(place))  # a refusal names its place itself
    records = sum(found.records.values())
    print(f"{directory}: {'sound' if found.sound else 'damaged'}: {len(found.records)} files with {records} records")
    return exits.DONE if found.sound else exits.FOUND


@app.command
def stats(directory: Directory, /, *, as_json: Json = False) -> None:
    """Count what is in a journal, and what it takes.

    Example: `ringback store stats ./ringback-data`
    """
    import msgspec

    from ringback.store import examine

    found = examine.stats(directory)
    if as_json:
        return raw(msgspec.json.encode(found))
    return facts(
        (
            ("watches", _counted(found.watches)),
            ("events", str(found.events)),
            ("deliveries", _counted(found.deliveries)),
            ("attempts", str(found.attempts)),
            ("owed since", f"{found.oldest_pending_at:%Y-%m-%d %H:%M:%S}" if found.oldest_pending_at else ""),
            ("segments", f"{found.segments.files} ({found.segments.bytes:,} bytes), {found.entries} entries so far"),
            ("snapshots", f"{found.snapshots.files} ({found.snapshots.bytes:,} bytes)"),
            ("results", f"{found.results.files} ({found.results.bytes:,} bytes)"),
        )
    )


@app.command
def export(directory: Directory, /) -> int:
    """Print all that a journal says as JSON lines: one a watch, with its answer, events and deliveries.

    The last line, whose watch is null, has the events about ringback itself. No secret is in any of them. Exits 1
    when a document cannot be read: it is left out and named.

    Example: `ringback store export ./ringback-data > ringback.jsonl`
    """
    import msgspec

    from ringback.store.export import export

    code = exits.DONE
    for exported in export(directory):
        raw(msgspec.json.encode(_line(exported.row)))
        for what in exported.gone:
            note(what)
            code = exits.FOUND
    return code


@app.command
def repair(directory: Directory, /) -> int:
    """Make a damaged journal readable: set aside what cannot be read, and say what that is.

    Everything stays in DIR/damaged as it was. Exits 1 when documents are gone that only a backup has.

    Example: `ringback store repair ./ringback-data`
    """
    from ringback.store.repair import repair

    found = repair(directory)
    for what in (*found.done, *found.gone):
        note(what)
    print(f"{directory}: {'repaired' if found.done else 'nothing to repair'}")
    return exits.FOUND if found.gone else exits.DONE


def _line(row: Kept) -> dict[str, object]:
    """One line: the API's own shapes, but for the answer, which may be no text."""
    from ringback.sinks.payload import event_shape
    from ringback.web import shapes

    answer = row.answer
    return {
        "watch": shapes.watch(row.watch) if row.watch is not None else None,
        "answer": {"status": answer.status, "body": answer.body.decode("utf-8", "replace")} if answer else None,
        "events": [event_shape(event) for _, event in row.events],
        "deliveries": [
            shapes.delivery_with_attempts(delivery, row.attempts.get(delivery.id, ())) for delivery in row.deliveries
        ],
    }


def _counted(by_state: dict[str, int]) -> str:
    parts = [f"{count} {state}" for state, count in sorted(by_state.items()) if count]
    return f"{sum(by_state.values())}" + (f" ({', '.join(parts)})" if parts else "")
