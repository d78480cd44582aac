"""The provider `http`: a description that comes with a registration, checked like a preset and never given our keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput, RingbackError
from ringback.core.model import Answer
from ringback.providers import described
from ringback.providers.described import DIALECT_AT_MOST, HEADERS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://api.example.org/jobs/7?full=1"
READ = {"state": "job.status", "states": {"done": "succeeded", "error": "failed"}}


def _dialect(ask=None, read=None):
    return described.dialect({"url": URL, **(ask or {})}, READ if read is None else read)


def _asked(**ask):
    preset = described.preset(_dialect(ask))
    return preset.sign(preset.ask("t-1", {}, ""), {"api_key": "ours", "authorization": "ours"}, NOW)


# ---------------------------------------------------------------------- what it is asked, and how it is read


@pytest.mark.parametrize(
    ("ask", "made"),
    [
        ({}, ("GET", URL, {}, None)),
        ({"url": "http://10.0.0.7:8080"}, ("GET", "http://10.0.0.7:8080/", {}, None)),
        ({"url": "https://a.example/{task_id}/x?id={task_id}"}, ("GET", "https://a.example/t-1/x?id=t-1", {}, None)),
        ({"url": "https://a.example/x", "query": {"id": "{task_id}"}}, ("GET", "https://a.example/x?id=t-1", {}, None)),
        ({"headers": {"X-Key": "k {task_id}"}}, ("GET", URL, {"x-key": "k {task_id}"}, None)),
        ({"headers": {"Accept": "text/json"}}, ("GET", URL, {"accept": "text/json"}, None)),
        (
            {"method": "POST", "body": {"id": "{task_id}", "deep": [{"n": 1}]}},
            ("POST", URL, {"content-type": "application/json"}, b'{"deep":[{"n":1}],"id":"t-1"}'),
        ),
        (
            {"method": "POST", "form": {"id": "{task_id}"}},
            ("POST", URL, {"content-type": "application/x-www-form-urlencoded"}, b"id=t-1"),
        ),
    ],
)
def test_it_is_asked_as_it_is_described(ask, made):
    """The headers are the caller's own words: nothing stands for anything in them."""
    method, url, headers, body = made
    signed = _asked(**ask)
    assert (signed.method, signed.url, signed.body) == (method, url, body)
    assert signed.headers == {"accept": "application/json", **headers}


def test_the_callers_credential_is_sent_and_never_ours():
    """It has no account: what an account has is not even looked at."""
    signed = _asked(headers={"Authorization": "Bearer theirs", "Cookie": "session=theirs"})
    assert signed.headers["authorization"] == "Bearer theirs"
    assert "ours" not in str(_asked()) + str(signed)
    about = described.preset(_dialect()).about
    assert (about.credentials, about.needs_account, about.hosts, about.params) == ((), False, (), ())
    assert (described.ABOUT.credentials, described.ABOUT.needs_account) == ((), False)


def test_a_credential_stands_in_no_request_before_it_is_signed():
    """So that it is in no log of what is about to be asked."""
    preset = described.preset(_dialect({"headers": {"Authorization": "Bearer theirs"}}))
    assert "theirs" not in str(preset.ask("t", {}, ""))
    assert preset.spec.auth.explain() == "the headers that came with the registration"


def test_it_is_read_by_the_table_of_a_preset():
    read = {
        **READ,
        "result": "job.url",
        "rules": [{"of": "succeeded", "when": "!(job.url)", "becomes": "failed", "message": "job.why"}],
        "http": {"404": "failed"},
    }
    preset = described.preset(_dialect(read=read))

    def state(document, status=200):
        return preset.read(Answer(status=status, body=json.dumps(document).encode()), "t").state

    assert state({"job": {"status": "done", "url": "u"}}) == "succeeded"
    assert state({"job": {"status": "done", "why": "w"}}) == "failed"
    assert state({"job": {"status": "new"}}) == "running"
    assert state({}, 404) == "failed"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "the provider refuses the key (HTTP 401): check ask.headers"),
        (b'{"message": "who are you?"}', "who are you?"),
    ],
)
def test_a_refused_key_is_said_to_be_the_callers(body, message):
    """No account has it; the API's own words stay as they are."""
    trouble = described.preset(_dialect()).read(Answer(status=401, body=body), None).trouble
    assert (trouble.code, trouble.message) == ("unauthorized", message)


def test_its_url_is_known_as_it_is_written():
    """It names the task when the caller has no name for it."""
    assert described.url_of(_dialect()) == URL
    with pytest.raises(BadInput, match="task_id: is missing, and ask has"):
        described.url_of(_dialect({"url": "https://a.example/x", "query": {"id": "{task_id}"}}))


# ---------------------------------------------------------------------- how it is kept


def test_equal_descriptions_are_kept_as_the_same_text():
    """Whatever order their keys come in: the text is part of what makes two watches one."""
    first = described.dialect({"url": URL, "method": "GET", "headers": {"b": "1", "a": "2"}}, READ)
    second = described.dialect(
        {"headers": {"a": "2", "b": "1"}, "method": "GET", "url": URL}, dict(reversed(READ.items()))
    )
    assert first == second
    assert json.loads(first) == {"ask": {"url": URL, "method": "GET", "headers": {"a": "2", "b": "1"}}, "read": READ}
    assert described.preset(first) is described.preset(second)


def test_what_was_kept_is_taken_again():
    """After a restart it means what it meant."""
    kept = _dialect({"headers": {"x": "y"}})
    again = json.loads(kept)
    assert described.dialect(again["ask"], again["read"]) == kept


def test_a_description_has_a_limit():
    room = DIALECT_AT_MOST - len(_dialect({"method": "POST", "body": {"a": ""}}))
    assert _dialect({"method": "POST", "body": {"a": "x" * room}})
    with pytest.raises(BadInput, match=f"ask and read have {DIALECT_AT_MOST + 1} bytes; at most {DIALECT_AT_MOST} are"):
        _dialect({"method": "POST", "body": {"a": "x" * (room + 1)}})


# ---------------------------------------------------------------------- what is refused


STATES = "expected one of queued, running, succeeded, failed, cancelled"
NO_URL = "ask.url: expected a URL such as 'https://api.example.com/jobs/{task_id}', in ASCII, without user or fragment"
AT_3 = "something is wrong at character 3"
GROWS = "expected an expression that does not multiply what it finds so often"
NO_HEADER = "expected a header that may be set, and ASCII text"


@pytest.mark.parametrize(
    ("ask", "read", "sentence"),
    [
        (None, READ, "ask: is missing; provider http needs ask and read"),
        ({"url": URL}, None, "read: is missing; provider http needs ask and read"),
        ({}, READ, "ask.url: is missing; expected the whole URL that tells about the task"),
        ({"url": 7}, READ, "ask.url: is missing; expected the whole URL that tells about the task"),
        ({"path": "/x"}, READ, "ask.url: is missing; expected the whole URL that tells about the task"),
        ({"url": "jobs/7"}, READ, NO_URL),
        ({"url": "https://user:hunter2@api.example.org/"}, READ, NO_URL),
        ({"url": "https://api.example.org/#x"}, READ, NO_URL),
        ({"url": URL, "path": "/x"}, READ, "ask: expected either path or url"),
        ({"url": URL, "method": "DELETE"}, READ, "ask.method: expected one of GET, POST, PUT, got 'DELETE'"),
        ({"url": URL, "body": {}}, READ, "ask: expected method POST or PUT with a body"),
        ({"url": URL, "heades": {}}, READ, "ask.heades: there is no such key. Did you mean 'headers'?"),
        ({"url": f"{URL}&a={{params.x}}"}, READ, "ask: {params.x} has no meaning here: write it out"),
        ({"url": "{params.url}"}, READ, "ask: {params.url} has no meaning here: write it out"),
        ({"url": f"{URL}&a={{answer.x}}"}, READ, "ask: {answer.x} can only stand in result"),
        ({"url": f"{URL}&a={{task_ids}}"}, READ, "ask: {task_ids} can only stand in batch"),
        ({"url": URL, "headers": []}, READ, f"ask.headers: expected a table of at most {HEADERS}"),
        ({"url": URL, "headers": None}, READ, f"ask.headers: expected a table of at most {HEADERS}"),
        ({"url": URL, "headers": {f"x-{n}": "" for n in range(HEADERS + 1)}}, READ,
         f"ask.headers: expected a table of at most {HEADERS}"),
        ({"url": URL}, {}, "read.state: is missing; expected where the status word stands, or rules without one"),
        ({"url": URL}, [], "read: expected a table, got a list"),
        ({"url": URL}, {**READ, "states": {"done": "finished"}}, f"read.states.done: {STATES}, got 'finished'"),
        ({"url": URL}, {**READ, "states": {"no": "failed"}}, "read.states: expected a word that means succeeded"),
        ({"url": URL}, {**READ, "state": "a..b"}, f"read.state: expected a JMESPath expression, got 'a..b' ({AT_3})"),
        ({"url": URL}, {**READ, "result": None}, "read.result: expected text, got null"),
        ({"url": URL}, {**READ, "state": "join(a, b)"}, f"read.state: {GROWS}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_key(ask, read, sentence):
    """As the caller wrote it, without the name of a file."""
    with pytest.raises(BadInput) as refused:
        described.dialect(ask, read)
    assert refused.value.message == sentence
    assert refused.value.code == ("missing_field" if "provider http needs" in sentence else "bad_dialect")


@pytest.mark.parametrize(
    ("name", "value"),
    [("Host", "x"), ("content-length", "1"), ("Transfer-Encoding", "chunked"), ("connection", "close"), ("", "x"),
     ("a b", "x"), ("a:", "x"), ("a\r\nb", "x"), ("é", "x"), ("x", "é"), ("x", "a\r\nhost: b"), ("x", 1), ("x", None)],
)  # fmt: skip
def test_there_are_headers_that_nobody_sets(name, value):
    with pytest.raises(BadInput) as refused:
        _dialect({"headers": {name: value}})
    assert refused.value.code == "bad_dialect"
    assert NO_HEADER in refused.value.message or "\n" in name


def _nested(levels):
    value = "x"
    for _ in range(levels):
        value = [value]
    return {"a": value}


@pytest.mark.parametrize("levels", [101, 200, 400, 900])
def test_a_description_is_not_nested_without_end(levels):
    """It is walked again at every poll, from whatever depth."""
    with pytest.raises(BadInput, match="too many levels") as refused:
        _dialect({"method": "POST", "body": _nested(levels)})
    assert refused.value.code == "bad_dialect"
    assert described.preset(_dialect({"method": "POST", "body": _nested(90)})).ask("t", {}, "").body


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(BadInput, match="half a surrogate pair"):
        _dialect({"method": "POST", "body": {"a": "\ud800"}})


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
some = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)
texts = st.sampled_from([URL, "https://a.example/{task_id}", "{task_id}", "{uuid}", "GET", "POST", "job.status", "x"])
tables = st.dictionaries(
    st.sampled_from(["url", "method", "headers", "body", "form", "query", "path"]),
    texts | st.dictionaries(st.text(max_size=5), texts | some, max_size=2) | some,
)
readings = st.dictionaries(
    st.sampled_from(["state", "states", "rules", "json", "http", "result", "problem"]), some | texts
)


@given(ask=tables, read=readings | st.just(READ))
def test_any_description_is_taken_or_refused_with_a_sentence(ask, read):
    try:
        kept = described.dialect(ask, read)
    except BadInput as refused:
        kept, sentence = None, refused.message
    if kept is None:
        assert sentence
        return
    try:
        described.preset(kept).ask("t-1", {}, "")
    except RingbackError as refused:
        sentence = refused.message
        assert sentence.startswith(("task_id ", "the id and params"))
