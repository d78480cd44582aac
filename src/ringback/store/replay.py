"""From the files of a directory to a Table.

    snapshot-000000000007.jsonl      all that entries 1 to 6 added up to
    journal-000000000007.jsonl       entries from 7 on, up to the next segment

Reading starts at the newest snapshot and goes through every segment from it on. The snapshot before it is kept with the
segments between, so that there is a way back.

Secret: which files there are, which of them count, and in what order. Changes nothing, but for the copy of an older
format.
"""

from __future__ import annotations

import gc
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ringback.core.errors import StoreDamaged
from ringback.core.model import Change, Watch
from ringback.store import disk, segment
from ringback.store.base import Entry, Settlement
from ringback.store.segment import JOURNAL, SNAPSHOT, End, Footer, Kind, Reading
from ringback.store.sharing import Sharing
from ringback.store.table import Table

_ONE_AT_A_TIME = threading.Lock()


@dataclass(slots=True)
class Files:
    """The segments and snapshots of a directory, by number, in order."""

    segments: dict[int, Path]
    snapshots: dict[int, Path]

    @property
    def newest(self) -> int | None:
        """The number of the snapshot that counts."""
        return max(self.snapshots, default=None)

    @property
    def first(self) -> int:
        """The first entry that is read from segments."""
        return self.newest or 1

    @property
    def counting(self) -> list[tuple[int, Path]]:
        """The segments from the newest snapshot on."""
        return [(number, path) for number, path in self.segments.items() if number >= self.first]

    def outdated(self) -> list[Path]:
        """What is older than the snapshot before the newest."""
        previous = sorted(self.snapshots)[-2:-1]
        if not previous:
            return []
        return [path for group in (self.snapshots, self.segments) for n, path in group.items() if n < previous[0]]


@dataclass(slots=True)
class Replayed:
    """What was read: the table, the number of the next entry, and how the last segment ends."""

    table: Table = field(default_factory=Table)
    next: int = 1
    last: Reading | None = None
    snapshot_bytes: int = 0
    segment_bytes: int = 0

    @property
    def torn(self) -> int:
        """How many bytes at the end of the last segment are a crash's leavings."""
        return self.last.size - self.last.good if self.last is not None else 0


def name(kind: Kind, number: int) -> str:
    """A file's name."""
    return f"{kind}-{number:012d}.jsonl"


def files(directory: Path) -> Files:
    """The files that count in a directory."""

    def numbered(kind: str) -> dict[int, Path]:
        found = {path.stem.removeprefix(f"{kind}-"): path for path in sorted(directory.glob(f"{kind}-*.jsonl"))}
        return {int(number): path for number, path in found.items() if number.isdigit()}

    return Files(numbered(JOURNAL), numbered(SNAPSHOT))


def replay(directory: Path) -> Replayed:
    """Read everything. Raises StoreDamaged, and SetupError for a format that is too new."""
    with _without_garbage_collection():
        there = files(directory)
        found = Replayed(next=there.first)
        if there.newest is not None:
            read_snapshot(there.snapshots[there.newest], there.newest, found)
        _complain_about_gaps(directory, there)
        for number, path in there.counting:
            if found.last is not None and found.last.end is not End.CLEAN:
                raise found.last.damage(
                    "it ends in the middle of a record, and another segment follows", number=found.next
                )
            _read_segment(path, number, found)
        return found


def copy_aside(directory: Path) -> Path | None:
    """Keep the files of an older format as they are, before anything is written in this one. Returns where."""
    there = files(directory)
    paths = [*there.segments.values(), *there.snapshots.values()]
    versions = [reading.header.version for reading in map(_opened, paths) if reading.header is not None]
    oldest = min(versions, default=segment.VERSION)
    aside = directory / f"format-{oldest}"
    if oldest == segment.VERSION or aside.exists():
        return None
    unfinished = aside.with_name(aside.name + disk.TEMPORARY)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    for path in paths:
        disk.put(unfinished / path.name, [path.read_bytes()])
    disk.sync_directory(unfinished)
    unfinished.rename(aside)
    disk.sync_directory(directory)
    return aside


def _opened(path: Path) -> Reading:
    reading = Reading(path)
    reading.read_header()
    return reading


def _complain_about_gaps(directory: Path, there: Files) -> None:
    counting = [number for number, _ in there.counting]
    if counting[:1] != [there.first] and (there.segments or there.snapshots):
        missing = directory / name(JOURNAL, there.first)
        raise StoreDamaged(
            f"{missing}, byte 0: the file is missing; nothing was changed. Restore the directory from a backup",
            file=str(missing),
            byte=0,
        )


def read_snapshot(path: Path, number: int, found: Replayed) -> None:
    """One snapshot, into a table that is empty. Raises StoreDamaged, SetupError."""
    reading = _opened(path)
    _expect(reading, SNAPSHOT, number)
    rows, share = 0, Sharing().share
    footer: Footer | None = None
    for _, row in reading.entries():
        if footer is not None:
            raise reading.damage("something follows the last record", number=rows + 1)
        if isinstance(row, Footer):
            footer = row
        else:
            share(row)
            found.table.apply(row, 0)
            rows += 1
    if footer is None or footer.rows != rows or reading.end is not End.CLEAN:
        raise reading.damage(f"the snapshot ends after {rows} rows without being whole", number=rows + 1)
    found.table.sort()
    found.snapshot_bytes = reading.size


def _read_segment(path: Path, number: int, found: Replayed) -> None:
    reading = _opened(path)
    if reading.end is End.CLEAN:
        _expect(reading, JOURNAL, number)
    if number != found.next:
        raise reading.damage(f"record {found.next} is missing: the segment begins at {number}", number=found.next)
    apply, share = found.table.apply, Sharing().share
    for place, entry in reading.entries():
        if isinstance(entry, Footer):
            raise reading.damage("a snapshot's last line stands in a segment", number=place)
        share(entry, _known(found.table, entry))
        apply(entry, place)
        found.next = place + 1
    found.last = reading
    found.segment_bytes += reading.good


def _known(table: Table, entry: Entry) -> Watch | None:
    """The watch that an entry is about, as it was before."""
    match entry:
        case Change(watch=Watch(id=id)):
            return table.watches.get(id)
        case Settlement(delivery=delivery):
            return table.watches.get(delivery.watch_id)
        case _:
            return None


def _expect(reading: Reading, kind: Kind, number: int) -> None:
    if reading.header is None or (reading.header.kind, reading.header.first) != (kind, number):
        raise reading.damage("its header and its name do not agree", number=0)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Millions of values are made and none dies: looking for garbage among them takes longer than reading them."""
    with _ONE_AT_A_TIME:
        was = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was:
                gc.enable()
