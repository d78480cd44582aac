"""A preset: one API's dialect, as a TOML file that anybody can read, check and extend.

Secret: the language as a whole: which tables a preset has, and what must hold between them. Pure.

    id, title, vendor, base_url, source, confidence, menu?, notes?       what people are told, and the account it uses
    [ask]             how it is asked about a task                       asking.py
    [auth]            how a request is signed                            auth.py
    [read]            where an answer says what                          reading.py
      [read.states]     the vendor's words, and the states they mean
      [[read.overrides]]  finished is not always succeeded
      [read.error]      why a failed task failed
      [read.problem]    errors that are about the request, not about the task
      [read.progress]   how far it is

Whatever the language learns next is a key of one of these tables, or a table beside them ([submit], [result], [batch],
[limits]), in the file that keeps its secret. Every key is checked by its annotation (tables.py); others are refused.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path as File
from typing import Annotated, Literal

import msgspec

from ringback.core.errors import PresetError
from ringback.core.model import Answer, Observation
from ringback.providers import asking, auth, reading, tables
from ringback.providers.asking import Asking, BaseUrl
from ringback.providers.auth import Auth
from ringback.providers.base import About, Ask
from ringback.providers.reading import Reading

PRESET_LIMIT = 256 * 1024
"""Bytes of a preset file."""


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


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A whole preset file."""

    id: Id
    title: str
    vendor: AccountName
    base_url: BaseUrl
    source: str
    confidence: Literal["confirmed", "likely"]
    menu: str | None = None
    notes: str | None = None
    ask: Asking
    auth: Annotated[Auth, auth.chosen]
    read: Reading


class Preset:
    """A Provider that a file describes."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.about = About(
            id=spec.id.text,
            title=spec.title,
            vendor=spec.vendor.text,
            base_url=spec.base_url.text,
            source=spec.source,
            confidence=spec.confidence,
            menu=spec.menu,
            notes=spec.notes,
            credentials=spec.auth.credentials,
            params=spec.ask.path.params,
            states=dict(spec.read.states),
        )

    def ask(self, task_id: str, params: Mapping[str, str], base_url: str) -> Ask:
        """The request that asks about a task, without a credential. Raises BadInput for a param that cannot be used."""
        return asking.request(self.spec.ask, task_id, params, base_url)

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """The same request with the account's credential. Raises BadInput for one that is missing or broken."""
        return self.spec.auth.sign(ask, credentials, now)

    def read(self, answer: Answer, task_id: str | None) -> Observation:
        """What an answer says about the task; with None, about whichever task it names."""
        return reading.observe(self.spec.read, answer, task_id)


def load(file: File) -> Preset:
    """Read a preset file. Raises PresetError with every problem of the file, each with its key."""
    try:
        with file.open("rb") as opened:
            text = opened.read(PRESET_LIMIT + 1)
    except OSError as exc:
        raise PresetError(f"{file}: cannot be read: {exc.strerror}", file=str(file)) from exc
    return parse(text, name=str(file), id=file.stem)


def parse(text: bytes, *, name: str, id: str | None = None) -> Preset:
    """Make a preset of TOML text. `name` is what its file is called in problems, `id` what its id must be."""
    if len(text) > PRESET_LIMIT:
        raise PresetError(f"{name}: expected at most {PRESET_LIMIT // 1024} KiB", file=name)
    try:
        raw = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise PresetError(f"{name}: is not TOML: {exc}", file=name) from exc
    problems: list[str] = []
    spec = tables.table(Spec, raw, "", problems)
    if spec is not None:
        problems += _contradictions(spec, id)
    if spec is None or problems:
        raise PresetError("\n".join(f"{name}: {problem}" for problem in problems), file=name, problems=tuple(problems))
    return Preset(spec)


def _contradictions(spec: Spec, id: str | None) -> list[str]:
    """What must hold between the keys."""
    found: list[str] = []
    if id is not None and spec.id.text != id:
        found.append(f"id: expected '{id}', which is the file's name, got '{spec.id.text}'")
    if "succeeded" not in {*spec.read.states.values(), *(rule.becomes for rule in spec.read.overrides)}:
        found.append("read.states: expected a word that means succeeded")
    names = [field.name for field in spec.read.details]
    if len(set(names)) < len(names):
        found.append("read.details: expected every field to end in another name")
    return found
