"""What the poller remembers of a watch from one poll to the next, so that a poll that brings nothing new costs little.

    request   prepared once a watch: again only when what it is made of has changed, or its signature
    same      whether an answer is, byte for byte, the one that the watch was last read from

Secret: when what is remembered still holds. Forgetting any of it costs time, never truth.
"""

from __future__ import annotations

from operator import is_

import msgspec
from msgspec.structs import replace

from ringback.core import lifecycle
from ringback.core.model import Answer, Observation, Watch
from ringback.outbound import Prepared
from ringback.providers.base import Ask

REQUESTS = 20_000
"""Requests that are remembered, two thirds of a kilobyte each; then the oldest makes room."""

HEADERS = 1024
"""Sets of headers that are kept once for all requests that have them: an account's, mostly."""

ANSWERS = 1_000_000
"""Watches of which is remembered what the last answer was: about a hundred bytes each."""


class _Request(msgspec.Struct, gc=False):
    """A watch's request: before it is signed, and as it was last signed and prepared."""

    made_of: tuple[object, ...]
    unsigned: Ask
    signed: Ask | None = None
    prepared: Prepared | None = None


class Recent:
    """Of each watch, its request and the digest of its last answer."""

    def __init__(self) -> None:
        self._requests: dict[str, _Request] = {}
        self._answers: dict[str, int] = {}
        self._headers: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    # ------------------------------------------------------------------ requests

    def unsigned(self, watch: Watch, made_of: tuple[object, ...]) -> Ask | None:
        """The watch's request before it is signed, if it was made of the very same things."""
        known = self._requests.get(watch.id)
        return known.unsigned if known is not None and all(map(is_, made_of, known.made_of)) else None

    def begin(self, watch: Watch, made_of: tuple[object, ...], unsigned: Ask) -> Ask:
        """Remember a request that was just made."""
        self._requests.pop(watch.id, None)
        if len(self._requests) >= REQUESTS:
            del self._requests[next(iter(self._requests))]
        self._requests[watch.id] = _Request(made_of, self._slim(unsigned))
        return unsigned

    def prepared(self, watch: Watch, signed: Ask) -> Prepared | None:
        """The request as it goes out, if it was last signed the same: few signatures depend on the time."""
        known = self._requests.get(watch.id)
        return known.prepared if known is not None and known.signed == signed else None

    def remember(self, watch: Watch, signed: Ask, prepared: Prepared) -> Prepared:
        """Remember how it goes out when it is signed so."""
        known = self._requests.get(watch.id)
        if known is not None:
            known.signed, known.prepared = self._slim(signed), prepared
        return prepared

    def _slim(self, ask: Ask) -> Ask:
        """The same request; its headers are those of others, too."""
        if len(self._headers) >= HEADERS:
            self._headers.clear()
        return replace(ask, headers=self._headers.setdefault(tuple(ask.headers.items()), ask.headers))

    # ------------------------------------------------------------------ answers

    def same(self, watch: Watch, answer: Answer) -> bool:
        """Whether this very answer was the last one that was read for the watch, and the watch is as it left it.

        One that asks for patience is never the same: it counts from now.
        """
        return self._answers.get(watch.id) == _digest(watch, answer) and "retry-after" not in answer.headers

    def read(self, watch: Watch, seen: Observation, answer: Answer) -> None:
        """The watch is what this answer was read as. One that said more than a watch keeps is read again next time."""
        digest = _digest(watch, answer)
        if self._answers.get(watch.id) == digest:
            return
        if seen != lifecycle.as_it_is(watch):
            self._answers.pop(watch.id, None)
        elif watch.id in self._answers or len(self._answers) < ANSWERS:
            self._answers[watch.id] = digest

    def forget(self, watch: Watch) -> None:
        """It is over."""
        self._requests.pop(watch.id, None)
        self._answers.pop(watch.id, None)


def _digest(watch: Watch, answer: Answer) -> int:
    """64 bits, and of this process only. The version says that nobody else has moved the watch meanwhile."""
    return hash((watch.version, answer.status, answer.body))
