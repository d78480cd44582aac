"""JSON text in, documents out.

Secret: what of an answer's bytes can be understood, and how a value becomes text that every receiver can parse. Pure.

Servers send more than JSON allows: NaN, halves of surrogate pairs, numbers beyond every limit, a byte order mark. What
can be given a meaning is read (NaN and infinite numbers as null, a half pair as U+FFFD), the rest is Unreadable.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from ringback.core.document import Document

DEPTH_LIMIT = 100
"""Levels of an answer. Its parts are nested again in journal lines and events, and receivers have limits, too."""

USUAL_AT_MOST = 256
"""Bytes of a document that is small."""

EXCERPT_LIMIT = 120

_EPOCH = re.compile(r"[0-9]{9,17}(?:\.[0-9]{1,9})?")
_UNITS = (1, 1_000, 1_000_000)
_FAR = 10**11
"""Seconds: the year 5138. What is more is counted in a smaller unit."""

_CONTAINERS = frozenset({dict, list})
_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Unreadable(ValueError):
    """The bytes are not a JSON document; the message says what they are instead."""


def parse(body: bytes) -> Any:
    """The value of a JSON text; raises Unreadable and nothing else.

    Of equal keys the last one counts. Numbers of any length stay exact as long as Python can read them.
    """
    text = body.removeprefix(_BOM).strip(b" \t\r\n")
    if not text:
        raise Unreadable("the answer is empty")
    try:
        value = _value(text)
    except RecursionError:
        raise Unreadable("the answer is nested too deeply") from None
    except ValueError:
        raise Unreadable(f"the answer is not JSON: {excerpt(body)}") from None
    if text.count(b"[") + text.count(b"{") > DEPTH_LIMIT and _deeper_than(DEPTH_LIMIT, value):
        raise Unreadable("the answer is nested too deeply")
    return value


def unpacked(value: Any) -> Any:
    """A text that is a JSON object, list or string as that value; everything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
        return value
    try:
        return parse(value.encode("utf-8", "replace"))
    except Unreadable:
        return value


def moment(value: Any) -> datetime | None:
    """A time as APIs write it: RFC 3339, or seconds, milliseconds or microseconds since 1970; None for all else."""
    words = text(value)
    if words is None or isinstance(value, bool):
        return None
    try:
        if not _EPOCH.fullmatch(words):
            at = datetime.fromisoformat(words)
            return at.astimezone(UTC) if at.tzinfo is not None else None
        seconds = float(words)
        return datetime.fromtimestamp(seconds / next(unit for unit in _UNITS if seconds < _FAR * unit), UTC)
    except (ValueError, OverflowError, OSError, StopIteration):
        return None


def document(value: Any) -> Document:
    """A parsed value as a document. Small ones that many tasks have at a time are the same in memory."""
    text = _encode(value)
    return _usual(text) if len(text) <= USUAL_AT_MOST else Document.of_text(text)


@lru_cache(maxsize=1024)
def _usual(text: bytes) -> Document:
    return Document.of_text(text)


def text(value: Any) -> str | None:
    """A scalar as text, the way status words and ids are compared; None for null, objects and lists.

    A whole number is written without a fraction, whatever the server did: JSON does not tell 1 from 1.0.
    """
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (int, float)) else None


def message(value: Any) -> str | None:
    """A value as words for people; None for what says nothing.

    A scalar's text, the `message` of a table that has one, anything else as compact JSON.
    """
    said = value.get("message") if isinstance(value, dict) else None
    if isinstance(said, str) and said.strip():
        return said
    if value is None or value is False or (isinstance(value, (list, dict)) and not value):
        return None
    words = text(value)
    return (words if words.strip() else None) if words is not None else _encode(value).decode()


def shortened(words: str, limit: int) -> str:
    """The words, cut to the limit with an ellipsis."""
    return words if len(words) <= limit else words[: limit - 1] + "…"


def line(words: str, limit: int) -> str:
    """The words on one printable line, cut to the limit: fit for a log and a message."""
    printable = "".join(char if char.isprintable() else " " for char in words[: limit * 2])
    return shortened(" ".join(printable.split()), limit)


def excerpt(body: bytes) -> str:
    """The beginning of a body, on one printable line."""
    return line(body[: EXCERPT_LIMIT * 4].decode("utf-8", "replace"), EXCERPT_LIMIT)


def _value(text: bytes) -> Any:
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return _lenient(text.decode("utf-8"))


def _lenient(text: str) -> Any:
    """JSON with NaN, infinite numbers or half surrogate pairs; anything else is a ValueError."""
    value = json.loads(text, parse_constant=_nothing, parse_float=_finite)
    whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.loads(whole)


def _nothing(constant: str) -> None:
    """NaN, Infinity, -Infinity."""


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _deeper_than(limit: int, value: Any) -> bool:
    """Level by level, without recursion; what JSON makes is a dict or a list, never a subclass."""
    parents = [value] if type(value) in _CONTAINERS else []
    for _ in range(limit):
        if not parents:
            return False
        parents = [
            child
            for parent in parents
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) in _CONTAINERS
        ]
    return bool(parents)
