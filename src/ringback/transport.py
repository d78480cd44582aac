"""What carries requests: connections, TLS and proxies, one transport for each way out.

    Via -> open_transport -> httpx's transport             a guarded Via -> only to addresses just checked

Secret: how a connection is made, whom it trusts and with which certificate it shows itself.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore
import httpx
import msgspec

CONNECT_TIMEOUT_S = 5.0
CONNECTIONS = 512

IDLE = 128
IDLE_S = 15.0
"""Idle connections that are kept, and for how long: longer than the usual gap between two polls."""

TRIED = 4
"""Addresses of one name that are connected to, one after the other."""


class Via(msgspec.Struct, frozen=True):
    """The way out: a CA file to trust instead of the public ones, an HTTP proxy, and the certificate we show.

    `guarded` is for URLs that others gave us: egress.py says where they may lead. An empty `client_key`: it is in the
    same file.
    """

    ca_file: str = ""
    proxy: str = ""
    guarded: bool = False
    client_cert: str = ""
    client_key: str = ""


DIRECT = Via()
Addresses = Callable[[str, int], Awaitable[Sequence[str]]]


def open_transport(via: Via, addresses: Addresses) -> httpx.AsyncBaseTransport:
    """The seam: what carries requests on this way; on a guarded one only to the `addresses` of a host.

    Raises UnusableFile. Through a proxy it is the proxy that looks names up.
    """
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=IDLE, keepalive_expiry=IDLE_S)
    if via.guarded and not via.proxy:
        return _Guarded(_identity(via), limits, addresses)
    tls_to_proxy = _trust(via.ca_file) if via.proxy.lower().startswith("https:") else None
    proxy = httpx.Proxy(via.proxy, ssl_context=tls_to_proxy) if via.proxy else None
    return httpx.AsyncHTTPTransport(verify=_identity(via), trust_env=False, limits=limits, proxy=proxy, retries=0)


class _Guarded(httpx.AsyncHTTPTransport):
    """httpx's transport on connections of our own making; httpcore offers that, httpx does not hand it on."""

    def __init__(self, context: ssl.SSLContext, limits: httpx.Limits, addresses: Addresses) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Checked(addresses),
        )


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses just checked: the name is not looked up again. Host and TLS still go by the name."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's word
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Try one address after the other; each has its share of the time that is left."""
        until = asyncio.get_running_loop().time() + (timeout or CONNECT_TIMEOUT_S)
        try:
            async with asyncio.timeout_at(until):
                found = (await self._addresses(host, port))[:TRIED]
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout from exc
        for left in range(len(found), 0, -1):
            share = max(until - asyncio.get_running_loop().time(), 0) / left
            try:
                return await self._network.connect_tcp(found[-left], port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
        raise httpcore.ConnectError


class UnusableFile(OSError):
    """A file that TLS needs; says which."""


def _identity(via: Via) -> ssl.SSLContext:
    """Whom we trust, and who we are. Nobody else may get a context with our certificate in it."""
    if not via.client_cert:
        return _public_trust() if not via.ca_file else _trust(via.ca_file)
    context = _trust(via.ca_file)
    try:
        # Without a password OpenSSL would stop everything and ask for one on the terminal.
        context.load_cert_chain(via.client_cert, via.client_key or None, password="")
    except OSError as exc:
        raise UnusableFile(f"the client certificate {via.client_cert} or its key cannot be used") from exc
    return context


def _trust(ca_file: str) -> ssl.SSLContext:
    if not ca_file:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as exc:
        raise UnusableFile(f"the CA file {ca_file} cannot be used") from exc


@functools.cache
def _public_trust() -> ssl.SSLContext:
    """Reading the public CAs takes 20 ms; once is enough. A file is read again by the next Outbound."""
    return _trust("")
