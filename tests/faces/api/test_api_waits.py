"""`?wait=`: an answer that is held until the watch moves."""

import asyncio
import time

import httpx
import pytest

from ringback.store.base import Pruned
from ringback.web import waits
from tests.faces.api.stage import GRACE, until

LONG = "30s"
SOON_S = 5.0
"""Far below the wait: whoever answers within it was woken."""


async def _held(api, watch, **query):
    """A request that is being held."""
    before = api.app.state.waits._held
    asked = asyncio.create_task(api.http.get(f"/v1/watches/{watch['id']}", params={"wait": LONG, **query}, timeout=40))
    await until(lambda: api.app.state.waits._held == before + 1 or asked.done())
    assert not asked.done()
    return asked


async def _answer(asked):
    async with asyncio.timeout(SOON_S):
        return await asked


async def test_a_held_answer_comes_with_the_change(api):
    """Whoever waits is woken by the commit, and gets the watch after it."""
    watch = await api.register()
    asked = await _held(api, watch, after=0)
    await api.see(watch, "running")
    shown = (await _answer(asked)).json()
    assert (shown["state"], shown["sequence"]) == ("running", 1)
    assert not api.app.state.waits._wakes


async def test_without_after_it_waits_for_what_comes_next(api):
    """A loop that only says `wait` never spins."""
    watch = await api.register()
    await api.see(watch, "queued")
    asked = await _held(api, watch)
    await api.see(watch, "running")
    assert (await _answer(asked)).json()["sequence"] == 2


async def test_many_may_wait_for_the_same(api):
    """All of them are woken."""
    watch = await api.register()
    asked = [await _held(api, watch, after=0) for _ in range(5)]
    await api.see(watch, "succeeded")
    assert [(await _answer(one)).json()["state"] for one in asked] == ["succeeded"] * 5


async def test_what_moved_already_is_answered_at_once(api):
    """A sequence above `after` holds nobody up."""
    watch = await api.register()
    await api.see(watch, "queued")
    answer = await api.http.get(f"/v1/watches/{watch['id']}?wait={LONG}&after=0", timeout=SOON_S)
    assert answer.json()["sequence"] == 1


@pytest.mark.parametrize("query", ["", "&after=1", "&after=99"])
async def test_what_is_final_is_answered_at_once(api, query):
    """Nothing is to be waited for."""
    watch = await api.register()
    await api.see(watch, "succeeded")
    answer = await api.http.get(f"/v1/watches/{watch['id']}?wait={LONG}{query}", timeout=SOON_S)
    assert answer.json()["state"] == "succeeded"


async def test_an_abandoned_watch_holds_nobody(api):
    """It is final, although no event says so."""
    watch = await api.register()
    asked = await _held(api, watch)
    await api.http.delete(f"/v1/watches/{watch['id']}")
    assert (await _answer(asked)).json()["state"] == "abandoned"


async def test_a_change_that_is_no_event_holds_on(api):
    """Somebody joining moves the watch, but not its sequence."""
    watch = await api.register()
    asked = await _held(api, watch, after=0)
    await api.register(metadata={"a": "b"})
    await api.see(watch, "running")
    assert (await _answer(asked)).json()["sequence"] == 1


async def test_another_watch_wakes_nobody(api):
    """Whoever waits for one is left alone by the others."""
    watch, other = await api.register("a"), await api.register("b")
    asked = await _held(api, watch)
    await api.see(other, "succeeded")
    (wake,) = api.app.state.waits._wakes[watch["id"]]
    assert not wake.is_set()
    await api.see(watch, "failed")
    assert (await _answer(asked)).json()["state"] == "failed"


async def test_the_wait_ends(api):
    """When nothing moves, the watch comes as it is, and not before the time."""
    watch = await api.register()
    began = time.perf_counter()
    answer = await api.http.get(f"/v1/watches/{watch['id']}?wait=150ms&after=0", timeout=SOON_S)
    assert time.perf_counter() - began >= 0.15
    assert (answer.status_code, answer.json()["state"]) == (200, "pending")


async def test_a_watch_that_is_forgotten_meanwhile_is_404(api):
    """Nobody waits for what is gone."""
    watch = await api.register()
    asked = await _held(api, watch)
    api.store.table.watches.clear()
    api.app.state.waits.note(Pruned((watch["id"],)))
    assert (await _answer(asked)).status_code == 404


async def test_too_long_a_wait_is_refused_with_the_limit(api):
    """60 s, which is said."""
    watch = await api.register()
    answer = await api.http.get(f"/v1/watches/{watch['id']}?wait=2m")
    assert answer.status_code == 422
    assert "at most 60s" in answer.json()["detail"]


async def test_a_stop_cuts_what_is_held(api):
    """The answer comes whole, with the watch as it is, long before the grace is over."""
    watch = await api.register()
    asked = await _held(api, watch)
    began = time.perf_counter()
    await api.server.stop(GRACE)
    answer = await _answer(asked)
    assert time.perf_counter() - began < GRACE.total_seconds()
    assert (answer.status_code, answer.json()["id"]) == (200, watch["id"])


async def test_nobody_is_held_once_it_is_stopping(api):
    """A request that comes in at the last moment is answered at once."""
    watch = await api.register()
    api.app.state.waits.cut()
    answer = await api.http.get(f"/v1/watches/{watch['id']}?wait={LONG}", timeout=SOON_S)
    assert answer.status_code == 200


async def test_whoever_hangs_up_is_held_no_longer(api):
    """Connections that are gone keep no place, and are no failure."""
    watch = await api.register()
    async with httpx.AsyncClient(base_url=api.server.url, trust_env=False) as other:
        asked = asyncio.create_task(other.get(f"/v1/watches/{watch['id']}?wait={LONG}"))
        await until(lambda: api.app.state.waits._held == 1)
        asked.cancel()
    async with asyncio.timeout(SOON_S):
        await until(lambda: api.app.state.waits._held == 0)
    assert api.failures == []


async def test_there_is_a_limit_to_how_many_are_held(api, monkeypatch):
    """503 beyond it, with when to try again; those who wait are not disturbed."""
    monkeypatch.setattr(waits, "HELD_AT_MOST", 1)
    watch = await api.register()
    asked = await _held(api, watch)
    answer = await api.http.get(f"/v1/watches/{watch['id']}?wait={LONG}")
    assert (answer.status_code, answer.json()["code"]) == (503, "too_many")
    assert answer.headers["retry-after"].isdecimal()
    await api.see(watch, "running")
    assert (await _answer(asked)).status_code == 200
