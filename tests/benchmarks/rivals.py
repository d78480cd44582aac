"""What one would write instead: the same polls without ringback.

    httpx       one shared AsyncClient, 64 requests at a time, r.json()
    apscheduler one interval job a task, the same client
    barest      a heap of due times, aiohttp, the body read and its CRC taken; remembers nothing, decides nothing

Secret: that each is written as well as its tools allow; none is slowed down to lose.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import ssl
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from meter import Window

AT_ONCE = 64
HEADERS = {"authorization": "Bearer k", "accept": "application/json"}
LEAST_SLEEP_S = 0.02
"""What is due within it goes out together: kind to the barest loop, which would wake for each task alone."""

Ask = Callable[[int], Awaitable[None]]


def _trust(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


async def _with_httpx(base: str, ca_file: str) -> Ask:
    import httpx

    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    client = httpx.AsyncClient(verify=_trust(ca_file), limits=limits, timeout=30)
    places = asyncio.Semaphore(AT_ONCE)  # without it all that is late waits in httpx's pool, which is slower still

    async def ask(task: int) -> None:
        async with places:
            (await client.get(f"{base}/302/browser/tasks/t{task}", headers=HEADERS)).json()

    return ask


async def _with_aiohttp(base: str, ca_file: str) -> Ask:
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256, ssl=_trust(ca_file)), headers=HEADERS)

    async def ask(task: int) -> None:
        async with session.get(f"{base}/302/browser/tasks/t{task}") as answer:
            zlib.crc32(await answer.read())

    return ask


async def _paced(ask: Ask, window: Window, *, tasks: int, gap_s: float) -> None:
    """Ask about every task every `gap_s`, in a task of its own; never twice at a time about one."""
    loop = asyncio.get_running_loop()
    due = [(loop.time() + random.random() * gap_s, task) for task in range(tasks)]
    heapq.heapify(due)
    under_way: set[asyncio.Task[None]] = set()

    async def turn(task: int, at: float) -> None:
        window.lags.append(loop.time() - at)
        await ask(task)
        window.done += 1
        heapq.heappush(due, (max(at + gap_s, loop.time()), task))

    while True:
        while due and due[0][0] <= loop.time():
            at, task = heapq.heappop(due)
            one = asyncio.create_task(turn(task, at))
            under_way.add(one)
            one.add_done_callback(under_way.discard)
        await asyncio.sleep(max(due[0][0] - loop.time(), LEAST_SLEEP_S) if due else LEAST_SLEEP_S)


async def _scheduled(ask: Ask, window: Window, *, tasks: int, gap_s: float) -> None:
    """APScheduler as its documentation shows it."""
    from datetime import UTC, datetime, timedelta

    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None})

    async def turn(task: int) -> None:
        await ask(task)
        window.done += 1

    for task in range(tasks):
        first = datetime.now(UTC) + timedelta(seconds=random.random() * gap_s)
        scheduler.add_job(turn, "interval", seconds=gap_s, args=[task], next_run_time=first)
    scheduler.start()
    await asyncio.Event().wait()


async def polls(
    *, rival: str, base: str, ca_file: str, tasks: int, per_s: float, warm_s: float, window_s: float, **_: Any
) -> dict[str, float]:
    """So many tasks, polled so often a second all together."""
    ask = await (_with_aiohttp if rival == "barest" else _with_httpx)(base, ca_file)
    window = Window()
    loop = _scheduled if rival == "apscheduler" else _paced
    running = asyncio.create_task(loop(ask, window, tasks=tasks, gap_s=tasks / per_s))
    await asyncio.wait({running}, timeout=warm_s)
    window.open()
    await asyncio.wait({running}, timeout=window_s)
    result = window.close()
    if running.done():
        running.result()
    return result


async def posts(*, base: str, ca_file: str, count: int, body_bytes: int, **_: Any) -> dict[str, float]:
    """The callbacks: posted with httpx, 64 at a time, unsigned, nothing remembered."""
    import httpx

    client = httpx.AsyncClient(verify=_trust(ca_file), limits=httpx.Limits(max_connections=AT_ONCE), timeout=15)
    window, left = Window(), iter(range(count + count // 5))
    body = b"x" * body_bytes

    async def worker() -> None:
        for number in left:
            if number == count // 5:
                window.open()
            began = time.perf_counter()
            answer = await client.post(f"{base}/hook", content=body, headers={"content-type": "application/json"})
            answer.raise_for_status()
            window.done += 1
            window.lags.append(time.perf_counter() - began)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return window.close()
