"""The simulated upstream: a real server whose tasks move as the vendor's do, and a script for exact answers."""

import asyncio
import socket
from datetime import timedelta

import httpx
import pytest
from given import shown

from ringback.core.errors import BadInput, SetupError
from ringback.core.model import Answer, WatchState
from ringback.providers.shelf import shipped
from ringback.simulator import Options, Reply, Simulator

BROWSER = shipped().get("302ai-browser")
IDS = [f"task-{number}" for number in range(300)]


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
async def client():
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        yield client


async def _poll(client, upstream, task_id, key=None):
    """As the daemon asks and reads: through the preset."""
    ask = BROWSER.ask(task_id, {}, upstream.url)
    ask = BROWSER.sign(ask, {"api_key": key}, None) if key else ask
    response = await client.request(ask.method, ask.url, headers=ask.headers)
    answer = Answer(status=response.status_code, headers=dict(response.headers), body=response.content)
    return BROWSER.read(answer, task_id)


async def test_a_submitted_task_queues_runs_through_its_steps_and_finishes(client):
    clock = Clock()
    async with Simulator(Options(duration=timedelta(seconds=20), steps=3), clock=clock) as upstream:
        submitted = await client.post(f"{upstream.url}/302/browser/submit", json={"task": "find it", "model": "m"})
        id = submitted.json()["task_id"]
        seen = []
        for age_s in (0, 2.9, 3, 8, 14, 19.9, 20, 500):
            clock.now_s = 1000 + age_s
            answer = await _poll(client, upstream, id)
            seen.append((answer.state.value, answer.progress.value if answer.progress else None))
        assert seen == [
            ("queued", None), ("queued", None), ("running", 1), ("running", 1), ("running", 2), ("running", 3),
            ("succeeded", 3), ("succeeded", 3),
        ]  # fmt: skip
        assert "四十二".encode() in answer.result.text


async def test_ends_are_shared_out_as_asked_and_the_same_every_time():
    options = Options(duration=timedelta(), fail=0.2, unsuccessful=0.3)
    ends = []
    for _ in range(2):
        async with httpx.AsyncClient(trust_env=False) as client, Simulator(options) as upstream:
            seen = [await _poll(client, upstream, id) for id in IDS]
            ends.append([(answer.state.value, answer.error.code if answer.error else "") for answer in seen])
    assert ends[0] == ends[1]
    shares = {end: ends[0].count(end) / len(IDS) for end in set(ends[0])}
    assert shares[("failed", "fail")] == pytest.approx(0.2, abs=0.08)
    assert shares[("failed", "unsuccessful")] == pytest.approx(0.3, abs=0.08)
    assert shares[("succeeded", "")] == pytest.approx(0.5, abs=0.08)


async def test_jitter_spreads_the_ends(client):
    clock = Clock()
    async with Simulator(Options(duration=timedelta(seconds=10), jitter=0.5), clock=clock) as upstream:
        for id in IDS[:60]:
            await _poll(client, upstream, id)
        over = []
        for age_s in (4.9, 10, 15.1):
            clock.now_s = 1000 + age_s
            over.append(sum([(await _poll(client, upstream, id)).state.final for id in IDS[:60]]))
        assert over[0] == 0
        assert 10 < over[1] < 50
        assert over[2] == 60


async def test_an_id_becomes_a_task_when_it_is_first_asked_for(client):
    async with Simulator() as upstream:
        assert (await _poll(client, upstream, "any/id?at all")).state is WatchState.QUEUED


async def test_strict_knows_only_what_was_submitted(client):
    async with Simulator(Options(strict=True)) as upstream:
        trouble = (await _poll(client, upstream, "any")).trouble
        assert (trouble.code, trouble.message) == ("not_found", "task not found (404)")
        assert (await _poll(client, upstream, upstream.submit())).state is WatchState.QUEUED


async def test_a_key_is_checked_on_every_route(client):
    async with Simulator(Options(key="k-1")) as upstream:
        assert (await _poll(client, upstream, "t", "k-1")).state is WatchState.QUEUED
        assert (await _poll(client, upstream, "t", "k-2")).trouble.code == "unauthorized"
        missing = await client.post(f"{upstream.url}/302/browser/submit", json={"task": "x"})
        assert (missing.status_code, missing.json()["error"]["err_code"]) == (401, 401)


async def test_a_submission_needs_a_task_and_a_route_must_exist(client):
    async with Simulator() as upstream:
        assert (await client.post(f"{upstream.url}/302/browser/submit")).status_code == 400
        assert (await client.get(f"{upstream.url}/302/other")).json()["error"]["message"] == "there is no such API"


async def test_throttled_polls_say_how_long_to_wait(client):
    async with Simulator(Options(throttle=1)) as upstream:
        answer = await client.get(f"{upstream.url}/302/browser/tasks/t")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


async def test_broken_answers_come_in_the_share_asked_for_and_none_is_a_state(client):
    async with Simulator(Options(error_rate=0.3, throttle=0.2, duration=timedelta(hours=1))) as upstream:
        seen = [await _poll(client, upstream, id) for id in IDS]
        codes = [answer.trouble.code for answer in seen if answer.trouble is not None]
        assert set(codes) == {"rate_limited", "unavailable", "unreadable"}
        assert len(codes) / len(IDS) == pytest.approx(0.5, abs=0.1)
        again = [await _poll(client, upstream, id) for id in IDS]
        assert [a.trouble for a in seen] != [a.trouble for a in again], "a poll that failed may pass the next time"


async def test_latency_delays_every_answer(client, monkeypatch):
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    async with Simulator(Options(latency=timedelta(milliseconds=50))) as upstream:
        monkeypatch.setattr("ringback.simulator.upstream.asyncio.sleep", sleep)
        await client.get(f"{upstream.url}/302/browser/tasks/t")
        assert slept == [0.05]


async def test_a_script_is_served_one_reply_a_poll_and_its_last_one_stays(client):
    async with Simulator() as upstream:
        upstream.script(
            "t",
            [
                shown("t", "queue"),
                Reply(status=503, headers={"retry-after": "9"}),
                b'{"status": ',
                Reply(status=202, body=shown("t", "running", step=1)),
                shown("t", "finished", step=1, result='日本語\n"x"'),
            ],
        )
        seen = [await _poll(client, upstream, "t") for _ in range(6)]
        assert [answer.state or answer.trouble.code for answer in seen] == [
            "queued", "unavailable", "unreadable", "running", "succeeded", "succeeded",
        ]  # fmt: skip
        assert upstream.polls("t") == 6
        assert upstream.polls("other") == 0
        upstream.script("t", [shown("t", "fail", result="no")])
        assert ((await _poll(client, upstream, "t")).error.message, upstream.polls("t")) == ("no", 1)
        with pytest.raises(ValueError, match="at least one reply"):
            upstream.script("t", [])


async def test_a_poll_can_be_waited_for_and_its_answer_held_back(client):
    async with Simulator() as upstream:
        gate = asyncio.Event()
        upstream.script("t", [Reply(body=shown("t", "running"), hold=gate)])
        asked = asyncio.create_task(_poll(client, upstream, "t"))
        await asyncio.wait_for(upstream.polled("t"), 5)
        assert not asked.done()
        gate.set()
        assert (await asked).state is WatchState.RUNNING
        await asyncio.wait_for(upstream.polled("t", 1), 5)
        both = asyncio.gather(upstream.polled("t", 2), upstream.polled("t", 3))
        await _poll(client, upstream, "t")
        assert not both.done()
        await _poll(client, upstream, "t")
        await asyncio.wait_for(both, 5)


async def test_a_connection_can_be_dropped_instead_of_answered(client):
    async with Simulator() as upstream:
        upstream.script("t", [Reply(drop=True), shown("t", "running")])
        with pytest.raises(httpx.RemoteProtocolError):
            await _poll(client, upstream, "t")
        assert (await _poll(client, upstream, "t")).state is WatchState.RUNNING


async def test_one_connection_serves_many_polls_and_the_requests_are_kept(client):
    async with Simulator(Options(key="k-1")) as upstream:
        for id in IDS[:20]:
            await _poll(client, upstream, id, "k-1")
        assert [request.target for request in upstream.requests] == [f"/302/browser/tasks/{id}" for id in IDS[:20]]
        assert all(request.headers["authorization"] == "Bearer k-1" for request in upstream.requests)
        assert len(upstream._wire._connections) == 1


async def test_close_is_honoured_and_nonsense_is_refused():
    async with Simulator() as upstream:
        host, port = "127.0.0.1", int(upstream.url.rpartition(":")[2])
        for sent, status in (
            (b"GET /302/browser/tasks/t HTTP/1.1\r\nConnection: close\r\n\r\n", b"200"),
            (b"nonsense\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"400"),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, b"400"),
        ):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(sent)
            try:
                got = await asyncio.wait_for(reader.read(), 5)
            except ConnectionResetError:  # what was sent on top of the limit is still unread when it closes
                assert len(sent) > 65_536
                continue
            finally:
                writer.close()
            assert got.split(b" ")[1] == status


async def test_stopping_does_not_wait_for_what_is_held(client):
    async with Simulator() as upstream:
        upstream.script("t", [Reply(hold=asyncio.Event())])
        asked = asyncio.create_task(_poll(client, upstream, "t"))
        await upstream.polled("t")
    with pytest.raises(httpx.HTTPError):
        await asked


async def test_an_outage_ends_where_it_began(client):
    async with Simulator(Options(strict=True)) as upstream:
        id, url = upstream.submit(), upstream.url
        await _poll(client, upstream, id)
        await upstream.stop()
        with pytest.raises(httpx.HTTPError):
            await _poll(client, upstream, id)
        await upstream.start()
        assert upstream.url == url
        assert (await _poll(client, upstream, id)).state is WatchState.QUEUED
        assert upstream.polls(id) == 2


async def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"cannot listen on 127.0.0.1:{port}: .*choose another port"):
            await Simulator(port=port).start()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"fail": 1.1}, "fail is a share"),
        ({"throttle": -0.1}, "throttle is a share"),
        ({"error_rate": float("nan")}, "error_rate is a share"),
        ({"fail": 0.6, "unsuccessful": 0.6}, "at most 1 together"),
        ({"error_rate": 0.6, "throttle": 0.6}, "at most 1 together"),
        ({"steps": -1}, "cannot be negative"),
        ({"duration": timedelta(seconds=-1)}, "cannot be negative"),
    ],
)
def test_options_that_make_no_world_are_refused(wrong, sentence):
    with pytest.raises(BadInput, match=sentence):
        Options(**wrong)


async def test_memory_has_a_limit(client, monkeypatch):
    monkeypatch.setattr("ringback.simulator.upstream.TASKS_KEPT", 5)
    async with Simulator() as upstream:
        for id in IDS[:8]:
            await _poll(client, upstream, id)
        assert [upstream.polls(id) for id in IDS[:8]] == [0, 0, 0, 1, 1, 1, 1, 1]
