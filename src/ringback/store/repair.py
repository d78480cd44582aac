"""Making the damaged directory of a stopped daemon readable again: what cannot be read is set aside, and said.

    read everything -> damage? -> one step -> read everything -> ... -> it is whole

A snapshot that is bent is not needed where the one before it is whole, or all segments are there. A segment keeps what
stands before its bad place; what follows builds on what is lost, so it goes, too. What
only was a way back, because a newer snapshot is whole, just goes.

Secret: what is given up for what. Nothing is thrown away: `damaged/` has every file as it was.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import msgspec

from ringback.core.errors import StoreDamaged
from ringback.store import disk, examine, replay, segment
from ringback.store.opening import failure
from ringback.store.replay import Files, Replayed
from ringback.store.results import Results
from ringback.store.segment import JOURNAL, SNAPSHOT

ASIDE = "damaged"
"""Where what cannot be read goes, in the directory."""


class Repaired(msgspec.Struct, frozen=True):
    """What was `done`, a sentence each; and of the documents that are `gone`, which only a backup has."""

    done: tuple[str, ...]
    gone: tuple[str, ...]


def repair(directory: Path) -> Repaired:
    """Make it readable. Raises BadInput where there is no journal, StoreLocked, SetupError, StoreDamaged."""
    with examine.looking(directory):
        try:
            return _repaired(directory)
        except OSError as exc:
            raise failure(exc, directory) from exc


def _repaired(directory: Path) -> Repaired:
    done: list[str] = []
    table = _whole(directory, done).table
    for finding in list(examine.each_file(directory, {})):
        if finding is not None and not finding.harmless:
            _set_aside(directory, Path(finding.file))
            done.append(f"{finding.file}: set aside: nothing is lost, newer files say all that it said")
    results = Results(directory)
    for name in results.orphans(table) if done else ():  # the next start would sweep what is set aside names
        _set_aside(directory, results.directory / name)
    disk.sync_directory(directory)
    return Repaired(tuple(done), tuple(dict.fromkeys(damage.message for damage in results.damages(table))))


def _whole(directory: Path, done: list[str]) -> Replayed:
    """All that can be read in the end. Each file is mended at most twice: cut, and then set aside."""
    there = replay.files(directory)
    for _ in range(2 * (len(there.segments) + len(there.snapshots))):
        try:
            return replay.replay(directory)
        except StoreDamaged as error:
            done.append(_mended(directory, error))
    return replay.replay(directory)


def _mended(directory: Path, error: StoreDamaged) -> str:
    """One step, in a sentence: the file that the error names, and what cannot be read without it."""
    path, there = Path(str(error.facts["file"])), replay.files(directory)
    number, record = int(path.stem.rpartition("-")[2]), int(str(error.facts.get("record", 0)))
    if path.name.startswith(SNAPSHOT):
        if not _has_way_back(there, number):
            raise _hopeless(path) from error
        _set_aside(directory, path)
        return f"{path}: set aside: nothing is lost, older files say all that it said"
    if not path.exists() and there.newest is None:
        raise _hopeless(path) from error
    later = [file for begins, file in there.segments.items() if begins > number]
    lost = sum(map(_records, later))
    kept = path.read_bytes()[: int(str(error.facts["byte"]))] if record >= number else b""
    begun = kept or segment.header(JOURNAL, number)
    if path.exists():
        lost += _records(path) - max(kept.count(b"\n") - 1, 0)
        _set_aside(directory, path, b"" if 0 < record < number else begun)  # one that begins too late is no end
    else:
        disk.put(path, [begun])
    for file in later:
        _set_aside(directory, file)
    return f"{path}, byte {len(kept)}: the journal ends here now; {lost} records from {record or number} on set aside"


def _hopeless(path: Path) -> StoreDamaged:
    return StoreDamaged(
        f"{path} cannot be done without: what is older is gone, too. Restore the directory from a backup",
        file=str(path),
    )


def _has_way_back(there: Files, number: int) -> bool:
    """Whether all that a snapshot says is said by the one before it, or by none, and the segments since."""
    for older in sorted((older for older in there.snapshots if older < number), reverse=True):
        try:
            replay.read_snapshot(there.snapshots[older], older, Replayed())
        except StoreDamaged:
            continue
        return older in there.segments
    return 1 in there.segments


def _records(path: Path) -> int:
    """The lines of a file but its header, the last one perhaps without its end."""
    return max(len(path.read_bytes().splitlines()) - 1, 0)


def _set_aside(directory: Path, path: Path, instead: bytes = b"") -> None:
    """Move a file to where it is out of the way, under a name that nothing has there; `instead` takes its place."""
    aside = directory / ASIDE
    aside.mkdir(mode=0o700, exist_ok=True)
    names = (aside / f"{path.name}.{again}" for again in count(1))
    disk.put(next(name for name in names if not name.exists()), [path.read_bytes()])
    disk.sync_directory(aside)
    if instead:
        disk.put(path, [instead])
    else:
        path.unlink()
