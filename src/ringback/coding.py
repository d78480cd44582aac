"""The content codings of an answer's body (RFC 9110, 8.4): what it is once unpacked.

Secret: how it is unpacked within a limit, and which words of servers mean nothing.
"""

from __future__ import annotations

import zlib

from ringback.connection import TooMuch

UNPACKED = frozenset({"gzip", "x-gzip", "deflate"})
NOT_UNPACKED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Content codings (RFC 9110, 8.4.1) that we undo, and those that we do not."""

GZIP = b"\x1f\x8b"
MEMBERS = 100
"""Members of one gzip body: blocks of 64 KB make so many of an answer. What follows one is copied for the next."""

WAYS = 3
"""Codings one upon the other; no server uses more than two, and each may take as long as the body is large."""


class Undecodable(Exception):
    """The body is not what its content-encoding says."""


def plain(packed: bytes, encoding: str, limit: int, *, truncate: bool) -> bytes:
    """The body unpacked, and never a byte beyond the limit: a bomb costs what an honest body costs.

    We ask for identity, but gateways compress regardless, and a receiver that took an event must not count as failed
    for that. So gzip and deflate are unpacked. A word that is no way of packing changes nothing, as in httpx.
    Raises Undecodable, and TooMuch, unless what there is of it will do (`truncate`).
    """
    body, ways = packed, encoding.split(",")
    for way in reversed(ways):
        if way.strip() in NOT_UNPACKED or len(ways) > WAYS:
            if truncate:
                return b""
            raise Undecodable
        if way.strip() in UNPACKED:
            try:
                body = _unpacked(body, limit, whole=not truncate)
            except zlib.error as exc:
                if truncate:
                    return b""
                raise Undecodable from exc
    return body[:limit] if truncate else body


def _unpacked(packed: bytes, limit: int, *, whole: bool) -> bytes:
    """Gzip of some members (RFC 1952), zlib, or bare deflate. Raises zlib.error, and TooMuch if `whole`."""
    has_head = packed[:2] == GZIP or (packed[:1] and packed[0] & 15 == 8 and int.from_bytes(packed[:2]) % 31 == 0)  # noqa: PLR2004
    parts, size = list[bytes](), 0
    while packed and (not parts or packed[:2] == GZIP):
        if len(parts) == MEMBERS:
            raise zlib.error("too many members")
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32 if has_head else -zlib.MAX_WBITS)
        parts.append(unpacking.decompress(packed, limit + 1 - size))
        size += len(parts[-1])
        if size > limit:
            if whole:
                raise TooMuch
            break
        if whole and not unpacking.eof:
            raise zlib.error("cut short")
        packed = unpacking.unused_data
    return b"".join(parts)
