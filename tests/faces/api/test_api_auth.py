"""Who may ask for what: tokens, scopes, accounts; and without tokens, only who is no web page."""

import httpx
import pytest

from ringback.intake import Caller
from ringback.web.api import Token
from tests.faces.api.stage import served

ADMIN = Token(Caller("ops"), "rb_admin-secret")
OWN = Token(Caller("ci", "own"), "rb_ci-secret")
OTHER = Token(Caller("lab", "own"), "rb_lab-secret-é")
LIMITED = Token(Caller("video", "admin", ("acme",)), "rb_video-secret")
TOKENS = [ADMIN, OWN, OTHER, LIMITED]


def _as(token):
    return {"authorization": b"Bearer " + token.secret.encode()}


@pytest.fixture
async def guarded():
    """Beyond loopback, with tokens."""
    async with served(loopback=False) as api:
        api.tokens = TOKENS
        yield api


async def _register(api, token, **fields):
    body = {"provider": "302ai-browser", "task_id": "t-1", **fields}
    return await api.http.post("/v1/watches", json=body, headers=_as(token))


def _operations(api):
    """Every (method, path) that is described, and what is not."""
    for path, operations in api.app.openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path.replace("{id}", "w_1")
    for path in ("/openapi.json", "/", "/v1/nothing", "/healthz/", "/%2Fhealthz", "/healthz%2f", "/HEALTHZ"):
        yield "GET", path


async def test_nothing_is_open_but_the_two_health_checks(guarded):
    """Every path that is known, and those that are not, want a token."""
    asked = list(_operations(guarded))
    assert len(asked) > 15
    for method, path in asked:
        answer = await guarded.http.request(method, path)
        if path in ("/healthz", "/readyz"):
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), path
            assert answer.headers["www-authenticate"] == 'Bearer realm="ringback"'


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "rb_admin-secret",
        "Basic rb_admin-secret",
        "Bearer rb_admin-secre",
        "Bearer rb_admin-secret2",
        "Bearer RB_ADMIN-SECRET",
        "Bearer rb_admin-secret, Bearer rb_admin-secret",
        "Bearer é",
    ],
)
async def test_what_is_no_token_is_refused(guarded, authorization):
    """401, whatever comes close."""
    answer = await guarded.http.get("/v1/watches", headers={"authorization": authorization.encode()})
    assert answer.status_code == 401


@pytest.mark.parametrize("token", TOKENS)
async def test_every_token_opens(guarded, token):
    """Whatever its place in the list, whatever characters it has; the scheme's case does not matter."""
    for scheme in (b"Bearer ", b"bearer  "):
        headers = {"authorization": scheme + token.secret.encode()}
        assert (await guarded.http.get("/v1/watches", headers=headers)).status_code == 200


async def test_tokens_change_at_run_time(guarded):
    """A new one opens at once, an old one no more."""
    guarded.tokens = [OWN]
    assert (await guarded.http.get("/v1/watches", headers=_as(ADMIN))).status_code == 401
    assert (await guarded.http.get("/v1/watches", headers=_as(OWN))).status_code == 200


async def test_an_empty_secret_opens_nothing(guarded):
    """A token whose secret is empty is no open door."""
    guarded.tokens = [Token(Caller("oops"), "")]
    for authorization in (None, "Bearer", "Bearer Bearer"):
        headers = {"authorization": authorization} if authorization else {}
        assert (await guarded.http.get("/v1/watches", headers=headers)).status_code == 401


async def test_beyond_loopback_nobody_comes_in_without_any_token(guarded):
    """No tokens is not no lock."""
    guarded.tokens = []
    answer = await guarded.http.get("/v1/watches", headers={"host": "127.0.0.1"})
    assert answer.status_code == 401
    assert "[tokens.NAME]" in answer.json()["detail"]


async def test_own_sees_and_touches_only_its_own(guarded):
    """What others registered is not there: 404, not 403, and in no list."""
    mine = (await _register(guarded, OWN)).json()
    theirs = (await _register(guarded, OTHER)).json()
    shared = (await _register(guarded, ADMIN)).json()
    assert len({mine["id"], theirs["id"], shared["id"]}) == 3
    for watch in (mine, theirs, shared):
        await guarded.see(watch, "failed")
    for watch in (theirs, shared):
        for method, rest in (
            ("GET", ""),
            ("GET", "?wait=30s"),
            ("DELETE", ""),
            ("POST", "/poll"),
            ("GET", "/events"),
            ("GET", "/answer"),
        ):
            answer = await guarded.http.request(method, f"/v1/watches/{watch['id']}{rest}", headers=_as(OWN))
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    deliveries = (await guarded.http.get("/v1/deliveries", headers=_as(ADMIN))).json()["items"]
    foreign = [delivery["id"] for delivery in deliveries if delivery["watch_id"] != mine["id"]]
    assert foreign
    for id in foreign:
        assert (await guarded.http.get(f"/v1/deliveries/{id}", headers=_as(OWN))).status_code == 404

    async def seen(path, key):
        answer = await guarded.http.get(path, headers=_as(OWN))
        return {key(item) for item in answer.json()["items"]}

    assert await seen("/v1/watches", lambda watch: watch["id"]) == {mine["id"]}
    assert await seen("/v1/events", lambda event: event["data"]["watch_id"]) == {mine["id"]}
    assert await seen(f"/v1/events?watch={theirs['id']}", lambda event: event["id"]) == set()
    assert await seen("/v1/deliveries", lambda delivery: delivery["watch_id"]) == {mine["id"]}
    assert await seen(f"/v1/deliveries?watch={theirs['id']}", lambda delivery: delivery["id"]) == set()


async def test_own_may_do_everything_with_its_own(guarded):
    """Read, wait, hasten, abandon, look up deliveries and providers."""
    mine = (await _register(guarded, OWN)).json()
    asked = [
        ("POST", f"/v1/watches/{mine['id']}/poll"),
        ("GET", f"/v1/watches/{mine['id']}?wait=1ms"),
        ("GET", f"/v1/watches/{mine['id']}/events"),
        ("DELETE", f"/v1/watches/{mine['id']}"),
        ("GET", "/v1/providers"),
        ("GET", "/v1/providers/302ai-browser"),
    ]
    for method, path in asked:
        assert (await guarded.http.request(method, path, headers=_as(OWN))).is_success, path


async def test_admin_sees_everything(guarded):
    """Whoever registered it."""
    ids = {(await _register(guarded, token)).json()["id"] for token in (OWN, OTHER, ADMIN)}
    items = (await guarded.http.get("/v1/watches", headers=_as(ADMIN))).json()["items"]
    assert {watch["id"] for watch in items} == ids
    for id in ids:
        assert (await guarded.http.get(f"/v1/watches/{id}", headers=_as(ADMIN))).status_code == 200


async def test_accounts_limit_what_may_be_used(guarded):
    """403 with the account's name, alone and in a batch."""
    answer = await _register(guarded, LIMITED)
    assert (answer.status_code, answer.json()["code"], answer.json()["account"]) == (403, "forbidden", "302ai")
    assert (await _register(guarded, LIMITED, provider="acme-video", params={"region": "us"})).status_code == 201
    body = [{"provider": "302ai-browser", "task_id": "t"}]
    batch = await guarded.http.post("/v1/watches/batch", json=body, headers=_as(LIMITED))
    assert [item["status"] for item in batch.json()] == [403]


async def test_only_admin_reads_the_metrics(guarded):
    """They count what others do."""
    assert (await guarded.http.get("/metrics", headers=_as(ADMIN))).status_code == 200
    assert (await guarded.http.get("/metrics", headers=_as(OWN))).status_code == 403


async def test_with_a_token_neither_host_nor_origin_matters(guarded):
    """A proxy in front may have any name."""
    headers = {**_as(ADMIN), "host": "ringback.example.org", "origin": "https://ringback.example.org"}
    assert (await guarded.http.get("/v1/watches", headers=headers)).status_code == 200


async def test_with_tokens_loopback_needs_one_too(api):
    """Configuring a token closes the door for everybody else."""
    api.tokens = [ADMIN]
    assert (await api.http.get("/v1/watches")).status_code == 401


# ---------------------------------------------------------------------- loopback without tokens


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:9", "[::1]:{port}", "127.8.8.8"]
)
async def test_loopback_names_are_served(api, host):
    """Whoever asks for this machine by its own names; another port is a tunnel."""
    headers = {"host": host.format(port=api.server.port)}
    assert (await api.http.get("/v1/watches", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example#127.0.0.1",
        "localhost:{port}:{port}",
        "[::ffff:10.0.0.1]",
        "10.0.0.1:{port}",
        "0.0.0.0:{port}",
        "",
    ],
)
async def test_a_name_that_was_bent_to_loopback_is_refused(api, host):
    """DNS rebinding: the page's own name stands in Host."""
    for path in ("/v1/watches", "/openapi.json", "/metrics", "/nothing"):
        answer = await api.http.get(path, headers={"host": host.format(port=api.server.port)})
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_host")
        assert "[tokens.NAME]" in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://127.0.0.1"},
        {"origin": "file://"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
async def test_no_foreign_page_is_served(api, headers):
    """A browser says where a page comes from; what comes from elsewhere is refused before it is read."""
    for method, path in (("POST", "/v1/watches"), ("GET", "/v1/watches"), ("DELETE", "/v1/watches/w_1")):
        body = {"provider": "302ai-browser", "task_id": "t"} if method == "POST" else None
        answer = await api.http.request(method, path, headers=headers, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert (await api.store.stats()).watches == {}


async def test_a_page_of_ours_is_served(api):
    """Same origin, by whichever loopback name."""
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{api.server.port}"
        headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        body = {"provider": "302ai-browser", "task_id": name}
        assert (await api.http.post("/v1/watches", json=body, headers=headers)).status_code == 201


async def test_nothing_is_ever_allowed_across_origins(api):
    """No preflight succeeds, and no answer carries a CORS header."""
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    preflight = await api.http.options("/v1/watches", headers=headers)
    assert preflight.status_code == 403
    for answer in (preflight, await api.http.get("/v1/watches")):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_token_never_shows_its_secret():
    """Neither printed nor in a traceback."""
    assert "rb_admin-secret" not in repr(ADMIN)


async def test_the_gate_holds_on_ipv6(api):
    """[::1] is loopback too."""
    async with served(host="::1") as six, httpx.AsyncClient(trust_env=False) as http:
        assert six.server.url.startswith("http://[::1]:")
        assert (await http.get(f"{six.server.url}/v1/watches")).status_code == 200
