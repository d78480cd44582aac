"""What a vendor can say about a task, made of its preset alone: an answer for every word, rule, status and code.

    Sayings(preset).of("running")     every way to say that a task runs, in the order of the preset
    answer(saying, ...)               the whole answer, with progress, result or reason in it

Secret: how an answer is put together so that the preset reads it as what was meant. Each way is read before it is used;
what is read as something else is not said. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from ringback.core.errors import RingbackError
from ringback.core.model import Answer, Observation
from ringback.providers import documents
from ringback.providers.paths import Path
from ringback.providers.preset import Preset
from ringback.providers.reader import USUAL_MESSAGES
from ringback.providers.reading import Envelope, Rule
from ringback.providers.status import STATES
from ringback.simulator.planting import plant, satisfy

STATES_IN_ORDER = ("queued", "running", "succeeded", "failed", "cancelled")
UNSUCCESSFUL = "unsuccessful"
"""Finished, but a rule makes it something else than succeeded."""

UNREAD = "working"
"""What a vendor says of whose words only the last ones are known: any other is running."""

WHOLE = "@"

Change = Callable[[Any], Any]


class Saying(msgspec.Struct, frozen=True):
    """One way to say a state: an HTTP status, and what makes a document say it."""

    state: str
    status: int
    what: str
    changes: tuple[Change, ...]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into an answer beside the state.

    `values` are further places, by the text of their path; `holds` is a condition that the answer meets, too.
    """

    task_id: str
    step: int = 0
    steps: int = 0
    share: float = 0.0
    result: Any = None
    reason: str = ""
    values: Mapping[str, Any] = {}
    holds: Path | None = None


SAMPLE = Told(task_id="t", step=1, steps=2, share=0.5, result="x", reason="x")


class Sayings:
    """Everything that a preset's vendor can say."""

    def __init__(self, preset: Preset) -> None:
        self._preset = preset
        self._read = preset.spec.read
        self._by_state: dict[str, list[Saying]] = {}
        for saying in self._all():
            ways = (saying, self._past_rules(saying))
            way = next((way for way in ways if self._is_read_as_meant(way)), None)
            if way is not None:
                self._by_state.setdefault(way.state, []).append(way)
        if self._read.state is not None and not (self.of("queued") or self.of("running")):
            self._by_state["running"] = [Saying("running", 200, "any other word", (self._saying_word(UNREAD),))]

    def of(self, state: str) -> list[Saying]:
        """Every way to say it; none when the vendor has no word for it."""
        return self._by_state.get(state, [])

    def all(self) -> list[Saying]:
        """Every way to say anything."""
        return [saying for sayings in self._by_state.values() for saying in sayings]

    def answer(self, saying: Saying, told: Told) -> tuple[int, Any]:
        """The HTTP status and the document."""
        document: Any = self.good({})
        for change in saying.changes:
            document = change(document)
        for path, value in self._parts(saying, told):
            document = self._with(saying, document, path, value)
        if told.holds is not None:
            document = satisfy(document, told.holds.each[0].text)
        for field in self._read.json:
            field.change(document, _packed)
        return saying.status, document

    def problem(self, meaning: str, message: str, status: int) -> Any:
        """The document of an error that is about the request."""
        envelope = self._read.problem or Envelope()
        codes = [code for code, means in envelope.codes.items() if means == meaning]
        document: Any = {}
        if envelope.when is not None:
            document = satisfy(document, envelope.when.each[0].text)
        names_others = envelope.codes and not codes and not envelope.ok
        if envelope.code is not None and not names_others:
            document = plant(document, envelope.code.each[0].text, codes[0] if codes else status)
        return plant(document, (envelope.message or USUAL_MESSAGES).each[0].text.partition(" || ")[0], message)

    # ------------------------------------------------------------------ every way to say something

    def _all(self) -> Iterator[Saying]:
        read = self._read
        words = {} if read.state is None else {word: _sample(word) for word in read.states}
        for word, sample in words.items():
            yield Saying(read.states[word], 200, word, (self._saying_word(sample),))
        for given, meaning in read.http.items():
            if meaning in STATES:
                yield Saying(meaning, given.statuses[0], f"HTTP {given}", ())
        for rule in read.rules:
            yield from self._by_rule(rule, words)
        if read.otherwise is not None:
            yield Saying(read.otherwise, 200, "no word", ())
        if read.problem is not None and read.problem.code is not None:
            for code, meaning in read.problem.codes.items():
                if meaning in STATES:
                    yield Saying(meaning, 200, f"code {code}", (self._planting(read.problem.code, code),))

    def _by_rule(self, rule: Rule, words: Mapping[str, str]) -> Iterator[Saying]:
        """A rule speaks where its word stands; one for all words speaks without a word, too."""
        read = self._read
        state = UNSUCCESSFUL if rule.of == "succeeded" and rule.becomes != "succeeded" else rule.becomes
        places = read.state.each if read.state is not None else ()
        starts: list[tuple[int, tuple[Change, ...]]] = [
            (200, (self._saying_word(sample, place),))
            for place in places
            for word, sample in words.items()
            if read.states[word] == (rule.of or read.states[word])
        ]
        starts += [
            (given.statuses[0], ()) for given, meaning in read.http.items() if meaning == (rule.of or meaning) in STATES
        ]
        starts = [(200, ()), *starts] if rule.of is None else starts
        holds: Change = partial(satisfy, expression=rule.when.each[0].text)
        if rule.becomes in STATES:
            yield from (Saying(state, status, f"rule {rule.when.text}", (*start, holds)) for status, start in starts)

    def _past_rules(self, saying: Saying) -> Saying:
        """The same, so that no rule makes something else of it: not all rules hold of an answer that is empty."""
        others = [rule.when.each[0].text for rule in self._read.rules if saying.what != f"rule {rule.when.text}"]
        past: list[Change] = [partial(satisfy, expression=text, truth=False) for text in others]
        return msgspec.structs.replace(saying, changes=(*saying.changes, *past))

    def _saying_word(self, word: str, at: Path | None = None) -> Change:
        """At this one of the places for it; without one, at the first."""
        read, place = self._read, at or self._read.state
        assert place is not None, "a preset with words has a place for them"
        if read.every is None:
            return self._planting(place, _typed(word))
        part = plant({}, place.each[0].text, _typed(word))
        return self._planting(read.every, [part, part])

    @staticmethod
    def _planting(path: Path, value: Any) -> Change:
        return lambda document: plant(document, path.each[0].text, value)

    def good(self, document: Any) -> Any:
        """The document, as one without a problem."""
        envelope = self._read.problem
        if envelope is None or envelope.code is None or not envelope.ok:
            return document
        coded = plant(document, envelope.code.each[-1].text, _typed(envelope.ok[0]))
        return document if envelope.complains(coded) else coded  # none is needed, and `when` may look at its place

    # ------------------------------------------------------------------ the other parts

    def _parts(self, saying: Saying, told: Told) -> Iterator[tuple[Path, Any]]:
        read = self._read
        if read.task_id is not None:
            yield read.task_id, told.task_id
        if saying.state == "succeeded" and read.result is not None:
            yield read.result, told.result
        if saying.state in ("failed", UNSUCCESSFUL):
            yield from ((path, told.reason) for path in (read.error.message, *self._messages(saying)) if path)
        steps = read.progress
        counted = {steps.value: told.step, steps.total: told.steps, steps.text: f"step {told.step}"}
        parts = {steps.percent: round(100 * told.share), steps.fraction: round(told.share, 3)}
        if saying.state in ("running", "succeeded"):
            yield from ((path, value) for path, value in {**counted, **parts}.items() if path is not None)
        yield from ((Path(text), value) for text, value in told.values.items())

    def _with(self, saying: Saying, document: Any, path: Path, value: Any) -> Any:
        """With a value at the first of the places that leaves the answer what it is meant to be.

        What is the whole document leaves nothing beside it.
        """
        places = (each.text for each in path.each if each.text != WHOLE or not document)
        planted = (plant(document, place, value) for place in places)
        return next((changed for changed in planted if self._means(saying, changed)), document)

    def _messages(self, saying: Saying) -> Iterator[Path]:
        for rule in self._read.rules:
            if rule.message is not None and saying.what == f"rule {rule.when.text}":
                yield rule.message

    # ------------------------------------------------------------------ reading what was written

    def _is_read_as_meant(self, saying: Saying) -> bool:
        status, document = self.answer(saying, SAMPLE)
        return self._means(msgspec.structs.replace(saying, status=status), document)

    def _means(self, saying: Saying, document: Any) -> bool:
        seen = self._seen(saying.status, document)
        if seen.state is None or seen.unknown_word is not None:
            return False
        if saying.state == UNSUCCESSFUL:
            return seen.state.final and seen.state.value != "succeeded"
        return seen.state.value == saying.state

    def _seen(self, status: int, document: Any) -> Observation:
        try:
            return self._preset.read(Answer(status=status, body=msgspec.json.encode(document)), None)
        except (RingbackError, TypeError) as exc:  # a document that no JSON can hold is no answer
            raise AssertionError(f"{self._preset.about.id}: {document!r}") from exc


def _packed(value: Any) -> Any:
    """JSON in a text, as some vendors have it."""
    return documents.message(value) if isinstance(value, (dict, list)) else value


def _sample(word: str) -> str:
    """A word, or the first number of a range."""
    first, dash, last = word.partition("-")
    return first if dash and first.isdigit() and last.isdigit() else word


def _typed(word: str) -> Any:
    """As JSON would have it: a number, true, false, or text."""
    if word in ("true", "false"):
        return word == "true"
    digits = word.removeprefix("-")
    return int(word) if digits.isdigit() and (digits == "0" or digits[0] != "0") else word
