"""Many destinations, some of them ill: nobody waits for anybody else."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from ringback.receiver import Receiver, Reply
from tests.acceptance.conftest import SECRET, now

TASKS = 20
SOON_S = 3.0
"""Alone on the machine it is well under a second; the tests run beside each other."""


def destination(url: str) -> str:
    """A webhook destination's section."""
    return f'type = "webhook"\nurl = "{url}/x"\nsecret = "{SECRET}"'


async def test_seven_healthy_of_ten_get_everything_at_once(daemon, upstream):
    """One dead, one that never answers, one that says 429: none of them delays the seven."""
    async with AsyncExitStack() as running:
        healthy = [await running.enter_async_context(Receiver(SECRET, now=now)) for _ in range(7)]
        silent = await running.enter_async_context(Receiver(SECRET, now=now))
        busy = await running.enter_async_context(Receiver(SECRET, now=now))
        dead = await running.enter_async_context(Receiver(SECRET, now=now))
        await dead.stop()
        silent.otherwise = Reply(after=asyncio.Event())
        busy.otherwise = Reply(status=429, headers={"retry-after": "60"})
        everybody = {f"well{number}": receiver.url for number, receiver in enumerate(healthy)}
        everybody |= {"silent": silent.url, "busy": busy.url, "dead": dead.url}
        daemon.configure(
            destinations__builds="", **{f"destinations__{name}": destination(url) for name, url in everybody.items()}
        )
        await daemon.start()
        for number in range(TASKS):
            id = f"t{number}"
            upstream.script(id, [{"task_id": id, "status": word} for word in ("queue", "running", "finished")])
        batch = [{"provider": "302ai-browser", "task_id": f"t{number}"} for number in range(TASKS)]
        assert (await daemon.client.post("/v1/watches/batch", json=batch)).status_code == 200
        for receiver in healthy:
            got = await receiver.wait_for(3 * TASKS)
            late = [(one.at - one.at.fromisoformat(one.event["timestamp"])).total_seconds() for one in got]
            assert max(late) < SOON_S
        assert len(busy.received) <= 8
        pending = {item["name"]: item["pending"] for item in (await daemon.get("/v1/destinations"))["items"]}
        assert min(pending["silent"], pending["busy"], pending["dead"]) >= TASKS
        await daemon.kill()


async def test_a_paused_destination_is_resumed_by_command_and_resends_by_hand(daemon, upstream, receiver):
    """410 pauses, resume replays, resend sends the same event again."""
    receiver.otherwise = 410
    upstream.script("t", [{"task_id": "t", "status": "finished"}])
    await daemon.start()
    await daemon.register("t")
    await daemon.said("destination.paused", destination="builds")
    (status,) = (await daemon.get("/v1/destinations"))["items"]
    assert (status["state"], status["pending"]) == ("paused", 1)
    await daemon.kill()
    await daemon.start()
    assert (await daemon.get("/v1/destinations"))["items"][0]["state"] == "paused"
    receiver.otherwise = 200
    assert (await daemon.client.post("/v1/destinations/builds/resume")).status_code == 200
    await receiver.wait_until(lambda got: [one for one in got if one.accepted])
    await daemon.said("delivery.attempt", outcome="delivered")
    (delivery,) = (await daemon.get("/v1/deliveries", state="delivered"))["items"]
    assert (await daemon.client.post(f"/v1/deliveries/{delivery['id']}/resend")).status_code == 202
    await receiver.wait_until(lambda got: len([one for one in got if one.accepted]) == 2)
    assert len({one.id for one in receiver.received}) == 1
    tested = (await daemon.client.post("/v1/destinations/builds/test")).json()
    assert (tested["outcome"], tested["status"]) == ("delivered", 200)
