"""Writing a snapshot.

Secret: that it is whole or not there. It is written beside, synced, and only then given its name; what it makes
outdated is removed after that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ringback.store import disk, replay, segment
from ringback.store.base import Kept
from ringback.store.segment import SNAPSHOT, Footer


class Snapshot:
    """All that entries before `number` added up to. Every method raises OSError: call them in a thread."""

    def __init__(self, directory: Path, number: int) -> None:
        self.path = directory / replay.name(SNAPSHOT, number)
        self.rows = 0
        self.bytes = 0
        self._temporary = self.path.with_name(self.path.name + disk.TEMPORARY)
        self._descriptor = disk.create(self._temporary)
        try:
            self._write(segment.header(SNAPSHOT, number))
        except OSError:
            self.close()
            raise

    def add(self, rows: Sequence[Kept]) -> None:
        """Write some rows."""
        lines = [segment.frame(place, segment.encode(row)) for place, row in enumerate(rows, self.rows + 1)]
        self._write(b"".join(lines))
        self.rows += len(rows)

    def finish(self) -> None:
        """Make it whole and durable, give it its name, and remove what it makes outdated."""
        self._write(segment.frame(self.rows + 1, segment.encode(Footer(self.rows))))
        os.fsync(self._descriptor)
        self._temporary.rename(self.path)
        disk.sync_directory(self.path.parent)
        for path in replay.files(self.path.parent).outdated():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go; of one that was not finished nothing stays."""
        os.close(self._descriptor)
        self._temporary.unlink(missing_ok=True)

    def _write(self, lines: bytes) -> None:
        disk.write(self._descriptor, lines)
        self.bytes += len(lines)
