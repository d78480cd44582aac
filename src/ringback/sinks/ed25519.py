"""Signatures that everybody can check and only we can make: `v1a` of Standard Webhooks.

    whsk_ + base64 of the 32-byte seed, or of seed and public key       signs; ours alone
    whpk_ + base64 of the 32-byte public key                            checks; anybody's

Secret: the library under it (the extra `ed25519`), and the form of its keys. Pure. No key is in a message of this file.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from ringback.core.errors import BadInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SECRET = "whsk_"  # noqa: S105 - what a secret begins with
PUBLIC = "whpk_"
SIZE = 32


def is_ours(key: str) -> bool:
    """Whether it says of itself that it is one of the two."""
    return key.startswith((SECRET, PUBLIC))


def secret_from(seed: bytes) -> str:
    """The secret that a seed of 32 random bytes makes. Raises BadInput."""
    if len(seed) != SIZE:
        raise BadInput(f"an ed25519 key is made of {SIZE} random bytes, not {len(seed)}")
    return SECRET + base64.b64encode(seed + _raw(_private(seed).public_key())).decode()


def public_of(key: str) -> str:
    """What the receivers of a secret's signatures check them with. Raises BadInput."""
    return PUBLIC + base64.b64encode(_raw(_checker(key))).decode()


def signature(secret: str, message: bytes) -> bytes:
    """Raises BadInput for a secret that cannot sign."""
    return _signer(secret).sign(message)


def matches(key: str, given: bytes, message: bytes) -> bool:
    """Whether the holder of the secret signed this; `key` is the secret or its public half. Raises BadInput."""
    public = _checker(key)
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    try:
        public.verify(given, message)
    except InvalidSignature:
        return False
    return True


def check(secret: str) -> bytes:
    """The seed of a secret that can sign. Raises BadInput."""
    return _signer(secret).private_bytes_raw()


def _signer(secret: str) -> Ed25519PrivateKey:
    """A secret with its public key in it is whole only when the two belong together."""
    if secret.startswith(PUBLIC):
        raise BadInput("a whpk_ key only checks signatures: sign with the whsk_ key that it was made from")
    raw = _bytes(secret.removeprefix(SECRET))
    if len(raw) not in (SIZE, 2 * SIZE):
        raise BadInput(f"a whsk_ secret holds {SIZE} or {2 * SIZE} bytes, not {len(raw)}")
    private = _private(raw[:SIZE])
    if raw[SIZE:] not in (b"", _raw(private.public_key())):
        raise BadInput("the two halves of the whsk_ secret do not belong together: copy it again, whole")
    return private


def _checker(key: str) -> Ed25519PublicKey:
    if key.startswith(SECRET):
        return _signer(key).public_key()
    raw = _bytes(key.removeprefix(PUBLIC))
    if len(raw) != SIZE:
        raise BadInput(f"a whpk_ key holds {SIZE} bytes, not {len(raw)}")
    _library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - an extra

    return Ed25519PublicKey.from_public_bytes(raw)


def _private(seed: bytes) -> Ed25519PrivateKey:
    _library()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - an extra

    return Ed25519PrivateKey.from_private_bytes(seed)


def _library() -> None:
    try:
        import cryptography  # noqa: F401, PLC0415 - an extra
    except ImportError as exc:
        raise BadInput(
            "a whsk_ or whpk_ key needs a library that is not installed: pip install 'ringback[ed25519]', or use a "
            "whsec_ secret"
        ) from exc


def _raw(public: Ed25519PublicKey) -> bytes:
    return public.public_bytes_raw()


def _bytes(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise BadInput(
            "a whsk_ or whpk_ key is its prefix and standard base64 (A-Z a-z 0-9 + /): copy it again"
        ) from exc
