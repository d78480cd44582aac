"""Journals on disk, for tests: open one, copy one as a crash would leave it, bend one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

import given

from ringback.store.journal import JournalStore


class Facts(list):
    """A report that remembers: (fact, facts)."""

    def __call__(self, fact: str, **facts: object) -> None:
        self.append((fact, facts))

    @property
    def names(self) -> list[str]:
        return [fact for fact, _ in self]

    def of(self, name: str) -> dict[str, object]:
        return next(facts for fact, facts in self if fact == name)


@asynccontextmanager
async def journal(directory: Path, **options: object) -> AsyncIterator[JournalStore]:
    """An open journal, closed at the end."""
    store = JournalStore(directory, **options)
    await store.open(given.NOW)
    try:
        yield store
    except BaseException:
        Gate.open_all()  # or a test that fails would hang while it closes
        raise
    finally:
        await store.close()


def crashed(directory: Path, to: Path) -> Path:
    """The directory as it would be found after a crash at this moment."""
    return Path(shutil.copytree(directory, to, ignore=shutil.ignore_patterns("lock")))


def segments(directory: Path) -> list[Path]:
    return sorted(directory.glob("journal-*.jsonl"))


def snapshots(directory: Path) -> list[Path]:
    return sorted(directory.glob("snapshot-*.jsonl"))


def results(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "results").iterdir())


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


class Gate:
    """Stands in for a function or method: lets the thread that calls it wait until it is opened, and counts it."""

    _all: ClassVar[WeakSet[Gate]] = WeakSet()

    def __init__(self, call) -> None:
        self._all.add(self)
        self._call = call
        self._open = threading.Event()
        self._open.set()
        self.met = threading.Event()
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        self.met.set()
        self._open.wait()
        return self._call(*args)

    def __get__(self, instance, owner=None):
        return self if instance is None else partial(self, instance)

    def shut(self) -> None:
        self.met.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    @classmethod
    def open_all(cls) -> None:
        for gate in cls._all:
            gate.open()
