"""The delivery loop, with time turned by hand."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import given
import pytest
from given import HOUR, MINUTE, NOW, SECOND

from ringback.core.errors import StoreFull
from ringback.core.model import AttemptOutcome, Change, DeliveryState
from ringback.core.retry import Outcome, Policy
from ringback.core.routing import Routes
from ringback.store.base import DeliveryQuery


async def deliveries(daemon, **query) -> list:
    """All deliveries, the oldest first."""
    return (await daemon.store.deliveries(DeliveryQuery(**query))).items[::-1]


async def states(daemon) -> list[tuple[str, str]]:
    """What was owed and what became of it."""
    return [(item.event_type.value, item.state.value) for item in await deliveries(daemon)]


async def follow(daemon, upstream, clock, *words: object, task_id: str = "t", **fields):
    """Register a task and poll it through these words, without delivering."""
    upstream.says(task_id, *words)
    watch = await daemon.register(task_id, **fields)
    for _ in words:
        await daemon.poll()
        clock.turn(6 * SECOND)
    return watch


async def test_every_change_is_delivered_in_order_once(daemon, upstream, clock, mailbox):
    """Queued, running, succeeded; the callback gets the last alone."""
    daemon.configure({"builds": mailbox()})
    await follow(daemon, upstream, clock, "queue", "running", "finished", callback_url="http://127.0.0.1:9/x")
    await daemon.deliver()
    assert daemon.mailboxes["builds"].types == ["task.queued", "task.running", "task.succeeded"]
    assert daemon.callbacks.types == ["task.succeeded"]
    assert {state for _, state in await states(daemon)} == {"delivered"}


async def test_a_failed_attempt_is_tried_when_it_is_due_and_not_before(daemon, upstream, clock, mailbox):
    """The attempts are numbered and kept."""
    daemon.configure({"builds": mailbox(503, 500, 200)})
    await follow(daemon, upstream, clock, "finished")
    box = daemon.mailboxes["builds"]
    await daemon.deliver()
    next_at = await daemon.deliver()
    assert (len(box.got), next_at) == (1, clock.now() + 5 * SECOND)
    clock.turn(5 * SECOND)
    await daemon.deliver()
    clock.turn(15 * SECOND)
    await daemon.deliver()
    (delivery,) = await deliveries(daemon)
    _, attempts = await daemon.store.delivery(delivery.id)
    assert [(attempt.number, attempt.status) for attempt in attempts] == [(1, 503), (2, 500), (3, 200)]
    assert [message.attempt for message in box.got] == [1, 2, 3]
    assert delivery.state is DeliveryState.DELIVERED


async def test_a_newer_event_waits_for_an_older_one_that_may_still_come(daemon, upstream, clock, mailbox):
    """One lane, one at a time: nothing overtakes while an attempt is under way."""
    box = mailbox()
    daemon.configure({"builds": box})
    await follow(daemon, upstream, clock, "queue")
    gate, send = asyncio.Event(), box.send

    async def slow(messages, now):
        await gate.wait()
        return await send(messages, now)

    box.send = slow
    await daemon.dispatcher.tick()
    upstream.says("t", "finished")
    await daemon.poll()
    await daemon.dispatcher.tick()
    assert len(daemon.dispatcher._in_flight) == 1
    gate.set()
    await daemon.deliver()
    assert box.types == ["task.queued", "task.succeeded"]


async def test_a_passing_event_that_failed_is_superseded_at_once_by_a_newer_one(daemon, upstream, clock, mailbox):
    """The final event does not wait for the older one's schedule."""
    daemon.configure({"builds": mailbox(503, 200)})
    await follow(daemon, upstream, clock, "running")
    await daemon.deliver()
    upstream.says("t", "finished")
    await daemon.poll()
    await daemon.deliver()
    assert await states(daemon) == [("task.running", "superseded"), ("task.succeeded", "delivered")]
    assert daemon.mailboxes["builds"].types == ["task.running", "task.succeeded"]


async def test_retry_after_holds_the_whole_destination_and_nobody_else(daemon, upstream, clock, mailbox):
    """In full; what was held back and is passed over by a newer event is superseded, never a final one."""
    patience = Outcome(
        outcome=AttemptOutcome.FAILED, status=429, message="429", throttled=True, retry_after=timedelta(minutes=2)
    )
    daemon.configure({"busy": mailbox(patience, 200), "builds": mailbox()})
    await follow(daemon, upstream, clock, "finished", task_id="first")
    await daemon.deliver()
    await follow(daemon, upstream, clock, "queue", "running", "finished", task_id="second")
    await daemon.deliver()
    assert daemon.mailboxes["busy"].types == ["task.succeeded"]
    assert len(daemon.mailboxes["builds"].got) == 4
    clock.turn(1 * MINUTE)
    await daemon.deliver()
    assert len(daemon.mailboxes["busy"].got) == 1
    clock.turn(2 * MINUTE)
    await daemon.deliver()
    assert daemon.mailboxes["busy"].types == ["task.succeeded", "task.succeeded", "task.succeeded"]
    busy = await deliveries(daemon, destination="busy")
    assert [item.state.value for item in busy] == ["delivered", "superseded", "superseded", "delivered"]


async def test_a_dead_destination_delays_nobody(daemon, upstream, clock, mailbox):
    """It may hold its own concurrency of attempts, no more."""
    dead, well = mailbox(), mailbox()
    gate = asyncio.Event()

    async def hang(messages, now):
        await gate.wait()
        return await mailbox(503).send(messages, now)

    dead.send = hang
    daemon.configure({"dead": dead, "well": well}, concurrency=2)
    for index in range(10):
        await follow(daemon, upstream, clock, "finished", task_id=f"t{index}")
    for _ in range(12):
        await daemon.dispatcher.tick()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(well.got) == 10
    assert len(daemon.dispatcher._in_flight) == 2
    gate.set()
    await daemon.dispatcher.drain()


async def test_one_origin_of_callbacks_takes_eight_attempts_at_once(daemon, upstream, clock, mailbox):
    """However many it is owed: another origin goes first come, first served beside it."""
    slow, gate = mailbox(), asyncio.Event()

    async def hang(messages, now):
        slow.got.extend(messages)
        await gate.wait()
        return await mailbox().send(messages, now)

    slow.send = hang
    daemon.dispatcher.callback_sink = lambda callback: slow if "slow" in callback.url else daemon.callbacks
    for number in range(300):
        upstream.says(f"s{number}", "finished")
        await daemon.register(f"s{number}", callback_url="http://slow.example/x")
    upstream.says("w", "finished")
    await daemon.register("w", callback_url="http://well.example/x")
    while (await daemon.store.stats()).watches.get("succeeded", 0) < 301:
        await daemon.poll()
    for _ in range(4):
        await daemon.dispatcher.tick()
        await asyncio.sleep(0)
    assert len(slow.got) == 8
    assert len(daemon.callbacks.got) == 1
    gate.set()
    await daemon.dispatcher.drain()


async def test_a_callback_that_is_gone_is_dropped_and_what_it_is_owed_discarded(daemon, upstream, clock, mailbox):
    """410: with that reason; the watch goes on."""
    daemon.callbacks = mailbox(410)
    daemon.build()
    watch = await follow(
        daemon, upstream, clock, "queue", "running", callback_url="http://127.0.0.1:9/x", events=["task.*"]
    )
    await daemon.deliver()
    assert (await daemon.store.watch(watch.id)).callbacks == ()
    assert await states(daemon) == [("task.queued", "discarded"), ("task.running", "discarded")]
    assert all("410" in item.reason for item in await deliveries(daemon))
    assert len(daemon.callbacks.got) == 1


async def test_what_a_removed_destination_is_owed_is_discarded_with_that_reason(daemon, upstream, clock, mailbox):
    """Not kept for ever, not sent elsewhere."""
    daemon.configure({"builds": mailbox(503)})
    await follow(daemon, upstream, clock, "finished")
    await daemon.deliver()
    daemon.destinations.agree({}, Routes())
    clock.turn(5 * SECOND)
    await daemon.deliver()
    (delivery,) = await deliveries(daemon)
    assert delivery.reason == "destination 'builds' was removed from the configuration"


async def test_a_passing_event_gives_up_after_ten_minutes_and_the_final_one_goes_on(daemon, upstream, clock, mailbox):
    """Unless `retry` says otherwise."""
    daemon.configure({"builds": mailbox(500)})
    await follow(daemon, upstream, clock, "running")
    await daemon.until(15 * MINUTE, step=5 * SECOND, do=daemon.deliver)
    assert await states(daemon) == [("task.running", "discarded")]
    upstream.says("t", "finished")
    await daemon.poll()
    await daemon.until(2 * HOUR, step=MINUTE, do=daemon.deliver)
    assert (await states(daemon))[1] == ("task.succeeded", "pending")


async def test_a_destinations_own_schedule_is_used(daemon, upstream, clock, mailbox):
    """Two waits, three attempts."""
    daemon.configure({"builds": mailbox(500)}, policy=Policy((SECOND, SECOND)))
    await follow(daemon, upstream, clock, "finished")
    await daemon.until(10 * SECOND, step=SECOND, do=daemon.deliver)
    assert len(daemon.mailboxes["builds"].got) == 3
    assert await states(daemon) == [("task.succeeded", "discarded")]


async def test_an_attempt_that_a_full_store_cannot_keep_is_kept_when_space_returns(
    daemon, upstream, clock, mailbox, monkeypatch
):
    """The event is not sent twice for it."""
    daemon.configure({"builds": mailbox()})
    await follow(daemon, upstream, clock, "finished")
    settle, refusals = daemon.store.settle, [StoreFull("no space is left")] * 3

    async def refuse(settlement):
        if refusals:
            raise refusals.pop()
        await settle(settlement)

    monkeypatch.setattr(daemon.store, "settle", refuse)
    monkeypatch.setattr("ringback.dispatcher.FULL_AGAIN_S", 0)
    await daemon.deliver()
    assert len(daemon.mailboxes["builds"].got) == 1
    assert await states(daemon) == [("task.succeeded", "delivered")]


async def test_a_sink_that_fails_unforeseen_is_reported_and_the_lease_brings_it_back(daemon, upstream, clock, mailbox):
    """Nothing is lost, nobody else waits."""
    box = mailbox()
    daemon.configure({"builds": box})
    await follow(daemon, upstream, clock, "finished")
    send = box.send

    async def broken(messages, now):
        raise ValueError("a bug")

    box.send = broken
    await daemon.deliver()
    assert [str(error) for error in daemon.reports] == ["a bug"]
    box.send = send
    await daemon.deliver()
    assert box.got == []
    clock.turn(3 * MINUTE)
    await daemon.deliver()
    assert box.types == ["task.succeeded"]


async def test_a_handle_is_kept_for_the_lane(daemon, upstream, clock, mailbox):
    """What a sink leaves behind for one watch and destination comes back with its next event."""
    box = mailbox()
    send = box.send

    async def with_handle(messages, now):
        sent = await send(messages, now)
        return given.msgspec.structs.replace(sent, handle=f"ts-{len(box.got)}")

    box.send = with_handle
    daemon.configure({"builds": box})
    await follow(daemon, upstream, clock, "queue", "running")
    await daemon.deliver()
    await follow(daemon, upstream, clock, "queue", task_id="other")
    await daemon.deliver()
    assert [message.handle for message in box.got] == [None, "ts-1", None]


@pytest.mark.parametrize("by", [timedelta(days=-1), timedelta(days=1)])
async def test_a_step_of_the_wall_clock_moves_what_is_due_with_it(daemon, upstream, clock, mailbox, by):
    """What was due in five seconds still is; nothing fires twice."""
    patience = Outcome(
        outcome=AttemptOutcome.FAILED, status=429, message="429", throttled=True, retry_after=timedelta(minutes=2)
    )
    daemon.configure({"builds": mailbox(503, 200), "busy": mailbox(patience, patience, 200)})
    watch = await follow(daemon, upstream, clock, "finished", task_id="done")
    upstream.says("t", "running")
    await daemon.register("t", deadline="2h")
    await daemon.poll()
    await daemon.deliver()
    clock.turn(by)
    await daemon.store.shift(by)
    for part in (daemon.accounts, daemon.poller, daemon.destinations):
        part.shift(by)
    asked = len(upstream.asked)
    clock.turn(4 * SECOND)
    await daemon.poll()
    await daemon.deliver()
    assert len(upstream.asked) == asked
    clock.turn(2 * SECOND)
    await daemon.poll()
    await daemon.deliver()
    assert upstream.asked[asked:] == ["t"]
    assert [item.state.value for item in await deliveries(daemon, watch=watch.id, destination="builds")] == [
        "delivered"
    ]
    assert len(daemon.mailboxes["busy"].got) == 2
    clock.turn(3 * MINUTE)
    await daemon.deliver()
    assert len(daemon.mailboxes["busy"].got) == 4
    assert (await daemon.store.watch((await daemon.register("t")).id)).deadline_at > clock.now() + HOUR


async def test_a_change_with_no_watch_is_told_to_whom_it_concerns(daemon, mailbox):
    """An event about ourselves is owed and sent like any other."""
    daemon.configure({"team": mailbox()})
    await daemon.store.commit(Change(events=(given.event(),), deliveries=(given.delivery(destination="team"),)))
    daemon.clock.time = NOW + SECOND
    await daemon.deliver()
    assert len(daemon.mailboxes["team"].got) == 1
