"""Destinations over HTTP: how each is doing, a test event, pausing and resuming; for administrators only."""

import asyncio

import pytest

from ringback.core.routing import Routes
from ringback.intake import Caller
from ringback.receiver import Reply
from ringback.store.journal import JournalStore
from ringback.web.api import Token
from tests.faces.api.stage import NOW, SECRET, served

ADMIN = Token(Caller("ops"), "rb_admin-secret")
OWN = Token(Caller("ci", "own"), "rb_ci-secret")
KEYS = ["name", "type", "state", "reason", "since", "pending", "oldest_pending_at"]
TESTED = ["outcome", "status", "latency_ms", "message", "excerpt"]
AT = "2026-11-22T05:33:00.123Z"


def _as(token):
    return {"authorization": f"Bearer {token.secret}"}


async def _post(api, name, verb, **more):
    return await api.http.post(f"/v1/destinations/{name}/{verb}", **more)


async def test_every_destination_is_listed(api):
    """By name, all at once, with what each is owed and since when."""
    await api.see(await api.register("one"), "failed")
    await api.see(await api.register("two"), "running")
    answer = await api.http.get("/v1/destinations")
    builds, team = answer.json()["items"]
    assert (answer.status_code, answer.json()["next"]) == (200, None)
    assert list(builds) == list(team) == KEYS
    assert list(builds.values()) == ["builds", "webhook", "active", None, None, 2, AT]
    assert list(team.values()) == ["team", "webhook", "active", None, None, 1, AT]


async def test_none_configured_is_an_empty_list(api):
    """A daemon that only calls back has no destinations."""
    api.destinations.agree({}, api.intake.terms.routes)
    assert (await api.http.get("/v1/destinations")).json() == {"items": [], "next": None}


async def test_pausing_and_resuming_answer_with_the_destination(api):
    """Each answers with the destination as it is then; what is owed is kept."""
    await api.see(await api.register(), "failed")
    paused = await _post(api, "team", "pause")
    assert paused.status_code == 200
    assert list(paused.json().values()) == ["team", "webhook", "paused", "paused by hand", AT, 1, AT]
    assert (await api.http.get("/v1/destinations")).json()["items"][1] == paused.json()
    resumed = await _post(api, "team", "resume")
    assert resumed.status_code == 200
    assert list(resumed.json().values()) == ["team", "webhook", "active", None, None, 1, AT]


async def test_once_more_changes_nothing(api):
    """Pausing what is paused and resuming what is active answer the same, and are announced once."""
    first = await _post(api, "team", "pause")
    again = await _post(api, "team", "pause")
    assert (again.status_code, again.content) == (200, first.content)
    first = await _post(api, "team", "resume")
    again = await _post(api, "team", "resume")
    assert (again.status_code, again.content) == (200, first.content)
    events = (await api.http.get("/v1/events", params={"type": "destination.*"})).json()["items"]
    assert [event["type"] for event in events] == ["destination.paused", "destination.resumed"]


async def test_many_who_pause_at_once_announce_it_once(tmp_path):
    """Whoever comes second finds it paused: the same answer, and one event, also while the first is being written."""
    store = JournalStore(tmp_path)
    await store.open(NOW)
    async with served(store=store) as api:
        api.destinations.agree(api.destinations.channels, Routes({"builds": ("destination.*",)}))
        for verb, state in (("pause", "paused"), ("resume", "active")):
            answers = await asyncio.gather(*(_post(api, "team", verb) for _ in range(8)))
            assert {(answer.status_code, answer.json().get("state")) for answer in answers} == {(200, state)}
        events = (await api.http.get("/v1/events", params={"type": "destination.*"})).json()["items"]
        assert [event["type"] for event in events] == ["destination.paused", "destination.resumed"]
    await store.close()


async def test_the_reason_names_the_token(api):
    """Whoever finds it paused knows whom to ask."""
    api.tokens = [ADMIN]
    paused = (await _post(api, "team", "pause", headers=_as(ADMIN))).json()
    assert paused["reason"] == "paused by hand (token 'ops')"


async def test_a_test_event_is_sent_signed_and_told(api):
    """The receiver gets an event in the true shape; the answer says what it answered, and nothing is kept of it."""
    api.receiver.otherwise = Reply(201, body="thank you")
    answer = await _post(api, "builds", "test")
    assert (answer.status_code, list(answer.json())) == (200, TESTED)
    tested = answer.json()
    assert (tested["outcome"], tested["status"], tested["message"], tested["excerpt"]) == (
        "delivered",
        201,
        None,
        "thank you",
    )
    assert tested["latency_ms"] >= 0
    (received,) = api.receiver.received  # refused unless its signature holds
    assert (received.path, received.type) == ("/builds", "task.succeeded")
    assert "test" in received.data["task_id"]
    for path in ("/v1/deliveries", "/v1/events", "/v1/watches"):
        assert (await api.http.get(path)).json()["items"] == []


async def test_a_test_that_fails_says_why_and_no_secret(api):
    """What came back, without what is secret in the destination's URL, even when the receiver repeats it."""
    api.receiver.otherwise = Reply(503, body=f"no: /hooks/a-secret-path {SECRET}")
    answer = await _post(api, "team", "test")
    tested = answer.json()
    assert (answer.status_code, tested["outcome"], tested["status"]) == (200, "failed", 503)
    assert "503 Service Unavailable" in tested["message"]
    assert "a-secret-path" not in answer.text
    assert SECRET not in answer.text


async def test_a_receiver_that_is_not_there_is_told(api):
    """No status, and a sentence."""
    await api.receiver.stop()
    tested = (await _post(api, "builds", "test")).json()
    assert (tested["outcome"], tested["status"], tested["excerpt"]) == ("failed", None, None)
    assert tested["message"]


async def test_a_paused_destination_can_be_tested(api):
    """It is how one finds out whether to resume it; it stays paused."""
    await _post(api, "builds", "pause")
    assert (await _post(api, "builds", "test")).json()["outcome"] == "delivered"
    assert (await api.http.get("/v1/destinations")).json()["items"][0]["state"] == "paused"


@pytest.mark.parametrize("verb", ["test", "pause", "resume"])
async def test_a_destination_that_is_not_there_names_the_nearest(api, verb):
    """404 with what was meant."""
    answer = await _post(api, "taem", verb)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "'team'" in answer.json()["detail"]


async def test_a_destination_of_a_reload_is_there_at_once(api):
    """The configuration of this moment counts."""
    channels = dict(api.destinations.channels)
    api.destinations.agree({"fresh": channels["team"]}, api.intake.terms.routes)
    assert [one["name"] for one in (await api.http.get("/v1/destinations")).json()["items"]] == ["fresh"]
    assert (await _post(api, "team", "pause")).status_code == 404
    assert (await _post(api, "fresh", "test")).json()["outcome"] == "delivered"


async def test_only_admins_reach_destinations():
    """They are everybody's: who sees only its own gets 403, whether the name is there or not."""
    async with served(loopback=False) as api:
        api.tokens = [ADMIN, OWN]
        asked = [("GET", "/v1/destinations")]
        for name in ("team", "nobody"):
            asked += [("POST", f"/v1/destinations/{name}/{verb}") for verb in ("test", "pause", "resume")]
        for method, path in asked:
            answer = await api.http.request(method, path, headers=_as(OWN))
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
        assert api.receiver.received == []
        assert not api.destinations.is_paused("team")
        assert (await api.http.get("/v1/destinations", headers=_as(ADMIN))).status_code == 200


async def test_pausing_is_announced_to_who_asks_for_it(api):
    """`destination.paused` carries the reason and how much is kept."""
    await api.see(await api.register(), "failed")
    await _post(api, "team", "pause")
    (event,) = (await api.http.get("/v1/events", params={"type": "destination.*"})).json()["items"]
    assert event["data"] == {"destination": "team", "reason": "paused by hand", "since": AT, "pending": 1}
