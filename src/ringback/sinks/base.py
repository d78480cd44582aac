"""The seam to the channels: seam 3. How an event reaches somebody.

Secret: none of its own; the obligations of every sink (tests/sinks/contract.py holds each to them):

1.  `send` never raises for anything a receiver can do: whatever happens is an Outcome. It ends within the sink's total
    time-out, whatever the other side does, and reads a bounded part of the answer.
2.  `delivered` only when the receiver said so. What may pass is `failed`; what will never pass is `refused`, with a
    sentence that says why.
3.  The same delivery sent twice can be recognised as the same by the receiver.
4.  No secret (key, token, password, path or query of a callback) is in an outcome's message or excerpt.
5.  A sink may be given several messages of one destination at once (a digest); the others send the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from ringback.core.model import Event
from ringback.core.retry import Outcome


class Message(msgspec.Struct, frozen=True):
    """One delivery to send: its event, the number of this attempt, the lane's handle from last time."""

    delivery_id: str
    event: Event
    attempt: int
    handle: str | None = None


class Sent(msgspec.Struct, frozen=True):
    """How it went; a handle that is not None is kept for the lane."""

    outcome: Outcome
    handle: str | None = None


class Sink(Protocol):
    """One configured place to ring back."""

    async def send(self, messages: Sequence[Message], now: datetime) -> Sent:
        """Send; `now` is the time of this attempt."""
