"""Tencent Cloud's TC3-HMAC-SHA256.

Secret: what it signs. Pure.
Source: cloud.tencent.com/document/api/213/30654 (signature method v3).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from ringback.providers.auth import credential, with_headers
from ringback.providers.base import Ask
from ringback.providers.signers import canonical

KEYS = ("secret_id", "secret_key")
SIGNED = ("content-type", "x-tc-action")
SCHEME = canonical.Scheme(name="TC3-HMAC-SHA256", salt="TC3", ends="tc3_request")


class Tc3(msgspec.Struct, frozen=True, kw_only=True):
    """`Authorization: TC3-HMAC-SHA256 ...` over content-type, host and x-tc-action."""

    service: str

    @property
    def credentials(self) -> tuple[str, ...]:
        """The pair of keys; a session_token is added when the account has one."""
        return KEYS

    @property
    def timeless(self) -> bool:
        """Never: the time is signed, too."""
        return False

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add the timestamp, the session's token if there is one, and the signature."""
        stamp = str(int(now.timestamp()))
        ask = with_headers(ask, x_tc_timestamp=stamp)
        if credentials.get("session_token"):
            ask = with_headers(ask, x_tc_token=credential(credentials, "session_token"))
        signed = {name: ask.headers[name].lower() for name in SIGNED if name in ask.headers}
        signed["host"] = canonical.host_of(ask)
        request = canonical.request(ask, path=canonical.path_of(ask), query=urlsplit(ask.url).query, headers=signed)
        scope = (now.astimezone(UTC).strftime("%Y-%m-%d"), self.service)
        key = canonical.Key.of(credentials, KEYS)
        return with_headers(
            ask, authorization=SCHEME.authorization(request, signed=signed, stamp=stamp, key=key, scope=scope)
        )

    def signed_at(self, ask: Ask) -> datetime | None:
        """From X-TC-Timestamp."""
        stamp = ask.headers.get("x-tc-timestamp", "")
        return datetime.fromtimestamp(int(stamp), UTC) if stamp.isdecimal() and len(stamp) <= 11 else None  # noqa: PLR2004

    def explain(self) -> str:
        """Name the scheme."""
        return f"Tencent Cloud's TC3-HMAC-SHA256 for the service {self.service}, of <secret_id> and <secret_key>"
