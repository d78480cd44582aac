"""Standard input as an argument: `-`.

Secret: how `-` gets past the parser, which takes a lone dash for an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from ringback.core.errors import BadInput

STDIN = "/dev/stdin"
"""What main.py makes of `-` before the parser sees it. Where a file is wanted, it is one."""

PIECE = 64 * 1024


class Pipe(Protocol):
    """Gives what is there, waits when there is nothing, and gives nothing at the end."""

    def read1(self, size: int, /) -> bytes:
        """Up to so many bytes."""


def words(stream: Pipe) -> Iterator[Sequence[str]]:
    """The lines that are no blank ones, in the groups in which they come. Raises BadInput."""
    rest = b""
    while piece := stream.read1(PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        yield _words(lines)
    yield _words([rest])


def _words(lines: Iterable[bytes]) -> list[str]:
    try:
        return [word for line in lines if (word := line.decode().strip())]
    except UnicodeDecodeError as error:
        raise BadInput("standard input is not UTF-8 text: write one task id a line") from error
