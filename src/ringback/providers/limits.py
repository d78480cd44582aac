"""What an API asks of those who poll it, and how long things last there: the tables [limits] and [params.NAME].

Secret: how lengths of time, rates and sizes are written in a preset. Pure.
"""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec

from ringback.core.errors import BadInput
from ringback.durations import duration
from ringback.providers.tables import MaybeEmpty

LARGEST_BODY = 64 * 1024 * 1024
USUAL_BODY = 4 * 1024 * 1024

_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)/([smh])")
_PER = {"s": 1, "m": 60, "h": 3600}
_SIZE = re.compile(r"([0-9]{1,9}) ?(KiB|MiB)")
_UNITS = {"KiB": 1024, "MiB": 1024 * 1024}


class Length:
    """A length of time: `5s`, `24h`."""

    EXAMPLE = "5s"
    __slots__ = ("span",)

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is none."""
        try:
            self.span = duration(text)
        except BadInput as error:
            raise ValueError(f"expected a length of time such as 5s, 10m or 24h, got '{text}'") from error


class PerSecond:
    """A rate: `20/s`, `300/m`."""

    EXAMPLE = "20/s"
    __slots__ = ("per_second",)

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is none."""
        found = _RATE.fullmatch(text)
        if found is None or not float(found[1]):
            raise ValueError(f"expected a rate such as 20/s or 300/m, got '{text}'")
        self.per_second = float(found[1]) / _PER[found[2]]


class Size:
    """A size: `16MiB`."""

    EXAMPLE = "16MiB"
    __slots__ = ("bytes", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is none, or too much."""
        found = _SIZE.fullmatch(text)
        size = int(found[1]) * _UNITS[found[2]] if found is not None else 0
        if not 0 < size <= LARGEST_BODY:
            raise ValueError(f"expected a size such as 16MiB, at most {LARGEST_BODY // 1024**2}MiB, got '{text}'")
        self.bytes = size
        self.text = text


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """[limits]: what is documented. `results` is how long a result can be had, `body` how large an answer may be."""

    interval: Length | None = None
    rate: PerSecond | None = None
    deadline: Length | None = None
    results: Length | None = None
    body: Size | None = None

    @property
    def body_limit(self) -> int:
        """In bytes."""
        return self.body.bytes if self.body is not None else USUAL_BODY

    @property
    def results_live(self) -> timedelta | None:
        """How long a result can be had."""
        return self.results.span if self.results is not None else None


class Param(msgspec.Struct, frozen=True, kw_only=True):
    """[params.NAME]: what a registration gives beside the id.

    With a `default` it may be left out; an empty one leaves out what it stands in. Two values of a param that is
    `identity` make two tasks of equal ids. A `secret` one is never shown, and no part of the identity.
    """

    about: str = ""
    default: MaybeEmpty | None = None
    identity: bool = True
    secret: bool = False
