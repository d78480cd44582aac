"""Which kinds of authentication a preset may name, and how one is chosen when it names several.

    [auth]  type = "bearer"            one
    [[auth]]                           several: the first whose credentials the account has

Secret: the names of the kinds. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ringback.core.errors import nearest
from ringback.providers import tables
from ringback.providers.auth import Auth, Basic, Bearer, Header, Open, Query
from ringback.providers.base import Ask
from ringback.providers.signers.jwt import KlingJwt
from ringback.providers.signers.sigv4 import SigV4
from ringback.providers.signers.tc3 import Tc3
from ringback.providers.signers.volcengine import Volcengine

KINDS: Mapping[str, Any] = {
    "none": Open,
    "bearer": Bearer,
    "header": Header,
    "query": Query,
    "basic": Basic,
    "kling_jwt": KlingJwt,
    "tc3": Tc3,
    "volcengine": Volcengine,
    "sigv4": SigV4,
}


class OneOf(msgspec.Struct, frozen=True):
    """Several kinds: the account's credentials decide."""

    kinds: tuple[Auth, ...]

    @property
    def credentials(self) -> tuple[str, ...]:
        """Those of the first, which is what people are told to set."""
        return self.kinds[0].credentials

    @property
    def timeless(self) -> bool:
        """When all of them are."""
        return all(kind.timeless for kind in self.kinds)

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Sign with the first kind that the account has everything for, else as the first one would."""
        able = (kind for kind in self.kinds if all(credentials.get(name) for name in kind.credentials))
        return next(able, self.kinds[0]).sign(ask, credentials, now)

    def signed_at(self, ask: Ask) -> datetime | None:
        """As any of them says."""
        return next((at for kind in self.kinds if (at := kind.signed_at(ask)) is not None), None)

    def explain(self) -> str:
        """All of them, in order."""
        return "; or ".join(kind.explain() for kind in self.kinds)


def chosen(raw: object, where: str, problems: list[str]) -> Auth | None:
    """What a preset's table or tables name; None when something is wrong with it."""
    if not isinstance(raw, list):
        return _one(raw, where, problems)
    kinds = [_one(each, f"{where}[{place}]", problems) for place, each in enumerate(raw)]
    if not kinds:
        problems.append(f"{where}: expected a table")
    return OneOf(tuple(kind for kind in kinds if kind is not None)) if kinds and None not in kinds else None


def _one(raw: object, where: str, problems: list[str]) -> Auth | None:
    type = raw.get("type") if isinstance(raw, Mapping) else None
    kind = KINDS.get(type) if isinstance(type, str) else None
    if not isinstance(raw, Mapping) or kind is None:
        got = f", got '{type}'.{nearest(type, KINDS)}" if isinstance(type, str) else ""
        problems.append(f"{where}.type: expected one of {', '.join(KINDS)}{got}")
        return None
    made: Auth | None = tables.table(kind, {key: value for key, value in raw.items() if key != "type"}, where, problems)
    if isinstance(made, Basic) and not made.credentials:
        problems.append(f"{where}: expected a username or a password")
    return made
