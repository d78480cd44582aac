"""Stores as they look after a while: watches that wait for their next poll, and finished ones with what was delivered.

Secret: how many of what stand in a benchmark's store. They are made with the rules and the journal themselves.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from upstream import FINISHED, HEAD, RUNNING

from ringback.core import ids, retry
from ringback.core.advance import Rules, advance
from ringback.core.cadence import Fixed, Pace
from ringback.core.model import (
    Answer,
    AttemptOutcome,
    Callback,
    Change,
    Delivery,
    Watch,
)
from ringback.core.routing import Routes
from ringback.providers.shelf import shipped
from ringback.store.base import Settlement
from ringback.store.journal import JournalStore

AT_ONCE = 500
HOURS_24 = timedelta(hours=24)
PACE = Pace(Fixed(timedelta(seconds=5)), timedelta(seconds=1), timedelta(minutes=1))
RULES = Rules(PACE, Routes({"ci": ("task.*",)}))
PRESET = shipped().get("302ai-browser")


def open_watch(number: int, now: datetime, *, task_id: str = "", callback: str = "") -> Watch:
    """A watch that was registered just now."""
    task_id = task_id or f"t{number:06d}-6f1c-4b1e-9d57-2a8e3c0f7b11"
    id = ids.watch_id("", "302ai-browser", "302ai", task_id, {})
    return Watch(
        id=id,
        owner="",
        provider="302ai-browser",
        account="302ai",
        task_id=task_id,
        callbacks=(Callback(ids.callback_id(id, callback), callback),) if callback else (),
        registered_at=now,
        changed_at=now,
        deadline_at=now + HOURS_24,
        next_poll_at=now,
    )


def _answer(watch: Watch, said: dict[str, Any]) -> Answer:
    """As the upstream gives it."""
    body = msgspec.json.encode({"task_id": watch.task_id} | said)
    lines = (HEAD % len(body)).decode().splitlines()[1:-1]
    return Answer(status=200, headers=dict(line.split(": ", 1) for line in lines), body=body)


def _advanced(watch: Watch, answer: Answer, now: datetime) -> tuple[Watch, Change]:
    """What the answer makes of the watch, as in a poll."""
    after, change = advance(watch, PRESET.read(answer, watch.task_id), RULES, now, jitter=0.5)
    assert change is not None
    return after, replace(change, answer=answer)


def _running(watch: Watch, now: datetime) -> tuple[Watch, Change]:
    return _advanced(watch, _answer(watch, RUNNING), now)


def _finished(watch: Watch, now: datetime) -> tuple[Watch, Change]:
    return _advanced(watch, _answer(watch, FINISHED), now)


def _delivered(delivery: Delivery, now: datetime) -> Settlement:
    outcome = retry.Outcome(outcome=AttemptOutcome.DELIVERED, status=200, latency_ms=3.1, excerpt="ok")
    after = retry.settled(delivery, retry.Done(), now, attempted=True)
    return Settlement(after, retry.attempt_of(delivery, outcome, now))


async def _waiting(store: JournalStore, number: int, now: datetime, *, terse: bool = False) -> None:
    """Open, seen running once, its event settled long ago. A terse provider says no more than that."""
    watch = open_watch(number, now)
    await store.commit(Change(watch=watch))
    _, change = _advanced(watch, _answer(watch, {"status": "running"} if terse else RUNNING), now)
    await store.commit(replace(change, deliveries=()))


async def _over(store: JournalStore, number: int, now: datetime, *, settled: bool) -> None:
    """Run to its end: two events, each delivered once (or, unsettled, its last one owed)."""
    watch = open_watch(number, now)
    await store.commit(Change(watch=watch))
    watch, running = _running(watch, now)
    _, finished = _finished(watch, now + timedelta(seconds=30))
    if not settled:
        await store.commit(replace(running, deliveries=()))
        await store.commit(finished)
        return
    for change in (running, finished):
        await store.commit(change)
        for delivery in change.deliveries:
            await store.settle(_delivered(delivery, now))


async def fill(
    *, directory: str, waiting: int = 0, terse: int = 0, over: int = 0, owing: int = 0, **_: Any
) -> dict[str, float]:
    """Make a store with so many watches of each kind."""
    store, now, numbers = JournalStore(Path(directory)), datetime.now(UTC), count()
    await store.open(now)
    turns = [_waiting(store, next(numbers), now) for _ in range(waiting)]
    turns += [_waiting(store, next(numbers), now, terse=True) for _ in range(terse)]
    turns += [_over(store, next(numbers), now, settled=True) for _ in range(over)]
    turns += [_over(store, next(numbers), now, settled=False) for _ in range(owing)]
    for start in range(0, len(turns), AT_ONCE):
        await asyncio.gather(*turns[start : start + AT_ONCE])
    await store.close()
    return {"bytes": sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file())}
