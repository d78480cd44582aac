"""Reading backwards: from the preset alone the simulator can say everything that the vendor can."""

import jmespath
import msgspec
import pytest

from ringback.core.model import Answer
from ringback.providers.shelf import shipped
from ringback.simulator.planting import plant, satisfy
from ringback.simulator.sayings import Sayings, Told

TOLD = Told(task_id="T1", step=1, steps=3, share=0.4, result="https://files.test/x", reason="because")
every_preset = pytest.mark.parametrize("preset", shipped().presets(), ids=lambda preset: preset.about.id)


def _read(preset, sayings, saying):
    status, document = sayings.answer(saying, TOLD)
    return preset.read(Answer(status=status, body=msgspec.json.encode(document)), None)


@every_preset
def test_every_word_and_every_status_can_be_said(preset):
    """A preset that the simulator cannot speak could not be tried by anybody."""
    said = {saying.what for saying in Sayings(preset).all()}
    states = {"queued", "running", "succeeded", "failed", "cancelled"}
    wanted = {*preset.about.states, *(f"HTTP {key}" for key, mean in preset.spec.read.http.items() if mean in states)}
    assert wanted <= said


@every_preset
def test_an_answer_has_all_its_parts(preset):
    """What is said is read with the result, the reason and the progress that were put into it."""
    sayings, read = Sayings(preset), preset.spec.read
    assert sayings.of("succeeded")
    for saying in sayings.all():
        seen = _read(preset, sayings, saying)
        if saying.state == "succeeded" and read.result is not None:
            assert seen.result is not None, saying.what
        if saying.state == "failed" and read.error.message is not None and read.error.code is None:
            assert seen.error.message == "because", saying.what
        steps = (read.progress.value, read.progress.fraction, read.progress.percent)
        if saying.state == "running" and any(steps):
            assert seen.progress is not None, saying.what


@every_preset
def test_a_problem_is_read_as_one(preset):
    """The vendor's own error, as the simulator makes it, is no state of the task."""
    sayings = Sayings(preset)
    for meaning, status in (("unauthorized", 401), ("rate_limited", 429), ("unavailable", 500)):
        document = sayings.problem(meaning, "so it is", status)
        seen = preset.read(Answer(status=status, body=msgspec.json.encode(document)), None)
        if preset.spec.read.http.keys().isdisjoint({str(status)}):
            assert seen.trouble is not None
            assert seen.trouble.code == meaning
            assert "so it is" in seen.trouble.message


@pytest.mark.parametrize(
    "expression",
    [
        "a", "a.b.c", "a[0].b", "a[-1]", "a[2].b", "@", "values(@)[0].a", "values(a)[0].b.c", "a || b", "a.b || c.d",
        "a | b", "jobs[?status == 'failed'] | [0].error", "m[?[0] == 'x'] | [0][1].z", "to_string(a.b)", "a && b",
    ],
)  # fmt: skip
def test_a_value_is_found_where_it_was_planted(expression):
    assert jmespath.search(expression, plant({"kept": {"k": 1}}, expression, "V")) == "V"


@pytest.mark.parametrize(
    "expression", ["a[].b", "a[*].b", "a[?c].b", "a.b[].c.d", "[].a", "map(&b.c, a.list)", "values(a)"]
)
def test_a_list_of_values_is_found_where_it_was_planted(expression):
    assert jmespath.search(expression, plant({}, expression, ["V", "W"])) == ["V", "W"]


@pytest.mark.parametrize(
    "expression",
    [
        "a", "!a", "a.b || c", "a && !b", "a == `0`", "a != 'x'", "`3` > a", "a > `1` && b >= `2`", "!(a.b || c)",
        "length(d[?u]) == `0`", "d[?!u]", "error && !(error.code)", "contains(`[1, 2]`, code)",
        "starts_with(to_string(s), 'x')", "a == `null`", "a != `null`", "`null` == a", "c == 'x'", "a <= `5`",
        "`5` <= a", "contains(c, 'y')", "contains(list, 'y')", "ends_with(s, '.mp4')", "length(l) > `1`",
        "!contains(list[].ok, 'y')", "contains(['y', 'z'], to_string(c))", "contains(['x', 'z'], to_string(c))",
        "!contains(['well'], c || 'well')", "a > `0` && sum([b, e]) == a", "sum([b, e]) == a && e > `0`", "a == b",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "document", [{}, {"a": 1, "c": "x", "d": [{"u": 1}, {"u": 0}], "error": {"code": 3}, "list": ["q"]}]
)
def test_a_condition_is_made_to_hold_and_not_to_hold(expression, document):
    """However the document is before."""
    for truth in (True, False):
        changed = satisfy(document, expression, truth=truth)
        assert bool(_search(expression, changed)) is truth


def _search(expression, document):
    try:
        return jmespath.search(expression, document)
    except jmespath.exceptions.JMESPathError:
        return None
