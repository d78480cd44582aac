"""A TOML table into a struct, with everything that is wrong with it.

Secret: how a preset's keys are checked, and how a problem with one is worded. Pure.

A struct's annotations are the language: `str`, `bool`, `int`, a `Literal` of words, a nested struct (a table),
`dict[K, X]`, `tuple[X, ...]`, any of them `| None`, a class that is built from text and raises ValueError("expected
..."), or `Annotated[X, reader]`, whose reader checks the value itself. A class with `first_of` takes a list of texts,
too, and one with `EXAMPLE` shows it to whoever gives no text.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ringback.core.errors import nearest

T = TypeVar("T", bound=msgspec.Struct)
BAD: Any = object()
"""Stands for a value that was found wrong; nothing is built from it."""


class MaybeEmpty(str):
    """Text that may be empty; so may that of a class that is one."""

    __slots__ = ()


_NAMES = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    list: "a list",
    type(None): "null",  # in JSON alone: the provider `http`
}


def table(kind: type[T], raw: object, where: str, problems: list[str]) -> T | None:
    """Build the struct; None when something is wrong, and then every problem is on the list, with its key."""
    if not isinstance(raw, Mapping):
        problems.append(_expected(where, "a table", raw))
        return None
    fields = _fields(kind)
    known = [field.name for field in fields]
    before = len(problems)
    problems += [f"{key_of(where, key)}: there is no such key.{nearest(key, known)}" for key in raw if key not in known]
    values: dict[str, Any] = {}
    for field in fields:
        key = key_of(where, field.name)
        if field.name in raw:
            values[field.name] = _value(field.type, raw[field.name], key, problems)
        elif field.required:
            problems.append(f"{key}: is missing; expected {_describe(field.type)}")
    return kind(**values) if len(problems) == before else None


@lru_cache(maxsize=64)
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The language does not change while a catalogue is loaded, and resolving annotations is most of the work."""
    return msgspec.structs.fields(kind)


def _value(kind: Any, raw: object, where: str, problems: list[str]) -> Any:
    kind = _without_none(kind)
    if isinstance(raw, list) and hasattr(kind, "first_of"):
        return _first_of(kind, raw, where, problems)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return arguments[1](raw, where, problems)
    if origin is dict:
        return mapping(arguments[0], arguments[1], raw, where, problems)
    if origin is tuple:
        return _list(arguments[0], raw, where, problems)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return table(kind, raw, where, problems)
    return _scalar(kind, raw, where, problems)


def _without_none(kind: Any) -> Any:
    """`X` of `X | None`: TOML has no null, a key is there or it is not."""
    if typing.get_origin(kind) in {types.UnionType, typing.Union}:
        return next(choice for choice in typing.get_args(kind) if choice is not type(None))
    return kind


def mapping(name: Any, kind: Any, raw: object, where: str, problems: list[str]) -> Any:
    """A table whose keys and values are of one kind each."""
    if not isinstance(raw, dict):
        problems.append(_expected(where, "a table", raw))
        return BAD
    keys = {key: key if name is str else _scalar(name, key, key_of(where, key), problems) for key in raw}
    return {keys[key]: _value(kind, value, key_of(where, key), problems) for key, value in raw.items()}


def _list(kind: Any, raw: object, where: str, problems: list[str]) -> Any:
    if not isinstance(raw, list):
        problems.append(_expected(where, "a list", raw))
        return BAD
    return tuple(_value(kind, value, f"{where}[{place}]", problems) for place, value in enumerate(raw))


def _first_of(kind: Any, raw: list[object], where: str, problems: list[str]) -> Any:
    if not raw:
        problems.append(f"{where}: expected text, or a list that is not empty")
        return BAD
    parts = _list(kind, raw, where, problems)
    return BAD if any(part is BAD for part in parts) else kind.first_of(parts)


def _scalar(kind: Any, raw: object, where: str, problems: list[str]) -> Any:
    """Text, or what is made of text; true and false; a whole number."""
    if kind in (bool, int):
        if type(raw) is kind:
            return raw
        problems.append(_expected(where, _describe(kind), raw))
        return BAD
    words = typing.get_args(kind)
    may_be_empty = isinstance(kind, type) and issubclass(kind, MaybeEmpty)
    if not isinstance(raw, str) or not (raw.strip() or may_be_empty) or (words and raw not in words):
        problems.append(_expected(where, _describe(kind), raw) + _suggestion(raw, words))
        return BAD
    try:
        return raw if words or kind in (str, MaybeEmpty) else _made(kind, raw)
    except ValueError as exc:
        problems.append(f"{where}: {exc}")
        return BAD


@lru_cache(maxsize=4096)
def _made(kind: Any, raw: str) -> Any:
    """What is made of text never changes, and presets have many texts in common."""
    return kind(raw)


def _suggestion(raw: object, words: tuple[str, ...]) -> str:
    near = nearest(raw, words) if isinstance(raw, str) else ""
    return "." + near if near else ""


def key_of(where: str, key: str) -> str:
    """The key as it is written in TOML."""
    name = key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else f'"{key}"'
    return f"{where}.{name}" if where else name


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(typing.get_args(kind))
    if typing.get_origin(kind) is typing.Annotated and len(typing.get_args(kind)) > len(("it", "its builder")):
        return str(typing.get_args(kind)[2])
    if typing.get_origin(kind) is typing.Annotated or (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return "a table"
    example = getattr(kind, "EXAMPLE", "")
    return f'text such as "{example}"' if example else _NAMES.get(typing.get_origin(kind) or kind, "text")


def _expected(where: str, what: str, got: object) -> str:
    found = f"'{got}'" if isinstance(got, str) else _NAMES.get(type(got), "a date")
    return f"{where}: expected {what}, got {found}"
