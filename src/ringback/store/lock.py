"""One daemon a directory.

Secret: how the directory is made and taken. The lock is the kernel's (`flock`): it ends with the process, however that
ends; the pid in the file only tells people who has it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from ringback.core.errors import SetupError, StoreLocked

NAME = "lock"


class Lock:
    """The lock of one directory; held from `take` to `release`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._descriptor: int | None = None

    def take(self) -> None:
        """Make the directory if need be, and lock it. Raises StoreLocked, SetupError."""
        path = self.directory / NAME
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            self.directory.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise SetupError(
                f"the store directory {self.directory} cannot be used ({exc.strerror}): make it a directory that this "
                "user may write, or set store.url to another one",
                code="store_directory",
                directory=str(self.directory),
            ) from exc
        self._lock(descriptor, "stop it, or wait with --wait-lock")
        with suppress(OSError):  # the pid is for people: a full disk is no reason not to start
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)

    def look(self) -> None:
        """Lock without leaving a trace, for reading a stopped daemon's directory. Raises StoreLocked."""
        try:
            descriptor = os.open(self.directory / NAME, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self._lock(descriptor, "stop it first")

    def release(self) -> None:
        """Let go; the file stays, because removing it would let two in."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lock(self, descriptor: int, remedy: str) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreLocked(
                f"another ringback (pid {pid}) has the store {self.directory}: {remedy}",
                directory=str(self.directory),
                pid=pid,
            ) from None
        self._descriptor = descriptor
