"""An answer that somebody saved: its body alone, or as `curl -i` prints it, with status line and headers.

Secret: how the two are told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from ringback.core.errors import BadInput
from ringback.core.model import Answer

AT_MOST = 64 * 1024 * 1024
"""What any preset may allow an answer to be."""

_HEAD = re.compile(rb"HTTP/[0-9.]+ ([0-9]{3})[^\r\n]*\r?\n((?:[^\r\n]+\r?\n)*)\r?\n")


def answer(
    file: str, status: int | None = None, headers: Mapping[str, str] | None = None, at: datetime | None = None
) -> Answer:
    """Read it. `status` and `headers` win over those of the file; `at` is when it came, if anybody knows.

    Raises BadInput when it cannot be read.
    """
    body, said, found = _read(file), 200, dict[str, str]()
    while (head := _HEAD.match(body)) is not None:  # more than one: a proxy's, a 100 Continue, a redirect
        said, body = int(head[1]), body[head.end() :]
        lines = head[2].decode("latin-1").splitlines()
        found = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(status=said if status is None else status, headers={**found, **(headers or {})}, body=body, at=at)


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(AT_MOST)
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}): name a file with the answer's body") from error
