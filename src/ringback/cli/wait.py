"""`wait`: one task followed here, to its end, without a daemon.

    settings -> the same App with a store that forgets -> one registration -> a line for every change -> the result

Secret: what is shown while a task is followed, and which end is which exit code. The result goes to stdout, all else
to stderr.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from ringback.cli import exits, show
from ringback.cli.dialect import HTTP, Dialect, registered
from ringback.cli.serve import ConfigFile
from ringback.cli.watch import Account, Deadline, Every, Param, Provider, pairs
from ringback.core.errors import BadInput
from ringback.core.health import UNAUTHORIZED
from ringback.core.model import Watch, WatchState
from ringback.sinks.excerpt import printable

if TYPE_CHECKING:
    from rich.status import Status

    from ringback.app import App
    from ringback.config import Settings
    from ringback.registration import Registration

LOOK_EVERY_S = 0.1
"""Between two looks at the watch: reading memory costs nothing, and the seconds on the display move."""

EXITS = {
    WatchState.SUCCEEDED: exits.DONE,
    WatchState.FAILED: exits.FOUND,
    WatchState.CANCELLED: exits.CANCELLED,
    WatchState.EXPIRED: exits.LOST,
    WatchState.VANISHED: exits.LOST,
    WatchState.ABANDONED: exits.LOST,
}
HOPELESS = frozenset({UNAUTHORIZED, "no_account", "no_provider", "bad_params", "blocked_host"})
"""Problems of the set-up: a task that was never seen because of one of them will not be seen by waiting."""

ASTRAY = frozenset({"dns", "refused", "unreachable", "tls", "rejected", "unreadable"})
"""Problems that a wrong address has too."""


def wait(
    provider: Provider,
    task_id: Annotated[str | None, Parameter(help="the provider's name of the task")] = None,
    /,
    *,
    url: Annotated[str | None, Parameter(help="provider http: what tells about the task; may hold {task_id}")] = None,
    dialect: Dialect | None = None,
    account: Account = None,
    param: Param = None,
    every: Every = None,
    deadline: Deadline = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, Parameter(name="--json", show_default=False, help="print the whole watch")] = False,
) -> int:
    """Follow one task here until it is over, without a daemon, and print its result.

    Exits 0 when it succeeded, 1 failed, 3 cancelled, 4 expired or vanished, 2 when something is to be set up first.

    Example: `ringback wait http --url https://api.example.org/jobs/7 --state status --succeeded done --failed error`
    """
    from ringback.registration import Registration

    asked = Registration(
        provider=provider,
        task_id=task_id,
        account=account,
        params=pairs(param, "--param") or {},
        **registered(provider, url, dialect, flag="--url"),
        interval=every,
        deadline=deadline,
    )
    try:
        watch = asyncio.run(_follow(asked, config))
    except KeyboardInterrupt:
        show.note("Stopped waiting; the task goes on at the provider.")
        raise
    _print(watch, as_json=as_json)
    return EXITS[watch.state]


async def _follow(asked: Registration, config: Path | None) -> Watch:
    from ringback import telemetry
    from ringback.app import App
    from ringback.store.memory import MemoryStore

    telemetry.configure(as_json=False, level="error")
    app = App(_alone(config), store=MemoryStore(), serve=False)
    await app.start()
    try:
        watch = (await app.intake.register(asked)).watch
        with _display() as status:
            tell = partial(_tell, status, _Told(), asyncio.get_running_loop().time())
            while not watch.state.final:
                await _check_it_can_be_asked(watch, app)
                tell(watch)
                await asyncio.sleep(LOOK_EVERY_S)
                watch = await app.store.watch(watch.id) or watch
            tell(watch)
    finally:
        await app.stop()
    return watch


def _alone(config: Path | None) -> Settings:
    """The settings for one task: nobody else's watches, nobody to send events to, no time for what is in flight."""
    from ringback import config as configuration

    settings = configuration.load(config, os.environ)
    server = settings.server.model_copy(update={"shutdown_grace": timedelta()})
    return settings.model_copy(update={"server": server, "watches": (), "destinations": {}, "routes": ()})


async def _check_it_can_be_asked(watch: Watch, app: App) -> None:
    """Raises BadInput when the set-up is wrong and waiting does not mend it."""
    problem = watch.problem
    if problem is None or problem.code not in HOPELESS or watch.first_seen_at is not None:
        return
    if problem.code != UNAUTHORIZED:
        raise BadInput(problem.message, code=problem.code)
    if watch.provider == HTTP:
        raise BadInput(
            f"the API does not take the key: {problem.message}. Give the right one with --header.", code=problem.code
        )
    asked = await app.store.answer(watch.id) is not None
    what = f"does not take the key of account '{watch.account}'" if asked else "was not asked"
    names = app.intake.terms.catalogue.about(watch.provider).credentials
    if not names:
        raise BadInput(
            f"{watch.provider} is asked without a key, and refuses that: {problem.message}. If it needs one, set"
            f" headers in [accounts.{watch.account}].",
            code=problem.code,
        )
    variables = " and ".join(f"RINGBACK_ACCOUNTS__{watch.account}__{name}".upper() for name in names)
    raise BadInput(
        f"{watch.provider} {what}: {problem.message}. Set {' and '.join(names)} in [accounts.{watch.account}], or "
        f"{variables}.",
        code=problem.code,
    )


class _Told:
    """What was said last, so that nothing is said twice."""

    line = ""


def _tell(status: Status | None, told: _Told, started_s: float, watch: Watch) -> None:
    """A line for every change; on a terminal one that moves, and above it what is not progress."""
    line = _line(watch)
    seconds = asyncio.get_running_loop().time() - started_s
    if status is not None:
        status.update(f"[dim]{seconds:4.0f} s[/]  {_escaped(line)}  [dim]{watch.polls} polls[/]")
    passing = status is not None and watch.problem is None and not watch.state.final
    if line != told.line and not passing:
        show.note(f"{seconds:4.0f} s  {line}")
    told.line = line


def _line(watch: Watch) -> str:
    if watch.problem is not None and not watch.state.final:
        return show.clean(f"{watch.problem.code}: {watch.problem.message}{_hint(watch)}")
    if watch.error is not None:
        return show.clean(f"{watch.state.value}: {watch.error.code}: {watch.error.message}", at_most=show.LONGEST)
    how_far = show.progress(msgspec.to_builtins(watch.progress)) if not watch.state.final else ""
    return f"{watch.state.value}  {how_far}".rstrip()


def _hint(watch: Watch) -> str:
    """What to look at when the address may be wrong: one that never answered, as far as we saw."""
    if watch.first_seen_at is not None or watch.problem is None or watch.problem.code not in ASTRAY:
        return ""
    place = "give another --url" if watch.provider == HTTP else f"set [accounts.{watch.account}] base_url"
    return f" (asking on; if that is wrong, {place})"


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _display() -> AbstractContextManager[Status | None]:
    """The line that moves, where somebody can see it move."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True, highlight=False).status("[dim]asking[/]")


def _print(watch: Watch, *, as_json: bool) -> None:
    if as_json:
        from ringback.web import shapes

        show.raw(msgspec.json.encode(shapes.watch(watch)))
    elif watch.result is not None:
        text = show.document(json.loads(watch.result.text))
        print(printable(text) if sys.stdout.isatty() else text)
