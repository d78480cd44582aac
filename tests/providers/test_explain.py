"""A preset in plain words: whatever it says is on the page, and nothing else is."""

from __future__ import annotations

import json

import pytest

from ringback.core.model import Answer
from ringback.providers import described
from ringback.providers.explain import explain, try_answer

EVERYTHING = {
    "base_url": "https://{params.region}.acme.example/v1",
    "hosts": ["*.acme.example", "files.acme.example"],
    "menu": "Video / Poll",
    "notes": "Slow on Mondays.",
    "callback": "webhook in the body",
    "learn_by": "model",
    "params": {
        "region": {"about": "where it runs"},
        "model": {"about": "which model", "default": "m-1", "identity": False},
        "geo": {"default": ""},
        "token": {"secret": True},
    },
    "limits": {"interval": "10s", "rate": "90/m", "deadline": "26h", "results": "24h", "body": "512KiB"},
    "submit": {
        "method": "POST",
        "path": "/jobs/{params.kind}",
        "id": ["job.id", "id"],
        "remember": {"token": "job.token", "model": {"at": "job.url", "match": "/models/(.+)$"}},
    },
    "ask": {
        "method": "POST",
        "path": "/jobs/{params.model}/query",
        "query": {"geo": "{params.geo}"},
        "headers": {"x-version": "2"},
        "body": {"id": "{task_id}", "token": "{params.token}"},
    },
    "auth": [{"type": "header", "name": "x-key", "prefix": "Key"}, {"type": "basic"}],
    "read": {
        "state": ["job.state", "state"],
        "states": {"in line": "queued", "10-20": "running", "done": "succeeded"},
        "ignore_case": True,
        "otherwise": "running",
        "json": ["job.out"],
        "task_id": "job.name",
        "result": "job.out.url",
        "details": ["job.cost", "job.seed"],
        "http": {"202": "running", "409": "body", "500-599": "failed"},
        "rules": [
            {"of": "succeeded", "when": "!(job.out)", "becomes": "failed", "code": "nothing_made"},
            {"when": "job.gone", "becomes": "not_found"},
        ],
        "problem": {
            "when": "error",
            "ok": ["0", "200"],
            "code": "error.code",
            "message": "error.text",
            "codes": {"1302": "rate_limited", "2013": "failed"},
        },
        "error": {"code": "job.kind", "message": ["job.why", "msg"]},
        "progress": {"percent": "job.progress", "text": "job.stage"},
        "times": {"finished": "job.ended", "expires": "job.until"},
    },
    "result": {
        "path": "/files/{answer.job.file}",
        "read": "file.url",
        "when": "job.file",
        "failed": ["404", "422-423"],
        "message": "detail",
    },
    "batch": {"method": "POST", "path": "/list", "body": {"ids": "{task_ids}"}, "limit": 50, "tasks": "jobs"},
}

PAGE = """\
acme-video: Acme video

menu      Video / Poll
begun     POST /jobs/{params.kind} (by you); the answer has the id at job.id, else id
          and token at job.token
          and model at job.url
asked     POST https://{params.region}.acme.example/v1/jobs/{params.model}/query?geo={params.geo} with \
{"id":"{task_id}","token":"{params.token}"}, x-version: 2
          up to 50 tasks in one request: POST https://{params.region}.acme.example/v1/list with {"ids":"{task_ids}"}
signed    the header x-key: Key <api_key>; or the header Authorization: Basic, of <username> and <password>; \
the account is acme unless another is named
key goes  to *.acme.example, files.acme.example and to the host of the account's base_url, nowhere else
params    region: where it runs
          model: which model; left out: m-1; equal ids are one task whatever it is; durations are learned for each value
          geo: may be left out
          token: secret: never shown
state     the word at job.state, else state (in capitals or not): in line is queued, 10-20 is running, done is succeeded
          HTTP 202 is running
          HTTP 409 is read like 200
          HTTP 500-599 is failed
          succeeded is failed where !(job.out), code nothing_made
          anything is not_found where job.gone
          an answer without a word is running
          any other word is running, and told as unknown
json      job.out may be JSON in a text
task      job.name must be the task's id where the answer names one
result    job.out.url
failure   the code is job.kind, the message job.why, else msg
progress  percent at job.progress; text at job.stage
times     finished at job.ended; the result expires at job.until
details   job.cost, job.seed
problems  an answer where error is true is an error, with any HTTP status
          error.code must be 0 or 200 where an answer has one
          the codes: 1302 is rate_limited, 2013 is failed
          HTTP 401 and 403 are a wrong key, 404 an unknown task, 429 too many requests, \
408, 425 and 5xx a server in trouble
then      GET https://{params.region}.acme.example/v1/files/{answer.job.file} once it has succeeded where job.file; \
the result is at file.url
          HTTP 404, 422-423 to it: the task has failed after all
limits    asked every 10s; at most 1.5 requests a second; given up after 26h; a result can be had for 1d; \
an answer has at most 512KiB
callback  webhook in the body
notes     Slow on Mondays.
facts     likely; the manual"""


def test_every_part_of_a_preset_is_on_the_page(preset_with):
    """A preset that uses every key is told in full, each line with its label."""
    assert explain(preset_with(**EVERYTHING)) == PAGE


def test_a_small_preset_is_a_short_page(preset_with):
    """What it does not have is not told."""
    assert explain(preset_with()) == (
        "acme-video: Acme video\n\n"
        "asked     GET https://api.acme.example/v1/jobs/{task_id}\n"
        "signed    nothing: no credential is needed; the account is acme unless another is named\n"
        "state     the word at state: waiting is queued, busy is running, done is succeeded, bad is failed\n"
        "          any other word is running, and told as unknown\n"
        "problems  HTTP 401 and 403 are a wrong key, 404 an unknown task, 429 too many requests, 408, 425 and 5xx a"
        " server in trouble\n"
        "facts     likely; the manual"
    )


def test_rules_alone_have_their_label(preset_with):
    """Where there is no word the first rule begins the lines about the state."""
    rules = [{"when": "error", "becomes": "failed"}, {"when": "done", "becomes": "succeeded"}]
    page = explain(preset_with(read={"rules": rules, "otherwise": "running"})).splitlines()
    assert page[4:7] == [
        "state     anything is failed where error",
        "          anything is succeeded where done",
        "          an answer without a word is running",
    ]


def test_parts_that_each_have_a_word_are_told(preset_with):
    page = explain(preset_with(read={"every": "parts[].s", "states": {"done": "succeeded"}}))
    assert "state     all words at parts[].s together: done is succeeded; one that failed fails the task" in page


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        ({"base_url": None}, "asked     GET <the account's base_url>/jobs/{task_id}"),
        ({"ask": {"url": "{task_id}"}}, "asked     GET {task_id}"),
        (
            {"ask": {"method": "POST", "path": "/q", "form": {"id": "{task_id}", "v": "1"}}},
            "asked     POST https://api.acme.example/v1/q with the form id={task_id}&v=1",
        ),
        (
            {"submit": {"method": "POST", "path": "/", "id_header": "Location"}},
            "begun     POST / (by you); the answer has the id at the header location",
        ),
        (
            {"base_url": None, "result": {"path": "/r", "read": "@"}},
            "then      GET <the account's base_url>/r once it has succeeded; the result is at @",
        ),
        (
            {"result": {"url": "{answer.next}", "read": "x"}},
            "then      GET {answer.next} once it has succeeded; the result is at x",
        ),
        (
            {"auth": {"type": "bearer"}},
            "key goes  to api.acme.example and to the host of the account's base_url, nowhere else",
        ),
        (
            {"auth": {"type": "bearer"}, "base_url": None},
            "key goes  to the host of the account's base_url, nowhere else",
        ),
        ({"limits": {"body": "16MiB"}}, "limits    an answer has at most 16MiB"),
    ],
)  # fmt: skip
def test_each_form_of_a_part_has_its_words(preset_with, tables, line):
    assert line in explain(preset_with(**tables)).splitlines()


def test_a_page_is_lines_that_can_be_printed(preset_with):
    page = explain(preset_with(**EVERYTHING)).splitlines()
    assert all(line.isprintable() for line in page)
    assert all(line[:10].strip() == "" or line[9] == " " for line in page[2:])


def test_the_provider_http_is_explained_too():
    assert described.EXPLAINED.startswith("http: ")
    assert "no account's key is ever sent" in described.EXPLAINED


# ---------------------------------------------------------------------- what was tried


def test_a_saved_answer_is_shown_with_every_part(preset_with):
    """Numbers come out as they went in; what is not there is null."""
    preset = preset_with(
        read={
            "state": "s",
            "states": {"done": "succeeded", "bad": "failed"},
            "result": "r",
            "details": ["d"],
            "progress": {"value": "v"},
            "error": {"message": "e"},
        }
    )

    def tried(document, status=200):
        return try_answer(preset, Answer(status=status, body=json.dumps(document).encode()), None)

    assert tried({"s": "done", "r": 2**70, "d": 0.1, "v": 3}) == {
        "state": "succeeded",
        "result": 2**70,
        "error": None,
        "progress": {"value": 3, "total": None, "fraction": None, "text": None},
        "details": {"d": 0.1},
        "problem": None,
    }
    nothing = {"state": None, "result": None, "error": None, "progress": None, "details": None, "problem": None}
    assert tried({"s": "bad", "e": "so"}) == {**nothing, "state": "failed", "error": {"code": "bad", "message": "so"}}
    assert tried({"detail": "so"}, 404) == {**nothing, "problem": {"code": "not_found", "message": "so"}}
