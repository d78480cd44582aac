"""`store`: the journal of a stopped daemon, looked at without changing it.

Secret: none of its own; store/examine.py does the looking.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ringback.cli import exits
from ringback.cli.read import Json
from ringback.cli.show import facts, note, raw

app = App(
    name="store",
    help="Look at the journal of a stopped daemon.\n\nExample: `ringback store verify ./ringback-data`",
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


def _counted(by_state: dict[str, int]) -> str:
    parts = [f"{count} {state}" for state, count in sorted(by_state.items()) if count]
    return f"{sum(by_state.values())}" + (f" ({', '.join(parts)})" if parts else "")
