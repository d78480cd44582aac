"""The one thread that writes: group commit.

    submit ... submit --> [ queue ] --> result files --> lines --> fdatasync --> answers, in order, on the loop

Everything that waits when the thread comes back is one batch with one fdatasync. Jobs are done in the order in which
they were submitted, and answered in it: whoever is answered finds all earlier jobs done, and no later one.

Secret: batching, and what a failed batch means. No space: it is undone, and what waits behind it is refused with it. An
I/O error: nothing is written any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ringback.core.errors import StoreBroken, StoreError, StoreFull
from ringback.store import disk
from ringback.store.results import Results
from ringback.store.tail import Tail

BATCH_ENTRIES = 128
BATCH_BYTES = 4 * 1024 * 1024
"""What one batch holds at most, so that applying it does not hold up the loop."""


@dataclass(slots=True, eq=False)
class Record:
    """One entry to make durable, with the texts that go to files before it. Answered with its number."""

    json: bytes
    texts: Mapping[str, bytes]
    answer: Callable[[int | StoreError], None]

    @property
    def size(self) -> int:
        """Bytes that it writes."""
        return len(self.json) + sum(map(len, self.texts.values()))


@dataclass(slots=True, eq=False)
class Task:
    """Something else to do with the files, between batches. Answered with what it returns."""

    act: Callable[[], Any]
    answer: Callable[[Any], object]


Job = Record | Task


@dataclass(slots=True)
class Writer:
    """Owns the last segment from `start` to `stop`. Its methods are called on the loop; `tail` is the thread's."""

    tail: Tail
    results: Results
    _jobs: deque[Job] = field(default_factory=deque)
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _broken: StoreBroken | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="ringback-journal", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; it will be answered on the loop."""
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()

    async def stop(self) -> None:
        """Finish what is queued, and let go of the segment."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self.tail.close()

    def reserve(self) -> None:
        """See whether there is room. For a Task."""
        self.tail.reserve()

    def switch(self) -> tuple[int, int]:
        """Begin a new segment: its first number, and the bytes left behind. For a Task."""
        self.tail, left = self.tail.switch()
        return self.tail.next, left

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        while batch := self._take():
            answers = self._do(batch)
            with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                assert self._loop is not None
                self._loop.call_soon_threadsafe(_give, answers)

    def _take(self) -> list[Job]:
        """The next task, or all records up to it that fit a batch; nothing when it is time to end."""
        with self._wake:
            while not self._jobs and not self._stopping:
                self._wake.wait()
            batch: list[Job] = []
            size = 0
            while self._jobs and len(batch) < BATCH_ENTRIES and size < BATCH_BYTES:
                job = self._jobs[0]
                if isinstance(job, Task) and batch:
                    break
                batch.append(self._jobs.popleft())
                if isinstance(job, Task):
                    break
                size += job.size
            return batch

    def _do(self, batch: list[Job]) -> list[tuple[Job, object]]:
        if self._broken is not None:
            return [(job, self._broken) for job in batch]
        try:
            first = batch[0]
            if isinstance(first, Task):
                return [(first, first.act())]
            number = self._write([job for job in batch if isinstance(job, Record)])
            return [(job, number + place) for place, job in enumerate(batch)]
        except OSError as exc:
            return self._failed(batch, disk.failure(exc, self.tail.path))
        except Exception as exc:  # noqa: BLE001 - a thread that dies of a bug would leave everybody waiting
            broken = StoreBroken(f"the journal's writer failed: {exc!r}; please report it", file=str(self.tail.path))
            broken.__cause__ = exc
            return self._failed(batch, broken)

    def _write(self, records: list[Record]) -> int:
        texts = {name: text for record in records for name, text in record.texts.items()}
        new = self.results.put(texts)
        try:
            return self.tail.append([record.json for record in records])
        except OSError as exc:
            if isinstance(disk.failure(exc, self.tail.path), StoreFull):
                self.tail.rewind()
                self.results.remove(new)
            raise

    def _failed(self, batch: list[Job], error: StoreError) -> list[tuple[Job, object]]:
        """Refuse the batch and the records behind it; tasks go on unless the disk is broken."""
        if isinstance(error, StoreBroken):
            self._broken = error
        with self._wake:
            behind = [job for job in self._jobs if isinstance(job, Record) or self._broken is not None]
            self._jobs = deque(job for job in self._jobs if isinstance(job, Task) and self._broken is None)
        return [(job, error) for job in (*batch, *behind)]


def _give(answers: list[tuple[Job, Any]]) -> None:
    for job, answer in answers:
        job.answer(answer)
