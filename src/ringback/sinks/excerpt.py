"""What is kept of a receiver's answer: a short text that is safe to store, to log and to print.

Secret: how much is kept, and what is taken out of it. Pure. A receiver may echo the whole request: whatever stands for
a secret in it is masked before anything is cut, so that no half of a secret is left at the end.
"""

from __future__ import annotations

import html
import json
import unicodedata
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote, urlsplit

KEPT_AT_MOST = 4 * 1024
"""Bytes of UTF-8."""

READ_AT_MOST = 4 * KEPT_AT_MOST
"""Bytes to read of an answer: more than is kept, since masking shortens."""

MASK = "***"

_WORTH_MASKING = 4
"""A shorter value is no secret, and masking it would only spoil the text."""

_LONG_SEGMENT = 8
"""Shorter path segments (`hooks`, `v1`) say nothing."""


class Hidden:
    """The texts that must not be seen, in every spelling that an answer may give them."""

    def __init__(self, texts: Iterable[str]) -> None:
        spelled = {spelling for text in texts if len(text) >= _WORTH_MASKING for spelling in _spellings(text)}
        # The longest first: a short one inside a long one would leave the rest of it.
        self._texts = sorted(spelled, key=len, reverse=True)

    @property
    def longest(self) -> int:
        """The length of the longest one."""
        return len(self._texts[0]) if self._texts else 0

    def mask(self, text: str) -> str:
        """The text without them."""
        for hidden in self._texts:
            text = text.replace(hidden, MASK)
        return text


def excerpt(body: bytes, hidden: Hidden) -> str | None:
    """The beginning of an answer of which at most READ_AT_MOST bytes were read; None when it is empty."""
    text = hidden.mask(printable(body.decode(errors="replace")))
    if len(body) >= READ_AT_MOST:
        # The answer goes on: a secret may begin in its last characters, too short to be recognised.
        text = text[: max(0, len(text) - hidden.longest)]
    return text.encode()[:KEPT_AT_MOST].decode(errors="ignore") or None


def printable(text: str) -> str:
    """The text without control characters (terminal escapes, NUL), but for newline and tab."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})


def of_url(url: str) -> Iterable[str]:
    """What is secret in a URL: all but its origin, whole and in the pieces that a receiver may echo alone."""
    parts = urlsplit(url)
    pieces = [parts.path, parts.query, f"{parts.path}?{parts.query}"]
    pieces += [value for _, value in parse_qsl(parts.query)]
    pieces += [segment for segment in parts.path.split("/") if len(segment) >= _LONG_SEGMENT]
    for piece in pieces:
        yield piece
        yield unquote(piece)


def of_header(value: str) -> Iterable[str]:
    """What is secret in a header's value: the whole, and the token after a scheme such as `Bearer`."""
    yield value
    yield from value.split()[1:]


def of_secret(secret: str) -> Iterable[str]:
    """What is secret in a signing secret: the whole, and what follows its prefix."""
    yield secret
    yield secret.partition("_")[2]


def _spellings(text: str) -> set[str]:
    """As it is, and as JSON (PHP's too, which escapes slashes), HTML and a URL spell it."""
    in_json = json.dumps(text, ensure_ascii=False)[1:-1]
    return {text, in_json, in_json.replace("/", "\\/"), json.dumps(text)[1:-1], html.escape(text), quote(text, safe="")}
