"""The simulated 302.AI: its routes, its memory of tasks, its faults, and scripts for tests.

Secret: which request gets which reply. The clock is handed down, so that a test can turn it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import msgspec

from ringback.core.document import digest
from ringback.simulator import browser
from ringback.simulator.browser import Options, envelope
from ringback.simulator.wire import Reply, Request, Wire

TASKS_KEPT = 100_000
"""The oldest is forgotten for a newer one."""

REQUESTS_KEPT = 1_000

THROTTLED_FOR_S = 1


class _Task:
    """What the upstream knows of a task; `born_s` is None while it was asked for but never submitted."""

    def __init__(self) -> None:
        self.born_s: float | None = None
        self.polls = 0
        self.script: Sequence[Reply] = ()
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []


class Simulator:
    """A local upstream. Start it as a context manager, or with `start` and `stop`."""

    def __init__(
        self,
        options: Options | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` gives seconds from any origin; without one, the loop's."""
        self.options = options or Options()
        self.requests: deque[Request] = deque(maxlen=REQUESTS_KEPT)
        self._host, self._port, self._clock = host, port, clock
        self._wire = Wire(self._answer)
        self._tasks: dict[str, _Task] = {}
        self._submitted = 0

    @property
    def url(self) -> str:
        """The base URL to ask."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen; after a `stop` again on the same port, with the same tasks. Raises SetupError when it cannot."""
        self._clock = self._clock or asyncio.get_running_loop().time
        await self._wire.start(self._host, self._port)
        self._port = self._wire.port

    async def stop(self) -> None:
        """Stop at once."""
        await self._wire.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # ------------------------------------------------------------------ for tests and demos

    def submit(self) -> str:
        """A new task, as the submit route makes one: its id."""
        self._submitted += 1
        id = str(UUID(digest(msgspec.json.encode(("task", self.options.seed, self._submitted))), version=4))
        self._task(id).born_s = self._now()
        return id

    def script(self, task_id: str, replies: Sequence[Reply | Mapping[str, Any] | bytes]) -> None:
        """From now on: one reply a poll, the last one again and again. A mapping is sent as JSON with status 200."""
        if not replies:
            raise ValueError("a script needs at least one reply")
        task = self._task(task_id)
        task.script = tuple(reply if isinstance(reply, Reply) else Reply(body=reply) for reply in replies)
        task.polls = 0

    def polls(self, task_id: str) -> int:
        """How often a task was asked for (since its script was set)."""
        return self._tasks[task_id].polls if task_id in self._tasks else 0

    async def polled(self, task_id: str, times: int = 1) -> None:
        """Wait until a task was asked for so often; the last of these polls may not be answered yet."""
        task = self._task(task_id)
        if task.polls >= times:
            return
        arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task.waiting.append((times, arrived))
        await arrived

    # ------------------------------------------------------------------ the API

    async def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        match request.method, request.segments:
            case "POST", ["302", "browser", "submit"]:
                reply = self._refused(request) or self._accept(request)
            case "GET", ["302", "browser", "tasks", task_id]:
                reply = self._poll(request, task_id)
            case _:
                reply = Reply(status=404, body=envelope(-10012, "there is no such API"))
        if self.options.latency:
            await asyncio.sleep(self.options.latency.total_seconds())
        return reply

    def _refused(self, request: Request) -> Reply | None:
        given, key = request.headers.get("authorization"), self.options.key
        if key is None or given == f"Bearer {key}":
            return None
        if given is None:
            return Reply(status=401, body=envelope(-10001, "Missing apikey"))
        return Reply(status=401, body=envelope(-10002, "The apikey you provided is not correct"))

    def _accept(self, request: Request) -> Reply:
        try:
            wanted = msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.DecodeError:
            wanted = {}
        if not wanted.get("task"):
            return Reply(status=400, body=envelope(-10003, "the body must be JSON with a task"))
        return Reply(body={"task_id": self.submit()})

    def _poll(self, request: Request, task_id: str) -> Reply:
        task = self._task(task_id)
        task.polls += 1
        self._tell_waiting(task)
        refused = self._refused(request)
        if refused is not None:
            return refused
        if task.script:
            return task.script[min(task.polls, len(task.script)) - 1]
        if task.born_s is None and self.options.strict:
            return Reply(status=404, body=envelope(-10013, "task not found"))
        if task.born_s is None:
            task.born_s = self._now()
        return self._fault(task_id, task.polls) or Reply(
            body=browser.answer(self.options, task_id, self._now() - task.born_s)
        )

    def _fault(self, task_id: str, poll: int) -> Reply | None:
        """Now and then what real gateways do: 429, or one of three ways to break."""
        options = self.options
        drawn = browser.chance(options, "fault", task_id, poll)
        if drawn < options.throttle:
            after = {"retry-after": str(THROTTLED_FOR_S)}
            return Reply(status=429, headers=after, body=envelope(-10005, "too many requests"))
        if drawn >= options.throttle + options.error_rate:
            return None
        page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
        broken = (
            Reply(status=502, headers={"content-type": "text/html"}, body=page),
            Reply(status=500, body=envelope(-10000, "internal error")),
            Reply(body=b'{"task_id": "' + task_id.encode("utf-8", "replace") + b'", "status": "runn'),
        )
        return broken[int(browser.chance(options, "broken", task_id, poll) * len(broken))]

    # ------------------------------------------------------------------ memory

    def _task(self, task_id: str) -> _Task:
        if task_id not in self._tasks:
            if len(self._tasks) >= TASKS_KEPT:
                del self._tasks[next(iter(self._tasks))]
            self._tasks[task_id] = _Task()
        return self._tasks[task_id]

    @staticmethod
    def _tell_waiting(task: _Task) -> None:
        for times, arrived in task.waiting:
            if task.polls >= times and not arrived.done():
                arrived.set_result(None)
        task.waiting = [(times, arrived) for times, arrived in task.waiting if not arrived.done()]

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()
