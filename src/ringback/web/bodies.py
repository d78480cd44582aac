"""Request bodies: read up to a limit, decoded into the struct that is asked for.

Secret: how msgspec's complaints become one sentence with the field and, for a near miss, the name that was meant.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TypeVar

import msgspec
from fastapi import Request

from ringback.core.errors import BadInput, nearest
from ringback.web.problems import BadJson, NotJson, TooLarge

AT_MOST = 1024 * 1024
"""Bytes of one body, counted as they come: a chunked one says no length."""

NAME_SHOWN = 80
"""Characters of a caller's own text that an error repeats."""

ANY_KEY = "[...]"
"""How msgspec names the key of a table."""

Kind = TypeVar("Kind")

_COMPLAINT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`(?: - at `[^`]*`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `[^`]*`)?")
_BYTE = re.compile(r"(?P<why>.*) \(byte (?P<at>[0-9]+)\)", re.DOTALL)


async def body_of(request: Request) -> bytes:
    """The JSON text of a request. Raises TooLarge, NotJson, BadJson."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > AT_MOST:
        raise _too_large()
    taken = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            taken += chunk
            if len(taken) > AT_MOST:
                raise _too_large()
    if not taken:
        raise BadJson("the body is empty: send JSON", position=0)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" or "content-encoding" in request.headers:
        raise NotJson("send the body as plain JSON, with the header 'Content-Type: application/json'")
    return bytes(taken)


def decoded(text: bytes | msgspec.Raw, kind: type[Kind]) -> Kind:
    """JSON text as a value. Raises BadJson when it is no JSON, BadInput when it is another value."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), kind, text) from error
    except msgspec.DecodeError as error:
        raise _malformed(str(error), bytes(text)) from error
    except UnicodeDecodeError as error:
        raise BadJson("the body is not JSON: it is not UTF-8", position=_not_utf8_at(bytes(text))) from error
    except RecursionError as error:
        raise BadJson("the body is not usable JSON: it is nested too deeply") from error


def _too_large() -> TooLarge:
    return TooLarge(f"the body is over {AT_MOST} bytes: send less at once", limit=AT_MOST)


def _malformed(said: str, text: bytes) -> BadJson:
    found = _BYTE.fullmatch(said)
    if found is None:
        return BadJson(r"the body is not JSON: it ends too early, or a \u escape lacks its half", position=len(text))
    why = found["why"].removeprefix("JSON is malformed: ")
    return BadJson(f"the body is not JSON: {why} at byte {found['at']}", position=int(found["at"]))


def _not_utf8_at(text: bytes) -> int:
    """Where the body stops being UTF-8: msgspec counts from the start of the string that is wrong."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start
    return 0


def _with_key(table: str, text: bytes | msgspec.Raw) -> str:
    """Where the first value of a table stands that is no text: msgspec names no key. What follows may be no JSON."""
    try:
        values = msgspec.json.decode(text)[table]
        return next(f"{table}.{key[:NAME_SHOWN]}" for key, value in values.items() if not isinstance(value, str))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError, StopIteration):
        return table


def _wrong(said: str, kind: type[object], text: bytes | msgspec.Raw) -> BadInput:
    if found := _UNKNOWN.fullmatch(said):
        name = found[1][:NAME_SHOWN]
        known = getattr(kind, "__struct_fields__", ())
        return BadInput(f"{name}: there is no such field.{nearest(name, known)}", code="unknown_field", field=name)
    if found := _MISSING.fullmatch(said):
        return BadInput(f"{found[1]}: is missing", code="missing_field", field=found[1])
    complaint = _COMPLAINT.fullmatch(said)
    assert complaint is not None, "the pattern matches everything"
    field = (complaint["path"] or "$").removeprefix("$").removeprefix(".")
    if field.endswith(ANY_KEY):
        field = _with_key(field.removesuffix(ANY_KEY), text)
    what = complaint["what"].replace("`", "")
    return BadInput(f"{field or 'the body'}: {what[:1].lower()}{what[1:]}", code="bad_field", field=field or None)
