"""A preset in plain words: how its API is asked, and how its answers are read.

Secret: the wording, for `ringback providers ID`, and the shape of `ringback providers try`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from ringback.core.document import Document
from ringback.core.model import Answer, Observation
from ringback.providers.reading import Reading
from ringback.providers.spec import Preset

MARGIN = 10
FIXED_TROUBLES = (
    "HTTP 401 and 403 are a wrong key, 404 an unknown task, 429 too many requests, 408, 425 and 5xx a server in trouble"
)


def explain(preset: Preset) -> str:
    """A page of text."""
    about, spec = preset.about, preset.spec
    head = [f"{about.id}: {about.title}", ""]
    lines = [
        ("menu", about.menu),
        ("asked", f"{spec.ask.method} {about.base_url}{spec.ask.path.text}"),
        ("signed", f"{spec.auth.explain()}; the account is {about.vendor} unless another is named"),
        *_params(preset),
        *_read(spec.read),
        ("notes", about.notes),
        ("facts", f"{about.confidence}; {about.source}"),
    ]
    return "\n".join([*head, *(f"{label:<{MARGIN}}{text}" for label, text in lines if text)])


def try_answer(preset: Preset, answer: Answer, task_id: str | None) -> dict[str, Any]:
    """What a saved answer says, as `ringback providers try` prints it. Without a task id it may be about any task."""
    seen = preset.read(answer, task_id)
    return {
        "state": seen.state.value if seen.state is not None else None,
        "result": _value(seen.result),
        "error": _plain(seen.error),
        "progress": _plain(seen.progress),
        "details": _value(seen.details),
        "problem": _problem(seen),
    }


def _params(preset: Preset) -> Iterator[tuple[str, str]]:
    if preset.about.params:
        yield "params", ", ".join(preset.about.params) + " (given with the registration)"


def _read(read: Reading) -> Iterator[tuple[str, str]]:
    """One line a rule."""
    words = ", ".join(f"{word} is {state}" for word, state in read.states.items())
    yield "state", f"the word at {read.state.text}: {words}"
    for rule in read.overrides:
        code = f", code {rule.code}" if rule.code else ""
        yield "", f"{rule.state} is {rule.becomes} where {rule.when.text}{code}"
    yield "", "any other word is running, and told as unknown"
    if read.task_id is not None:
        yield "task", f"{read.task_id.text} must be the task's id where the answer names one"
    if read.result is not None:
        yield "result", read.result.text
    if read.error.message is not None or read.error.code is not None:
        code = read.error.code.text if read.error.code is not None else "the status word"
        message = read.error.message.text if read.error.message is not None else "nothing"
        yield "failure", f"the code is {code}, the message {message}"
    shown = [path.text for path in (read.progress.value, read.progress.text) if path is not None]
    if shown:
        yield "progress", "; ".join(shown)
    if read.details:
        yield "details", ", ".join(field.text for field in read.details)
    if read.problem is not None:
        yield "problems", f"an answer where {read.problem.when.text} is true is an error, with any HTTP status"
    yield "" if read.problem is not None else "problems", FIXED_TROUBLES


def _value(document: Document | None) -> Any:
    """Standard JSON here: the numbers that a person compares must come out as they went in."""
    return json.loads(document.text) if document is not None else None


def _plain(part: msgspec.Struct | None) -> dict[str, Any] | None:
    return msgspec.structs.asdict(part) if part is not None else None


def _problem(seen: Observation) -> dict[str, str] | None:
    return {"code": seen.trouble.code, "message": seen.trouble.message} if seen.trouble is not None else None
