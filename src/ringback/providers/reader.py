"""What an answer says about a task.

    answer -> document -> a code of the vendor's envelope? -> an HTTP status that says it? -> this task's? -> word
           -> state -> rules -> parts

What stops on the way is a Trouble. A status word that is not listed is `running`, and told as unknown.

Secret: how the parts of an answer become an Observation. Pure; it never raises for anything a server can send.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from ringback.core.document import Document
from ringback.core.lifecycle import NOT_FOUND
from ringback.core.model import Answer, Error, Observation, Progress, Trouble, WatchState
from ringback.core.retry import RETRY_AFTER_AT_MOST
from ringback.providers import documents, status
from ringback.providers.base import PROVIDER_ERROR, UNREADABLE, WRONG_TASK
from ringback.providers.documents import Unreadable
from ringback.providers.paths import MISSING, Path
from ringback.providers.reading import Envelope, Reading, Rule, Steps
from ringback.providers.status import STATES
from ringback.providers.words import Words
from ringback.retry_after import retry_after

WORD_LIMIT = 100
MESSAGE_LIMIT = 16_384
TROUBLE_LIMIT = 500
PROGRESS_TEXT_LIMIT = 2_000
"""Characters; what is longer is cut with an ellipsis. A result is never cut here."""

LAST_YEAR = 9000
"""A server can say that a task finished at the end of the calendar; nothing can be added to that."""

LARGEST_NUMBER = 2**53
"""Progress beyond it is no progress, and no receiver could read it exactly."""

USUAL_MESSAGES = Path(
    "error.message || message || error || detail[0].msg || detail"
    " || errors[0].message || errors[0] || msg || description"
)
"""Where an error that no preset describes mostly says what it is."""

USUAL_REASONS = Path("error.message || error || errors[0].message || errors[0]")
"""Where an answer that is about a task mostly says why it failed; its `message` may be about the request."""

NO_REASONS = frozenset({"success", "succeed", "succeeded", "ok"})
"""What envelopes go on saying when a task has failed."""

UNEXPLAINED = "and gives no reason"
"""How the message of a failure ends that nothing explains."""

UNSUCCESSFUL = frozenset({WatchState.FAILED, WatchState.CANCELLED})

BODY = "body"
"""What an HTTP status means whose body is to be read."""

_NUMBER = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*%?\s*")


class _Said(msgspec.Struct, frozen=True):
    """What an answer calls its task: the word, the state it means (None: not listed), and a message that came along."""

    word: str | None
    state: WatchState | None
    message: str | None = None


class Reader:
    """A [read] table at work. `results_live`: how long after the finish a result can be had."""

    __slots__ = ("_http", "_reading", "_results_live", "_words")

    def __init__(self, reading: Reading, results_live: timedelta | None = None) -> None:
        self._reading = reading
        self._results_live = results_live
        self._words = Words(reading.states, ignore_case=reading.ignore_case)
        self._http = {number: meaning for given, meaning in reading.http.items() for number in given.statuses}

    def observe(self, answer: Answer, task_id: str | None) -> Observation:
        """Read an answer. `task_id` None takes whatever task it is about; without `answer.at` nothing is waited for."""
        document, said = self._opened(answer, task_id)
        return waiting(self._judged(document, said, answer), answer)

    def refusal(self, answer: Answer) -> Observation | None:
        """Why an answer about several tasks says nothing of any; None when it does not refuse.

        A code that stands for a state of one task does not stand for all of theirs; nor is one unknown because a route,
        or another one, is: they are left out.
        """
        code = status.trouble_code(answer.status)
        if code == NOT_FOUND:
            return None
        try:
            document = self.parsed(answer.body)
        except Unreadable as exc:
            said = status.sentence(code, answer.status) if code is not None else str(exc)
            return waiting(Observation(trouble=_trouble(code or UNREADABLE, said)), answer)
        problem = self._reading.problem
        named = meaning_of_code(problem, document)
        if named == NOT_FOUND:
            return None
        if code is None and named is None and (problem is None or not problem.complains(document)):
            return None
        code = (named if named not in STATES else None) or code or PROVIDER_ERROR
        said = self._complaint(document) or status.sentence(code, answer.status)
        return waiting(Observation(trouble=_trouble(code, said)), answer)

    def parsed(self, body: bytes) -> Any:
        """The document, with the texts that hold JSON read, too. Raises Unreadable."""
        document = documents.parse(body)
        for field in self._reading.json:
            field.change(document, documents.unpacked)
        return document

    # ------------------------------------------------------------------ what it calls the task

    def _opened(self, answer: Answer, task_id: str | None) -> tuple[Any, _Said | Trouble]:
        """The document, and what it calls its task or what is wrong with the answer."""
        meaning = self._http.get(answer.status) or status.trouble_code(answer.status) or BODY
        try:
            document = self.parsed(answer.body)
        except Unreadable as exc:
            if meaning == BODY:
                return None, _trouble(UNREADABLE, str(exc))
            text = answer.body.decode("utf-8", "replace").strip() or None
            return text, self._meant(meaning, text, answer.status)
        named = meaning_of_code(self._reading.problem, document)
        if named is not None or meaning != BODY:
            return document, self._meant(named or meaning, document, answer.status, by_code=named is not None)
        return document, self._called(document, task_id)

    def _meant(self, meaning: str, document: Any, http: int, *, by_code: bool = False) -> _Said | Trouble:
        """What a code of the envelope or an HTTP status stands for by itself."""
        if meaning in STATES:
            word = self._code(document) if by_code else str(http)
            return _Said(word, STATES[meaning], self._message(document) if by_code else None)
        return _trouble(meaning, self._complaint(document) or status.sentence(meaning, http))

    def _called(self, document: Any, task_id: str | None) -> _Said | Trouble:
        """What a good answer calls the task. What `when` finds beside a word for a failure is its reason."""
        said, problem = self._word(document), self._reading.problem
        if problem is not None and problem.complains(document):
            if said.state not in UNSUCCESSFUL or problem.wrong(document):
                return _trouble(PROVIDER_ERROR, self._complaint(document) or "the provider answered with an error")
            said = replace(said, message=self._message(document))
        if not self._is_about(document, task_id):
            return _trouble(WRONG_TASK, f"the answer is about another task than '{task_id}'")
        return said

    def _word(self, document: Any) -> _Said:
        """The word for the task, or for all of its parts."""
        reading = self._reading
        if reading.state is None:
            return _Said(None, None)
        if reading.every is not None:
            parts = reading.every.find(document)
            if not isinstance(parts, list) or not parts:
                return _Said(None, None)
            return _Said(*self._words.together([documents.text(reading.state.find(part)) or "" for part in parts]))
        word = documents.text(reading.state.find(document))
        known = self._words.state(word) if word is not None else None
        return _Said(word if word or known is not None else None, known)

    def _is_about(self, document: Any, task_id: str | None) -> bool:
        """An answer that names no task is taken as it is: many name none."""
        place = self._reading.task_id
        named = place.find(document) if place is not None else None
        return named in (None, "") or task_id is None or documents.text(named) == task_id

    def _complaint(self, document: Any) -> str | None:
        return complaint(self._reading.problem, document)

    def _code(self, document: Any) -> str | None:
        return code_of(self._reading.problem, document)

    def _message(self, document: Any) -> str | None:
        return _message(self._reading.problem, document)

    # ------------------------------------------------------------------ what that comes to

    def _judged(self, document: Any, said: _Said | Trouble, answer: Answer) -> Observation:
        """After the rules. A word that is not listed is running, unless a rule speaks for whatever word there is."""
        if isinstance(said, Trouble):
            return Observation(trouble=said)
        rule = next((rule for rule in self._reading.rules if _holds(rule, said, document)), None)
        state = STATES.get(rule.becomes) if rule is not None else said.state
        if rule is not None and state is None:
            message = documents.line(_words(rule.message, document) or "", TROUBLE_LIMIT) or self._complaint(document)
            return Observation(trouble=_trouble(rule.becomes, message or status.sentence(rule.becomes, answer.status)))
        if state is None and said.word is None:
            if self._reading.otherwise is None or not isinstance(document, (dict, list)):
                return Observation(trouble=self._speechless(answer.body))
            state = STATES[self._reading.otherwise]
        seen = self._seen(document, state or WatchState.RUNNING, answer.at)
        if state is None:
            return replace(seen, unknown_word=documents.shortened(said.word or "", WORD_LIMIT) or None)
        return replace(seen, error=self._error(document, said, rule)) if state is WatchState.FAILED else seen

    def _speechless(self, body: bytes) -> Trouble:
        reading = self._reading
        missing = (
            f"has no parts at {reading.every.text}"
            if reading.every is not None
            else f"has no status word at {reading.state.text}"
            if reading.state is not None
            else "fits none of the preset's rules"
        )
        return _trouble(UNREADABLE, f"the answer {missing}" + (f": {documents.excerpt(body)}" if body else ""))

    def _seen(self, document: Any, state: WatchState, at: datetime | None) -> Observation:
        """The parts of an answer that says this state."""
        reading = self._reading
        finished = _moment(reading.times.finished, document) if state.final else None
        return Observation(
            state=state,
            result=self._result(document, state) if state.final else None,
            result_expires_at=self._expires(document, finished or at) if state is WatchState.SUCCEEDED else None,
            progress=_progress(reading.progress, document),
            details=self._details(document),
            settled_at=finished,
        )

    def _result(self, document: Any, state: WatchState) -> Document | None:
        """What the task has made; of one that did not succeed an empty list is nothing."""
        value = self._reading.result.find(document) if self._reading.result is not None else None
        nothing = value is None or (state is not WatchState.SUCCEEDED and value in ("", [], {}))
        return documents.document(value) if not nothing else None

    def _error(self, document: Any, said: _Said, rule: Rule | None) -> Error:
        reasons = self._reading.error
        word = said.word if said.state is WatchState.FAILED else None
        code = (rule.code if rule is not None else None) or _words(reasons.code, document) or word or "failed"
        message = (
            _reason(rule.message if rule is not None else None, document)
            or _reason(reasons.message, document)
            or said.message
            or _usual(USUAL_REASONS, document)
        )
        message = message or f"the provider says '{said.word or code}' {UNEXPLAINED}"
        return Error(documents.shortened(code, WORD_LIMIT), documents.shortened(message, MESSAGE_LIMIT))

    def _details(self, document: Any) -> Document | None:
        if not self._reading.details:
            return None
        found = [(field.name, field.find(document)) for field in self._reading.details]
        kept = {name: value for name, value in found if value is not MISSING}
        return documents.document(kept) if kept else None

    def _expires(self, document: Any, finished: datetime | None) -> datetime | None:
        said = _moment(self._reading.times.expires, document)
        if said is not None or self._results_live is None or finished is None:
            return said
        return finished + self._results_live if finished.year < LAST_YEAR else None


def complaint(envelope: Envelope | None, document: Any) -> str | None:
    """The message of the vendor's envelope, with its code, on one line."""
    code, message = code_of(envelope, document), _message(envelope, document)
    if code is not None and envelope is not None and code in envelope.ok:
        code = None  # what says that nothing is wrong is no complaint
    said = f"{message} ({code})" if message and code else message or code or ""
    return documents.line(said, TROUBLE_LIMIT) or None


def meaning_of_code(envelope: Envelope | None, document: Any) -> str | None:
    """What the vendor's code means, where the preset says so of it."""
    if envelope is None or not envelope.codes:
        return None
    return envelope.codes.get(code_of(envelope, document) or "")


def code_of(envelope: Envelope | None, document: Any) -> str | None:
    """The vendor's code."""
    return _words(envelope.code, document) if envelope is not None else None


def _message(envelope: Envelope | None, document: Any) -> str | None:
    """Where the preset says, else at the usual places: a gateway passes on what its vendors say, as they say it."""
    if envelope is None or envelope.message is None:
        return _words(USUAL_MESSAGES, document)
    return _words(envelope.message, document) or _usual(USUAL_MESSAGES, document)


def waiting(seen: Observation, answer: Answer) -> Observation:
    """With how long the answer asks us to wait."""
    wait = retry_after(answer.headers, answer.at) if answer.at is not None and answer.headers else None
    if wait is None:
        return seen
    wait = min(wait, RETRY_AFTER_AT_MOST)  # some write a date where seconds belong
    if seen.trouble is not None:
        return replace(seen, trouble=replace(seen.trouble, retry_after=wait))
    return replace(seen, retry_after=wait)


def _holds(rule: Rule, said: _Said, document: Any) -> bool:
    return (rule.of is None or said.state is STATES[rule.of]) and rule.when.holds(document)


def _progress(steps: Steps, document: Any) -> Progress | None:
    value, total = _count(steps.value, document), _count(steps.total, document)
    fraction = _fraction(steps, document, value, total)
    text = steps.text.find(document) if steps.text is not None else None
    words = documents.shortened(text, PROGRESS_TEXT_LIMIT) if isinstance(text, str) and text else None
    if value is None and fraction is None and words is None:
        return None
    return _progress_of(value, total, fraction, words)


@lru_cache(maxsize=1024, typed=True)
def _progress_of(value: float | None, total: float | None, fraction: float | None, text: str | None) -> Progress:
    """What many tasks have at a time is the same in memory."""
    return Progress(value, total, fraction, text)


def _fraction(steps: Steps, document: Any, value: float | None, total: float | None) -> float | None:
    """From 0 to 1, four places: what lies outside is no fraction."""
    said = _count(steps.fraction, document)
    percent = _count(steps.percent, document)
    if percent is not None:
        said = percent / 100
    elif said is None and value is not None and total:
        said = value / total
    return round(said, 4) if said is not None and 0 <= said <= 1 else None


def _count(path: Path | None, document: Any) -> int | float | None:
    """A number, or a text that is one, with or without %."""
    value = path.find(document) if path is not None else None
    if isinstance(value, str) and (found := _NUMBER.fullmatch(value)):
        value = float(found[1]) if "." in found[1] else int(found[1])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) <= LARGEST_NUMBER else None


def _moment(path: Path | None, document: Any) -> datetime | None:
    return documents.moment(path.find(document)) if path is not None else None


def _words(path: Path | None, document: Any) -> str | None:
    return documents.message(path.find(document)) if path is not None else None


def _reason(path: Path | None, document: Any) -> str | None:
    """Of several places the first that says more than that all is well."""
    for choice in path.each if path is not None else ():
        words = _words(choice, document)
        if words is not None and words.casefold() not in NO_REASONS:
            return words
    return None


def _usual(path: Path, document: Any) -> str | None:
    """Where the preset names no place: a text, because an object of which we know nothing may say nothing."""
    found = path.find(document)
    return found if isinstance(found, str) and found.strip() and found.casefold() not in NO_REASONS else None


def _trouble(code: str, message: str) -> Trouble:
    return Trouble(code, documents.line(message, TROUBLE_LIMIT))
