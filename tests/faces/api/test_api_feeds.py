"""Events, deliveries and providers over HTTP."""

import given
import pytest

from ringback.core import retry
from ringback.core.model import AttemptOutcome, Change
from ringback.core.retry import Outcome, Policy
from ringback.registration import Caller
from ringback.sinks.payload import event_json
from ringback.store.base import Settlement
from ringback.web.api import Token
from tests.faces.api.stage import CALLBACK, NOW
from tests.store.steps import ended

KEYS = """
    id event_id event_type watch_id sequence destination state reason attempt_count
    created_at first_attempt_at next_attempt_at settled_at
"""


async def test_an_event_is_shown_as_a_webhook_receives_it(api):
    """The same bytes."""
    watch = await api.register()
    change = await api.see(watch, "succeeded", result=b'"done"', details=b'{"steps": []}')
    answer = await api.http.get(f"/v1/watches/{watch['id']}/events")
    assert answer.status_code == 200
    assert b'{"items":[' + event_json(change.events[0]) + b"]" in answer.content


async def test_a_history_is_paged_oldest_first(api):
    """Sequence 1, 2, 3; going on after the last gives nothing until there is more."""
    watch = await api.register()
    await api.register("another")
    for state in ("queued", "running", "succeeded"):
        await api.see(watch, state)
    path = f"/v1/watches/{watch['id']}/events"
    page = (await api.http.get(path, params={"limit": 2})).json()
    assert [event["data"]["sequence"] for event in page["items"]] == [1, 2]
    page = (await api.http.get(path, params={"cursor": page["next"]})).json()
    assert [event["type"] for event in page["items"]] == ["task.succeeded"]
    assert (await api.http.get(path, params={"cursor": page["next"]})).json()["items"] == []


async def test_the_feed_goes_on_where_it_was_left(api):
    """`after` the last `next` gives what came since, of all watches."""
    one, two = await api.register("one"), await api.register("two")
    await api.see(one, "running")
    page = (await api.http.get("/v1/events")).json()
    assert [event["type"] for event in page["items"]] == ["task.running"]
    await api.see(two, "failed")
    await api.see(one, "succeeded")
    page = (await api.http.get("/v1/events", params={"after": page["next"]})).json()
    assert [event["type"] for event in page["items"]] == ["task.failed", "task.succeeded"]
    page = (await api.http.get("/v1/events", params={"after": page["next"]})).json()
    assert page["items"] == []
    assert page["next"] is not None


async def test_the_feed_is_filtered(api):
    """By a glob of types, and by watch."""
    one, two = await api.register("one"), await api.register("two")
    for watch in (one, two):
        await api.see(watch, "running")
    await api.see(two, "failed")

    async def types(**query):
        return [event["type"] for event in (await api.http.get("/v1/events", params=query)).json()["items"]]

    assert await types(type="task.f*") == ["task.failed"]
    assert await types(watch=two["id"]) == ["task.running", "task.failed"]
    assert await types(type="task.running", watch=one["id"]) == ["task.running"]
    assert await types(limit=1) == ["task.running"]


async def test_a_type_that_there_is_not_is_refused(api):
    """An empty page would say that nothing happened."""
    answer = await api.http.get("/v1/events", params={"type": "foo"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "unknown_event", "type")
    assert problem["detail"].startswith("type: 'foo' names no event; there are task.queued, task.running,")


async def _attempted(api, delivery, outcome):
    known, _ = await api.store.delivery(delivery["id"])
    attempt = retry.attempt_of(known, outcome, NOW)
    after = retry.settled(known, retry.step(known, outcome, Policy(), NOW, 0.5), NOW, attempted=True)
    await api.store.settle(Settlement(after, attempt))


async def test_a_delivery_is_shown_with_its_attempts(api):
    """In a list how many there were, alone all of them, oldest first."""
    watch = await api.register(callback_url=CALLBACK)
    await api.see(watch, "failed")
    page = (await api.http.get("/v1/deliveries", params={"destination": "builds"})).json()
    assert (len(page["items"]), page["next"]) == (1, None)
    delivery = page["items"][0]
    assert list(delivery) == KEYS.split()
    assert (delivery["state"], delivery["attempt_count"], delivery["sequence"]) == ("pending", 0, 1)
    failed = Outcome(outcome=AttemptOutcome.FAILED, latency_ms=3.14, status=500, message="HTTP 500", excerpt="oops")
    await _attempted(api, delivery, failed)
    await _attempted(api, delivery, Outcome(outcome=AttemptOutcome.DELIVERED, latency_ms=2.0, status=204))
    shown = (await api.http.get(f"/v1/deliveries/{delivery['id']}")).json()
    assert list(shown) == [*delivery, "attempts"]
    assert (shown["state"], shown["attempt_count"]) == ("delivered", 2)
    assert shown["attempts"] == [
        {
            "number": 1,
            "at": "2026-11-22T05:33:00.123Z",
            "outcome": "failed",
            "latency_ms": 3.1,
            "status": 500,
            "message": "HTTP 500",
            "excerpt": "oops",
        },
        {
            "number": 2,
            "at": "2026-11-22T05:33:00.123Z",
            "outcome": "delivered",
            "latency_ms": 2.0,
            "status": 204,
            "message": None,
            "excerpt": None,
        },
    ]


async def test_deliveries_are_filtered_and_paged(api):
    """By state, destination and watch; newest first."""
    one, two = await api.register("one", callback_url=CALLBACK), await api.register("two")
    for watch in (one, two):
        await api.see(watch, "failed")

    async def found(**query):
        page = (await api.http.get("/v1/deliveries", params=query)).json()
        return {(item["watch_id"], item["destination"]) for item in page["items"]}, page["next"]

    callback = f"callback:{one['callbacks'][0]['id']}"
    everything, _ = await found()
    assert everything == {
        (one["id"], "builds"),
        (one["id"], "team"),
        (one["id"], callback),
        (two["id"], "builds"),
        (two["id"], "team"),
    }
    assert (await found(destination=callback))[0] == {(one["id"], callback)}
    assert (await found(watch=two["id"]))[0] == {(two["id"], "builds"), (two["id"], "team")}
    assert (await found(state="delivered"))[0] == set()
    assert (await found(state="pending"))[0] == everything
    paged, cursor = await found(limit=3)
    rest, end = await found(limit=3, cursor=cursor)
    assert (paged | rest, len(rest), end) == (everything, 2, None)


async def test_the_catalogue_is_shown(api):
    """Every provider with what its preset says, lengths of time as people write them."""
    page = (await api.http.get("/v1/providers")).json()
    assert [provider["id"] for provider in page["items"]] == ["302ai-browser", "acme-video"]
    assert page["next"] is None
    one = (await api.http.get("/v1/providers/302ai-browser")).json()
    assert one == page["items"][0] | {"learned": []}
    assert (one["interval"], one["deadline"], one["credentials"]) == ("90s", "2h", ["api_key"])
    assert one["states"] == {"queue": "queued", "finished": "succeeded"}
    assert (page["items"][1]["interval"], page["items"][1]["deadline"]) == ("1500ms", None)


async def _taught(api, account, *lengths, key=""):
    """Tasks of this account that took so many seconds."""
    for number, seconds in enumerate(lengths):
        watch = given.watch(f"{account} {key} {number}", account=account, key=key)
        await api.store.commit(Change(watch=watch))
        await api.store.commit(ended(watch, seconds * given.SECOND))


async def test_what_was_learned_of_a_provider_is_shown(api):
    """By account and key: how many, median and 95th percentile, bars of half an octave and what lies between them."""
    await _taught(api, "302ai", *[20] * 70, *[300] * 30)
    await _taught(api, "302ai", 0.1, key="tiny")
    await _taught(api, "302ai_team", 100)
    known, tiny, team = (await api.http.get("/v1/providers/302ai-browser")).json()["learned"]
    assert (known["account"], known["key"], known["count"]) == ("302ai", "", 100)
    assert known["median_s"] == pytest.approx(20, rel=0.05)
    assert known["p95_s"] == pytest.approx(300, rel=0.05)
    bars = known["histogram"]
    assert [bar["up_to_s"] for bar in bars] == [22.6, 32.0, 45.3, 64.0, 90.5, 128.0, 181.0, 256.0, 362.0]
    assert [bar["share"] for bar in bars] == [0.7, 0, 0, 0, 0, 0, 0, 0, 0.3]
    assert (tiny["key"], tiny["histogram"]) == ("tiny", [{"up_to_s": 0.25, "share": 1.0}])
    assert (team["account"], team["count"]) == ("302ai_team", 1)
    assert (await api.http.get("/v1/providers/acme-video")).json()["learned"] == []


@pytest.mark.parametrize(
    ("scope", "accounts", "seen"),
    [
        ("own", ("302ai",), ["302ai"]),
        ("own", None, ["302ai", "302ai_team"]),
        ("admin", ("302ai_team",), ["302ai_team"]),
        ("admin", None, ["302ai", "302ai_team"]),
    ],
)
async def test_who_may_use_some_accounts_sees_what_was_learned_of_those(api, scope, accounts, seen):
    """How long the tasks of other accounts take is not a token's to know that is limited to some."""
    await _taught(api, "302ai", 20)
    await _taught(api, "302ai_team", 20)
    api.tokens = [Token(Caller("ci", scope, accounts), "rb_1")]
    answer = await api.http.get("/v1/providers/302ai-browser", headers={"authorization": "Bearer rb_1"})
    assert [known["account"] for known in answer.json()["learned"]] == seen


async def test_a_provider_that_is_not_there_names_the_nearest(api):
    """404 with what was meant."""
    answer = await api.http.get("/v1/providers/302ai-browsr")
    assert answer.status_code == 404
    assert "'302ai-browser'" in answer.json()["detail"]
