"""The [read] table of a preset: where an answer says what.

Secret: the keys that describe an answer, and which of them contradict each other. reader.py applies them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from ringback.providers import documents, tables
from ringback.providers.paths import Field, Path
from ringback.providers.status import STATES, Meaning, StatusRange, TaskState, Verdict

RANGE = re.compile(r"(-?[0-9]{1,9})-(-?[0-9]{1,9})")
"""A word that stands for every whole number between two."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """[[read.rules]]: what an answer is when an expression holds: finished is not always succeeded.

    The first that holds counts. `of`: only where the status word was read as this state.
    """

    when: Path
    becomes: Verdict
    of: TaskState | None = None
    code: str | None = None
    message: Path | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """[read.error]: where a failed task says why. Without a code, the status word is the code."""

    code: Path | None = None
    message: Path | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """[read.problem]: how the API says that something is wrong with the request rather than with the task.

    It says so when there is a `code` that is none of `ok`, or when `when` holds, unless the status word says that the
    task has failed or was cancelled: then that is why. `codes`: what some of them mean.
    """

    when: Path | None = None
    ok: tuple[str, ...] = ()
    code: Path | None = None
    message: Path | None = None
    codes: dict[str, Verdict] = {}

    def wrong(self, document: Any) -> bool:
        """Whether a code stands there that is none of those of no problem."""
        code = documents.text(self.code.find(document)) if self.ok and self.code is not None else None
        return bool(code) and code not in self.ok

    def complains(self, document: Any) -> bool:
        """Whether the answer says that something is wrong, by its code or otherwise."""
        return (self.when is not None and self.when.holds(document)) or self.wrong(document)


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """[read.progress]: how far the task is.

    `fraction` is 0 to 1, `percent` 0 to 100 (a number, or a text with or without %), `value` of `total` are counts.
    """

    value: Path | None = None
    total: Path | None = None
    fraction: Path | None = None
    percent: Path | None = None
    text: Path | None = None


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """[read.times]: when the task finished, and when its result expires. RFC 3339, or seconds or milliseconds."""

    finished: Path | None = None
    expires: Path | None = None


def words(raw: object, where: str, problems: list[str]) -> Any:
    """The vendor's words, each with the state that it means; not the other way round, as many write it first."""
    if isinstance(raw, Mapping):
        for state, given in raw.items():
            if isinstance(given, list):
                word = next((str(word) for word in given if not isinstance(word, list | dict)), "done")
                key = tables.key_of(where, state)
                problems.append(f'{key}: expected one line a word, such as "{word}" = "{state}", got a list')
                return tables.BAD
    return tables.mapping(str, TaskState, raw, where, problems)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table.

    The status word stands at `state`: in the answer, or in each part of the list that is at `every`. `otherwise` is
    what a table or list without a word is when no rule holds. `json` names texts that hold JSON. `task_id` is where the
    answer names its task; `details` are kept under their own names.
    """

    state: Path | None = None
    every: Path | None = None
    states: Annotated[dict[str, TaskState], words] = {}
    ignore_case: bool = False
    otherwise: TaskState | None = None
    http: dict[StatusRange, Meaning] = {}
    json: tuple[Field, ...] = ()
    task_id: Path | None = None
    result: Path | None = None
    details: tuple[Field, ...] = ()
    rules: tuple[Rule, ...] = ()
    error: Failure = Failure()
    problem: Envelope | None = None
    progress: Steps = Steps()
    times: Times = Times()

    @property
    def ends(self) -> set[str]:
        """Everything that an answer can become."""
        codes = self.problem.codes if self.problem is not None else {}
        becomes = [rule.becomes for rule in self.rules]
        return {*self.states.values(), *becomes, *self.http.values(), *codes.values(), self.otherwise or ""}

    def contradictions(self) -> list[str]:
        """What its keys cannot be together."""
        found = []
        if self.state is not None and not self.states:
            found.append("read.states: is missing; expected the words that stand at state")
        if self.state is None and self.states:
            found.append("read.state: is missing; expected where the words of read.states stand")
        elif self.state is None and (self.every is not None or not (self.rules or self.http)):
            found.append("read.state: is missing; expected where the status word stands, or rules without one")
        ranges = [given for word in self.states if (given := RANGE.fullmatch(word))]
        if backward := [given[0] for given in ranges if int(given[1]) > int(given[2])]:
            found.append(f"read.states.{backward[0]}: expected the smaller number first")
        if self.ignore_case:
            first: dict[str, str] = {}
            found += [
                f"read.states.{word}: means {state}, and '{like}' something else: with ignore_case they are one word"
                for word, state in self.states.items()
                if self.states[like := first.setdefault(word.casefold(), word)] != state
            ]
        if "succeeded" not in self.ends:
            found.append("read.states: expected a word that means succeeded")
        if self.problem is not None and self.problem.when is None and not (self.problem.ok or self.problem.codes):
            found.append("read.problem.when: is missing; expected an expression, or ok with the codes of no problem")
        if self.problem is not None and self.problem.code is None and (self.problem.ok or self.problem.codes):
            found.append("read.problem.code: is missing; expected where the code stands")
        found += [
            f"read.rules[{place}].code: expected none, because {rule.becomes} is a problem, which has its own code"
            for place, rule in enumerate(self.rules)
            if rule.code is not None and rule.becomes not in STATES
        ]
        names = [field.name for field in self.details]
        if len(set(names)) < len(names):
            found.append("read.details: expected every field to end in another name")
        return found
