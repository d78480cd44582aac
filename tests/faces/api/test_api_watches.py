"""Watches over HTTP: registering, reading, abandoning, hastening, and the provider's own answer."""

import json

import pytest

from ringback.core.errors import Stale, StoreFull
from tests.faces.api.stage import CALLBACK, NOW, SECRET, answer_of

KEYS = """
    id provider account task_id params state progress result result_expires_at error details metadata to events
    callbacks sequence polls registered_at first_seen_at finished_at last_polled_at next_poll_at deadline_at problem
"""


async def test_a_registration_is_answered_with_its_watch(api):
    """201, every key of the contract in its order, times in UTC to the millisecond."""
    answer = await api.http.post(
        "/v1/watches",
        json={
            "provider": "302ai-browser",
            "task_id": "26cbe8e5",
            "callback_url": CALLBACK,
            "callback_secret": SECRET,
            "to": ["builds"],
            "events": ["task.*"],
            "metadata": {"team": "映像"},
            "deadline": "10m",
        },
    )
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    watch = answer.json()
    assert list(watch) == KEYS.split()
    assert (watch["provider"], watch["account"], watch["task_id"]) == ("302ai-browser", "302ai", "26cbe8e5")
    assert (watch["state"], watch["sequence"], watch["polls"]) == ("pending", 0, 0)
    assert (watch["metadata"], watch["to"], watch["events"]) == ({"team": "映像"}, ["builds"], ["task.*"])
    assert watch["registered_at"] == "2026-11-22T05:33:00.123Z"
    assert watch["deadline_at"] == "2026-11-22T05:43:00.123Z"
    assert (watch["result"], watch["details"], watch["problem"]) == (None, {}, None)


async def test_what_signs_a_callback_and_whose_it_is_are_never_shown(api):
    """A callback is id, url and events; no answer holds its secret."""
    watch = await api.register(callback_url=CALLBACK, callback_secret=SECRET)
    (callback,) = watch["callbacks"]
    assert list(callback) == ["id", "url", "events"]
    assert callback["url"] == CALLBACK
    for path in (f"/v1/watches/{watch['id']}", "/v1/watches", "/v1/deliveries", "/v1/events"):
        text = (await api.http.get(path)).text
        assert SECRET not in text
        assert "owner" not in text


async def test_a_second_registration_joins_the_first(api):
    """200 with the same watch, and what is new on it."""
    first = await api.register(metadata={"a": "1"})
    answer = await api.http.post(
        "/v1/watches",
        json={"provider": "302ai-browser", "task_id": "t-1", "metadata": {"b": "2"}, "callback_url": CALLBACK},
    )
    assert answer.status_code == 200
    again = answer.json()
    assert again["id"] == first["id"]
    assert again["metadata"] == {"a": "1", "b": "2"}
    assert [callback["url"] for callback in again["callbacks"]] == [CALLBACK]


async def test_the_identity_params_tell_equal_ids_apart(api):
    """The same task id in two regions is two watches."""
    ids = {(await api.register(provider="acme-video", params={"region": region}))["id"] for region in ("us", "eu")}
    assert len(ids) == 2


async def test_durations_are_learned_for_each_value_of_the_param_that_they_depend_on(api):
    """The watch bears the value of its preset's `learn_by`; of a preset that names no param there is one law."""
    video = await api.register(provider="acme-video", params={"region": "us"})
    assert (await api.store.watch(video["id"])).key == "us"
    assert (await api.store.watch((await api.register())["id"])).key == ""


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"", 400, "bad_json", "the body is empty"),
        (b'{"provider": x}', 400, "bad_json", "byte 13"),
        (b'{"provider": "x"', 400, "bad_json", "ends too early"),
        (b'{"provider": "x\xff"}', 400, "bad_json", "not UTF-8"),
        (b'{"x":' + b"[" * 100_000, 422, "unknown_field", "x: there is no such field"),
        (b'{"params":' + b"[" * 100_000, 422, "bad_field", "params: expected object, got array"),
        (b"[]", 422, "bad_field", "the body: expected object, got array"),
        (b"null", 422, "bad_field", "the body: expected object, got null"),
        (b'{"provider": "302ai-browser"}', 422, "missing_field", "task_id: is missing"),
        (b'{"provider": 3}', 422, "bad_field", "provider: expected str, got int"),
        (b'{"provider": "p", "metadata": {"a": "b", "c": 1}}', 422, "bad_field", "metadata.c: expected str, got int"),
        (b'{"provider": "p", "metadata": {"c": 1}, "metadata": 2}', 422, "bad_field", "metadata: expected str, got"),
        (b'{"provider": "p", "metadata": {"c": 1}, nonsense', 422, "bad_field", "metadata: expected str, got int"),
        (b'{"provider": "p", "task_id": "t", "to": [1]}', 422, "bad_field", "to[0]: expected str, got int"),
        (b'{"provder": "p"}', 422, "unknown_field", "Did you mean 'provider'?"),
        (b'{"provider": "302ai-browsr", "task_id": "t"}', 422, "unknown_provider", "'302ai-browser'"),
        (b'{"provider": "302ai-browser", "task_id": " "}', 422, "empty_task_id", "task_id"),
        (b'{"provider": "302ai-browser", "task_id": "t", "to": ["buids"]}', 422, "unknown_destination", "'builds'"),
        (b'{"provider": "302ai-browser", "task_id": "t", "account": "b"}', 422, "no_account", "[accounts.b]"),
        (b'{"provider": "302ai-browser", "task_id": "t", "deadline": "soon"}', 422, "bad_input", "deadline"),
        (b'{"provider": "302ai-browser", "task_id": "t", "deadline": "0s"}', 422, "bad_input", "give more than 0s"),
        (b'{"provider": "302ai-browser", "task_id": "t", "callback_url": "ftp://x"}', 422, "bad_url", "callback_url"),
        (
            b'{"provider": "302ai-browser", "task_id": "t", "callback_url": "example.org"}',
            422,
            "bad_url",
            "callback_url: must begin with http:// or https://",
        ),
    ],
)
async def test_a_bad_registration_is_one_sentence(api, body, status, code, words):
    """What is wrong, where, and what was meant; nothing is registered."""
    answer = await api.http.post("/v1/watches", content=body, headers={"content-type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in problem["detail"]
    assert list(problem)[:5] == ["type", "title", "status", "detail", "code"]
    assert (await api.store.stats()).watches == {}
    assert api.failures == []


@pytest.mark.parametrize(
    ("body", "position"), [(b'{"provider": x}', 13), (b'{"a', 3), ('{"provider": "é'.encode() + b'\xff"}', 16)]
)
async def test_bad_json_says_at_which_byte(api, body, position):
    """Counted from the start of the body."""
    answer = await api.http.post("/v1/watches", content=body, headers={"content-type": "application/json"})
    assert answer.json()["position"] == position


async def test_a_wrong_field_is_a_fact(api):
    """Programs read the field, people the sentence; a caller's own text is not repeated without end."""
    answer = await api.http.post("/v1/watches", json={"provider": "p", "task_id": 1.5})
    assert answer.json()["field"] == "task_id"
    answer = await api.http.post("/v1/watches", json={"provider": "302ai-browser"})
    assert answer.json()["field"] == "task_id"
    answer = await api.http.post("/v1/watches", json={"x" * 10_000: 1})
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
@pytest.mark.parametrize("path", ["/v1/watches", "/v1/watches/batch"])
async def test_a_body_that_is_not_said_to_be_json_is_refused(api, path, content_type):
    """415: what a web page can send without asking never gets in."""
    headers = {"content-type": content_type} if content_type else {}
    answer = await api.http.post(path, content=b'{"provider": "302ai-browser", "task_id": "t"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "not_json")


async def test_a_compressed_body_is_refused(api):
    """415, not a puzzle about malformed JSON."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await api.http.post("/v1/watches", content=b"\x1f\x8b", headers=headers)
    assert answer.status_code == 415


async def test_a_charset_is_no_other_type(api):
    """`application/json; charset=utf-8` is what many clients send."""
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    body = json.dumps({"provider": "302ai-browser", "task_id": "t"})
    assert (await api.http.post("/v1/watches", content=body, headers=headers)).status_code == 201


def _padded(size):
    body = b'{"provider": "302ai-browser", "task_id": "t"'
    return body + b" " * (size - len(body) - 1) + b"}"


async def _chunked(body):
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/watches", "/v1/watches/batch"])
async def test_a_body_over_the_limit_is_refused(api, path, chunked):
    """413 beyond 1 MiB, whether the length is said or has to be counted."""
    body = _padded(1024 * 1024 + 1)
    answer = await api.http.post(
        path, content=_chunked(body) if chunked else body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert answer.json()["limit"] == 1024 * 1024


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_at_the_limit_is_taken(api, chunked):
    """1 MiB is not over 1 MiB."""
    body = _padded(1024 * 1024)
    answer = await api.http.post(
        "/v1/watches", content=_chunked(body) if chunked else body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 201


async def test_lists_are_filtered_and_paged(api):
    """Newest first; states add up; `next` leads on and ends with null."""
    watches = [await api.register(f"t-{n}") for n in range(5)]
    await api.register("v", provider="acme-video", params={"region": "us"})
    await api.see(watches[0], "running")
    await api.see(watches[1], "succeeded")

    async def ids(**query):
        page = (await api.http.get("/v1/watches", params=query)).json()
        assert list(page) == ["items", "next"]
        return [watch["task_id"] for watch in page["items"]], page["next"]

    assert await ids(state="running") == (["t-0"], None)
    assert await ids(state=["running", "succeeded"]) == (["t-1", "t-0"], None)
    assert await ids(provider="acme-video") == (["v"], None)
    seen, cursor = [], None
    for _ in range(3):
        names, cursor = await ids(limit=2, **({"cursor": cursor} if cursor else {}))
        seen += names
    assert (seen, cursor) == (["v", "t-4", "t-3", "t-2", "t-1", "t-0"], None)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/watches?state=runing", "state"),
        ("/v1/watches?limit=0", "limit"),
        ("/v1/watches?limit=1001", "limit"),
        ("/v1/events?limit=many", "limit"),
        ("/v1/deliveries?state=done", "state"),
        ("/v1/watches/w_1?wait=1s&after=-1", "after"),
        ("/v1/watches/w_1?wait=soon", "wait"),
        ("/v1/watches/w_1?wait=61s", "wait"),
    ],
)
async def test_a_bad_parameter_is_named(api, path, field):
    """422 with the parameter's name, in the sentence and as a fact."""
    answer = await api.http.get(path)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "bad_parameter", field)
    assert problem["detail"].startswith(field)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/watches?stat=failed", "stat: there is no such parameter. Did you mean 'state'?"),
        ("/v1/deliveries?owner=x", "There are state, destination, watch, limit, cursor."),
        ("/v1/watches/w_1?afte=1", "Did you mean 'after'?"),
        ("/v1/providers?vendor=x", "It takes none."),
    ],
)
async def test_an_unknown_parameter_is_refused(api, path, words):
    """A filter with a slip of the pen does not answer with everything."""
    answer = await api.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_parameter")
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/watches", "/v1/deliveries"])
async def test_a_cursor_that_is_none_is_refused(api, path):
    """422 instead of the first page once more."""
    answer = await api.http.get(path, params={"cursor": "nonsense"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")
    answer = await api.http.get("/v1/events", params={"after": "nonsense"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/watches/w_none"),
        ("GET", "/v1/watches/w_none?wait=30s"),
        ("GET", "/v1/watches/w_none?wait=30s&after=1"),
        ("DELETE", "/v1/watches/w_none"),
        ("POST", "/v1/watches/w_none/poll"),
        ("GET", "/v1/watches/w_none/events"),
        ("GET", "/v1/watches/w_none/answer"),
        ("GET", "/v1/deliveries/dlv_none"),
        ("GET", "/v1/providers/none"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/watches/"),
        ("GET", "/docs"),
    ],
)
async def test_what_is_not_there_is_404(api, method, path):
    """A problem that names what was asked for."""
    answer = await api.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/watches", "GET, POST"),
        ("PATCH", "/v1/watches/w_1", "DELETE, GET"),
        ("GET", "/v1/watches/w_1/poll", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_another_method_is_405_with_what_is_allowed(api, method, path, allowed):
    """The framework's own refusals are problems too; `allow` names every method of the path."""
    answer = await api.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert sorted(answer.headers["allow"].split(", ")) == allowed.split(", ")


async def test_a_watch_shows_what_was_seen(api):
    """The provider's documents are spliced in as they came, not read and written again."""
    watch = await api.register()
    await api.see(watch, "succeeded", result=b'"a  b\\u00e9"', details=b'{"big": 12345678901234567890.0}')
    answer = await api.http.get(f"/v1/watches/{watch['id']}")
    assert answer.status_code == 200
    assert b'"result":"a  b\\u00e9"' in answer.content
    assert b'"details":{"big": 12345678901234567890.0}' in answer.content
    shown = answer.json()
    assert (shown["state"], shown["sequence"]) == ("succeeded", 1)
    assert shown["first_seen_at"] == shown["finished_at"] == "2026-11-22T05:33:00.123Z"


async def test_a_large_result_is_named_by_its_size(api):
    """Over 64 KiB the watch says so, and the answer has it whole."""
    text = json.dumps("x" * 70_000).encode()
    watch = await api.register()
    await api.see(watch, "succeeded", result=text, answer=answer_of(text, content_type="application/json"))
    shown = (await api.http.get(f"/v1/watches/{watch['id']}")).json()
    assert shown["result"] == {"truncated": True, "bytes": 70_002}
    assert (await api.http.get(f"/v1/watches/{watch['id']}/answer")).content == text


async def test_abandoning_ends_a_watch(api):
    """200 with the watch; a second time changes nothing."""
    watch = await api.register()
    for _ in range(2):
        answer = await api.http.delete(f"/v1/watches/{watch['id']}")
        assert (answer.status_code, answer.json()["state"]) == (200, "abandoned")
    assert answer.json()["sequence"] == 0


async def test_polling_soon(api):
    """202 with the watch, due now; 409 when it is final."""
    watch = await api.register()
    answer = await api.http.post(f"/v1/watches/{watch['id']}/poll")
    assert answer.is_success, api.failures
    assert (answer.status_code, answer.json()["next_poll_at"]) == (202, "2026-11-22T05:33:00.123Z")
    await api.see(watch, "failed")
    answer = await api.http.post(f"/v1/watches/{watch['id']}/poll")
    assert (answer.status_code, answer.json()["code"], answer.json()["watch"]) == (409, "conflict", watch["id"])


async def test_the_answer_is_the_providers_own(api):
    """Body, content type and HTTP status as they came."""
    watch = await api.register()
    await api.see(watch, "running", answer=answer_of(b'{"a": NaN}', status=207, content_type="application/json"))
    answer = await api.http.get(f"/v1/watches/{watch['id']}/answer")
    assert (answer.content, answer.headers["content-type"]) == (b'{"a": NaN}', "application/json")
    assert answer.headers["x-ringback-status"] == "207"


@pytest.mark.parametrize(
    ("said", "passed_on"),
    [
        ("text/html; charset=utf-8", "text/html; charset=utf-8"),
        ("text/html\r\nset-cookie: a=b", "application/octet-stream"),
        ("text/html; charset=utf-8; x=<script>", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
async def test_a_hostile_answer_cannot_run_in_our_name(api, said, passed_on):
    """A browser downloads it, guesses nothing, and would sandbox it; no header can be smuggled in."""
    watch = await api.register()
    page = b"<script>fetch('/v1/watches')</script>"
    await api.see(watch, "running", answer=answer_of(page, content_type=said))
    answer = await api.http.get(f"/v1/watches/{watch['id']}/answer")
    assert (answer.status_code, answer.content) == (200, page)
    assert answer.headers["content-type"] == passed_on
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers


async def test_there_is_no_answer_before_the_first_poll(api):
    """404 with a code of its own."""
    watch = await api.register()
    answer = await api.http.get(f"/v1/watches/{watch['id']}/answer")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_answer")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(StoreFull("no space is left: make some"), 503, "store_full"), (Stale("changed"), 409, "stale")],
)
async def test_what_the_store_refuses(api, monkeypatch, error, status, code):
    """No space is 503 and says when to try again; a lost race is 409."""

    async def refuse(change):
        raise error

    monkeypatch.setattr(api.store, "commit", refuse)
    answer = await api.http.post("/v1/watches", json={"provider": "302ai-browser", "task_id": "t"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_what_nobody_foresaw_is_500_and_tells_nothing(api, monkeypatch):
    """The caller learns that it is our fault, the log what it was."""

    async def burst(id):
        raise RuntimeError("password is hunter2")

    monkeypatch.setattr(api.store, "watch", burst)
    answer = await api.http.get("/v1/watches/w_1")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    ((what, error),) = api.failures
    assert what == "GET /v1/watches/w_1"
    assert str(error) == "password is hunter2"


async def test_times_of_a_watch_come_from_the_clock_that_was_handed_down(api):
    """Nothing here reads a clock of its own."""
    assert (await api.register())["next_poll_at"] == NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
