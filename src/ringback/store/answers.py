"""The last answer of each watch, packed: they are many, mostly headers that everybody sends, and rarely looked at.

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

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Answer).decode
_packer = zlib.compressobj(1, zlib.DEFLATED, -12, 4, zdict=_USUAL)
_unpacker = zlib.decompressobj(-12, zdict=_USUAL)


class Answers:
    """Answers by watch id; what comes out equals what went in."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._packed)

    def __setitem__(self, watch: str, answer: Answer) -> None:
        packer = _packer.copy()
        self._packed[watch] = packer.compress(_pack(answer)) + packer.flush()

    def get(self, watch: str) -> Answer | None:
        """The answer of a watch, if it has one."""
        packed = self._packed.get(watch)
        return _unpack(_unpacker.copy().decompress(packed)) if packed is not None else None

    def forget(self, watch: str) -> None:
        """The watch is gone."""
        self._packed.pop(watch, None)

    def items(self) -> Iterator[tuple[str, Answer]]:
        """Every answer with its watch."""
        return ((watch, _unpack(_unpacker.copy().decompress(packed))) for watch, packed in self._packed.items())
