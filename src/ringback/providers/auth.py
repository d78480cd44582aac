"""How a request is signed: the [auth] table of a preset, where the credential stands in it as it is.

Secret: where a credential stands in a request. Pure: key material and time come in.

A kind of authentication is a struct with the keys of its table, and a line in schemes.py. Those that compute something
from the credential are in signers/.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, Self
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from ringback.core.errors import BadInput
from ringback.providers.base import Ask
from ringback.providers.tables import MaybeEmpty
from ringback.providers.template import HeaderName

NO_CREDENTIALS = frozenset({"vendor", "base_url", "rate", "headers", "params", "ca_file", "proxy"})
"""What an account says beside its credentials."""

_SOURCES = ("_file", "_command")
"""What the key that says where a credential is had ends in."""


class CredentialName(str):
    """The name of a setting of the account that is a credential."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises ValueError with a sentence for what no account can have as one."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
            raise ValueError(f"expected small letters, digits and _, such as 'api_key', got '{text}'")
        if text in NO_CREDENTIALS or text.endswith(_SOURCES):
            raise ValueError(f"expected a credential, such as 'api_key': '{text}' is another key of an account")
        return super().__new__(cls, text)


class MaybeCredentialName(MaybeEmpty):
    """The name of a credential, or nothing."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises ValueError as CredentialName does."""
        return super().__new__(cls, CredentialName(text) if text else text)


class Auth(Protocol):
    """One kind of authentication."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the settings that an account must have for it."""

    @property
    def timeless(self) -> bool:
        """Whether it signs the same at all times."""

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """The request with the credential. Raises BadInput for one that is missing or broken."""

    def signed_at(self, ask: Ask) -> datetime | None:
        """When a signed request says that it was signed; None for a kind that does not depend on the time."""

    def explain(self) -> str:
        """Where the credential stands, in words."""


class Timeless:
    """What signs the same at all times."""

    __slots__ = ()

    timeless = True

    def signed_at(self, ask: Ask) -> datetime | None:
        """Never said."""
        return None


class Open(msgspec.Struct, Timeless, frozen=True, kw_only=True):
    """Nothing: whoever knows the id may ask."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """None."""
        return ()

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Leave it as it is."""
        return ask

    def explain(self) -> str:
        """Say so."""
        return "nothing: no credential is needed"


class Bearer(msgspec.Struct, Timeless, frozen=True, kw_only=True):
    """`Authorization: Bearer KEY`."""

    credential: CredentialName = CredentialName("api_key")

    @property
    def credentials(self) -> tuple[str, ...]:
        """The key."""
        return (self.credential,)

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add the header."""
        return with_headers(ask, authorization=f"Bearer {credential(credentials, self.credential)}")

    def explain(self) -> str:
        """Name the header."""
        return f"the header Authorization: Bearer <{self.credential}>"


class Header(msgspec.Struct, Timeless, frozen=True, kw_only=True):
    """Any header, with what stands before the key: `Authorization: Key KEY`, `X-API-Key: KEY`."""

    name: HeaderName
    prefix: str = ""
    credential: CredentialName = CredentialName("api_key")

    @property
    def credentials(self) -> tuple[str, ...]:
        """The key."""
        return (self.credential,)

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add the header."""
        value = f"{self.prefix} {credential(credentials, self.credential)}".strip()
        return replace(ask, headers={**ask.headers, self.name: value})

    def explain(self) -> str:
        """Name the header."""
        return f"the header {self.name}: {f'{self.prefix} <{self.credential}>'.strip()}"


class Query(msgspec.Struct, Timeless, frozen=True, kw_only=True):
    """A parameter of the query: `?key=KEY`."""

    name: str
    credential: CredentialName = CredentialName("api_key")

    @property
    def credentials(self) -> tuple[str, ...]:
        """The key."""
        return (self.credential,)

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add the parameter."""
        pair = f"{quote(self.name, safe='')}={quote(credential(credentials, self.credential), safe='')}"
        return replace(ask, url=f"{ask.url}{'&' if '?' in ask.url else '?'}{pair}")

    def explain(self) -> str:
        """Name the parameter."""
        return f"the query parameter {self.name}=<{self.credential}>"


class Basic(msgspec.Struct, Timeless, frozen=True, kw_only=True):
    """`Authorization: Basic base64(USERNAME:PASSWORD)` (RFC 7617). An empty name stands for nothing."""

    username: MaybeCredentialName = MaybeCredentialName("username")
    password: MaybeCredentialName = MaybeCredentialName("password")

    @property
    def credentials(self) -> tuple[str, ...]:
        """Those of the two that are named."""
        return tuple(name for name in (self.username, self.password) if name)

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add the header."""
        pair = ":".join(credential(credentials, name) if name else "" for name in (self.username, self.password))
        return with_headers(ask, authorization=f"Basic {base64.b64encode(pair.encode()).decode()}")

    def explain(self) -> str:
        """Name the header."""
        return f"the header Authorization: Basic, of {' and '.join(f'<{name}>' for name in self.credentials)}"


def with_headers(ask: Ask, **headers: str) -> Ask:
    """The request with these headers, `_` standing for `-`."""
    return replace(ask, headers={**ask.headers, **{name.replace("_", "-"): value for name, value in headers.items()}})


def credential(credentials: Mapping[str, str], name: str) -> str:
    """One credential, fit for a header. Its value is in no message. Raises BadInput."""
    value = credentials.get(name, "")
    if not value:
        raise BadInput(f"the account has no {name}: set it in its configuration", code="no_credential")
    if not (value.isascii() and value.isprintable()):
        raise BadInput(
            f"the account's {name} has a character that no header can carry: look for a line break in it",
            code="bad_credential",
        )
    return value
