"""Looking at the directory of a stopped daemon: is it sound, and what is in it.

Secret: what counts as damage and what a crash may leave. Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from ringback.core.errors import BadInput, RingbackError, SetupError, StoreDamaged
from ringback.store import disk, replay
from ringback.store.lock import Lock
from ringback.store.results import Results
from ringback.store.segment import JOURNAL, End, Reading


class Finding(msgspec.Struct, frozen=True):
    """Something about a file. What is `harmless` a crash may leave, and the next start mends it."""

    file: str
    byte: int
    what: str
    harmless: bool


class Examined(msgspec.Struct, frozen=True):
    """What `verify` found; `records` by file name."""

    records: dict[str, int]
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether a daemon would start on it and could read everything."""
        return all(finding.harmless for finding in self.findings)


class OnDisk(msgspec.Struct, frozen=True):
    """Files of one kind."""

    files: int
    bytes: int


class Contents(msgspec.Struct, frozen=True):
    """What `stats` found: counts by state, and what they take. `entries` were written since the first day."""

    entries: int
    watches: dict[str, int]
    events: int
    deliveries: dict[str, int]
    attempts: int
    oldest_pending_at: datetime | None
    segments: OnDisk
    snapshots: OnDisk
    results: OnDisk


def verify(directory: Path) -> Examined:
    """Read every line and every document. Raises StoreLocked, BadInput where there is no journal."""
    with looking(directory):
        records: dict[str, int] = {}
        findings = [finding for finding in each_file(directory, records) if finding is not None]
        if all(finding.harmless for finding in findings):
            findings += _together(directory)
        findings += [
            Finding(str(path), 0, "left unfinished by a crash; the next start removes it", harmless=True)
            for path in sorted(directory.glob(f"*{disk.TEMPORARY}"))
        ]
        return Examined(records, tuple(findings))


def stats(directory: Path) -> Contents:
    """Count what is there. Raises StoreLocked, StoreDamaged, SetupError, BadInput where there is no journal."""
    with looking(directory):
        found = replay.replay(directory)
        there, table, counts = replay.files(directory), found.table, found.table.stats()
        results = Results(directory)
        return Contents(
            entries=found.next - 1,
            watches=counts.watches,
            events=counts.events,
            deliveries=dict(Counter(delivery.state.value for delivery in table.deliveries.values())),
            attempts=sum(map(len, table.attempts.values())),
            oldest_pending_at=counts.oldest_pending_at,
            segments=_on_disk(there.segments.values()),
            snapshots=_on_disk(there.snapshots.values()),
            results=_on_disk(results.directory / name for name in results.names()),
        )


@contextmanager
def looking(directory: Path) -> Iterator[None]:
    """Nobody else has the directory meanwhile. Raises StoreLocked, BadInput where there is no journal."""
    there = replay.files(directory) if directory.is_dir() else None
    if there is None or not (there.segments or there.snapshots):
        raise BadInput(f"{directory} holds no journal: name the directory of store.url", directory=str(directory))
    lock = Lock(directory)
    lock.look()
    try:
        yield
    finally:
        lock.release()


def each_file(directory: Path, records: dict[str, int]) -> Iterator[Finding | None]:
    """What each file by itself shows; `records` counts what is good in it."""
    there = replay.files(directory)
    for path in (*there.snapshots.values(), *there.segments.values()):
        reading = Reading(path)
        records[path.name] = 0
        try:
            reading.read_header()
            for _ in reading.entries():
                records[path.name] += 1
        except StoreDamaged as exc:
            yield Finding(str(path), reading.good, exc.message, harmless=False)
        except SetupError as exc:
            yield Finding(str(path), 0, exc.message, harmless=False)
        else:
            last = path.name.startswith(JOURNAL) and path == list(there.segments.values())[-1]
            yield _how_it_ends(reading, last=last)


def _how_it_ends(reading: Reading, *, last: bool) -> Finding | None:
    torn = reading.size - reading.good
    if reading.end is End.CLEAN:
        return None
    what = f"its last line is not finished ({torn} bytes)" if torn else "its last line lacks its end"
    suffix = "; the next start mends it" if last else ", though it is not the last segment"
    return Finding(str(reading.path), reading.good, what + suffix, harmless=last)


def _together(directory: Path) -> Iterator[Finding]:
    """What only shows when everything is read: gaps between files, and documents."""
    try:
        table = replay.replay(directory).table
    except RingbackError as exc:
        file, byte = exc.facts.get("file", str(directory)), exc.facts.get("byte", 0)
        yield Finding(str(file), byte if isinstance(byte, int) else 0, exc.message, harmless=False)
        return
    results = Results(directory)
    bad = {str(damage.facts["file"]): damage.message for damage in results.damages(table)}
    for file, what in bad.items():
        yield Finding(file, 0, what, harmless=False)
    for name in results.orphans(table):
        yield Finding(str(results.directory / name), 0, "nothing names it; the next start removes it", harmless=True)


def _on_disk(paths: Iterable[Path]) -> OnDisk:
    sizes = [path.stat().st_size for path in paths]
    return OnDisk(len(sizes), sum(sizes))
