"""The [result] table: a second request for what the answer about the task does not have."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from ringback.core.errors import BadInput
from ringback.core.model import Answer, Error, Observation, WatchState
from ringback.providers.reader import MESSAGE_LIMIT, TROUBLE_LIMIT
from tests.providers.conftest import SMALL

AT = datetime(2026, 1, 1, tzinfo=UTC)
FILE = {"path": "/files/{answer.file_id}", "read": "file.url"}


def _answer(document, status=200, **headers):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Answer(status=status, headers=headers, body=body, at=AT)


def _asked(preset, document, params=None):
    """The second request, or None."""
    answer = _answer(document)
    return preset.ask_result(preset.read(answer, "t-1"), answer, "t-1", params or {}, "")


# ---------------------------------------------------------------------- when it is made, and how


def test_it_is_asked_with_what_the_answer_says(preset_with):
    """Percent-encoded like everything else."""
    ask = _asked(preset_with(result=FILE), {"state": "done", "file_id": "f/1 é"})
    assert (ask.method, ask.url, ask.headers) == (
        "GET", "https://api.acme.example/v1/files/f%2F1%20%C3%A9", {"accept": "application/json"},
    )  # fmt: skip


def test_it_has_every_key_of_a_request(preset_with):
    table = {
        "method": "POST",
        "path": "/{+answer.job.path}",
        "query": {"n": "{answer.n}", "id": "{task_id}"},
        "headers": {"x-file": "{answer.file}"},
        "body": {"file": ["{answer.file}"], "region": "{params.region}"},
        "read": "@",
    }
    ask = _asked(
        preset_with(result=table),
        {"state": "done", "job": {"path": "a/b"}, "n": 7, "file": "f"},
        {"region": "eu"},
    )
    assert ask.url == "https://api.acme.example/v1/a/b?n=7&id=t-1"
    assert (ask.method, ask.headers["x-file"], ask.body) == ("POST", "f", b'{"file":["f"],"region":"eu"}')


def test_it_may_be_at_a_url_that_the_answer_brings(preset_with):
    table = {"url": "{answer.next}", "read": "@"}
    assert _asked(preset_with(result=table), {"state": "done", "next": "https://b.example/x?y=z"}).url == (
        "https://b.example/x?y=z"
    )


def test_a_value_may_stand_in_json_that_was_a_text(preset_with):
    """The answer that is asked with is the one that was read."""
    preset = preset_with(
        read={"state": "state", "states": {"done": "succeeded"}, "json": ["out"]},
        result={"path": "/{answer.out.file}", "when": "out.file", "read": "@"},
    )
    assert _asked(preset, {"state": "done", "out": '{"file": "f"}'}).url.endswith("/f")


@pytest.mark.parametrize("word", ["waiting", "busy", "bad", "new"])
def test_only_of_a_task_that_has_succeeded(preset_with, word):
    assert _asked(preset_with(result=FILE), {"state": word, "file_id": "f"}) is None
    assert _asked(preset_with(result=FILE), {"file_id": "f"}) is None
    assert _asked(preset_with(), {"state": "done"}) is None


@pytest.mark.parametrize(
    ("document", "wanted"),
    [({"link": "x"}, True), ({"link": ""}, False), ({}, False), ({"link": "x", "out": 1}, False)],
)
def test_only_where_it_is_wanted(preset_with, document, wanted):
    table = {"path": "/r", "when": "link && !out", "read": "@"}
    assert (_asked(preset_with(result=table), {"state": "done", **document}) is not None) is wanted


def test_an_answer_that_does_not_say_where_is_refused(preset_with):
    with pytest.raises(BadInput, match="the answer has nothing at file_id to ask with"):
        _asked(preset_with(result=FILE), {"state": "done"})


@pytest.mark.parametrize("file_id", ["..", ".", "a/../b"])
def test_an_answer_chooses_no_other_path(preset_with, file_id):
    table = {"path": "/files/{+answer.file_id}", "read": "@"}
    with pytest.raises(BadInput, match="segment that is empty or only dots"):
        _asked(preset_with(result=table), {"state": "done", "file_id": file_id})


def test_whoever_left_out_what_only_the_result_is_asked_with_gets_the_task_without_it(preset_with):
    table = {"path": "/r", "query": {"key": "{params.key}"}, "read": "@"}
    preset = preset_with(result=table, params={"key": {"default": ""}})
    assert _asked(preset, {"state": "done"}) is None
    assert _asked(preset, {"state": "done"}, {"key": ""}) is None
    assert _asked(preset, {"state": "done"}, {"key": "k"}).url.endswith("/r?key=k")


def test_a_status_that_is_success_without_a_body_is_asked_about_too(preset_with):
    """Where HTTP says it all."""
    read = {"http": {"204": "succeeded"}, "rules": [{"when": "never", "becomes": "succeeded"}]}
    preset = preset_with(read=read, result={"path": "/r/{task_id}", "read": "@"})
    answer = Answer(status=204)
    assert preset.ask_result(preset.read(answer, "t"), answer, "t", {}, "").url.endswith("/r/t")


# ---------------------------------------------------------------------- what its answer says


CODES = {"1": "rate_limited", "2": "unauthorized", "3": "failed", "4": "not_found"}
TABLE = {"path": "/r", "read": ["file.url", "files"], "failed": ["400", "404-422", "500"], "message": ["why", "msg"]}
SEEN = Observation(state=WatchState.SUCCEEDED, result_expires_at=AT + timedelta(hours=1), settled_at=AT)


def _concluded(preset_with, answer, **table):
    return preset_with(result={**TABLE, **table}).read_result(SEEN, answer)


def _coded(preset_with, document, status, **table):
    """Where the first answer's envelope has codes."""
    read = {**SMALL["read"], "problem": {"code": "code", "codes": CODES}}
    return preset_with(read=read, result={**TABLE, "failed": [], **table}).read_result(SEEN, _answer(document, status))


@pytest.mark.parametrize(
    ("document", "result"),
    [
        ({"file": {"url": "u"}}, "u"),
        ({"files": [{"a": 1}]}, [{"a": 1}]),
        ({"file": {"url": ""}, "files": [1]}, [1]),
    ],
)
def test_what_was_seen_gets_its_result(preset_with, document, result):
    whole = _concluded(preset_with, _answer(document))
    assert (whole.state, whole.settled_at, whole.result_expires_at) == (
        SEEN.state, SEEN.settled_at, SEEN.result_expires_at,
    )  # fmt: skip
    assert json.loads(whole.result.text) == result
    assert json.loads(_concluded(preset_with, _answer({"a": 1}), read="@").result.text) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "document", "error"),
    [
        (400, {"why": "too dark"}, Error("400", "too dark")),
        (404, {"msg": {"a": 1}}, Error("404", '{"a":1}')),
        (422, {}, Error("422", "its result is answered with HTTP 422")),
        (500, b"<html>", Error("500", "its result is answered with HTTP 500")),
        (415, {"why": " ", "msg": "no"}, Error("415", "its result is answered with HTTP 415")),
    ],
)
def test_a_status_may_say_that_the_task_failed_after_all(preset_with, status, document, error):
    """Then nothing expires."""
    whole = _concluded(preset_with, _answer(document, status))
    assert (whole.state, whole.error, whole.result_expires_at) == (WatchState.FAILED, error, None)
    assert whole.settled_at == AT


@pytest.mark.parametrize("status", [200, 404, 499, 503, 504])
def test_an_answer_may_say_so_with_any_status(preset_with, status):
    told = _answer({"kind": "timeout", "why": "too slow"}, status)
    whole = _concluded(preset_with, told, failed=[], failed_when="kind", code="kind")
    assert (whole.state, whole.error) == (WatchState.FAILED, Error("timeout", "too slow"))
    other = _concluded(preset_with, _answer({"why": "too slow"}, status), failed=[], failed_when="kind", code="kind")
    assert other.state is not WatchState.FAILED


def test_a_code_stands_in_for_the_status(preset_with):
    assert _concluded(preset_with, _answer({"kind": "bad", "why": "no"}, 422), code="kind").error == Error("bad", "no")
    assert _concluded(preset_with, _answer({"why": "no"}, 422), code="kind").error == Error("422", "no")


@pytest.mark.parametrize(
    ("code", "trouble"),
    [(1, "rate_limited"), (2, "unauthorized"), (4, "no_result"), (5, "no_result"), (0, "no_result")],
)
@pytest.mark.parametrize("status", [200, 500])
def test_the_codes_of_the_first_answer_mean_the_same_in_the_second(preset_with, code, trouble, status):
    """But a task that is over is not unknown because its file is."""
    told = _coded(preset_with, {"code": code, "msg": "m"}, status).trouble
    assert (told.code, told.message) == (trouble, "m")


@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_code_that_is_the_tasks_end_is_its_error(preset_with, status):
    """Unless the table says where another one stands."""
    assert _coded(preset_with, {"code": 3, "msg": "m"}, status).error == Error("3", "m")
    assert _coded(preset_with, {"code": 3, "kind": "k", "msg": "m"}, status, code="kind").error == Error("k", "m")
    with_result = _coded(preset_with, {"code": 3, "file": {"url": "u"}}, status)
    assert (with_result.state, with_result.result) == (WatchState.FAILED, None)


@pytest.mark.parametrize("code", [1, 2])
def test_what_the_key_may_not_do_fails_no_task_whatever_the_table_lists(preset_with, code):
    document = {"code": code, "file": {"url": "u"}}
    told = _coded(preset_with, document, 400, failed=["400"], failed_when="code").trouble
    assert told.code == CODES[str(code)]


def test_a_long_reason_is_cut(preset_with):
    assert len(_concluded(preset_with, _answer({"why": "x" * 99_999}, 400)).error.message) == MESSAGE_LIMIT


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (403, "unauthorized"), (429, "rate_limited")])
def test_a_wrong_key_and_too_many_requests_say_nothing_about_the_task(preset_with, status, code):
    """Whatever the preset lists."""
    assert _concluded(preset_with, _answer({"msg": "m"}, status), failed_when="msg").trouble.code == code
    for failed in (["401", "403", "429"], ["400-499"], ["500"]):
        trouble = _concluded(preset_with, _answer({}, status), failed=failed).trouble
        assert trouble.code == code
        assert trouble.message


@pytest.mark.parametrize("status", [200, 204, 302, 402, 423, 502, 503])
@pytest.mark.parametrize("document", [{}, {"file": {"url": None}}, {"files": ""}, b"", b"<html>", b"[", []])
def test_without_a_result_it_is_a_problem_and_asked_for_again(preset_with, status, document):
    whole = _concluded(preset_with, _answer(document, status))
    assert (whole.state, whole.trouble.code) == (None, "no_result")
    assert whole.trouble.message == (f"the task has succeeded, but its result cannot be had just now (HTTP {status})")


def test_a_problem_is_told_in_the_vendors_words_on_one_line(preset_with):
    assert _concluded(preset_with, _answer({"msg": "not\nyet"})).trouble.message == "not yet"
    assert len(_concluded(preset_with, _answer({"msg": "x" * 9999}, 503)).trouble.message) == TROUBLE_LIMIT
    assert _concluded(preset_with, _answer({"msg": "\x00"})).trouble.message.startswith("the task has succeeded")
    usual = preset_with(result={"path": "/r", "read": "url"})
    assert usual.read_result(SEEN, _answer({"detail": "not yet"}, 409)).trouble.message == "not yet"


@pytest.mark.parametrize("status", [200, 429, 503])
def test_how_long_the_second_answer_asks_us_to_wait_is_told(preset_with, status):
    """Also there the vendor's word counts."""
    trouble = _concluded(preset_with, _answer({}, status, **{"retry-after": "9"})).trouble
    assert trouble.retry_after == timedelta(seconds=9)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"path": "/r"}, "result.read: is missing; expected text"),
        ({"read": "@"}, "result: expected either path or url"),
        (
            {**FILE, "when": "a."},
            "result.when: expected a JMESPath expression, got 'a.' (something is wrong at character 3)",
        ),
        ({**FILE, "failed": "404"}, "result.failed: expected a list, got '404'"),
        (
            {**FILE, "failed": ["4xx"]},
            "result.failed[0]: expected an HTTP status such as 202, or a range such as 500-599, got '4xx'",
        ),
        ({**FILE, "failed": [404]}, "result.failed[0]: expected text, got a whole number"),
        ({**FILE, "query": {"a": "{task_ids}"}}, "result: {task_ids} can only stand in batch"),
    ],
)
def test_what_is_wrong_with_the_table_is_told_with_its_key(problems_with, table, problem):
    assert problems_with(result=table) == [problem]
