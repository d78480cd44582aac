"""What the HMAC-SHA256 schemes of AWS, Volcengine and Tencent have in common: the canonical request, the chained key.

Secret: how a request becomes the text that is signed. Pure.
Source: AWS Signature Version 4, "Create a signed AWS API request"; the other two are its descendants.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, unquote, urlsplit

import msgspec

from ringback.providers.auth import credential
from ringback.providers.base import Ask

UNRESERVED = "-_.~"
STAMP = "%Y%m%dT%H%M%SZ"


def host_of(ask: Ask) -> str:
    """The Host header that will be sent: the port only where it is not the scheme's own."""
    parts = urlsplit(ask.url)
    usual = {"https": ":443", "http": ":80"}[parts.scheme]
    return parts.netloc.removesuffix(usual)


def path_of(ask: Ask) -> str:
    """The path as it stands in the URL."""
    return urlsplit(ask.url).path or "/"


def query_of(ask: Ask) -> str:
    """The query, sorted and encoded in the one canonical way."""
    pairs = [pair.partition("=") for pair in urlsplit(ask.url).query.split("&") if pair]
    encoded = ((_again(name), _again(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """One of the family: its name, what stands before the secret in the first key, and the end of every scope."""

    name: str
    salt: str = ""
    ends: str

    def authorization(self, request: str, *, signed: Iterable[str], stamp: str, key: Key, scope: Sequence[str]) -> str:
        """The value of the Authorization header. `stamp` is the time as it is sent, `scope` begins with the day."""
        steps = (*scope, self.ends)
        text = "\n".join((self.name, stamp, "/".join(steps), digest(request.encode())))
        signature = _chained(f"{self.salt}{key.secret}", steps, text)
        names = ";".join(sorted(signed))
        return f"{self.name} Credential={key.id}/{'/'.join(steps)}, SignedHeaders={names}, Signature={signature}"


class Key(msgspec.Struct, frozen=True):
    """A pair of keys: the one that is named, and the one that signs."""

    id: str
    secret: str

    @classmethod
    def of(cls, credentials: Mapping[str, str], names: tuple[str, str]) -> Key:
        """The account's pair. Raises BadInput for one that is missing or broken."""
        return cls(*(credential(credentials, name) for name in names))


def request(ask: Ask, *, path: str, query: str, headers: Mapping[str, str]) -> str:
    """The canonical request; `headers` are those that are signed, by lower-case name."""
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    return "\n".join((ask.method, path, query, lines, ";".join(sorted(headers)), digest(ask.body or b"")))


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def moment(stamp: str) -> datetime | None:
    """The time of a date header such as 20150830T123600Z."""
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _chained(secret: str, steps: Iterable[str], text: str) -> str:
    """Each step's HMAC is the key of the next, the last one signs the text."""
    key = secret.encode()
    for step in steps:
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _again(text: str) -> str:
    return quote(unquote(text), safe=UNRESERVED)
