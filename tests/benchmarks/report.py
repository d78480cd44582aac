"""The figures as tables that people read, on a terminal and in docs/explanation/benchmarks.md alike.

Secret: which figures are told, and beside which target.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


class Row(NamedTuple):
    """One contestant, or one size."""

    name: str
    figures: dict[str, float]


class Found(NamedTuple):
    """A whole run."""

    polls: dict[str, list[Row]]
    growth: list[Row]
    deliveries: list[Row]
    reaction: dict[str, float]
    reopened: list[Row]
    stalls: dict[str, float]
    stampede: dict[str, float]
    rounds: int


def markdown(found: Found) -> str:
    """Every table."""
    parts = [_machine(found.rounds)]
    for scheme, rows in found.polls.items():
        parts += [
            f"### Polls over {'TLS' if scheme == 'https' else 'HTTP'}: 1,000 watches, 1,000 a second",
            _polls(rows),
        ]
    parts += ["### More watches, the same 1,000 polls a second", _growth(found.growth)]
    parts += ["### Deliveries: signed, each attempt on the disk before the next", _deliveries(found.deliveries)]
    parts += ["### Reaction, start, stalls", _rest(found)]
    return "\n\n".join(parts) + "\n"


def keep(text: str, page: Path) -> None:
    """Put the figures into a page, between its marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


def _machine(rounds: int) -> str:
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {cpu[1].strip() if cpu else platform.machine()}, "
        f"{os.cpu_count()} cores (one for the contestant, one for the upstream), Linux, Python "
        f"{platform.python_version()}; medians of {rounds}, in one run."
    )


def _polls(rows: Sequence[Row]) -> str:
    httpx, barest = (next(row.figures["per_cpu_s"] for row in rows if row.name == name) for name in ("httpx", "barest"))
    lines = [
        [
            row.name,
            f"{row.figures['per_s']:,.0f}",
            f"{row.figures['per_cpu_s']:,.0f}",
            f"{row.figures['per_cpu_s'] / httpx:.1f}x",
            f"{row.figures['per_cpu_s'] / barest:.2f}x",
            f"{row.figures['lag_p50_ms']:.0f} / {row.figures['lag_p99_ms']:.0f}" if row.figures["lag_p99_ms"] else "",
            f"{row.figures['rss_mb']:.0f}",
        ]
        for row in rows
    ]
    head = [
        "",
        "polls a second",
        "polls a CPU-second",
        "of httpx",
        "of the barest loop",
        "lag p50 / p99, ms",
        "RSS, MB",
    ]
    return _table(head, lines)


def _growth(rows: Sequence[Row]) -> str:
    lines = [
        [
            row.name,
            f"{row.figures['cpu_us']:.0f}",
            f"{100 * row.figures['cpu_share']:.0f} %",
            f"{row.figures['lag_p50_ms']:.0f} / {row.figures['lag_p95_ms']:.0f}",
            f"{row.figures['stall_ms']:.0f}",
            f"{row.figures['rss_mb']:.0f}",
        ]
        for row in rows
    ]
    head = ["watches", "CPU a poll, us", "of one core", "lag p50 / p95, ms", "longest stall, ms", "RSS, MB"]
    return _table(head, lines)


def _deliveries(rows: Sequence[Row]) -> str:
    httpx = next(row.figures["per_cpu_s"] for row in rows if row.name == "httpx")
    lines = [
        [
            row.name,
            f"{row.figures['per_s']:,.0f}",
            f"{row.figures['per_cpu_s']:,.0f}",
            f"{row.figures['per_cpu_s'] / httpx:.1f}x",
        ]
        for row in rows
    ]
    return _table(["", "deliveries a second", "deliveries a CPU-second", "of httpx"], lines)


def _rest(found: Found) -> str:
    stalls, reaction, spread = found.stalls, found.reaction, found.stampede
    lines = [
        [
            "observation to callback at 100 events a second, p50 / p99",
            f"{reaction['p50_ms']:.1f} / {reaction['p99_ms']:.1f} ms",
        ]
    ]
    for row in found.reopened:
        lines += [
            [f"start on {row.name}", f"{row.figures['seconds']:.1f} s"],
            ["... and what it holds then", f"{row.figures['rss_mb']:.0f} MB"],
        ]
    lines += [
        [f"longest stall while {stalls['count']:,.0f} are registered by batch", f"{stalls['registering_ms']:.0f} ms"],
        [f"longest stall while a journal of {stalls['over']:,.0f} is compacted", f"{stalls['compacting_ms']:.0f} ms"],
        ["longest stall while they are pruned", f"{stalls['pruning_ms']:.0f} ms"],
        [
            "10,000 registered at once at an account's default rate: polls in the fullest second / tenth of a second",
            f"{spread['second']:.0f} / {spread['tenth']:.0f}",
        ],
    ]
    return _table(["", ""], lines)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    rule = ["-" * (width - 1) + ":" if column else "-" * width for column, width in enumerate(widths)]

    def shown(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    return "\n".join([shown(head), shown(rule), *map(shown, lines)])
