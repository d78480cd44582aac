"""A JSON Web Token of an access key, made anew for every request: Kling.

Secret: the token's claims. Pure.
Source: RFC 7515 and 7519; Kling's claims (iss, exp, nbf) as vercel/ai packages/klingai/src/klingai-auth.ts sends them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from ringback.providers.auth import credential, with_headers
from ringback.providers.base import Ask

LIVES = timedelta(minutes=30)
BACKDATED = timedelta(seconds=5)
"""The vendor's clock may be behind ours."""

_HEADER = msgspec.json.encode({"alg": "HS256", "typ": "JWT"})


class KlingJwt(msgspec.Struct, frozen=True, kw_only=True):
    """`Authorization: Bearer TOKEN`, the token signed with HMAC-SHA256."""

    @property
    def credentials(self) -> tuple[str, ...]:
        """The pair of keys."""
        return ("access_key", "secret_key")

    @property
    def timeless(self) -> bool:
        """Never: the time is signed, too."""
        return False

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Make a token that is valid from just now for half an hour, and add it."""
        issuer, secret = credential(credentials, "access_key"), credential(credentials, "secret_key")
        claims = {
            "iss": issuer,
            "exp": int((now + LIVES).timestamp()),
            "nbf": int((now - BACKDATED).timestamp()),
        }
        signed = f"{_encoded(_HEADER)}.{_encoded(msgspec.json.encode(claims))}"
        signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
        return with_headers(ask, authorization=f"Bearer {signed}.{_encoded(signature)}")

    def signed_at(self, ask: Ask) -> datetime | None:
        """From the claim nbf."""
        parts = ask.headers.get("authorization", "").removeprefix("Bearer ").split(".")
        try:
            claims = msgspec.json.decode(_decoded(parts[1]), type=dict[str, int | str])
            return datetime.fromtimestamp(int(claims["nbf"]), UTC) + BACKDATED
        except (ValueError, IndexError, KeyError, OverflowError):
            return None

    def explain(self) -> str:
        """Name the header."""
        return "the header Authorization: Bearer, a token (HS256) of <access_key> signed with <secret_key>"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
