"""A body of the receiver's own shape, made of JSON values: what is filled in is never read as JSON again.

    {"job": "{data.task_id}", "text": "{data.provider}: {data.state}", "raw": "{data.result}", "v": 2}

A text that is one placeholder becomes the value itself, whatever JSON it is; among other text a value is written out.
`{{` and `}}` are braces. What an event does not have is null, and nothing among other text.

Secret: the language of a template. Pure. It is read once, and every slip in it is told then.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ringback.core.errors import BadInput, nearest
from ringback.core.model import AccountData, DestinationData, Error, Event, Progress, TaskData
from ringback.sinks.payload import event_shape

LARGEST = 64 * 1024
"""Bytes of a template as JSON."""

DEEPEST = 32
"""Tables in one another."""

Shape = Mapping[str, Any]
Fill = Callable[[Shape], Any]

_PIECE = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")

_Known = dict[str, Any]
"""What there is by name, and what is within that; None where only the event knows."""

_DATA: _Known = {
    name: {} for kind in (TaskData, AccountData, DestinationData) for name in kind.__struct_fields__ if name != "owner"
}
_EVENT: _Known = {
    "id": {},
    "type": {},
    "timestamp": {},
    "data": _DATA
    | {"progress": {name: {} for name in Progress.__struct_fields__}}
    | {place: {name: {} for name in Error.__struct_fields__} for place in ("error", "problem")}
    | dict.fromkeys(("params", "metadata", "result", "details")),
}


class Template:
    """A template that was read. `{data.metadata.team}` goes into tables, `{data.details.steps.0}` into lists."""

    def __init__(self, value: Any) -> None:
        """Raises BadInput, naming the place."""
        self._fill = _compiled(value, "template", DEEPEST)
        if len(json.dumps(value, ensure_ascii=False).encode()) > LARGEST:
            raise BadInput(f"template: has more than {LARGEST} bytes")

    def body(self, event: Event) -> bytes:
        """The event as the template shapes it. Raises LookupError when a document was not read from the store."""
        return msgspec.json.encode(self._fill(event_shape(event)))


# ---------------------------------------------------------------------- reading the template


def _compiled(value: Any, place: str, deeper: int) -> Fill:
    if not deeper:
        raise BadInput(f"{place}: lies more than {DEEPEST} tables deep")
    match value:
        case dict():
            return _table(value, place, deeper)
        case list() | tuple():
            items = [_compiled(item, f"{place}.{number}", deeper - 1) for number, item in enumerate(value)]
            return lambda shape: [fill(shape) for fill in items]
        case str():
            return _text(value, place)
        case float() if not math.isfinite(value):
            raise BadInput(f"{place}: JSON has no such number as {value}")
        case None | bool() | int() | float():
            return lambda _: value
        case _:
            raise BadInput(f"{place}: JSON has no such value; write it as text in quotes")


def _table(table: Mapping[Any, Any], place: str, deeper: int) -> Fill:
    for key in table:
        if not isinstance(key, str) or _placeholders(key):
            raise BadInput(f"{place}.{key}: a key is text without placeholders; those stand in values")
    fills = {key: _compiled(item, f"{place}.{key}", deeper - 1) for key, item in table.items()}
    return lambda shape: {key: fill(shape) for key, fill in fills.items()}


def _text(text: str, place: str) -> Fill:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise BadInput(f"{place}: is no text that can be sent") from exc
    pieces = [_piece(piece, place) for piece in _PIECE.split(text) if piece]
    if len(pieces) == 1 and not isinstance(pieces[0], str):
        path = pieces[0]
        return lambda shape: _value(shape, path)
    return lambda shape: "".join(each if isinstance(each, str) else _written(_value(shape, each)) for each in pieces)


def _placeholders(text: str) -> bool:
    return any(len(piece) > 2 and piece[0] == "{" for piece in _PIECE.findall(text))  # noqa: PLR2004 - more than {{


def _piece(piece: str, place: str) -> str | tuple[str, ...]:
    """Text as it is, or the path of a placeholder."""
    if piece in ("{{", "}}"):
        return piece[0]
    if piece in ("{", "}"):
        raise BadInput(f"{place}: has a single {piece}; a brace is written {piece * 2}")
    if piece[0] != "{":
        return piece
    path = tuple(piece[1:-1].split("."))
    _check(path, piece, place)
    return path


def _check(path: tuple[str, ...], piece: str, place: str) -> None:
    """Whether an event can have this."""
    known: _Known | None = _EVENT
    for name in path:
        if not name or (known is not None and name not in known):
            raise BadInput(f"{place}: {piece} names nothing that an event has.{nearest(name, known or ())}")
        known = known[name] if known is not None else None


# ---------------------------------------------------------------------- filling it in


def _value(shape: Shape, path: tuple[str, ...]) -> Any:
    """What is there, or None. A document that is wanted whole goes out as the text that it came as."""
    value: Any = shape
    for name in path:
        value = _step(_opened(value), name)
    return value


def _step(value: Any, name: str) -> Any:
    match value:
        case Mapping():
            return value.get(name)
        case list():
            return value[int(name)] if re.fullmatch(r"[0-9]{1,9}", name) and int(name) < len(value) else None
        case msgspec.Struct():
            return getattr(value, name, None)
        case _:
            return None


def _opened(value: Any) -> Any:
    """A document's parts. It was written by msgspec, so it can be read by it."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def _written(value: Any) -> str:
    """A value among other text: text as it is, anything else as JSON, nothing as nothing."""
    value = _opened(value)
    match value:
        case None:
            return ""
        case str():
            return str(value)
        case _:
            return msgspec.json.encode(value).decode()
