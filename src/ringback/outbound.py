"""The only door out for HTTP: one request out, one bounded answer in, or one OutboundError.

Secret: the limits of an exchange, and what a transport's exceptions mean. httpx's Request is the language; its client
is not used: no cookies, no redirects, no environment, no decoding that is not bounded.

    judged, when the Via is guarded -> slot of the origin -> transport of the Via -> head -> body, capped -> Answer
                                                                                   all under one total deadline
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import httpx

from ringback import __version__
from ringback.core.errors import RingbackError
from ringback.core.model import Answer
from ringback.credentials import PORTS, Origin, origin_of
from ringback.egress import Blocked, Egress
from ringback.transport import CONNECT_TIMEOUT_S, DIRECT, Addresses, UnusableFile, Via, open_transport

__all__ = ["CODES", "DIRECT", "Ask", "Outbound", "OutboundError", "Via"]

DNS = "dns"
"""No such name."""

REFUSED = "refused"
"""Nobody listens there."""

UNREACHABLE = "unreachable"
"""No way there."""

TIMEOUT = "timeout"
"""No whole answer in time."""

TLS = "tls"
"""A certificate that is not accepted, or no TLS at all."""

PROTOCOL = "protocol"
"""Not HTTP, broken off, or nothing that can be asked."""

TOO_LARGE = "too_large"
"""A body over the limit."""

BLOCKED = "blocked"
"""It is somewhere inside, where a guarded request may not go. It may pass: names move, and egress.allow changes."""

CODES = (DNS, REFUSED, UNREACHABLE, TIMEOUT, TLS, PROTOCOL, TOO_LARGE, BLOCKED)

BODY_LIMIT = 4 * 1024 * 1024
PER_ORIGIN = 128
"""Requests to one origin at a time; the rest wait their turn, so that a slow one cannot take every connection."""

DEFAULT_HEADERS = {"user-agent": f"ringback/{__version__}", "accept-encoding": "identity"}
VISIBLE = frozenset(map(chr, range(0x20, 0x7F))) | {"\t"}


class Ask(Protocol):
    """What is sent: an absolute URL with everything percent-encoded, headers, and the body as it goes out."""

    @property
    def method(self) -> str:
        """GET, POST, ..."""

    @property
    def url(self) -> str:
        """Where to."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name."""

    @property
    def body(self) -> bytes | None:
        """None for no body."""


class OutboundError(RingbackError):
    """No answer was had; `code` says why. The message names the origin at most: never a path, query or credential."""

    code = UNREACHABLE


class Outbound:
    """Sends requests. One transport a way, each with its own connections.

    `egress` judges the guarded ones. It may be exchanged: the new one judges every request and connection from then on.
    """

    def __init__(
        self,
        carrier: Callable[[Via, Addresses], httpx.AsyncBaseTransport] = open_transport,
        *,
        egress: Egress | None = None,
        per_origin: int = PER_ORIGIN,
    ) -> None:
        self.egress = egress or Egress()
        self._carrier = carrier
        self._transports: dict[Via, httpx.AsyncBaseTransport] = {}
        self._slots = _Slots(per_origin)

    async def send(
        self,
        ask: Ask,
        *,
        via: Via = DIRECT,
        timeout_s: float = 30.0,
        body_limit: int = BODY_LIMIT,
        truncate: bool = False,
    ) -> Answer:
        """Send one request and read its whole answer; with `truncate`, at most `body_limit` bytes of it.

        Raises OutboundError. `timeout_s` bounds everything together: waiting for a slot, connecting, sending, reading.
        """
        if via.guarded:
            self._judge(ask.url)
        request, origin = _request(ask, timeout_s)
        transport = self._transport(via, origin)
        try:
            async with asyncio.timeout(timeout_s), self._slots.one_of(origin):
                response = await transport.handle_async_request(request)
                return await _answer(response, _Body(response, body_limit, truncate=truncate))
        except TimeoutError as exc:
            raise _error(TIMEOUT, f"{origin} gave no whole answer within {timeout_s:g} s", origin) from exc
        except _TooMuch as exc:
            raise _error(TOO_LARGE, f"{origin} sent an answer of more than {body_limit} bytes", origin) from exc
        except Blocked as exc:
            raise _error(BLOCKED, f"{origin} may not be called: {exc.message}", origin) from exc
        except (httpx.HTTPError, httpx.StreamError, OSError, _Undecodable) as exc:
            code, says = _meaning(exc)
            raise _error(code, f"{origin} {says}", origin) from exc

    async def aclose(self) -> None:
        """Close every connection."""
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            await transport.aclose()

    def _judge(self, url: str) -> None:
        """What the URL itself shows; where its name leads shows when it is connected to."""
        why = self.egress.judge(url)
        if why is not None:
            origin = _spelled(origin_of(url))
            raise _error(BLOCKED, f"{origin or 'the URL'} may not be called: {why}", origin)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        return await self.egress.addresses(host, port)

    def _transport(self, via: Via, origin: str) -> httpx.AsyncBaseTransport:
        if via not in self._transports:
            try:
                self._transports[via] = self._carrier(via, self._addresses)
            except UnusableFile as exc:
                raise _error(TLS, f"{origin} cannot be asked: {exc}", origin) from exc
        return self._transports[via]


def _spelled(target: Origin | None) -> str:
    """An origin as a message names it; empty for none."""
    if target is None:
        return ""
    return f"{target.scheme}://{target.host}" + (f":{target.port}" if target.port != PORTS[target.scheme] else "")


def _request(ask: Ask, timeout_s: float) -> tuple[httpx.Request, str]:
    """Everything that the client would refuse in its own words, which quote it, is refused here without."""
    origin = _spelled(origin_of(ask.url))
    if not origin:
        raise OutboundError("the URL of the request is not one that can be asked", code=PROTOCOL)
    headers = DEFAULT_HEADERS | {name.lower(): value for name, value in ask.headers.items()}
    if not all(VISIBLE.issuperset(text) for text in (*headers, *headers.values())):
        raise _error(PROTOCOL, f"a header for {origin} holds characters that HTTP does not allow", origin)
    waits = dict.fromkeys(("read", "write", "pool"), timeout_s) | {"connect": min(CONNECT_TIMEOUT_S, timeout_s)}
    try:
        request = httpx.Request(ask.method, ask.url, headers=headers, content=ask.body, extensions={"timeout": waits})
    except httpx.InvalidURL:
        request = None
    if request is None:
        raise _error(PROTOCOL, f"the URL for {origin} is not one that can be asked", origin)
    return request, origin


def _error(code: str, message: str, origin: str) -> OutboundError:
    return OutboundError(message, code=code, origin=origin)


# ---------------------------------------------------------------------- slots


class _Slots:
    """How many requests each origin has under way. An origin without any is forgotten."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def one_of(self, origin: str) -> AsyncIterator[None]:
        gate = self._gates.setdefault(origin, asyncio.Semaphore(self._each))
        self._users[origin] += 1
        try:
            async with gate:
                yield
        finally:
            self._users[origin] -= 1
            if not self._users[origin]:
                del self._users[origin], self._gates[origin]


# ---------------------------------------------------------------------- the answer


class _TooMuch(Exception):
    """More than the limit."""


class _Undecodable(Exception):
    """The body is not what its content-encoding says."""


class _Body:
    """Bytes up to a limit, raw and decoded.

    We ask for identity, but gateways compress regardless, and a receiver that took an event must not count as failed
    for that. So gzip and deflate are decoded, never a byte beyond the limit: a bomb costs what an honest body costs.
    """

    def __init__(self, response: httpx.Response, limit: int, *, truncate: bool) -> None:
        self._stream = response.stream
        self._limit = limit
        self._truncate = truncate
        encoding = response.headers.get("content-encoding", "identity").strip().lower() or "identity"
        self.encoded = encoding != "identity"
        self._known = encoding in ("identity", "gzip", "x-gzip", "deflate")
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32) if self.encoded and self._known else None

    async def read(self) -> bytes:
        """The whole body, or its start when it may be cut."""
        if not self._known and not self._truncate:
            raise _Undecodable
        body = bytearray()
        seen = 0
        assert isinstance(self._stream, httpx.AsyncByteStream)
        async for chunk in self._stream:
            seen += len(chunk)
            body += self._plain(chunk, self._limit + 1 - len(body)) if self._known else b""
            if max(seen, len(body)) > self._limit:
                if self._truncate:
                    return bytes(body[: self._limit])
                raise _TooMuch
        if self._inflate is not None and seen and not self._inflate.eof and not self._truncate:
            raise _Undecodable
        return bytes(body)

    def _plain(self, chunk: bytes, room: int) -> bytes:
        if self._inflate is None:
            return chunk
        try:
            return self._inflate.decompress(chunk, room)
        except zlib.error as exc:
            if self._truncate:
                return b""
            raise _Undecodable from exc


async def _answer(response: httpx.Response, body: _Body) -> Answer:
    """Closing is in any case: a connection whose answer was not read to its end is of no more use."""
    try:
        content = await body.read()
    finally:
        await response.aclose()
    headers: dict[str, str] = {}
    for name, value in response.headers.multi_items():
        if not (body.encoded and name in ("content-encoding", "content-length")):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Answer(status=response.status_code, headers=headers, body=content)


# ---------------------------------------------------------------------- what exceptions mean


CAUSES: tuple[tuple[type[BaseException], str, str], ...] = (
    (socket.gaierror, DNS, "has a name that cannot be resolved"),
    (ssl.SSLCertVerificationError, TLS, "showed a certificate that is not accepted"),
    (ssl.SSLError, TLS, "could not be spoken to over TLS"),
    (ConnectionRefusedError, REFUSED, "refused the connection"),
)
"""What lies under it decides first: httpx calls all of these ConnectError."""

KINDS: tuple[tuple[type[BaseException], str, str], ...] = (
    (httpx.ProxyError, UNREACHABLE, "cannot be reached: the proxy refused"),
    (httpx.TimeoutException, TIMEOUT, "did not answer in time"),
    (httpx.ConnectError, UNREACHABLE, "cannot be reached"),
    (_Undecodable, PROTOCOL, "sent a body that is not what its content-encoding says, or one nobody asked for"),
    (Exception, PROTOCOL, "broke off, or does not speak HTTP"),
)


def _meaning(exc: Exception) -> tuple[str, str]:
    """The code, and the sentence after the origin. Foreign words are left out: they may quote what was sent."""
    for cause in _causes(exc):
        for kind, code, says in CAUSES:
            if isinstance(cause, kind):
                reason = getattr(cause, "verify_message", None)
                return code, f"{says} ({reason})" if reason else says
    return next((code, says) for kind, code, says in KINDS if isinstance(exc, kind))


def _causes(exc: object) -> Iterator[BaseException]:
    """What it was raised from. Some hand that on as the argument; the context may be our caller's own affair."""
    while isinstance(exc, BaseException):
        yield exc
        if isinstance(exc, BaseExceptionGroup):
            for each in exc.exceptions:
                yield from _causes(each)
        exc = exc.__cause__ or next(iter(exc.args), None)
