"""Deliveries sent again over HTTP: one by its id, many by what they have in common."""

from datetime import timedelta

import pytest

from ringback.core import retry
from ringback.core.model import AttemptOutcome
from ringback.core.retry import Outcome, Policy
from ringback.intake import Caller
from ringback.store.base import Settlement
from ringback.web.api import Token
from tests.faces.api.stage import NOW, served

GONE = Outcome(outcome=AttemptOutcome.REFUSED, status=413, message="it will never take this event")
TAKEN = Outcome(outcome=AttemptOutcome.DELIVERED, status=200)
ADMIN = Token(Caller("ops"), "rb_admin-secret")
OWN = Token(Caller("ci", "own"), "rb_ci-secret")
OTHER = Token(Caller("lab", "own"), "rb_lab-secret")


def _as(token):
    return {"authorization": f"Bearer {token.secret}"}


async def _settle(api, id, outcome, *, ago=timedelta()):
    known, _ = await api.store.delivery(id)
    attempt = retry.attempt_of(known, outcome, NOW - ago)
    after = retry.settled(known, retry.step(known, outcome, Policy(), NOW, 0.5), NOW - ago, attempted=True)
    await api.store.settle(Settlement(after, attempt))


async def _owed(api, task_id, **headers):
    """The deliveries of a task that failed: {destination: id}."""
    body = {"provider": "302ai-browser", "task_id": task_id}
    watch = (await api.http.post("/v1/watches", json=body, headers=headers)).json()
    await api.see(watch, "failed")
    page = (await api.http.get("/v1/deliveries", params={"watch": watch["id"]}, headers=headers)).json()
    return {delivery["destination"]: delivery["id"] for delivery in page["items"]}


async def _pending(api, **headers):
    page = (await api.http.get("/v1/deliveries", params={"state": "pending"}, headers=headers)).json()
    return {delivery["id"] for delivery in page["items"]}


@pytest.mark.parametrize(("outcome", "reason"), [(GONE, GONE.message), (TAKEN, None)])
async def test_a_settled_delivery_is_owed_again(api, outcome, reason):
    """202 with the delivery: pending, due now, from the start of the schedule; its attempts go on being numbered."""
    id = (await _owed(api, "t"))["team"]
    await _settle(api, id, outcome)
    before = (await api.http.get(f"/v1/deliveries/{id}")).json()
    assert before["reason"] == reason
    answer = await api.http.post(f"/v1/deliveries/{id}/resend")
    assert answer.status_code == 202
    again = answer.json()
    assert (again["id"], again["state"], again["reason"], again["settled_at"]) == (id, "pending", None, None)
    assert (again["attempt_count"], again["next_attempt_at"]) == (1, "2026-11-22T05:33:00.123Z")
    kept = (await api.http.get(f"/v1/deliveries/{id}")).json()
    assert kept == {**again, "attempts": before["attempts"]}


async def test_a_pending_delivery_is_not_owed_twice(api):
    """409: it is sent anyway. So is one that was resent a moment ago."""
    id = (await _owed(api, "t"))["team"]
    refused = await api.http.post(f"/v1/deliveries/{id}/resend")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    await _settle(api, id, GONE)
    codes = [(await api.http.post(f"/v1/deliveries/{id}/resend")).status_code for _ in range(2)]
    assert codes == [202, 409]


async def test_a_delivery_that_is_not_there(api):
    """404, also for a word of ours in its place."""
    for id in ("dlv_0", "resend", "%2e%2e"):
        answer = await api.http.post(f"/v1/deliveries/{id}/resend")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.fixture
async def settled(api):
    """Six settled deliveries: two tasks lost an hour ago, one just now; and two that are still owed."""
    ids = {}
    for task, ago in (("old", 3), ("recent", 1), ("fresh", 0)):
        for name, id in (await _owed(api, task)).items():
            ids[f"{task} {name}"] = id
            await _settle(api, id, GONE if name == "team" else TAKEN, ago=timedelta(hours=ago))
    for name, id in (await _owed(api, "open")).items():
        ids[f"open {name}"] = id
    return ids


@pytest.mark.parametrize(
    ("asked", "resent"),
    [
        ({"state": "discarded"}, ["old team", "recent team", "fresh team"]),
        ({"state": "delivered"}, ["old builds", "recent builds", "fresh builds"]),
        ({"state": "superseded"}, []),
        ({"destination": "team"}, ["old team", "recent team", "fresh team"]),
        ({"destination": "callback:none"}, []),
        ({"since": "2h"}, ["recent team", "recent builds", "fresh team", "fresh builds"]),
        ({"since": "90m", "state": "discarded"}, ["recent team", "fresh team"]),
        ({"since": "2026-11-22T05:33:00.123456Z", "destination": "builds"}, ["fresh builds"]),
        ({"since": "2026-11-22T04:33:00.123456Z", "destination": "builds"}, ["recent builds", "fresh builds"]),
        ({"since": "2026-11-22T07:33:00.123457+02:00"}, []),
        ({"since": "0001-01-01T00:00:00+23:59", "state": "discarded", "destination": "builds"}, []),
        ({"since": "9999-12-31T23:59:59-23:59"}, []),
        ({"state": "discarded", "destination": None, "since": None}, ["old team", "recent team", "fresh team"]),
    ],
)
async def test_all_that_fit_are_owed_again(api, settled, asked, resent):
    """Those that fit everything that is given, and only settled ones; the answer counts them."""
    before = await _pending(api)
    answer = await api.http.post("/v1/deliveries/resend", json=asked)
    assert (answer.status_code, answer.json()) == (202, {"resent": len(resent)})
    assert await _pending(api) - before == {settled[name] for name in resent}
    assert before == {settled["open team"], settled["open builds"]}


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 422, "at least one of state, destination and since"),
        ({"state": None}, 422, "at least one of state, destination and since"),
        ({"state": "pending"}, 422, "pending deliveries are sent anyway"),
        ({"state": "lost"}, 422, "state: invalid enum value 'lost'"),
        ({"destination": ""}, 422, "destination: is empty"),
        ({"destination": "", "state": "discarded"}, 422, "destination: is empty"),
        ({"since": "soon"}, 422, "since: 'soon' is not a duration"),
        ({"since": ""}, 422, "since: '' is not a duration"),
        ({"since": "2026-11-22T05:33:00"}, 422, "or a time with its zone"),
        ({"since": "99999d"}, 422, "since: '99999d' is too long"),
        ({"since": 7200}, 422, "since: expected str"),
        ({"destinaton": "team"}, 422, "Did you mean 'destination'?"),
        ([], 422, "the body: expected object"),
    ],
)
async def test_what_is_not_said_well_resends_nothing(api, settled, body, status, detail):
    """A slip of the pen must not send everything again: 422 with what to do."""
    before = await _pending(api)
    answer = await api.http.post("/v1/deliveries/resend", json=body)
    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text
    assert await _pending(api) == before


async def test_a_resend_without_a_body_is_refused(api):
    """Nothing said is nothing meant."""
    answer = await api.http.post("/v1/deliveries/resend")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_json")


async def test_more_than_a_page_is_resent(api):
    """However many fit: pages of the store are followed to their end."""
    ids = [(await _owed(api, f"t-{number}"))["team"] for number in range(150)]
    for id in ids:
        await _settle(api, id, GONE)
    answer = await api.http.post("/v1/deliveries/resend", json={"state": "discarded"})
    assert answer.json() == {"resent": 150}


async def test_own_resends_only_its_own():
    """A foreign delivery is not there; of many, only its own are owed again."""
    async with served(loopback=False) as api:
        api.tokens = [ADMIN, OWN, OTHER]
        mine = (await _owed(api, "t", **_as(OWN)))["team"]
        theirs = (await _owed(api, "t", **_as(OTHER)))["team"]
        for id in (mine, theirs):
            await _settle(api, id, GONE)
        foreign = await api.http.post(f"/v1/deliveries/{theirs}/resend", headers=_as(OWN))
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
        many = await api.http.post("/v1/deliveries/resend", json={"state": "discarded"}, headers=_as(OWN))
        assert many.json() == {"resent": 1}
        delivery, _ = await api.store.delivery(theirs)
        assert delivery.state == "discarded"
        await _settle(api, mine, GONE)
        assert (await api.http.post(f"/v1/deliveries/{mine}/resend", headers=_as(OWN))).status_code == 202
        assert (await api.http.post(f"/v1/deliveries/{theirs}/resend", headers=_as(ADMIN))).status_code == 202
