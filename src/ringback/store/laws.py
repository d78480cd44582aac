"""The laws of a table: what the changes of watches have taught.

Secret: how many are kept, and which one goes. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from ringback.core.law import Kind, Law, kind_of, taught
from ringback.core.model import Watch

AT_MOST = 1000
"""Kinds of tasks: a key comes from whoever registers. The one that was taught the longest ago goes."""


class Laws:
    """By kind, the one that was taught last at the end."""

    def __init__(self) -> None:
        self._laws: dict[Kind, Law] = {}

    def learn(self, watch: Watch, took: timedelta | None) -> None:
        """A watch was changed; when its task is over that may teach the law of its kind."""
        if took is not None:
            kind = kind_of(watch)
            self.put([taught(self._laws.pop(kind, Law(kind)), took)])

    def put(self, laws: Iterable[Law]) -> None:
        """Keep them as the ones that were taught last."""
        self._laws.update((law.kind, law) for law in laws)
        while len(self._laws) > AT_MOST:
            del self._laws[next(iter(self._laws))]

    def of(self, kind: Kind) -> Law | None:
        """What is known of a kind."""
        return self._laws.get(kind)

    def all(self) -> tuple[Law, ...]:
        """Every law."""
        return tuple(self._laws.values())
