"""ringback itself, whole: the App with its journal, API and telemetry, as `ringback serve` runs it.

    polls      so many watches, each polled at its interval: claim, ask, read, decide, reschedule
    deliveries what is owed goes out, signed, each attempt durable before the next
    reaction   from an observed change to the callback's arrival
    reopened   how long a start takes, and what it holds afterwards
    stalls     the longest gap in the loop while it registers, compacts and prunes

Secret: how the daemon is set up to be measured; nothing in it is switched off.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
import urllib.request
from asyncio.subprocess import DEVNULL
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from filled import open_watch
from meter import Stalls, Window, percentile, rss_mb
from msgspec.structs import replace

from ringback.app import App
from ringback.config import Account, Settings
from ringback.core.model import Change
from ringback.store.base import Reschedule, WatchQuery
from ringback.store.journal import JournalStore

CASE = Path(__file__).with_name("case.py")
PAGE = 1000
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Spread(JournalStore):
    """A journal whose open watches are due evenly over one interval from its opening on, as after a long run."""

    over_s = 0.0

    async def open(self, now: datetime) -> None:
        await super().open(now)
        cursor = None
        while self.over_s:
            page = await self.watches(WatchQuery(limit=PAGE, cursor=cursor))
            dues = (now + timedelta(seconds=0.5 + random.random() * self.over_s) for _ in page.items)
            await self.reschedule(
                [Reschedule(replace(w, next_poll_at=due)) for w, due in zip(page.items, dues, strict=True)]
            )
            cursor = page.next
            if cursor is None:
                return


def _settings(base: str, ca_file: str, directory: str, interval_s: float, **more: Any) -> Settings:
    text = f"{max(int(interval_s * 1000), 1)}ms"
    return Settings(
        server={"listen": "127.0.0.1:0", "shutdown_grace": "1s"},
        store={"url": f"json:{directory}"} | more.pop("store", {}),
        polling={
            "interval": text,
            "min_interval": text,
            "max_interval": "24h",
            "concurrency": 1024,
            "cadence": "fixed",
        },
        accounts={"302ai": Account(api_key="k", base_url=base, rate="unlimited", ca_file=ca_file)},
        **more,
    )


def _quiet(app: App, window: Window) -> None:
    """Count polls and their lag where the program itself notes them."""
    began, ended = app.telemetry.poll_began, app.telemetry.poll_ended

    def poll_began(lag: timedelta) -> None:
        window.lags.append(lag.total_seconds())
        began(lag)

    def poll_ended(outcome: str) -> None:
        window.done += 1
        ended(outcome)

    app.telemetry.poll_began, app.telemetry.poll_ended = poll_began, poll_ended  # type: ignore[method-assign]


async def polls(
    *, base: str, ca_file: str, directory: str, tasks: int, per_s: float, warm_s: float, window_s: float, **_: Any
) -> dict[str, float]:
    """The store has `tasks` watches already."""
    interval_s = tasks / per_s
    store = Spread(Path(directory))
    store.over_s = interval_s
    app, window = App(_settings(base, ca_file, directory, interval_s), store=store), Window()
    _quiet(app, window)
    await app.start()
    await asyncio.sleep(warm_s)
    window.open()
    await asyncio.sleep(window_s)
    result = window.close()
    with Stalls() as seen:  # afterwards: to look 200 times a second takes a seventh of what the polls do
        await asyncio.sleep(window_s)
    result["stall_ms"] = seen.longest_ms
    problems = app.telemetry.registry.get_sample_value("ringback_polls_total", {"outcome": "problem"}) or 0.0
    await app.stop()
    return result | {"problems": problems}


async def deliveries(*, base: str, ca_file: str, directory: str, count: int, **_: Any) -> dict[str, float]:
    """The store owes `count` and a fifth more: the fifth is warm-up."""
    hook = {"type": "webhook", "url": f"{base}/hook", "secret": SECRET, "concurrency": 64}
    app = App(_settings(base, ca_file, directory, 60, destinations={"ci": hook}))
    window, settled = Window(), app.telemetry.settled
    over = asyncio.Event()

    def counted(delivery: Any) -> None:
        settled(delivery)
        window.done += 1
        if window.done == count // 5 and not window.lags:
            window.open()
            window.lags.append(0.0)
        elif window.lags and window.done >= count:
            over.set()

    app.telemetry.settled = counted  # type: ignore[method-assign]
    await app.start()
    await asyncio.wait_for(over.wait(), 120)
    result = window.close()
    await app.stop()
    return result


async def reaction(
    *, base: str, ca_file: str, directory: str, per_s: float, window_s: float, **_: Any
) -> dict[str, float]:
    """Tasks that finish evenly over the window, each with a callback."""
    _latencies(base)  # those of whoever was measured before
    app = App(_settings(base, ca_file, directory, 1.0))
    await app.start()
    begin = time.time() + 2.0
    for number in range(int(per_s * window_s)):
        ends = f"until-{begin + number / per_s:.3f}-{number}"
        watch = open_watch(number, app.clock.now(), task_id=ends, callback=f"{base}/hook")
        await app.store.commit(Change(watch=watch))
    await asyncio.sleep(begin - time.time() + window_s + 2.5)
    await app.stop()
    latencies = _latencies(base)
    return {
        "done": len(latencies),
        "expected": int(per_s * window_s),
        "p50_ms": percentile(latencies, 0.5),
        "p99_ms": percentile(latencies, 0.99),
    }


def _latencies(base: str) -> list[float]:
    with urllib.request.urlopen(f"{base}/latencies") as told:
        found: list[float] = json.load(told)
    return found


async def reopened(*, base: str, ca_file: str, directory: str, **_: Any) -> dict[str, float]:
    """A start of the whole daemon on a store that is there."""
    before = rss_mb()
    app = App(_settings(base, ca_file, directory, 3600))
    began = time.perf_counter()
    await app.store.open(app.clock.now())
    took = time.perf_counter() - began
    await asyncio.sleep(0.5)
    held = rss_mb()
    await app.store.close()
    return {"seconds": took, "rss_mb": held, "rss_before_mb": before}


async def stalls(*, base: str, ca_file: str, directory: str, count: int, **_: Any) -> dict[str, float]:
    """Register `count` through the API in batches; then compact; then prune what is over. The store has watches."""
    app = App(_settings(base, ca_file, directory, 3600, store={"retain_max": 10_000_000}))
    await app.start()
    result: dict[str, float] = {}
    with Stalls() as seen:
        await _registered(app.url, count)
    result["registering_ms"] = seen.longest_ms
    app.store._due_at = 0.0  # type: ignore[attr-defined]
    with Stalls() as seen:
        await app.store.tend()
    result["compacting_ms"] = seen.longest_ms
    app.settings = _settings(base, ca_file, directory, 3600, store={"retain": "0s"})
    with Stalls() as seen:
        while await app._prune() is not None:
            await asyncio.sleep(0)
    result["pruning_ms"] = seen.longest_ms
    result["registered"] = float(sum((await app.store.stats()).watches.values()))
    await app.stop()
    return result


async def stampede(*, base: str, ca_file: str, directory: str, count: int, **_: Any) -> dict[str, float]:
    """Register `count` at once, with the rate that an account has unless it is told otherwise."""
    settings = _settings(base, ca_file, directory, 5)
    account = Account(api_key="k", base_url=base, ca_file=ca_file)
    app, times = App(settings.model_copy(update={"accounts": {"302ai": account}})), []
    began = app.telemetry.poll_began

    def poll_began(lag: timedelta) -> None:
        times.append(time.perf_counter())
        began(lag)

    app.telemetry.poll_began = poll_began  # type: ignore[method-assign]
    await app.start()
    await _registered(app.url, count)
    await asyncio.sleep(3)
    await app.stop()
    return {
        "polls": float(len(times)),
        "second": float(max(Counter(int(at) for at in times).values())),
        "tenth": float(max(Counter(int(at * 10) for at in times).values())),
    }


async def _registered(url: str, count: int) -> None:
    """By somebody else, on the upstream's core: a client in this process would stand in the loop's way."""
    terms = json.dumps({"url": url, "count": count, "core": max(os.sched_getaffinity(os.getppid()))})
    client = await asyncio.create_subprocess_exec(sys.executable, CASE, "daemon.register", terms, stdout=DEVNULL)
    assert await client.wait() == 0


async def register(*, url: str, count: int, **_: Any) -> dict[str, float]:
    """Register `count` watches, a thousand at a time, four such batches at once."""
    batches = iter([range(start, min(start + 1000, count)) for start in range(0, count, 1000)])

    async def worker() -> None:
        for batch in batches:
            await asyncio.to_thread(_post_batch, url, batch)

    await asyncio.gather(*(worker() for _ in range(4)))
    return {}


def _post_batch(url: str, numbers: Sequence[int]) -> None:
    asked = [{"provider": "302ai-browser", "task_id": f"b{number}", "interval": "1h"} for number in numbers]
    request = urllib.request.Request(
        f"{url}/v1/watches/batch", json.dumps(asked).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200, answer.read()
