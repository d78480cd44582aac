"""A body that comes in chunks: pieces in, the body without its frames out.

    SIZE in hexadecimal [; extension] CRLF  so many bytes CRLF  ...  0 CRLF  trailers CRLF

Secret: the frames of a chunked body. Strict where two readers might differ; trailers are dropped. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LINE_LIMIT = 1024
"""Bytes of the line that a chunk begins with."""

TRAILERS_LIMIT = 16 * 1024
"""Bytes of all that follows the last chunk."""

TINY = 8
TINY_ONES = 10_000
"""More chunks than these, with fewer bytes than TINY on the average, are no body: to read them takes too long."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_LINE_END = re.compile(rb"\r\n")
_LAST = re.compile(rb"(?:[^\r\n]+\r\n)*\r\n")


class BadChunk(ValueError):
    """Something stands where a chunk should."""


class Chunks:
    """The chunks of one body. After the last one `over` is true; `excess` is whether anything followed it."""

    def __init__(self) -> None:
        self.over = False
        self.excess = False
        self._rest = b""
        self._left = 0
        self._chunks = 0
        self._bytes_in_chunks = 0
        self._read: Callable[[bytes, int, list[bytes]], int] = self._size

    def fed(self, data: bytes) -> bytes:
        """The part of the body that these bytes bring. Raises BadChunk."""
        body: list[bytes] = []
        data = self._rest + data
        at, before = 0, -1
        while not self.over and at != before:
            before = at
            at = self._read(data, at, body)
        self._rest = b"" if self.over else data[at:]
        self.excess = self.over and at < len(data)
        return b"".join(body)

    def _size(self, data: bytes, at: int, _: list[bytes]) -> int:
        found = _SIZE.match(data, at)
        if found is None:
            if data.find(b"\n", at) >= 0 or len(data) - at > LINE_LIMIT:
                raise BadChunk
            return at
        self._left = int(found[1], 16)
        if self._left:
            self._chunks += 1
            self._bytes_in_chunks += self._left
            if self._chunks > TINY_ONES and self._bytes_in_chunks < TINY * self._chunks:
                raise BadChunk
        self._read = self._bytes if self._left else self._trailers
        return found.end()

    def _bytes(self, data: bytes, at: int, body: list[bytes]) -> int:
        part = data[at : at + self._left]
        body.append(part)
        self._left -= len(part)
        if not self._left:
            self._read = self._line_end
        return at + len(part)

    def _line_end(self, data: bytes, at: int, _: list[bytes]) -> int:
        found = _LINE_END.match(data, at)
        if found is None:
            if data[at : at + 2] not in (b"", b"\r"):
                raise BadChunk
            return at
        self._read = self._size
        return found.end()

    def _trailers(self, data: bytes, at: int, _: list[bytes]) -> int:
        found = _LAST.match(data, at)
        if found is None:
            if len(data) - at > TRAILERS_LIMIT:
                raise BadChunk
            return at
        self.over = True
        return found.end()
