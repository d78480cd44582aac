"""The tables that are requests: [ask], [submit], [result], [batch]; how their keys become one request."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput
from ringback.core.model import Answer

BASE = "https://api.acme.example/v1"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
JSON = {"accept": "application/json", "content-type": "application/json"}
FORM = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
OPTIONAL = {"x": {"default": ""}, "y": {"default": "why"}}


def _made(ask):
    return ask.method, ask.url.removeprefix(BASE), ask.headers, ask.body


@pytest.mark.parametrize(
    ("table", "made"),
    [
        ({"path": "/jobs/{task_id}"}, ("GET", "/jobs/t-1", {"accept": "application/json"}, None)),
        (
            {"path": "/jobs", "query": {"id": "{task_id}", "v": "a b", "a&b": "1"}},
            ("GET", "/jobs?id=t-1&v=a%20b&a%26b=1", {"accept": "application/json"}, None),
        ),
        (
            {"path": "/{task_id}", "headers": {"X-Version": "2", "Accept": "text/plain", "x-id": "{task_id}"}},
            ("GET", "/t-1", {"accept": "text/plain", "x-version": "2", "x-id": "t-1"}, None),
        ),
        (
            {"method": "POST", "path": "/q", "body": {"job": {"id": "{task_id}", "deep": [1, ["{task_id}"]]}}},
            ("POST", "/q", JSON, b'{"job":{"id":"t-1","deep":[1,["t-1"]]}}'),
        ),
        (
            {"method": "PUT", "path": "/{task_id}", "body": {}, "headers": {"content-type": "application/x-amz-json"}},
            ("PUT", "/t-1", {**JSON, "content-type": "application/x-amz-json"}, b"{}"),
        ),
        (
            {"method": "POST", "path": "/q", "form": {"id": "{task_id}", "a&b": "c d/é"}},
            ("POST", "/q", FORM, b"id=t-1&a%26b=c%20d%2F%C3%A9"),
        ),
        ({"method": "POST", "path": "/{task_id}"}, ("POST", "/t-1", {"accept": "application/json"}, None)),
        (
            {"url": "https://b.example/{task_id}?a=1"},
            ("GET", "https://b.example/t-1?a=1", {"accept": "application/json"}, None),
        ),
        (
            {"url": "https://b.example/x?a=1", "query": {"id": "{task_id}"}},
            ("GET", "https://b.example/x?a=1&id=t-1", {"accept": "application/json"}, None),
        ),
    ],
)
def test_a_table_is_one_request(preset_with, table, made):
    assert _made(preset_with(ask=table).ask("t-1", {}, "")) == made


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({}, ("/q/t-1?y=why&both=-why", {"y": "why"}, {"y": "why", "deep": {}, "list": ["", "why"], "both": "-why"})),
        (
            {"x": "1", "y": "2"},
            (
                "/q/t-1?x=1&y=2&both=1-2",
                {"x": "1", "y": "2"},
                {"x": "1", "y": "2", "deep": {"x": "1"}, "list": ["1", "2"], "both": "1-2"},
            ),
        ),
    ],
)
def test_an_optional_param_leaves_out_what_it_alone_makes_up(preset_with, given, made):
    """The query, the header or the field of a table; in a list and within a text it stands, even if it is empty."""
    both = "{params.x}-{params.y}"
    fields = {"x": "{params.x}", "y": "{params.y}"}
    preset = preset_with(
        params=OPTIONAL,
        ask={
            "method": "POST",
            "path": "/q/{task_id}",
            "query": {**fields, "both": both},
            "headers": fields,
            "body": {**fields, "deep": {"x": "{params.x}"}, "list": ["{params.x}", "{params.y}"], "both": both},
        },
    )
    ask = preset.ask("t-1", given, "")
    headers = {name: value for name, value in ask.headers.items() if name not in JSON}
    assert (ask.url.removeprefix(BASE), headers, json.loads(ask.body)) == made
    assert preset.about.defaults == {"x": "", "y": "why"}


def test_an_optional_param_is_left_out_of_a_form(preset_with):
    preset = preset_with(
        params=OPTIONAL, ask={"method": "POST", "path": "/{task_id}", "form": {"x": "{params.x}", "y": "{params.y}"}}
    )
    assert preset.ask("t", {}, "").body == b"y=why"
    assert preset.ask("t", {"x": "1", "y": ""}, "").body == b"x=1"


def test_a_param_that_nobody_gave_is_named(preset_with):
    for ask in (
        {"path": "/{params.x}/{task_id}"},
        {"path": "/{task_id}", "query": {"x": "{params.x}"}},
        {"path": "/{task_id}", "headers": {"x": "{params.x}"}},
        {"path": "/{task_id}", "method": "POST", "body": {"x": ["{params.x}"]}},
    ):
        with pytest.raises(BadInput, match="the param 'x' is missing"):
            preset_with(ask=ask).ask("t", {}, "")


# ---------------------------------------------------------------------- where it goes


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("", f"{BASE}/jobs/t"),
        ("https://api.302.ai", "https://api.302.ai/jobs/t"),
        ("https://api.302.ai/", "https://api.302.ai/jobs/t"),
        ("http://127.0.0.1:8080/proxy/302/", "http://127.0.0.1:8080/proxy/302/jobs/t"),
        ("http://[::1]:80", "http://[::1]:80/jobs/t"),
    ],
)
def test_a_base_url_of_the_account_replaces_the_presets(preset_with, base, url):
    """It may have a prefix of its own."""
    assert preset_with().ask("t", {}, base).url == url


@pytest.mark.parametrize(
    "base",
    [
        "api.302.ai",
        "ftp://x",
        "https://",
        "https://user:hunter2@x",
        "https://x?k=hunter2",
        "https://x#hunter2",
        "https://x/a b",
        "https://x/../y",
        "https://x/%2e%2e/y",
        "https://x\n",
        "//x",
        "https://x\\y",
        "https://{params.x}.example",
    ],
)
def test_a_base_url_that_could_lead_elsewhere_is_refused_and_not_repeated(preset_with, base):
    with pytest.raises(BadInput, match="base_url cannot be used") as refused:
        preset_with().ask("t", {}, base)
    assert "hunter2" not in refused.value.message


def test_without_a_base_url_only_an_account_knows_the_place(preset_with):
    preset = preset_with(base_url=None)
    with pytest.raises(BadInput, match="acme-video has no base URL of its own: set base_url") as refused:
        preset.ask("t", {}, "")
    assert refused.value.code == "no_base_url"
    assert (preset.about.base_url, preset.about.trusted, preset.about.needs_account) == ("", "", True)
    assert preset.ask("t", {}, "http://mine.example").url == "http://mine.example/jobs/t"


def test_a_base_url_with_a_param_is_no_trusted_one(preset_with):
    """Whoever registers a task chooses the param: where the key may go is said by hosts."""
    preset = preset_with(base_url="https://{params.region}.acme.example/v1", hosts=["*.acme.example"])
    assert preset.ask("t", {"region": "eu"}, "").url == "https://eu.acme.example/v1/jobs/t"
    assert (preset.about.trusted, preset.about.hosts, preset.about.params) == ("", ("*.acme.example",), ("region",))
    with pytest.raises(BadInput, match=r"params.region is part of a host name"):
        preset.ask("t", {"region": "evil.example/"}, "")


# ---------------------------------------------------------------------- what cannot be


BODY = {"method": "POST", "body": {"id": "{task_id}"}}
METHODS = "expected one of GET, POST, PUT"
NO_UUID = "expected no {uuid} here: it may stand in a header or a JSON body"
NO_HEADER = "expected the value of a header, which is ASCII on one line"
NO_SUCH = "expected placeholders such as {task_id} and {params.name}, got '{id}'"
ONLY_IN_RESULT = "{answer.b} can only stand in result"
ONLY_IN_BATCH = "{task_ids} can only stand in batch"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"headers": {"x-id": "{task_id}"}}, "ask: expected either path or url"),
        ({"path": "/x", "url": "https://a.example/{task_id}"}, "ask: expected either path or url"),
        ({"path": "/x", **BODY, "form": {"a": "b"}}, "ask: expected either body or form"),
        ({"path": "/{task_id}", "body": {"a": "b"}}, "ask: expected method POST or PUT with a body"),
        ({"path": "/{task_id}", "form": {"a": "b"}}, "ask: expected method POST or PUT with a body"),
        ({"url": "{task_id}", "query": {"a": "b"}}, "ask.query: expected it within url"),
        ({"url": "https://a.example/{task_id}", "query": {"a": "b"}}, "ask.query: expected it within url"),
        ({"path": "/x"}, "ask: expected {task_id} in its path, query, headers or body"),
        ({"path": "/{task_id}", "query": {"a": "{task_ids}"}}, f"ask: {ONLY_IN_BATCH}"),
        ({"path": "/{task_id}", "query": {"a": "{answer.b}"}}, f"ask: {ONLY_IN_RESULT}"),
        ({"path": "/{task_id}", "query": {"a": "{uuid}"}}, f"ask.query.a: {NO_UUID}"),
        ({"path": "/{task_id}", "query": {"a": 1}}, "ask.query.a: expected text, got a whole number"),
        ({"path": "/{task_id}", "query": {"a": ""}}, "ask.query.a: expected text, got ''"),
        ({"path": "/{task_id}", "query": ["a"]}, "ask.query: expected a table, got a list"),
        (
            {"path": "/{task_id}", "headers": {"a b": "c"}},
            "ask.headers.\"a b\": expected the name of a header, got 'a b'",
        ),
        ({"path": "/{task_id}", "headers": {"a": "é"}}, f"ask.headers.a: {NO_HEADER}"),
        ({"path": "/{task_id}", "method": "PATCH"}, f"ask.method: {METHODS}, got 'PATCH'"),
        ({"path": "/{task_id}", "method": "GETT"}, f"ask.method: {METHODS}, got 'GETT'. Did you mean 'GET'?"),
        ({"path": "/{task_id}", "method": "POST", "body": "x"}, "ask.body: expected a table, which is sent as JSON"),
        ({"path": "/{task_id}", "method": "POST", "body": {"a": ["{id}"]}}, f"ask.body: {NO_SUCH}"),
    ],
)
def test_what_a_request_cannot_be_is_told_with_its_key(problems_with, table, problem):
    assert problems_with(ask=table) == [problem]


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "connection", "Authorization", "Cookie"]
)
@pytest.mark.parametrize("where", ["ask", "submit", "result", "batch"])
def test_there_are_headers_that_no_preset_sets(problems_with, name, where):
    """Those that are the client's own, and those that a credential would stand in."""
    tables = {
        "ask": {"path": "/{task_id}"},
        "submit": {"path": "/", "id": "id"},
        "result": {"path": "/", "read": "r"},
        "batch": {"path": "/", "query": {"ids": "{task_ids}"}, "limit": 2, "tasks": "t"},
    }
    found = problems_with(**{where: {**tables[where], "headers": {name: "x"}}})
    assert found == [f"{where}.headers.{name.lower()}: no preset sets this one"]


@pytest.mark.parametrize(
    ("where", "table", "problem"),
    [
        ("submit", {"path": "/{task_id}", "id": "id"}, "submit: {task_id} has no meaning here"),
        ("submit", {"path": "/", "query": {"a": "{answer.b}"}, "id": "i"}, f"submit: {ONLY_IN_RESULT}"),
        ("result", {"path": "/", "query": {"a": "{task_ids}"}, "read": "r"}, f"result: {ONLY_IN_BATCH}"),
        (
            "batch",
            {"path": "/{task_id}", "query": {"a": "{task_ids}"}, "limit": 2, "tasks": "t"},
            "batch: {task_id} has no meaning here",
        ),
    ],
)
def test_a_placeholder_without_a_meaning_in_a_table_is_told(problems_with, where, table, problem):
    assert problems_with(**{where: table}) == [problem]


# ---------------------------------------------------------------------- the request as it is given away


def test_the_params_are_known_in_order_and_once(preset_with):
    """Nobody is asked for what only a submission has."""
    about = preset_with(
        base_url="https://{params.e}.acme.example",
        hosts=["*.acme.example"],
        ask={"path": "/{params.b}/{params.a}/{params.b}/{task_id}", "query": {"c": "{params.c}"}},
        result={"path": "/{params.d}", "read": "r"},
        submit={"path": "/{params.z}", "id": "id"},
        auth={"type": "sigv4", "service": "s", "region": "{params.f}"},
    ).about
    assert about.params == ("e", "b", "a", "c", "d", "f")


def test_it_holds_no_credential(preset_with):
    made = preset_with(auth={"type": "bearer"}).ask("t", {}, "")
    assert (made.method, made.headers, made.body) == ("GET", {"accept": "application/json"}, None)


UUID_ANYWHERE = {
    "ask": {
        "method": "POST",
        "path": "/",
        "headers": {"x-n": "n-{uuid}"},
        "body": {"n": ["{uuid}"], "id": "{task_id}"},
    },
    "result": {"method": "POST", "path": "/r", "headers": {"x-n": "n-{uuid}"}, "body": {"n": ["{uuid}"]}, "read": "r"},
}


@pytest.mark.parametrize("where", UUID_ANYWHERE)
def test_a_number_is_another_one_for_every_request(preset_with, where):
    """The same in every place of one request, in the form of a UUID; another task and another time have another one."""
    preset = preset_with(**{where: UUID_ANYWHERE[where]})
    answer = Answer(status=200, body=b'{"state": "done"}')

    def numbers(task_id, now):
        seen = preset.read(answer, task_id)
        ask = preset.ask(task_id, {}, "") if where == "ask" else preset.ask_result(seen, answer, task_id, {}, "")
        assert "n-{uuid}" in ask.headers.values()
        signed = preset.sign(ask, {}, now)
        number = signed.headers["x-n"].removeprefix("n-")
        assert json.loads(signed.body)["n"] == [number]
        return number

    made = [numbers("t-1", NOW), numbers("t-1", NOW + timedelta(microseconds=1))]
    assert len(set(made)) == 2
    assert all(len(number) == 36 and number[14] == "4" for number in made)
    assert numbers("t-1", NOW) == made[0]
    if where == "ask":
        assert numbers("t-2", NOW) != made[0]


def test_without_a_number_signing_changes_nothing_else(preset_with):
    preset = preset_with(ask={"method": "POST", "path": "/", "body": {"id": "{task_id}"}})
    ask = preset.ask("{uuid}", {}, "")
    assert preset.sign(ask, {}, NOW) == ask


@given(st.text(min_size=1), st.text(min_size=1))
def test_equal_tasks_are_asked_for_in_the_same_way(preset_with, task_id, value):
    preset = preset_with(
        ask={
            "method": "POST",
            "path": "/x",
            "query": {"v": "{params.v}"},
            "body": {"id": "{task_id}", "v": "{params.v}"},
        }
    )
    first, second = (preset.ask(task_id, {"v": value}, "") for _ in range(2))
    assert first == second
    assert json.loads(first.body) == {"id": task_id, "v": value}
