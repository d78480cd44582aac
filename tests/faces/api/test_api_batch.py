"""Registering up to 1,000 tasks at once."""

import asyncio

import pytest

from ringback.core.errors import StoreFull
from tests.faces.api.stage import CALLBACK, until


def _good(n):
    return {"provider": "302ai-browser", "task_id": f"t-{n}"}


async def _batch(api, items):
    answer = await api.http.post("/v1/watches/batch", json=items, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_thousand_are_answered_in_order_bad_ones_between_them(api):
    """Each in its place with its own status; a bad one hinders no other."""
    bad = {
        3: ({"provider": "302ai-browser"}, "missing_field"),
        250: ({"provider": "302ai-browsr", "task_id": "t"}, "unknown_provider"),
        251: (17, "bad_field"),
        252: ({"provider": "302ai-browser", "task_id": "t", "reopn": True}, "unknown_field"),
        999: (None, "bad_field"),
    }
    items = [bad[n][0] if n in bad else _good(n) for n in range(1000)]
    items[500] = _good(0)
    done = await _batch(api, items)
    assert len(done) == 1000
    for n, item in enumerate(done):
        if n in bad:
            assert list(item) == ["status", "problem"]
            assert (item["status"], item["problem"]["status"], item["problem"]["code"]) == (422, 422, bad[n][1])
        else:
            assert list(item) == ["status", "watch"]
            assert item["status"] == (200 if n == 500 else 201)
            assert item["watch"]["task_id"] == items[n]["task_id"]
    assert (await api.store.stats()).watches == {"pending": 994}


async def test_a_problem_in_a_batch_has_its_facts(api):
    """As many as the same problem has alone."""
    (item,) = await _batch(api, [{"provider": "302ai-browser", "task_id": 1.5}])
    assert item["problem"]["field"] == "task_id"
    assert list(item["problem"])[:5] == ["type", "title", "status", "detail", "code"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{}", 422, "bad_field"),
        (b'[{"provider": "a"}, nope]', 400, "bad_json"),
        (b"[" * 100_000 + b"]" * 100_000, 400, "bad_json"),
        (b"", 400, "bad_json"),
        (b"[" + b",".join([b"1"] * 1001) + b"]", 422, "too_many"),
    ],
)
async def test_what_is_no_batch_is_refused_as_a_whole(api, body, status, code):
    """One sentence; nothing is registered."""
    answer = await api.http.post("/v1/watches/batch", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_more_than_a_thousand_says_what_to_do(api):
    """The limit and the way out stand in the sentence."""
    answer = await api.http.post("/v1/watches/batch", json=[1] * 1001)
    assert "at most 1000 registrations, not 1001" in answer.json()["detail"]


async def test_an_empty_batch_is_an_empty_answer(api):
    """Nothing asked, nothing wrong."""
    assert await _batch(api, []) == []


async def test_a_full_store_is_said_of_each(api, monkeypatch):
    """Those that were kept are told apart from those that were not."""
    commit = api.store.commit

    async def fills_up(change):
        if len(api.store.table.watches) == 2:
            raise StoreFull("no space is left: make some")
        await commit(change)

    monkeypatch.setattr(api.store, "commit", fills_up)
    done = await _batch(api, [_good(n) for n in range(4)])
    assert [item["status"] for item in done] == [201, 201, 503, 503]
    assert done[3]["problem"]["code"] == "store_full"


async def test_what_nobody_foresaw_takes_one_item_only(api, monkeypatch):
    """500 without the inside, told to the log, and the others are registered."""
    register = api.intake.register

    async def bursts_once(asked, caller):
        if asked.task_id == "t-1":
            raise RuntimeError("password is hunter2")
        return await register(asked, caller)

    monkeypatch.setattr(api.intake, "register", bursts_once)
    done = await _batch(api, [_good(n) for n in range(3)])
    assert [item["status"] for item in done] == [201, 500, 201]
    assert done[1]["problem"]["code"] == "internal"
    assert "hunter2" not in str(done)
    assert [str(error) for _, error in api.failures] == ["password is hunter2"]


async def test_a_batch_lets_the_store_commit_together_and_others_have_their_turn(api, monkeypatch):
    """Of each batch 25 commits are under way at once, never more; and between them others are answered.

    One whose registrations take long holds up no other batch.
    """
    commit, gate = api.store.commit, asyncio.Event()
    under_way, most = 0, 0

    async def slow(change):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await gate.wait()
        under_way -= 1
        await commit(change)

    watch = await api.register("before")
    monkeypatch.setattr(api.store, "commit", slow)
    asked = asyncio.create_task(_batch(api, [_good(n) for n in range(250)]))
    await until(lambda: most == 25)
    others = asyncio.create_task(_batch(api, [_good(n) for n in range(250, 300)]))
    await until(lambda: most == 50)
    assert (await api.http.get(f"/v1/watches/{watch['id']}")).status_code == 200
    gate.set()
    assert [item["status"] for item in await asked] == [201] * 250
    assert [item["status"] for item in await others] == [201] * 50
    assert most == 50


async def test_the_same_task_twice_in_a_batch_is_one_watch(api):
    """The first makes it, the second joins it."""
    first, second = await _batch(api, [_good(1), {**_good(1), "callback_url": CALLBACK}])
    assert (first["status"], second["status"]) == (201, 200)
    assert first["watch"]["id"] == second["watch"]["id"]
    assert len(second["watch"]["callbacks"]) == 1
