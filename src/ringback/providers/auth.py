"""How a request is signed: the [auth] table of a preset.

Secret: where a credential stands in a request. Pure: key material and time come in.

A kind of authentication is a struct with the keys of its table, and a line in KINDS.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec.structs import replace

from ringback.core.errors import BadInput, nearest
from ringback.providers import tables
from ringback.providers.base import Ask


class Auth(Protocol):
    """One kind of authentication."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the settings that an account must have for it."""

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """The request with the credential. Raises BadInput for one that is missing or broken."""

    def explain(self) -> str:
        """Where the credential stands, in words."""


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """`Authorization: Bearer KEY`."""

    credential: str = "api_key"

    @property
    def credentials(self) -> tuple[str, ...]:
        """The key."""
        return (self.credential,)

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add the header."""
        return replace(ask, headers={**ask.headers, "authorization": f"Bearer {_of(credentials, self.credential)}"})

    def explain(self) -> str:
        """Name the header."""
        return f"the header Authorization: Bearer <{self.credential}>"


KINDS: Mapping[str, type[Bearer]] = {"bearer": Bearer}


def chosen(raw: object, where: str, problems: list[str]) -> Auth | None:
    """The kind that a preset's table names, with its keys; None when something is wrong with it."""
    type = raw.get("type") if isinstance(raw, Mapping) else None
    kind = KINDS.get(type) if isinstance(type, str) else None
    if not isinstance(raw, Mapping) or kind is None:
        got = f", got '{type}'.{nearest(type, KINDS)}" if isinstance(type, str) else ""
        problems.append(f"{where}.type: expected one of {', '.join(KINDS)}{got}")
        return None
    return tables.table(kind, {key: value for key, value in raw.items() if key != "type"}, where, problems)


def _of(credentials: Mapping[str, str], name: str) -> str:
    """One credential, fit for a header. Its value is in no message."""
    value = credentials.get(name, "")
    if not value:
        raise BadInput(f"the account has no {name}: set it in its configuration", code="no_credential")
    if not (value.isascii() and value.isprintable()):
        raise BadInput(
            f"the account's {name} has a character that no header can carry: look for a line break in it",
            code="bad_credential",
        )
    return value
