"""The [batch] table: one request about many tasks.

Secret: how its answer is taken apart into what each task's own answer would have said. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ringback.core.lifecycle import NOT_FOUND
from ringback.core.model import Answer, Observation, Trouble
from ringback.providers import documents, status
from ringback.providers.asking import Request
from ringback.providers.paths import Field, Path
from ringback.providers.reader import Reader

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


def observe(batch: Batch, reader: Reader, answer: Answer, task_ids: Sequence[str]) -> dict[str, Observation]:
    """What the answer says of each task; of one that it leaves out it says nothing, and that one is not in here."""
    whole = reader.refusal(answer)
    if whole is not None:
        return dict.fromkeys(task_ids, whole)
    document = documents.parse(answer.body)
    asked = set(task_ids)
    seen = {
        id: reader.observe_item(batch.within.hold(item) if batch.within is not None else item, answer.at)
        for id, item in _items(batch, document)
        if id in asked
    }
    unknown = batch.missed.find(document) if batch.missed is not None else None
    for id in map(documents.text, unknown if isinstance(unknown, list) else ()):
        if id in asked and id not in seen:
            seen[id] = Observation(trouble=Trouble(NOT_FOUND, status.sentence(NOT_FOUND, answer.status)))
    return seen


def _items(batch: Batch, document: Any) -> Iterable[tuple[str | None, Any]]:
    found = batch.tasks.find(document)
    if isinstance(found, dict):
        return found.items()
    items = found if isinstance(found, list) else ()
    return ((documents.text(batch.id.find(item)) if batch.id is not None else None, item) for item in items)
