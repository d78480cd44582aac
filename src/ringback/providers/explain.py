"""A preset in plain words: how its API is asked, and how its answers are read.

Secret: the wording, for `ringback providers ID`, and the shape of `ringback providers try`. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ringback.core.document import Document
from ringback.core.model import Answer, Observation
from ringback.durations import spelled
from ringback.providers.asking import Request
from ringback.providers.batch import Batch
from ringback.providers.preset import Preset
from ringback.providers.reader import UNEXPLAINED
from ringback.providers.reading import Reading, Rule
from ringback.providers.result import Result
from ringback.providers.submit import Submit

MARGIN = 10
FIXED_TROUBLES = (
    "HTTP 401 and 403 are a wrong key, 404 an unknown task, 429 too many requests, 408, 425 and 5xx a server in trouble"
)
Line = tuple[str, str | None]


def explain(preset: Preset) -> str:
    """A page of text."""
    about, spec = preset.about, preset.spec
    head, base_url = [f"{about.id}: {about.title}", ""], about.base_url or "<the account's base_url>"
    lines: list[Line] = [
        ("menu", about.menu),
        *(_submit(spec.submit) if spec.submit is not None else ()),
        ("asked", _request(spec.ask, base_url)),
        *_batch(spec.batch, base_url),
        ("signed", f"{spec.auth.explain()}; the account is {about.vendor} unless another is named"),
        *_hosts(preset),
        *_params(preset),
        *_read(spec.read),
        *_result(spec.result, base_url),
        *_limits(preset),
        ("callback", about.native_callback),
        ("notes", about.notes),
        ("facts", f"{about.confidence}; {about.source}"),
    ]
    return "\n".join([*head, *(f"{label:<{MARGIN}}{text}" for label, text in lines if text)])


def try_answer(preset: Preset, answer: Answer, task_id: str | None) -> dict[str, Any]:
    """What a saved answer says, as `ringback providers try` prints it. Without a task id it may be about any task."""
    return told(preset.read(answer, task_id))


def unfound(preset: Preset, said: Mapping[str, Any]) -> Iterator[str]:
    """What a preset looks for and did not find in an answer that `try_answer` has read, each in one sentence."""
    read, error = preset.spec.read, said["error"]
    if said["state"] == "succeeded" and said["result"] is None and read.result is not None:
        yield f"Nothing stands at {read.result.text}, where read.result looks for the result."
    if error is not None and error["message"].endswith(UNEXPLAINED):
        looked = read.error.message.text if read.error.message is not None else None
        yield (
            f"Nothing stands at {looked}, where read.error.message looks for the reason."
            if looked is not None
            else "No reason was found: the preset has no read.error.message that says where it stands."
        )


def unremembered(preset: Preset, params: Mapping[str, str]) -> Iterator[str]:
    """The params that the answer to a submission should have brought and did not, each in one sentence."""
    for name, place in (preset.spec.submit.remember if preset.spec.submit is not None else {}).items():
        if name not in params:
            yield f"Nothing stands at {place.text}, where submit.remember looks for {name}."


def told(seen: Observation) -> dict[str, Any]:
    """An observation, every part of it."""
    wait = seen.trouble.retry_after if seen.trouble is not None else seen.retry_after
    return {
        "state": seen.state.value if seen.state is not None else None,
        "result": _value(seen.result),
        "error": _plain(seen.error),
        "progress": _plain(seen.progress),
        "details": _value(seen.details),
        "problem": _problem(seen),
        "unknown_word": seen.unknown_word,
        "settled_at": _moment(seen.settled_at),
        "result_expires_at": _moment(seen.result_expires_at),
        "retry_after": spelled(wait) if wait is not None else None,
    }


# ---------------------------------------------------------------------- how it is asked


def _submit(submit: Submit) -> Iterator[Line]:
    yield "begun", f"{submit.method} {submit.target} (by you); the answer has the id at {submit.id.text}"
    if submit.refused_when is not None:
        yield "", f"it was refused where {submit.refused_when.text} holds"
    for name, place in submit.remember.items():
        yield "", f"and {name} at {place.text}"


def _request(made: Request, base_url: str) -> str:
    target = made.target if made.url is not None else f"{base_url}{made.target}"
    body = f" with {made.body.text}" if made.body is not None else ""
    pairs = "&".join(f"{name}={value.text}" for name, value in made.form.items())
    form = f" with the form {pairs}" if pairs else ""
    headers = "".join(f", {name}: {value.text}" for name, value in made.headers.items())
    return f"{made.method} {target}{body}{form}{headers}"


def _batch(batch: Batch | None, base_url: str) -> Iterator[Line]:
    if batch is not None:
        yield "", f"up to {batch.limit} tasks in one request: {_request(batch, base_url)}"


def _hosts(preset: Preset) -> Iterator[Line]:
    hosts = [preset.about.trusted.partition("://")[2].partition("/")[0], *preset.about.hosts]
    named = [*dict.fromkeys(host for host in hosts if host), "the host of the account's base_url"]
    if preset.about.credentials:
        yield "key goes", f"to {', '.join(named[:-1])}{' and to ' if named[:-1] else ''}{named[-1]}, nowhere else"


def _params(preset: Preset) -> Iterator[Line]:
    for place, name in enumerate(preset.about.params):
        described = preset.spec.params.get(name)
        words = [described.about] if described is not None and described.about else []
        if described is not None and described.default is not None:
            words.append(f"left out: {described.default}" if described.default else "may be left out")
        if name in preset.about.secrets:
            words.append("secret: never shown")
        elif name not in preset.about.identity:
            words.append("equal ids are one task whatever it is")
        if name == preset.about.learn_by:
            words.append("durations are learned for each value")
        yield "" if place else "params", f"{name}{': ' if words else ''}{'; '.join(words)}"


def _limits(preset: Preset) -> Iterator[Line]:
    about, limits = preset.about, preset.spec.limits
    told = (
        ("asked at most every", spelled(about.interval) if about.interval is not None else None),
        ("at most", f"{about.rate:g} requests a second" if about.rate is not None else None),
        ("given up after", spelled(about.deadline) if about.deadline is not None else None),
        ("a result can be had for", spelled(limits.results_live) if limits.results_live is not None else None),
        ("an answer has at most", limits.body.text if limits.body is not None else None),
    )
    yield "limits", "; ".join(f"{what} {much}" for what, much in told if much is not None)


# ---------------------------------------------------------------------- how it is read


def _read(read: Reading) -> Iterator[Line]:
    """First what makes a state, then the rest."""
    yield from (("" if place else "state", line) for place, line in enumerate(_states(read)))
    yield from _parts(read)
    yield from _problems(read)


def _states(read: Reading) -> Iterator[str]:
    """Where the word is, one line a state, one line a rule."""
    case = " (in capitals or not)" if read.ignore_case else ""
    if read.state is not None and read.every is not None:
        yield f"the words at {read.state.text} in every part of {read.every.text}{case}; one that failed fails the task"
    elif read.state is not None:
        yield f"the word at {read.state.text}{case}"
    for state in dict.fromkeys(read.states.values()):
        yield f"{state}: {', '.join(word for word, means in read.states.items() if means == state)}"
    for statuses, meaning in read.http.items():
        yield f"HTTP {statuses} {'is read like 200' if meaning == 'body' else f'is {meaning}'}"
    yield from map(_rule, read.rules)
    if read.otherwise is not None:
        yield f"an answer without a word is {read.otherwise}"
    if read.states:
        yield "any other word is running, and told as unknown"


def _rule(rule: Rule) -> str:
    code = f", code {rule.code}" if rule.code else ""
    return f"{rule.of or 'anything'} is {rule.becomes} where {rule.when.text}{code}"


def _parts(read: Reading) -> Iterator[Line]:
    if read.json:
        yield "json", f"{', '.join(field.text for field in read.json)} may be JSON in a text"
    if read.task_id is not None:
        yield "task", f"{read.task_id.text} must be the task's id where the answer names one"
    if read.result is not None:
        yield "result", read.result.text
    if read.error.message is not None or read.error.code is not None:
        code = read.error.code.text if read.error.code is not None else "the status word"
        message = read.error.message.text if read.error.message is not None else "nothing"
        yield "failure", f"the code is {code}, the message {message}"
    steps = {name: getattr(read.progress, name) for name in read.progress.__struct_fields__}
    yield "progress", _listed(f"{name} at {path.text}" for name, path in steps.items() if path is not None)
    times = {"finished": read.times.finished, "the result expires": read.times.expires}
    yield "times", _listed(f"{name} at {path.text}" for name, path in times.items() if path is not None)
    yield "details", ", ".join(field.text for field in read.details)


def _problems(read: Reading) -> Iterator[Line]:
    problem, label = read.problem, "problems"
    if problem is not None and problem.when is not None:
        yield label, f"an answer where {problem.when.text} is true is an error, with any HTTP status"
        label = ""
    if problem is not None and problem.ok and problem.code is not None:
        yield label, f"{problem.code.text} must be {' or '.join(problem.ok)} where an answer has one"
        label = ""
    if problem is not None and problem.codes:
        yield label, "the codes: " + ", ".join(f"{code} is {meaning}" for code, meaning in problem.codes.items())
        label = ""
    yield label, FIXED_TROUBLES


def _result(result: Result | None, base_url: str) -> Iterator[Line]:
    if result is not None:
        where = f" where {result.when.text}" if result.when is not None else ""
        yield "then", f"{_request(result, base_url)} once it has succeeded{where}; the result is at {result.read.text}"
        if result.failed:
            yield "", f"HTTP {', '.join(result.failed)} to it: the task has failed after all"
        if result.failed_when is not None:
            yield "", f"an answer to it where {result.failed_when.text}: the task has failed after all"


def _listed(words: Iterable[str]) -> str:
    return "; ".join(words)


# ---------------------------------------------------------------------- what was tried


def _value(document: Document | None) -> Any:
    """Standard JSON here: the numbers that a person compares must come out as they went in."""
    return json.loads(document.text) if document is not None else None


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def _plain(part: msgspec.Struct | None) -> dict[str, Any] | None:
    return msgspec.structs.asdict(part) if part is not None else None


def _problem(seen: Observation) -> dict[str, str] | None:
    return {"code": seen.trouble.code, "message": seen.trouble.message} if seen.trouble is not None else None
