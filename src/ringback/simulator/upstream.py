"""The simulated vendors: which request is whose, the memory of tasks, faults, and scripts for tests.

Secret: which request gets which reply. The clock is handed down, so that a test can turn it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from ringback.core.document import digest
from ringback.core.health import RATE_LIMITED, UNAUTHORIZED
from ringback.core.lifecycle import NOT_FOUND
from ringback.providers.base import REJECTED, UNAVAILABLE
from ringback.providers.preset import Preset
from ringback.providers.shelf import shipped
from ringback.providers.template import IDS
from ringback.simulator import world
from ringback.simulator.dialect import Dialect
from ringback.simulator.routes import Found, Route, routes
from ringback.simulator.wire import Reply, Request, Wire
from ringback.simulator.world import Options, Stage

USUAL = "302ai-browser"
TASKS_KEPT = 100_000
"""The oldest is forgotten for a newer one."""

REQUESTS_KEPT = 1_000

THROTTLED_FOR_S = 1


class _Task:
    """What the upstream knows of a task; `born_s` is None while it was asked for but never submitted."""

    def __init__(self) -> None:
        self.vendor = ""
        self.born_s: float | None = None
        self.polls = 0
        self.script: Sequence[Reply] = ()
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []


class Simulator:
    """A local upstream that speaks one preset or many. Start it as a context manager, or with `start` and `stop`.

    What begins with the id of a preset is asked of that one; all else of whichever knows the task, or fits best. Only
    there, or where it is the only one, is a task begun by a preset that has no path for it but a placeholder.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        presets: Sequence[Preset] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` gives seconds from any origin; without one, the loop's."""
        self.options = options or Options()
        self.requests: deque[Request] = deque(maxlen=REQUESTS_KEPT)
        self.remarks: list[str] = []
        """What is not as the options want it, each in one sentence; known once it has started."""
        self._host, self._port, self._clock = host, port, clock
        self._wire = Wire(self._answer)
        spoken = presets if presets is not None else [shipped().get(USUAL)]
        self._presets = {preset.about.id: preset for preset in spoken}
        found = [route for preset in spoken for route in routes(preset)]
        self._routes = sorted(found, key=lambda route: -route.weight)
        self._dialects: dict[str, Dialect] = {}
        self._tasks: dict[str, _Task] = {}
        self._submitted = 0

    @property
    def url(self) -> str:
        """The base URL to ask."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen; after a `stop` again on the same port, with the same tasks.

        Raises SetupError when it cannot, and BadInput for a preset that it cannot speak.
        """
        self.remarks = [remark for preset in self._presets.values() for remark in self._dialect(preset).check()]
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
        task_id = self._unused_id()
        self._begun(task_id)
        return task_id

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
        route, found = self._meant(request)
        if route is None:
            reply = self._first().problem(REJECTED, "there is no such API", 404)
        else:
            reply = self._reply(route, found, request)
        if self.options.latency:
            await asyncio.sleep(self.options.latency.total_seconds())
        return reply

    def _meant(self, request: Request) -> tuple[Route | None, Found]:
        """Whose request it is, and what it holds: the vendor that has the task, else the first that fits."""
        first: tuple[Route | None, Found] = (None, {})
        for route, found in self._matches(request):
            task = self._tasks.get(self._dialect(route.preset).task_of(found))
            if task is not None and task.vendor == route.preset.about.id:
                return route, found
            if first[0] is None:
                first = (route, found)
        return first

    def _matches(self, request: Request) -> Iterator[tuple[Route, Found]]:
        path = request.target.partition("?")[0]
        named, _, rest = path.removeprefix("/").partition("/")
        pinned = named if named in self._presets else None
        for route in self._routes:
            about = route.preset.about
            open_to_all = route.kind != "submit" or not route.anywhere or len(self._presets) == 1
            if pinned == about.id or (pinned is None and open_to_all):
                asked = f"/{rest}" if pinned is not None else path
                found = route.match(request, asked.removeprefix(_prefix(about.base_url)))
                if found is not None:
                    yield route, found

    def _reply(self, route: Route, found: Found, request: Request) -> Reply:
        dialect = self._dialect(route.preset)
        task_id = dialect.task_of(found)
        if route.kind == "poll":
            task = self._task(task_id)
            task.polls += 1
            self._tell_waiting(task)
        if self.options.key is not None and not dialect.admits(request, self.options.key):
            return dialect.problem(UNAUTHORIZED, "The key is missing or not correct", 401)
        match route.kind:
            case "submit":
                return self._accept(dialect, found, request)
            case "result":
                return dialect.result(task_id)
            case "batch":
                tasks = {id: self._task(id) for id in found[IDS]}
                known = {id: task for id, task in tasks.items() if task.born_s is not None or not self.options.strict}
                stages = {id: self._stage(id, task) for id, task in known.items()}
                return dialect.batch(stages, [id for id in tasks if id not in known], self.url)
            case "poll":
                return self._poll(dialect, task_id, self._task(task_id))

    def _accept(self, dialect: Dialect, found: Found, request: Request) -> Reply:
        if not request.body:
            return dialect.problem(REJECTED, "the body must say what the task is", 400)
        task_id, reply = dialect.accepted(self._unused_id(), found, self.url)
        task = self._begun(task_id)
        task.vendor = dialect.preset.about.id
        return reply

    def _poll(self, dialect: Dialect, task_id: str, task: _Task) -> Reply:
        if task.script:
            return task.script[min(task.polls, len(task.script)) - 1]
        if task.born_s is None and self.options.strict:
            return dialect.problem(NOT_FOUND, "task not found", 404)
        return self._fault(dialect, task_id, task.polls) or dialect.poll(task_id, self._stage(task_id, task), self.url)

    def _stage(self, task_id: str, task: _Task) -> Stage:
        if task.born_s is None:
            task.born_s = self._now()
        return world.stage(self.options, task_id, self._now() - task.born_s)

    def _fault(self, dialect: Dialect, task_id: str, poll: int) -> Reply | None:
        """Now and then what real gateways do: 429, or one of three ways to break."""
        options = self.options
        drawn = world.chance(options, "fault", task_id, poll)
        if drawn < options.throttle:
            throttled = dialect.problem(RATE_LIMITED, "too many requests", 429)
            return msgspec.structs.replace(throttled, headers={"retry-after": str(THROTTLED_FOR_S)})
        if drawn >= options.throttle + options.error_rate:
            return None
        page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
        broken = (
            Reply(status=502, headers={"content-type": "text/html"}, body=page),
            dialect.problem(UNAVAILABLE, "internal error", 500),
            Reply(body=b'{"id": "' + task_id.encode("utf-8", "replace") + b'", "status": "runn'),
        )
        return broken[int(world.chance(options, "broken", task_id, poll) * len(broken))]

    def _dialect(self, preset: Preset) -> Dialect:
        """Made when it is first spoken: working out what a vendor can say takes a while."""
        if preset.about.id not in self._dialects:
            self._dialects[preset.about.id] = Dialect(preset, self.options)
        return self._dialects[preset.about.id]

    def _first(self) -> Dialect:
        return self._dialect(next(iter(self._presets.values())))

    # ------------------------------------------------------------------ memory

    def _unused_id(self) -> str:
        self._submitted += 1
        return str(UUID(digest(msgspec.json.encode(("task", self.options.seed, self._submitted))), version=4))

    def _begun(self, task_id: str) -> _Task:
        task = self._task(task_id)
        task.born_s = self._now()
        return task

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


def _prefix(base_url: str) -> str:
    """The path of a base URL: an account's own base URL, which leads here, need not have it."""
    return urlsplit(base_url.replace("{", "").replace("}", "")).path.rstrip("/")
