"""The whole daemon against a scripted upstream and a receiver that checks signatures, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from ringback.receiver import Receiver
from ringback.simulator import Options, Simulator

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "key-of-the-simulator"
WITHIN_S = 45
"""For one thing to happen, on a machine that has much else to do."""


def now() -> datetime:
    return datetime.now(UTC)


class Process:
    """`ringback serve` in a process of its own, which can be killed and started again on the same store."""

    def __init__(self, folder: Path, upstream: str, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.port = _free_port()
        self.config = folder / "ringback.toml"
        self.environ = dict(os.environ)
        self.upstream = upstream
        self.lines: list[dict[str, Any]] = []
        self.log = ""
        self._news = asyncio.Condition()
        self._child: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)
        self.configure(**settings)

    def configure(self, **sections: str) -> None:
        """Write the configuration: the usual one, with the text of these sections in place of theirs."""
        usual = {
            "server": f'listen = "127.0.0.1:{self.port}"\nshutdown_grace = "5s"',
            "store": f'url = "json:{self.folder}/data"',
            "polling": 'interval = "200ms"\nmin_interval = "50ms"\nmax_interval = "1s"',
            "accounts.302ai": f'api_key = "{KEY}"\nbase_url = "{self.upstream}"\nrate = "unlimited"',
            "callbacks": f'secret = "{SECRET}"',
        }
        merged = usual | {name.replace("__", "."): text for name, text in sections.items()}
        self.config.write_text("\n".join(f"[{name}]\n{text}\n" for name, text in merged.items() if text))

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    async def start(self) -> None:
        """Start it and wait until it says that it has started."""
        before = len(self.lines)
        self._child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ringback.cli.main", "serve", "--config", str(self.config)),
            stderr=asyncio.subprocess.PIPE,
            env=self.environ,
            cwd=self.folder,
        )
        self._reader = asyncio.create_task(self._read(self._child))
        await self.said("ringback.started", after=before)

    async def _read(self, child: asyncio.subprocess.Process) -> None:
        """Take in what it logs, line by line."""
        assert child.stderr is not None
        async for line in child.stderr:
            self.log += line.decode()
            async with self._news:
                self.lines += [json.loads(line)] if line.startswith(b"{") else []
                self._news.notify_all()
        await child.wait()
        async with self._news:
            self._news.notify_all()

    async def said(self, event: str, *, after: int = 0, **fields: Any) -> dict[str, Any]:
        """The first line about this event, from the `after`-th on, with these fields."""

        def found() -> dict[str, Any] | None:
            return next(
                (line for line in self.lines[after:] if {"event": event, **fields}.items() <= line.items()), None
            )

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_S), self._news:
                await self._news.wait_for(lambda: found() or (self._child and self._child.returncode is not None))
        line = found()
        assert line is not None, f"the daemon did not say {event}: {self.log[-2000:]}"
        return line

    async def kill(self) -> None:
        """SIGKILL: no last words."""
        await self.stop(signal.SIGKILL)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code, once all it said is read."""
        assert self._child is not None
        assert self._reader is not None
        if self._child.returncode is None:
            self._child.send_signal(number)
        await self._reader
        return await self._child.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._child is not None
        self._child.send_signal(number)

    async def register(self, task_id: str, **fields: Any) -> dict[str, Any]:
        """POST /v1/watches."""
        answer = await self.client.post("/v1/watches", json={"provider": "302ai-browser", "task_id": task_id, **fields})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def get(self, path: str, **params: Any) -> Any:
        """GET, as JSON."""
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until_final(self, id: str) -> dict[str, Any]:
        """The watch once it is over: the API holds the answer."""
        while True:
            watch = await self.get(f"/v1/watches/{id}", wait="30s", after=10**6)
            if watch["finished_at"] is not None:
                return watch

    async def all(self, path: str) -> list[dict[str, Any]]:
        """Every page of a list, in its order."""
        items, cursor = [], None
        while True:
            page = await self.get(path, limit=1000, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next"]
            if cursor is None or not page["items"]:
                return items

    async def close(self) -> None:
        if self._child is not None and self._child.returncode is None:
            await self.kill()
        await self.client.aclose()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
async def upstream() -> AsyncIterator[Simulator]:
    async with Simulator(Options(key=KEY)) as simulator:
        yield simulator


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(SECRET, now=now) as receiver:
        yield receiver


@pytest.fixture
async def daemon(tmp_path: Path, upstream: Simulator, receiver: Receiver) -> AsyncIterator[Process]:
    process = Process(
        tmp_path,
        upstream.url,
        {"destinations__builds": f'type = "webhook"\nurl = "{receiver.url}/builds"\nsecret = "{SECRET}"'},
    )
    yield process
    await process.close()
