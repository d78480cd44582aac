"""What an answer says about a task: the [read] table of a preset.

Secret: how the parts of an answer become an Observation. Pure; it never raises for anything a server can send.

    answer -> HTTP status -> document -> the vendor's envelope? -> this task's? -> word -> state -> overrides -> parts

What stops on the way is a Trouble. A status word that is not listed is `running`, and told as unknown.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from ringback.core.document import Document
from ringback.core.model import Answer, Error, Observation, Progress, Trouble, WatchState
from ringback.providers import documents, status
from ringback.providers.base import PROVIDER_ERROR, UNREADABLE, WRONG_TASK
from ringback.providers.documents import Unreadable
from ringback.providers.paths import MISSING, Field, Path
from ringback.retry_after import retry_after

WORD_LIMIT = 100
MESSAGE_LIMIT = 16_384
TROUBLE_LIMIT = 500
PROGRESS_TEXT_LIMIT = 2_000
"""Characters; what is longer is cut with an ellipsis. A result is never cut here."""

LARGEST_NUMBER = 2**53
"""Progress beyond it is no progress, and no receiver could read it exactly."""

TaskState = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """[[read.overrides]]: a state that is another one when an expression holds: finished is not always succeeded."""

    state: TaskState
    when: Path
    becomes: TaskState
    code: str | None = None
    message: Path | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """[read.error]: where a failed task says why. Without a code, the status word is the code."""

    code: Path | None = None
    message: Path | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """[read.problem]: how the API says that something is wrong with the request rather than with the task."""

    when: Path
    code: Path | None = None
    message: Path | None = None


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """[read.progress]: how far the task is."""

    value: Path | None = None
    text: Path | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The [read] table. `task_id` is where the answer names its task; `details` are kept under their own names."""

    state: Path
    states: dict[str, TaskState]
    task_id: Path | None = None
    result: Path | None = None
    details: tuple[Field, ...] = ()
    overrides: tuple[Override, ...] = ()
    error: Failure = Failure()
    problem: Envelope | None = None
    progress: Steps = Steps()


def observe(reading: Reading, answer: Answer, task_id: str | None) -> Observation:
    """Read an answer. `task_id` None takes whatever task it is about; without `answer.at` nothing is waited for."""
    wait = retry_after(answer.headers, answer.at) if answer.at is not None and answer.headers else None
    found = _met(reading, answer, task_id)
    if isinstance(found, Trouble):
        return Observation(trouble=replace(found, retry_after=wait))
    return _seen(reading, *found, wait)


def _met(reading: Reading, answer: Answer, task_id: str | None) -> Trouble | tuple[Any, str]:
    """The document and its status word, or what is wrong with the answer."""
    code = status.trouble_code(answer.status)
    try:
        document = documents.parse(answer.body)
    except Unreadable as exc:
        return _trouble(UNREADABLE, str(exc)) if code is None else _trouble(code, status.sentence(code, answer.status))
    if code is not None:
        return _trouble(code, _complaint(reading, document) or status.sentence(code, answer.status))
    if reading.problem is not None and reading.problem.when.holds(document):
        return _trouble(PROVIDER_ERROR, _complaint(reading, document) or "the provider answered with an error")
    if not _is_about(reading, document, task_id):
        return _trouble(WRONG_TASK, f"the answer is about another task than '{task_id}'")
    word = documents.text(reading.state.find(document))
    if not word and word not in reading.states:
        return _trouble(
            UNREADABLE, f"the answer has no status word at {reading.state.text}: {documents.excerpt(answer.body)}"
        )
    return document, word or ""


def _seen(reading: Reading, document: Any, word: str, wait: timedelta | None) -> Observation:
    state, error = _judged(reading, document, word)
    return Observation(
        state=state,
        unknown_word=None if word in reading.states else documents.shortened(word, WORD_LIMIT),
        result=_result(reading, document) if state.final else None,
        error=error,
        progress=_progress(reading.progress, document),
        details=_details(reading, document),
        retry_after=wait,
    )


def _judged(reading: Reading, document: Any, word: str) -> tuple[WatchState, Error | None]:
    """The state after the overrides, and for a failed one why. A word that is not listed is running, come what may."""
    said = reading.states.get(word)
    if said is None:
        return WatchState.RUNNING, None
    met = next((rule for rule in reading.overrides if rule.state == said and rule.when.holds(document)), None)
    state = WatchState(met.becomes if met is not None else said)
    if state is not WatchState.FAILED:
        return state, None
    code = (met.code if met is not None else None) or _words(reading.error.code, document) or word
    message = _words(met.message if met is not None else None, document) or _words(reading.error.message, document)
    return state, Error(
        documents.shortened(code, WORD_LIMIT),
        documents.shortened(message or f"the provider says '{word}' and gives no reason", MESSAGE_LIMIT),
    )


def _is_about(reading: Reading, document: Any, task_id: str | None) -> bool:
    """An answer that names no task is taken as it is: many name none."""
    named = reading.task_id.find(document) if reading.task_id is not None else None
    return named is None or task_id is None or documents.text(named) == task_id


def _complaint(reading: Reading, document: Any) -> str | None:
    """The message of the vendor's envelope, with its code."""
    envelope = reading.problem
    if envelope is None or not envelope.when.holds(document):
        return None
    code, message = _words(envelope.code, document), _words(envelope.message, document)
    return f"{message} ({code})" if message and code else message or code


def _result(reading: Reading, document: Any) -> Document | None:
    value = reading.result.find(document) if reading.result is not None else None
    return documents.document(value) if value is not None else None


def _details(reading: Reading, document: Any) -> Document | None:
    found = [(field.name, field.find(document)) for field in reading.details]
    kept = {name: value for name, value in found if value is not MISSING}
    return documents.document(kept) if kept else None


def _progress(steps: Steps, document: Any) -> Progress | None:
    value = _number(steps.value.find(document)) if steps.value is not None else None
    text = steps.text.find(document) if steps.text is not None else None
    words = documents.shortened(text, PROGRESS_TEXT_LIMIT) if isinstance(text, str) and text else None
    return Progress(value=value, text=words) if value is not None or words is not None else None


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) <= LARGEST_NUMBER else None


def _words(path: Path | None, document: Any) -> str | None:
    return documents.message(path.find(document)) if path is not None else None


def _trouble(code: str, message: str) -> Trouble:
    return Trouble(code, documents.line(message, TROUBLE_LIMIT))
