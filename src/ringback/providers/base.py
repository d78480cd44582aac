"""The seam to the providers: seam 1. How one API is asked and how its answers are read.

Secret: none of its own. Pure: nothing here does I/O or knows the time; key material and `now` come in.

What a provider owes:

1.  `ask` makes the same request for the same watch every time, from the task id and the params alone, and never holds a
    credential. A param becomes a percent-encoded segment or value: it can choose no other path. Where a preset lets one
    choose a host, credentials.py holds it to the preset's `hosts`.
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

HTTP = "http"
"""The provider that every watch describes for itself; no preset may be called so."""

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

NO_RESULT = "no_result"
"""The task has succeeded, but the second request, for its result, was not answered with one."""

TROUBLE_CODES = (
    NOT_FOUND,
    RATE_LIMITED,
    UNAUTHORIZED,
    UNAVAILABLE,
    REJECTED,
    UNREADABLE,
    WRONG_TASK,
    PROVIDER_ERROR,
    NO_RESULT,
)


class Ask(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A request: absolute URL with everything percent-encoded, lower-case header names, body as sent.

    `region` is what some signatures are made for, beside the request itself.
    """

    method: str
    url: str
    headers: dict[str, str] = {}
    body: bytes | None = None
    region: str = ""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What people are told about a provider, and what registration needs of it.

    `vendor` is the account it uses by default. `base_url` may name params, or be empty: then only an account knows it.
    `credentials` are the settings an account must have (`api_key`); one that needs none, and whose place is known,
    needs no account either. `params` are what a registration gives, those with `defaults` may be left out; `identity`
    are those that tell equal ids apart, `secrets` those that are never shown. `hosts` are where its credential may go
    beside the account's base URL and the `trusted` one, which is its own when no param is in it. `confidence` is
    confirmed or likely. `rate` is polls a second, `body_limit` bytes, `batch` ids in one request. `native_callback`
    says how the vendor calls back by itself. `learn_by` is the param that tasks take longer or shorter by.
    """

    id: str
    title: str
    vendor: str
    base_url: str
    trusted: str = ""
    source: str
    confidence: str
    menu: str | None = None
    notes: str | None = None
    hosts: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    needs_account: bool = True
    params: tuple[str, ...] = ()
    defaults: dict[str, str] = {}
    identity: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    states: dict[str, str] = {}
    interval: timedelta | None = None
    deadline: timedelta | None = None
    rate: float | None = None
    body_limit: int = 4 * 1024 * 1024
    native_callback: str | None = None
    batch: int | None = None
    learn_by: str | None = None


class Provider(Protocol):
    """One API's dialect."""

    @property
    def about(self) -> About:
        """What it is."""

    def ask(self, task_id: str, params: Mapping[str, str], base_url: str) -> Ask:
        """The request that asks about a task, without a credential; an empty `base_url` means the preset's own.

        Raises BadInput for a param that cannot be used, or when only an account can say where the API is.
        """

    @property
    def timeless(self) -> bool:
        """Whether `sign` comes to the same at all times, so that a signed request may be sent again."""

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """The same request with the account's credential."""

    def read(self, answer: Answer, task_id: str) -> Observation:
        """What an answer says about the task."""

    def ask_many(self, task_ids: Sequence[str], params: Mapping[str, str], base_url: str) -> Ask:
        """One request about up to `about.batch` tasks."""

    def refusal(self, answer: Answer) -> Observation | None:
        """Why an answer about many tasks says nothing of any of them; None when it can be split."""

    def split(self, answer: Answer, task_ids: Sequence[str]) -> Mapping[str, Answer]:
        """One answer about many tasks, as each task's own would have been; those that it leaves out are left out."""

    def ask_result(
        self, seen: Observation, answer: Answer, task_id: str, params: Mapping[str, str], base_url: str
    ) -> Ask | None:
        """A second request for the result, where it is elsewhere. Raises BadInput when the answer says no place."""

    def read_result(self, seen: Observation, answer: Answer) -> Observation:
        """What was seen, with the result that the second answer has; a trouble when it has none."""


class Catalogue(Protocol):
    """All providers by id."""

    def about(self, id: str) -> About:
        """What one provider is. Raises UnknownName with the nearest id."""

    def of(self, id: str, dialect: str = "") -> Provider:
        """What asks and reads: the provider's preset, or what came along. Raises UnknownName, PresetError."""

    def abouts(self) -> Sequence[About]:
        """What all are, by vendor and id."""
