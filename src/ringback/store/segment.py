"""One file of the journal: lines.

    NUMBER CRC32 JSON
    0 5c1e0a4d {"kind":"journal","version":1,"first":7}      the header
    7 0b9e6f12 {"entry":"change","watch":{...}}              entries of a segment, by their place among all entries;
    8 91d2c3aa {"entry":"settled","delivery":{...}}          rows of a snapshot, from 1, and then its footer

The CRC, eight hexadecimal digits, covers number and JSON. Whoever reads knows which number comes next, so that a line
that is lost is seen like one that is bent.

Secret: how an entry becomes a line, and which bad line is forgiven: what a crash leaves at the very end of the last
segment, which is a line that is not finished, or bytes that are zero.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import force_setattr

from ringback.core.document import NOT_HERE, Document
from ringback.core.errors import SetupError, StoreDamaged
from ringback.core.model import Change, TaskData, Watch
from ringback.store.base import Entry, Kept

VERSION = 1

END_OF_LINE = ord("\n")

CHUNK = 256 * 1024
"""Bytes that are read at once. Buffers of megabytes leave holes of their size in the memory of everything after."""

Kind = Literal["journal", "snapshot"]
JOURNAL: Kind = "journal"
SNAPSHOT: Kind = "snapshot"


class Header(msgspec.Struct, frozen=True):
    """The first line. `first` is the number of a segment's first entry, or of the first one after a snapshot."""

    kind: Kind
    version: int
    first: int


class Footer(msgspec.Struct, frozen=True, tag_field="entry", tag="footer"):
    """The last line of a snapshot: without it the file is not whole."""

    rows: int


Line = Entry | Footer


class End(Enum):
    """How a file ends."""

    CLEAN = "clean"
    UNTERMINATED = "unterminated"
    TORN = "torn"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


def encode(entry: Line) -> bytes:
    """An entry as JSON on one line."""
    return _encode(entry)


def check(json: bytes) -> None:
    """Raise MsgspecError when a line of this version could not be read again."""
    _decode(json)


def decode(json: memoryview | bytes) -> Line:
    """An entry of the current version, with its documents copied out of the line: else each would keep all of it.

    A watch and its events name the same few documents, so each text is copied once.
    """
    entry: Line = _decode(json)
    if isinstance(entry, (Change, Kept)):
        copies: dict[str, Document] = {}
        if entry.watch is not None:
            _copy_texts(entry.watch, copies)
        for event in entry.events if isinstance(entry, Change) else (event for _, event in entry.events):
            if isinstance(event.data, TaskData):
                _copy_texts(event.data, copies)
    return entry


def _copy_texts(holder: Watch | TaskData, copies: dict[str, Document]) -> None:
    for field, document in (("result", holder.result), ("details", holder.details)):
        if document is not None and document.json is not NOT_HERE:
            copy = copies.get(document.digest)
            if copy is None:
                copy = copies[document.digest] = Document(document.digest, document.size, document.json.copy())
            force_setattr(holder, field, copy)


READERS: Mapping[int, Callable[[memoryview], Line]] = {VERSION: decode}
"""How lines of each version are read: the current one, and the one before it when there is one."""


def frame(number: int, json: bytes) -> bytes:
    """One line."""
    prefix = b"%d " % number
    return b"%b%08x %b\n" % (prefix, zlib.crc32(json, zlib.crc32(prefix)), json)


def unframe(line: memoryview, number: int) -> memoryview | None:
    """The JSON of a line that is whole and has this number."""
    prefix = b"%d " % number
    start = len(prefix) + 9
    if len(line) <= start:
        return None
    json = line[start:-1]
    crc = zlib.crc32(json, zlib.crc32(prefix))
    return json if line[:start] == b"%b%08x " % (prefix, crc) and line[-1] == END_OF_LINE else None


def header(kind: Kind, first: int) -> bytes:
    """The first line of a file."""
    return frame(0, _encode(Header(kind, VERSION, first)))


class Reading:
    """Reads one file from front to back.

    `header` is None while it was not read, and for a segment that a crash left without one. `good` is the length of
    what is good so far; after the last line `end` says how the file ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: Header | None = None
        self.size = path.stat().st_size
        self.good = 0
        self.end = End.CLEAN

    def read_header(self) -> None:
        """Raises StoreDamaged, and SetupError for a version that is too new."""
        with self.path.open("rb") as file:
            line = file.readline()
        if not line.endswith(b"\n"):
            self.end = End.TORN
            return
        json = unframe(memoryview(line), 0)
        if json is None:
            raise self.damage("its first line is no header", number=0)
        try:
            self.header = msgspec.json.decode(json, type=Header)
        except msgspec.MsgspecError as exc:
            raise self.damage(f"its header cannot be read: {exc}", number=0) from exc
        if self.header.version not in READERS:
            raise SetupError(
                f"{self.path} has format {self.header.version}, and this ringback reads "
                f"{', '.join(str(version) for version in sorted(READERS))}: use the version that wrote it",
                code="store_version",
                file=str(self.path),
                version=self.header.version,
            )
        self.good = len(line)

    def entries(self) -> Iterator[tuple[int, Line]]:
        """Every entry with its number; ends early, with `end` set, where the last line is not finished."""
        if self.header is None:
            return
        read = READERS[self.header.version]
        number = self.header.first if self.header.kind == JOURNAL else 1
        for line in self._lines():
            json = unframe(line, number)
            if json is None:
                json = self._forgiven(bytes(line), number)
                if json is None:
                    return
            try:
                entry = read(json)
            except msgspec.MsgspecError as exc:
                raise self.damage(f"record {number} cannot be read: {exc}", number=number) from exc
            self.good += len(line) if self.end is End.CLEAN else len(bytes(line).rstrip(b"\0"))
            yield number, entry
            number += 1

    def damage(self, what: str, *, number: int) -> StoreDamaged:
        """The error for a bad place, which is where what is good ends."""
        remedy = (
            f"move {self.path.name} away, and ringback starts from the snapshot before it"
            if self.path.name.startswith(SNAPSHOT)
            else f"restore the directory from a backup, or let 'ringback store repair {self.path.parent}' cut it there"
        )
        return StoreDamaged(
            f"{self.path}, byte {self.good}: {what}; nothing was changed. "
            f"'ringback store verify {self.path.parent}' shows all that is wrong; then {remedy}",
            file=str(self.path),
            byte=self.good,
            record=number,
        )

    def _lines(self) -> Iterator[memoryview]:
        """Every line after the header, the last one perhaps without its end; views, because copies cost a second."""
        begun: list[bytes] = []
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.good)
            while chunk := file.read(CHUNK):
                if b"\n" not in chunk:
                    begun.append(chunk)
                    continue
                data = b"".join((*begun, chunk))
                view, start = memoryview(data), 0
                while (end := data.find(b"\n", start)) >= 0:
                    yield view[start : end + 1]
                    start = end + 1
                begun = [data[start:]]
        rest = b"".join(begun)
        if rest:
            yield memoryview(rest)

    def _forgiven(self, line: bytes, number: int) -> memoryview | None:
        """The JSON of a last line that lacks only its end; None for one that a crash tore. Raises for all others."""
        if line.endswith(b"\n"):
            raise self.damage(_complaint(line, number), number=number)
        rest = line.rstrip(b"\0")
        json = unframe(memoryview(rest + b"\n"), number)
        if json is not None:
            self.end = End.UNTERMINATED
            return json
        if unframe(memoryview(rest[:-1] + b"\n"), number) is not None:
            # Whole but for its line end: a crash leaves a part of a line, never all of it and something else.
            raise self.damage(f"the end of record {number} is bent", number=number)
        self.end = End.TORN
        return None


def _complaint(line: bytes, number: int) -> str:
    found = line.split(b" ", 1)[0]
    if found.isdigit() and unframe(memoryview(line), int(found)) is not None:
        return f"record {number} is missing: the next one is {int(found)}"
    return f"record {number} does not match its checksum"
