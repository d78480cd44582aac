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
MEMBERS = 1000
"""Members of one gzip body; no server makes more than a few."""


class Undecodable(Exception):
    """The body is not what its content-encoding says."""


def plain(packed: bytes, encoding: str, limit: int, *, truncate: bool) -> bytes:
    """The body unpacked, and never a byte beyond the limit: a bomb costs what an honest body costs.

    We ask for identity, but gateways compress regardless, and a receiver that took an event must not count as failed
    for that. So gzip and deflate are unpacked. A word that is no way of packing changes nothing, as in httpx.
    Raises Undecodable, and TooMuch, unless what there is of it will do (`truncate`).
    """
    body = packed
    for way in reversed(encoding.split(",")):
        if way.strip() in NOT_UNPACKED:
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
    """Gzip of any number of members (RFC 1952), zlib, or bare deflate. Raises zlib.error, and TooMuch if `whole`."""
    has_head = packed[:2] == GZIP or (packed[:1] and packed[0] & 15 == 8 and int.from_bytes(packed[:2]) % 31 == 0)  # noqa: PLR2004
    body, members = b"", 0
    while packed and members < MEMBERS and (not members or packed[:2] == GZIP):
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32 if has_head else -zlib.MAX_WBITS)
        body += unpacking.decompress(packed, limit + 1 - len(body))
        if len(body) > limit:
            if whole:
                raise TooMuch
            return body
        if whole and not unpacking.eof:
            raise zlib.error("cut short")
        packed, members = unpacking.unused_data, members + 1
    return body
