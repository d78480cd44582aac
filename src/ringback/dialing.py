"""How a connection comes to be: names become addresses, one of them is connected to, TLS is agreed on.

    Origin -> addresses, checked when guarded -> the first that answers -> [CONNECT through a proxy] -> [TLS]

Secret: in what order addresses are tried, and how one gets through a proxy. No name is looked up twice for one
connection: what was checked is what is connected to, while Host and TLS go by the name.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import aiohappyeyeballs
import httpx

from ringback.connection import Connection
from ringback.credentials import Origin

CONNECT_TIMEOUT_S = 5.0
"""Of each step: looking up, connecting with TLS, getting through a proxy."""

TRIED = 4
"""Addresses of one name that are connected to, a quarter of a second after one another."""

STAGGERED_S = 0.25
CONNECT_ANSWER_LIMIT = 64 * 1024

Addresses = Callable[[str, int], Awaitable[Sequence[str]]]


async def system(host: str, port: int) -> Sequence[str]:
    """Where the system says that a name leads. Raises socket.gaierror."""
    # As bytes: Python's own IDNA codec has other ideas of names, and exceptions of its own.
    found = await asyncio.get_running_loop().getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


class Dialer:
    """Connects to origins: straight, or through a proxy, which then looks names up itself.

    `context` is whom we trust and who we are, `to_proxy` the same towards the proxy: it may not learn who we are.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        addresses: Addresses = system,
        *,
        proxy: httpx.Proxy | None = None,
        to_proxy: ssl.SSLContext | None = None,
    ) -> None:
        self._context = context
        self._addresses = addresses
        self._to_proxy = to_proxy
        self._proxy = None if proxy is None else _origin(proxy.url)
        self._introduction = b"" if proxy is None else _introduction(proxy)

    @property
    def introduction(self) -> bytes | None:
        """The header lines for the proxy that plain requests go through as they are; None without a proxy."""
        return self._introduction if self._proxy is not None else None

    async def dial(self, origin: Origin) -> Connection:
        """A connection on which this origin answers. Raises httpx.TransportError, and what looking up raises."""
        try:
            if self._proxy is None:
                return await self._direct(origin, self._context)
            connection = await self._there(self._proxy)
            return await self._tunnel(connection, origin) if origin.scheme == "https" else connection
        except TimeoutError as exc:
            raise httpx.ConnectTimeout("no connection in time") from exc
        except (OSError, RuntimeError) as exc:  # uvloop raises the latter for a socket that was closed under it
            raise httpx.ConnectError("no connection") from exc

    async def _direct(self, origin: Origin, context: ssl.SSLContext | None) -> Connection:
        loop = asyncio.get_running_loop()
        host = origin.host.strip("[]")
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            found = await self._addresses(host, origin.port)
        places = [_place(address, origin.port) for address in found[:TRIED]]
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            connected = await aiohappyeyeballs.start_connection(
                places, happy_eyeballs_delay=STAGGERED_S, interleave=1, loop=loop
            )
            tls = context if origin.scheme == "https" else None
            _, connection = await loop.create_connection(
                Connection, sock=connected, ssl=tls, server_hostname=host if tls is not None else None
            )
            return connection

    async def _there(self, proxy: Origin) -> Connection:
        """A connection to the proxy. Raises httpx.ProxyError: what is wrong with it is no fault of the origin."""
        try:
            return await self._direct(proxy, self._to_proxy)
        except (OSError, RuntimeError) as exc:
            raise httpx.ProxyError("no connection to the proxy") from exc

    async def _tunnel(self, connection: Connection, origin: Origin) -> Connection:
        """Have the proxy connect us, and speak TLS with whoever is there."""
        asked = f"{origin.host}:{origin.port}".encode()
        head = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (asked, asked, self._introduction)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                answer = await connection.exchange(head, CONNECT_ANSWER_LIMIT, no_body=True)
                good = HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES  # RFC 9110, 9.3.6: any of these
                transport = connection.transport if good else None
                return await _within(_there(transport), self._context, origin.host.strip("[]"))
        except BaseException:
            connection.close()
            raise


async def _within(transport: asyncio.Transport, context: ssl.SSLContext, name: str) -> Connection:
    """TLS with a server, through what was connected to it."""
    within = Connection()
    loop = asyncio.get_running_loop()
    within.connection_made(_there(await loop.start_tls(transport, within, context, server_hostname=name)))
    return within


def _there(transport: asyncio.Transport | None) -> asyncio.Transport:
    if transport is None:
        raise httpx.ProxyError("the proxy refused, or hung up")
    return transport


def _place(address: str, port: int) -> tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))


def _origin(url: httpx.URL) -> Origin:
    port = url.port or (443 if url.scheme == "https" else 80)
    return Origin(url.scheme, url.raw_host.decode("ascii"), port)


def _introduction(proxy: httpx.Proxy) -> bytes:
    """What the proxy itself is told, and nobody behind it."""
    if proxy.raw_auth is None:
        return b""
    return b"proxy-authorization: Basic %b\r\n" % base64.b64encode(b":".join(proxy.raw_auth))
