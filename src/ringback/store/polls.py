"""Where polls that changed nothing have come to: a crash may forget it, a stop in order does not.

Secret: what of a watch that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter

from msgspec.structs import replace

from ringback.core.advance import FORGETTABLE
from ringback.core.model import Watch
from ringback.store.base import Poll, Polled

_forgettable = attrgetter(*FORGETTABLE)


def noted(known: Watch, poll: Watch | Poll) -> Watch:
    """The watch that is known, where a poll has brought it."""
    return replace(known, **dict(zip(FORGETTABLE, _forgettable(poll), strict=True)))


def all_noted(known: Mapping[str, Watch], polled: Polled) -> list[Watch]:
    """The watches that have not moved on since, where polls had brought them."""
    there = ((known.get(poll.id), poll) for poll in polled.watches)
    return [noted(watch, poll) for watch, poll in there if watch is not None and watch.version == poll.version]


def of_open(watches: Iterable[Watch]) -> list[Poll]:
    """Of every watch that is not over."""
    return [Poll(watch.id, watch.version, *_forgettable(watch)) for watch in watches if not watch.state.final]
