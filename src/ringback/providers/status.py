"""What an HTTP status says before a preset is asked, and what a preset may make of one.

Secret: which statuses speak about the request rather than about the task. Pure.

    2xx                 the preset reads the body
    401, 403            unauthorized     the key is wrong, or not for this
    404                 not_found        the task is unknown there
    429                 rate_limited     too many requests
    408, 425, 5xx       unavailable      the server cannot answer just now
    anything else       rejected         the request is not liked; redirects are not followed

A preset may say otherwise for some of them (an API whose 202 is `running`, whose 404 is final): [read.http].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Self

from ringback.core.health import RATE_LIMITED, UNAUTHORIZED
from ringback.core.lifecycle import NOT_FOUND
from ringback.core.model import WatchState
from ringback.providers.base import NO_RESULT, PROVIDER_ERROR, REJECTED, UNAVAILABLE, UNREADABLE, WRONG_TASK

TaskState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Verdict = Literal[
    "queued",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "not_found",
    "unauthorized",
    "rate_limited",
    "unavailable",
    "provider_error",
]
"""What a rule, a code or a status can mean: a state of the task, or a problem with the request."""

Meaning = Literal[Verdict, "body"]
"""`body`: read the body as if the status were 200."""

STATES: Mapping[str, WatchState] = {
    state.value: state
    for state in (
        WatchState.QUEUED,
        WatchState.RUNNING,
        WatchState.SUCCEEDED,
        WatchState.FAILED,
        WatchState.CANCELLED,
    )
}

_BY_STATUS = {
    401: UNAUTHORIZED,
    403: UNAUTHORIZED,
    404: NOT_FOUND,
    408: UNAVAILABLE,
    425: UNAVAILABLE,
    429: RATE_LIMITED,
}
_SERVER_ERRORS = 500
_SUCCESSES = range(200, 300)
_SAYS = {
    UNAUTHORIZED: "the provider refuses the key (HTTP {status}): check the account's credentials",
    NOT_FOUND: "the provider does not know the task (HTTP {status})",
    RATE_LIMITED: "the provider asks for fewer requests (HTTP {status})",
    UNAVAILABLE: "the provider cannot answer just now (HTTP {status})",
    REJECTED: "the provider does not accept the request (HTTP {status})",
    PROVIDER_ERROR: "the provider answered with an error (HTTP {status})",
    UNREADABLE: "the answer cannot be read (HTTP {status})",
    WRONG_TASK: "the answer is about another task (HTTP {status})",
    NO_RESULT: "the task has succeeded, but its result cannot be had just now (HTTP {status})",
}


class StatusRange(str):
    """One HTTP status, or a range of them, as a key of [read.http]: `202`, `500-599`."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises ValueError with a sentence for what is neither."""
        first, _, last = text.partition("-")
        if not re.fullmatch(r"[1-5][0-9][0-9](-[1-5][0-9][0-9])?", text) or first > (last or first):
            raise ValueError(f"expected an HTTP status such as 202, or a range such as 500-599, got '{text}'")
        return super().__new__(cls, text)

    @property
    def statuses(self) -> range:
        """Every status that it names."""
        first, _, last = self.partition("-")
        return range(int(first), int(last or first) + 1)


def trouble_code(status: int) -> str | None:
    """The trouble that a status stands for; None for a success."""
    if status in _SUCCESSES:
        return None
    return _BY_STATUS.get(status) or (UNAVAILABLE if status >= _SERVER_ERRORS else REJECTED)


def sentence(code: str, status: int) -> str:
    """What a trouble is called when the vendor gives no message."""
    return _SAYS[code].format(status=status)
