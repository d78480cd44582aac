"""Volcengine's HMAC-SHA256: AWS Signature Version 4 with other names.

Secret: those names. Pure.
Source: QuantumNous/new-api relay/channel/task/jimeng/adaptor.go; volcengine.com/docs/6369/67269.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ringback.providers.auth import with_headers
from ringback.providers.base import Ask
from ringback.providers.signers import canonical
from ringback.providers.template import HeaderTemplate

KEYS = ("access_key", "secret_key")
SIGNED = ("content-type", "x-content-sha256", "x-date")
SCHEME = canonical.Scheme(name="HMAC-SHA256", ends="request")


class Volcengine(msgspec.Struct, frozen=True, kw_only=True):
    """`Authorization: HMAC-SHA256 ...` over host, x-date, x-content-sha256 and content-type."""

    service: str
    region: HeaderTemplate

    @property
    def credentials(self) -> tuple[str, ...]:
        """The pair of keys."""
        return KEYS

    @property
    def timeless(self) -> bool:
        """Never: the time is signed, too."""
        return False

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add the date, the digest of the body and the signature."""
        stamp = now.strftime(canonical.STAMP)
        ask = with_headers(ask, x_date=stamp, x_content_sha256=canonical.digest(ask.body or b""))
        signed = {name: ask.headers[name] for name in SIGNED if name in ask.headers}
        signed["host"] = canonical.host_of(ask)
        request = canonical.request(ask, path=canonical.path_of(ask), query=canonical.query_of(ask), headers=signed)
        scope = (now.strftime("%Y%m%d"), ask.region, self.service)
        key = canonical.Key.of(credentials, KEYS)
        return with_headers(
            ask, authorization=SCHEME.authorization(request, signed=signed, stamp=stamp, key=key, scope=scope)
        )

    def signed_at(self, ask: Ask) -> datetime | None:
        """From X-Date."""
        return canonical.moment(ask.headers.get("x-date", ""))

    def explain(self) -> str:
        """Name the scheme."""
        return (
            f"Volcengine's HMAC-SHA256 for the service {self.service} in {self.region.text}, "
            "of <access_key> and <secret_key>"
        )
