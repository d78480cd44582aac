"""The [result] table: a second request, once a task has succeeded, for the result itself.

Secret: when it is made, and what its answer adds to what is known. Pure.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ringback.core.model import Answer, Error, Observation, Trouble, WatchState
from ringback.providers import documents, status
from ringback.providers.asking import Request
from ringback.providers.base import NO_RESULT
from ringback.providers.documents import Unreadable
from ringback.providers.paths import Path
from ringback.providers.reader import MESSAGE_LIMIT, TROUBLE_LIMIT, USUAL_MESSAGES, waiting
from ringback.providers.status import StatusRange

OURS = frozenset({401, 403, 429})
"""They say nothing about the task, whatever a preset makes of other statuses."""


class Result(Request, frozen=True, kw_only=True):
    """The whole table. `read` is where the result stands in the second answer.

    It is made when `when` holds for the first answer, or always. `failed` are the statuses that say that the task has
    failed after all, for the reason at `message`.
    """

    read: Path
    when: Path | None = None
    failed: tuple[StatusRange, ...] = ()
    message: Path = USUAL_MESSAGES

    def wanted(self, seen: Observation, document: Any) -> bool:
        """Whether the result is elsewhere."""
        return seen.state is WatchState.SUCCEEDED and (self.when is None or self.when.holds(document))


def concluded(result: Result, seen: Observation, answer: Answer) -> Observation:
    """What the first answer said, with what the second one adds. Without a result it is a trouble: asked for again."""
    try:
        document = documents.parse(answer.body)
    except Unreadable:
        document = None
    said = documents.message(result.message.find(document)) or ""
    if any(answer.status in given.statuses for given in result.failed) and answer.status not in OURS:
        reason = said or f"its result is answered with HTTP {answer.status}"
        return replace(
            seen,
            state=WatchState.FAILED,
            error=Error(str(answer.status), documents.shortened(reason, MESSAGE_LIMIT)),
            result_expires_at=None,
        )
    code = status.trouble_code(answer.status)
    value = result.read.find(document) if code is None else None
    if value is None:
        code = code if answer.status in OURS and code is not None else NO_RESULT
        sentence = documents.line(said, TROUBLE_LIMIT) or status.sentence(code, answer.status)
        return waiting(Observation(trouble=Trouble(code, sentence)), answer)
    return replace(seen, result=documents.document(value))
