"""What an exception is worth as an exit code.

Secret: the exit codes; docs/reference shows this table.

    0    done
    1    the task failed (`wait`), a problem was found (`check`), damage was found (`store verify`), documents are
         gone (`store export`, `store repair`), a preset is wrong (`providers check`), a test event was not delivered
         (`destinations test`)
    2    what was asked for cannot be done as asked: usage, settings, presets, or no daemon answers
    3    the task was cancelled (`wait`)
    4    the task expired or vanished (`wait`)
    5    the store is damaged: starting again does not help
    6    the surroundings refuse (port in use, store locked, disk full or broken): starting again may help
    70   a mistake of ours
    130  interrupted (Ctrl-C)
    141  whoever read our output went away
"""

from __future__ import annotations

from collections.abc import Mapping

from ringback.core import errors

DONE = 0
FOUND = 1
USAGE = 2
CANCELLED = 3
LOST = 4
DAMAGED = 5
REFUSED = 6
BUG = 70
INTERRUPTED = 130
PIPE = 141

CODES: Mapping[type[errors.RingbackError], int] = {
    errors.BadInput: USAGE,
    errors.Forbidden: USAGE,
    errors.Conflict: USAGE,
    errors.Stale: USAGE,
    errors.SettingsError: USAGE,
    errors.PresetError: USAGE,
    errors.Unreachable: USAGE,
    errors.SetupError: REFUSED,
    errors.StoreDamaged: DAMAGED,
    errors.StoreError: REFUSED,
}
"""By the nearest class; whatever is not of this tree is a mistake of ours."""


def code_of(error: BaseException) -> int:
    """The exit code of an exception that ended a command."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), BUG)
