"""Answers that were noted but not kept: those of polls that changed nothing.

Secret: how many. They are for people who look; a limit in bytes forgets the oldest, and then the kept one is shown.
"""

from __future__ import annotations

from ringback.core.model import Answer

AT_MOST = 4 * 1024 * 1024
"""Bytes of all answers: some 1,600 small ones."""

_WITH_EACH = 2048
"""Bytes that an answer takes beside its body, about."""


class Noted:
    """The last noted answer of each watch."""

    def __init__(self, at_most: int = AT_MOST) -> None:
        self._at_most = at_most
        self._answers: dict[str, Answer] = {}
        self._bytes = 0

    def note(self, watch: str, answer: Answer) -> None:
        """Remember it, instead of the one before."""
        self.forget(watch)
        self._answers[watch] = answer
        self._bytes += len(answer.body) + _WITH_EACH
        while self._bytes > self._at_most:
            self.forget(next(iter(self._answers)))

    def forget(self, watch: str) -> None:
        """A newer one was kept, or the watch is gone."""
        known = self._answers.pop(watch, None)
        if known is not None:
            self._bytes -= len(known.body) + _WITH_EACH

    def get(self, watch: str) -> Answer | None:
        """What was noted last."""
        return self._answers.get(watch)
