"""AWS Signature Version 4.

Secret: the names of its parts. Pure.
Source: docs.aws.amazon.com, IAM User Guide, "AWS Signature Version 4 for API requests".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

import msgspec

from ringback.providers.auth import credential, with_headers
from ringback.providers.base import Ask
from ringback.providers.signers import canonical
from ringback.providers.template import HeaderTemplate

KEYS = ("access_key", "secret_key")
SCHEME = canonical.Scheme(name="AWS4-HMAC-SHA256", salt="AWS4", ends="aws4_request")


class SigV4(msgspec.Struct, frozen=True, kw_only=True):
    """`Authorization: AWS4-HMAC-SHA256 ...` over host, content-type and every x-amz- header."""

    service: str
    region: HeaderTemplate

    @property
    def credentials(self) -> tuple[str, ...]:
        """The pair of keys; a session_token is added when the account has one."""
        return KEYS

    @property
    def timeless(self) -> bool:
        """Never: the time is signed, too."""
        return False

    def sign(self, ask: Ask, credentials: Mapping[str, str], now: datetime) -> Ask:
        """Add the date, the session's token if there is one, and the signature."""
        stamp = now.strftime(canonical.STAMP)
        ask = with_headers(ask, x_amz_date=stamp)
        if credentials.get("session_token"):
            ask = with_headers(ask, x_amz_security_token=credential(credentials, "session_token"))
        signed = {name: value for name, value in ask.headers.items() if name.startswith(("x-amz-", "content-type"))}
        signed["host"] = canonical.host_of(ask)
        path = quote(canonical.path_of(ask), safe="/" + canonical.UNRESERVED)  # once more: all but S3 want that
        request = canonical.request(ask, path=path, query=canonical.query_of(ask), headers=signed)
        scope = (now.strftime("%Y%m%d"), ask.region, self.service)
        key = canonical.Key.of(credentials, KEYS)
        return with_headers(
            ask, authorization=SCHEME.authorization(request, signed=signed, stamp=stamp, key=key, scope=scope)
        )

    def signed_at(self, ask: Ask) -> datetime | None:
        """From X-Amz-Date."""
        return canonical.moment(ask.headers.get("x-amz-date", ""))

    def explain(self) -> str:
        """Name the scheme."""
        return (
            f"AWS Signature Version 4 for the service {self.service} in {self.region.text}, "
            "of <access_key> and <secret_key> (and <session_token>, where there is one)"
        )
