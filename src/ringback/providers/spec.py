"""A preset: one API's dialect, as a TOML file that anybody can read, check and extend.

Secret: the language as a whole: which tables a preset has, and what must hold between them. Pure.

    id, title, vendor, base_url?, hosts?, source, confidence, menu?, notes?, callback?, learn_by?
                          what people are told, the account it uses, and where that account's key may go
    [params.NAME]         what must be known beside the id                    limits.py
    [limits]              how often, how long, how much                       limits.py
    [submit]              how a task is begun, and how the answer names it    submit.py
    [ask]                 how it is asked about a task                        asking.py
    [auth]                how a request is signed                             schemes.py, auth.py, signers/
    [read]                where an answer says what                           reading.py, reader.py
    [result]              a second request for the result                     result.py
    [batch]               one request about many tasks                        batch.py

Every key is checked by its annotation (tables.py); others are refused.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as File
from typing import Annotated, Any, Literal, Self

import msgspec

from ringback.core.errors import PresetError, nearest
from ringback.providers import schemes, tables
from ringback.providers.asking import Request
from ringback.providers.auth import Auth
from ringback.providers.batch import Batch
from ringback.providers.limits import Limits, Param
from ringback.providers.reading import Reading
from ringback.providers.result import Result
from ringback.providers.submit import Submit
from ringback.providers.template import ANSWER, IDS, PARAM, BaseUrl

PRESET_LIMIT = 256 * 1024
"""Bytes of a preset file."""

PARAM_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Id:
    """A preset's id, which is its file's name without .toml."""

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is no id."""
        if not re.fullmatch(r"(?=.{1,64}$)[a-z0-9]+(?:[.-][a-z0-9]+)*", text):
            raise ValueError(
                f"expected at most 64 lower-case letters, digits and hyphens, such as 'acme-video', got '{text}'"
            )
        self.text = text


class AccountName:
    """The name of the account that a preset uses by default."""

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what no account can be called."""
        if not re.fullmatch(r"[a-z0-9_]+", text):
            raise ValueError(f"expected the name of an account ([a-z0-9_]+), such as 'acme', got '{text}'")
        self.text = text


class Host(str):
    """A host that a credential may go to; `*` stands for one label or a part of one, but not in the last two."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises ValueError with a sentence for what is none."""
        if not re.fullmatch(r"(?:[a-z0-9*-]+\.)*[a-z0-9-]+\.[a-z][a-z0-9-]*", text):
            raise ValueError(f"expected a host such as 'eu.example.com' or '*.api.example.com', got '{text}'")
        return super().__new__(cls, text)


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A whole preset file."""

    id: Id
    title: str
    vendor: AccountName
    base_url: BaseUrl | None = None
    hosts: tuple[Host, ...] = ()
    source: str
    confidence: Literal["confirmed", "likely"]
    menu: str | None = None
    notes: str | None = None
    callback: str | None = None
    learn_by: str | None = None
    params: dict[str, Param] = {}
    limits: Limits = Limits()
    submit: Submit | None = None
    ask: Request
    auth: Annotated[Auth, schemes.chosen]
    read: Reading
    result: Result | None = None
    batch: Batch | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The params that are asked with, in order and once."""
        parts: list[Any] = [self.base_url, self.ask, self.result, self.batch, *regions(self.auth)]
        names = [name for part in parts if part is not None for name in part.names]
        return tuple(dict.fromkeys(name.removeprefix(PARAM) for name in names if name.startswith(PARAM)))


def load(file: File) -> Spec:
    """Read a preset file. Raises PresetError with every problem of the file, each with its key."""
    try:
        with file.open("rb") as opened:
            text = opened.read(PRESET_LIMIT + 1)
    except OSError as exc:
        raise PresetError(f"{file}: cannot be read: {exc.strerror}", file=str(file)) from exc
    return parse(text, name=str(file), id=file.stem)


def parse(text: bytes, *, name: str, id: str | None = None) -> Spec:
    """Read TOML text. `name` is what its file is called in problems, `id` what its id must be."""
    if len(text) > PRESET_LIMIT:
        raise PresetError(f"{name}: expected at most {PRESET_LIMIT // 1024} KiB", file=name)
    try:
        raw = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise PresetError(f"{name}: is not TOML: {exc}", file=name) from exc
    return of(raw, name=name, id=id)


def of(raw: Mapping[str, Any], *, name: str, id: str | None = None) -> Spec:
    """Check a whole table. Raises PresetError with every problem, each with its key."""
    problems: list[str] = []
    spec = tables.table(Spec, raw, "", problems)
    if spec is not None:
        problems += _contradictions(spec, id)
    if spec is None or problems:
        raise PresetError("\n".join(f"{name}: {problem}" for problem in problems), file=name, problems=tuple(problems))
    return spec


def regions(auth: Auth) -> list[Any]:
    """The templates of what signatures are made for."""
    return [kind.region for kind in getattr(auth, "kinds", (auth,)) if hasattr(kind, "region")]


def _contradictions(spec: Spec, id: str | None) -> list[str]:
    """What must hold between the keys."""
    found: list[str] = []
    if id is not None and spec.id.text != id:
        found.append(f"id: expected '{id}', which is the file's name, got '{spec.id.text}'")
    requests: dict[str, Request | None] = {
        "ask": spec.ask, "submit": spec.submit, "result": spec.result, "batch": spec.batch
    }  # fmt: skip
    for where, made in requests.items():
        if made is not None:
            found += made.contradictions(where)
            found += _strangers(where, made)
    if "task_id" not in spec.ask.names and spec.ask.url is None:
        found.append("ask: expected {task_id} in its path, query, headers or body")
    if spec.submit is not None and spec.submit.id is None and spec.submit.id_header is None:
        found.append("submit.id: is missing; expected where the answer has the task's id")
    if spec.base_url is not None and spec.base_url.names and not spec.hosts:
        found.append("hosts: is missing; expected where the base URL may lead, because a param chooses its host")
    return [*found, *spec.read.contradictions(), *_params(spec)]


def _strangers(where: str, made: Request) -> list[str]:
    """Placeholders that have no meaning in this table."""
    found = []
    for name in made.names:
        if name.startswith(ANSWER) and where != "result":
            found.append(f"{where}: {{{name}}} can only stand in result")
        if name == IDS and where != "batch":
            found.append(f"{where}: {{{name}}} can only stand in batch")
        if name == "task_id" and where in ("submit", "batch"):
            found.append(f"{where}: {{task_id}} has no meaning here")
    return found


def _params(spec: Spec) -> list[str]:
    """Params that are described or remembered are used."""
    submit = spec.submit
    submitted = submit.names if submit is not None else ()
    known = {*spec.needs, *(name.removeprefix(PARAM) for name in submitted if name.startswith(PARAM))}
    found = [f"params.{name}: nothing asks with it.{nearest(name, known)}" for name in spec.params if name not in known]
    found += [
        f"submit.remember.{name}: no param is called so.{nearest(name, spec.needs)}"
        for name in (submit.remember if submit is not None else ())
        if name not in spec.needs
    ]
    if spec.learn_by is not None and spec.learn_by not in spec.needs:
        found.append(f"learn_by: expected the name of a param.{nearest(spec.learn_by, spec.needs)}")
    return found
