"""The [result] table: a second request, once a task has succeeded, for the result itself.

Secret: when it is made, and what its answer adds to what is known. Pure.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ringback.core.health import RATE_LIMITED, UNAUTHORIZED
from ringback.core.model import Answer, Error, Observation, Trouble, WatchState
from ringback.providers import documents, status
from ringback.providers.asking import Request
from ringback.providers.base import NO_RESULT
from ringback.providers.documents import Unreadable
from ringback.providers.paths import Path
from ringback.providers.reader import (
    MESSAGE_LIMIT,
    TROUBLE_LIMIT,
    USUAL_MESSAGES,
    WORD_LIMIT,
    code_of,
    meaning_of_code,
    waiting,
)
from ringback.providers.reading import Envelope
from ringback.providers.status import StatusRange

OURS = frozenset({UNAUTHORIZED, RATE_LIMITED})
"""They say nothing about the task, whatever a preset makes of statuses."""


class Result(Request, frozen=True, kw_only=True):
    """The whole table. `read` is where the result stands in the second answer.

    It is made when `when` holds for the first answer, or always. The task has failed after all when the second one has
    a status of `failed`, or `failed_when` holds for it; why stands at `code` and `message`.
    """

    read: Path
    when: Path | None = None
    failed: tuple[StatusRange, ...] = ()
    failed_when: Path | None = None
    code: Path | None = None
    message: Path = USUAL_MESSAGES

    def wanted(self, seen: Observation, document: Any) -> bool:
        """Whether the result is elsewhere."""
        return seen.state is WatchState.SUCCEEDED and (self.when is None or self.when.holds(document))

    def refuses(self, status: int, document: Any) -> bool:
        """Whether the second answer says that there is no result because the task has failed."""
        said = self.failed_when is not None and self.failed_when.holds(document)
        return said or any(status in given.statuses for given in self.failed)


def concluded(result: Result, problem: Envelope | None, seen: Observation, answer: Answer) -> Observation:
    """What the first answer said, with what the second one adds. Without a result it is a trouble: asked for again.

    `problem` is the envelope of the first answer: the codes of one API mean the same in all of its answers.
    """
    try:
        document = documents.parse(answer.body)
    except Unreadable:
        document = None
    said = documents.message(result.message.find(document)) or ""
    named, trouble = meaning_of_code(problem, document), status.trouble_code(answer.status)
    ours = next((code for code in (named, trouble) if code in OURS), None)
    if ours is None and (named == WatchState.FAILED or result.refuses(answer.status, document)):
        code = documents.message(result.code.find(document)) if result.code is not None else None
        code = code or (code_of(problem, document) if named is not None else None) or str(answer.status)
        return _failed(seen, code, said or f"its result is answered with HTTP {answer.status}")
    good = trouble is None and named in (None, WatchState.SUCCEEDED)
    value = result.read.find(document) if good else None
    if value is None or value == "":
        code = ours or NO_RESULT
        sentence = documents.line(said, TROUBLE_LIMIT) or status.sentence(code, answer.status)
        return waiting(Observation(trouble=Trouble(code, sentence)), answer)
    return replace(seen, result=documents.document(value))


def _failed(seen: Observation, code: str, reason: str) -> Observation:
    """The task has failed after all, and nothing expires."""
    error = Error(documents.shortened(code, WORD_LIMIT), documents.shortened(reason, MESSAGE_LIMIT))
    return replace(seen, state=WatchState.FAILED, error=error, result_expires_at=None)
