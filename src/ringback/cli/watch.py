"""`watch`, `poll`, `abandon`: what a person asks of the daemon.

Secret: how many task ids become which requests, and what is said of each.
"""
# ruff: noqa: PLC0415 - presets are read only where an answer to a submission is

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ringback.cli import exits
from ringback.cli.client import LOCAL, Daemon, segment, sentence
from ringback.cli.dialect import Dialect, registered
from ringback.cli.serve import ConfigFile
from ringback.cli.show import clean, note
from ringback.cli.stdin import STDIN, words
from ringback.core.errors import BadInput

BATCH = 1000
BODY = 900_000
"""What the daemon takes at once: registrations, and (with room for its own limit of 1 MiB) bytes."""

Provider = Annotated[str, Parameter(help="a preset's id: `ringback providers` lists them")]
WatchId = Annotated[str, Parameter(help="the watch's id: `ringback list` shows it")]
Param = Annotated[list[str] | None, Parameter(name="--param", help="K=V: what the preset needs to know; repeatable")]
Account = Annotated[str | None, Parameter(help="whose key asks; default: the provider's vendor")]
Every = Annotated[str | None, Parameter(help="mean time between two polls, e.g. 5s")]
Deadline = Annotated[str | None, Parameter(help="give up after, e.g. 2h")]


def watch(
    provider: Provider,
    /,
    *task_ids: Annotated[
        str, Parameter(name="TASK_ID", help="the provider's name of the task; `-` reads ids, one a line")
    ],
    from_response: Annotated[
        str | None,
        Parameter(help="a saved answer to the submission (`curl -i` keeps its headers): takes the id; `-` is stdin"),
    ] = None,
    callback_url: Annotated[str | None, Parameter(help="a URL to ring back when the task is over")] = None,
    to: Annotated[
        list[str] | None, Parameter(help="a configured destination, instead of the routes; repeatable")
    ] = None,
    event: Annotated[list[str] | None, Parameter(help="a glob of event types to be told of; repeatable")] = None,
    meta: Annotated[list[str] | None, Parameter(help="K=V, sent along with every event; repeatable")] = None,
    deadline: Deadline = None,
    every: Every = None,
    account: Account = None,
    param: Param = None,
    reopen: Annotated[bool, Parameter(show_default=False, help="follow a task again that is over")] = False,
    ask_url: Annotated[
        str | None, Parameter(help="provider http: what tells about the task; may hold {task_id}")
    ] = None,
    dialect: Dialect | None = None,
    config: ConfigFile = None,
    daemon: Daemon = LOCAL,
) -> int:
    """Follow tasks and be called back when they change.

    Example: `ringback watch 302ai-browser 26cbe8e5 --callback-url https://example.org`
    """
    wishes = {
        "provider": provider,
        "callback_url": callback_url,
        "to": to,
        "events": event,
        "metadata": pairs(meta, "--meta"),
        "deadline": deadline,
        "interval": every,
        "account": account,
        "params": pairs(param, "--param"),
        "reopen": reopen or None,
        **registered(provider, ask_url, dialect, flag="--ask-url"),
    }
    if from_response is not None:
        ids, wishes["params"] = _submitted(provider, from_response, wishes["params"], task_ids, config)
    elif not task_ids and ask_url is not None and "task_id}" not in ask_url:
        ids = [ask_url]  # it stands for the task
    else:
        ids = list(task_ids)
    if not ids:
        raise BadInput(f"{provider} needs a TASK_ID: the id that it answered with, or `-` to read ids from stdin")
    wishes = {name: wish for name, wish in wishes.items() if wish is not None}
    asked = refused = 0
    for some in _ids(ids):
        for batch in _batches(some, len(json.dumps(wishes))):
            asked += len(batch)
            refused += _register(batch, wishes, daemon)
    if not asked:
        raise BadInput("no task id came in on standard input: write one a line")
    return exits.USAGE if refused else exits.DONE


def poll(id: WatchId, /, *, daemon: Daemon = LOCAL) -> None:
    """Ask the provider about a watch soon; its Retry-After still holds.

    Example: `ringback poll w_0f3a...`
    """
    daemon.send("POST", f"/v1/watches/{segment(id)}/poll")
    print(f"{clean(id)} is polled next.")


def abandon(id: WatchId, /, *, daemon: Daemon = LOCAL) -> None:
    """Stop following a task; what is owed is still delivered, and the task itself goes on.

    Example: `ringback abandon w_0f3a...`
    """
    watch = json.loads(daemon.send("DELETE", f"/v1/watches/{segment(id)}"))
    print(f"{watch['id']} is {watch['state']}.")


def pairs(given: Iterable[str] | None, flag: str) -> dict[str, str] | None:
    """K=V, K=V as a mapping."""
    if given is None:
        return None
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise BadInput(f"{flag} '{pair}' is no pair: write it as KEY=VALUE")
        found[name] = value
    return found


def _submitted(
    provider: str, file: str, params: dict[str, str] | None, ids: Sequence[str], config: Path | None
) -> tuple[list[str], dict[str, str]]:
    """The id, and the params with what must be remembered, of a saved answer to a submission."""
    from ringback.cli.providers import shelf_of
    from ringback.cli.saved import answer

    if ids:
        raise BadInput("--from-response gives the task's id: leave TASK_ID out")
    found = shelf_of(config).get(provider).submitted(answer(file))
    return [found.task_id], {**found.params, **(params or {})}


def _ids(given: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids in the groups in which they come: a pipe's as soon as they are there."""
    if STDIN not in given:
        yield given
        return
    if len(given) > 1:
        raise BadInput("`-` stands alone: give the ids either here or on standard input")
    with open(0, "rb", closefd=False) as stream:
        yield from words(stream)


def _batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    longest = max((len(json.dumps(id)) for id in ids), default=0)
    at_once = max(1, min(BATCH, BODY // (size + longest + 16)))
    for start in range(0, len(ids), at_once):
        yield ids[start : start + at_once]


def _register(ids: Sequence[str], wishes: dict[str, Any], daemon: Daemon) -> int:
    """Register them and say of each what became of it; returns how many were refused."""
    body = json.dumps([{**wishes, "task_id": id} for id in ids]).encode()
    answers = json.loads(daemon.send("POST", "/v1/watches/batch", body))
    refused = 0
    for id, answer in zip(ids, answers, strict=True):
        if watch := answer.get("watch"):
            how = "created" if answer["status"] == HTTPStatus.CREATED else "already watched"
            print(f"{watch['id']}  {how:<15}  {watch['state']:<9}  {clean(id)}", flush=True)
        else:
            refused += 1
            note(f"{clean(id) or '(no id)'}: refused: {sentence(answer['problem'])}")
    return refused
