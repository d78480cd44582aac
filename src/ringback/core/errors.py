"""Every exception ringback raises on purpose.

    RingbackError                 has a stable `code`, one sentence that says what to do, and the facts
    |- BadInput                   what was asked for cannot be done as asked
    |  `- UnknownName             a provider, account, destination or id that does not exist
    |- Forbidden                  the caller may not do this
    |- Conflict                   it is not in the state that this needs (a final watch cannot be polled)
    |- Stale                      somebody else committed first: read again and decide again
    |- SettingsError              the configuration has problems: all of them, each with its key
    |- PresetError                a preset cannot be used: file, key, what was expected
    |- SetupError                 the surroundings refuse: port in use, directory not writable, already running
    |- Unreachable                the daemon does not answer a command
    `- StoreError
       |- StoreLocked             another daemon has this store
       |- StoreDamaged            a record in the middle is bad: file and byte
       |- StoreFull               no space: nothing was kept, nothing was lost; try again
       `- StoreBroken             the disk failed under us: the process must end and replay decide

Secret: the tree and the codes. Pure. web/ maps a class to an HTTP status, cli/ to an exit code, each in one table.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RingbackError(Exception):
    """A surprise with a name.

    `code` is stable and machine-readable, `message` one sentence that says what to do, `facts` which watch, file, byte.
    """

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.facts = facts


class BadInput(RingbackError):
    """What was asked for cannot be done as asked."""

    code = "bad_input"


class UnknownName(BadInput):
    """A name that does not exist, with the nearest that does."""

    code = "not_found"


class Forbidden(RingbackError):
    """The caller may not do this."""

    code = "forbidden"


class Conflict(RingbackError):
    """The thing is not in the state that this needs."""

    code = "conflict"


class Stale(RingbackError):
    """The watch or delivery moved on since it was read."""

    code = "stale"


class SettingsError(RingbackError):
    """Everything that is wrong with the configuration, each problem with its key."""

    code = "bad_configuration"

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class PresetError(RingbackError):
    """A preset cannot be used."""

    code = "bad_preset"


class SetupError(RingbackError):
    """The surroundings refuse."""

    code = "setup"


class Unreachable(RingbackError):
    """The daemon does not answer."""

    code = "unreachable"


class StoreError(RingbackError):
    """The store cannot do its work."""

    code = "store"


class StoreLocked(StoreError):
    """Another daemon has this store."""

    code = "store_locked"


class StoreDamaged(StoreError):
    """A record that was acknowledged cannot be read."""

    code = "store_damaged"


class StoreFull(StoreError):
    """No space is left: nothing was kept."""

    code = "store_full"


class StoreBroken(StoreError):
    """The disk failed: what is durable is decided by replay, in a new process."""

    code = "store_broken"


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for a near miss, else an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean '{found[0]}'?" if found else ""
