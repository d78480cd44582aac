"""What the poller remembers of a watch from one poll to the next, so that a poll that brings nothing new costs little.

    request   prepared once a watch: again only when what it is made of has changed, its credential, or its signature
    same      whether an answer is, byte for byte, the one that the watch was last read from

Secret: when what is remembered still holds. Forgetting any of it costs time, never truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from ringback.core import lifecycle
from ringback.core.model import NOTHING, Answer, Observation, Watch
from ringback.outbound import Prepared, Via
from ringback.providers.base import Ask

REQUESTS = 16_000
"""Requests that are remembered, two thirds of a kilobyte each."""

HEADERS = 1024
"""Sets of headers that are kept once for all requests that have them: an account's, mostly."""

ANSWERS = 400_000
"""Watches of which is remembered what the last answer was, a hundred bytes each."""


_Value = TypeVar("_Value")


class MadeOf(msgspec.Struct, frozen=True, gc=False):
    """What a request is made of, beside the task's id."""

    provider: object
    terms: object
    credentials: object
    params: Mapping[str, str]
    secrets: Mapping[str, str]

    def is_still(self, now: MadeOf) -> bool:
        """Whether it is made of the very same things now."""
        return (
            self.provider is now.provider
            and self.terms is now.terms
            and self.credentials is now.credentials
            and self.params is now.params
            and self.secrets is now.secrets
        )


class Known(msgspec.Struct, gc=False):
    """A watch's request: before it is signed, its way out, and as it last went out, with which credential."""

    made_of: MadeOf | None
    unsigned: Ask
    via: Via
    given: Mapping[str, str] = NOTHING
    prepared: Prepared | None = None


class _Lately(Generic[_Value]):
    """What was used lately, in two halves: when the newer one is full, the older one goes, whatever is in it."""

    def __init__(self, at_most: int) -> None:
        self._half = at_most // 2
        self._newer: dict[str, _Value] = {}
        self._older: dict[str, _Value] = {}

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def get(self, id: str) -> _Value | None:
        found = self._newer.get(id)
        if found is None and id in self._older:
            found = self._older.pop(id)
            self.put(id, found)
        return found

    def put(self, id: str, value: _Value) -> None:
        if len(self._newer) >= self._half and id not in self._newer:
            self._newer, self._older = {}, self._newer
        self._newer[id] = value

    def forget(self, id: str) -> None:
        self._newer.pop(id, None)
        self._older.pop(id, None)


class Recent:
    """Of each watch, its request and the digest of its last answer."""

    def __init__(self) -> None:
        self._requests: _Lately[Known] = _Lately(REQUESTS)
        self._answers: _Lately[int] = _Lately(ANSWERS)
        self._headers: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    # ------------------------------------------------------------------ requests

    def request(self, watch: Watch, made_of: MadeOf) -> Known | None:
        """The watch's request, if it was made of the very same things."""
        known = self._requests.get(watch.id)
        if known is None or known.made_of is None or not known.made_of.is_still(made_of):
            return None
        return known

    def begin(self, watch: Watch, made_of: MadeOf, unsigned: Ask, via: Via) -> Known:
        """Remember a request that was just made."""
        known = Known(made_of, self._slim(unsigned), via)
        self._requests.put(watch.id, known)
        return known

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
        if seen == lifecycle.as_it_is(watch):
            self._answers.put(watch.id, digest)
        else:
            self._answers.forget(watch.id)

    def forget(self, watch: Watch) -> None:
        """It is over."""
        self._requests.forget(watch.id)
        self._answers.forget(watch.id)


def _digest(watch: Watch, answer: Answer) -> int:
    """64 bits, and of this process only. The version says that nobody else has moved the watch meanwhile."""
    return hash((watch.version, answer.status, answer.body))
