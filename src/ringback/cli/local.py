"""`listen`, `simulate`, `secret`: what one needs beside a daemon to try things.

Secret: where the secret of this instance is found.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from ringback.cli.serve import ConfigFile
from ringback.cli.show import note
from ringback.core.errors import BadInput, RingbackError
from ringback.durations import duration as spelled

if TYPE_CHECKING:
    from ringback.providers.preset import Preset
    from ringback.simulator import Options

Port = Annotated[
    int,
    Parameter(help="where to listen on 127.0.0.1; 0 takes a free one", validator=validators.Number(gte=0, lte=65535)),
]


def secret(
    *,
    instance: Annotated[
        bool, Parameter(show_default=False, help="the secret this instance signs callbacks with, instead of a new one")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Print a new signing secret, or the one that callbacks are signed with.

    Example: `ringback secret --instance`
    """
    from ringback import instance as own

    print(instance_secret(config) if instance else own.new_secret())


def listen(
    *,
    port: Port = 8303,
    secret: Annotated[
        str | None, Parameter(help="what events are signed with; default: this instance's, when it has one")
    ] = None,
    fail: Annotated[
        str | None, Parameter(help="what the first events are answered with, e.g. 503,503,200; then 200")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Receive events here: verify their signatures and print a line for each, until Ctrl-C.

    Example: `ringback listen --port 8303 --fail 503,503,200`
    """
    from ringback.sinks import signing

    answers = _statuses(fail) if fail is not None else []
    if secret is not None:
        signing.key_of(secret)
    else:
        with suppress(RingbackError):
            secret = instance_secret(config)
    asyncio.run(_listen(port, secret, answers))


def instance_secret(config: Path | None) -> str:
    """What this instance signs callbacks with: as configured, else as kept at its first start. Raises BadInput."""
    from ringback import config as configuration

    settings = configuration.load(config, os.environ)
    if settings.callbacks.secret is not None:
        return settings.callbacks.secret.reveal()
    kept = kept_secret(settings.store.directory)
    if kept is None:
        raise BadInput(
            f"this instance has no secret yet ({settings.store.directory} has none before the first start): run "
            "`ringback serve` once, or set callbacks.secret"
        )
    return kept


def kept_secret(directory: Path) -> str | None:
    """What an instance made for itself, if it was ever started. Raises BadInput.

    Asking makes none: who asks may be another user than the one that must read it.
    """
    from ringback import instance as own

    file = directory / own.CALLBACK_SECRET_FILE
    try:
        text = file.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read ({error}): ask as the user that ringback runs as") from error
    if not text:
        raise BadInput(f"{file} is empty: delete it, and a new one is made at the next start")
    return text


def _statuses(text: str) -> list[int]:
    """The scripted answers. A 1xx is none: it only announces one."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if re.fullmatch("[2-5][0-9][0-9]", word) is None:
            raise BadInput(f"--fail: '{word}' is no HTTP status from 200 to 599: write e.g. 503,503,200")
    return [int(word) for word in words]


async def _listen(port: int, secret: str | None, answers: list[int]) -> None:
    from ringback.receiver import Receiver

    async with Receiver(secret, now=wall_clock(), answers=answers, port=port, printer=_line) as receiver:
        checks = "and verifies signatures" if secret else "and checks no signature (name one with --secret)"
        note(f"Listens at {receiver.url} {checks}. Ctrl-C ends it.")
        await asyncio.Event().wait()


def simulate(
    *,
    preset: Annotated[
        list[str] | None, Parameter(help="speak only this one: a preset's id, or its file; repeatable; default: all")
    ] = None,
    port: Port = 8304,
    duration: Annotated[str, Parameter(help="how long a task takes")] = "20s",
    jitter: Annotated[float, Parameter(help="give or take this share of the duration")] = 0.0,
    steps: Annotated[int, Parameter(help="steps of a task while it runs")] = 3,
    fail: Annotated[float, Parameter(help="the share of tasks that fail")] = 0.0,
    unsuccessful: Annotated[float, Parameter(help="the share of tasks that finish without success")] = 0.0,
    cancel: Annotated[float, Parameter(help="the share of tasks that are cancelled")] = 0.0,
    error_rate: Annotated[float, Parameter(help="the share of polls that meet an error")] = 0.0,
    throttle: Annotated[float, Parameter(help="the share of polls that are answered with 429")] = 0.0,
    latency: Annotated[str, Parameter(help="how long an answer takes")] = "0s",
    key: Annotated[str | None, Parameter(help="the only key that is taken; default: any")] = None,
    strict: Annotated[bool, Parameter(show_default=False, help="know only tasks that were submitted")] = False,
    seed: Annotated[str, Parameter(help="another seed deals other fates to the same ids")] = "ringback",
    config: ConfigFile = None,
) -> None:
    """Run a local upstream that speaks every preset, to try things without a vendor, until Ctrl-C.

    Any id becomes a task when it is first asked for. http://127.0.0.1:8304/ID is one preset, where paths are the same
    or the vendor begins tasks at any path. Watch with --every 1s where a preset likes fewer polls.

    Example: `ringback simulate --duration 10s --fail 0.1 --throttle 0.05`
    """
    from ringback.simulator import Options

    options = Options(
        duration=spelled(duration),
        jitter=jitter,
        steps=steps,
        fail=fail,
        unsuccessful=unsuccessful,
        cancel=cancel,
        error_rate=error_rate,
        throttle=throttle,
        latency=spelled(latency),
        key=key,
        strict=strict,
        seed=seed,
    )
    asyncio.run(_simulate(options, port, _spoken(preset, config)))


def _spoken(named: list[str] | None, config: Path | None) -> list[Preset]:
    """The presets to speak, by id or by file."""
    from ringback.cli.providers import preset_of, shelf_of

    shelf = shelf_of(config)
    return shelf.presets() if named is None else [preset_of(shelf, each) for each in named]


async def _simulate(options: Options, port: int, presets: list[Preset]) -> None:
    from ringback.simulator import Simulator

    async with Simulator(options, presets=presets, port=port) as upstream:
        what = presets[0].about.title if len(presets) == 1 else f"{len(presets)} APIs"
        vendor = presets[0].about.vendor
        note(
            f"Simulates {what} at {upstream.url}. Ctrl-C ends it. Point a daemon here with "
            f"RINGBACK_ACCOUNTS__{vendor.upper()}__BASE_URL={upstream.url}"
        )
        for remark in upstream.remarks:
            note(remark)
        await asyncio.Event().wait()


def wall_clock() -> Callable[[], datetime]:
    """The time of the system, whatever it was set to meanwhile."""
    from ringback.scheduler import SteadyClock

    clock = SteadyClock()

    def now() -> datetime:
        clock.anchor()
        return clock.now()

    return now


def _line(text: str) -> None:
    print(text, flush=True)
