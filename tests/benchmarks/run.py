"""The benchmark: everything in one run, each contestant in a process of its own on one core, the upstream on another.

    make bench              all of it, about twenty minutes; the figures of docs/explanation/benchmarks.md
    make bench QUICK=1      one round of the essentials, under two minutes

Secret: what is measured, how often and in which order. Rounds are interleaved, so that a noisy minute of the machine
hits everybody; what is told is the median. All traffic stays on 127.0.0.1, and every part ends by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import report

HERE = Path(__file__).parent
CORES = sorted(os.sched_getaffinity(0))
RATE = 1000.0
ENDS_S = 400
"""No single measurement takes longer."""

Figures = dict[str, float]


class Bench:
    """One run: where the upstream is, how thorough it is, and the stores that were made for it."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.quick = quick
        self.rounds = 1 if quick else 5
        self.window_s = 2.0 if quick else 4.0
        self.folder = folder
        self.ca_file = str(folder / "ca.pem")
        self.ports = {"http": _free_port(), "https": _free_port()}
        self._copies = 0

    @contextmanager
    def upstream(self) -> Iterator[None]:
        """What everybody talks to, on a core of its own."""
        command = [sys.executable, HERE / "upstream.py", *map(str, self.ports.values()), self.ca_file]
        with subprocess.Popen([*command, str(CORES[-1])], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield
            finally:
                process.terminate()

    def measure(self, case: str, *, scheme: str = "http", fast: bool = False, **terms: Any) -> Figures:
        """One measurement in a process of its own."""
        where = {"base": f"{scheme}://127.0.0.1:{self.ports[scheme]}", "ca_file": self.ca_file}
        given = where | {"core": CORES[0], "loop": "uvloop" if fast else "asyncio"} | terms
        done = subprocess.run(
            [sys.executable, HERE / "case.py", case, json.dumps(given)],
            capture_output=True,
            text=True,
            timeout=ENDS_S,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{case} {terms}: {done.stderr[-2000:]}")
        found: Figures = json.loads(done.stdout.splitlines()[-1])
        print(f"  {case:18} {_brief(terms)}{' uvloop' if fast else ''}", flush=True)
        return found

    def store(self, **filled: int) -> str:
        """A store with so many watches of each kind: a fresh copy each time, made once."""
        made = self.folder / "-".join(f"{kind}{count}" for kind, count in filled.items())
        if not made.exists():
            made.mkdir()
            self.measure("filled.fill", directory=str(made), **filled)
        self._copies += 1
        copy = self.folder / f"copy{self._copies}"
        shutil.rmtree(self.folder / f"copy{self._copies - 1}", ignore_errors=True)
        shutil.copytree(made, copy)
        return str(copy)

    # ------------------------------------------------------------------ the parts

    def polls(self, scheme: str) -> list[report.Row]:
        """1,000 watches, 1,000 polls a second: everybody, interleaved."""
        terms = {"tasks": 1000, "per_s": RATE, "warm_s": 2.0, "window_s": self.window_s, "scheme": scheme}
        rivals = ("httpx", "barest") if self.quick and scheme == "https" else ("httpx", "apscheduler", "barest")
        runs: dict[str, list[Figures]] = {}
        for _ in range(self.rounds):
            for rival in rivals:
                runs.setdefault(rival, []).append(self.measure("rivals.polls", rival=rival, **terms))
            for name, fast in (("ringback", False), ("ringback[fast]", True)):
                store = self.store(waiting=1000)
                runs.setdefault(name, []).append(self.measure("daemon.polls", directory=store, fast=fast, **terms))
        return [report.Row(name, _median(figures)) for name, figures in runs.items()]

    def growth(self) -> list[report.Row]:
        """The same 1,000 polls a second over more and more watches, after everyone was polled at least once."""
        runs: dict[int, list[Figures]] = {}
        for _ in range(min(self.rounds, 3)):
            for count in (100, 5000) if self.quick else (100, 1000, 5000, 10_000, 100_000):
                terms = {"tasks": count, "per_s": RATE, "warm_s": 2 + 1.15 * count / RATE, "window_s": self.window_s}
                run = self.measure("daemon.polls", directory=self.store(waiting=count), **terms)
                runs.setdefault(count, []).append(run)
        return [report.Row(f"{count:,}", _median(figures)) for count, figures in runs.items()]

    def deliveries(self) -> list[report.Row]:
        """What is owed goes out, against the same number of posts."""
        count = 1000 if self.quick else 3000
        runs: dict[str, list[Figures]] = {}
        for _ in range(min(self.rounds, 3)):
            runs.setdefault("httpx", []).append(self.measure("rivals.posts", count=count, body_bytes=1300))
            for name, fast in (("ringback", False), ("ringback[fast]", True)):
                store = self.store(owing=count + count // 4)
                run = self.measure("daemon.deliveries", directory=store, count=count, fast=fast)
                runs.setdefault(name, []).append(run)
        return [report.Row(name, _median(figures)) for name, figures in runs.items()]

    def reaction(self) -> Figures:
        """From an observation to its callback."""
        runs = [
            self.measure("daemon.reaction", directory=self.store(waiting=0), per_s=100.0, window_s=5.0)
            for _ in range(min(self.rounds, 3))
        ]
        return _median(runs)

    def reopened(self) -> list[report.Row]:
        """A start on a large store."""
        count = 10_000 if self.quick else 100_000
        kinds = {
            "open, of a provider that says little": {"terse": count},
            "open, each with an answer of 600 bytes": {"waiting": count},
            "over, each with 2 deliveries": {"over": count},
        }
        return [
            report.Row(
                f"{count:,} {name}",
                _median(
                    [self.measure("daemon.reopened", directory=self.store(**kind)) for _ in range(self.rounds // 2 + 1)]
                ),
            )
            for name, kind in kinds.items()
        ]

    def stalls(self) -> Figures:
        """The longest gap of the loop."""
        over, count = (10_000, 2000) if self.quick else (100_000, 10_000)
        runs = [
            self.measure("daemon.stalls", directory=self.store(over=over), count=count)
            for _ in range(self.rounds // 2 + 1)
        ]
        return _median(runs) | {"over": float(over), "count": float(count)}

    def stampede(self) -> Figures:
        """How many polls of watches that were registered at once fall into the fullest second and tenth of one."""
        return self.measure("daemon.stampede", directory=self.store(waiting=0), count=10_000)


def _median(runs: Sequence[Figures]) -> Figures:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _brief(terms: dict[str, Any]) -> str:
    shown = {name: value for name, value in terms.items() if name in {"rival", "tasks", "count"}}
    return " ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in shown.values())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def main() -> None:
    """Measure, print, and with --write keep the page."""
    given = argparse.ArgumentParser()
    given.add_argument("--quick", action="store_true")
    given.add_argument("--write", type=Path, help="keep the figures in this page, between its marks")
    terms = given.parse_args()
    with tempfile.TemporaryDirectory(prefix="ringback-bench-") as folder:
        bench = Bench(Path(folder), quick=terms.quick)
        with bench.upstream():
            found = report.Found(
                polls={scheme: bench.polls(scheme) for scheme in ("http", "https")},
                growth=bench.growth(),
                deliveries=bench.deliveries(),
                reaction=bench.reaction(),
                reopened=bench.reopened(),
                stalls=bench.stalls(),
                stampede=bench.stampede(),
                rounds=bench.rounds,
            )
    text = report.markdown(found)
    print("\n" + text)
    if terms.write is not None:
        report.keep(text, terms.write)


if __name__ == "__main__":
    main()
