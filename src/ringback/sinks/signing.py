"""Signatures after Standard Webhooks 1.0: made here, and checked here by the receiver.

    signed bytes   {webhook-id}.{webhook-timestamp}.{raw body}
    secret         whsec_ + standard base64 of 24 to 64 random bytes; the key is the decoded bytes
    signature      v1,<base64 HMAC-SHA256>; one for each valid secret, with spaces between
                   v1a,<base64 ed25519> for a whsk_ secret, which is ed25519.py's

Secret: the signature scheme. Pure: time and randomness come in. A secret is in no message of this file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from ringback.core.errors import BadInput, RingbackError
from ringback.sinks import ed25519

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"
TOLERANCE = timedelta(minutes=5)
KEY_AT_LEAST = 24
KEY_AT_MOST = 64

_PREFIX = "whsec_"
_VERSION = "v1"
_PUBLIC_VERSION = "v1a"
_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


class BadSignature(RingbackError):
    """A request is not what a holder of the secret has just sent."""

    code = "bad_signature"


def secret_from(random: bytes) -> str:
    """A new secret of so many random bytes (32 are a good number)."""
    _check_length(random)
    return _PREFIX + base64.b64encode(random).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises BadInput. Missing `=` at the end are forgiven, as the libraries do."""
    if ed25519.is_ours(secret):
        return ed25519.check(secret)
    encoded = secret.removeprefix(_PREFIX)
    if encoded == secret:
        raise BadInput("a signing secret starts with whsec_: make one with `ringback secret`")
    try:
        key = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise BadInput(
            "a signing secret is whsec_ and standard base64 (A-Z a-z 0-9 + /): make one with `ringback secret`"
        ) from exc
    _check_length(key)
    return key


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The signature of one secret; `timestamp` is the attempt's time in whole seconds."""
    if _ID.fullmatch(id) is None:
        raise BadInput(f"{id!r} cannot be signed: a webhook id is made of A-Z, a-z, 0-9, _ and -")
    message = _message(id, timestamp, body)
    if ed25519.is_ours(secret):
        return f"{_PUBLIC_VERSION},{base64.b64encode(ed25519.signature(secret, message)).decode()}"
    mac = hmac.digest(key_of(secret), message, hashlib.sha256)
    return f"{_VERSION},{base64.b64encode(mac).decode()}"


def signed_headers(secrets: Sequence[str], id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers that say who sent this body and when, signed with every valid secret."""
    if not secrets:
        raise BadInput("there is no secret to sign with: set `secret`; `ringback secret` makes one")
    timestamp = int(now.timestamp())
    signatures = (sign(secret, id, timestamp, body) for secret in secrets)
    return {ID: id, TIMESTAMP: str(timestamp), SIGNATURE: " ".join(signatures)}


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Raise BadSignature, saying why, unless one of the secrets signed this body within five minutes of `now`.

    Header names are lower case. Every secret is compared with every signature in constant time. The public half of a
    whsk_ secret (whpk_) does as well as the secret.
    """
    id, timestamp, given = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not headers.get(name)]
    if missing:
        raise BadSignature(f"the request is not signed: it lacks {', '.join(missing)}")
    if _ID.fullmatch(id) is None or _SECONDS.fullmatch(timestamp) is None:
        raise BadSignature("webhook-id or webhook-timestamp is malformed")
    _check_age(int(timestamp), now)
    message = _message(id, int(timestamp), body)
    shared = [sign(secret, id, int(timestamp), body).encode() for secret in secrets if not ed25519.is_ours(secret)]
    # A list, not a generator: any() must not stop at the first match, or the time would tell which secret it was.
    matches = [hmac.compare_digest(one, other.encode()) for one in shared for other in given.split(" ")]
    public = [key for key in secrets if ed25519.is_ours(key)]
    matches += [ed25519.matches(key, other, message) for key in public for other in _signatures(given)]
    if not any(matches):
        raise BadSignature("no signature matches: another secret was used, or the body was changed on its way")


def _message(id: str, timestamp: int, body: bytes) -> bytes:
    return b"%s.%d.%s" % (id.encode(), timestamp, body)


def _signatures(given: str) -> Iterator[bytes]:
    """Every ed25519 signature of the header that can be read as one."""
    for version, _, encoded in (each.partition(",") for each in given.split(" ")):
        if version == _PUBLIC_VERSION:
            with suppress(ValueError):
                yield base64.b64decode(encoded, validate=True)


def _check_age(timestamp: int, now: datetime) -> None:
    age = int(now.timestamp()) - timestamp
    if abs(age) > TOLERANCE.total_seconds():
        when = f"{age} s old" if age > 0 else f"{-age} s in the future"
        raise BadSignature(f"the signature is {when}: more than 5 minutes are not accepted; compare the two clocks")


def _check_length(key: bytes) -> None:
    if not KEY_AT_LEAST <= len(key) <= KEY_AT_MOST:
        raise BadInput(
            f"a signing secret holds {KEY_AT_LEAST} to {KEY_AT_MOST} random bytes, not {len(key)}: "
            "make one with `ringback secret`"
        )
