"""The only door out for HTTP: one request out, one bounded answer in, or one OutboundError.

    prepare    checked and spelled, once for all times that it is sent -> Prepared
    carry      judged, when the Via is guarded -> slot of the origin -> transport of the Via -> Answer
                                                                      all under one total deadline

Secret: the limits of an exchange, and what a transport's exceptions mean. httpx's URLs and exceptions are the language;
its client is not used: no cookies, no redirects, no environment, no decoding that is not bounded.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import httpx
import msgspec

from ringback import __version__, coding
from ringback.carrier import Request, host_of, spelled
from ringback.coding import Undecodable
from ringback.connection import Reply, TooMuch
from ringback.core.errors import RingbackError
from ringback.core.model import Answer
from ringback.credentials import Origin, origin_of
from ringback.egress import Blocked, Egress
from ringback.slots import Slots
from ringback.transport import DIRECT, Addresses, Transport, UnusableFile, Via, open_transport

__all__ = ["CODES", "DIRECT", "Ask", "Outbound", "OutboundError", "Prepared", "Via"]

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
PER_ORIGIN = 256
"""Requests to one origin at a time; the rest wait their turn, so that a slow one cannot take every connection.

As many as there are polls at once (polling.concurrency), so that these wait where they are seen to: in the store.
"""

TARGETS = 1024
"""URLs of which is remembered how they are asked, and headers that are kept once for all requests with the same."""

LONGEST = 65_536
"""Characters of a URL."""

PLAIN = re.compile(r"https?://[^/?]+(/(?:[A-Za-z0-9_~./=&?-]|%[0-9A-Fa-f]{2})*)").fullmatch
"""A URL whose path is asked for as it stands; httpx spells all others, at five times the cost."""

DEFAULT_HEADERS = {"user-agent": f"ringback/{__version__}", "accept-encoding": "identity"}
OURS = frozenset({"connection", "content-length", "transfer-encoding"})
"""Headers that frame a request: nobody else may write them."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose request says how long its body is even when it has none."""

NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
VALUE = re.compile(r"(?:[!-~](?:[ -~\t]*[!-~])?)?").fullmatch


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


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A request as it goes out, on its way out. `url` is what is judged each time when that way is guarded."""

    request: Request
    via: Via
    url: str


class OutboundError(RingbackError):
    """No answer was had; `code` says why. The message names the origin at most: never a path, query or credential."""

    code = UNREACHABLE


class Outbound:
    """Sends requests. One transport a way, each with its own connections.

    `egress` judges the guarded ones.
    """

    def __init__(
        self,
        carrier: Callable[[Via, Addresses], Transport] = open_transport,
        *,
        egress: Egress | None = None,
        per_origin: int = PER_ORIGIN,
    ) -> None:
        self.egress = egress or Egress()
        self._carrier = carrier
        self._transports: dict[Via, Transport] = {}
        self._slots = Slots(per_origin)

    def renew(self, egress: Egress) -> None:
        """Have another guard, and make every connection anew: whom it trusts is read again from the files that say so.

        What is under way goes on.
        """
        self.egress = egress
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            transport.renew()

    async def send(
        self,
        ask: Ask,
        *,
        via: Via = DIRECT,
        timeout_s: float = 30.0,
        body_limit: int = BODY_LIMIT,
        truncate: bool = False,
    ) -> Answer:
        """Prepare a request and send it, once; with `truncate`, at most `body_limit` bytes of its answer are read.

        Raises OutboundError. `timeout_s` bounds everything together.
        """
        prepared = self.prepare(ask, via=via)
        return await self._carry(prepared, timeout_s, body_limit, truncate=truncate)

    def prepare(self, ask: Ask, *, via: Via = DIRECT) -> Prepared:
        """The request as it goes out, any number of times. Raises OutboundError for one that cannot be sent."""
        if via.guarded:
            self._judge(ask.url)
        return Prepared(_request(ask), via, ask.url)

    async def carry(self, prepared: Prepared, *, timeout_s: float = 30.0, body_limit: int = BODY_LIMIT) -> Answer:
        """Send a prepared question and read its whole answer. Raises OutboundError.

        `timeout_s` bounds everything together: waiting for a slot, connecting, sending, reading. It only asks: when a
        connection that was kept ended without a word, it goes out once more.
        """
        if prepared.via.guarded:
            self._judge(prepared.url)
        return await self._carry(prepared, timeout_s, body_limit, again=True)

    async def _carry(
        self, prepared: Prepared, timeout_s: float, body_limit: int, *, truncate: bool = False, again: bool = False
    ) -> Answer:
        request, via = prepared.request, prepared.via
        transport = self._transports.get(via) or self._open(via, request.origin)
        until = asyncio.get_running_loop().time() + timeout_s
        try:
            if not self._slots.take(request.origin):
                async with asyncio.timeout_at(until):
                    await self._slots.wait(request.origin)
            try:
                reply = await transport.exchange(request, body_limit, until, truncate=truncate, again=again)
            finally:
                self._slots.leave(request.origin)
            return _answer(reply, body_limit, truncate=truncate)
        except TimeoutError as exc:
            raise _error(TIMEOUT, request.origin, f"gave no whole answer within {timeout_s:g} s") from exc
        except TooMuch as exc:
            raise _error(TOO_LARGE, request.origin, f"sent an answer of more than {body_limit} bytes") from exc
        except Blocked as exc:
            raise _error(BLOCKED, request.origin, f"may not be called: {exc.message}") from exc
        except (httpx.HTTPError, httpx.StreamError, OSError, Undecodable) as exc:
            code, says = _meaning(exc)
            raise _error(code, request.origin, says) from exc

    async def aclose(self) -> None:
        """Close every connection."""
        transports, self._transports = self._transports, {}
        for transport in transports.values():
            await transport.aclose()

    def _judge(self, url: str) -> None:
        """What the URL itself shows; where its name leads shows when it is connected to."""
        why = self.egress.judge(url)
        if why is not None:
            raise _error(BLOCKED, origin_of(url), f"may not be called: {why}")

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        return await self.egress.addresses(host, port)

    def _open(self, via: Via, origin: Origin) -> Transport:
        try:
            opened = self._transports[via] = self._carrier(via, self._addresses)
        except UnusableFile as exc:
            raise _error(TLS, origin, f"cannot be asked: {exc}") from exc
        return opened


def _error(code: str, origin: Origin | None, says: str) -> OutboundError:
    name = spelled(origin) if origin is not None else ""
    return OutboundError(f"{name or 'the URL'} {says}", code=code, origin=name)


# ---------------------------------------------------------------------- the request


def _request(ask: Ask) -> Request:
    """Checked and spelled. A message about what is wrong quotes nothing of it."""
    target = _target(ask.url)
    if target is None:
        raise OutboundError("the URL of the request is not one that can be asked", code=PROTOCOL)
    origin, path = target
    body = ask.body or b""
    length = len(body) if body or ask.method in WITH_BODY else None
    headers = (_lines if body else _known_lines)(host_of(origin), tuple(ask.headers.items()), length)
    if headers is None:
        raise _error(PROTOCOL, origin, "cannot be asked: a header holds characters that HTTP does not allow")
    return Request(ask.method, origin, path, headers, body)


def _lines(host: str, given: tuple[tuple[str, str], ...], length: int | None) -> bytes | None:
    """The header lines; None when HTTP does not allow one of them."""
    lines = {"host": host} | DEFAULT_HEADERS
    lines |= {name.lower(): value for name, value in given if name.lower() not in OURS}
    if length is not None:
        lines["content-length"] = str(length)
    if not all(NAME(name) and VALUE(value) for name, value in lines.items()):
        return None
    return "".join([f"{name}: {value}\r\n" for name, value in lines.items()]).encode("ascii")


_known_lines = functools.lru_cache(TARGETS)(_lines)
"""The same bytes for all requests that have the same headers: the watches of an account."""


@functools.lru_cache(TARGETS)
def _one(origin: Origin) -> Origin:
    """The same origin for all requests that go there."""
    return origin


@functools.lru_cache(TARGETS)
def _target(url: str) -> tuple[Origin, bytes] | None:
    """Where a URL leads, and what is asked for there."""
    origin = origin_of(url)
    if origin is None or len(url) > LONGEST:
        return None
    plain = PLAIN(url)
    if plain is not None and "/." not in plain[1]:
        return _one(origin), plain[1].encode()
    try:
        return _one(origin), httpx.URL(url).raw_path
    except httpx.InvalidURL:
        return None


# ---------------------------------------------------------------------- the answer


def _answer(reply: Reply, limit: int, *, truncate: bool) -> Answer:
    headers = _headers(reply)
    body = reply.body
    encoding = headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding != "identity":
        body = coding.plain(body, encoding, limit, truncate=truncate)
        for name in ("content-encoding", "content-length"):
            headers.pop(name, None)
    return Answer(status=reply.status, headers=headers, body=body)


def _headers(reply: Reply) -> dict[str, str]:
    """By lower-case name; several of one name are one (RFC 9110, 5.3)."""
    try:
        headers = {_name(name): value.decode() for name, value in reply.headers}
    except UnicodeDecodeError:
        headers = {}
    if len(headers) == len(reply.headers):
        return headers
    headers = {}
    for raw_name, raw_value in reply.headers:
        name, value = _name(raw_name), _text(raw_value)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


@functools.lru_cache(TARGETS)
def _name(raw: bytes) -> str:
    return raw.decode("latin-1").lower()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# ---------------------------------------------------------------------- what exceptions mean


CAUSES: tuple[tuple[type[BaseException], str, str], ...] = (
    (socket.gaierror, DNS, "has a name that cannot be resolved"),
    (ssl.SSLCertVerificationError, TLS, "showed a certificate that is not accepted"),
    (ssl.SSLError, TLS, "could not be spoken to over TLS"),
    (ConnectionRefusedError, REFUSED, "refused the connection"),
)
"""What lies under it decides first: httpx calls all of these ConnectError."""

KINDS: tuple[tuple[type[BaseException], str, str], ...] = (
    (httpx.ProxyError, UNREACHABLE, "cannot be reached: the proxy refused, or is not there"),
    (httpx.TimeoutException, TIMEOUT, "did not answer in time"),
    (httpx.ConnectError, UNREACHABLE, "cannot be reached"),
    (Undecodable, PROTOCOL, "sent a body that is not what its content-encoding says, or one nobody asked for"),
    (Exception, PROTOCOL, "broke off, or does not speak HTTP"),
)


def _meaning(exc: Exception) -> tuple[str, str]:
    """The code, and the sentence after the origin. Foreign words are left out: they may quote what was sent."""
    for cause in () if isinstance(exc, httpx.ProxyError) else _causes(exc):
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
