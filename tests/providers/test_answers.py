"""Every preset reads the saved answers beside this file as they say: tests/providers/ID/*.json.

A file is one case or a list of them. `then` is the answer to the second request, for the result; `times` are when the
task finished and its result expires. What a case leaves out: the status is 200, the task is whichever the answer names,
what is not expected is null, and times are not looked at.
"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from ringback.core.model import Answer
from ringback.providers.explain import told
from ringback.providers.shelf import shipped

HERE = Path(__file__).parent
AT = datetime(2026, 1, 1, tzinfo=UTC)
PARTS = ("state", "result", "error", "progress", "details", "problem")
STEPS = ("value", "total", "fraction", "text")


def _cases():
    """(id of the preset, case) of every file."""
    for file in sorted(HERE.glob("*/*.json")):
        told = msgspec.json.decode(file.read_bytes())
        for place, case in enumerate(told if isinstance(told, list) else [told]):
            name = f"{file.parent.name}/{file.stem}" + (f"-{place}" if isinstance(told, list) else "")
            yield pytest.param(file.parent.name, case, id=name)


CASES = list(_cases())


def _body(answer):
    if "hex" in answer:
        return bytes.fromhex(answer["hex"])
    return answer["text"].encode() if "text" in answer else msgspec.json.encode(answer["body"])


def _answer(saved):
    return Answer(status=saved.get("status", 200), headers=saved.get("headers", {}), body=_body(saved), at=AT)


def _expected(case):
    """What is expected, whole."""
    parts = dict.fromkeys(PARTS) | case["expected"]
    if parts["progress"] is not None:
        parts["progress"] = dict.fromkeys(STEPS) | parts["progress"]
    return parts


@pytest.mark.parametrize(("id", "case"), CASES)
def test_a_saved_answer_is_read_as_it_says(id, case):
    """Each case names what it promises."""
    preset = shipped().get(id)
    seen = preset.read(_answer(case["answer"]), case.get("task_id"))
    if "then" in case:
        seen = preset.read_result(seen, _answer(case["then"]))
    found = told(seen)
    assert {part: found[part] for part in PARTS} == _expected(case), case["promise"]
    assert {name: found[name] for name in case.get("times", ())} == case.get("times", {})
    assert seen.unknown_word == case.get("unknown_word")
    wait = seen.trouble.retry_after if seen.trouble is not None else seen.retry_after
    assert wait == (timedelta(seconds=case["retry_after_s"]) if "retry_after_s" in case else None)


@pytest.mark.parametrize("preset", shipped().presets(), ids=lambda preset: preset.about.id)
def test_everything_a_preset_can_say_has_a_saved_answer(preset):
    """A preset cannot be shipped untried: each of its words stands in one of its answers, and each HTTP status."""
    answers = [param.values[1]["answer"] for param in CASES if param.values[0] == preset.about.id]
    texts = [_body(answer).decode("utf-8", "replace") for answer in answers]
    for word in preset.about.states:
        first = word.partition("-")[0] if word[:1].isdigit() else word
        assert any(re.search(rf"(?<![\w-]){re.escape(first)}(?![\w-])", text) for text in texts), word
    for statuses in preset.spec.read.http:
        assert any(answer.get("status", 200) in statuses.statuses for answer in answers), statuses
    for code in preset.spec.read.problem.codes if preset.spec.read.problem is not None else ():
        assert any(code in text for text in texts), code
