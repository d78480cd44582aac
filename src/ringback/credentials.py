"""How a credential is had (a setting, or a file that is read again when it changes) and to which hosts it may go.

Secret: where keys are, and promise 6: a key goes only to the hosts that its preset or its account names.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import unquote

import idna
import msgspec

from ringback.core.errors import BadInput, UnknownName, nearest

LARGEST = 64 * 1024
"""Bytes of a secret file; a key is a few dozen, a certificate a few thousand."""

PORTS = {"http": 80, "https": 443}

HOSTS = 1024
"""Hosts whose normal spelling is remembered: there are few, and each is looked at in every poll."""

# ---------------------------------------------------------------------- secrets


class Secret:
    """A value that is never shown, or a file that holds it and may change under us."""

    __slots__ = ("_path", "_stamp", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._path = ""
        self._stamp: object = None

    @classmethod
    def in_file(cls, path: str | os.PathLike[str]) -> Secret:
        """A secret that is read from a file when it is first needed, and again when the file has changed."""
        secret = cls("")
        secret._path = os.fspath(path)
        return secret

    @property
    def file(self) -> str | None:
        """The file it comes from, if any."""
        return self._path or None

    def stamp(self) -> object:
        """Compares unequal once there is another value, or the file has changed; None while there is no such file."""
        if not self._path:
            return self
        try:
            return _stamp_of(Path(self._path).stat())
        except OSError:
            return None

    def reveal(self) -> str:
        """The value. Raises BadInput when its file cannot be read or is empty."""
        if self._path and (self._stamp is None or self._stamp != self.stamp()):
            self._value, self._stamp = _read(self._path)
        return self._value

    def due(self, now: datetime) -> bool:
        """Whether it has to be had anew before it is revealed; a value or a file never has."""
        return False

    async def freshen(self, now: datetime) -> None:
        """Have it anew, if that is due."""

    def doubt(self, now: datetime) -> None:
        """It was refused."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._path, self._path or self._value) == (
            other._path,
            other._path or other._value,
        )

    def __hash__(self) -> int:
        return hash((self._path, self._path or self._value))

    def __repr__(self) -> str:
        return f"Secret.in_file({self._path!r})" if self._path else "Secret('***')"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied into a file or another process")


def _stamp_of(status: os.stat_result) -> tuple[int, int, int]:
    """All three, because a file that is replaced may keep its time, and one written in place keeps its number."""
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def _read(path: str) -> tuple[str, object]:
    """The stamp is that of the file that was opened, so that one replaced meanwhile is read again next time."""
    try:
        with Path(path).open("rb") as file:
            stamp = _stamp_of(os.fstat(file.fileno()))
            raw = file.read(LARGEST + 1)
    except OSError as exc:
        raise BadInput(
            f"the secret file {path} cannot be read ({exc.strerror}): create it, readable for the user ringback runs as"
        ) from exc
    if len(raw) > LARGEST:
        raise BadInput(f"the secret file {path} is over {LARGEST} bytes: name a file that holds the secret alone")
    try:
        value = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        value = None
    if value is None:
        raise BadInput(f"the secret file {path} is not UTF-8 text: write the secret into it as plain text")
    if not value.strip():
        raise BadInput(f"the secret file {path} is empty: write the secret into it")
    return value, stamp


# ---------------------------------------------------------------------- where they may go


class Origin(NamedTuple):
    """Scheme, host and port in their one normal spelling."""

    scheme: str
    host: str
    port: int


class Keys(msgspec.Struct, frozen=True):
    """One account's secrets by name (`api_key`), and its own base URL when it has one."""

    secrets: Mapping[str, Secret] = {}
    base_url: str = ""


class Credentials:
    """The keys of all accounts, and the one answer to the question whether they may go somewhere."""

    def __init__(self, accounts: Mapping[str, Keys]) -> None:
        self._accounts = dict(accounts)
        self._revealed: dict[str, dict[str, str]] = {}

    def reveal(self, account: str) -> dict[str, str]:
        """The account's secrets. Raises UnknownName, and BadInput when a file cannot be read."""
        keys = self._accounts.get(account)
        if keys is None:
            raise UnknownName(f"there is no account '{account}'.{nearest(account, self._accounts)}", account=account)
        found = {name: secret.reveal() for name, secret in keys.secrets.items()}
        if self._revealed.get(account) != found:
            self._revealed[account] = found
        return self._revealed[account]  # the same one while nothing has changed: many keep it

    def stamp(self, account: str) -> object:
        """Compares unequal once the account has another key, or a file of one has changed."""
        keys = self._accounts.get(account)
        return None if keys is None else tuple(secret.stamp() for secret in keys.secrets.values())

    async def freshen(self, account: str, now: datetime) -> None:
        """Run the programs that print the account's tokens, where that is due."""
        for secret in self._secrets(account):
            if secret.due(now):
                await secret.freshen(now)

    def due(self, account: str, now: datetime) -> bool:
        """Whether a program that prints a token of the account is to be run."""
        return any(secret.due(now) for secret in self._secrets(account))

    def doubt(self, account: str, now: datetime) -> None:
        """The account's credential was refused: what a program prints may be out of date."""
        for secret in self._secrets(account):
            secret.doubt(now)

    def _secrets(self, account: str) -> Iterable[Secret]:
        keys = self._accounts.get(account)
        return keys.secrets.values() if keys is not None else ()

    def may_go(self, account: str, url: str, base_url: str, hosts: Iterable[str] = ()) -> bool:
        """Whether the account's credential may be added to a request to this finished URL.

        Only to the origin of the account's base URL, or of its preset's (`base_url`), or over https to one of the
        preset's `hosts`, in which `*` stands for one label or a part of one. What cannot be read without doubt goes
        nowhere.
        """
        keys = self._accounts.get(account)
        target = origin_of(url)
        if keys is None or target is None or climbs(url):
            return False
        known = (keys.base_url, base_url)
        return any(target == _origin_of(url) for url in known if url) or any(_is_one_of(target, host) for host in hosts)


_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\[\]:/?#@]+)(?::([0-9]{1,5}))?([/?][^#]*)?", re.IGNORECASE)
_DOUBTFUL = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
_LABELS = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


def origin_of(url: str) -> Origin | None:
    """The origin of an absolute http or https URL; None for everything that two readers might read differently.

    So no user information, backslash, space, control character, fragment, trailing dot or Unicode dot, and an IPv4
    address only in its usual spelling. International names are compared as the client will send them.
    """
    found = _URL.fullmatch(url)
    if found is None or _DOUBTFUL.search(url):
        return None
    host = _host(found[2])
    scheme = found[1].lower()
    port = int(found[3]) if found[3] else PORTS[scheme]
    if host is None or not 0 < port < 65536:  # noqa: PLR2004 - the ports there are
        return None
    return Origin(scheme, host, port)


_origin_of = functools.lru_cache(HOSTS)(origin_of)
"""Of the URLs that are the same for every watch: an account's and a preset's."""


def _is_one_of(target: Origin, host: str) -> bool:
    """Whether it is this host, over https on its own port."""
    if (target.scheme, target.port) != ("https", PORTS["https"]):
        return False
    return re.fullmatch("[a-z0-9-]+".join(map(re.escape, host.split("*"))), target.host) is not None


def climbs(url: str) -> bool:
    """Whether the path holds a `.` or `..` segment, plain or percent-encoded: it would ask for something else."""
    path = url.partition("://")[2].partition("?")[0].partition("/")[2]
    if "." not in path and "%" not in path:
        return False
    return any(segment in (".", "..") for segment in re.split(r"[/\\]", unquote(path)))


@functools.lru_cache(HOSTS)
def _host(text: str) -> str | None:
    return _address(text[1:-1]) if text.startswith("[") else _name(text)


def _address(text: str) -> str | None:
    try:
        return f"[{ipaddress.IPv6Address(text).compressed}]"
    except ValueError:
        return None


def _name(text: str) -> str | None:
    """Only ASCII letters are made small: others that fold to ASCII (the Kelvin sign) are no part of a host name."""
    host = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    if not host.isascii() or "xn--" in host:
        try:
            host = idna.encode(host, strict=True).decode("ascii")
        except idna.IDNAError:
            return None
    if not _LABELS.fullmatch(host):
        return None
    return None if host.rpartition(".")[2][0].isdigit() and not _is_ipv4(host) else host


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
