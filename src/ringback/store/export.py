"""All that the journal of a stopped daemon says, a watch at a time, with its documents.

Secret: that a document which cannot be read costs only itself. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from ringback.core.errors import StoreDamaged
from ringback.core.model import Event, TaskData
from ringback.store import examine, replay
from ringback.store.base import Kept
from ringback.store.results import Results

_Value = TypeVar("_Value")


class Exported(msgspec.Struct, frozen=True):
    """All of one watch, or with none of ourselves; `gone` says which documents cannot be read and are left out."""

    row: Kept
    gone: tuple[str, ...]


def export(directory: Path) -> Iterator[Exported]:
    """Every watch, and ourselves last.

    Raises BadInput where there is no journal, StoreLocked, StoreDamaged, SetupError.
    """
    with examine.looking(directory):
        keeping, results = replay.replay(directory).table.kept(), Results(directory)
        while rows := keeping.take(1):
            yield _exported(rows[0], results)


def _exported(row: Kept, results: Results) -> Exported:
    gone: dict[str, None] = {}
    watch, answer = row.watch, row.answer
    if watch is not None and answer is not None:
        answer = _read(partial(results.whole_answer, watch.id), answer, None, gone)
    if watch is not None:
        watch = _read(results.whole, watch, replace(watch, result=None, details=None), gone)
    events = tuple((at, _read(results.whole, event, _bare(event), gone)) for at, event in row.events)
    return Exported(replace(row, watch=watch, events=events, answer=answer), tuple(gone))


def _read(whole: Callable[[_Value], _Value], kept: _Value, bare: _Value | None, gone: dict[str, None]) -> _Value | None:
    """The value with its documents; `bare` when one of them cannot be read."""
    try:
        return whole(kept)
    except StoreDamaged as error:
        gone[error.message] = None
        return bare


def _bare(event: Event) -> Event:
    """Without its documents: only an event about a task has any."""
    if not isinstance(event.data, TaskData):
        return event
    return replace(event, data=replace(event.data, result=None, details=None))
