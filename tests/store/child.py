"""A process of its own that commits to a journal, so that it can be killed, or its disk can fail.

child.py loop DIR ROUND        commit without end, printing every task id that was acknowledged
child.py full DIR LIMIT        commit until a file may not grow over LIMIT bytes, then lift that; print what came
child.py fault DIR POINT ERRNO commit, make a system call fail (under fiu-run), commit, mend it, commit; print
child.py hold DIR              open, say so, and keep it until stdin ends
"""

# ruff: noqa: T201 - a child speaks to its parent

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

import given

from ringback.core.errors import RingbackError
from ringback.core.model import Change
from ringback.store import journal as journal_module
from ringback.store.journal import JournalStore
from tests.store import steps

LARGE = given.document(steps.LARGE)


async def _attempt(commit) -> str:
    try:
        await commit
    except RingbackError as exc:
        return type(exc).__name__
    return "kept"


async def loop(directory: Path, name: str) -> None:
    """Eight writers, one that compacts, one that forgets."""
    store = JournalStore(directory, compact_at=20_000)
    await store.open(given.NOW)

    async def writer(number: int) -> None:
        for count in range(100_000):
            task = f"{name}-{number}-{count}"
            details = LARGE if count % 3 == 0 else given.document(task)
            await steps.follow(store, "running", of=given.watch(task), details=details)
            os.write(1, f"{task}\n".encode())

    async def tender() -> None:
        while True:
            await store.tend()
            await asyncio.sleep(0)

    await asyncio.gather(tender(), *(writer(number) for number in range(8)))


async def full(directory: Path, limit: int) -> None:
    """A file size limit is what a test can have of a full disk without a disk."""
    journal_module.TRY_AGAIN_S = 0.0
    facts: list[str] = []
    store = JournalStore(directory, report=lambda fact, **_: facts.append(fact))
    await store.open(given.NOW)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    outcomes, kept = [], []
    for number in range(60):
        task = f"task-{number}"
        outcomes.append(await _attempt(store.commit(Change(watch=given.watch(task)))))
        kept += [task] if outcomes[-1] == "kept" else []
    probes = [await _attempt(store.probe())]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    probes.append(await _attempt(store.probe()))
    after = await _attempt(store.commit(Change(watch=given.watch("after"))))
    await store.close()
    print(json.dumps({"outcomes": outcomes, "kept": kept, "probes": probes, "after": after, "facts": facts}))


async def fault(directory: Path, point: str, number: int) -> None:
    """The failing call is the disk's answer to one batch of two, of which one has a large document."""
    journal_module.TRY_AGAIN_S = 0.0
    fiu = ctypes.CDLL("libfiu.so.0")
    fiu.fiu_enable.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint]
    facts: list[str] = []
    store = JournalStore(directory, report=lambda fact, **_: facts.append(fact))
    await store.open(given.NOW)
    before = await _attempt(store.commit(Change(watch=given.watch("before"))))
    assert fiu.fiu_enable(point.encode(), 1, number, 0) == 0
    during = await asyncio.gather(
        _attempt(store.commit(Change(watch=given.watch("large", details=LARGE)))),
        _attempt(store.commit(Change(watch=given.watch("small")))),
    )
    during.append(await _attempt(store.probe()))
    fiu.fiu_disable(point.encode())
    after = await _attempt(store.commit(Change(watch=given.watch("after"))))
    probe = await _attempt(store.probe())
    await store.close()
    print(json.dumps({"before": before, "during": during, "after": after, "probe": probe, "facts": facts}))


async def hold(directory: Path) -> None:
    """Another daemon."""
    store = JournalStore(directory)
    await store.open(given.NOW)
    print(os.getpid(), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await store.close()


if __name__ == "__main__":
    what, directory, *more = sys.argv[1:]
    match what, more:
        case "loop", [name]:
            asyncio.run(loop(Path(directory), name))
        case "full", [limit]:
            asyncio.run(full(Path(directory), int(limit)))
        case "fault", [point, number]:
            asyncio.run(fault(Path(directory), point, int(number)))
        case "hold", []:
            asyncio.run(hold(Path(directory)))
