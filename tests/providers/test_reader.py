"""The [read] table at work: what an answer says about a task, key by key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.model import Answer, Error, Progress
from ringback.providers.reader import MESSAGE_LIMIT, PROGRESS_TEXT_LIMIT, TROUBLE_LIMIT, WORD_LIMIT

AT = datetime(2026, 1, 1, tzinfo=UTC)
STATES = {"waiting": "queued", "busy": "running", "done": "succeeded", "bad": "failed", "gone": "cancelled"}
WORDS = {"state": "state", "states": STATES}
PARTS = {"every": "parts", "state": "state", "states": STATES}


def _what(seen):
    """The state, or the trouble's code."""
    return seen.state.value if seen.state is not None else seen.trouble.code


def _json(document):
    return json.loads(document.text) if document is not None else None


# ---------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("states", "word", "state"),
    [
        (STATES, "waiting", "queued"),
        (STATES, "gone", "cancelled"),
        ({"1": "succeeded"}, 1, "succeeded"),
        ({"1": "succeeded"}, 1.0, "succeeded"),
        ({"1": "succeeded"}, "1", "succeeded"),
        ({"-1": "failed", "0": "succeeded"}, -1, "failed"),
        ({"0": "succeeded"}, 0, "succeeded"),
        ({"1.5": "succeeded"}, 1.5, "succeeded"),
        ({"true": "succeeded", "false": "running"}, True, "succeeded"),
        ({"true": "succeeded", "false": "running"}, "true", "succeeded"),
        ({"true": "succeeded", "false": "running"}, False, "running"),
        ({"": "queued", "done": "succeeded"}, "", "queued"),
        ({"in line": "queued", "done": "succeeded"}, "in line", "queued"),
        ({"10-20": "running", "99": "succeeded"}, 10, "running"),
        ({"10-20": "running", "99": "succeeded"}, "20", "running"),
        ({"10-20": "running", "15": "failed", "99": "succeeded"}, 15, "failed"),
        ({"-9--1": "running", "0-5": "queued", "99": "succeeded"}, -5, "running"),
        ({"-5-5": "queued", "99": "succeeded"}, -5, "queued"),
        ({"40-49": "failed", "99": "succeeded"}, "40-49", None),
    ],
)
def test_a_word_is_a_text_a_number_or_a_boolean(preset_with, seen_by, states, word, state):
    """And a range is every whole number in it; the word itself goes before a range."""
    seen = seen_by(preset_with(read={"state": "state", "states": {**states, "_": "succeeded"}}), {"state": word})
    assert (_what(seen), seen.unknown_word) == ((state, None) if state is not None else ("running", str(word)))


@pytest.mark.parametrize(
    "word", ["Done", "DONE", " done", "done ", "9", 21, "15.5", 15.5, "1e1", "010", "\uff11\uff15", "toString"]
)
def test_a_word_that_is_not_listed_is_running_and_told(preset_with, seen_by, word):
    preset = preset_with(read={"state": "state", "states": {"done": "succeeded", "11-20": "failed"}})
    assert _what(seen_by(preset, {"state": word})) == "running"
    assert seen_by(preset, {"state": word}).unknown_word == str(word)


def test_a_long_word_is_cut(preset_with, seen_by):
    word = seen_by(preset_with(), {"state": "x" * 1000}).unknown_word
    assert (len(word), word[-1]) == (WORD_LIMIT, "…")


@pytest.mark.parametrize("word", ["done", "Done", "DONE", "dOnE"])
def test_capitals_do_not_matter_where_the_preset_says_so(preset_with, seen_by, word):
    states = {"DoNe": "succeeded", "STRASSE": "failed"}
    preset = preset_with(read={"state": "state", "states": states, "ignore_case": True})
    assert _what(seen_by(preset, {"state": word})) == "succeeded"
    assert _what(seen_by(preset, {"state": "Straße"})) == "failed"


@pytest.mark.parametrize("document", [{}, {"state": None}, {"state": ""}, {"state": []}, {"state": {"a": 1}}, []])
def test_an_answer_without_a_word_is_a_problem_or_what_the_preset_says(preset_with, seen_by, document):
    silent = seen_by(preset_with(read=WORDS), document)
    assert silent.trouble.code == "unreadable"
    assert (
        silent.trouble.message
        == f"the answer has no status word at state: {json.dumps(document, separators=(',', ':'))}"
    )
    for state in ("queued", "running", "succeeded", "failed", "cancelled"):
        assert _what(seen_by(preset_with(read={**WORDS, "otherwise": state}), document)) == state


@pytest.mark.parametrize("document", [None, True, 1, "x"])
def test_what_is_neither_a_table_nor_a_list_is_never_otherwise(preset_with, seen_by, document):
    """A proxy's null is not a task that runs."""
    for read in (WORDS, *({**WORDS, "otherwise": state} for state in ("queued", "running", "succeeded", "failed"))):
        trouble = seen_by(preset_with(read=read), document).trouble
        assert trouble.code == "unreadable"
        assert trouble.message == f"the answer has no status word at state: {json.dumps(document)}"


def test_several_places_may_have_the_word(preset_with, seen_by):
    preset = preset_with(read={"state": ["data.state", "state"], "states": STATES})
    assert _what(seen_by(preset, {"data": {"state": ""}, "state": "done"})) == "succeeded"
    assert _what(seen_by(preset, {"data": {"state": "bad"}, "state": "done"})) == "failed"


# ---------------------------------------------------------------------- a word for each part


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (["done", "done"], "succeeded"),
        (["waiting", "waiting"], "queued"),
        (["gone", "gone"], "cancelled"),
        (["done", "busy"], "running"),
        (["waiting", "done"], "running"),
        (["waiting", "busy"], "running"),
        (["gone", "busy"], "running"),
        (["done", "gone"], "cancelled"),
        (["busy", "bad"], "failed"),
        (["gone", "bad", "done"], "failed"),
        (["done"], "succeeded"),
    ],
)
def test_all_parts_together_are_one_state(preset_with, seen_by, words, state):
    """One that failed fails the task while others still run; it succeeds when all have."""
    seen = seen_by(preset_with(read=PARTS), {"parts": [{"state": word} for word in words]})
    assert (_what(seen), seen.unknown_word) == (state, None)


@pytest.mark.parametrize(
    ("words", "state", "unknown"),
    [
        (["done", "new"], "running", "new"),
        (["new", "newer"], "running", "new"),
        (["gone", "new"], "running", "new"),
        (["new", "bad"], "failed", None),
    ],
)
def test_a_part_with_a_word_that_is_not_listed_is_running_and_told(preset_with, seen_by, words, state, unknown):
    """Unless another one has failed."""
    seen = seen_by(preset_with(read=PARTS), {"parts": [{"state": word} for word in words]})
    assert (_what(seen), seen.unknown_word) == (state, unknown)


def test_a_part_without_a_word_keeps_the_task_from_being_over(preset_with, seen_by):
    """A task is not done because its last part says nothing."""
    for part in ({}, {"state": None}, {"state": ""}, {"state": {}}, None, 7, []):
        seen = seen_by(preset_with(read=PARTS), {"parts": [{"state": "done"}, part]})
        assert (_what(seen), seen.unknown_word) == ("running", None)


@pytest.mark.parametrize(
    "document", [{}, {"parts": []}, {"parts": None}, {"parts": "done"}, {"parts": {"state": "done"}}]
)
def test_no_parts_are_no_word(preset_with, seen_by, document):
    """All of none are not done."""
    assert _what(seen_by(preset_with(read=PARTS), document)) == "unreadable"
    assert _what(seen_by(preset_with(read={**PARTS, "otherwise": "queued"}), document)) == "queued"


def test_the_word_of_the_part_that_failed_is_the_code(preset_with, seen_by):
    preset = preset_with(read={"every": "parts", "state": "@", "states": {**STATES, "worse": "failed"}})
    assert seen_by(preset, {"parts": ["done", "worse", "bad"]}).error.code == "worse"


# ---------------------------------------------------------------------- rules


RULES = [
    {"of": "succeeded", "when": "stopped", "becomes": "cancelled"},
    {"of": "succeeded", "when": "flaws", "becomes": "failed", "code": "flawed", "message": "flaws[0]"},
    {"of": "running", "when": "lost", "becomes": "not_found", "message": "lost"},
    {"when": "broken", "becomes": "failed"},
    {"of": "failed", "when": "again", "becomes": "running"},
]


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"state": "done"}, "succeeded"),
        ({"state": "done", "stopped": 1}, "cancelled"),
        ({"state": "done", "flaws": ["f"], "stopped": 1}, "cancelled"),
        ({"state": "done", "flaws": ["f"]}, "failed"),
        ({"state": "busy", "flaws": ["f"]}, "running"),
        ({"state": "busy", "stopped": 1}, "running"),
        ({"state": "busy", "lost": "where"}, "not_found"),
        ({"state": "new", "lost": "where"}, "running"),
        ({"state": "new", "broken": 1}, "failed"),
        ({"broken": 1}, "failed"),
        ({"state": "bad", "broken": 1, "again": 1}, "failed"),
        ({"state": "bad", "again": 1}, "running"),
        ({"state": "bad"}, "failed"),
        ({}, "unreadable"),
    ],
)
def test_the_first_rule_that_holds_counts(preset_with, seen_by, document, what):
    """One with `of` where the word was read so, one without whatever the word is, or if there is none."""
    assert _what(seen_by(preset_with(read={**WORDS, "rules": RULES}), document)) == what


def test_a_rule_never_makes_a_word_final_that_nobody_listed(preset_with, seen_by):
    """Also where the preset says that running is over when an expression holds."""
    rules = [{"of": "running", "when": "over", "becomes": "succeeded"}]
    preset = preset_with(read={**WORDS, "rules": rules})
    listed, unlisted = (seen_by(preset, {"state": word, "over": True}) for word in ("busy", "new"))
    assert (_what(listed), listed.unknown_word) == ("succeeded", None)
    assert (_what(unlisted), unlisted.unknown_word) == ("running", "new")


@pytest.mark.parametrize("code", ["not_found", "unauthorized", "rate_limited", "unavailable", "provider_error"])
def test_a_rule_may_say_that_it_is_a_problem(preset_with, seen_by, code):
    """With its own message, else the envelope's, else a sentence."""
    rules = [{"when": "odd", "becomes": code, "message": "why"}]
    envelope = {"when": "never", "code": "no", "message": "says"}
    preset = preset_with(read={**WORDS, "rules": rules, "problem": envelope})
    told = [
        seen_by(preset, {"state": "done", "odd": 1, **more}).trouble
        for more in ({"why": "so\nit is", "says": "x"}, {"says": "no more", "no": 7}, {"why": " \x00", "no": 7}, {})
    ]
    assert {trouble.code for trouble in told} == {code}
    assert [trouble.message for trouble in told[:3]] == ["so it is", "no more (7)", "7"]
    assert told[3].message.endswith("(HTTP 200)" if code != "unauthorized" else "credentials")


def test_an_api_without_a_word_has_rules_alone(preset_with, seen_by):
    rules = [{"when": "error", "becomes": "failed"}, {"when": "done", "becomes": "succeeded"}]
    preset = preset_with(read={"rules": rules, "otherwise": "running"})
    assert [_what(seen_by(preset, each)) for each in ({}, {"done": True}, {"done": True, "error": "x"})] == [
        "running", "succeeded", "failed",
    ]  # fmt: skip
    strict = preset_with(read={"rules": rules})
    assert seen_by(strict, {}).trouble.message == "the answer fits none of the preset's rules: {}"


# ---------------------------------------------------------------------- HTTP statuses


HTTP = {"202": "running", "204": "succeeded", "404": "failed", "409": "body", "410": "not_found", "500-503": "queued"}


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (200, "succeeded"),
        (201, "succeeded"),
        (202, "running"),
        (204, "succeeded"),
        (302, "rejected"),
        (400, "rejected"),
        (401, "unauthorized"),
        (404, "failed"),
        (409, "succeeded"),
        (410, "not_found"),
        (429, "rate_limited"),
        (499, "rejected"),
        (500, "queued"),
        (502, "queued"),
        (503, "queued"),
        (504, "unavailable"),
    ],
)
def test_a_status_may_be_a_state_a_problem_or_read_like_200(preset_with, seen_by, status, what):
    """What the preset says of a status goes before the word; all others keep their meaning."""
    preset = preset_with(read={**WORDS, "http": HTTP})
    assert _what(seen_by(preset, {"state": "done"}, status)) == what


@pytest.mark.parametrize("body", [b"", b"<html>", b"[", b"null", b"\xff"])
def test_a_status_that_is_a_state_needs_no_body_that_can_be_read(preset_with, seen_by, body):
    preset = preset_with(read={**WORDS, "http": HTTP})
    assert _what(seen_by(preset, body, 202)) == "running"
    assert _what(seen_by(preset, body, 409)) == "unreadable"
    assert seen_by(preset, body, 404).error == Error("404", "the provider says '404' and gives no reason")


def test_a_rule_speaks_after_a_status_too(preset_with, seen_by):
    rules = [{"of": "failed", "when": "again", "becomes": "running"}]
    preset = preset_with(read={**WORDS, "http": HTTP, "rules": rules})
    assert _what(seen_by(preset, {"again": 1}, 404)) == "running"


# ---------------------------------------------------------------------- JSON in a text


def test_a_text_that_holds_json_is_read_before_all_else(preset_with, seen_by):
    """Also the status word and the envelope may stand in it; a text that is no JSON stays a text."""
    preset = preset_with(
        read={
            "state": "out.state",
            "states": STATES,
            "json": ["out", "also.this"],
            "result": "out.url",
            "details": ["also.this"],
            "problem": {"when": "out.error", "message": "out.error"},
        }
    )
    seen = seen_by(preset, {"out": '{"state": "done", "url": "u"}', "also": {"this": "plain"}})
    assert (_what(seen), _json(seen.result), _json(seen.details)) == ("succeeded", "u", {"this": "plain"})
    assert _what(seen_by(preset, {"out": '{"error": "no"}'})) == "provider_error"
    assert _what(seen_by(preset, {"out": {"state": "busy"}})) == "running"
    assert _what(seen_by(preset, {"out": "{broken"})) == "unreadable"


# ---------------------------------------------------------------------- the vendor's envelope


@pytest.mark.parametrize(
    ("problem", "document", "what"),
    [
        ({"when": "error"}, {"state": "done", "error": "x"}, "provider_error"),
        ({"when": "error"}, {"state": "done", "error": ""}, "succeeded"),
        ({"when": "error"}, {"state": "busy", "error": "x"}, "provider_error"),
        ({"when": "error"}, {"state": "new here", "error": "x"}, "provider_error"),
        ({"when": "error"}, {"state": "bad", "error": "x"}, "failed"),
        ({"when": "error", "code": "code", "ok": ["0"]}, {"state": "bad", "error": "x", "code": 0}, "failed"),
        ({"when": "error", "code": "code", "ok": ["0"]}, {"state": "bad", "error": "x", "code": 7}, "provider_error"),
        ({"code": "code", "ok": ["0"]}, {"state": "bad", "code": 7}, "provider_error"),
        ({"code": "code", "ok": ["0", "200"]}, {"state": "done", "code": 0}, "succeeded"),
        ({"code": "code", "ok": ["0", "200"]}, {"state": "done", "code": "200"}, "succeeded"),
        ({"code": "code", "ok": ["0", "200"]}, {"state": "done", "code": 7}, "provider_error"),
        ({"code": "code", "ok": ["0", "200"]}, {"state": "done"}, "succeeded"),
        ({"code": "code", "ok": ["0", "200"]}, {"state": "done", "code": None}, "succeeded"),
        ({"code": "code", "ok": ["0", "200"]}, {"state": "done", "code": ""}, "succeeded"),
        ({"code": "ok", "ok": ["true"]}, {"state": "done", "ok": False}, "provider_error"),
        ({"code": "code", "codes": {"7": "failed"}}, {"state": "done", "code": 7}, "failed"),
        ({"code": "code", "codes": {"7": "running"}}, {"code": 7}, "running"),
        ({"code": "code", "codes": {"7": "rate_limited"}}, {"state": "done", "code": 7}, "rate_limited"),
        ({"code": "code", "codes": {"7": "not_found"}}, {"state": "done", "code": 8}, "succeeded"),
        ({"code": "code", "ok": ["0"], "codes": {"7": "not_found"}}, {"state": "done", "code": 8}, "provider_error"),
        ({"when": "bad", "code": "code", "codes": {"7": "cancelled"}}, {"bad": 1, "code": 7}, "cancelled"),
    ],
)
def test_what_is_wrong_with_the_request_is_no_state_of_the_task(preset_with, seen_by, problem, document, what):
    """Where an expression holds, or a code is none of those that are good; but what some codes mean can be said."""
    assert _what(seen_by(preset_with(read={**WORDS, "problem": problem}), document)) == what


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"error": "too dark"}, "too dark"),
        ({"error": {"message": "too dark", "code": 3}}, "too dark"),
        ({"errors": ["too dark", "too long"]}, "too dark"),
        ({"errors": [{"message": "too dark"}]}, "too dark"),
        ({"error": {"code": 3}}, None),
        ({"error": "  "}, None),
        ({"error": "OK"}, None),
        ({"message": "query done"}, None),
    ],
)
def test_a_reason_stands_where_it_mostly_does_when_the_preset_does_not_say(preset_with, seen_by, more, message):
    """But a message beside the word may be about the request."""
    seen = seen_by(preset_with(read=WORDS), {"state": "bad", **more})
    assert seen.error == Error("bad", message or "the provider says 'bad' and gives no reason")


def test_an_error_beside_a_word_that_means_failed_is_the_reason(preset_with, seen_by):
    """Where the preset names no other place for it."""
    problem = {"when": "error.code", "message": "error.text"}
    document = {"state": "bad", "error": {"code": 7, "text": "moderated"}}
    assert seen_by(preset_with(read={**WORDS, "problem": problem}), document).error == Error("bad", "moderated")
    named = preset_with(read={**WORDS, "problem": problem, "error": {"code": "error.code", "message": "why"}})
    assert seen_by(named, {**document, "why": "too dark"}).error == Error("7", "too dark")


@pytest.mark.parametrize("status", [200, 202, 400, 401, 404, 409, 429, 500])
def test_what_a_code_means_counts_with_any_status(preset_with, seen_by, status):
    problem = {"code": "code", "message": "msg", "codes": {"7": "failed", "8": "rate_limited"}}
    preset = preset_with(read={**WORDS, "http": {"409": "body", "202": "running"}, "problem": problem})
    failed = seen_by(preset, {"code": 7, "msg": "moderated"}, status)
    assert (_what(failed), failed.error) == ("failed", Error("7", "moderated"))
    limited = seen_by(preset, {"state": "done", "code": "8", "msg": "slower"}, status)
    assert (limited.trouble.code, limited.trouble.message) == ("rate_limited", "slower (8)")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"bad": 1, "code": 7, "msg": "no\tmore"}, "no more (7)"),
        ({"bad": 1, "msg": {"why": "so"}}, '{"why":"so"}'),
        ({"bad": 1, "code": "E7"}, "E7"),
        ({"bad": 1}, "the provider answered with an error"),
        ({"bad": 1, "msg": " \x07\u200b"}, "the provider answered with an error"),
        ({"bad": 1, "msg": "x" * 1000}, "x" * (TROUBLE_LIMIT - 1) + "…"),
    ],
)
def test_a_problem_is_told_in_the_vendors_words_on_one_line(preset_with, seen_by, document, message):
    problem = {"when": "bad", "code": "code", "message": "msg"}
    assert seen_by(preset_with(read={**WORDS, "problem": problem}), document).trouble.message == message


@pytest.mark.parametrize(
    "said",
    [{"error": {"message": "so"}}, {"message": "so"}, {"error": "so"}, {"detail": [{"msg": "so"}]}, {"detail": "so"},
     {"errors": [{"message": "so"}]}, {"errors": ["so"]}, {"msg": "so"}],
)  # fmt: skip
def test_where_an_error_mostly_says_what_it_is_is_looked_at_anyway(preset_with, seen_by, said):
    assert seen_by(preset_with(), said, 400).trouble.message == "so"
    assert seen_by(preset_with(), {}, 400).trouble.message == "the provider does not accept the request (HTTP 400)"


# ---------------------------------------------------------------------- whose task it is


@pytest.mark.parametrize(
    ("id", "what"),
    [("t-1", "succeeded"), ("t-2", "wrong_task"), (None, "succeeded"), ("", "succeeded"), (7, "wrong_task"),
     ([], "wrong_task"), ({"id": "t-1"}, "wrong_task")],
)  # fmt: skip
def test_an_answer_about_another_task_is_a_problem(preset_with, seen_by, id, what):
    """One that names none is taken as it is: many name none."""
    preset = preset_with(read={**WORDS, "task_id": "id"})
    seen = seen_by(preset, {"state": "done", "id": id})
    assert _what(seen) == what
    if what == "wrong_task":
        assert seen.trouble.message == "the answer is about another task than 't-1'"
    assert _what(seen_by(preset, {"state": "done"})) == "succeeded"


def test_an_id_that_is_a_number_is_the_same_as_its_text(preset_with):
    preset = preset_with(read={**WORDS, "task_id": "id"})
    assert preset.read(Answer(status=200, body=b'{"state": "done", "id": 17}'), "17").trouble is None


def test_a_problem_goes_before_the_tasks_name(preset_with, seen_by):
    preset = preset_with(read={**WORDS, "task_id": "id", "problem": {"when": "error"}})
    assert _what(seen_by(preset, {"error": 1, "id": "t-2"})) == "provider_error"


# ---------------------------------------------------------------------- why it failed


CODE = {"code": "code", "message": ["job.text", "text"]}


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"state": "bad", "code": 7, "job": {"text": "so"}}, Error("7", "so")),
        ({"state": "bad", "text": "so"}, Error("bad", "so")),
        ({"state": "bad", "code": "", "text": {"a": 1}}, Error("bad", '{"a":1}')),
        ({"state": "bad"}, Error("bad", "the provider says 'bad' and gives no reason")),
        ({"state": "bad", "job": {"text": ""}, "text": "so"}, Error("bad", "so")),
        ({"state": "bad", "job": {"text": "Success"}, "text": "so"}, Error("bad", "so")),
        ({"state": "bad", "text": "success"}, Error("bad", "the provider says 'bad' and gives no reason")),
        ({"state": "bad", "text": "OK"}, Error("bad", "the provider says 'bad' and gives no reason")),
        ({"state": "bad", "text": "ok?"}, Error("bad", "ok?")),
        ({"state": "bad", "text": " "}, Error("bad", "the provider says 'bad' and gives no reason")),
        ({"state": "done", "flaws": ["f"], "code": 7, "text": "so"}, Error("flawed", "f")),
        ({"state": "done", "flaws": [""], "code": 7, "text": "so"}, Error("flawed", "so")),
        ({"state": "done", "broken": 1, "code": 7, "text": "so"}, Error("7", "so")),
        ({"state": "done", "broken": 1}, Error("failed", "the provider says 'done' and gives no reason")),
        ({"broken": 1}, Error("failed", "the provider says 'failed' and gives no reason")),
        ({"state": "bad", "broken": 1}, Error("bad", "the provider says 'bad' and gives no reason")),
    ],
)
def test_why_a_task_failed(preset_with, seen_by, document, error):
    """The rule's code and message first, then the table's, then the word that means failed; "success" is no reason."""
    assert seen_by(preset_with(read={**WORDS, "rules": RULES, "error": CODE}), document).error == error


def test_a_reason_is_cut_where_it_is_too_long(preset_with, seen_by):
    error = seen_by(
        preset_with(read={**WORDS, "error": CODE}), {"state": "bad", "code": "c" * 999, "text": "理" * 99_999}
    )
    assert (len(error.error.code), len(error.error.message)) == (WORD_LIMIT, MESSAGE_LIMIT)
    assert error.error.message.endswith("…")


def test_only_a_failed_task_has_a_reason(preset_with, seen_by):
    preset = preset_with(read={**WORDS, "error": CODE})
    assert all(seen_by(preset, {"state": word, "text": "x"}).error is None for word in ("busy", "done", "gone", "new"))


# ---------------------------------------------------------------------- progress


@pytest.mark.parametrize(
    ("document", "progress"),
    [
        ({"percent": 37}, Progress(fraction=0.37)),
        ({"percent": 37.5}, Progress(fraction=0.375)),
        ({"percent": "37.5"}, Progress(fraction=0.375)),
        ({"percent": "37%"}, Progress(fraction=0.37)),
        ({"percent": " 37 % "}, Progress(fraction=0.37)),
        ({"percent": 0}, Progress(fraction=0.0)),
        ({"percent": 100}, Progress(fraction=1.0)),
        ({"percent": 33.333333}, Progress(fraction=0.3333)),
        ({"percent": 50, "fraction": 0.9}, Progress(fraction=0.5)),
        ({"fraction": 0.25}, Progress(fraction=0.25)),
        ({"fraction": "0.25"}, Progress(fraction=0.25)),
        ({"fraction": 0.25, "value": 1, "total": 2}, Progress(value=1, total=2, fraction=0.25)),
        ({"value": 3}, Progress(value=3)),
        ({"value": 3, "total": 4}, Progress(value=3, total=4, fraction=0.75)),
        ({"value": 1, "total": 3}, Progress(value=1, total=3, fraction=0.3333)),
        ({"value": 3, "total": 0}, Progress(value=3, total=0)),
        ({"value": 5, "total": 4}, Progress(value=5, total=4)),
        ({"value": "3", "total": "4"}, Progress(value=3, total=4, fraction=0.75)),
        ({"text": "Reading"}, Progress(text="Reading")),
        ({"text": "x" * 3000}, Progress(text="x" * (PROGRESS_TEXT_LIMIT - 1) + "…")),
        ({"value": 2**53}, Progress(value=2**53)),
    ],
)
def test_how_far_a_task_is(preset_with, seen_by, document, progress):
    """A percentage with or without its sign, a fraction, a count of a total, words; in whatever combination."""
    steps = {name: name for name in ("percent", "fraction", "value", "total", "text")}
    assert seen_by(preset_with(read={**WORDS, "progress": steps}), {"state": "busy", **document}).progress == progress


@pytest.mark.parametrize(
    "document",
    [{}, {"percent": 101}, {"percent": -1}, {"percent": "37 of 100"}, {"percent": True}, {"percent": "1e2"},
     {"percent": None}, {"percent": [37]}, {"fraction": 1.1}, {"fraction": -0.1}, {"total": 4}, {"value": 2**53 + 1},
     {"value": 1e300}, {"value": "-3"}, {"value": ""}, {"text": ""}, {"text": 7}, {"text": ["a"]}, {"value": "9" * 30}],
)  # fmt: skip
def test_what_is_out_of_range_or_no_number_is_no_progress(preset_with, seen_by, document):
    steps = {name: name for name in ("percent", "fraction", "value", "total", "text")}
    assert seen_by(preset_with(read={**WORDS, "progress": steps}), {"state": "busy", **document}).progress is None


# ---------------------------------------------------------------------- times, results, details


TIMES = {"times": {"finished": "ended", "expires": "expires"}}


@pytest.mark.parametrize(
    ("document", "settled", "expires"),
    [
        ({}, None, AT + timedelta(hours=2)),
        ({"ended": "2025-12-31T23:00:00Z"}, AT - timedelta(hours=1), AT + timedelta(hours=1)),
        ({"ended": 1767222000}, AT - timedelta(hours=1), AT + timedelta(hours=1)),
        ({"ended": "yesterday"}, None, AT + timedelta(hours=2)),
        ({"expires": "2026-02-01T00:00:00Z"}, None, AT + timedelta(days=31)),
        ({"ended": 1767222000, "expires": 1767229200000}, AT - timedelta(hours=1), AT + timedelta(hours=1)),
    ],
)
def test_a_result_expires_when_the_answer_says_or_so_long_after_the_end(
    preset_with, seen_by, document, settled, expires
):
    """After the end that the answer names, else after it was seen."""
    preset = preset_with(read={**WORDS, **TIMES}, limits={"results": "2h"})
    seen = seen_by(preset, {"state": "done", **document}, at=AT)
    assert (seen.settled_at, seen.result_expires_at) == (settled, expires)


def test_only_what_has_succeeded_expires_and_only_what_is_over_has_an_end(preset_with, seen_by):
    preset = preset_with(read={**WORDS, **TIMES}, limits={"results": "2h"})
    document = {"ended": 1767222000, "expires": 1767229200}
    busy, bad = (seen_by(preset, {"state": word, **document}, at=AT) for word in ("busy", "bad"))
    assert (busy.settled_at, busy.result_expires_at) == (None, None)
    assert (bad.settled_at, bad.result_expires_at) == (AT - timedelta(hours=1), None)


@pytest.mark.parametrize("ended", ["9999-12-31T23:59:59Z", "9999-12-31T00:00:00+00:00"])
def test_the_end_of_the_calendar_is_no_surprise(preset_with, seen_by, ended):
    """A server may say anything; nothing can be added to that."""
    preset = preset_with(read={**WORDS, **TIMES}, limits={"results": "3650d"})
    assert seen_by(preset, {"state": "done", "ended": ended}, at=AT).result_expires_at is None


def test_without_a_lifetime_and_a_time_nothing_expires(preset_with, seen_by):
    assert seen_by(preset_with(read={**WORDS, **TIMES}), {"state": "done"}, at=AT).result_expires_at is None
    limited = preset_with(read={**WORDS, **TIMES}, limits={"results": "2h"})
    assert seen_by(limited, {"state": "done"}).result_expires_at is None


@pytest.mark.parametrize("result", ["url", 7, True, False, 0, {"a": [1]}, [None], 10**30])
def test_a_result_is_kept_as_it_came_when_the_task_is_over(preset_with, seen_by, result):
    preset = preset_with(read={**WORDS, "result": "out"})
    for word in ("done", "bad", "gone"):
        assert _json(seen_by(preset, {"state": word, "out": result}).result) == result
    for word in ("waiting", "busy", "new"):
        assert seen_by(preset, {"state": word, "out": result}).result is None
    assert seen_by(preset, {"state": "done", "out": None}).result is None


@pytest.mark.parametrize("result", ["", [], {}])
def test_an_empty_result_is_one_only_of_what_succeeded(preset_with, seen_by, result):
    """Else it is nothing: an expression over a list finds an empty list where there is none."""
    preset = preset_with(read={**WORDS, "result": "out"})
    assert _json(seen_by(preset, {"state": "done", "out": result}).result) == result
    assert [seen_by(preset, {"state": word, "out": result}).result for word in ("bad", "gone")] == [None, None]


def test_a_body_that_is_no_json_is_a_text_where_the_status_says_it_all(preset_with, seen_by):
    """Then it may be the reason."""
    read = {**WORDS, "http": {"424": "failed"}, "error": {"message": "@"}}
    seen = seen_by(preset_with(read=read), b"no sound was found\n", 424)
    assert (_what(seen), seen.error.message) == ("failed", "no sound was found")
    assert seen_by(preset_with(read=read), b"", 424).error.message.endswith("gives no reason")


def test_what_says_that_nothing_is_wrong_is_no_complaint(preset_with, seen_by):
    rules = [{"when": "gone", "becomes": "not_found"}]
    preset = preset_with(read={**WORDS, "rules": rules, "problem": {"code": "code", "ok": ["0"], "message": "msg"}})
    assert seen_by(preset, {"code": 0, "gone": True}).trouble.message.startswith("the provider does not know the task")
    assert seen_by(preset, {"code": 0, "gone": True, "msg": "gone"}).trouble.message == "gone"


def test_details_are_kept_under_their_own_names(preset_with, seen_by):
    """Null is kept, what is absent is not; in every state."""
    preset = preset_with(read={**WORDS, "details": ["job.cost", "seed", "job.parts[0].size"]})
    document = {"state": "busy", "job": {"cost": None, "parts": [{"size": 2}]}}
    assert _json(seen_by(preset, document).details) == {"cost": None, "size": 2}
    assert seen_by(preset, {"state": "busy"}).details is None
    assert seen_by(preset_with(), document).details is None


# ---------------------------------------------------------------------- how long to wait


@pytest.mark.parametrize("status", [200, 202, 404, 429, 503])
def test_how_long_an_answer_asks_us_to_wait_is_told_with_whatever_it_says(preset_with, seen_by, status):
    seen = seen_by(preset_with(), {"state": "busy"}, status, headers={"retry-after": "7"}, at=AT)
    told = seen.trouble.retry_after if seen.trouble is not None else seen.retry_after
    assert told == timedelta(seconds=7)


# ---------------------------------------------------------------------- whatever comes


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
some = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner))
FULL = {
    "state": ["out.state", "state"],
    "states": {**STATES, "1-9": "failed"},
    "json": ["out"],
    "task_id": "id",
    "result": "out.url",
    "details": ["cost"],
    "http": HTTP,
    "rules": [*RULES, {"when": "odd", "becomes": "unavailable", "message": "text"}],
    "error": CODE,
    "progress": {name: name for name in ("percent", "fraction", "value", "total", "text")},
    "problem": {"when": "error", "code": "code", "message": "text", "ok": ["0"], "codes": {"7": "failed"}},
    **TIMES,
}
NAMES = ["out", "state", "id", "cost", "flaws", "lost", "broken", "again", "odd", "code", "text", "percent", "fraction",
         "value", "total", "error", "ended", "expires", "stopped"]  # fmt: skip
alike = st.dictionaries(
    st.sampled_from(NAMES),
    some | st.sampled_from([*STATES, "t-1", 7, "9999-12-31T23:59:59Z", 1767222000, " ", '{"state": "done"}', 2**53]),
)


@given(document=alike, status=st.sampled_from([200, 202, 204, 400, 404, 409, 500]), at=st.none() | st.just(AT))
def test_a_preset_with_everything_reads_whatever_comes(preset_with, document, status, at):
    """One thing is said, and every receiver can parse it."""
    preset = preset_with(read=FULL, limits={"results": "24h"})
    answer = Answer(status=status, body=json.dumps(document).encode(), headers={"retry-after": "1"}, at=at)
    seen = preset.read(answer, "t-1")
    assert (seen.state is None) != (seen.trouble is None)
    assert (seen.error is not None) is (seen.state is not None and seen.state.value == "failed")
    if seen.trouble is not None:
        assert seen.trouble.message
        assert seen.trouble.message.isprintable()
    for part in (seen.result, seen.details):
        json.loads(part.text if part is not None else b"null", parse_constant=pytest.fail)
