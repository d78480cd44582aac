"""What describes an API that has no preset, on the command line: for `wait http` and `watch http`.

Secret: how these options become the `ask` and `read` of a registration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any

from cyclopts import Parameter

from ringback.core.errors import BadInput

HTTP = "http"

Words = Annotated[str | None, Parameter(help="the words for this state, with commas between them")]


@Parameter(name="*")
@dataclass(frozen=True)
class Dialect:
    """How to ask and read."""

    method: Annotated[str | None, Parameter(help="provider http: GET (default), POST or PUT")] = None
    header: Annotated[list[str] | None, Parameter(help="provider http: K:V, sent with every request; repeatable")] = (
        None
    )
    state: Annotated[str | None, Parameter(help="provider http: where the status word stands, e.g. job.status")] = None
    queued: Words = None
    running: Words = None
    succeeded: Words = None
    failed: Words = None
    cancelled: Words = None
    result: Annotated[str | None, Parameter(help="provider http: where the result stands")] = None
    error: Annotated[str | None, Parameter(help="provider http: where the reason of a failure stands")] = None


def registered(provider: str, url: str | None, given: Dialect | None, *, flag: str) -> dict[str, Any]:
    """The fields `ask` and `read` of a registration; none for a provider with a preset. Raises BadInput.

    `flag` is what the URL's option is called.
    """
    if provider != HTTP:
        named = [f"--{field.name}" for field in fields(Dialect) if getattr(given, field.name, None) is not None]
        if url is not None or named:
            option = flag if url is not None else named[0]
            raise BadInput(f"{option} is for `http`, the provider without a preset: {provider} has one that says it")
        return {}
    if url is None or given is None or given.state is None or given.succeeded is None:
        raise BadInput(f"http has no preset: say how to ask and read with at least {flag}, --state and --succeeded")
    ask: dict[str, Any] = {"url": url, "method": given.method, "headers": headers(given.header or ())}
    read: dict[str, Any] = {
        "state": given.state,
        "states": _states(given),
        "result": given.result,
        "error": {"message": given.error} if given.error is not None else None,
    }
    return {"ask": _given(ask), "read": _given(read)}


def headers(given: Sequence[str]) -> dict[str, str]:
    """K:V, K:V as a mapping, names in small letters. Raises BadInput."""
    split = [header.partition(":") for header in given]
    for name, colon, _ in split:
        if not (name.strip() and colon):
            raise BadInput(f"--header '{name}' is no header: write it as NAME:VALUE")
    return {name.strip().lower(): value.strip() for name, _, value in split}


def _states(given: Dialect) -> dict[str, str]:
    """The state that each word means. Raises BadInput for one that is given for two."""
    states: dict[str, str] = {}
    for state in ("queued", "running", "succeeded", "failed", "cancelled"):
        for word in (word.strip() for word in (getattr(given, state) or "").split(",")):
            if word and states.setdefault(word, state) != state:
                raise BadInput(f"--{states[word]} and --{state} both have '{word}': a word means one state")
    return states


def _given(table: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}
