"""A token that a program prints, for what no preset can compute: `api_key_command = "gcloud auth print-access-token"`.

    run -> its output: the token alone, or JSON with it and how long it lives -> run again before that, or after a 401

Secret: how that program is run and its output read. The token is kept in memory and never shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ringback.core.errors import BadInput
from ringback.credentials import LARGEST, Secret

LASTS = timedelta(minutes=30)
"""A token that does not say how long it lives is had anew after this; Google's live for an hour."""

AHEAD = timedelta(minutes=5)
"""So long before its end a token is had anew, or a fifth of its life, when that is shorter."""

AGAIN = timedelta(seconds=30)
"""A program that failed, or whose token was refused, is not run more often."""

RUNS_AT_MOST_S = 30.0
ENDS_WITHIN_S = 1.0
SAID_AT_MOST = 200
TOKENS = ("access_token", "accessToken", "token", "id_token")
LIVES = ("expires_in", "expiresIn")
ENDS = ("expiry", "expires_at", "expiresAt", "expiresOn", "expire_time", "expireTime")


class Minted(Secret):
    """A Secret that comes from a program. `freshen` runs it when that is due; until then there is nothing to reveal."""

    __slots__ = ("_argv", "_due_at", "_ends_at", "_failure", "_number", "_running", "_started_at")

    def __init__(self, argv: Sequence[str]) -> None:
        super().__init__("")
        self._argv = tuple(argv)
        self._number = 0
        self._due_at: datetime | None = None
        self._ends_at: datetime | None = None
        self._started_at: datetime | None = None
        self._failure = "has not been run yet"
        self._running = asyncio.Lock()

    def due(self, now: datetime) -> bool:
        """Whether the program is to be run."""
        return self._due_at is None or now >= self._due_at

    def doubt(self, now: datetime) -> None:
        """The token was refused: have another one soon."""
        if self._started_at is not None and self._due_at is not None:
            self._due_at = min(self._due_at, max(self._started_at + AGAIN, now))

    async def freshen(self, now: datetime) -> None:
        """Run the program if it is due, once for all who wait."""
        async with self._running:
            if not self.due(now):
                return
            self._started_at = now
            try:
                self._take(await _output(self._argv), now)
            except BadInput as error:
                self._failure = error.message
                self._due_at = now + AGAIN
                if self._ends_at is None or now >= self._ends_at:
                    self._value = ""

    def reveal(self) -> str:
        """The token. Raises BadInput when there is none."""
        if not self._value:
            raise BadInput(f"the program {self._argv[0]} {self._failure}: it must print a token")
        return self._value

    def stamp(self) -> object:
        """Compares unequal once there is another token."""
        return self._number

    def _take(self, output: str, now: datetime) -> None:
        token, ends_at = _read(output, now)
        self._number += token != self._value
        self._value, self._ends_at = token, ends_at
        life = ends_at - now
        self._due_at = max(now + AGAIN, ends_at - min(AHEAD, life / 5))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Minted) and self._argv == other._argv

    def __hash__(self) -> int:
        return hash(self._argv)

    def __repr__(self) -> str:
        return f"Minted({self._argv[0]!r}, ...)"

    __str__ = __repr__


async def _output(argv: Sequence[str]) -> str:
    """What the program prints. Raises BadInput with why it printed nothing of use."""
    try:
        program = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as exc:
        raise BadInput(f"cannot be run ({exc.strerror})") from exc
    try:
        said, complained = await _said_by(program)
    except BaseException:
        await _end(program)
        raise
    if program.returncode:
        words = " ".join(complained.decode("utf-8", "replace").split())[-SAID_AT_MOST:]
        raise BadInput(f"exited with {program.returncode}{f' ({words})' if words else ''}")
    return said.decode("utf-8", "replace").strip()


async def _said_by(program: asyncio.subprocess.Process) -> list[bytes]:
    """What it wrote to its two outputs until it ended. Raises BadInput when it takes too long or writes too much."""
    reading = [asyncio.create_task(_whole(stream)) for stream in (program.stdout, program.stderr) if stream is not None]
    try:
        async with asyncio.timeout(RUNS_AT_MOST_S):
            said = await asyncio.gather(*reading)
            await program.wait()
    except TimeoutError as exc:
        raise BadInput(f"did not end within {RUNS_AT_MOST_S:g} s") from exc
    finally:
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)
    return said


async def _whole(stream: asyncio.StreamReader) -> bytes:
    try:
        await stream.readexactly(LARGEST + 1)
    except asyncio.IncompleteReadError as end:
        return end.partial
    raise BadInput(f"printed over {LARGEST} bytes")


async def _end(program: asyncio.subprocess.Process) -> None:
    """Kill it and all that it has begun, which may hold on to its outputs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDS_WITHIN_S):
            await program.communicate()


def _read(output: str, now: datetime) -> tuple[str, datetime]:
    """The token and when it ends. Raises BadInput when there is none."""
    document: Any = None
    if output.startswith("{"):
        with contextlib.suppress(msgspec.DecodeError):
            document = msgspec.json.decode(output)
    if not isinstance(document, dict):
        token = output.splitlines()[0].strip() if output else ""
        document = {TOKENS[0]: token}
    token = next((document[name] for name in TOKENS if isinstance(document.get(name), str)), "")
    if not token:
        raise BadInput("printed no token")
    ends = (*(_after(document.get(name), now) for name in LIVES), *(_at(document.get(name)) for name in ENDS))
    return token, next((at for at in ends if at is not None), now + LASTS)


def _after(seconds: object, now: datetime) -> datetime | None:
    try:
        return now + timedelta(seconds=float(str(seconds)))
    except (ValueError, OverflowError):
        return None


def _at(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
