"""Many tasks asked about with one request, with time turned by hand: Tripo3D takes fifty ids at once."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import msgspec
import pytest
from given import HOUR, SECOND, watch
from outside import Outside

from ringback.accounts import Accounts, AccountTerms
from ringback.asker import Asker
from ringback.core.model import Answer, WatchState
from ringback.credentials import Credentials
from ringback.outbound import OutboundError
from ringback.providers.shelf import shipped
from ringback.registration import Caller, Registration
from ringback.store.memory import MemoryStore
from ringback.telemetry import Telemetry

LIMIT = 50
"""Of tripo3d-v3."""


class Tripo(Outside):
    """Answers for what it knows; remembers which ids came in each request, in order."""

    def __init__(self):
        super().__init__()
        self.tasks: dict[str, object] = {}
        self.missed: set[str] = set()
        self.silent_in_lists: set[str] = set()
        self.instead: list[Answer | Exception | None] = []
        self.requests: list[list[str]] = []

    async def send(self, sent):
        is_list = sent.url.endswith("/v3/tasks/list")
        ids = json.loads(sent.body)["task_ids"] if is_list else [sent.url.rpartition("/")[2]]
        self.requests.append(ids)
        told = self.instead.pop(0) if self.instead else None
        if isinstance(told, Exception):
            raise told
        return told or (self._list(ids) if is_list else _good(self._task(ids[0])))

    def _list(self, ids):
        known = {id: self._task(id) for id in ids if id not in self.missed | self.silent_in_lists}
        return _good({"tasks": known, "missed": [id for id in ids if id in self.missed]})

    def _task(self, id):
        told = self.tasks.get(id, "running")
        return {"task_id": id, "status": told} if isinstance(told, str) else told


def _good(data):
    return Answer(status=200, body=msgspec.json.encode({"code": 0, "data": data}))


@pytest.fixture
def tripo():
    return Tripo()


@pytest.fixture
def daemon(make_daemon, clock, tripo):
    return make_daemon(clock, tripo, {"tripo3d": AccountTerms()}, vendor="tripo3d")


async def _register(daemon, *ids, **fields):
    """Watches of these tasks, by id."""
    return {
        id: (await daemon.intake.register(Registration(provider="tripo3d-v3", task_id=id, **fields))).watch
        for id in ids
    }


def _ids(count):
    return [f"t-{number}" for number in range(count)]


async def _state(daemon, watch):
    return (await daemon.store.watch(watch.id)).state


async def test_what_is_due_is_asked_about_at_once_up_to_the_limit(daemon, tripo):
    watches = await _register(daemon, *_ids(60))
    await daemon.poll()
    assert [len(ids) for ids in tripo.requests] == [LIMIT, 10]
    assert sorted(id for ids in tripo.requests for id in ids) == sorted(watches)
    assert {await _state(daemon, watch) for watch in watches.values()} == {WatchState.RUNNING}


async def test_one_alone_is_asked_about_in_the_way_for_one(daemon, tripo):
    await _register(daemon, "t")
    await daemon.poll()
    assert tripo.requests == [["t"]]


async def test_each_gets_what_is_said_of_it(daemon, tripo, clock):
    """Its own state, result, reason, progress; and the answer shown last is its own part."""
    tripo.tasks = {
        "done": {"task_id": "done", "status": "success", "output": {"model_url": "u"}},
        "bad": {"task_id": "bad", "status": "failed", "error_msg": "no"},
        "on": {"task_id": "on", "status": "running", "progress": 40},
    }
    watches = await _register(daemon, "done", "bad", "on")
    await daemon.poll()
    done, bad, on = [await daemon.store.watch(watches[id].id) for id in ("done", "bad", "on")]
    assert (done.state, done.result.text) == (WatchState.SUCCEEDED, b'{"model_url":"u"}')
    assert (bad.state, bad.error.message) == (WatchState.FAILED, "no")
    assert (on.state, on.progress.fraction) == (WatchState.RUNNING, 0.4)
    assert json.loads((await daemon.store.answer(on.id)).body) == {"data": tripo.tasks["on"]}
    clock.turn(10 * SECOND)
    await daemon.poll()
    assert len(tripo.requests) == 2
    assert tripo.requests[1] == ["on"]


async def test_watches_that_began_apart_are_soon_asked_about_together(daemon, tripo, clock):
    """They are due on the same seconds: forty tasks at 5 s, begun over 8 s, take less than a request a second."""
    for number in range(40):
        await _register(daemon, f"t-{number}", interval="5s")
        await daemon.poll()
        clock.turn(timedelta(milliseconds=200))
    before = len(tripo.requests)
    await daemon.until(60 * SECOND, step=timedelta(milliseconds=100), do=daemon.poll)
    after = tripo.requests[before:]
    assert len(after) <= 61
    assert 40 * 9 <= sum(map(len, after)) <= 40 * 14


async def test_other_params_and_other_accounts_are_asked_about_apart(make_daemon, clock, tripo):
    daemon = make_daemon(clock, tripo, {"tripo3d": AccountTerms(), "other": AccountTerms()}, vendor="tripo3d")
    await _register(daemon, "a", "b")
    await _register(daemon, "c", "d", account="other")
    await daemon.poll()
    assert sorted(map(sorted, tripo.requests)) == [["a", "b"], ["c", "d"]]


async def test_what_its_answer_leaves_out_is_asked_about_alone(daemon, tripo, clock):
    """And at once, not an interval later."""
    tripo.silent_in_lists = {"b"}
    tripo.tasks["b"] = "success"
    watches = await _register(daemon, "a", "b", "c")
    assert await daemon.poll() is not None
    assert await _state(daemon, watches["b"]) is WatchState.PENDING
    assert clock.now() in daemon.wakes
    await daemon.poll()
    assert tripo.requests == [["a", "b", "c"], ["b"]]
    assert await _state(daemon, watches["b"]) is WatchState.SUCCEEDED


async def test_what_is_unknown_there_is_not_found(daemon, tripo):
    tripo.missed = {"b"}
    watches = await _register(daemon, "a", "b")
    await daemon.poll()
    assert (await daemon.store.watch(watches["b"].id)).problem.code == "not_found"
    assert await _state(daemon, watches["a"]) is WatchState.RUNNING


@pytest.mark.parametrize(
    ("instead", "code"),
    [
        (OutboundError("https://openapi.tripo3d.ai refused the connection", code="refused"), "refused"),
        (Answer(status=503, body=b"<html>"), "unavailable"),
        (Answer(status=200, body=b"<html>"), "unreadable"),
        (Answer(status=200, body=b'{"code": 2000, "message": "slower"}'), "provider_error"),
        (Answer(status=401, body=b"{}"), "unauthorized"),
    ],
)
async def test_a_request_that_fails_is_a_problem_of_all(daemon, tripo, instead, code):
    tripo.instead = [instead]
    watches = await _register(daemon, "a", "b", "c")
    await daemon.poll()
    after = [await daemon.store.watch(watch.id) for watch in watches.values()]
    assert [watch.problem.code for watch in after] == [code] * 3
    assert {watch.state for watch in after} == {WatchState.PENDING}
    assert len(tripo.requests) == 1


@pytest.mark.parametrize(("status", "code"), [(404, "not_found"), (400, "rejected")])
async def test_a_refusal_that_may_be_of_one_of_them_is_no_problem_of_all(daemon, tripo, status, code):
    """Each is asked about alone, and only the bad one has a problem."""
    watches = await _register(daemon, "a", "b")
    tripo.instead = [Answer(status=status, body=b"{}"), None, Answer(status=status, body=b"{}")]
    await daemon.poll()
    await daemon.poll()
    assert tripo.requests == [["a", "b"], ["a"], ["b"]]
    assert await _state(daemon, watches["a"]) is WatchState.RUNNING
    assert (await daemon.store.watch(watches["b"].id)).problem.code == code


async def test_one_that_cannot_be_kept_hurts_no_other(daemon, tripo, monkeypatch):
    commit = daemon.store.commit

    async def refuse(change):
        if change.watch.task_id == "b":
            raise RuntimeError("boom")
        await commit(change)

    watches = await _register(daemon, "a", "b", "c")
    monkeypatch.setattr(daemon.store, "commit", refuse)
    await daemon.poll()
    assert [str(error) for error in daemon.reports] == ["boom"]
    assert [await _state(daemon, watch) for watch in watches.values()] == [
        WatchState.RUNNING,
        WatchState.PENDING,
        WatchState.RUNNING,
    ]


async def test_an_accounts_rate_counts_requests(make_daemon, clock, tripo):
    """Two a second of fifty tasks each."""
    daemon = make_daemon(clock, tripo, {"tripo3d": AccountTerms(per_second=2.0)}, vendor="tripo3d")
    await _register(daemon, *_ids(1000), interval="1s")
    await daemon.until(10 * SECOND, step=timedelta(milliseconds=100), do=daemon.poll)
    assert 18 <= len(tripo.requests) <= 22
    assert sum(map(len, tripo.requests)) >= 16 * LIMIT
    assert daemon.reports == []


async def test_two_owners_of_one_task_are_both_told(daemon, tripo):
    """They are asked about together; each has a watch of its own."""
    tripo.tasks["a"] = "success"
    wanted = Registration(provider="tripo3d-v3", task_id="a")
    watches = [(await daemon.intake.register(wanted, Caller(name, "own"))).watch for name in ("ann", "bob")]
    await daemon.poll()
    assert tripo.requests == [["a"]]
    assert [await _state(daemon, watch) for watch in watches] == [WatchState.SUCCEEDED] * 2


async def test_watches_that_were_left_out_are_not_remembered_for_ever(daemon, tripo, monkeypatch):
    """Some of them are followed no longer."""
    monkeypatch.setattr("ringback.asker.LEFT_OUT", 10)
    for turn in range(8):
        ids = [f"{turn}-{name}" for name in "abcde"]
        tripo.silent_in_lists = set(ids[1:])
        watches = await _register(daemon, *ids)
        await daemon.poll()
        for followed in watches.values():
            await daemon.intake.abandon(followed.id)
    assert len(daemon.poller._asker._left_out) <= 10 + 4


RESULTS = """
id = "render-results"
title = "Many at once, and results elsewhere"
vendor = "render"
base_url = "https://render.example"
source = "a test"
confidence = "confirmed"
[ask]
path = "/jobs/{task_id}"
[batch]
path = "/jobs"
query = { ids = "{task_ids}" }
limit = 50
tasks = "jobs"
id = "id"
[auth]
type = "none"
[read]
state = "state"
[read.states]
done = "succeeded"
[result]
path = "/results/{task_id}"
read = "url"
"""


async def test_results_of_a_batch_are_asked_for_side_by_side(tmp_path, clock):
    """A slow one waits for no other."""
    (tmp_path / "render-results.toml").write_text(RESULTS)
    together = asyncio.Barrier(3)

    class Render(Outside):
        async def send(self, sent):
            if "/results/" in sent.url:
                await together.wait()
                return Answer(status=200, body=b'{"url": "https://x.test"}')
            jobs = [{"id": name, "state": "done"} for name in sent.url.partition("ids=")[2].split("%2C")]
            return Answer(status=200, body=msgspec.json.encode({"jobs": jobs}))

    accounts = Accounts(MemoryStore(), Telemetry())
    accounts.agree({"render": AccountTerms()}, concurrency=32)
    asker = Asker(accounts, shipped([tmp_path]), Credentials({}), outbound=Render(), clock=clock)
    watches = [watch(name, provider="render-results", account="render") for name in "abc"]
    async with asyncio.timeout(10):
        told = await asker.ask(watches)
    assert [one.seen.result.text for one in told] == [b'"https://x.test"'] * 3


async def test_a_batch_at_its_deadline_is_over_though_its_account_rests(daemon, tripo, clock):
    """Nobody is asked, and every watch expires."""
    tripo.instead = [Answer(status=401, body=b"{}")] * 99
    watches = await _register(daemon, "a", "b", deadline="1h")
    await daemon.until(HOUR + 10 * SECOND, step=30 * SECOND, do=daemon.poll)
    await daemon.poll()
    assert {await _state(daemon, watch) for watch in watches.values()} == {WatchState.EXPIRED}
