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
from ringback.providers import documents, status, tables
from ringback.providers.asking import Request
from ringback.providers.documents import Unreadable
from ringback.providers.paths import Path
from ringback.providers.reader import USUAL_MESSAGES, complaint
from ringback.providers.reading import Envelope
from ringback.providers.template import HeaderName

TEXT_AT_MOST = 4096
"""Characters that an expression of a preset looks at."""


class Match:
    """A regular expression whose first group is wanted."""

    __slots__ = ("search", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is none."""
        try:
            pattern = re.compile(text)
        except re.error as exc:
            raise ValueError(f"expected a regular expression, got '{text}' ({exc})") from exc
        if not pattern.groups:
            raise ValueError("expected a regular expression with a group, such as 'jobs/([0-9]+)'")
        self.search = pattern.search
        self.text = text


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer brings something: at a place of its body or in a header; with `match` its first group there."""

    at: Path | None = None
    header: HeaderName | None = None
    match: Match | None = None

    @property
    def text(self) -> str:
        """In words."""
        place = self.at.text if self.at is not None else f"the header {self.header}"
        return f"{place} (the group of {self.match.text})" if self.match is not None else place

    def find(self, answer: Answer, document: Any) -> str | None:
        """What stands there; None where the answer has nothing."""
        return self.taken(
            documents.text(self.at.find(document)) if self.at is not None else answer.headers.get(self.header or "")
        )

    def taken(self, text: str | None) -> str | None:
        """What of a text is wanted."""
        if text is None or self.match is None:
            return text
        group = self.match.search(text[:TEXT_AT_MOST])
        return group[1] if group is not None else None


def place(raw: object, where: str, problems: list[str]) -> Place | None:
    """A path of the body, or a table with `at` or `header`, and `match`."""
    made = tables.table(Place, raw if isinstance(raw, Mapping) else {"at": raw}, where, problems)
    if made is not None and (made.at is None) == (made.header is None):
        problems.append(f"{where}: expected either at or header")
        return None
    return made


class Submit(Request, frozen=True, kw_only=True):
    """The whole table: where the answer has the task's id, and params to remember.

    Nothing was begun when `refused_when` holds for the answer, or its code is wrong by the envelope of [read.problem].
    """

    refused_when: Path | None = None
    id: Annotated[Place, place, "text, or a table"]
    remember: dict[str, Annotated[Place, place]] = msgspec.field(default_factory=dict)


class Submitted(msgspec.Struct, frozen=True):
    """What an answer to a submission says: the id, and params to remember."""

    task_id: str
    params: dict[str, str]


def read(submit: Submit, problem: Envelope | None, answer: Answer) -> Submitted:
    """Take the id out of an answer. Raises BadInput when there is none, with the vendor's own words."""
    document = None
    try:
        document = documents.parse(answer.body)
    except Unreadable as exc:
        if submit.id.at is not None:
            raise BadInput(f"no task id: {exc}", code="no_task_id") from exc
    refused = submit.refused_when is not None and submit.refused_when.holds(document)
    refused = refused or status.trouble_code(answer.status) is not None
    task_id = submit.id.find(answer, document)
    if not task_id or refused or (problem is not None and problem.wrong(document)):
        complains = refused or (problem is not None and problem.complains(document))
        what = "the submission was refused" if complains else f"the answer has none at {submit.id.text}"
        said = complaint(problem, document) or documents.message(USUAL_MESSAGES.find(document))
        why = f"; it says: {documents.line(said, 200)}" if said else ""
        raise BadInput(f"no task id: {what}{why}", code="no_task_id")
    found = {name: where.find(answer, document) for name, where in submit.remember.items()}
    return Submitted(task_id, {name: value for name, value in found.items() if value})
