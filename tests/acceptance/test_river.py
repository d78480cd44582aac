"""What people were promised, from registration to the ring."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys

import pytest

from ringback.receiver import Reply
from tests.acceptance.conftest import SECRET

RESULT = '「完了」\n"quoted" \\ and 絵文字 🎉\n' * 1000
STEPS = [
    {"step": number, "next_goal": f"goal {number}", "action": [], "extracted_content": []} for number in range(1, 4)
]


def answer(task_id: str, status: str, step: int | None = None, **fields) -> dict:
    """An answer in the provider's true shape."""
    return {"task_id": task_id, "status": status, "current_step": step, "steps": STEPS[:step] if step else [], **fields}


def whole_run(task_id: str) -> list[dict]:
    """Queue, three steps, finished."""
    return [
        answer(task_id, "queue"),
        *(answer(task_id, "running", step) for step in (1, 1, 2, 3)),
        answer(task_id, "finished", 3, result=RESULT, is_successful=True),
    ]


async def test_a_task_rings_back_exactly_as_promised(daemon, upstream, receiver):
    """Three events in order, once, signed, the 40 KB result intact; the callback gets the last alone."""
    assert len(RESULT.encode()) > 40_000
    upstream.script("t", whole_run("t"))
    await daemon.start()
    watch = await daemon.register("t", callback_url=f"{receiver.url}/callback", metadata={"team": "video"})
    got = await receiver.wait_for(4)
    builds = [one for one in got if one.path == "/builds"]
    (callback,) = [one for one in got if one.path == "/callback"]
    assert [one.type for one in builds] == ["task.queued", "task.running", "task.succeeded"]
    assert [one.data["sequence"] for one in builds] == [1, 2, 3]
    assert callback.id == builds[2].id
    assert callback.type == "task.succeeded"
    data = builds[2].data
    assert data["result"] == RESULT
    assert data["metadata"] == {"team": "video"}
    assert data["details"]["is_successful"] is True
    assert data["progress"] == {"value": 3, "total": None, "fraction": None, "text": "goal 3"}
    assert (data["state"], data["previous_state"], data["watch_id"]) == ("succeeded", "running", watch["id"])
    assert data["previous_poll_at"] < data["observed_at"] == builds[2].event["timestamp"]
    assert receiver.refused == []
    assert await daemon.stop() == 0
    assert len(receiver.received) == 4


async def test_progress_is_told_where_it_is_asked_for(daemon, upstream, receiver):
    """`task.*` asks; the sequence counts it."""
    upstream.script("t", whole_run("t"))
    await daemon.start()
    await daemon.register("t", callback_url=f"{receiver.url}/callback", events=["task.*"], to=[])
    got = await receiver.wait_for(5)
    assert [one.type for one in got] == [
        "task.queued",
        "task.running",
        "task.progressed",
        "task.progressed",
        "task.succeeded",
    ]
    assert [one.data["sequence"] for one in got] == [1, 2, 3, 4, 5]


@pytest.mark.timeout(300)
async def test_two_hundred_tasks_survive_ten_kills(daemon, upstream, receiver):
    """Every final event arrives, every duplicate carries its first id, and the records agree with the receiver."""
    chance = random.Random(20261122)
    daemon.configure(
        polling='interval = "500ms"\nmin_interval = "50ms"\nmax_interval = "2s"',
        destinations__builds=f'type = "webhook"\nurl = "{receiver.url}/builds"\nsecret = "{SECRET}"',
    )
    ids = [f"task-{number}" for number in range(200)]
    for number, id in enumerate(ids):
        end = answer(id, "fail", 1, result="no") if number % 5 == 0 else answer(id, "finished", 2, result=f"r-{number}")
        running = [answer(id, "running", 1 + step // 6) for step in range(chance.randrange(3, 12))]
        upstream.script(id, [answer(id, "queue"), *running, end])
    await daemon.start()
    batch = [{"provider": "302ai-browser", "task_id": id, "callback_url": f"{receiver.url}/cb"} for id in ids]
    answers = (await daemon.client.post("/v1/watches/batch", json=batch)).json()
    assert {item["status"] for item in answers} == {201}
    watches = [item["watch"]["id"] for item in answers]
    for _ in range(10):
        seen = len(receiver.received)
        await receiver.wait_for(seen + chance.randrange(1, 25))
        await daemon.kill()
        await daemon.start()
    for id in watches:
        await daemon.until_final(id)
    final = {"task.succeeded", "task.failed"}
    await receiver.wait_until(
        lambda events: len({one.data["watch_id"] for one in events if one.path == "/cb" and one.type in final}) == 200
    )
    assert await daemon.stop() == 0
    await daemon.start()
    facts: dict[str, set[bytes]] = {}
    for one in receiver.received:
        facts.setdefault(one.id, set()).add(one.body)
    assert all(len(bodies) == 1 for bodies in facts.values())
    numbers = {(one.data["watch_id"], one.data["sequence"]): one.id for one in receiver.received}
    assert len(numbers) == len(facts)
    deliveries = await daemon.all("/v1/deliveries")
    delivered = {
        (item["event_id"], item["destination"].partition(":")[0]) for item in deliveries if item["state"] == "delivered"
    }
    arrived = {(one.id, "callback" if one.path == "/cb" else "builds") for one in receiver.received}
    assert delivered == arrived
    for id in watches:
        watch = await daemon.get(f"/v1/watches/{id}")
        told = [one.data["state"] for one in receiver.received if one.data["watch_id"] == id and one.path == "/cb"]
        assert set(told) == {watch["state"]}
    assert receiver.refused == []


async def test_a_retry_schedule_goes_on_after_a_kill(daemon, upstream, receiver):
    """The next attempt comes when it was due: neither at once nor from the start."""
    receiver.otherwise = 503
    upstream.script("t", [answer("t", "finished", 1, result="x")])
    daemon.configure(
        destinations__builds=f'type = "webhook"\nurl = "{receiver.url}/builds"\nsecret = "{SECRET}"\n'
        'retry = ["1s", "12s", "1h"]'
    )
    await daemon.start()
    watch = await daemon.register("t")
    await daemon.said("delivery.attempt", attempt=2)
    before = await _the_delivery(daemon, watch["id"])
    await daemon.kill()
    await daemon.start()
    after = await _the_delivery(daemon, watch["id"])
    assert after == before
    third = (await receiver.wait_for(3))[2]
    due = third.at.fromisoformat(before["next_attempt_at"])
    assert -0.1 <= (third.at - due).total_seconds() < 1.5
    await daemon.said("delivery.attempt", attempt=3)
    record = await _the_delivery(daemon, watch["id"])
    assert [attempt["number"] for attempt in record["attempts"]] == [1, 2, 3]


async def _the_delivery(daemon, watch: str) -> dict:
    """The one delivery of a watch, with its attempts."""
    (item,) = (await daemon.get("/v1/deliveries", watch=watch))["items"]
    return await daemon.get(f"/v1/deliveries/{item['id']}")


async def test_sigterm_finishes_what_is_in_flight(daemon, upstream, receiver):
    """An attempt under way is finished and recorded; a held answer is cut at once; the exit code is 0."""
    gate = asyncio.Event()
    receiver.otherwise = Reply(after=gate)
    upstream.script("t", [answer("t", "finished", 1)])
    upstream.script("u", [answer("u", "running", 1)])
    await daemon.start()
    done, held = await daemon.register("t"), await daemon.register("u", to=[])
    waiting = asyncio.create_task(daemon.get(f"/v1/watches/{held['id']}", wait="60s", after=1000))
    await receiver.wait_for(1)
    stopping = asyncio.create_task(daemon.stop())
    assert (await asyncio.wait_for(waiting, 5))["finished_at"] is None
    gate.set()
    assert await asyncio.wait_for(stopping, 10) == 0
    await daemon.start()
    (delivery,) = (await daemon.get("/v1/deliveries", watch=done["id"]))["items"]
    assert delivery["state"] == "delivered"
    assert len(receiver.received) == 1


async def test_sighup_takes_a_good_configuration_and_keeps_the_old_one_on_a_bad_one(daemon, upstream, receiver):
    """A new destination works without a restart; a bad file changes nothing and says why."""
    upstream.script("t", [answer("t", "finished", 1)])
    upstream.script("u", [answer("u", "finished", 1)])
    await daemon.start()
    daemon.configure(polling='intervall = "1s"')
    daemon.signal(signal.SIGHUP)
    refused = await daemon.said("configuration.refused")
    assert "polling.interval" in json.dumps(refused["problems"])
    await daemon.register("t")
    assert (await receiver.wait_for(1))[0].path == "/builds"
    daemon.configure(destinations__other=f'type = "webhook"\nurl = "{receiver.url}/other"\nsecret = "{SECRET}"')
    daemon.signal(signal.SIGHUP)
    await daemon.said("configuration.reloaded")
    await daemon.register("u", to=["other"])
    assert (await receiver.wait_for(2))[1].path == "/other"


async def test_a_wrong_key_is_one_problem_and_one_event(daemon, upstream, receiver):
    """All watches show it, whoever takes provider.* hears once, and nothing secret is in the log."""
    daemon.configure(
        accounts__302ai=f'api_key = "wrong-key-value"\nbase_url = "{upstream.url}"',
        destinations__builds=f'type = "webhook"\nurl = "{receiver.url}/builds"\nsecret = "{SECRET}"\nevents = ["*"]',
    )
    await daemon.start()
    watches = [await daemon.register(f"t{number}") for number in range(5)]
    event = (await receiver.wait_for(1))[0]
    assert event.type == "provider.degraded"
    assert event.data["account"] == "302ai"
    assert event.data["problem"]["code"] == "unauthorized"
    shown = [(await daemon.get(f"/v1/watches/{watch['id']}"))["problem"] for watch in watches]
    assert {problem["code"] for problem in shown if problem} == {"unauthorized"}
    assert await daemon.stop() == 0
    assert [one.type for one in receiver.received] == ["provider.degraded"]
    assert "wrong-key-value" not in daemon.log


async def test_nothing_secret_is_logged_or_measured(daemon, upstream, receiver):
    """Neither keys, nor signing secrets, nor a callback's path and query."""
    upstream.script("t", [answer("t", "finished", 1)])
    await daemon.start()
    await daemon.register("t", callback_url=f"{receiver.url}/hush/path?token=hush")
    await receiver.wait_for(2)
    metrics = (await daemon.client.get("/metrics")).text
    await daemon.stop()
    told = daemon.log + metrics
    for secret in ("key-of-the-simulator", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hush"):
        assert secret not in told
    assert receiver.url in told


async def test_a_second_daemon_on_the_same_store_is_refused(daemon, tmp_path):
    """With one sentence and exit code 6."""
    await daemon.start()
    second = tmp_path / "second.toml"
    second.write_text(daemon.config.read_text().replace(str(daemon.port), "0"))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ringback.cli.main", "serve", "--config", str(second)),
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
    )
    _, said = await child.communicate()
    assert child.returncode == 6
    assert b"Traceback" not in said
    assert str(tmp_path / "data").encode() in said
    assert (await daemon.client.get("/readyz")).status_code == 200
