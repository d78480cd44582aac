"""Every preset reads the saved answers beside this file as they say: tests/providers/ID/*.json."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from ringback.core.model import Answer
from ringback.providers.explain import try_answer
from ringback.providers.shelf import shipped

HERE = Path(__file__).parent
AT = datetime(2026, 1, 1, tzinfo=UTC)
FILES = sorted(HERE.glob("*/*.json"))


def _body(answer):
    if "hex" in answer:
        return bytes.fromhex(answer["hex"])
    return answer["text"].encode() if "text" in answer else msgspec.json.encode(answer["body"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_saved_answer_is_read_as_it_says(file):
    """Each file names what it promises."""
    case = msgspec.json.decode(file.read_bytes())
    preset = shipped().get(file.parent.name)
    answer = Answer(
        status=case["answer"]["status"], headers=case["answer"].get("headers", {}), body=_body(case["answer"]), at=AT
    )
    assert try_answer(preset, answer, case["task_id"]) == case["expected"], case["promise"]
    seen = preset.read(answer, case["task_id"])
    assert seen.unknown_word == case.get("unknown_word")
    wait = seen.trouble.retry_after if seen.trouble is not None else seen.retry_after
    assert wait == (timedelta(seconds=case["retry_after_s"]) if "retry_after_s" in case else None)


def test_every_word_of_every_preset_has_a_saved_answer():
    """A preset cannot be shipped untried: each of its words stands in one of its answers."""
    for preset in shipped().all():
        texts = [
            _body(msgspec.json.decode(file.read_bytes())["answer"])
            for file in FILES
            if file.parent.name == preset.about.id
        ]
        for word in preset.about.states:
            assert any(f'"{word}"'.encode() in text for text in texts), (preset.about.id, word)
