"""The ways out: straight or through a proxy, trusting whom, shown as who. One transport for each.

    Via -> open_transport -> a carrier             a guarded Via -> only to addresses just checked

Secret: whom a connection trusts, and with which certificate it shows itself. How it is made is dialing.py's.
"""

from __future__ import annotations

import functools
import ssl

import httpx
import msgspec

from ringback.carrier import Carrier, Transport
from ringback.dialing import CONNECT_TIMEOUT_S, Addresses, Dialer, system

__all__ = ["CONNECT_TIMEOUT_S", "DIRECT", "Addresses", "Transport", "UnusableFile", "Via", "open_transport"]


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


def open_transport(via: Via, addresses: Addresses) -> Transport:
    """What carries requests on this way; on a guarded one only to the `addresses` of a host.

    Raises UnusableFile. Through a proxy it is the proxy that looks names up.
    """
    if not via.proxy:
        return Carrier(Dialer(_identity(via), addresses if via.guarded else system))
    to_proxy = _trust(via.ca_file) if via.proxy.lower().startswith("https:") else None
    return Carrier(Dialer(_identity(via), proxy=httpx.Proxy(via.proxy), to_proxy=to_proxy))


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
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)
    except OSError as exc:
        raise UnusableFile(f"the CA file {ca_file} cannot be used") from exc
    context.set_alpn_protocols(["http/1.1"])
    return context


@functools.cache
def _public_trust() -> ssl.SSLContext:
    """Reading the public CAs takes 20 ms; once is enough. A file is read again by the next Outbound."""
    return _trust("")
