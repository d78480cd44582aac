"""The last answer of each watch, packed: they are many, much like each other, and rarely looked at.

Secret: how an answer is packed in memory. No disk, and no other process, ever sees it so.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import msgspec

from ringback.core.model import Answer

_USUAL = b" ".join(
    (
        b'{"id":"","task_id":"","request_id":"","status":"queued","status":"completed","status":"failed","output":[],',
        b'"created_at":"2026-,"updated_at":"2026-,"started_at":null,"progress":0,"error":null,"message":"","code":0,',
        b'"data":{"video_url":"https://","url":"https://","success":true,"result":null,"steps":[{"step":1,"status":"',
        b"max-age=31536000; includeSubDomains strict-transport-security cf-cache-status DYNAMIC cf-ray",
        b"x-content-type-options nosniff vary Accept-Encoding access-control-allow-origin cache-control no-cache,",
        b"no-store, private x-ratelimit-remaining set-cookie server cloudflare nginx connection keep-alive",
        b"x-request-id transfer-encoding chunked date Mon, Tue, Wed, Thu, Fri, Sat, Sun, 2026 00:00:00 GMT",
        b"content-length content-type application/json; charset=utf-8 status headers body at",
    )
)
"""What most answers have in common."""

LIKENESS = 2048
"""Bytes of that first one."""

KINS = 250
"""Sorts of answers that are told apart. The first of each is what the others are packed by."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Answer).decode


class _Kin:
    """Answers that are like one another: what they have in common is kept once."""

    def __init__(self, first: bytes) -> None:
        known = _USUAL + first[:LIKENESS]
        self._packer = zlib.compressobj(1, zlib.DEFLATED, -12, 4, zdict=known)
        self._unpacker = zlib.decompressobj(-12, zdict=known)

    def pack(self, plain: bytes) -> bytes:
        packer = self._packer.copy()
        return packer.compress(plain) + packer.flush()

    def unpack(self, packed: bytes) -> bytes:
        return self._unpacker.copy().decompress(packed)


class Answers:
    """Answers by watch id; what comes out equals what went in. The first byte of each says which kin it is of."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}
        self._kins = [_Kin(b"")]
        self._numbers: dict[tuple[str, ...], int] = {}

    def __len__(self) -> int:
        return len(self._packed)

    def __setitem__(self, watch: str, answer: Answer) -> None:
        plain = _pack(answer)
        number = self._number(answer, plain)
        self._packed[watch] = bytes((number,)) + self._kins[number].pack(plain)

    def get(self, watch: str) -> Answer | None:
        """The answer of a watch, if it has one."""
        packed = self._packed.get(watch)
        return self._unpacked(packed) if packed is not None else None

    def forget(self, watch: str) -> None:
        """The watch is gone."""
        self._packed.pop(watch, None)

    def items(self) -> Iterator[tuple[str, Answer]]:
        """Every answer with its watch."""
        return ((watch, self._unpacked(packed)) for watch, packed in self._packed.items())

    def _number(self, answer: Answer, plain: bytes) -> int:
        """Of the kin: answers with the same headers mostly come from the same API."""
        names = tuple(answer.headers)
        number = self._numbers.get(names)
        if number is None and len(self._kins) <= KINS:
            number = self._numbers[names] = len(self._kins)
            self._kins.append(_Kin(plain))
        return number or 0

    def _unpacked(self, packed: bytes) -> Answer:
        return _unpack(self._kins[packed[0]].unpack(packed[1:]))
