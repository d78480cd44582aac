"""The store that lasts: a journal of entries, a table of what they add up to.

    commit --> check against the table and against what is queued --> writer --> durable --> table --> listeners

Secret: when an entry counts. Nothing is in the table before it is durable, so that what is read, claimed and told is
true after a crash too; until then its watch and its deliveries are `held`, and whoever decided on them too is Stale.

The other secrets of the journal are in files of their own: the line (segment), the order of files (replay), documents
over 4 KiB (results), batches and failures (writer), the last segment (tail), snapshots (snapshot), the lock (lock).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ringback.core.errors import BadInput, Stale, StoreBroken, StoreError, StoreFull, StoreLocked
from ringback.core.model import Change, Watch
from ringback.store import disk, polls, results, segment
from ringback.store.apart import ApartStore, Report
from ringback.store.base import (
    Entry,
    Polled,
    Pruned,
    Settlement,
    Shifted,
)
from ringback.store.inflight import InFlight
from ringback.store.keeping import Keeping
from ringback.store.lock import Lock
from ringback.store.opening import open_directory
from ringback.store.results import Results
from ringback.store.snapshot import Snapshot
from ringback.store.writer import Record, Task, Writer

COMPACT_AT = 16 * 1024 * 1024
"""Bytes of segments that are worth a snapshot ..."""

COMPACT_RATIO = 0.5
"""... when they are also so many times as large as the last one: a start reads at most half as much again."""

ROWS_AT_ONCE = 100
"""Rows of a snapshot that are taken between two other things that the loop does."""

QUEUE = 1024
"""Entries that wait to be written at most; whoever comes then waits for room."""

TRY_AGAIN_S = 1.0
"""While the disk is full, how often it is tried; while it is well, for how long that counts as shown."""

LOOK_AGAIN_S = 0.1
"""How often a lock that somebody else has is tried."""


POLLS_AT_ONCE = 1000
"""Watches in one entry that says where polls have come to."""

_Answer = TypeVar("_Answer")


def _nobody(fact: str, **facts: object) -> None:
    """The report that goes nowhere."""


class JournalStore(ApartStore):
    """The journal of one directory: what the memory store does, so that it lasts."""

    def __init__(
        self,
        directory: Path,
        *,
        wait_lock: timedelta = timedelta(),
        observe_commit: Callable[[float], None] | None = None,
        report: Report = _nobody,
        compact_at: int = COMPACT_AT,
    ) -> None:
        super().__init__(Results(directory), report)
        self.directory = directory
        self._wait_lock = wait_lock
        self._observe = observe_commit
        self._compact_at = compact_at
        self._lock = Lock(directory)
        self._in_flight = InFlight()
        self._room = asyncio.Semaphore(QUEUE)
        self._refusal: StoreError | None = StoreError(f"the store {directory} is not open")
        self._full: StoreFull | None = None
        self._try_again_at = 0.0
        self._proven_at = float("-inf")
        self._older_bytes = 0
        self._due_at = 0.0
        self._compaction: asyncio.Task[None] | None = None
        self._writer: Writer | None = None

    # ------------------------------------------------------------------ life

    async def open(self, now: datetime) -> None:
        """Take the directory and read it, both without holding up the loop."""
        await self._take_lock()
        try:
            opened = await self._in_thread(open_directory, self.directory, self._results)
        except Exception:
            self._lock.release()
            raise
        self.table = opened.table
        self._older_bytes, self._due_at = opened.older_bytes, self._worth_it(opened.snapshot_bytes)
        self._writer = Writer(opened.tail, self._results)
        self._writer.start()
        self._refusal = None
        for fact, facts in opened.facts.items():
            self._report(fact, **facts)

    async def close(self) -> None:
        """Refuse what is new, finish what is queued, let go.

        Whatever is worth a snapshot is written as one first, so that the next start is quick; without one, where polls
        have come to is written.
        """
        with suppress(StoreBroken):  # it was reported when it broke
            if self._compaction is not None:
                await self.tend()
            self._due_at = min(self._due_at, self._compact_at)
            await self.tend()
            with suppress(StoreFull):  # then polls come early, as after a crash
                await self._keep_polls()
        self._refusal = self._refusal or StoreError(f"the store {self.directory} is closed")
        if self._writer is not None:
            with suppress(StoreBroken):  # it was reported when it broke
                await self._in_turn(self._writer, lambda: None)
            await self._writer.stop()
            self._writer = None
        self._lock.release()

    async def _take_lock(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._wait_lock.total_seconds()
        while True:
            try:
                self._lock.take()
            except StoreLocked:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(LOOK_AGAIN_S)
            else:
                return

    # ------------------------------------------------------------------ keeping

    async def commit(self, change: Change) -> None:
        """Check, write, apply."""

        def decided() -> Change | Settlement:
            self.table.check(change)
            self._in_flight.refuse(change)
            results.refuse_unknown(change, self.table)
            return self._in_flight.moved(change)

        await self._keep(decided)

    async def settle(self, settlement: Settlement) -> None:
        """Check, write, apply."""

        def decided() -> Change | Settlement:
            self.table.check(settlement)
            self._in_flight.refuse(settlement)
            return self._in_flight.moved(settlement)

        await self._keep(decided)

    async def shift(self, by: timedelta) -> None:
        """Write, apply."""
        await self._keep(lambda: Shifted(by))

    async def prune(self, before: datetime, keep_at_most: int, keep: Collection[str], limit: int) -> int:
        """Forget what is over, but for what a queued entry is about."""
        pruned = Pruned()

        def decided() -> Pruned | None:
            nonlocal pruned
            touched = self._in_flight.touched
            found = self.table.prunable(before, keep_at_most, {*keep, *touched}, limit)
            pruned = Pruned(found.watches, tuple(id for id in found.events if id not in touched))
            return pruned if pruned.watches or pruned.events else None

        await self._keep(decided)
        return len(pruned.watches)

    async def _keep_polls(self) -> None:
        """What may be forgotten after a crash, and need not be after a stop in order."""
        polled = polls.of_open(self.table.watches.values()) if self._has_polled and self._refusal is None else []
        for start in range(0, len(polled), POLLS_AT_ONCE):
            await self._keep(partial(Polled, tuple(polled[start : start + POLLS_AT_ONCE])))

    async def _keep(self, decide: Callable[[], Entry | None]) -> None:
        """Queue the entry that is decided on, and return when it is durable and applied.

        Between deciding and queueing nothing else can happen. Whoever waits may be cancelled: the entry is kept all the
        same.
        """
        await self._let_in()
        await self._room.acquire()
        try:
            loop = asyncio.get_running_loop()
            writer = self._open_writer()
            entry = decide()
            if entry is None:
                self._room.release()
                return
            entry, texts = results.apart(entry) if isinstance(entry, Change) else (entry, {})
            json = _as_line(entry)
        except Stale:
            self._room.release()
            # What it met may be being written: only after that is it worth reading again, and the loop must go on.
            await self._in_turn(self._open_writer(), lambda: None)
            raise
        except BaseException:
            self._room.release()
            raise
        done: asyncio.Future[None] = loop.create_future()
        self._in_flight.enter(entry)
        writer.submit(Record(json, texts, partial(self._written, entry, done, loop.time())))
        await done

    def _written(self, entry: Entry, done: asyncio.Future[None], began: float, answer: int | StoreError) -> None:
        self._room.release()
        self._in_flight.leave(entry)
        if isinstance(answer, int):
            self._noticed_room()
            error = self._count(entry, answer)
            if self._observe is not None:
                self._call(self._observe, asyncio.get_running_loop().time() - began)
        else:
            error = self._noticed(answer)
        _resolve(done, error)

    def _count(self, entry: Entry, number: int) -> StoreError | None:
        """Apply what is durable. An error here is a bug, and then only a replay can tell what is true."""
        try:
            unneeded = self._apply_durable(entry, number)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the table and the journal no longer agree
            broken = StoreBroken(f"entry {number} of {self.directory} could not be applied: {exc!r}; please report it")
            broken.__cause__ = exc
            return self._noticed(broken)
        if unneeded:
            assert self._writer is not None
            self._writer.submit(Task(partial(self._results.remove, unneeded), self._noticed))
        for listener in list(self._listeners):
            self._call(listener, entry)
        return None

    def _apply_durable(self, entry: Entry, number: int) -> set[str]:
        """Apply an entry; returns the result files that nothing needs any more."""
        match entry:
            case Change(watch=Watch(id=id)):
                known = self.table.watches.get(id)
                before = results.kept_apart(id, [known] if known else [], self.table.answers.get(id))
                if entry.answer is not None:
                    self._noted.forget(id)
            case Pruned():
                before = {name for id in entry.watches for name in results.needed(self.table, id)}
                for id in entry.watches:
                    self._noted.forget(id)
            case _:
                before = set()
        self.table.apply(entry, number)
        if before and isinstance(entry, Change) and entry.watch is not None:
            before -= results.needed(self.table, entry.watch.id)
        return before

    # ------------------------------------------------------------------ no space, no disk

    async def probe(self) -> None:
        """Write to the journal's end and take it back, unless something was written a moment ago."""
        writer = self._open_writer()
        now = asyncio.get_running_loop().time()
        if self._full is not None or now - self._proven_at >= TRY_AGAIN_S:
            self._try_again_at = now + TRY_AGAIN_S
            await self._in_turn(writer, writer.reserve)
            self._noticed_room()

    async def _let_in(self) -> None:
        """Refuse at once while there is no space; every now and then somebody may try."""
        if self._full is None:
            return
        if asyncio.get_running_loop().time() < self._try_again_at:
            raise _again(self._full)
        await self.probe()

    def _open_writer(self) -> Writer:
        if self._writer is None or self._refusal is not None:
            raise _again(self._refusal or StoreError(f"the store {self.directory} is not open"))
        return self._writer

    async def _in_turn(
        self, writer: Writer, act: Callable[[], _Answer], then: Callable[[_Answer], _Answer] = lambda answer: answer
    ) -> _Answer:
        """Have the writer do something after all that is queued, and `then` conclude before anything later counts."""
        done: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()

        def answered(answer: Any) -> None:
            error = self._noticed(answer)
            _resolve(done, error, then(answer) if error is None else None)

        writer.submit(Task(act, answered))
        return await done

    def _noticed(self, answer: object) -> StoreError | None:
        """Draw the conclusions from what the writer says; returns the error, when it is one."""
        if isinstance(answer, StoreBroken):
            if not isinstance(self._refusal, StoreBroken):
                self._call(partial(self._report, "store_broken", message=answer.message, **answer.facts))
            self._refusal = answer
        elif isinstance(answer, StoreFull):
            if self._full is None:
                self._call(partial(self._report, "store_full", message=answer.message, **answer.facts))
            self._full = answer
            self._try_again_at = asyncio.get_running_loop().time() + TRY_AGAIN_S
        return answer if isinstance(answer, StoreError) else None

    def _noticed_room(self) -> None:
        """Something was written."""
        self._proven_at = asyncio.get_running_loop().time()
        if self._full is not None:
            self._full = None
            self._call(partial(self._report, "space_returned", directory=str(self.directory)))

    def _call(self, other: Callable[..., object], *args: object) -> None:
        """Call other people's code, in order, from where its errors cannot keep anybody from being answered."""
        asyncio.get_running_loop().call_soon(other, *args)

    # ------------------------------------------------------------------ compaction

    async def tend(self) -> None:
        """Write a snapshot when the segments have grown enough. Commits go on meanwhile."""
        if (
            self._refusal is None
            and self._full is None
            and self._compaction is None
            and self._segment_bytes > self._due_at
        ):
            self._compaction = asyncio.create_task(self._compact())
        if self._compaction is not None:
            await asyncio.shield(self._compaction)

    @property
    def _segment_bytes(self) -> int:
        """What a start would read besides the snapshot."""
        return self._older_bytes + self._open_writer().tail.length

    def _worth_it(self, snapshot_bytes: int) -> float:
        return max(self._compact_at, COMPACT_RATIO * snapshot_bytes)

    async def _compact(self) -> None:
        try:
            began = asyncio.get_running_loop().time()
            number, keeping = await self._switched()
            written = await self._write_snapshot(number, keeping)
            self._older_bytes, self._due_at = 0, self._worth_it(written.bytes)
            self._report(
                "compacted", rows=written.rows, bytes=written.bytes, seconds=asyncio.get_running_loop().time() - began
            )
        except OSError as exc:
            self._give_up_compaction(disk.failure(exc, self.directory))
        except StoreFull as exc:
            self._give_up_compaction(exc)
        finally:
            self.table.keeping = None
            self._compaction = None

    async def _switched(self) -> tuple[int, Keeping]:
        """Begin a new segment, and begin to keep what the table holds at that very place among the entries."""
        writer = self._open_writer()

        def switched(answer: tuple[int, int]) -> tuple[int, int]:
            self._older_bytes += answer[1]
            self._has_polled = False
            self.table.kept()
            return answer

        number, _ = await self._in_turn(writer, writer.switch, switched)
        assert self.table.keeping is not None
        return number, self.table.keeping

    async def _write_snapshot(self, number: int, keeping: Keeping) -> Snapshot:
        """Rows are taken on the loop, a few at a time, and written in a thread."""
        snapshot = await self._in_thread(Snapshot, self.directory, number)
        try:
            while rows := keeping.take(ROWS_AT_ONCE):
                await self._in_thread(snapshot.add, rows)
            await self._in_thread(snapshot.finish)
        finally:
            await self._in_thread(snapshot.close)
        return snapshot

    def _give_up_compaction(self, error: StoreError) -> None:
        """Without space the journal just goes on growing in its segments; a failing disk ends it."""
        if isinstance(error, StoreBroken):
            self._noticed(error)
            raise error
        self._due_at = (1 + COMPACT_RATIO) * self._segment_bytes
        self._report("compaction_failed", message=error.message, **error.facts)


def _as_line(entry: Entry) -> bytes:
    """An entry as JSON, shown to be readable: what cannot be read again must not be written."""
    try:
        json = segment.encode(entry)
        segment.check(json)
    except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError) as exc:
        raise BadInput(
            f"this cannot be kept as JSON ({exc}): pass text that is Unicode and integers of 64 bits"
        ) from exc
    return json


def _again(error: StoreError) -> StoreError:
    """The same error for another caller: an exception that is raised twice keeps both tracebacks."""
    return type(error)(error.message, code=error.code, **error.facts)


def _resolve(done: asyncio.Future[Any], error: StoreError | None, value: Any = None) -> None:
    """Answer whoever waits, if anybody still does."""
    if done.done():
        return
    if error is not None:
        done.set_exception(_again(error))
    else:
        done.set_result(value)
