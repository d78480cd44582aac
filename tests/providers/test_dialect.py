"""A preset from the vendor's side: the simulator speaks its dialect, and checks the credential as the vendor would."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from ringback.core.errors import BadInput
from ringback.core.model import Answer, WatchState
from ringback.providers import spec
from ringback.providers.asking import request as asked
from ringback.providers.preset import Preset
from ringback.providers.submit import Submitted
from ringback.providers.template import Values
from ringback.simulator import Options, Simulator
from ringback.simulator.dialect import Dialect
from ringback.simulator.wire import Reply, Request
from ringback.simulator.world import Stage
from tests.providers.conftest import SMALL

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BASE = "http://127.0.0.1:8304"
KEY = "k-1"
STATES = {
    "waiting": "queued",
    "starting": "running",
    "busy": "running",
    "ending": "running",
    "done": "succeeded",
    "bad": "failed",
    "gone": "cancelled",
}
FULL = {
    "read": {
        "state": "job.state",
        "states": STATES,
        "task_id": "job.id",
        "result": "job.out.url",
        "rules": [{"of": "succeeded", "when": "!(job.out)", "becomes": "failed", "code": "nothing_made"}],
        "error": {"message": "job.why"},
        "progress": {"percent": "job.percent", "value": "job.step", "total": "job.steps", "text": "job.stage"},
        "problem": {"code": "code", "ok": ["0"], "message": "msg", "codes": {"7": "rate_limited"}},
    }
}
FATES = {"succeeded": "succeeded", "failed": "failed", "unsuccessful": "failed", "cancelled": "cancelled"}


def _seen(preset, reply):
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    return preset.read(Answer(status=reply.status, headers=reply.headers, body=body), None)


def _submitted(preset, reply):
    return preset.submitted(Answer(status=reply.status, headers=reply.headers, body=msgspec.json.encode(reply.body)))


# ---------------------------------------------------------------------- what is said of a task


def test_the_words_for_running_come_one_after_another(preset_with):
    """In the order of the preset, each for its share of the time."""
    dialect = Dialect(preset_with(**FULL), Options(steps=4))
    shares = (0.0, 0.2, 0.34, 0.6, 0.67, 0.99, 1.0)
    said = [dialect.poll("t", Stage("running", share, 1), BASE).body["job"]["state"] for share in shares]
    assert said == ["starting", "starting", "busy", "busy", "ending", "ending", "ending"]
    assert dialect.poll("t", Stage("queued", 0.0, 0), BASE).body["job"]["state"] == "waiting"


@pytest.mark.parametrize(("fate", "state"), FATES.items())
def test_a_task_ends_as_it_is_fated(preset_with, fate, state):
    """With its id, its result or its reason, and read as it was meant."""
    preset = preset_with(**FULL)
    seen = _seen(preset, Dialect(preset, Options()).poll("t-1", Stage(fate, 1.0, 3), BASE))
    assert seen.state == state
    assert (seen.result is not None) is (state == "succeeded")
    assert (seen.error is not None) is (state == "failed")
    if fate == "unsuccessful":
        assert (seen.error.code, seen.error.message) == (
            "nothing_made", "All steps were used without finding the answer.",
        )  # fmt: skip


def test_a_task_says_whose_it_is_and_how_far(preset_with):
    preset = preset_with(**FULL)
    reply = Dialect(preset, Options(steps=3)).poll("t-1", Stage("running", 0.5, 2), BASE)
    assert reply.body["job"]["id"] == "t-1"
    progress = _seen(preset, reply).progress
    assert (progress.value, progress.total, progress.fraction, progress.text) == (2, 3, 0.5, "step 2")


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"busy": "running", "done": "succeeded", "gone": "cancelled"}, {"queued": "running", "failed": "cancelled"}),
        ({"waiting": "queued", "done": "succeeded", "bad": "failed"}, {"running": "queued", "cancelled": "failed"}),
        ({"busy": "running", "done": "succeeded"}, {"failed": "succeeded", "cancelled": "succeeded", "unsuccessful":
         "succeeded"}),
    ],
)  # fmt: skip
def test_a_vendor_without_a_word_says_the_next_best(preset_with, states, said):
    preset = preset_with(read={"state": "s", "states": states})
    dialect = Dialect(preset, Options())
    for stage, state in said.items():
        assert _seen(preset, dialect.poll("t", Stage(stage, 1.0, 1), BASE)).state == state


def test_a_vendor_of_whose_words_only_the_last_are_known_says_another_one(preset_with):
    """Whatever it really says while a task waits and runs: it is not listed, and read as running."""
    preset = preset_with(read={"state": "s", "states": {"done": "succeeded"}})
    dialect = Dialect(preset, Options())
    for state in ("queued", "running"):
        seen = _seen(preset, dialect.poll("t", Stage(state, 0.5, 1), BASE))
        assert (seen.state, seen.unknown_word) == (WatchState.RUNNING, "working")


def test_a_vendor_that_cannot_say_that_a_task_runs_is_told(preset_with):
    preset = preset_with(read={"rules": [{"when": "done", "becomes": "succeeded"}]})
    with pytest.raises(BadInput, match="acme-video has no way to say that a task is running"):
        Dialect(preset, Options()).poll("t", Stage("running", 0.5, 1), BASE)


@pytest.mark.parametrize(
    "read",
    [
        {"http": {"202": "running", "200": "succeeded", "410": "failed"}},
        {"rules": [{"when": "error", "becomes": "failed"}, {"when": "done", "becomes": "succeeded"}],
         "otherwise": "running", "error": {"message": "error.text"}},
        {"every": "parts", "state": "s", "states": {"busy": "running", "done": "succeeded", "bad": "failed"}},
        {"state": "out.s", "json": ["out"], "states": {"1": "running", "20-29": "succeeded", "true": "failed"}},
        {"state": "s", "states": {"busy": "running", "done": "succeeded"}, "problem": {"code": "c", "ok": ["0"],
         "codes": {"9": "failed"}}},
    ],
)  # fmt: skip
def test_whatever_says_a_state_is_said(preset_with, read):
    """A status, a rule, a word for each part, a number in a text, a code."""
    preset = preset_with(read=read)
    dialect = Dialect(preset, Options())
    for stage, state in (("running", "running"), ("succeeded", "succeeded"), ("failed", "failed")):
        assert _seen(preset, dialect.poll("t", Stage(stage, 0.5, 1), BASE)).state == state


COUNTED = "total > `0` && sum([done, failed]) == total"


@pytest.mark.parametrize(
    "read",
    [
        {"rules": [{"when": f"{COUNTED} && failed > `0`", "becomes": "failed"},
                   {"when": COUNTED, "becomes": "succeeded"}], "otherwise": "running", "progress": {"value": "done",
         "total": "total"}},
        {"rules": [{"when": "total && failed == total", "becomes": "failed"},
                   {"when": "total && done == total", "becomes": "succeeded"}], "otherwise": "running"},
        {"state": "s", "states": {"busy": "running", "done": "succeeded", "bad": "failed"},
         "problem": {"when": "fault", "code": "fault.code", "ok": ["0"], "message": "fault.text"}},
    ],
)  # fmt: skip
def test_whatever_a_state_is_made_of_is_said(preset_with, read):
    """Counts that must agree; no problem where its code, whatever it is, would be one."""
    preset = preset_with(read=read)
    dialect = Dialect(preset, Options())
    assert dialect.check() == []
    for stage, state in (("running", "running"), ("succeeded", "succeeded"), ("failed", "failed")):
        assert _seen(preset, dialect.poll("t", Stage(stage, 0.5, 1), BASE)).state == state


def test_a_rule_about_the_other_place_of_the_word_is_said(preset_with):
    """The word stands at the second place where the rule wants the first one empty."""
    rules = [{"of": "succeeded", "when": "!old && why && !contains(['well'], why)", "becomes": "failed"}]
    states = {"busy": "running", "end": "succeeded"}
    preset = preset_with(read={"state": ["old.s", "new"], "states": states, "rules": rules})
    seen = _seen(preset, Dialect(preset, Options()).poll("t", Stage("unsuccessful", 1.0, 1), BASE))
    assert seen.state is WatchState.FAILED


NOBODY = "avg(jobs[].a) > `3` && avg(jobs[].a) < `2`"


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ({"rules": [{"when": "done", "becomes": "succeeded"}]}, "no answer could be made up that says running;"),
        ({"rules": [{"when": NOBODY, "becomes": "succeeded"}], "otherwise": "running"},
         f"no answer could be made up that says succeeded, where {NOBODY} has to hold; name the presets to speak"),
    ],
)  # fmt: skip
async def test_a_preset_that_cannot_be_spoken_is_refused_at_the_start(preset_with, read, said):
    """Rather than when it is first asked: it is named, and what cannot be made up."""
    preset = preset_with(read=read)
    with pytest.raises(BadInput, match=re.escape(f"acme-video cannot be simulated: {said}")):
        await Simulator(presets=[preset]).start()


async def test_an_answer_about_several_tasks_that_cannot_be_made_up_is_told_at_the_start(preset_with):
    """Where [batch] looks at nothing that an item can have."""
    batch = {"method": "POST", "path": "/list", "body": {"ids": "{task_ids}"}, "limit": 9, "tasks": "jobs"}
    preset = preset_with(batch={**batch, "within": "data"})
    said = "acme-video cannot be simulated: no answer could be made up that tells of several tasks by its [batch]"
    with pytest.raises(BadInput, match=re.escape(said)):
        await Simulator(presets=[preset]).start()


async def test_an_id_that_cannot_be_put_into_an_answer_is_told_at_the_start(preset_with):
    """Its tasks can be asked about all the same."""
    preset = preset_with(submit={**POST, "id": "keys(jobs)[0]"})
    async with Simulator(presets=[preset]) as upstream:
        assert upstream.remarks == [
            "acme-video: no answer to a submission could be made up: ask about any id instead",
        ]


async def test_an_end_that_cannot_be_made_up_is_told_at_the_start(preset_with):
    """Where it was asked for: the tasks end otherwise than the options say."""
    rules = [{"of": "succeeded", "when": NOBODY, "becomes": "failed"}]
    preset = preset_with(read={**SMALL["read"], "rules": rules})
    remark = f"acme-video: no answer could be made up where {NOBODY} holds: its unsuccessful tasks simply fail"
    for share, remarks in ((0.0, []), (0.5, [remark])):
        async with Simulator(Options(unsuccessful=share), presets=[preset]) as upstream:
            assert upstream.remarks == remarks


def test_a_problem_is_told_as_the_vendor_tells_it(preset_with):
    preset = preset_with(**FULL)
    dialect = Dialect(preset, Options())
    assert dialect.problem("rate_limited", "slower", 429).body == {"code": "7", "msg": "slower"}
    seen = _seen(preset, dialect.problem("unauthorized", "no", 401))
    assert (seen.trouble.code, seen.trouble.message) == ("unauthorized", "no (401)")


# ---------------------------------------------------------------------- submissions


POST = {"method": "POST", "path": "/jobs"}


@pytest.mark.parametrize(
    ("submit", "task_id"),
    [
        ({"id": "job.id"}, "t-1"),
        ({"id": ["data[0].id", "id"]}, "t-1"),
        ({"id": {"header": "x-job"}}, "t-1"),
        ({"id": {"header": "location", "match": "/jobs/(.+)$"}}, "t-1"),
        ({"id": {"at": "name", "match": "([^/]+)$"}}, "t-1"),
    ],
)
def test_an_answer_to_a_submission_has_the_id_where_it_is_looked_for(preset_with, submit, task_id):
    preset = preset_with(submit={**POST, **submit})
    assert _submitted(preset, Dialect(preset, Options()).accepted(task_id, {}, BASE)[1]).task_id == task_id


def test_an_id_that_is_a_url_leads_back_here(preset_with):
    submit = {**POST, "id": {"header": "operation-location"}}
    preset = preset_with(base_url=None, ask={"url": "{task_id}"}, submit=submit)
    found = _submitted(preset, Dialect(preset, Options()).accepted("t-1", {}, BASE)[1])
    assert found.task_id == f"{BASE}/_poll/acme-video/t-1"


@pytest.mark.parametrize(
    ("tables", "found", "params"),
    [
        ({"ask": {"url": "{params.next}"}, "submit": {**POST, "id": "id", "remember": {"next": "poll"}}}, {},
         {"next": f"{BASE}/_poll/acme-video/t-1"}),
        ({"ask": {"path": "/{params.key}/{task_id}"}, "submit": {**POST, "id": "id", "remember": {"key": "key"}}}, {},
         {"key": "key-of-t-1"}),
        ({"ask": {"path": "/{params.model}/jobs/{task_id}"},
          "submit": {**POST, "id": "id", "remember": {"model": {"at": "url", "match": "/([^/]+)/jobs/"}}}},
         {"params.model": "fast"}, {"model": "fast"}),
        ({"ask": {"path": "/{params.model}/jobs/{task_id}"},
          "submit": {**POST, "id": "id", "remember": {"model": {"at": "url", "match": "^https?://[^/]+/([^/]+)/jobs/"}}}},
         {}, {"model": "model-of-t-1"}),
        ({"ask": {"path": "/{params.project}/{params.model}/{+task_id}"},
          "submit": {**POST, "id": "name", "remember": {
              "project": {"at": "name", "match": "^projects/([^/]+)/"},
              "model": {"at": "name", "match": "/models/([^/]+)/"}}}},
         {"params.project": "p"}, {"project": "p", "model": "model-of-t-1"}),
        ({"ask": {"path": "/{params.key}/{task_id}"}, "submit": {**POST, "id": "id", "remember": {"key": "id"}}}, {},
         {"key": "t-1"}),
    ],
)  # fmt: skip
def test_what_is_to_be_remembered_is_in_the_answer(preset_with, tables, found, params):
    """A URL to ask at, a URL or an id that holds what was submitted with, or something made up."""
    preset = preset_with(**tables)
    assert _submitted(preset, Dialect(preset, Options()).accepted("t-1", found, BASE)[1]).params == params


@pytest.mark.parametrize(
    ("id", "called"),
    [({"at": "name"}, "projects/p/t-1"), ({"at": "name", "match": "/jobs/([^/]+)$"}, "t-1"), ({"at": "id"}, "t-1")],
)
def test_a_task_is_called_what_its_preset_takes_for_its_id(preset_with, id, called):
    """Params stand in it where the preset takes them out of it."""
    remember = {"project": {"at": "name", "match": "^projects/([^/]+)/"}}
    preset = preset_with(ask={"path": "/{params.project}/{+task_id}"}, submit={**POST, "id": id, "remember": remember})
    task_id, reply = Dialect(preset, Options()).accepted("t-1", {"params.project": "p"}, BASE)
    assert (task_id, _submitted(preset, reply)) == (called, Submitted(called, {"project": "p"}))


# ---------------------------------------------------------------------- who may ask


KINDS = {
    "bearer": {"type": "bearer"},
    "header": {"type": "header", "name": "x-key", "prefix": "Key"},
    "query": {"type": "query", "name": "key"},
    "basic": {"type": "basic"},
    "basic, of the key alone": {"type": "basic", "username": "api_key", "password": ""},
    "kling_jwt": {"type": "kling_jwt"},
    "tc3": {"type": "tc3", "service": "vclm"},
    "volcengine": {"type": "volcengine", "service": "cv", "region": "cn-north-1"},
    "sigv4": {"type": "sigv4", "service": "transcribe", "region": "{params.region}"},
    "a choice": [{"type": "kling_jwt"}, {"type": "bearer"}],
}
COMPUTED = ["tc3", "volcengine", "sigv4"]
ASK = {
    "method": "POST",
    "path": "/jobs/{task_id}",
    "query": {"v": "2", "a": "b c"},
    "headers": {"x-tc-action": "Describe", "x-amz-target": "Get"},
    "body": {"id": "{task_id}"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def _came(preset, key=KEY, **more):
    """A request as it comes in, signed with this key; with None, unsigned."""
    ask = preset.ask("t-1", {"region": "eu-1"}, BASE)
    if key is not None:
        ask = preset.sign(ask, {**dict.fromkeys(preset.about.credentials, key), **more}, NOW)
    parts = urlsplit(ask.url)
    headers = {**ask.headers, "host": parts.netloc, "user-agent": "x", "content-length": str(len(ask.body))}
    return Request(method=ask.method, target=f"{parts.path}?{parts.query}", headers=headers, body=ask.body)


def _admits(preset, request):
    return Dialect(preset, Options()).admits(request, KEY)


@every_kind
def test_the_right_key_passes_and_no_other(preset_with, kind):
    """Wherever the preset puts it, and whatever is computed of it."""
    preset = preset_with(ask=ASK, auth=KINDS[kind])
    assert _admits(preset, _came(preset))
    assert not _admits(preset, _came(preset, "k-2"))
    assert not _admits(preset, _came(preset, None))


def test_whoever_needs_no_key_passes(preset_with):
    preset = preset_with(ask=ASK)
    assert _admits(preset, _came(preset, None))


def test_of_a_choice_each_kind_passes(preset_with):
    choice = preset_with(ask=ASK, auth=KINDS["a choice"])
    for kind in ("kling_jwt", "bearer"):
        assert _admits(choice, _came(preset_with(ask=ASK, auth=KINDS[kind])))
    assert not _admits(choice, _came(preset_with(ask=ASK, auth=KINDS["basic"])))


@pytest.mark.parametrize("kind", ["tc3", "sigv4"])
def test_a_session_token_is_checked_too(preset_with, kind):
    preset = preset_with(ask=ASK, auth=KINDS[kind])
    assert _admits(preset, _came(preset, session_token=KEY))
    assert not _admits(preset, _came(preset, session_token="other"))


@pytest.mark.parametrize("kind", COMPUTED)
@pytest.mark.parametrize(
    "tampered",
    [
        {"body": b'{"id":"t-2"}'},
        {"body": b""},
        {"method": "PUT"},
        {"target": "/jobs/t-2?v=2&a=b%20c"},
        {"target": "/jobs/t-1?v=3&a=b%20c"},
        {"target": "/jobs/t-1?v=2"},
    ],
)
def test_what_was_tampered_with_is_not_let_pass(preset_with, kind, tampered):
    preset = preset_with(ask=ASK, auth=KINDS[kind])
    assert not _admits(preset, replace(_came(preset), **tampered))


@pytest.mark.parametrize("kind", [*COMPUTED, "kling_jwt"])
@pytest.mark.parametrize(
    "changed",
    [
        {"content-type": "text/plain", "authorization": "Bearer a.b.c"},
        {"host": "other.example", "authorization": "nonsense"},
        {"x-amz-date": "20260102T030406Z", "x-date": "20260102T030406Z", "x-tc-timestamp": "1", "authorization": ""},
        {"x-amz-date": "", "x-date": "x", "x-tc-timestamp": "-1", "authorization": "Bearer é.é.é"},
        {"authorization": "AWS4-HMAC-SHA256 Credential=/1/2/3, Signature="},
        {"authorization": "Bearer " + "a" * 9000},
    ],
)
def test_nonsense_in_a_header_is_not_let_pass_and_raises_nothing(preset_with, kind, changed):
    preset = preset_with(ask=ASK, auth=KINDS[kind])
    came = _came(preset)
    assert not _admits(preset, replace(came, headers={**came.headers, **changed}))


@pytest.mark.parametrize("kind", COMPUTED)
def test_a_header_that_is_signed_cannot_be_exchanged(preset_with, kind):
    preset = preset_with(ask=ASK, auth=KINDS[kind])
    came = _came(preset)
    for name in ("host", "content-type", "x-tc-action", "x-amz-target", "x-date", "x-amz-date"):
        if name in came.headers and name in came.headers["authorization"]:
            assert not _admits(preset, replace(came, headers={**came.headers, name: "20260102T030406Z"})), name


def test_a_key_in_the_query_is_the_last_of_it(preset_with):
    preset = preset_with(ask=ASK, auth=KINDS["query"])
    assert _came(preset).target.endswith("&key=k-1")
    assert not _admits(preset, replace(_came(preset), target="/jobs/t-1?v=2&a=b%20c"))
    assert not _admits(preset, replace(_came(preset), target="/jobs/t-1?v=2&key=k-2"))


# ---------------------------------------------------------------------- over real sockets


@pytest.fixture
async def client():
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        yield client


async def _send(client, preset, ask, key=KEY):
    """As the daemon sends it: signed."""
    credentials = dict.fromkeys(preset.about.credentials, key)
    ask = preset.sign(ask, credentials, NOW)
    got = await client.request(ask.method, ask.url, headers=ask.headers, content=ask.body)
    return Answer(status=got.status_code, headers=dict(got.headers), body=got.content)


def _begun(preset, base_url, **params):
    """The request that begins a task."""
    ask = asked(preset.spec.submit, Values(params=params), base_url)
    return replace(ask, body=ask.body or b"{}")


def _each(preset, answer, ids):
    """What an answer about many tasks says of each."""
    assert preset.refusal(answer) is None
    return {id: preset.read(part, id) for id, part in preset.split(answer, ids).items()}


OVER = Options(duration=timedelta(), key=KEY, strict=True)


@every_kind
async def test_the_key_is_checked_on_the_way_in(preset_with, client, kind):
    """The client's own headers do not disturb what is computed."""
    preset = preset_with(ask=ASK, auth=KINDS[kind])
    async with Simulator(replace(OVER, strict=False), presets=[preset]) as upstream:
        ask = preset.ask("t-1", {"region": "eu-1"}, upstream.url)
        assert preset.read(await _send(client, preset, ask), "t-1").state is WatchState.SUCCEEDED
        refused = preset.read(await _send(client, preset, ask, "k-2"), "t-1")
        assert (refused.trouble.code, refused.trouble.message) == (
            "unauthorized", "The key is missing or not correct",
        )  # fmt: skip


async def test_a_task_is_begun_followed_and_its_result_fetched(preset_with, client):
    """With everything that the answers bring: a URL to ask at, and another for the result."""
    preset = preset_with(
        auth={"type": "bearer"},
        ask={"url": "{params.polling_url}"},
        submit={**POST, "id": "id", "remember": {"polling_url": "links.poll"}},
        result={"url": "{answer.links.result}", "when": "links.result && !out", "read": "out"},
    )
    async with Simulator(OVER, presets=[preset]) as upstream:
        begun = preset.submitted(await _send(client, preset, _begun(preset, upstream.url)))
        answer = await _send(client, preset, preset.ask(begun.task_id, begun.params, ""))
        seen = preset.read(answer, begun.task_id)
        second = preset.ask_result(seen, answer, begun.task_id, begun.params, "")
        whole = preset.read_result(seen, await _send(client, preset, second))
        assert whole.state is WatchState.SUCCEEDED
        assert begun.task_id in json.loads(whole.result.text)


async def test_a_result_is_asked_for_by_what_the_answer_says(preset_with, client):
    preset = preset_with(result={"path": "/files/{answer.file}", "when": "file", "read": "file.url"})
    async with Simulator(replace(OVER, strict=False, key=None), presets=[preset]) as upstream:
        answer = await _send(client, preset, preset.ask("t-1", {}, upstream.url))
        seen = preset.read(answer, "t-1")
        second = preset.ask_result(seen, answer, "t-1", {}, upstream.url)
        whole = preset.read_result(seen, await _send(client, preset, second))
        assert json.loads(whole.result.text) == "https://files.example.test/t-1/result.bin"


async def test_a_result_is_asked_for_by_what_stands_in_a_text_of_json(preset_with, client):
    """The text has all that the task's end and the second request need."""
    read = {**SMALL["read"], "json": ["inner"], "details": ["inner.seed"], "progress": {"value": "inner.step"}}
    preset = preset_with(read=read, result={"path": "/files/{task_id}", "when": "inner.file", "read": "file.url"})
    async with Simulator(replace(OVER, strict=False, key=None), presets=[preset]) as upstream:
        answer = await _send(client, preset, preset.ask("t-1", {}, upstream.url))
        assert json.loads(json.loads(answer.body)["inner"]) == {"step": 3, "file": "x"}
        seen = preset.read(answer, "t-1")
        second = preset.ask_result(seen, answer, "t-1", {}, upstream.url)
        assert preset.read_result(seen, await _send(client, preset, second)).state is WatchState.SUCCEEDED


@pytest.mark.parametrize(
    "batch",
    [
        {"method": "POST", "path": "/list", "body": {"ids": "{task_ids}"}, "tasks": "jobs"},
        {"method": "POST", "path": "/list", "body": {"ids": "{task_ids}"}, "tasks": "jobs", "id": "id", "missed": "no"},
        {"path": "/list", "query": {"ids": "{task_ids}"}, "tasks": "data.jobs", "id": "meta.id"},
        {"path": "/list", "query": {"ids": "{task_ids}"}, "tasks": "jobs", "id": "id", "missed": "data.no"},
    ],
)
async def test_many_tasks_are_asked_about_at_once(preset_with, client, batch):
    """What is unknown there is listed where the vendor lists it, else left out."""
    preset = preset_with(auth={"type": "bearer"}, submit={**POST, "id": "id"}, batch={**batch, "limit": 9})
    async with Simulator(OVER, presets=[preset]) as upstream:
        ids = [preset.submitted(await _send(client, preset, _begun(preset, upstream.url))).task_id for _ in range(3)]
        ask = preset.ask_many([*ids, "unknown"], {}, upstream.url)
        answer = await _send(client, preset, ask)
        parts = preset.split(answer, [*ids, "unknown"])
        assert preset.refusal(answer) is None
        assert [preset.read(parts[id], id).state for id in ids] == [WatchState.SUCCEEDED] * 3
        assert set(parts) - {*ids} == ({"unknown"} if "missed" in batch else set())
        assert "missed" not in batch or preset.read(parts["unknown"], "unknown").trouble.code == "not_found"
        assert preset.refusal(await _send(client, preset, ask, "k-2")).trouble.code == "unauthorized"


async def test_an_item_of_a_batch_is_what_stands_within_the_answer_of_its_own(preset_with, client):
    batch = {"method": "POST", "path": "/list", "body": {"ids": "{task_ids}"}, "limit": 9, "tasks": "all.jobs"}
    preset = preset_with(**FULL, batch={**batch, "within": "job"})
    async with Simulator(Options(duration=timedelta()), presets=[preset]) as upstream:
        answer = await _send(client, preset, preset.ask_many(["a", "b"], {}, upstream.url))
        assert json.loads(answer.body)["all"]["jobs"]["a"]["state"] == "done"
        assert {seen.state for seen in _each(preset, answer, ["a", "b"]).values()} == {WatchState.SUCCEEDED}


# ---------------------------------------------------------------------- many vendors in one


async def test_a_path_that_is_a_placeholder_takes_no_submission_of_others(preset_with, client):
    """Else whatever nobody knows would begin a task there. Under its own id it does, and where it is the only one."""
    tables = {"id": "acme-any", "submit": {"method": "POST", "path": "/{+params.model}", "id": "id"}}
    everywhere, other = preset_with(**tables), preset_with()
    async with Simulator(Options(), presets=[everywhere, other]) as upstream:
        unknown = await client.post(f"{upstream.url}/who/knows", json={"prompt": "a kite"})
        assert (unknown.status_code, "id" in unknown.json()) == (404, False)
        own = await client.post(f"{upstream.url}/acme-any/who/knows", json={"prompt": "a kite"})
        assert (own.status_code, "id" in own.json()) == (200, True)
    async with Simulator(Options(), presets=[everywhere]) as upstream:
        assert "id" in (await client.post(f"{upstream.url}/who/knows", json={"prompt": "a kite"})).json()


def _two(preset_with):
    """Two vendors that cannot be told apart by their paths."""
    tables = {"submit": {"method": "POST", "path": "/jobs", "id": "id"}, "auth": {"type": "bearer"}}
    first = preset_with(**tables, id="acme-one", read={"state": "s", "states": {"a": "running", "b": "succeeded"}})
    second = preset_with(
        **tables,
        id="acme-two",
        base_url="https://other.example/api/v2",
        read={"state": "t.s", "states": {"x": "running", "y": "succeeded"}},
    )
    return first, second


async def test_of_two_vendors_with_one_path_the_one_that_has_the_task_answers(preset_with, client):
    """What begins with a preset's id is asked of that one; what nobody has begun, of the first that fits."""
    first, second = _two(preset_with)
    async with Simulator(Options(duration=timedelta()), presets=[first, second]) as upstream:
        pinned = f"{upstream.url}/acme-two"
        id = second.submitted(await _send(client, second, _begun(second, pinned))).task_id
        assert second.read(await _send(client, second, second.ask(id, {}, upstream.url)), id).state == "succeeded"
        other = first.submitted(await _send(client, first, _begun(first, upstream.url))).task_id
        assert first.read(await _send(client, first, first.ask(other, {}, upstream.url)), other).state == "succeeded"
        for preset, base_url in ((first, upstream.url), (first, f"{upstream.url}/acme-one"), (second, pinned)):
            assert preset.read(await _send(client, preset, preset.ask("new", {}, base_url)), "new").state == "succeeded"


async def test_the_path_of_a_base_url_may_be_left_out(preset_with, client):
    """An account's own base URL, which leads here, may have it or not."""
    first, _ = _two(preset_with)
    async with Simulator(Options(duration=timedelta()), presets=[first]) as upstream:
        for base_url in (upstream.url, f"{upstream.url}/v1", f"{upstream.url}/acme-one", f"{upstream.url}/acme-one/v1"):
            assert first.read(await _send(client, first, first.ask("t", {}, base_url)), "t").state == "succeeded"
        for base_url in (f"{upstream.url}/v2", f"{upstream.url}/acme-two", f"{upstream.url}/v1/v1"):
            answer = await _send(client, first, first.ask("t", {}, base_url))
            assert (answer.status, json.loads(answer.body)) == (404, {"error": {"message": "there is no such API"}})


MINE = """
id = "acme-render"
title = "Acme render farm"
vendor = "acme"
base_url = "https://api.acme.example/v1"
source = "https://acme.example/docs/jobs"
confidence = "confirmed"

[ask]
path = "/jobs/{task_id}"

[auth]
type = "bearer"

[read]
state = "job.status"
result = "job.output.url"

[read.states]
waiting = "queued"
rendering = "running"
done = "succeeded"
broken = "failed"

[read.error]
message = "job.reason"
"""


async def test_a_preset_of_ones_own_is_spoken_from_its_file(tmp_path, client):
    """The example of the how-to: it can be tried from the other side before it is tried with the vendor."""
    file = tmp_path / "acme-render.toml"
    file.write_text(MINE)
    preset = Preset(spec.load(file))
    async with Simulator(Options(duration=timedelta(), fail=0.5), presets=[preset]) as upstream:
        seen = {}
        for number in range(20):
            answer = await _send(client, preset, preset.ask(f"t-{number}", {}, upstream.url))
            seen[preset.read(answer, f"t-{number}").state] = preset.read(answer, f"t-{number}")
        assert set(seen) == {WatchState.SUCCEEDED, WatchState.FAILED}
        assert seen[WatchState.SUCCEEDED].result is not None
        assert seen[WatchState.FAILED].error.message.startswith("The model could not open the source")


async def test_tasks_are_cancelled_in_the_share_asked_for(preset_with, client):
    preset = preset_with(**FULL)
    async with Simulator(Options(duration=timedelta(), fail=0.2, cancel=0.4), presets=[preset]) as upstream:
        ids = [f"task-{number}" for number in range(200)]
        answers = [await _send(client, preset, preset.ask(id, {}, upstream.url)) for id in ids]
        states = [preset.read(answer, id).state for answer, id in zip(answers, ids, strict=True)]
        assert states.count(WatchState.CANCELLED) / len(ids) == pytest.approx(0.4, abs=0.1)
        assert states.count(WatchState.FAILED) / len(ids) == pytest.approx(0.2, abs=0.1)


async def test_a_script_is_served_whoever_the_vendor_is(preset_with, client):
    first, second = _two(preset_with)
    async with Simulator(presets=[first, second]) as upstream:
        upstream.script("t", [{"t": {"s": "x"}}, Reply(status=503)])
        ask = second.ask("t", {}, f"{upstream.url}/acme-two")
        assert second.read(await _send(client, second, ask), "t").state is WatchState.RUNNING
        assert second.read(await _send(client, second, ask), "t").trouble.code == "unavailable"
