"""Connections that are used again: a prepared request goes out on one, and its answer comes in.

    Request -> an idle connection of its origin, else a new one -> exchange -> idle again, when it is fit for that

Secret: which connections are kept, and for how long. How one is made is dialing.py's, what is said on one is
connection.py's. A request is sent once, but for one that may go out `again`: when it met the end of a kept connection,
which many servers close after as many seconds as lie between two polls, it is sent on a new one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

import httpx
import msgspec

from ringback.connection import Connection, Reply
from ringback.credentials import PORTS, Origin
from ringback.dialing import Dialer
from ringback.slots import Slots

CONNECTIONS = 512
"""Open at a time; who comes then waits."""

LOOK_EVERY_S = 0.05
"""How late a deadline may be noticed."""

IDLE = 128
IDLE_S = 15.0
"""Idle connections that are kept, and for how long: longer than the usual gap between two polls."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request as it goes out. `headers` are whole lines, the one with the length of the body among them."""

    method: str
    origin: Origin
    path: bytes
    headers: bytes
    body: bytes = b""


class Transport(Protocol):
    """The seam: whatever carries requests."""

    async def exchange(
        self, request: Request, limit: int, until: float, *, truncate: bool = False, again: bool = False
    ) -> Reply:
        """Send a request and read its answer, at most `limit` bytes of body, until a time by the loop's clock.

        With `truncate` a longer body is cut instead. It is not decoded. `again`: it only asks, so that it may go out
        once more when a connection that was kept ended without a word (RFC 9110, 9.2.2). Raises httpx.TransportError,
        TooMuch, TimeoutError.
        """

    async def aclose(self) -> None:
        """Close every connection; what is under way breaks off."""

    def renew(self) -> None:
        """Use no connection again that is there now; what is under way goes on."""


class Carrier:
    """All connections of one way out, straight or through a proxy."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._room = Slots(CONNECTIONS)
        self._idle: dict[Origin, deque[tuple[Connection, float]]] = {}
        self._idle_count = 0
        self._busy: dict[Connection, float] = {}
        self._look: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def exchange(
        self, request: Request, limit: int, until: float, *, truncate: bool = False, again: bool = False
    ) -> Reply:
        """One request, one answer; or httpx's exceptions, TooMuch, TimeoutError, and what a guarded look-up raises."""
        if self._closed:
            raise httpx.CloseError("the transport is closed")
        if not self._room.take(self):
            async with asyncio.timeout_at(until):
                await self._room.wait(self)
        try:
            kept = self._take(request.origin)
            while True:
                connection = kept or await self._dialed(request.origin, until)
                self._begin(connection, until)
                try:
                    return await connection.exchange(
                        self._spelled(request), limit, truncate=truncate, no_body=request.method == "HEAD"
                    )
                except httpx.TransportError:
                    if connection is not kept or not again or not connection.unheard:
                        raise
                    kept = None
                finally:
                    del self._busy[connection]
                    self._keep(request.origin, connection)
        finally:
            self._room.leave(self)

    async def _dialed(self, origin: Origin, until: float) -> Connection:
        async with asyncio.timeout_at(until):
            return await self._dialer.dial(origin)

    def renew(self) -> None:
        """Use no connection again that is there now; what is under way goes on."""
        for connection in self._busy:
            connection.fit = False
        self._close_the_idle()

    async def aclose(self) -> None:
        """Close every connection; what is under way breaks off."""
        self._closed = True
        for timer in (self._sweep, self._look):
            if timer is not None:
                timer.cancel()
        for connection in tuple(self._busy):
            connection.close()
        self._close_the_idle()

    def _spelled(self, request: Request) -> bytes:
        """The bytes: to a proxy that carries plain requests, with the whole URL and who we are."""
        introduction = self._dialer.introduction
        prefix = more = b""
        if introduction is not None and request.origin.scheme == "http":
            prefix, more = spelled(request.origin).encode(), introduction
        head = b"%b %b%b HTTP/1.1\r\n%b%b\r\n" % (request.method.encode(), prefix, request.path, request.headers, more)
        return head + request.body if request.body else head

    # ------------------------------------------------------------------ busy ones

    def _begin(self, connection: Connection, until: float) -> None:
        """One timer looks after all: one for each exchange would cost as much as sending it."""
        self._busy[connection] = until
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._end_the_late)

    def _end_the_late(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [connection for connection, until in self._busy.items() if until <= now]:
            connection.expire()
        self._look = loop.call_later(LOOK_EVERY_S, self._end_the_late) if self._busy else None

    # ------------------------------------------------------------------ idle ones

    def _take(self, origin: Origin) -> Connection | None:
        """The one that was used last, so that those that are not needed grow old."""
        kept = self._idle.get(origin)
        while kept:
            connection, _ = kept.pop()
            self._idle_count -= 1
            if connection.is_fit():
                return connection
            connection.close()
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if self._closed or not connection.fit:
            connection.close()
            return
        if self._idle_count >= IDLE:
            self._close_the_oldest()
        loop = asyncio.get_running_loop()
        self._idle.setdefault(origin, deque()).append((connection, loop.time()))
        self._idle_count += 1
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_S, self._close_the_old)

    def _close_the_oldest(self) -> None:
        """The one that was used longest ago."""
        origin, kept = min(((o, kept) for o, kept in self._idle.items() if kept), key=lambda found: found[1][0][1])
        kept.popleft()[0].close()
        self._idle_count -= 1
        if not kept:
            del self._idle[origin]

    def _close_the_idle(self) -> None:
        for connection in [one for kept in self._idle.values() for one, _ in kept]:
            connection.close()
        self._idle.clear()
        self._idle_count = 0

    def _close_the_old(self) -> None:
        loop = asyncio.get_running_loop()
        for origin, kept in list(self._idle.items()):
            while kept and kept[0][1] <= loop.time() - IDLE_S:
                kept.popleft()[0].close()
                self._idle_count -= 1
            if not kept:
                del self._idle[origin]
        self._sweep = loop.call_later(IDLE_S / 2, self._close_the_old) if self._idle else None


def spelled(origin: Origin) -> str:
    """An origin as a message and a header name it."""
    return f"{origin.scheme}://{host_of(origin)}"


def host_of(origin: Origin) -> str:
    """The host, with the port when it is not the usual one."""
    return origin.host if origin.port == PORTS[origin.scheme] else f"{origin.host}:{origin.port}"
