"""Opening a directory: read it, mend its end, sweep it.

Secret: the order of these steps. Nothing is changed before everything was read and found whole.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from ringback.core.errors import RingbackError, SetupError
from ringback.store import disk, replay, segment
from ringback.store.results import Results
from ringback.store.segment import Reading
from ringback.store.table import Table
from ringback.store.tail import Tail


@dataclass(slots=True)
class Opened:
    """What there is: state, the segment that grows, sizes; and `facts` that somebody should know."""

    table: Table
    tail: Tail
    snapshot_bytes: int
    older_bytes: int
    facts: dict[str, dict[str, object]]


def open_directory(directory: Path, results: Results) -> Opened:
    """Open a locked directory. Raises StoreDamaged, SetupError, StoreFull, StoreBroken."""
    try:
        return _open(directory, results)
    except OSError as exc:
        raise failure(exc, directory) from exc


def failure(exc: OSError, directory: Path) -> RingbackError:
    """The error of the house for a directory that is not ours to use, or a disk that fails."""
    if exc.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return SetupError(
            f"{exc.filename or directory} cannot be used ({exc.strerror}): let this user read and write all of "
            f"{directory}",
            code="store_directory",
            directory=str(directory),
        )
    return disk.failure(exc, directory)


def _open(directory: Path, results: Results) -> Opened:
    facts: dict[str, dict[str, object]] = {}
    aside = replay.copy_aside(directory)
    if aside is not None:
        facts["copied_aside"] = {"directory": str(aside)}
    found = replay.replay(directory)
    last = found.last
    if last is not None and found.torn:
        facts["torn_tail"] = {"file": str(last.path), "byte": last.good, "bytes": found.torn}
    tail = _tail(directory, last, found.next)
    older = found.segment_bytes - (last.good if last is not None and last.path == tail.path else 0)
    for path in directory.glob(f"*{disk.TEMPORARY}"):
        if path.is_file():
            path.unlink()
    results.prepare()
    orphans = results.orphans(found.table)
    if orphans:
        results.remove(orphans)
        facts["orphans_removed"] = {"files": len(orphans)}
    return Opened(found.table, tail, found.snapshot_bytes, older, facts)


def _tail(directory: Path, last: Reading | None, following: int) -> Tail:
    """The segment that grows: a new one when the last is of an older format, or a crash left it without a header."""
    if last is None or last.header is None:
        return Tail.begin(directory, following)
    tail = Tail.go_on(last, following)
    return tail if last.header.version == segment.VERSION else tail.switch()[0]
