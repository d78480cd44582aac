"""What people read on a terminal: tables of watches, deliveries and destinations, lines of events, one in full.

Secret: the layout. Rows are as wide as they need to be, so that an id can always be copied. What comes from a provider
loses its control characters: it cannot drive the terminal.
"""
# ruff: noqa: PLC0415 - rich is imported only when a table is drawn

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ringback.sinks.excerpt import printable

if TYPE_CHECKING:
    from ringback.web.learned import Learned

COLOURS: Mapping[str, str] = {
    "queued": "cyan",
    "running": "blue",
    "succeeded": "green",
    "delivered": "green",
    "active": "green",
    "failed": "red",
    "refused": "red",
    "discarded": "red",
    "paused": "yellow",
    "expired": "yellow",
    "vanished": "yellow",
    "cancelled": "yellow",
    "superseded": "dim",
    "abandoned": "dim",
}
"""Of states and outcomes, on a terminal."""

LONGEST = 100
"""Characters of a provider's text in a table or line; `show` has the whole."""

WIDEST = 1_000_000
"""Columns of a table, whatever the terminal has: rich would cut what is wider, and an id first."""


def note(text: str) -> None:
    """One line to stderr: everything that is not the answer itself."""
    print(text, file=sys.stderr, flush=True)


def raw(body: bytes) -> None:
    """The API's own bytes, one document a line."""
    sys.stdout.flush()
    sys.stdout.buffer.write(body.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns side by side; a cell that is a state gets its colour."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        grid.add_column(header, no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    console = Console(highlight=False, width=WIDEST)
    console.width = max(1, Measurement.get(console, console.options, grid).maximum)
    console.print(grid, soft_wrap=True)


def clean(text: object, *, at_most: int | None = None) -> str:
    """Text of others on one line, without control characters; with its end cut off when there is too much of it."""
    line = " ".join(printable(str(text)).split())
    return line if at_most is None or len(line) <= at_most else f"{line[: at_most - 1]}…"


def moment(text: str | None) -> str:
    """A time of the API, to the second."""
    return f"{text[:10]} {text[11:19]}" if text else "-"


def progress(of: Mapping[str, Any] | None) -> str:
    """How far a task is, as far as it is known."""
    if not of:
        return ""
    value, total, fraction = of.get("value"), of.get("total"), of.get("fraction")
    number = f"{value}/{total}" if value is not None and total is not None else str(value or "")
    if not number and fraction is not None:
        number = f"{fraction:.0%}"
    parts = (number, clean(of.get("text") or "", at_most=LONGEST))
    return ": ".join(part for part in parts if part)


def outcome(of: Mapping[str, Any]) -> str:
    """What a watch or an event's data has to say beyond its state: the error, the problem, the result or progress."""
    error, problem, result = of.get("error"), of.get("problem"), of.get("result")
    if problem:
        return clean(f"{problem['code']}: {problem['message']}", at_most=LONGEST)
    if error:
        return clean(f"{error['code']}: {error['message']}", at_most=LONGEST)
    if result is not None:
        return clean(document(result), at_most=LONGEST)
    return progress(of.get("progress"))


def document(value: object) -> str:
    """A JSON value for people: a string as its text, anything else indented."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


WATCH = ("ID", "PROVIDER", "TASK", "STATE", "SEEN", "")


def watch_row(watch: Mapping[str, Any]) -> tuple[str, ...]:
    """A watch in a table."""
    return (
        watch["id"],
        watch["provider"],
        clean(watch["task_id"]),
        watch["state"],
        moment(watch["last_polled_at"]),
        outcome(watch),
    )


DELIVERY = ("ID", "EVENT", "TO", "STATE", "ATTEMPTS", "NEXT", "")


def delivery_row(delivery: Mapping[str, Any]) -> tuple[str, ...]:
    """A delivery in a table."""
    return (
        delivery["id"],
        delivery["event_type"],
        clean(delivery["destination"]),
        delivery["state"],
        str(delivery["attempt_count"]),
        moment(delivery["next_attempt_at"]),
        clean(delivery.get("reason") or "", at_most=LONGEST),
    )


def deliveries(count: int) -> str:
    """So many deliveries, as the beginning of a sentence about them."""
    return "1 delivery is" if count == 1 else f"{count} deliveries are"


DESTINATION = ("NAME", "TYPE", "STATE", "PENDING", "OLDEST", "SINCE", "")


def destination_row(destination: Mapping[str, Any]) -> tuple[str, ...]:
    """A destination in a table."""
    return (
        destination["name"],
        destination["type"],
        destination["state"],
        str(destination["pending"]),
        moment(destination["oldest_pending_at"]),
        moment(destination["since"]),
        clean(destination["reason"] or "", at_most=LONGEST),
    )


def event_line(event: Mapping[str, Any]) -> str:
    """An event on one line."""
    data = event["data"]
    about = clean(f"{data['provider']} {data['task_id']}") if "task_id" in data else ""
    about = about or clean(data.get("account") or data.get("destination") or "")
    said = outcome(data) or clean(data.get("reason") or "", at_most=LONGEST)
    return "  ".join(part for part in (moment(event["timestamp"]), f"{event['type']:<18}", about, said) if part)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one a line; what has no value is left out."""
    for name, value in pairs:
        if value:
            print(f"{name:<14}{value}")


def watch_in_full(watch: Mapping[str, Any]) -> None:
    """Everything about a watch; the result last, because it may be long."""
    problem, error = watch.get("problem"), watch.get("error")
    facts(
        (
            ("watch", watch["id"]),
            ("task", clean(f"{watch['provider']} {watch['task_id']} (account {watch['account']})")),
            ("params", _pairs(watch["params"])),
            ("state", f"{watch['state']}, sequence {watch['sequence']}, {watch['polls']} polls"),
            ("progress", progress(watch["progress"])),
            ("problem", clean(f"{problem['code']} x{problem['count']}: {problem['message']}") if problem else ""),
            ("error", clean(f"{error['code']}: {error['message']}") if error else ""),
            ("metadata", _pairs(watch["metadata"])),
            ("registered", moment(watch["registered_at"])),
            ("polled", moment(watch["last_polled_at"])),
            ("next poll", moment(watch["next_poll_at"]) if watch["next_poll_at"] else ""),
            ("deadline", moment(watch["deadline_at"])),
            ("finished", moment(watch["finished_at"]) if watch["finished_at"] else ""),
            ("callbacks", ", ".join(clean(callback["url"]) for callback in watch["callbacks"])),
            ("to", ", ".join(watch["to"] or ())),
        )
    )
    if watch["result"] is not None:
        print("result")
        print(printable(document(watch["result"])))


def delivery_in_full(delivery: Mapping[str, Any]) -> None:
    """Everything about a delivery, attempt by attempt."""
    facts(
        (
            ("delivery", delivery["id"]),
            ("event", f"{delivery['event_type']} ({delivery['event_id']})"),
            ("watch", delivery["watch_id"] or ""),
            ("to", clean(delivery["destination"])),
            ("state", delivery["state"]),
            ("reason", clean(delivery["reason"] or "")),
            ("owed since", moment(delivery["created_at"])),
            ("next attempt", moment(delivery["next_attempt_at"]) if delivery["next_attempt_at"] else ""),
        )
    )
    if delivery["attempts"]:
        print()
        table(("ATTEMPT", "AT", "OUTCOME", "STATUS", "TOOK", ""), map(_attempt_row, delivery["attempts"]))


BAR = 40
"""Characters of the longest bar of a histogram."""


def learned(kind: Learned) -> None:
    """How long the tasks of an account take: a line, and a bar for each half octave."""
    whose = f"account {kind.account}" + (f", {clean(kind.key, at_most=LONGEST)}" if kind.key else "")
    seen = "1 task" if kind.count == 1 else f"{kind.count} tasks"
    print(f"learned   {whose}: {seen}, half of them within {span(kind.median_s)}, 95 % within {span(kind.p95_s)}")
    most = max(bar.share for bar in kind.histogram)
    for bar in kind.histogram:
        print(f"{span(bar.up_to_s):>18}  {'#' * round(BAR * bar.share / most):<{BAR}}  {bar.share:4.0%}")


def span(seconds: float) -> str:
    """A length of time, in the unit that people would say it in."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def tested(name: str, found: Mapping[str, Any]) -> None:
    """What came back for a test event; the receiver's own words last."""
    facts(
        (
            ("destination", clean(name)),
            ("outcome", found["outcome"]),
            ("status", "" if found["status"] is None else str(found["status"])),
            ("took", f"{found['latency_ms']:.0f} ms"),
            ("message", clean(found["message"] or "")),
        )
    )
    if found["excerpt"]:
        print("answer")
        print(printable(found["excerpt"]))


def _attempt_row(attempt: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(attempt["number"]),
        moment(attempt["at"]),
        attempt["outcome"],
        "-" if attempt["status"] is None else str(attempt["status"]),
        f"{attempt['latency_ms']:.0f} ms",
        clean(attempt["message"] or attempt["excerpt"] or "", at_most=LONGEST),
    )


def _pairs(of: Mapping[str, str]) -> str:
    return clean(", ".join(f"{name}={value}" for name, value in of.items()))
