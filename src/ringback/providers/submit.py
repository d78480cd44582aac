"""The [submit] table: how a task is begun, and what of the answer names it.

ringback begins no tasks. It reads the saved answer of whoever did (`ringback watch --from-response`), and the simulator
serves the route.

Secret: where an answer to a submission has the task's id, and what else must be remembered to ask about it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from ringback.core.errors import BadInput
from ringback.core.model import Answer
from ringback.providers import documents, tables
from ringback.providers.asking import Request
from ringback.providers.documents import Unreadable
from ringback.providers.paths import Path
from ringback.providers.reader import USUAL_MESSAGES
from ringback.providers.template import HeaderName

TEXT_AT_MOST = 4096
"""Characters that an expression of a preset looks at."""


class Match:
    """A regular expression whose first group is wanted."""

    __slots__ = ("search",)

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is none."""
        try:
            pattern = re.compile(text)
        except re.error as exc:
            raise ValueError(f"expected a regular expression, got '{text}' ({exc})") from exc
        if not pattern.groups:
            raise ValueError("expected a regular expression with a group, such as 'jobs/([0-9]+)'")
        self.search = pattern.search


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """[submit.remember.NAME]: a param that the answer brings; with `match`, the first group of it in the text there."""

    at: Path
    match: Match | None = None

    def find(self, document: Any) -> str | None:
        """The param's value, None where the answer has none."""
        found = documents.text(self.at.find(document))
        if found is None or self.match is None:
            return found
        group = self.match.search(found[:TEXT_AT_MOST])
        return group[1] if group is not None else None


def remembered(raw: object, where: str, problems: list[str]) -> Remembered | None:
    """A place, or a table with `at` and `match`."""
    given = raw if isinstance(raw, Mapping) else {"at": raw}
    return tables.table(Remembered, given, where, problems)


class Submit(Request, frozen=True, kw_only=True):
    """The whole table. The id stands at `id`, or in the header `id_header`."""

    id: Path | None = None
    id_header: HeaderName | None = None
    remember: dict[str, Annotated[Remembered, remembered]] = msgspec.field(default_factory=dict)


class Submitted(msgspec.Struct, frozen=True):
    """What an answer to a submission says: the id, and params to remember."""

    task_id: str
    params: dict[str, str]


def read(submit: Submit, answer: Answer) -> Submitted:
    """Take the id out of an answer. Raises BadInput when there is none, with the vendor's own words."""
    task_id = answer.headers.get(submit.id_header) if submit.id_header is not None else None
    document = None
    try:
        document = documents.parse(answer.body)
    except Unreadable as exc:
        if task_id is None:
            raise BadInput(f"no task id: {exc}", code="no_task_id") from exc
    if submit.id is not None:
        task_id = documents.text(submit.id.find(document)) or task_id
    if not task_id:
        place = submit.id.text if submit.id is not None else f"the header {submit.id_header}"
        said = documents.message(USUAL_MESSAGES.find(document))
        more = f"; it says: {documents.line(said, 200)}" if said else ""
        raise BadInput(f"no task id: the answer has none at {place}{more}", code="no_task_id")
    found = {name: place.find(document) for name, place in submit.remember.items()}
    return Submitted(task_id, {name: value for name, value in found.items() if value})
