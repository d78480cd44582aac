"""The [batch] table: one request about many tasks, whose answer is taken apart into one for each."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.model import Answer
from ringback.providers.base import TROUBLE_CODES

AT = datetime(2026, 1, 1, tzinfo=UTC)
IDS = ["a", "b", "c"]
TABLE = {"method": "POST", "path": "/jobs/list", "body": {"ids": "{task_ids}"}, "limit": 3, "tasks": "jobs"}
BY_ID = {**TABLE, "id": "id"}


def _seen(preset, answer, ids=IDS):
    """What the answer says of each task that it speaks of."""
    refused = preset.refusal(answer)
    if refused is not None:
        return dict.fromkeys(ids, refused)
    return {id: preset.read(part, id) for id, part in preset.split(answer, ids).items()}


def _read(preset, document, status=200, **headers):
    """The state or the trouble's code of each task that the answer speaks of."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = _seen(preset, Answer(status=status, headers=headers, body=body, at=AT))
    return {id: seen.state.value if seen.state else seen.trouble.code for id, seen in found.items()}


# ---------------------------------------------------------------------- how it is asked


@pytest.mark.parametrize(
    ("table", "target", "body"),
    [
        ({}, "/jobs/list", {"ids": ["a,1", "b"]}),
        ({"body": {"in": [{"ids": "{task_ids}"}], "v": 2}}, "/jobs/list", {"in": [{"ids": ["a,1", "b"]}], "v": 2}),
        ({"body": {"text": "ids={task_ids}"}}, "/jobs/list", {"text": "ids=a,1,b"}),
        ({"body": {"ids": "{task_ids}", "p": "{params.p}"}}, "/jobs/list", {"ids": ["a,1", "b"], "p": "x"}),
    ],
)
def test_many_tasks_are_asked_about_at_once(preset_with, table, target, body):
    ask = preset_with(batch={**TABLE, **table}).ask_many(["a,1", "b"], {"p": "x"}, "")
    assert (ask.method, ask.url) == ("POST", f"https://api.acme.example/v1{target}")
    assert json.loads(ask.body) == body


def test_in_a_query_the_ids_have_commas_between_them(preset_with):
    table = {"path": "/jobs", "query": {"ids": "{task_ids}", "v": "{params.p}"}, "limit": 3, "tasks": "jobs"}
    ask = preset_with(batch=table).ask_many(["a/1", "b"], {"p": "x"}, "https://mine.example")
    assert (ask.method, ask.url, ask.body) == ("GET", "https://mine.example/jobs?ids=a%2F1%2Cb&v=x", None)


def test_its_params_and_its_limit_are_known(preset_with):
    about = preset_with(batch={**TABLE, "path": "/{params.p}/list"}).about
    assert (about.batch, about.params) == (3, ("p",))
    assert preset_with().about.batch is None


# ---------------------------------------------------------------------- what its answer says


@pytest.mark.parametrize(
    ("table", "document"),
    [
        (TABLE, {"jobs": {"a": {"state": "done"}, "b": {"state": "busy"}, "z": {"state": "bad"}}}),
        (BY_ID, {"jobs": [{"id": "a", "state": "done"}, {"id": "b", "state": "busy"}, {"id": "z", "state": "bad"}]}),
        ({**BY_ID, "tasks": ["x", "data.jobs"]}, {"data": {"jobs": [{"id": "a", "state": "done"},
                                                                   {"id": "b", "state": "busy"}]}}),
        ({**BY_ID, "id": ["no", "meta.id"]}, {"jobs": [{"meta": {"id": "a"}, "state": "done"},
                                                       {"meta": {"id": "b"}, "state": "busy"}]}),
        ({**BY_ID, "tasks": "@"}, [{"id": "b", "state": "busy"}, {"id": "a", "state": "done"}]),
    ],
)  # fmt: skip
def test_tasks_stand_in_a_table_by_id_or_in_a_list(preset_with, table, document):
    """Of one that is left out nothing is said, and of one that nobody asked about neither."""
    assert _read(preset_with(batch=table), document) == {"a": "succeeded", "b": "running"}


def test_an_id_may_be_a_number(preset_with):
    preset = preset_with(batch=BY_ID)
    answer = Answer(status=200, body=b'{"jobs": [{"id": 17, "state": "done"}]}')
    assert set(_seen(preset, answer, ["17", "18"])) == {"17"}


def test_an_item_is_read_as_if_it_stood_in_an_answer_of_its_own(preset_with):
    """With all that belongs to it: rules, result, reason, a text that holds JSON, what a code means."""
    preset = preset_with(
        read={
            "state": "data.state",
            "states": {"done": "succeeded", "bad": "failed"},
            "json": ["data.out"],
            "result": "data.out.url",
            "rules": [{"of": "succeeded", "when": "data.flaws", "becomes": "failed"}],
            "error": {"message": "data.why"},
            "times": {"finished": "data.ended"},
            "problem": {"code": "data.code", "codes": {"9": "not_found"}},
        },
        limits={"results": "1h"},
        batch={**TABLE, "within": "data"},
    )
    ended = {"state": "done", "out": '{"url": "u"}', "ended": "2025-12-31T23:00:00Z"}
    jobs = {"a": ended, "b": {"state": "done", "flaws": 1, "why": "so"}, "c": {"code": 9}}
    answer = Answer(status=200, body=json.dumps({"jobs": jobs}).encode(), at=AT)
    seen = _seen(preset, answer, IDS)
    assert json.loads(seen["a"].result.text) == "u"
    assert (seen["a"].settled_at, seen["a"].result_expires_at) == (AT - timedelta(hours=1), AT)
    assert (seen["b"].state.value, seen["b"].error.message) == ("failed", "so")
    assert seen["c"].trouble.code == "not_found"
    for id in ("a", "b", "c"):
        own = Answer(status=200, body=json.dumps({"data": jobs[id]}).encode(), at=AT)
        assert preset.read(own, id) == seen[id]


@pytest.mark.parametrize("item", [None, 7, "done", [], {}, {"state": None}, {"state": {"a": 1}}])
def test_an_item_that_says_nothing_is_a_problem_of_its_own(preset_with, item):
    document = {"jobs": {"a": item, "b": {"state": "done"}}}
    assert _read(preset_with(batch=TABLE), document) == {"a": "unreadable", "b": "succeeded"}
    answer = Answer(status=200, body=json.dumps(document).encode())
    trouble = _seen(preset_with(batch=TABLE), answer)["a"].trouble
    assert trouble.message == f"the answer has no status word at state: {json.dumps(item, separators=(',', ':'))}"


def test_a_word_that_is_not_listed_is_running_and_told(preset_with):
    answer = Answer(status=200, body=b'{"jobs": {"a": {"state": "new"}}}')
    assert _seen(preset_with(batch=TABLE), answer)["a"].unknown_word == "new"


def test_ids_that_are_unknown_there_are_told(preset_with):
    """But not of a task that is there as well, nor of one that nobody asked about."""
    preset = preset_with(batch={**BY_ID, "missed": "unknown"})
    document = {"jobs": [{"id": "a", "state": "done"}], "unknown": ["b", "a", "z", None]}
    assert _read(preset, document) == {"a": "succeeded", "b": "not_found"}
    assert _read(preset, {"jobs": [], "unknown": {"b": 1}}) == {}


@pytest.mark.parametrize("document", [{}, {"jobs": None}, {"jobs": 7}, {"jobs": []}, {"jobs": {}}, [], 7, None])
def test_an_answer_without_tasks_says_nothing_about_any(preset_with, document):
    assert _read(preset_with(batch=BY_ID), document) == {}


def test_without_a_place_for_ids_a_list_says_nothing(preset_with):
    assert _read(preset_with(batch=TABLE), {"jobs": [{"id": "a", "state": "done"}]}) == {}


PROBLEM = {
    "code": "code",
    "message": "msg",
    "ok": ["0"],
    "codes": {"7": "rate_limited", "8": "failed", "9": "not_found"},
}


@pytest.mark.parametrize(
    ("status", "document", "code"),
    [
        (401, {}, "unauthorized"),
        (429, b"", "rate_limited"),
        (500, b"<html>", "unavailable"),
        (400, {"jobs": {"a": {"state": "done"}}}, "rejected"),
        (200, b"", "unreadable"),
        (200, b"{", "unreadable"),
        (200, {"code": 5}, "provider_error"),
        (200, {"code": 7}, "rate_limited"),
        (500, {"code": 7}, "rate_limited"),
        (200, {"code": 8}, "provider_error"),
        (403, {"code": 8}, "unauthorized"),
    ],
)
def test_an_answer_that_is_refused_as_a_whole_is_the_same_problem_for_all(preset_with, status, document, code):
    """A code that is a state of one task cannot be one of all."""
    preset = preset_with(read={"state": "state", "states": {"done": "succeeded"}, "problem": PROBLEM}, batch=TABLE)
    assert _read(preset, document, status) == dict.fromkeys(IDS, code)


@pytest.mark.parametrize(("status", "document"), [(404, {}), (404, b"<html>"), (404, {"code": 8}), (200, {"code": 9}),
                                                  (500, {"code": 9})])  # fmt: skip
def test_that_something_is_unknown_is_said_of_no_task(preset_with, status, document):
    """It may be the route, or another task: none of them may vanish for it, and each is asked about alone."""
    preset = preset_with(read={"state": "state", "states": {"done": "succeeded"}, "problem": PROBLEM}, batch=TABLE)
    assert _read(preset, document, status) == {}


def test_why_it_was_refused_and_how_long_to_wait_is_told_for_all(preset_with):
    preset = preset_with(read={"state": "state", "states": {"done": "succeeded"}, "problem": PROBLEM}, batch=TABLE)
    for status, body, message in (
        (200, b'{"code": 7, "msg": "slower"}', "slower (7)"),
        (503, b"<html>", "the provider cannot answer just now (HTTP 503)"),
        (200, b"[", "the answer is not JSON: ["),
    ):
        answer = Answer(status=status, body=body, headers={"retry-after": "9"}, at=AT)
        found = _seen(preset, answer, IDS)
        assert {(seen.trouble.message, seen.trouble.retry_after) for seen in found.values()} == {
            (message, timedelta(seconds=9))
        }


# ---------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"body": {"a": "b"}}, "batch: expected {task_ids} in its body or query"),
        ({"limit": 1}, "batch.limit: expected 2 to 1000, got 1"),
        ({"limit": 1001}, "batch.limit: expected 2 to 1000, got 1001"),
        ({"limit": "50"}, "batch.limit: expected a whole number, got '50'"),
        ({"limit": True}, "batch.limit: expected a whole number, got true or false"),
        ({"within": "a[0]"}, "batch.within: expected the plain path of a field, such as 'data.cost', got 'a[0]'"),
        ({"within": "a || b"}, "batch.within: expected the plain path of a field, such as 'data.cost', got 'a || b'"),
        ({"body": {"a": "{task_ids}", "b": "{task_id}"}}, "batch: {task_id} has no meaning here"),
        ({"method": "GET"}, "batch: expected method POST or PUT with a body"),
    ],
)
def test_what_is_wrong_with_the_table_is_told_with_its_key(problems_with, table, problem):
    assert problems_with(batch={**TABLE, **table}) == [problem]


def test_what_is_missing_is_told_at_once(problems_with):
    assert problems_with(batch={"path": "/x"}) == [
        "batch.limit: is missing; expected a whole number",
        "batch.tasks: is missing; expected text",
    ]


scalars = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.sampled_from(["done", "bad", *IDS])
some = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["jobs", "id", "state", "unknown", "code", *IDS]), inner, max_size=4)
    ),
)


@given(document=some, status=st.sampled_from([200, 200, 200, 404, 500]))
def test_whatever_comes_each_task_is_spoken_of_once_or_not_at_all(preset_with, document, status):
    preset = preset_with(
        read={"state": "state", "states": {"done": "succeeded", "bad": "failed"}, "problem": PROBLEM},
        batch={**BY_ID, "missed": "unknown"},
    )
    found = _seen(preset, Answer(status=status, body=json.dumps(document).encode()), IDS)
    assert set(found) <= set(IDS)
    for seen in found.values():
        assert (seen.state is None) != (seen.trouble is None)
        assert seen.trouble is None or seen.trouble.code in TROUBLE_CODES
