"""`demo`: the whole job in one terminal, with nothing faked but the vendor.

    a simulated 302.AI    speaks its API; its tasks queue, run, finish, fail, meet 429 and 502
    a ringback daemon     the real one: HTTP API, journal, polls, signed callbacks; stopped and started on the way
    two receivers         verify every signature; one of them answers 503 the first time

Secret: what must be true at the end; story.py has the tasks and the configuration. Exit 0 says that every callback
arrived, once, in order, verified.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringback.cli import exits

if TYPE_CHECKING:
    from ringback.app import App
    from ringback.receiver import Received, Receiver

LASTS_S = 35.0
"""After that the demo has failed; on an idle machine it takes a third of it."""

RESTART_AFTER = 3
"""Polls of the last task before the daemon is stopped."""


def demo() -> int:
    """Show the whole job in one terminal: tasks at a simulated vendor, a real daemon, signed callbacks.

    Takes about 12 seconds, uses free ports of this machine and a temporary folder, and leaves nothing behind.

    Example: `ringback demo`
    """
    return asyncio.run(_demo())


async def _demo() -> int:
    from ringback import telemetry

    telemetry.configure(as_json=False, level="critical")
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="ringback-demo-")))
        stage = Stage(folder)
        try:
            async with asyncio.timeout(LASTS_S):
                await stage.set(opened)
                await stage.play()
        except TimeoutError:
            stage.say("demo", f"not everything happened within {LASTS_S:.0f} s")
            stage.give_up()
        return stage.verdict()


class Stage:
    """The vendor, the receivers and the daemon, and everything that is said about them."""

    def __init__(self, folder: Path) -> None:
        from ringback.cli import story
        from ringback.cli.local import wall_clock
        from ringback.instance import new_secret
        from ringback.receiver import Receiver
        from ringback.simulator import Options, Simulator

        self.tasks = story.tasks()
        self._folder = folder
        self._key, self._secret = "demo-key", new_secret()
        self._started_s = asyncio.get_running_loop().time()
        self._upstream = Simulator(Options(key=self._key, strict=True))
        now = wall_clock()
        self._receiver = Receiver(self._secret, now=now, printer=partial(self._heard, "usual"))
        self._busy = Receiver(self._secret, now=now, printer=partial(self._heard, "busy"), answers=[503])
        self._app: App | None = None
        self._all_there = asyncio.Event()
        self._left: list[str] = []

    # ------------------------------------------------------------------ the play

    async def set(self, opened: AsyncExitStack) -> None:
        """Start everything, on free ports."""
        from ringback.cli import story

        await opened.enter_async_context(self._upstream)
        await opened.enter_async_context(self._receiver)
        await opened.enter_async_context(self._busy)
        self.say("vendor", f"a simulated 302.AI at {self._upstream.url}")
        self.say(
            "receiver", f"at {self._receiver.url}, and a busy one at {self._busy.url}: they verify every signature"
        )
        (self._folder / "ringback.toml").write_text(
            story.CONFIGURATION.format(
                folder=self._folder,
                upstream=self._upstream.url,
                key=self._key,
                receiver=self._receiver.url,
                secret=self._secret,
            )
        )
        opened.push_async_callback(self._stop_daemon)
        await self._start_daemon()
        self.say("daemon", f"at {self._url}, with its journal in {self._folder}/data")

    async def play(self) -> None:
        """Register the tasks, restart the daemon on the way, wait until everything has arrived."""
        await self._register()
        last = self.tasks[-1].id
        await self._upstream.polled(last, RESTART_AFTER)
        self.say("daemon", "is stopped in the middle of it, and started again")
        await self._stop_daemon()
        await self._start_daemon()
        self.say("daemon", f"at {self._url}: goes on where its journal ends")
        await self._all_there.wait()
        watches = await self._ask("GET", "/v1/watches")
        await self._stop_daemon()
        self._left = [*self._missing(), *self._untrue(watches["items"]), *self._unkept()]

    def give_up(self) -> None:
        """What has not happened by now is wrong."""
        self._left = [*self._missing(), "the demo did not come to its end"]

    async def _start_daemon(self) -> None:
        from ringback import config
        from ringback.app import App

        app = App(config.load(self._folder / "ringback.toml", {}))
        await app.start()
        self._app, self._url = app, app.url

    async def _stop_daemon(self) -> None:
        app, self._app = self._app, None
        if app is not None:
            await app.stop()

    async def _register(self) -> None:
        """As `ringback watch 302ai-browser ID --callback-url URL` does."""
        asked = []
        for task in self.tasks:
            self._upstream.script(task.id, task.replies)
            receiver = self._busy if task.to_busy_receiver else self._receiver
            asked.append(
                {"provider": "302ai-browser", "task_id": task.id, "callback_url": f"{receiver.url}/done/{task.id}"}
            )
            self.say("watch", f"{task.id:<8}  {task.about}")
        await self._ask("POST", "/v1/watches/batch", json.dumps(asked).encode())

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """The daemon's own API, over HTTP."""
        from ringback.cli.client import Daemon

        return json.loads(await asyncio.to_thread(Daemon(self._url).send, method, path, body))

    # ------------------------------------------------------------------ what is said

    def say(self, who: str, what: str) -> None:
        """One line of the story."""
        print(f"{asyncio.get_running_loop().time() - self._started_s:5.1f} s  {who:<9} {what}", flush=True)

    def _heard(self, which: str, line: str) -> None:
        """A receiver was sent something."""
        from ringback.cli.show import outcome

        receiver = self._busy if which == "busy" else self._receiver
        if not any(self._missing()):
            self._all_there.set()
        if receiver.refused:
            return self.say("receiver", line)
        one = receiver.received[-1]
        who = "callback" if one.path.startswith("/done/") else "team"
        verdict = "signature valid" if one.accepted else f"answered {one.reply.status}: comes again"
        words = (f"{one.data['task_id']:<8}", f"{one.type:<14}", f"#{one.data['sequence']}", verdict, outcome(one.data))
        return self.say(who, "  ".join(word for word in words if word))

    def verdict(self) -> int:
        """The last lines, and the exit code."""
        accepted = [*self._receiver.accepted, *self._busy.accepted]
        again = len(self._receiver.received) + len(self._busy.received) - len(accepted)
        print()
        for complaint in self._left:
            print(f"WRONG: {complaint}")
        if self._left:
            return exits.FOUND
        print(
            f"{len(self.tasks)} tasks, {len(accepted)} events delivered: each once, in order, every signature valid, "
            f"{again} after a failed attempt."
        )
        first = "" if shutil.which("ringback") else f"`source {Path(sys.executable).parent}/activate`, "
        print(f"Next: the tutorial, docs/tutorial.md, or right away {first}`ringback serve` and `ringback --help`.")
        return exits.DONE

    # ------------------------------------------------------------------ what must be true

    def _missing(self) -> Iterator[str]:
        """The final events that have not arrived."""
        for task in self.tasks:
            receiver = self._busy if task.to_busy_receiver else self._receiver
            if not self._told(receiver, f"/done/{task.id}", task.id):
                yield f"{task.id}: its callback has not arrived"
            if not any(one.type == task.event for one in self._told(self._receiver, "/team", task.id)):
                yield f"{task.id}: team has not been told its end"

    def _untrue(self, watches: list[dict[str, Any]]) -> Iterator[str]:
        """What arrived twice, out of order or otherwise than it was."""
        states = {watch["task_id"]: watch["state"] for watch in watches}
        for task in self.tasks:
            receiver = self._busy if task.to_busy_receiver else self._receiver
            called = [one.type for one in self._told(receiver, f"/done/{task.id}", task.id)]
            told = self._told(self._receiver, "/team", task.id)
            if called != [task.event]:
                yield f"{task.id}: its callback got {called}, not {task.event} once"
            if [one.data["sequence"] for one in told] != list(range(1, len(told) + 1)):
                yield f"{task.id}: team was told {[one.type for one in told]}"
            if states.get(task.id) != task.ends:
                yield f"{task.id}: the daemon says {states.get(task.id)}"
        for one in (*self._receiver.refused, *self._busy.refused):
            yield f"a receiver refused: {one.reason}"

    def _unkept(self) -> Iterator[str]:
        """What the journal says otherwise than the receivers."""
        from ringback.store import examine

        accepted = len(self._receiver.accepted) + len(self._busy.accepted)
        kept = examine.stats(self._folder / "data").deliveries
        if kept != {"delivered": accepted}:
            yield f"{accepted} events were accepted, but the journal has {kept}"

    @staticmethod
    def _told(receiver: Receiver, path: str, task_id: str) -> list[Received]:
        """What a receiver accepted at this path about this task."""
        return [one for one in receiver.accepted if (one.path, one.data["task_id"]) == (path, task_id)]
