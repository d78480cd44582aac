"""Documents that are too large for a line, in files of their own.

    results/w_3f...-9a....json       one document of one watch, named by watch and digest

A watch, its events and its answer name such a document by digest and size; `apart` takes the texts out of a change
before it is kept, `Results.whole` puts them back when somebody reads. An answer has no place for a digest: its body is
replaced by a mark that names it, and a real body that begins like the mark goes to a file too, whatever its size.

Secret: which documents are kept apart, what their files are called, and when a file is no longer needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from ringback.core.document import NOT_HERE, Document, digest
from ringback.core.errors import StoreDamaged, StoreError
from ringback.core.model import Answer, Change, Event, TaskData, Watch
from ringback.store import disk
from ringback.store.table import Table

LARGE = 4 * 1024
"""Bytes that a line still holds of one document."""

DIRECTORY = "results"

_MARK = b"\0ringback keeps this apart:"
_AS_IT_IS = msgspec.json.Decoder(msgspec.Raw).decode

_Holder = TypeVar("_Holder", Watch, TaskData)
_Value = TypeVar("_Value", Watch, Event)
_Any = TypeVar("_Any")


def apart(change: Change) -> tuple[Change, dict[str, bytes]]:
    """The change as it is kept, and the texts that go to files of their own, by file name."""
    texts: dict[str, bytes] = {}
    watch = _without_texts(change.watch, change.watch.id, texts) if change.watch is not None else None
    events = tuple(_event_without_texts(event, texts) for event in change.events)
    answer = change.answer
    if answer is not None and watch is not None and (len(answer.body) > LARGE or answer.body.startswith(_MARK)):
        key = digest(answer.body)
        texts[_name(watch.id, key)] = answer.body
        answer = replace(answer, body=_MARK + f"{key} {len(answer.body)}".encode())
    return replace(change, watch=watch, events=events, answer=answer), texts


def kept_apart(watch: str, values: Iterable[Watch | Event], answer: Answer | None = None) -> set[str]:
    """The names of the files that these values of one watch need."""
    names = {_name(watch, document.digest) for document in documents(values) if document.json is NOT_HERE}
    stub = _stub(answer) if answer is not None else None
    if stub is not None:
        names.add(_name(watch, stub.digest))
    return names


def documents(values: Iterable[Watch | Event]) -> Iterable[Document]:
    """Every document that these values name."""
    for value in values:
        holder = value.data if isinstance(value, Event) else value
        if isinstance(holder, (Watch, TaskData)):
            yield from (document for document in (holder.result, holder.details) if document is not None)


def has_stub(value: Watch | Event) -> bool:
    """Whether a text of this value has to be read."""
    return any(document.json is NOT_HERE for document in documents([value]))


def needed(table: Table, watch: str) -> set[str]:
    """The names of the files that are needed for all that is known of a watch."""
    known = table.watches.get(watch)
    if known is None:
        return set()
    return kept_apart(watch, [known, *table.events_of(known)], table.answers.get(watch))


def watch_of(name: str) -> str:
    """The watch that a file belongs to."""
    return name.rpartition("-")[0]


class Results:
    """The files of one directory. Every method touches the disk: call them in a thread."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / DIRECTORY

    def prepare(self) -> None:
        """Make the directory."""
        self.directory.mkdir(mode=0o700, exist_ok=True)

    def put(self, texts: Mapping[str, bytes]) -> list[str]:
        """Write what is not there yet and make it durable; all of them or none. Returns the new names."""
        new: list[str] = []
        try:
            for name, text in texts.items():
                path = self.directory / name
                if not path.exists():
                    new.append(name)
                    disk.put(path, [text])
            if new:
                disk.sync_directory(self.directory)
        except OSError:
            self.remove(new)
            raise
        return new

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that nothing names any more; one that stays behind is swept at the next start."""
        for name in names:
            (self.directory / name).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """Every file there is."""
        if self.directory.is_dir():
            yield from (path.name for path in self.directory.iterdir())

    def orphans(self, table: Table) -> list[str]:
        """Files that nothing in the table names: what a crash between two steps leaves."""
        by_watch: dict[str, list[str]] = {}
        for name in self.names():
            by_watch.setdefault(watch_of(name), []).append(name)
        return [name for watch, names in by_watch.items() for name in sorted(set(names) - needed(table, watch))]

    def damages(self, table: Table) -> Iterator[StoreDamaged]:
        """Every document that is named and cannot be read."""
        for watch in table.watches.values():
            yield from _damage(self.whole, watch)
            for event in table.events_of(watch):
                yield from _damage(self.whole, event)
        for id, answer in table.answers.items():
            yield from _damage(partial(self.whole_answer, id), answer)

    def whole(self, value: _Value) -> _Value:
        """A watch or an event with all its texts. Raises StoreDamaged."""
        if not isinstance(value, Event):
            return self._with_texts(value, value.id)
        if not isinstance(value.data, TaskData):
            return value
        return replace(value, data=self._with_texts(value.data, value.data.watch_id))

    def whole_answer(self, watch: str, answer: Answer) -> Answer:
        """An answer with its body. Raises StoreDamaged."""
        stub = _stub(answer)
        return answer if stub is None else replace(answer, body=self.text(watch, stub))

    def text(self, watch: str, stub: Document) -> bytes:
        """The text of a document that is kept apart. Raises StoreDamaged."""
        path = self.directory / _name(watch, stub.digest)
        try:
            text = path.read_bytes()
        except OSError as exc:
            raise _damaged(path, f"cannot be read ({exc.strerror})", watch) from exc
        if digest(text) != stub.digest:
            raise _damaged(path, f"does not hold what was written: {stub.size} bytes with its name's digest", watch)
        return text

    def _with_texts(self, holder: _Holder, watch: str) -> _Holder:
        read = {
            field: replace(document, json=msgspec.Raw(self.text(watch, document)))
            for field, document in (("result", holder.result), ("details", holder.details))
            if document is not None and document.json is NOT_HERE
        }
        return replace(holder, **read) if read else holder


def refuse_unknown(change: Change, table: Table) -> None:
    """Raise StoreError when a change names a document by digest whose text was never given."""
    values = [value for value in (change.watch, *change.events) if value is not None]
    for value in values:
        watch = value.id if isinstance(value, Watch) else value.watch_id
        named = kept_apart(watch, [value])
        missing = named and named - needed(table, watch)
        if missing:
            raise StoreError(f"{min(missing)} is named but was never given: commit the whole document", watch=watch)


def _without_texts(holder: _Holder, watch: str, texts: dict[str, bytes]) -> _Holder:
    moved = {
        field: Document(document.digest, document.size)
        for field, document in (("result", holder.result), ("details", holder.details))
        if document is not None and document.json is not NOT_HERE and not _fits_a_line(document)
    }
    if not moved:
        return holder
    for field, stub in moved.items():
        texts[_name(watch, stub.digest)] = getattr(holder, field).text
    return replace(holder, **moved)


def _event_without_texts(event: Event, texts: dict[str, bytes]) -> Event:
    if not isinstance(event.data, TaskData):
        return event
    data = _without_texts(event.data, event.data.watch_id, texts)
    return event if data is event.data else replace(event, data=data)


def _fits_a_line(document: Document) -> bool:
    """Not when it is large, has a line end, or is no JSON to msgspec (NaN): then the line could not be read again."""
    text = document.text
    if len(text) > LARGE or b"\n" in text:
        return False
    try:
        return bytes(_AS_IT_IS(text)) == text
    except msgspec.MsgspecError:
        return False


def _stub(answer: Answer) -> Document | None:
    if not answer.body.startswith(_MARK):
        return None
    key, _, size = answer.body.removeprefix(_MARK).decode().partition(" ")
    return Document(key, int(size))


def _name(watch: str, key: str) -> str:
    return f"{watch}-{key}.json"


def _damage(read: Callable[[_Any], object], value: _Any) -> Iterator[StoreDamaged]:
    try:
        read(value)
    except StoreDamaged as exc:
        yield exc


def _damaged(path: Path, what: str, watch: str) -> StoreDamaged:
    return StoreDamaged(
        f"{path} {what}: restore it from a backup; everything else goes on", file=str(path), byte=0, watch=watch
    )
