"""The seam to the providers: seam 1. How one API is asked and how its answers are read.

Secret: none of its own. Pure: nothing here does I/O or knows the time; key material and `now` come in.

What a provider owes:

1.  `ask` makes the same request for the same watch every time, from the task id and the params alone, and never holds a
    credential. A param becomes a percent-encoded segment or value: it can choose no other host and no other path.
2.  `sign` adds the credential and nothing else. It is called only after credentials.py has allowed the URL.
3.  `read` never raises for anything a server can send: what cannot be understood is an Observation with a trouble. It
    never guesses: a word that is not listed is running with `unknown_word`, never a final state.
4.  What is not a state of the task (rate limits, bad keys, server errors, the vendor's error envelope) is a trouble.
    Its codes are the ones below; core/health.py and core/lifecycle.py act on the first three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from ringback.core.health import RATE_LIMITED, UNAUTHORIZED
from ringback.core.lifecycle import NOT_FOUND
from ringback.core.model import Answer, Observation

UNAVAILABLE = "unavailable"
"""408, 425, 5xx: the server cannot answer just now."""

REJECTED = "rejected"
"""Any other 4xx, and redirects: the request itself is not liked."""

UNREADABLE = "unreadable"
"""Not JSON, or without what the preset needs."""

WRONG_TASK = "wrong_task"
"""The answer is about another task."""

PROVIDER_ERROR = "provider_error"
"""The vendor's own error envelope inside a success."""

TROUBLE_CODES = (NOT_FOUND, RATE_LIMITED, UNAUTHORIZED, UNAVAILABLE, REJECTED, UNREADABLE, WRONG_TASK, PROVIDER_ERROR)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request: absolute URL with everything percent-encoded, lower-case header names, body as sent."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: bytes | None = None


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What people are told about a provider, and what registration needs of it.

    `vendor` is the account it uses by default. `credentials` are the settings an account must have (`api_key`).
    `params` are what a registration must give, `identity` those of them that tell equal ids apart. `hosts` are where
    its credential may go beside its base URL. `confidence` is confirmed or likely. `learn_by` is the param that tasks
    take longer or shorter by.
    """

    id: str
    title: str
    vendor: str
    base_url: str
    source: str
    confidence: str
    menu: str | None = None
    notes: str | None = None
    hosts: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    states: dict[str, str] = {}
    interval: timedelta | None = None
    deadline: timedelta | None = None
    body_limit: int = 4 * 1024 * 1024
    native_callback: bool = False
    learn_by: str | None = None


class Provider(Protocol):
    """One API's dialect."""

    @property
    def about(self) -> About:
        """What it is."""

    def ask(self, task_id: str, params: Mapping[str, str], base_url: str) -> Ask:
        """The request that asks about a task, without a credential. Raises BadInput for a param that cannot be used."""

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """The same request with the account's credential."""

    def read(self, answer: Answer, task_id: str) -> Observation:
        """What an answer says about the task."""


class Catalogue(Protocol):
    """All providers by id."""

    def get(self, id: str) -> Provider:
        """One provider. Raises UnknownName with the nearest id."""

    def all(self) -> Sequence[Provider]:
        """Every provider, by vendor and id."""
