"""How long an answer asks us to wait: the Retry-After header, in seconds or as a date.

Secret: the header's two forms, and what servers really put there. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

AT_MOST = timedelta(days=366)
"""Whoever acts on it has a lower limit; this one only keeps a silly number inside the calendar."""

_SECONDS = re.compile(r"([+-]?)([0-9]{1,18})(\.[0-9]{0,9})?")


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """What lower-case headers say; None when they say nothing that can be read, zero for what has passed."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    number = _SECONDS.fullmatch(text) or _SECONDS.fullmatch(text.partition(",")[0])  # two such lines: "5, 5"
    if number is None:
        return _until(text, now)
    if number[1] == "-":
        return timedelta()
    return timedelta(seconds=min(float(number[0]), AT_MOST.total_seconds()))


def _until(text: str, now: datetime) -> timedelta | None:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    try:
        wait = at - now
    except OverflowError:
        return None
    return min(max(wait, timedelta()), AT_MOST)
