"""The provider `http`: an API without a preset, described with the registration.

    {"ask": {"url": ..., "method"?, "query"?, "headers"?, "body"?, "form"?}, "read": the [read] table of a preset}

Secret: how a description becomes a preset. It has no account: no credential of ours is ever sent. Headers that the
caller gives are the caller's own, a credential among them too: they are kept and never shown. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from ringback.core.errors import BadInput, PresetError
from ringback.core.health import UNAUTHORIZED
from ringback.core.model import Answer, Observation
from ringback.providers import documents, spec, status
from ringback.providers.auth import Timeless
from ringback.providers.base import HTTP, About, Ask
from ringback.providers.documents import Unreadable
from ringback.providers.preset import Preset
from ringback.providers.template import HeaderName

DIALECT_AT_MOST = 16 * 1024
"""Bytes of a description."""

HEADERS = 32
ABOUT = About(
    id=HTTP,
    title="Any API, described with the registration",
    vendor=HTTP,
    base_url="",
    source="whoever registers the task",
    confidence="confirmed",
    needs_account=False,
)
EXPLAINED = """\
http: Any API, described with the registration

asked     GET, POST or PUT to the URL that came with it, with its headers; no account's key is ever sent
read      by the [read] table that came with it: state, states, result, error, ... as in a preset

          ringback wait http --url https://api.example.org/jobs/7 --state job.status --succeeded done --failed error
          POST /v1/watches {"provider": "http", "ask": {"url": ...}, "read": {"state": ..., "states": {...}}}"""

NOT_TO_SET = frozenset({"host", "content-length", "transfer-encoding", "connection"})

_VALUE = re.compile(r"[\x20-\x7e]*")


class Brought(msgspec.Struct, Timeless, frozen=True):
    """The headers that the caller gave: an Auth that needs no credential of ours."""

    headers: Mapping[str, str]

    @property
    def credentials(self) -> tuple[str, ...]:
        """None of ours."""
        return ()

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add them."""
        return replace(ask, headers={**ask.headers, **self.headers})

    def explain(self) -> str:
        """Say so."""
        return "the headers that came with the registration"


class Described(Preset):
    """A Preset whose key is the caller's own: a refusal is told to whoever gave it."""

    def read(self, answer: Answer, task_id: str | None) -> Observation:
        """What an answer says about the task."""
        seen = super().read(answer, task_id)
        if seen.trouble is None or seen.trouble.message != status.sentence(UNAUTHORIZED, answer.status):
            return seen
        message = f"the provider refuses the key (HTTP {answer.status}): check ask.headers"
        return replace(seen, trouble=replace(seen.trouble, message=message))


def dialect(ask: Mapping[str, Any] | None, read: Mapping[str, Any] | None) -> str:
    """The description as it is kept, checked. Raises BadInput with the first problem."""
    if ask is None or read is None:
        missing = "ask" if ask is None else "read"
        raise BadInput(f"{missing}: is missing; provider http needs ask and read", code="missing_field", field=missing)
    try:
        text = msgspec.json.encode({"ask": ask, "read": read}, order="deterministic")
        documents.parse(text)
    except (UnicodeEncodeError, RecursionError, Unreadable) as error:
        raise BadInput("ask and read hold half a surrogate pair, or too many levels", code="bad_dialect") from error
    if len(text) > DIALECT_AT_MOST:
        raise BadInput(f"ask and read have {len(text)} bytes; at most {DIALECT_AT_MOST} are taken", code="bad_dialect")
    kept = text.decode()
    try:
        preset(kept)
    except PresetError as error:
        first = error.message.splitlines()[0].removeprefix(f"{HTTP}: ")
        raise BadInput(first, code="bad_dialect") from error
    return kept


def url_of(kept: str) -> str:
    """The URL of a description, which can stand for the task. Raises BadInput where the task's id stands in it."""
    asking = preset(kept).spec.ask
    assert asking.url is not None, "it was checked"
    if "task_id" in asking.names:
        raise BadInput(
            "task_id: is missing, and ask has {task_id} in it: give the id, or write it out there",
            code="missing_field",
            field="task_id",
        )
    return asking.url.text


@lru_cache(maxsize=1024)
def preset(kept: str) -> Preset:
    """The preset that a description comes to. Raises PresetError with every problem, each with its key."""
    given = msgspec.json.decode(kept)
    ask, problems = dict(given["ask"]), list[str]()
    headers = _headers(ask.pop("headers", {}), problems)
    if not isinstance(ask.get("url"), str):
        problems.append("ask.url: is missing; expected the whole URL that tells about the task")
    if problems:
        raise PresetError(f"{HTTP}: {problems[0]}", problems=tuple(problems))
    made = spec.of(
        {
            "id": HTTP,
            "title": ABOUT.title,
            "vendor": HTTP,
            "source": ABOUT.source,
            "confidence": ABOUT.confidence,
            "ask": ask,
            "auth": {"type": "none"},
            "read": given["read"],
        },
        name=HTTP,
    )
    if made.needs:
        raise PresetError(f"{HTTP}: ask: {{params.{made.needs[0]}}} has no meaning here: write it out")
    return Described(replace(made, auth=Brought(headers)))


def _headers(given: object, problems: list[str]) -> dict[str, str]:
    if not isinstance(given, dict) or len(given) > HEADERS:
        problems.append(f"ask.headers: expected a table of at most {HEADERS}")
        return {}
    for name, value in given.items():
        try:
            taken = HeaderName(name) not in NOT_TO_SET
        except ValueError:
            taken = False
        if not taken or not isinstance(value, str) or not _VALUE.fullmatch(value):
            problems.append(f"ask.headers.{name[:80]}: expected a header that may be set, and ASCII text")
    return {name.lower(): value for name, value in given.items()}
