"""The vendor's words for where a task stands, and what they mean.

Secret: which state a word stands for, and what the words for several parts come to together. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ringback.core.model import WatchState
from ringback.providers.reading import RANGE
from ringback.providers.status import STATES

_WHOLE = re.compile(r"-?[0-9]{1,9}")


class Words:
    """The vendor's words and the states they mean. A key such as `40-49` is every whole number from 40 to 49."""

    __slots__ = ("_fold", "_ranges", "_states")

    def __init__(self, states: Mapping[str, str], *, ignore_case: bool) -> None:
        ranges = {word: found for word in states if (found := RANGE.fullmatch(word))}
        self._fold = ignore_case
        self._ranges = [(int(found[1]), int(found[2]), STATES[states[word]]) for word, found in ranges.items()]
        self._states = {
            word.casefold() if ignore_case else word: STATES[state]
            for word, state in states.items()
            if word not in ranges
        }

    def state(self, word: str) -> WatchState | None:
        """What a word means; None for one that is not listed."""
        found = self._states.get(word.casefold() if self._fold else word)
        if found is None and self._ranges and _WHOLE.fullmatch(word):
            return next((state for first, last, state in self._ranges if first <= int(word) <= last), None)
        return found

    def together(self, words: Sequence[str]) -> tuple[str, WatchState | None]:
        """The word and the state of a whole from those of its parts, of which there is one at least.

        One that failed fails the whole, which succeeds when every part has. A part whose word is not listed, or that
        has none yet (""), keeps the whole from being over.
        """
        states = [self.state(word) for word in words]
        if WatchState.FAILED in states:
            return words[states.index(WatchState.FAILED)], WatchState.FAILED
        if None in states:
            return words[states.index(None)], None
        state = _combined([state for state in states if state is not None])
        return words[states.index(state)] if state in states else state.value, state


def _combined(states: Sequence[WatchState]) -> WatchState:
    """Of parts none of which failed."""
    if all(state is states[0] for state in states):
        return states[0]
    return WatchState.CANCELLED if all(state.final for state in states) else WatchState.RUNNING
