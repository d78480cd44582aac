"""Bytes and names on a disk.

Secret: what makes them durable, and which error means that there is no space and which that the disk fails.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from ringback.core.errors import StoreBroken, StoreError, StoreFull

TEMPORARY = ".tmp"
"""How names end that nothing refers to yet: what a crash leaves of them is swept at the next start."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def failure(exc: OSError, path: Path) -> StoreError:
    """The error of the house for a write that did not succeed."""
    if exc.errno in _NO_SPACE:
        return StoreFull(
            f"no space is left for {path}: free some, and ringback goes on by itself", file=str(path), errno=exc.errno
        )
    return StoreBroken(
        f"the disk failed at {path} ({exc.strerror or exc}): check it, then start ringback again",
        file=str(path),
        errno=exc.errno,
    )


def create(path: Path) -> int:
    """A new empty file that only we may read, open for writing at its end."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)


def write(descriptor: int, data: bytes) -> None:
    """All of it: the kernel may take less than it is given."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def put(path: Path, chunks: Iterable[bytes]) -> int:
    """A file that is there whole or not at all. Returns its size.

    Its name is durable only after `sync_directory`.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    size = 0
    try:
        descriptor = create(temporary)
        try:
            for chunk in chunks:
                write(descriptor, chunk)
                size += len(chunk)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return size


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
