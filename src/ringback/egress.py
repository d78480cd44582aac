"""Where ringback may call when the URL came through the API: out to the internet, and inside only where it is told to.

    judge        what the URL itself shows: an address, a spelling of one, localhost      before every request
    examine      and where its name leads just now                                        at registration
    addresses    resolve once -> judge every address -> only these are connected to       at every connection

Secret: which addresses are inside, what opens them (`egress.allow`), and how a name becomes addresses.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec

from ringback.core.errors import BadInput, RingbackError
from ringback.credentials import origin_of

RESOLVING = 8
"""Names that are looked up at once: a look-up cannot be broken off, and slow ones must not take every thread."""

EXAMINE_S = 2.0
"""What a registration waits for a name; one that is slower is judged when it is connected to."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

INSIDE: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), kind)
    for kind, networks in {
        "this host": "0.0.0.0/8 ::/128",
        "private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",
        "a carrier's own": "100.64.0.0/10",
        "loopback": "127.0.0.0/8 ::1/128",
        "link-local": "169.254.0.0/16 fe80::/10",
        "site-local": "fec0::/10",
        "for protocols": "192.0.0.0/24",
        "for documentation": "192.0.2.0/24 198.51.100.0/24 203.0.113.0/24 2001:db8::/32 3fff::/20",
        "for benchmarks": "198.18.0.0/15",
        "multicast": "224.0.0.0/4 ff00::/8",
        "reserved": "240.0.0.0/4",
        "to be discarded": "100::/64",
        "for going from IPv6 to IPv4": "192.88.99.0/24 2002::/16 64:ff9b::/96 64:ff9b:1::/48",
        "for segment routing": "5f00::/16",
    }.items()
    for network in networks.split()
)
"""Where nobody on the internet is. Python's own `is_global` lets some of these pass."""

NAT64 = IPv6Network("64:ff9b::/96")
COMPATIBLE = IPv6Network("::/96")


class Blocked(RingbackError):
    """A host that may not be called. The message says why, and names the host but no address it resolves to."""

    code = "blocked"


class Way(msgspec.Struct, frozen=True):
    """One entry of `egress.allow`: a network, or a host, on one port or on all."""

    network: Network | None = None
    host: str = ""
    port: int | None = None

    @classmethod
    def of(cls, text: str) -> Way:
        """Read an entry. Raises BadInput."""
        if "/" in text:
            return cls(_network(text))
        address, port = _address(text), None
        if address is None:
            target = origin_of(f"http://{text}")
            if target is None or "?" in text:
                raise BadInput(f"'{text[:80]}' is neither a network like 10.0.0.0/8 nor a host like ci.internal:8443")
            port = target.port if re.search(r":[0-9]+\Z", text) else None
            address = _address(target.host)
            if address is None:
                return cls(host=target.host, port=port)
        return cls(_network(f"{address}/{address.max_prefixlen}"), str(address), port)

    def opens(self, address: Address, port: int) -> bool:
        """Whether this port of the address may be called."""
        return self.network is not None and address in self.network and self.port in (None, port)

    def names(self, host: str, port: int) -> bool:
        """Whether the host may be called by this name, wherever it leads."""
        return self.host == host and self.port in (None, port)


LOOPBACK = (Way(IPv4Network("127.0.0.0/8")), Way(IPv6Network("::1/128")))


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a name, in the order to try them. Raises socket.gaierror."""
    # As bytes: Python's own IDNA codec has other ideas of names, and exceptions of its own.
    ask = functools.partial(socket.getaddrinfo, host.encode("ascii"), port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_resolvers(), ask)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


@functools.cache
def _resolvers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(RESOLVING, thread_name_prefix="resolve")


class Egress:
    """What may be called. `allow` opens networks and hosts; `loopback`: this machine is no secret to who may ask us."""

    def __init__(self, allow: Sequence[str] = (), *, loopback: bool = False, resolve: Resolve = resolve) -> None:
        self._ways = (*map(Way.of, allow), *(LOOPBACK if loopback else ()))
        self._resolve = resolve

    def judge(self, url: str) -> str | None:
        """Why this URL may not be called, as far as it shows itself; None when nothing speaks against it."""
        target = origin_of(url)
        if target is None:
            return self._doubtful(url)
        address = _shown(target.host)
        return None if address is None else self._refusal(target.host, target.port, [address])

    async def examine(self, url: str) -> str | None:
        """Why this URL may not be called just now. A name that cannot be looked up in time is let pass until then."""
        why = self.judge(url)
        target = origin_of(url)
        if why is not None or target is None:
            return why
        try:
            async with asyncio.timeout(EXAMINE_S):
                await self.addresses(target.host, target.port)
        except Blocked as error:
            return error.message
        except OSError:  # a time-out is one, too
            return None
        return None

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Where a host is to be connected to: every address it has was judged. Raises Blocked, socket.gaierror."""
        literal = _address(host)
        found = [str(literal)] if literal is not None else await self._resolve(host, port)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        why = self._refusal(host, port, [ipaddress.ip_address(each) for each in found])
        if why is not None:
            raise Blocked(why)
        return found

    def _refusal(self, host: str, port: int, addresses: Sequence[Address]) -> str | None:
        """One address inside is enough: whoever sets the name's addresses chooses which of them is taken."""
        literal = _address(host)
        name = host if literal is None else str(next(_faces(literal)))
        if any(way.names(name, port) for way in self._ways):
            return None
        for inside, kind in filter(None, (self._inside(address, port) for address in addresses)):
            entry = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
            return (
                f"{host} {'leads into' if literal is None else 'is in'} {inside} ({kind}), closed to URLs of callers; "
                f'egress.allow = ["{entry}"] would open it'
            )
        return None

    def _inside(self, address: Address, port: int) -> tuple[Network, str] | None:
        for each in _faces(address):
            found = next(((network, kind) for network, kind in INSIDE if each in network), None)
            if found is not None and not any(way.opens(each, port) for way in self._ways):
                return found
        return None

    def _doubtful(self, url: str) -> str:
        """What two readers might read differently is not called, whatever it may mean."""
        host = _host_of(url)
        plain = _loosely(host)
        if plain is not None:
            opened = ", and open it with egress.allow" if self._inside(plain, 0) else " (egress.allow is not needed)"
            return f"{host} is an odd spelling of {plain}: write {plain}{opened}"
        return (
            "it is no http(s) URL that everybody reads alike (no user, backslash, fragment or odd dots), "
            "which egress.allow cannot open"
        )


# ---------------------------------------------------------------------- addresses


def _faces(address: Address) -> Iterator[Address]:
    """The address, and the IPv4 addresses that it stands for: a gateway would go there."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour
        if address in NAT64 or (address in COMPATIBLE and int(address) > 1):
            yield IPv4Address(int(address) & 0xFFFFFFFF)
        yield from address.teredo or ()


def _shown(host: str) -> Address | None:
    """The address that a host of a URL is, or that its name stands for without being looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    return _address(host)


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as exc:
        raise BadInput(f"'{text[:80]}' is no network like 10.0.0.0/8 or fd00::/8 ({_why(text)})") from exc
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise BadInput(f"'{text[:80]}' is a spelling of IPv4 addresses: write it as an IPv4 network")
    return network


def _why(text: str) -> str:
    try:
        return f"did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        return "an address, / and how many bits are fixed"


def _host_of(url: str) -> str:
    """The host that a careless reader would find; empty when even that is not to be had."""
    found = re.fullmatch(r"https?://([0-9a-z.]{1,60})(?::[0-9]{1,5})?(?:[/?#].*)?", url, re.IGNORECASE | re.DOTALL)
    return found[1] if found is not None else ""


def _loosely(host: str) -> IPv4Address | None:
    """The address that the C library reads in it: fewer parts, octal, hexadecimal."""
    try:
        return IPv4Address(socket.inet_aton(host)) if host else None
    except OSError:
        return None
