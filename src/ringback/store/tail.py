"""The last segment, open for appending.

Secret: what a failed write leaves behind and how it is undone: the file is cut back to what is durable, through a new
descriptor, because one whose fsync failed says nothing true any more.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ringback.store import disk, segment
from ringback.store.replay import name
from ringback.store.segment import JOURNAL, End, Reading

RESERVE = 64 * 1024
"""What a probe writes: less free space than that is none."""


class Tail:
    """Grows by whole batches: a batch is durable when `append` returns, and is undone by `rewind` when it raises."""

    def __init__(self, directory: Path, path: Path, *, length: int, following: int) -> None:
        self.directory = directory
        self.path = path
        self.length = length
        self.next = following
        self.empty = False
        self._dirty = False
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    @classmethod
    def begin(cls, directory: Path, first: int) -> Tail:
        """A new segment whose first entry will have this number."""
        path = directory / name(JOURNAL, first)
        length = disk.put(path, [segment.header(JOURNAL, first)])
        disk.sync_directory(directory)
        tail = cls(directory, path, length=length, following=first)
        tail.empty = True
        return tail

    @classmethod
    def go_on(cls, reading: Reading, following: int) -> Tail:
        """The segment that was read last, without what a crash left at its end."""
        tail = cls(reading.path.parent, reading.path, length=reading.good, following=following)
        if reading.size != reading.good or reading.end is not End.CLEAN:
            os.ftruncate(tail._descriptor, tail.length)
            if reading.end is End.UNTERMINATED:
                disk.write(tail._descriptor, b"\n")
                tail.length += 1
            os.fsync(tail._descriptor)
        return tail

    def append(self, entries: Sequence[bytes]) -> int:
        """Write entries and wait until they are durable. Returns the number of the first. Raises OSError."""
        self.rewind()
        lines = b"".join(segment.frame(number, json) for number, json in enumerate(entries, self.next))
        self._dirty = True
        disk.write(self._descriptor, lines)
        os.fdatasync(self._descriptor)
        first, self.next = self.next, self.next + len(entries)
        self.length += len(lines)
        self.empty = self._dirty = False
        return first

    def rewind(self) -> None:
        """Undo what was written since the last durable entry, if anything was. Raises OSError."""
        if not self._dirty:
            return
        os.close(self._descriptor)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.ftruncate(self._descriptor, self.length)
        os.fsync(self._descriptor)
        self._dirty = False

    def reserve(self) -> None:
        """Show that there is room. Raises OSError. Zeros at the end are what a crash may leave."""
        self.rewind()
        self._dirty = True
        disk.write(self._descriptor, bytes(RESERVE))
        os.fdatasync(self._descriptor)
        self.rewind()

    def switch(self) -> tuple[Tail, int]:
        """The segment that follows (this one, when it has no entry yet), and what this one leaves behind in bytes.

        Raises OSError.
        """
        self.rewind()
        if self.empty:
            return self, 0
        following = Tail.begin(self.directory, self.next)
        self.close()
        return following, self.length

    def close(self) -> None:
        """Let go; everything is durable already."""
        os.close(self._descriptor)
