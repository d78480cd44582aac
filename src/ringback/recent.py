"""What the poller remembers from one poll to the next, so that a poll that brings nothing new costs little.

    request   made once for all watches that are asked about alike, where only its URL names the task; else once a watch
    same      whether an answer is, byte for byte, the one that the watch was last read from

Secret: when what is remembered still holds. Forgetting any of it costs time, never truth.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import msgspec

from ringback.carrier import Request
from ringback.core import lifecycle
from ringback.core.model import NOTHING, Answer, Observation, Watch
from ringback.outbound import Prepared, Via
from ringback.providers.base import Ask

REQUESTS = 16_000
"""Requests that are remembered, less than a kilobyte each."""

ANSWERS = 400_000
"""Watches of which is remembered what the last answer was, a hundred bytes each."""

ANY = "ringback-asks-about-any-task"
"""Stands where a task's id does, in a request that is made for many."""

_ANY = ANY.encode()
_TARGET = re.compile(r"https?://[^/?#]+[/?][^#]*").fullmatch

_Value = TypeVar("_Value")


class MadeOf(msgspec.Struct, frozen=True, gc=False):
    """What a request is made of, beside the watch."""

    provider: object
    terms: object
    credentials: object

    def is_still(self, now: MadeOf) -> bool:
        """Whether it is made of the very same things now."""
        return self.provider is now.provider and self.terms is now.terms and self.credentials is now.credentials


class Known(msgspec.Struct, gc=False):
    """A request: before it is signed, its way out, and as it last went out, with which credential.

    One that `is_about_any` is made for ANY, and another task's id may stand in its place.
    """

    unsigned: Ask
    via: Via
    made_of: MadeOf | None = None
    is_about_any: bool = False
    given: Mapping[str, str] = NOTHING
    prepared: Prepared | None = None


def alike(watch: Watch) -> tuple[Hashable, ...]:
    """What those have in common whose requests differ by nothing but the task's id."""
    if not watch.params and not watch.secrets:
        return (watch.provider, watch.account, watch.dialect)
    return (watch.provider, watch.account, watch.dialect, *watch.params.items(), *watch.secrets.items())


def is_plain(task_id: str) -> bool:
    """Whether an id is written the same way wherever it stands in a URL: letters, digits, hyphens and underscores."""
    return task_id.isascii() and task_id.replace("-", "").replace("_", "").isalnum()


def fits_any(ask: Ask) -> bool:
    """Whether a request about ANY names it once, and in what its URL asks for at the host: an id can stand there."""
    before, *after = ask.url.split(ANY)
    elsewhere = (*ask.headers.values(), (ask.body or b"").decode("utf-8", "replace"))
    return len(after) == 1 and _TARGET(before) is not None and not any(ANY in text for text in elsewhere)


def about(prepared: Prepared, task_id: str) -> Prepared:
    """The request about ANY as one about this task, whose id is plain."""
    made = prepared.request
    path = made.path.replace(_ANY, task_id.encode())
    return Prepared(Request(made.method, made.origin, path, made.headers, made.body), prepared.via, prepared.url)


class _Lately(Generic[_Value]):
    """What was used lately, in two halves: when the newer one is full, the older one goes, whatever is in it."""

    def __init__(self, at_most: int) -> None:
        self._half = at_most // 2
        self._newer: dict[Hashable, _Value] = {}
        self._older: dict[Hashable, _Value] = {}

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def get(self, key: Hashable) -> _Value | None:
        found = self._newer.get(key)
        if found is None and key in self._older:
            found = self._older.pop(key)
            self.put(key, found)
        return found

    def put(self, key: Hashable, value: _Value) -> None:
        if len(self._newer) >= self._half and key not in self._newer:
            self._newer, self._older = {}, self._newer
        self._newer[key] = value

    def forget(self, key: Hashable) -> None:
        self._newer.pop(key, None)
        self._older.pop(key, None)


class Recent:
    """The requests that were made lately, and of each watch the digest of its last answer."""

    def __init__(self) -> None:
        self._requests: _Lately[Known] = _Lately(REQUESTS)
        self._answers: _Lately[int] = _Lately(ANSWERS)

    # ------------------------------------------------------------------ requests

    def request(self, key: Hashable, made_of: MadeOf) -> Known | None:
        """The request of this key, if it was made of the very same things."""
        known = self._requests.get(key)
        return known if known is not None and known.made_of is not None and known.made_of.is_still(made_of) else None

    def begin(self, key: Hashable, known: Known) -> Known:
        """Remember a request that was just made."""
        self._requests.put(key, known)
        return known

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

    def forget_answers(self) -> None:
        """They may be read as something else from now on."""
        self._answers = _Lately(ANSWERS)

    def forget(self, watch: Watch) -> None:
        """It is over."""
        self._requests.forget((*alike(watch), watch.task_id))
        self._answers.forget(watch.id)


def _digest(watch: Watch, answer: Answer) -> int:
    """64 bits, and of this process only. The version says that nobody else has moved the watch meanwhile."""
    return hash((watch.version, answer.status, answer.body))
