"""The [submit] table: the id, and what to remember, of the answer that somebody saved."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput
from ringback.core.model import Answer
from ringback.providers.shelf import shipped
from ringback.providers.submit import Submitted

PATH = {"method": "POST", "path": "/jobs"}
ASK = {"path": "/{params.a}/{params.b}/{task_id}"}


def _answer(document, **headers):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(status=200, headers=headers, body=body)


@pytest.mark.parametrize(
    ("table", "answer", "task_id"),
    [
        ({"id": "job.id"}, _answer({"job": {"id": "t-1"}}), "t-1"),
        ({"id": "id"}, _answer({"id": 17}), "17"),
        ({"id": "id"}, _answer({"id": 7340012345678901249}), "7340012345678901249"),
        ({"id": "id"}, _answer({"id": 12.0}), "12"),
        ({"id": ["id", "job.id"]}, _answer({"id": None, "job": {"id": "t-2"}}), "t-2"),
        ({"id": "ids[0]"}, _answer({"ids": ["a", "b"]}), "a"),
        ({"id": {"at": "name", "match": "/([^/]+)$"}}, _answer({"name": "projects/fox/jobs/7"}), "7"),
        ({"id": {"header": "Operation-Location"}}, _answer(b"", **{"operation-location": "https://a.example/1"}),
         "https://a.example/1"),
        ({"id": {"header": "location", "match": "/jobs/(.+)$"}}, _answer(b"<html>", location="/jobs/9f/ab"), "9f/ab"),
    ],
)  # fmt: skip
def test_the_id_is_taken_out_of_the_body_or_a_header(preset_with, table, answer, task_id):
    assert preset_with(submit={**PATH, **table}).submitted(answer) == Submitted(task_id, {})


@pytest.mark.parametrize(
    ("table", "answer", "sentence"),
    [
        ({"id": "job.id"}, _answer({}), "no task id: the answer has none at job.id"),
        ({"id": "id"}, _answer({"id": ""}), "no task id: the answer has none at id"),
        ({"id": "id"}, _answer({"id": {"a": 1}}), "no task id: the answer has none at id"),
        ({"id": ["id", "no"]}, _answer([]), "no task id: the answer has none at id, else no"),
        (
            {"id": "id"},
            _answer({"error": {"message": "no\nmoney"}}),
            "no task id: the answer has none at id; it says: no money",
        ),
        ({"id": "id"}, _answer({"detail": "x" * 999}), "it says: " + "x" * 199 + "…"),
        ({"id": "id"}, _answer(b""), "no task id: the answer is empty"),
        ({"id": "id"}, _answer(b"<html>\n"), "no task id: the answer is not JSON: <html>"),
        ({"id": {"header": "X-Id"}}, _answer({}), "no task id: the answer has none at the header x-id"),
        ({"id": {"header": "x-id"}}, _answer({}, **{"x-id": ""}), "no task id: the answer has none at the header x-id"),
        (
            {"id": {"header": "location", "match": "/jobs/(.+)$"}},
            _answer({}, location="/queue/7"),
            "no task id: the answer has none at the header location (the group of /jobs/(.+)$)",
        ),
    ],
)
def test_an_answer_without_an_id_is_refused_in_the_vendors_own_words(preset_with, table, answer, sentence):
    with pytest.raises(BadInput) as refused:
        preset_with(submit={**PATH, **table}).submitted(answer)
    assert refused.value.message.endswith(sentence)
    assert refused.value.code == "no_task_id"


@pytest.mark.parametrize(
    ("id", "document", "why"),
    [
        ("302ai-midjourney", {"code": 24, "description": "banned words", "result": "1"}, "banned words (24)"),
        ("302ai-midjourney-relax", {"code": 23, "description": "queue full", "result": "1"}, "queue full (23)"),
        ("midjourney-proxy", {"code": "4", "description": "no such task", "result": "1"}, "no such task"),
        ("302ai-suno", {"code": 400, "data": "the prompt is empty", "message": "bad"}, "bad (400)"),
        (
            "302ai-chanjing",
            {"code": 10400, "msg": "AccessToken is invalid", "data": "x"},
            "AccessToken is invalid (10400)",
        ),
        ("302ai-image-translate", {"msg": "no such picture", "body": 0}, "no such picture"),
        ("302ai-topview", {"code": "4001", "message": "no credit", "result": {"taskId": "t"}}, "no credit (4001)"),
    ],
)
def test_a_submission_that_was_refused_names_no_task(id, document, why):
    """Whatever stands where the id does."""
    with pytest.raises(BadInput) as refused:
        shipped().get(id).submitted(_answer(document))
    assert refused.value.message == f"no task id: the submission was refused; it says: {why}"


@pytest.mark.parametrize(
    ("id", "document", "task_id"),
    [
        ("302ai-midjourney", {"code": 22, "description": "queued", "result": "1712000000000001"}, "1712000000000001"),
        ("302ai-midjourney", {"code": "1", "description": "ok", "result": "1712"}, "1712"),
        ("midjourney-proxy", {"code": 21, "description": "exists", "result": "1712"}, "1712"),
        ("302ai-suno", {"code": 200, "data": "s-1", "message": "success"}, "s-1"),
        ("302ai-chanjing", {"code": 0, "msg": "success", "data": 1935639178641400001}, "1935639178641400001"),
        ("302ai-image-translate", {"msg": "success", "body": 123456}, "123456"),
        ("302ai-topview", {"code": "200", "result": {"taskId": "tv-1"}}, "tv-1"),
    ],
)
def test_a_submission_that_was_taken_names_its_task(id, document, task_id):
    assert shipped().get(id).submitted(_answer(document)).task_id == task_id


def test_an_envelope_that_complains_is_a_refusal_where_there_is_no_id(preset_with):
    """But not where there is one: what complains of a poll may be in every submission."""
    problem = {"when": "!ok", "code": "kind", "message": "text"}
    preset = preset_with(
        submit={**PATH, "id": "id"}, read={"state": "s", "states": {"a": "succeeded"}, "problem": problem}
    )
    with pytest.raises(BadInput, match=r"the submission was refused; it says: bad key \(E_KEY\)"):
        preset.submitted(_answer({"kind": "E_KEY", "text": "bad key"}))
    assert preset.submitted(_answer({"id": "t"})).task_id == "t"


def test_why_there_is_no_id_is_looked_for_where_the_preset_has_its_errors():
    with pytest.raises(BadInput, match="it says: insufficient balance"):
        shipped().get("302ai-minimax").submitted(
            _answer({"task_id": "", "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}})
        )


def test_a_preset_that_says_nothing_of_submissions_says_so(preset_with):
    with pytest.raises(
        BadInput, match="acme-video does not say how a submission is answered: give the task's id instead"
    ):
        preset_with().submitted(_answer({"id": "t"}))


@pytest.mark.parametrize(
    ("remember", "document", "params"),
    [
        ({"a": "x"}, {"x": "https://a.example/1?b=c"}, {"a": "https://a.example/1?b=c"}),
        ({"a": "x.y", "b": "z"}, {"x": {"y": 7}, "z": True}, {"a": "7", "b": "true"}),
        ({"a": "x", "b": "z"}, {"x": "", "z": None}, {}),
        ({"a": "x"}, {"x": {"y": 1}}, {}),
        ({"a": ["x", "z"]}, {"x": "", "z": "zed"}, {"a": "zed"}),
        ({"a": {"at": "x"}}, {"x": "1"}, {"a": "1"}),
        ({"a": {"header": "x-region"}}, {}, {"a": "eu"}),
        ({"a": {"at": ["x", "z"], "match": "-(.)"}}, {"z": "a-b"}, {"a": "b"}),
        ({"a": {"at": "x", "match": "/projects/([^/]+)/"}}, {"x": "https://a.example/projects/p1/jobs/2"}, {"a": "p1"}),
        ({"a": {"at": "x", "match": "^p/([0-9]+)/(.*)$"}}, {"x": "p/12/rest"}, {"a": "12"}),
        ({"a": {"at": "x", "match": "(a)|b"}}, {"x": "b"}, {}),
        ({"a": {"at": "x", "match": "(a)"}}, {"x": "xyz"}, {}),
        ({"a": {"at": "x", "match": "([0-9]+)"}}, {"x": 17}, {"a": "17"}),
        ({"a": {"at": "x", "match": "(end)"}}, {"x": "-" * 5000 + "end"}, {}),
    ],
)  # fmt: skip
def test_what_is_needed_to_ask_about_it_is_remembered(preset_with, remember, document, params):
    """As text; with `match` the first group of it, in the first few thousand characters. What is absent is left out."""
    preset = preset_with(ask=ASK, submit={**PATH, "id": "id", "remember": remember})
    answer = _answer({"id": "t", **document}, **{"x-region": "eu"})
    assert preset.submitted(answer) == Submitted("t", params)


NOWHERE = ": {{params.{}}} stands in neither ask, result, batch nor base_url."
PLACE = "expected a regular expression with a group, such as 'jobs/([0-9]+)'"


@pytest.mark.parametrize(
    ("submit", "problem"),
    [
        ({}, "submit.id: is missing; expected text, or a table"),
        ({"id": "a."}, "submit.id.at: expected a JMESPath expression, got 'a.' (something is wrong at character 3)"),
        ({"id": {"header": "a b"}}, "submit.id.header: expected the name of a header, got 'a b'"),
        ({"id": {"header": "a", "at": "i"}}, "submit.id: expected either at or header"),
        ({"id": {"match": "(a)"}}, "submit.id: expected either at or header"),
        ({"id": "i", "remember": {"a": 1}}, "submit.remember.a.at: expected text, got a whole number"),
        ({"id": "i", "remember": {"a": []}}, "submit.remember.a.at: expected text, or a list that is not empty"),
        ({"id": "i", "remember": {"a": ["x", 1]}}, "submit.remember.a.at[1]: expected text, got a whole number"),
        ({"id": "i", "remember": {"a": {}}}, "submit.remember.a: expected either at or header"),
        (
            {"id": "i", "remember": {"a": {"at": "x", "mach": "(a)"}}},
            "submit.remember.a.mach: there is no such key. Did you mean 'match'?",
        ),
        ({"id": "i", "remember": {"a": {"at": "x", "match": "abc"}}}, f"submit.remember.a.match: {PLACE}"),
        ({"id": "i", "remember": {"a": {"at": "x", "match": "(?:abc)"}}}, f"submit.remember.a.match: {PLACE}"),
        (
            {"id": "i", "remember": {"a": {"at": "x", "match": "("}}},
            (
                "submit.remember.a.match: expected a regular expression, got '(' "
                "(missing ), unterminated subpattern at position 0)"
            ),
        ),
        ({"id": "i", "remember": {"c": "x"}}, "submit.remember.c: nothing asks with it" + NOWHERE.format("c")),
        (
            {"id": "i", "remember": {"aa": "x"}},
            "submit.remember.aa: nothing asks with it" + NOWHERE.format("aa") + " Did you mean 'a'?",
        ),
    ],
)
def test_what_is_wrong_with_the_table_is_told_with_its_key(problems_with, submit, problem):
    assert problems_with(ask=ASK, submit={**PATH, **submit}) == [problem]


bodies = st.binary() | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "x", "error", "message"]), inner),
).map(lambda value: json.dumps(value).encode())


@given(body=bodies)
def test_any_answer_has_an_id_or_is_refused(preset_with, body):
    preset = preset_with(ask=ASK, submit={**PATH, "id": "id", "remember": {"a": {"at": "x", "match": "(.)"}, "b": "x"}})
    try:
        found = preset.submitted(Answer(status=200, body=body))
    except BadInput as refused:
        found, said = None, refused.message
    if found is None:
        assert said.isprintable()
        return
    assert found.task_id
    assert all(isinstance(value, str) and value for value in found.params.values())
