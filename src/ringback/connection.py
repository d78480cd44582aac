"""One connection to an HTTP server, and one exchange on it at a time: bytes of a request out, one bounded answer in.

    head -> interim answers are passed over -> body: so many bytes, or in chunks, or up to the end -> Reply

Secret: where an answer ends, and whether the connection is fit for another one after it. There is no client library
under it: a request through one costs twice the processor time and more. The deadline is the caller's.
"""

from __future__ import annotations

import asyncio
import re
import select
from collections.abc import Sequence
from typing import NamedTuple, cast

import httpx

from ringback.chunks import BadChunk, Chunks
from ringback.head import VERSION, BadHead, Head, read

HEAD_LIMIT = 64 * 1024
"""Bytes of an answer's head."""

INTERIM_LIMIT = 32
"""Answers like 100 Continue before the real one."""

AT_ONCE = 256 * 1024
"""Bytes of a request that go out in one piece; a longer one in several, so that the loop does not stand still."""

_END = re.compile(rb"\n\r?\n")


class Reply(NamedTuple):
    """An answer: its header lines as they came, and its body (its start, when it may be cut)."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class TooMuch(Exception):
    """A body over the limit."""


class Connection(asyncio.Protocol):
    """What the loop tells of one connection. Whoever holds it asks; nobody else does meanwhile."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._look = select.poll()
        self.fit = True
        self.unheard = False
        """It ended while an answer was waited for, before anything of that came."""
        self._waiter: asyncio.Future[Reply] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._rest = b""
        self._head: Head | None = None
        self._length: int | None = None
        self._chunks: Chunks | None = None
        self._parts: list[bytes] = []
        self._size = 0

    # ------------------------------------------------------------------ the exchange

    async def exchange(self, request: bytes, limit: int, *, truncate: bool = False, no_body: bool = False) -> Reply:
        """Send a request, and read its answer up to `limit` bytes of body. Raises httpx.TransportError, TooMuch.

        `no_body`: the answer has none, whatever it announces. Breaking off ends the connection.
        """
        if self.transport is None:
            raise httpx.ReadError("the connection is closed")
        self._limit, self._truncate, self._no_body = limit, truncate, no_body
        waiter: asyncio.Future[Reply] = self._loop.create_future()
        self._waiter = waiter
        try:
            if len(request) <= AT_ONCE:
                self.transport.write(request)
            else:
                await self._send_slowly(request, waiter)
            return await waiter
        finally:
            if self._waiter is not None:
                self._waiter = None
                self.close()
            self._reset()

    async def _send_slowly(self, request: bytes, waiter: asyncio.Future[Reply]) -> None:
        """Piece by piece, until a server that answers early has heard enough."""
        for start in range(0, len(request), AT_ONCE):
            if waiter.done() or self.transport is None:
                self.fit = False
                return
            self.transport.write(request[start : start + AT_ONCE])
            if self._writable is not None:
                await asyncio.wait((self._writable, waiter), return_when=asyncio.FIRST_COMPLETED)

    def is_fit(self) -> bool:
        """Whether another request may go out now: nothing lies there unasked, mostly the end.

        The loop need not have seen that yet.
        """
        return self.fit and not self._look.poll(0)

    def expire(self) -> None:
        """The time is over for what is under way."""
        self._fail(TimeoutError())

    def close(self) -> None:
        """Let go at once."""
        self.fit = False
        if self.transport is not None:
            self.transport.abort()
            self.transport = None

    # ------------------------------------------------------------------ what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one, but not by name
        self._look.register(transport.get_extra_info("socket"), select.POLLIN)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over. Only a body without a length is whole then, and only when it was closed in order."""
        self.transport = None
        self.fit = False
        self.resume_writing()
        if self._waiter is None:
            return
        self.unheard = self._head is None and not self._rest
        if exc is not None:
            self._fail(httpx.ReadError("the connection broke"), exc)
        elif self._head is not None and self._length is None and self._chunks is None:
            self._finish()
        else:
            self._fail(httpx.RemoteProtocolError("the connection ended before the answer did"))

    def pause_writing(self) -> None:
        """The system takes no more just now."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """It takes more again."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def data_received(self, data: bytes) -> None:
        """A piece of an answer; what nobody asked for makes the connection useless."""
        if self._waiter is None or self._waiter.done():
            self.close()
            return
        try:
            if self._head is None:
                data = self._read_head(self._rest + data if self._rest else data)
            if self._head is not None:
                self._read_body(data)
        except (BadHead, BadChunk) as exc:
            self._fail(httpx.RemoteProtocolError("what came is no answer"), exc)
        except TooMuch as exc:
            self._fail(exc)

    # ------------------------------------------------------------------ reading

    def _read_head(self, data: bytes) -> bytes:
        """Read the head, once it is there; returns what follows it."""
        for _ in range(INTERIM_LIMIT):
            if data[:1] in (b"\r", b"\n"):
                data = data.lstrip(b"\r\n")
            end = _END.search(data)
            if end is None:
                if len(data) > HEAD_LIMIT or not data.startswith(VERSION[: len(data)]):
                    raise BadHead
                self._rest = data
                return b""
            head, data = read(data[: end.end()]), data[end.end() :]
            if not head.interim:
                self._begin_body(head)
                return data
        raise BadHead

    def _begin_body(self, head: Head) -> None:
        self._head = head
        if self._no_body:
            self._length = 0
            return
        self._length = head.length
        if not head.stays:
            self.fit = False
        if head.chunked:
            self._chunks = Chunks()
        elif self._length is not None and self._length > self._limit and not self._truncate:
            raise TooMuch

    def _read_body(self, data: bytes) -> None:
        if self._chunks is not None:
            data = self._chunks.fed(data)
        elif self._length is not None and self._size + len(data) > self._length:
            data = data[: self._length - self._size]
            self.fit = False  # more than was announced: it is in no answer, and nothing after it can be trusted
        self._size += len(data)
        self._parts.append(data)
        if self._size > self._limit:
            if not self._truncate:
                raise TooMuch
            self.fit = False
            self._finish()
        elif self._size == self._length or (self._chunks is not None and self._chunks.over):
            self._finish()

    def _finish(self) -> None:
        head, waiter = self._head, self._waiter
        assert head is not None
        assert waiter is not None
        if self._chunks is not None and self._chunks.excess:
            self.fit = False
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._waiter = None
        if not waiter.done():
            waiter.set_result(Reply(head.status, head.headers, body[: self._limit]))
        if not self.fit:
            self.close()

    def _fail(self, ours: Exception, cause: Exception | None = None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            ours.__cause__ = cause
            waiter.set_exception(ours)
        self.close()
