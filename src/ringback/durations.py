"""How people write a length of time: `200ms`, `5s`, `10m`, `2h`, `7d`.

Secret: the spelling. Pure. The settings, the API and the command line read it here, so that it is one.
"""

from __future__ import annotations

import re
from datetime import timedelta

from ringback.core.errors import BadInput

UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
LONGEST = timedelta(days=3650)
"""Longer ones are slips of the pen, and would leave the calendar when added to a time."""

_FORM = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")


def duration(text: str) -> timedelta:
    """Read a duration. Raises BadInput with the accepted forms."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{text[:40]!r} is not a duration; write e.g. 200ms, 5s, 10m, 2h or 7d")
    number, unit = float(found[1]), UNITS[found[2]]
    if number * unit.total_seconds() > LONGEST.total_seconds():
        raise BadInput(f"{text[:40]!r} is too long; the longest duration is {LONGEST.days}d")
    return number * unit


def spelled(span: timedelta) -> str:
    """Write a duration, in the largest unit that leaves no rest."""
    name, unit = next((pair for pair in reversed(UNITS.items()) if not span % pair[1]), ("ms", UNITS["ms"]))
    return f"{span / unit:g}{name}"
