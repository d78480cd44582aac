"""The head of an HTTP answer: its bytes in, what it says out.

Secret: httptools (llhttp, the parser of Node). It is strict, but for line ends without a carriage return, which some
servers write. Pure.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

VERSION = b"HTTP/1."
"""What every head begins with."""

LINES = 256
"""Header lines of an answer at most."""

WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class BadHead(ValueError):
    """Not a head, or one of more lines than anybody needs."""


class Head(NamedTuple):
    """What a head says. `length` is None where the body is in chunks, or goes on to the end of the connection."""

    status: int
    headers: list[tuple[bytes, bytes]]
    length: int | None
    chunked: bool
    stays: bool

    @property
    def interim(self) -> bool:
        """Whether the answer is still to come."""
        return self.status < HTTPStatus.OK


def read(head: bytes) -> Head:
    """Read a head, with the empty line that ends it. Raises BadHead."""
    lines = _Lines()
    parser = HttpResponseParser(lines)
    parser.set_dangerous_leniencies(lenient_optional_cr_before_lf=True)
    if not head.startswith(VERSION):  # the parser reads RTSP, too
        raise BadHead
    try:
        parser.feed_data(head)
    except (HttpParserError, HttpParserUpgrade):  # nobody asked for another protocol
        raise BadHead from None
    status = parser.get_status_code()
    length = 0 if status in WITHOUT_BODY else lines.length
    return Head(status, lines.headers, length, lines.chunked, parser.should_keep_alive())


class _Lines:
    """Told of every line. The parser has seen to it that a length is one, and that there is no other."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.length: int | None = None
        self.chunked = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value.rstrip(b" \t")))
        match len(name):
            case 14 if name.lower() == b"content-length":
                self.length = int(value)
            case 17 if name.lower() == b"transfer-encoding":
                if self.chunked or value.strip().lower() != b"chunked":
                    raise BadHead  # nobody asked for another one
                self.chunked, self.length = True, None
        if len(self.headers) > LINES:
            raise BadHead
