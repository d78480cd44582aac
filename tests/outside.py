"""What stands for the network: requests are prepared as ever, and whoever plays the other side sees them go out."""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec

from ringback.carrier import spelled
from ringback.core.model import Answer
from ringback.outbound import Outbound, Prepared, Via


class Outgoing(msgspec.Struct, frozen=True):
    """A request as it went out, and on which way."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    via: Via


class Outside(ABC):
    """An Outbound whose other side is `send`."""

    def __init__(self) -> None:
        self._outbound = Outbound()

    def prepare(self, ask: object, **way: object) -> Prepared:
        return self._outbound.prepare(ask, **way)

    async def carry(self, prepared: Prepared, **_: object) -> Answer:
        request = prepared.request
        lines = request.headers.decode().splitlines()
        return await self.send(
            Outgoing(
                request.method,
                spelled(request.origin) + request.path.decode(),
                dict(line.split(": ", 1) for line in lines),
                request.body,
                prepared.via,
            )
        )

    @abstractmethod
    async def send(self, sent: Outgoing) -> Answer:
        """What the other side answers to a request that went out."""
