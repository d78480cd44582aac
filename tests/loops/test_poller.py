"""The poll loop, with time turned by hand."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import msgspec
import pytest
from given import HOUR, MINUTE, NOW, SECOND

from ringback.accounts import AccountTerms
from ringback.core.errors import StoreFull
from ringback.core.model import Answer, WatchState
from ringback.credentials import Credentials, Keys, Secret
from ringback.minted import Minted
from ringback.outbound import OutboundError
from ringback.store.base import EventQuery


async def types(daemon) -> list[str]:
    """The types of all events, in order."""
    return [event.type.value for event in (await daemon.store.events(EventQuery())).items]


async def test_a_task_is_followed_to_its_end(daemon, upstream, clock):
    """Queue, running, finished: three events, sequence 1 to 3, and then it is not asked about any more."""
    upstream.says("t", "queue", "queue", "running", {"status": "finished", "result": "完了"})
    watch = await daemon.register("t")
    for _ in range(6):
        await daemon.poll()
        clock.turn(6 * SECOND)
    after = await daemon.store.watch(watch.id)
    assert await types(daemon) == ["task.queued", "task.running", "task.succeeded"]
    assert (after.state, after.sequence, after.polls) == (WatchState.SUCCEEDED, 3, 4)
    assert after.result.text == '"完了"'.encode()
    assert len(upstream.asked) == 4
    assert set(upstream.keys) == {"Bearer sk-one"}


async def test_the_last_answer_is_shown_whether_or_not_it_changed_something(daemon, upstream, clock):
    """Also the one that came again after a trouble, which need not be read a second time."""
    first, second = (Answer(status=200, body=b'{"status": "running", "n": %d}' % n) for n in (1, 2))
    trouble = Answer(status=502, body=b"oh")
    upstream.says("t", first, second, trouble, second)
    watch = await daemon.register("t")
    shown = []
    for _ in range(4):
        await daemon.poll()
        shown.append((await daemon.store.answer(watch.id)).body)
        clock.turn(MINUTE)
    assert shown == [first.body, second.body, trouble.body, second.body]
    assert (await daemon.store.watch(watch.id)).sequence == 1


async def test_a_poll_is_not_made_before_it_is_due(daemon, upstream, clock):
    """The tick says when there is work next."""
    upstream.says("t", "running")
    await daemon.register("t")
    await daemon.poll()
    next_at = await daemon.poll()
    assert len(upstream.asked) == 1
    assert next_at == NOW + 5 * SECOND
    clock.turn(5 * SECOND)
    await daemon.poll()
    assert len(upstream.asked) == 2


async def test_one_bad_watch_ends_nobody_elses_turn(daemon, upstream):
    """A surprise is reported, and the others are polled in the same tick."""
    upstream.says("bad", RuntimeError("boom"))
    upstream.says("good", "finished")
    await daemon.register("bad")
    good = await daemon.register("good")
    await daemon.poll()
    assert [str(error) for error in daemon.reports] == ["boom"]
    assert (await daemon.store.watch(good.id)).state is WatchState.SUCCEEDED


async def test_trouble_leaves_the_state_untouched_and_shows_the_problem(daemon, upstream, clock):
    """Network errors, server errors and unreadable answers are counted, backed off from, and cleared by an answer."""
    down = OutboundError("https://api.302.ai refused the connection", code="refused")
    upstream.says("t", "running", down, down, 503, Answer(status=200, body=b"<html>"), "running")
    watch = await daemon.register("t")
    shown = []
    for _ in range(6):
        await daemon.poll()
        after = await daemon.store.watch(watch.id)
        shown.append((after.state.value, after.problem and (after.problem.code, after.problem.count)))
        clock.turn(25 * SECOND)
    assert shown == [
        ("running", None),
        ("running", ("refused", 1)),
        ("running", ("refused", 2)),
        ("running", ("unavailable", 1)),
        ("running", ("unreadable", 1)),
        ("running", None),
    ]
    assert await types(daemon) == ["task.running"]


async def test_the_last_answer_is_shown_as_it_came(daemon, upstream, clock):
    """Also one that could not be read: that is when it is needed."""
    upstream.says("t", "running", Answer(status=502, body=b"<h1>Bad gateway</h1>"))
    watch = await daemon.register("t")
    await daemon.poll()
    assert (await daemon.store.answer(watch.id)).body == b'{"status":"running"}'
    clock.turn(MINUTE)
    await daemon.poll()
    answer = await daemon.store.answer(watch.id)
    assert (answer.status, answer.body) == (502, b"<h1>Bad gateway</h1>")


async def test_429_rests_the_whole_account_until_retry_after(daemon, upstream, clock):
    """Others of the account are put off, show why, and come back after the rest."""
    upstream.says("a", Answer(status=429, headers={"retry-after": "120"}), "running")
    upstream.says("b", "running")
    await daemon.register("a")
    await daemon.poll()
    other = await daemon.register("b")
    for _ in range(11):
        await daemon.poll()
        clock.turn(10 * SECOND)
    assert upstream.asked == ["a"]
    assert (await daemon.store.watch(other.id)).problem.code == "rate_limited"
    for _ in range(4):
        clock.turn(10 * SECOND)
        await daemon.poll()
    assert set(upstream.asked) == {"a", "b"}
    assert (await daemon.store.watch(other.id)).problem is None


async def test_a_key_that_does_not_work_is_announced_once_and_tried_every_five_minutes(
    daemon, upstream, clock, mailbox
):
    """One provider.degraded for all its watches, one provider.recovered, also across a restart."""
    daemon.configure({"team": mailbox()})
    upstream.always = Answer(status=401, body=b"{}")
    for name in "abc":
        await daemon.register(name)
    await daemon.until(11 * MINUTE, step=10 * SECOND, do=daemon.poll)
    assert await types(daemon) == ["provider.degraded"]
    tries = len(upstream.asked)
    assert tries <= 3 + 2 * 3
    daemon.configure({"team": mailbox()})
    await daemon.accounts.remember()
    await daemon.until(11 * MINUTE, step=10 * SECOND, do=daemon.poll)
    assert await types(daemon) == ["provider.degraded"]
    upstream.always = None
    for name in "abc":
        upstream.says(name, "running")
    await daemon.until(6 * MINUTE, step=10 * SECOND, do=daemon.poll)
    assert (await types(daemon))[:2] == ["provider.degraded", "provider.recovered"]
    assert (await types(daemon)).count("task.running") == 3
    await daemon.deliver()
    assert daemon.mailboxes["team"].types.count("provider.recovered") == 1


async def test_one_watch_that_may_not_be_seen_does_not_stop_the_others(daemon, upstream, clock):
    """While some of the account succeed, a 401 is that watch's problem."""
    upstream.says("mine", "running")
    upstream.says("theirs", 403)
    mine = await daemon.register("mine")
    theirs = await daemon.register("theirs")
    await daemon.until(5 * MINUTE, step=5 * SECOND, do=daemon.poll)
    assert (await daemon.store.watch(theirs.id)).problem.code == "unauthorized"
    assert (await daemon.store.watch(mine.id)).problem is None
    assert await types(daemon) == ["task.running"]
    assert upstream.asked.count("mine") >= 55


async def test_a_changed_key_file_is_tried_at_once(make_daemon, upstream, clock, tmp_path):
    """Not five minutes later."""
    file = tmp_path / "key"
    file.write_text("old")
    daemon = make_daemon(clock, upstream, {"302ai": AccountTerms()})
    daemon.poller._asker.credentials = Credentials({"302ai": Keys({"api_key": Secret.in_file(file)})})
    upstream.always = Answer(status=401, body=b"{}")
    watch = await daemon.register("t")
    await daemon.poll()
    clock.turn(10 * SECOND)
    await daemon.poll()
    assert len(upstream.asked) == 1
    file.write_text("brand-new")
    upstream.always = Answer(status=200, body=b'{"status": "finished"}')
    for _ in range(3):
        await daemon.poll()
        clock.turn(SECOND)
    assert upstream.keys == ["Bearer old", "Bearer brand-new"]
    assert (await daemon.store.watch(watch.id)).state is WatchState.SUCCEEDED


async def test_a_token_that_was_refused_is_had_anew_within_half_a_minute(daemon, upstream, clock, tmp_path):
    """The account is left alone for five minutes; its program need not be."""
    program = tmp_path / "mint.py"
    program.write_text(
        "import pathlib; p = pathlib.Path(__file__ + '.n'); n = len(p.read_text()) if p.exists() else 0\n"
        "p.write_text('x' * (n + 1)); print(f'token-{n + 1}')\n"
    )
    minted = Minted([sys.executable, str(program)])
    daemon.poller._asker.credentials = Credentials({"302ai": Keys({"api_key": minted})})
    upstream.says("t", "running", 401, "finished")
    watch = await daemon.register("t")
    await daemon.poll()
    clock.turn(6 * SECOND)
    await daemon.until(40 * SECOND, step=2 * SECOND, do=daemon.poll)
    assert upstream.keys == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
    assert (await daemon.store.watch(watch.id)).state is WatchState.SUCCEEDED


async def test_another_key_in_the_configuration_is_tried_at_once(daemon, upstream, clock):
    """As one in a changed file is; the same key again is not."""
    upstream.always = Answer(status=401, body=b"{}")
    await daemon.register("t")
    for key in ("k-1", "k-1", "k-2"):
        daemon.poller._asker.credentials = Credentials({"302ai": Keys({"api_key": Secret(key)})})
        for _ in range(3):
            await daemon.poll()
            clock.turn(SECOND)
    assert upstream.keys == ["Bearer k-1", "Bearer k-2"]


async def test_polls_at_once_are_those_of_the_configuration_in_force(daemon, upstream, clock):
    """An account has a quarter of them, also after a reload."""
    upstream.always = Answer(status=200, body=b'{"status": "running"}')
    for number in range(80):
        await daemon.register(f"t{number}")
    daemon.agree(daemon.account_terms, concurrency=40)
    await daemon.poll()
    assert len(upstream.asked) == 10


async def test_a_poll_at_its_deadline_takes_nothing_of_a_resting_accounts_rate(make_daemon, upstream, clock):
    """Nobody is asked: whoever is due after the rest need not wait for it."""
    daemon = make_daemon(clock, upstream, {"302ai": AccountTerms(per_second=0.1)})
    upstream.says("first", Answer(status=429, headers={"retry-after": "60"}))
    upstream.says("next", "running")
    await daemon.register("first")
    await daemon.poll()
    for number in range(20):
        await daemon.register(f"t{number}", deadline="55s")
    await daemon.register("next")
    await daemon.until(75 * SECOND, step=SECOND, do=daemon.poll)
    assert (await types(daemon)).count("task.expired") == 20
    assert "next" in upstream.asked


async def test_slow_accounts_leave_room_for_others_however_many_they_are(make_daemon, upstream, clock, monkeypatch):
    """Each has a quarter of what the others leave it."""
    names = [f"slow-{number}" for number in range(8)]
    daemon = make_daemon(clock, upstream, {name: AccountTerms() for name in (*names, "quick")})
    ends, send = asyncio.Event(), upstream.send
    upstream.always = Answer(status=200, body=b'{"status": "running"}')

    async def slowly(ask):
        answer = await send(ask)
        if "slow" in ask.url:
            await ends.wait()
        return answer

    monkeypatch.setattr(upstream, "send", slowly)
    for number in range(100):
        for name in names:
            await daemon.register(f"{name}-{number}", account=name)
    await daemon.poller.tick()
    under_way = daemon.poller._in_flight
    assert 100 < len(under_way) < 256
    await daemon.register("quick", account="quick")
    await daemon.poller.tick()
    await asyncio.sleep(0)
    assert upstream.asked[-1] == "quick"
    ends.set()
    await daemon.poller.drain()
    assert len(daemon.wakes) > 0


async def test_the_rest_that_a_provider_asked_for_outlasts_the_deadline(daemon, upstream, clock):
    """Then the task expires, and nobody is asked."""
    upstream.says("t", Answer(status=503, headers={"retry-after": "60"}), "finished")
    upstream.says("u", Answer(status=200, headers={"retry-after": "60"}, body=b'{"status": "running"}'), "finished")
    watches = [await daemon.register(name, deadline="30s") for name in "tu"]
    await daemon.until(40 * SECOND, step=5 * SECOND, do=daemon.poll)
    assert upstream.asked == ["t", "u"]
    after = [await daemon.store.watch(watch.id) for watch in watches]
    assert [watch.state for watch in after] == [WatchState.EXPIRED] * 2
    assert [watch.problem and watch.problem.code for watch in after] == ["unavailable", None]


async def test_a_request_for_a_result_counts_for_the_rate(make_daemon, upstream, clock):
    """Over all requests of the account."""
    terms = {"minimax": AccountTerms(per_second=5.0)}
    daemon = make_daemon(clock, upstream, terms, vendor="minimax")
    done = {"status": "Success", "file_id": "7", "base_resp": {"status_code": 0}}
    upstream.always = Answer(status=200, body=msgspec.json.encode(done | {"file": {"download_url": "https://x.test"}}))
    for number in range(40):
        await daemon.register(f"t{number}", provider="minimax-v1")
    await daemon.until(10 * SECOND, step=timedelta(milliseconds=100), do=daemon.poll)
    assert 46 <= len(upstream.asked) <= 54


async def test_progress_that_nobody_is_told_of_is_no_line_of_the_log(daemon, upstream, clock, caplog):
    """A task that shows progress in every poll would fill it."""
    upstream.says("t", *({"status": "running", "current_step": step} for step in range(5)))
    watch = await daemon.register("t")
    with caplog.at_level("INFO"):
        for _ in range(5):
            await daemon.poll()
            clock.turn(10 * SECOND)
    assert (await daemon.store.watch(watch.id)).progress.value == 4
    assert sum("watch.changed" in str(record.msg) for record in caplog.records) == 1


async def test_nothing_but_trouble_for_two_minutes_is_said_once(daemon, upstream, clock):
    """And ended by the first answer."""
    upstream.always = Answer(status=503, body=b"")
    await daemon.register("t")
    await daemon.until(5 * MINUTE, step=5 * SECOND, do=daemon.poll)
    assert await types(daemon) == ["provider.degraded"]
    upstream.always = Answer(status=200, body=b'{"status": "running"}')
    clock.turn(MINUTE)
    await daemon.poll()
    assert await types(daemon) == ["provider.degraded", "provider.recovered", "task.running"]


async def test_an_account_that_is_gone_leaves_its_watches_waiting(daemon, upstream, clock):
    """They show no_account, and go on when it is back."""
    upstream.says("t", "running")
    watch = await daemon.register("t")
    daemon.agree({})
    await daemon.poll()
    after = await daemon.store.watch(watch.id)
    assert (after.problem.code, after.state, upstream.asked) == ("no_account", WatchState.PENDING, [])
    daemon.agree({"302ai": AccountTerms()})
    clock.turn(MINUTE)
    await daemon.poll()
    assert (await daemon.store.watch(watch.id)).state is WatchState.RUNNING
    assert await types(daemon) == ["task.running"]


async def test_the_key_does_not_go_to_another_host(daemon, upstream, clock):
    """Neither the preset's base URL nor the account's: not asked at all."""
    watch = await daemon.register("t")
    daemon.agree({"302ai": AccountTerms(base_url="https://evil.example\\@api.302.ai")})
    await daemon.poll()
    assert upstream.asked == []
    assert (await daemon.store.watch(watch.id)).problem.code in ("blocked_host", "bad_params")


async def test_the_deadline_expires_even_while_the_account_rests(daemon, upstream, clock):
    """It is our own promise, whatever the provider does."""
    upstream.always = Answer(status=429, headers={"retry-after": "86400"})
    watch = await daemon.register("t", deadline="10m")
    await daemon.until(11 * MINUTE, step=30 * SECOND, do=daemon.poll)
    assert (await daemon.store.watch(watch.id)).state is WatchState.EXPIRED
    assert await types(daemon) == ["task.expired"]


async def test_a_resting_account_is_tried_again_although_its_watches_expire(daemon, upstream, clock):
    """What was not asked says nothing about the account: every five minutes somebody is."""
    upstream.always = Answer(status=401, body=b"{}")
    for number in range(12):
        await daemon.register(f"t{number}", deadline=f"{8 + 4 * number}m")
    await daemon.until(9 * MINUTE, step=10 * SECOND, do=daemon.poll)
    upstream.always = Answer(status=200, body=b'{"status": "running"}')
    await daemon.until(6 * MINUTE, step=10 * SECOND, do=daemon.poll)
    assert "provider.recovered" in await types(daemon)


async def test_a_key_that_the_provider_repeats_is_not_shown(daemon, upstream, clock):
    """Neither in the problem nor in the event."""
    upstream.always = Answer(status=401, body=b'{"error": {"err_code": 1, "message": "bad key sk-one", "type": "x"}}')
    watch = await daemon.register("t")
    await daemon.poll()
    shown = (await daemon.store.watch(watch.id)).problem.message
    assert "sk-one" not in shown
    assert "***" in shown


async def test_a_task_that_is_not_found_vanishes_although_its_account_rests_at_times(daemon, upstream, clock):
    """A rest asks nobody: the hour of a task that was never seen goes on."""
    upstream.says("t", 404)
    upstream.says("busy", *([Answer(status=429, headers={"retry-after": "60"}), "running"] * 40))
    watch = await daemon.register("t")
    await daemon.register("busy", interval="5m")
    await daemon.until(70 * MINUTE, step=20 * SECOND, do=daemon.poll)
    assert (await daemon.store.watch(watch.id)).state is WatchState.VANISHED


async def test_an_accounts_rate_is_kept(make_daemon, upstream, clock):
    """Two a second: whatever is due, and nobody of another account waits for it."""
    daemon = make_daemon(clock, upstream, {"302ai": AccountTerms(per_second=2.0), "other": AccountTerms()})
    upstream.always = Answer(status=200, body=b'{"status": "running"}')
    for index in range(50):
        await daemon.register(f"slow-{index}")
    for index in range(50):
        await daemon.register(f"fast-{index}", account="other")
    await daemon.until(10 * SECOND, step=timedelta(milliseconds=100), do=daemon.poll)
    asked = [name for name in upstream.asked if name.startswith("slow")]
    assert 18 <= len(asked) <= 22
    assert sum(name.startswith("fast") for name in upstream.asked) >= 50


async def test_a_full_store_keeps_the_poller_quiet_until_space_returns(daemon, upstream, clock, monkeypatch):
    """What could not be kept is asked again; nothing is lost, nothing is hammered."""
    upstream.says("t", "running")
    watch = await daemon.register("t")
    commit, full = daemon.store.commit, True

    async def refuse(change):
        if full:
            raise StoreFull("no space is left")
        await commit(change)

    async def probe():
        if full:
            raise StoreFull("no space is left")

    monkeypatch.setattr(daemon.store, "commit", refuse)
    monkeypatch.setattr(daemon.store, "probe", probe)
    await daemon.until(MINUTE, step=SECOND, do=daemon.poll)
    assert len(upstream.asked) == 1
    full = False
    await daemon.until(3 * MINUTE, step=5 * SECOND, do=daemon.poll)
    assert (await daemon.store.watch(watch.id)).state is WatchState.RUNNING
    assert daemon.reports == []


async def test_whoever_commits_during_a_poll_is_joined_not_overwritten(daemon, upstream, clock, monkeypatch):
    """A callback that joins while the answer is under way gets the event; abandoning wins over the answer."""
    upstream.says("t", "finished")
    upstream.says("u", "finished")
    one, two = await daemon.register("t"), await daemon.register("u")
    send = upstream.send

    async def meanwhile(ask, **more):
        if ask.url.endswith("/t"):
            await daemon.register("t", callback_url="http://127.0.0.1:9/x")
        else:
            await daemon.intake.abandon(two.id)
        return await send(ask, **more)

    monkeypatch.setattr(upstream, "send", meanwhile)
    await daemon.poll()
    await daemon.deliver()
    assert (await daemon.store.watch(one.id)).state is WatchState.SUCCEEDED
    assert daemon.callbacks.types == ["task.succeeded"]
    assert (await daemon.store.watch(two.id)).state is WatchState.ABANDONED
    assert await types(daemon) == ["task.succeeded"]


async def test_a_watch_that_was_never_seen_vanishes_after_an_hour(daemon, upstream, clock):
    """404 from the first answer on: a wrong key looks the same, so it is given time."""
    upstream.says("t", 404)
    watch = await daemon.register("t")
    await daemon.poll()
    assert (await daemon.store.watch(watch.id)).problem.code == "not_found"
    await daemon.until(HOUR + 2 * MINUTE, step=30 * SECOND, do=daemon.poll)
    assert (await daemon.store.watch(watch.id)).state is WatchState.VANISHED
    assert await types(daemon) == ["task.vanished"]


async def test_a_step_of_the_clock_while_a_poll_is_concluded_is_taken_up(daemon, upstream, clock, monkeypatch):
    """The watch has moved with it, so what was decided is decided anew, by the new time."""
    upstream.says("t", "running", "finished")
    watch = await daemon.register("t", deadline="3h")
    await daemon.poll()
    clock.turn(5 * SECOND)
    commit = daemon.store.commit

    async def meanwhile(change):
        monkeypatch.setattr(daemon.store, "commit", commit)
        clock.turn(24 * HOUR)
        await daemon.store.shift(24 * HOUR)
        await daemon.register("t", callback_url="http://127.0.0.1:9/x")
        await commit(change)

    monkeypatch.setattr(daemon.store, "commit", meanwhile)
    await daemon.poll()
    after = await daemon.store.watch(watch.id)
    assert (after.state, after.finished_at) == (WatchState.SUCCEEDED, clock.now())


async def test_a_reload_during_a_poll_sends_no_new_key_to_the_old_host(make_daemon, upstream, clock, monkeypatch):
    """A poll is of one configuration from its beginning to its end."""
    daemon = make_daemon(clock, upstream, {"minimax": AccountTerms(base_url="https://old.example")}, vendor="minimax")
    upstream.always = Answer(status=200, body=b'{"status": "Success", "file_id": "7", "base_resp": {"status_code": 0}}')
    await daemon.register("t", provider="minimax-v1")
    send = upstream.send

    async def meanwhile(ask):
        daemon.agree({"minimax": AccountTerms(base_url="https://new.example")})
        daemon.poller._asker.credentials = Credentials({"minimax": Keys({"api_key": Secret("new")})})
        return await send(ask)

    monkeypatch.setattr(upstream, "send", meanwhile)
    await daemon.poll()
    clock.turn(10 * SECOND)
    await daemon.poll()
    asked = [(url.split("/")[2], key) for url, key in zip(upstream.urls, upstream.keys, strict=True)]
    assert set(asked) == {("old.example", "Bearer sk-one"), ("new.example", "Bearer new")}


@pytest.mark.parametrize("by", [timedelta(days=-1), timedelta(days=1)])
async def test_a_poll_during_a_step_of_the_clock_decides_on_the_new_times(daemon, upstream, clock, monkeypatch, by):
    """It neither expires the watch nor loses its next poll."""
    upstream.says("t", "running")
    watch = await daemon.register("t", deadline="3h")
    await daemon.poll()
    send = upstream.send

    async def meanwhile(ask, **more):
        monkeypatch.setattr(upstream, "send", send)
        clock.turn(by)
        await daemon.store.shift(by)
        return await send(ask, **more)

    clock.turn(5 * SECOND)
    monkeypatch.setattr(upstream, "send", meanwhile)
    await daemon.poll()
    after = await daemon.store.watch(watch.id)
    assert (after.state, after.polls) == (WatchState.RUNNING, 2)
    assert after.next_poll_at == clock.now() + 5 * SECOND
    assert await types(daemon) == ["task.running"]


async def test_a_registration_during_a_quiet_poll_does_not_cost_the_next_one(daemon, upstream, clock, monkeypatch):
    """The watch moved on meanwhile: the poll is noted for the watch as it is now."""
    upstream.says("t", "running")
    watch = await daemon.register("t")
    await daemon.poll()
    clock.turn(5 * SECOND)
    send = upstream.send

    async def meanwhile(ask, **more):
        await daemon.register("t", callback_url="http://127.0.0.1:9/x")
        return await send(ask, **more)

    monkeypatch.setattr(upstream, "send", meanwhile)
    await daemon.poll()
    after = await daemon.store.watch(watch.id)
    assert (len(after.callbacks), after.polls, after.next_poll_at) == (1, 2, clock.now() + 5 * SECOND)
