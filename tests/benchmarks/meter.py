"""What is measured of a contestant, from inside its process: processor time, memory, lag, stalls of its loop.

Secret: how it is measured. Processor time is the kernel's count for the whole process, every thread of it, between two
marks; what comes before the first mark (imports, connections, caches) is warm-up.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

LOOK_EVERY_S = 0.005


def cpu_s() -> float:
    """Seconds of processor time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rss_mb() -> float:
    """Megabytes of memory that this process holds just now."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of all does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


class Window:
    """The measured time: from `open` on, so many things done."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.done = 0
        self._began: tuple[float, float] | None = None

    def open(self) -> None:
        """Warm-up is over."""
        self.lags.clear()
        self.done = 0
        self._began = (time.perf_counter(), cpu_s())

    def close(self) -> dict[str, float]:
        """What came of it."""
        assert self._began is not None, "open it first"
        wall, cpu = time.perf_counter() - self._began[0], cpu_s() - self._began[1]
        return {
            "done": self.done,
            "per_s": self.done / wall,
            "per_cpu_s": self.done / cpu,
            "cpu_us": 1e6 * cpu / max(self.done, 1),
            "cpu_share": cpu / wall,
            "lag_p50_ms": 1000 * percentile(self.lags, 0.5),
            "lag_p95_ms": 1000 * percentile(self.lags, 0.95),
            "lag_p99_ms": 1000 * percentile(self.lags, 0.99),
            "rss_mb": rss_mb(),
        }


class Stalls:
    """How long the loop did nothing else: the longest gap between two looks."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self.longest_ms = 0.0
        self._task = asyncio.create_task(self._look())
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(LOOK_EVERY_S)
            late_s = time.perf_counter() - before - LOOK_EVERY_S
            self.longest_ms = max(self.longest_ms, 1000 * late_s)


def tell(result: dict[str, Any]) -> None:
    """Hand the figures to whoever started this process."""
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
