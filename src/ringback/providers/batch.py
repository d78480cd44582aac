"""The [batch] table: one request about many tasks.

Secret: how its answer is taken apart into what each task's own answer would have said. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from ringback.core.model import Answer
from ringback.providers import documents, status
from ringback.providers.asking import Request
from ringback.providers.paths import Field, Path

AT_MOST = 1000


class Batch(Request, frozen=True, kw_only=True):
    """The whole table.

    `limit` ids go into one request, as {task_ids}. Their tasks stand at `tasks`: a table by id, or a list whose items
    have theirs at `id`. An item is read as if it stood at `within` in an answer of its own. `missed` lists the ids that
    are unknown there.
    """

    limit: int
    tasks: Path
    id: Path | None = None
    within: Field | None = None
    missed: Path | None = None

    def contradictions(self, where: str) -> list[str]:
        """What its keys cannot be together."""
        found = super().contradictions(where)
        if "task_ids" not in self.names:
            found.append(f"{where}: expected {{task_ids}} in its body or query")
        if not 1 < self.limit <= AT_MOST:
            found.append(f"{where}.limit: expected 2 to {AT_MOST}, got {self.limit}")
        return found


def split(batch: Batch, answer: Answer, task_ids: Sequence[str]) -> dict[str, Answer]:
    """What each task's own answer would have been; of one that is left out there is none."""
    if status.trouble_code(answer.status) is not None:
        return {}
    document = documents.parse(answer.body)
    asked = set(task_ids)
    found = {
        id: replace(answer, body=msgspec.json.encode(batch.within.hold(item) if batch.within is not None else item))
        for id, item in _items(batch, document)
        if id in asked
    }
    unknown = batch.missed.find(document) if batch.missed is not None else None
    missed = {documents.text(id) for id in unknown} if isinstance(unknown, list) else set()
    return {**{id: replace(answer, status=404, body=b"") for id in task_ids if id in missed}, **found}


def _items(batch: Batch, document: Any) -> Iterable[tuple[str | None, Any]]:
    found = batch.tasks.find(document)
    if isinstance(found, dict):
        return found.items()
    items = found if isinstance(found, list) else ()
    return ((documents.text(batch.id.find(item)) if batch.id is not None else None, item) for item in items)
