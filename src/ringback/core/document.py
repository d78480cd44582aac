"""A JSON value of the provider's, kept as text: what is passed on whole must not be rebuilt from parts.

Secret: how a value that may be large is carried, compared and named. Pure.
"""

from __future__ import annotations

import hashlib

import msgspec

NOT_HERE = msgspec.Raw()


class Document(msgspec.Struct, frozen=True, gc=False, eq=False, omit_defaults=True):
    """A JSON value of the provider's, kept as its UTF-8 text; equal when the text is.

    `json` is empty while only the store holds the text (a claimed watch does not carry its large documents). `size` is
    in bytes.
    """

    digest: str
    size: int
    json: msgspec.Raw = NOT_HERE

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Document) and (self.digest, self.size) == (other.digest, other.size))

    def __ne__(self, other: object) -> bool:  # msgspec's own compares identity when eq is off
        return not self == other

    def __hash__(self) -> int:
        return hash(self.digest)

    @classmethod
    def of_text(cls, text: bytes) -> Document:
        """Wrap UTF-8 JSON text."""
        return cls(digest(text), len(text), msgspec.Raw(text))

    @property
    def text(self) -> bytes:
        """The JSON text; raises LookupError when it was not read from the store."""
        if self.json is NOT_HERE:
            raise LookupError(f"document {self.digest} was not read from the store")
        return bytes(self.json)


def digest(text: bytes) -> str:
    """128 bits of SHA-256 as 32 hexadecimal digits."""
    return hashlib.sha256(text).hexdigest()[:32]
