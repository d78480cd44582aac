"""httpx's words on aiohttp's connections: requests go out, answers come in, exceptions are httpx's.

Secret: aiohttp, what it calls things and what it gets wrong. It is aiohttp because httpx's own pool costs many times
the processor time. Some of what is mended here has no public name, so pyproject.toml holds it to one minor version.
The deadline is the caller's.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import http
import io
import ipaddress
import re
import select
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import _EXC_SENTINEL
from aiohttp.http import HttpProcessingError

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

CONNECT_TIMEOUT_S = 5.0
CONNECTIONS = 512
PER_ORIGIN = 128

IDLE = 128
IDLE_S = 15.0
"""Idle connections that are kept, and for how long: longer than the usual gap between two polls."""

TRIED = 4
"""Addresses of one name that are connected to, a quarter of a second after one another."""

LINE_LIMIT = 32 * 1024
HEADERS_LIMIT = 256
"""Bytes of a line of an answer's head, and how many lines: 8 MiB at the very most."""

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
"""What a header may be called. aiohttp sends whatever it is given."""

HEAD_END = b"\r\n\r\n"

AT_ONCE = 1024 * 1024
"""Bytes of a body that go out in one piece; a longer one in several, so that the loop does not stand still."""

AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add of its own accord."""

Addresses = Callable[[str, int], Awaitable[Sequence[str]]]


class Carrier(httpx.AsyncBaseTransport):
    """One session of aiohttp. It needs a running loop, so the first request opens it."""

    def __init__(self, context: ssl.SSLContext, guard: Guard | None, proxy: httpx.Proxy | None) -> None:
        self._context = context
        self._guard = guard
        self._proxy = None if proxy is None else str(proxy.url)
        self._to_proxy = {} if proxy is None else _introduction(proxy)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it and read the head of the answer. Raises httpx's exceptions, and whatever a guard raises."""
        session = self._session or self._open()
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        if not all(TOKEN(name) and value == value.strip() for name, value in headers):
            raise httpx.LocalProtocolError("a header that is none")
        content: bytes | io.BytesIO = request.content
        if len(request.content) > AT_ONCE:
            content = io.BytesIO(request.content)
        try:
            url = yarl.URL(str(request.url), encoded=True)
            if self._guard is not None:
                await self._guard.admit(url)
            if self._proxy is not None and url.scheme == "http":
                headers += [each for each in self._to_proxy.items() if each[0] == "Proxy-Authorization"]
            response = await session.request(
                request.method,
                url,
                headers=headers,
                data=content or None,
                allow_redirects=False,
                proxy=self._proxy,
                proxy_headers=self._to_proxy,
            )
        except FOREIGN as exc:
            raise _translated(exc) from _root(exc)
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Stream(response))

    async def aclose(self) -> None:
        """Close every connection; what is under way breaks off."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise httpx.CloseError("the transport is closed")
        guard = self._guard
        connector = _Pool(
            ssl=self._context,
            limit=CONNECTIONS,
            limit_per_host=PER_ORIGIN,
            keepalive_timeout=IDLE_S,
            resolver=guard or _Names(_system),
            use_dns_cache=False,  # it would outlive a check
            interleave=TRIED,  # with fewer, addresses that failed are tried again and again
            socket_factory=None if guard is None else guard.socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S),
            auto_decompress=False,
            trust_env=False,
            max_line_size=LINE_LIMIT,
            max_field_size=LINE_LIMIT,
            max_headers=HEADERS_LIMIT,
            skip_auto_headers=AUTOMATIC,
        )
        # One request is one request: aiohttp would send a GET again when a server breaks it off.
        self._session._retry_connection = False  # noqa: SLF001 - there is no other switch
        return self._session


def _introduction(proxy: httpx.Proxy) -> dict[str, str]:
    """What the proxy itself is told, and nobody behind it; without the first two aiohttp would put its own there."""
    headers = {"User-Agent": "ringback", "Accept": "*/*", "Accept-Encoding": "identity"}
    if proxy.raw_auth is not None:
        user, password = (part.decode() for part in proxy.raw_auth)
        headers["Proxy-Authorization"] = aiohttp.encode_basic_auth(user, password, "utf-8")
    return headers


class _Pool(aiohttp.TCPConnector):
    """Two things that aiohttp leaves out: a limit of idle connections, and a look at one before it is used again."""

    def __init__(self, **terms: Any) -> None:
        super().__init__(**terms)
        kind: type[ResponseHandler] = _Protocol
        self._factory = functools.partial(kind, loop=self._loop)

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        full = sum(map(len, self._conns.values())) >= IDLE
        super()._release(key, protocol, should_close=should_close or full)

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        idle = self._conns.get(key)
        while idle and _has_spoken(idle[0][0]):
            idle.popleft()[0].close()
        return await super()._get(key, traces)


def _has_spoken(protocol: ResponseHandler) -> bool:
    """Whether something lies there unasked, mostly the end: the loop need not have seen it yet."""
    if protocol.transport is None:
        return True
    poll = select.poll()
    poll.register(protocol.transport.get_extra_info("socket"), select.POLLIN)
    return bool(poll.poll(0))


class _Protocol(ResponseHandler):
    """Two things that aiohttp gets wrong: what comes after an answer, and a fault in the middle of one."""

    def data_received(self, data: bytes) -> None:
        """Cut off what is more than announced: aiohttp would throw the answer away with it, say a 204 with a body."""
        end = data.find(HEAD_END)
        if end >= 0 and (self._payload is None or self._payload.is_eof()):
            end += len(HEAD_END)
            super().data_received(data[:end])
            data, room = data[end:], self._room()
            if len(data) > room:
                self.force_close()
                data = data[:room]
        if data:
            super().data_received(data)

    def set_exception(self, exc: BaseException, exc_cause: BaseException = _EXC_SENTINEL) -> None:
        """Tell the reader of the body, too: it would wait for ever."""
        super().set_exception(exc, exc_cause)
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(exc, exc_cause)

    def _room(self) -> int:
        """How many bytes may follow the head that was just read."""
        if self._exception is not None:
            return 0
        if not self._buffer:
            return sys.maxsize
        (message, payload), _ = self._buffer[-1]
        if message.code < http.HTTPStatus.OK:
            return sys.maxsize
        if payload.is_eof():
            return 0
        length = message.headers.get("content-length", "")
        return int(length) if length.isdecimal() and not message.chunked else sys.maxsize


class _Stream(httpx.AsyncByteStream):
    """The body as it comes. Its end gives the connection back; closing earlier than that ends the connection."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except FOREIGN as exc:
            raise _translated(exc) from _root(exc)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._response.close()


# ---------------------------------------------------------------------- names and addresses


async def _system(host: str, port: int) -> Sequence[str]:
    # As bytes: Python's own IDNA codec has other ideas of names, and exceptions of its own.
    found = await asyncio.get_running_loop().getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class _Names(AbstractResolver):
    """Looks a name up for every connection, in bounded time."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses that are tried."""
        return [
            ResolveResult(hostname=host, host=each, port=port, family=family, proto=0, flags=0)
            for each in (await self._look_up(host, port))[:TRIED]
        ]

    async def close(self) -> None:
        """Nothing is held."""

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await self._addresses(host, port)


_checked: ContextVar[set[str]] = ContextVar("checked")
"""The addresses that the request under way may connect to; tasks that aiohttp starts for it share the set."""


class Guard(_Names):
    """Lets nothing connect but to addresses just checked: no name is looked up again. Host and TLS go by the name."""

    async def admit(self, url: yarl.URL) -> None:
        """Check a host that is an address: aiohttp would not ask for it. Raises what the check raises."""
        _checked.set(set())
        host, port = url.raw_host or "", url.port or 0
        if _plain(host):
            await self._look_up(host, port)

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        found = await super()._look_up(host, port)
        _checked.get().update(map(_plain, found))
        return found

    def socket(self, place: aiohttp.AddrInfoType) -> socket.socket:
        """The last door. It never has to be shut, unless aiohttp goes another way than it did."""
        family, kind, protocol, _, address = place
        if _plain(str(address[0])) not in _checked.get():
            raise PermissionError(errno.EACCES, "an address that was not checked")
        return socket.socket(family, kind, protocol)


def _plain(host: str) -> str:
    """One spelling for each address; empty for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""


# ---------------------------------------------------------------------- what exceptions mean

FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, RuntimeError, ValueError)
"""A RuntimeError or ValueError is aiohttp's word for a connection that was closed under it, and for a bad request."""

MEANINGS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], type[httpx.TransportError]], ...] = (
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (TimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientConnectionResetError, httpx.WriteError),
    (aiohttp.ClientConnectionError, httpx.ReadError),
    (ValueError, httpx.LocalProtocolError),
    ((aiohttp.ClientError, HttpProcessingError), httpx.RemoteProtocolError),
    (Exception, httpx.ReadError),
)
"""The first that fits. There is no read time-out: the caller's deadline ends everything."""


def _translated(exc: Exception) -> httpx.TransportError:
    """Ours has no words: aiohttp's quote the URL."""
    return next(ours(ours.__name__) for theirs, ours in MEANINGS if isinstance(exc, theirs))


def _root(exc: Exception) -> OSError | None:
    """What the system or TLS said."""
    cause = exc.__cause__
    return cause if isinstance(cause, OSError) and not isinstance(cause, aiohttp.ClientError) else None
