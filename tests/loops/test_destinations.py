"""The pipeline behind a destination: release, pause, resume, rates, digests, resending."""

from __future__ import annotations

from datetime import timedelta

import pytest
from given import HOUR, MINUTE, SECOND
from msgspec.structs import replace

from ringback.core.errors import BadInput, Conflict, UnknownName
from ringback.core.model import AttemptOutcome, DeliveryState
from ringback.core.retry import Outcome
from ringback.core.routing import Routes
from ringback.registration import Caller
from ringback.store.base import DeliveryQuery, EventQuery

DAY = 24 * HOUR


async def finished(daemon, upstream, *task_ids: str, **fields) -> None:
    """Tasks that are over at their first poll, one after another."""
    for task_id in task_ids:
        upstream.says(task_id, "finished")
        await daemon.register(task_id, **fields)
        await daemon.poll()
        daemon.clock.turn(SECOND)


def tasks(box) -> list[str]:
    """Whose events a mailbox got, in order."""
    return [message.event.data.task_id for message in box.got]


async def events(daemon, glob: str) -> list[str]:
    """The types of recorded events that a glob names."""
    return [event.type.value for event in (await daemon.store.events(EventQuery(type=glob))).items]


async def states(daemon, **query) -> list[str]:
    """What became of each delivery, the oldest first."""
    return [
        item.state.value for item in (await daemon.store.deliveries(DeliveryQuery(limit=1000, **query))).items[::-1]
    ]


async def test_the_first_success_after_failures_releases_the_whole_queue_in_order(daemon, upstream, clock, mailbox):
    """Whatever their own schedules say; one at a time, at a capped rate."""
    box = mailbox(500)
    daemon.configure({"builds": box})
    names = [f"t{number:03}" for number in range(120)]
    await finished(daemon, upstream, *names)
    await daemon.deliver()
    clock.turn(6 * SECOND)
    await daemon.deliver()
    clock.turn(16 * SECOND)
    await daemon.deliver()
    box.outcomes, box.got = mailbox(200).outcomes, []
    clock.turn(MINUTE + 15 * SECOND)
    before = clock.now()
    while len(box.got) < 120:
        await daemon.deliver()
        clock.turn(timedelta(milliseconds=50))
    assert tasks(box) == names
    assert 1.5 < (clock.now() - before).total_seconds() < 6
    assert set(await states(daemon)) == {"delivered"}


async def test_410_pauses_a_configured_destination_and_keeps_its_queue(daemon, upstream, clock, mailbox):
    """The delivery that met it, too; whoever takes destination.* hears once; resuming replays in order."""
    box, team = mailbox(410), mailbox()
    daemon.configure({"builds": box, "team": team})
    daemon.destinations.agree(daemon.destinations.channels, _telling(team="*", builds="task.*"))
    await finished(daemon, upstream, "a", "b", "c")
    await daemon.deliver()
    assert (await daemon.destinations.listing())[0].state == "paused"
    clock.turn(DAY)
    await daemon.deliver()
    assert len(box.got) <= 3
    assert await states(daemon, destination="builds") == ["pending"] * 3
    assert await events(daemon, "destination.*") == ["destination.paused"]
    box.outcomes, box.got = mailbox(200).outcomes, []
    await daemon.destinations.resume("builds", clock.now())
    for _ in range(10):
        await daemon.deliver()
        clock.turn(timedelta(milliseconds=50))
    assert tasks(box) == ["a", "b", "c"]
    assert await events(daemon, "destination.*") == ["destination.paused", "destination.resumed"]
    (builds, _) = await daemon.destinations.listing()
    assert (builds.state, builds.pending, builds.reason) == ("active", 0, None)


def _telling(**globs: str) -> Routes:
    return Routes({name: (glob,) for name, glob in globs.items()})


async def test_five_days_of_failures_pause_it_also_across_a_restart(daemon, upstream, clock, mailbox):
    """Not four; a success in between starts anew."""
    box = mailbox(500)
    daemon.configure({"builds": box})
    await finished(daemon, upstream, "a")
    await daemon.until(3 * DAY, step=HOUR, do=daemon.deliver)
    daemon.configure({"builds": box})
    await daemon.destinations.remember()
    await finished(daemon, upstream, "b")
    await daemon.until(47 * HOUR, step=HOUR, do=daemon.deliver)
    assert (await daemon.destinations.listing())[0].state == "active"
    await finished(daemon, upstream, "c")
    await daemon.until(6 * HOUR, step=HOUR, do=daemon.deliver)
    (status,) = await daemon.destinations.listing()
    assert (status.state, status.reason) == ("paused", "answered 500")
    daemon.configure({"builds": box})
    await daemon.destinations.remember()
    tries = len(box.got)
    await daemon.until(DAY, step=HOUR, do=daemon.deliver)
    assert len(box.got) == tries


async def test_a_success_ends_the_failing(daemon, upstream, clock, mailbox):
    """Four days, a success, four days more: not paused."""
    box = mailbox(500)
    daemon.configure({"builds": box})
    await finished(daemon, upstream, "a")
    await daemon.until(2 * DAY, step=HOUR, do=daemon.deliver)
    box.outcomes = mailbox(200).outcomes
    await finished(daemon, upstream, "b")
    await daemon.until(HOUR, step=MINUTE, do=daemon.deliver)
    box.outcomes = mailbox(500).outcomes
    await finished(daemon, upstream, "c")
    await daemon.until(3 * DAY + 12 * HOUR, step=HOUR, do=daemon.deliver)
    assert (await daemon.destinations.listing())[0].state == "active"


async def test_pausing_by_hand_keeps_all_and_supersedes_only_what_is_passing(daemon, upstream, clock, mailbox):
    """After resuming, the newest passing event of a watch is enough; final ones all come."""
    box = mailbox()
    daemon.configure({"builds": box})
    await daemon.destinations.pause("builds", clock.now())
    await daemon.destinations.pause("builds", clock.now())
    upstream.says("t", "queue", "running", "finished")
    await daemon.register("t")
    for _ in range(3):
        await daemon.poll()
        clock.turn(6 * SECOND)
    await finished(daemon, upstream, "u")
    await daemon.deliver()
    assert box.got == []
    await daemon.destinations.resume("builds", clock.now())
    for _ in range(5):
        await daemon.deliver()
        clock.turn(SECOND)
    assert [(message.event.data.task_id, message.event.type.value) for message in box.got] == [
        ("t", "task.succeeded"),
        ("u", "task.succeeded"),
    ]
    assert await states(daemon) == ["superseded", "superseded", "delivered", "delivered"]
    with pytest.raises(UnknownName, match="Did you mean 'builds'"):
        await daemon.destinations.pause("build", clock.now())


async def test_ten_thousand_that_piled_up_drain_in_order_at_the_capped_rate(daemon, upstream, clock, mailbox):
    """After a pause, fifty a second."""
    box = mailbox()
    daemon.configure({"builds": box})
    await daemon.destinations.pause("builds", clock.now())
    names = [f"t{number:05}" for number in range(2000)]
    for name in names:
        upstream.says(name, "finished")
        await daemon.register(name)
        clock.turn(timedelta(milliseconds=1))
    while (await daemon.store.stats()).watches.get("succeeded") != len(names):
        await daemon.poll()
    await daemon.destinations.resume("builds", clock.now())
    began = clock.now()
    while len(box.got) < len(names):
        await daemon.deliver()
        clock.turn(timedelta(milliseconds=20))
    assert tasks(box) == sorted(tasks(box))
    assert 0.9 < 50 * (clock.now() - began).total_seconds() / len(names) < 1.2


async def test_no_more_origins_of_callbacks_are_known_than_so_many(daemon, clock, monkeypatch):
    """Also when nothing but failures is known of them."""
    monkeypatch.setattr("ringback.destinations.GROUPS_KEPT", 20)
    failed = Outcome(outcome=AttemptOutcome.FAILED, status=503)
    for number in range(50):
        daemon.destinations.began(f"http://{number}.test")
        await daemon.destinations.concluded(f"http://{number}.test", failed, clock.now(), 0.5)
        daemon.destinations.ended(f"http://{number}.test")
        assert len(daemon.destinations.limits(clock.now())) <= 20
    assert "http://49.test" in daemon.destinations.limits(clock.now())


async def test_a_destinations_rate_is_kept_and_holds_up_nobody_else(daemon, upstream, clock, mailbox):
    """One a second."""
    slow, well = mailbox(), mailbox()
    daemon.configure({"slow": slow, "well": well})
    channels = dict(daemon.destinations.channels)
    channels["slow"] = type(channels["slow"])(sink=slow, per_second=1.0)
    daemon.destinations.agree(channels, daemon.poller.terms.rules.routes)
    await finished(daemon, upstream, *[f"t{number}" for number in range(30)])
    await daemon.deliver()
    before = len(slow.got)
    assert len(well.got) == 30
    await daemon.until(10 * SECOND, step=timedelta(milliseconds=100), do=daemon.deliver)
    assert 9 <= len(slow.got) - before <= 11


async def test_a_digest_collects_what_comes_and_sends_it_as_one(daemon, upstream, clock, mailbox):
    """So long after the first was owed; every delivery is settled by it."""
    box = mailbox()
    daemon.configure({"team": box}, gathers=True, digest=15 * MINUTE)
    daemon.poller.terms = _with_delay(daemon.poller.terms, "team", 15 * MINUTE)
    await finished(daemon, upstream, "a", "b", "c")
    clock.turn(14 * MINUTE)
    await daemon.deliver()
    assert box.got == []
    clock.turn(MINUTE)
    await daemon.deliver()
    assert tasks(box) == ["a", "b", "c"]
    assert set(await states(daemon)) == {"delivered"}
    await finished(daemon, upstream, "d")
    await daemon.deliver()
    assert len(box.got) == 3


def _with_delay(terms, name: str, delay: timedelta):
    routes = replace(terms.rules.routes, delays={name: delay})
    return replace(terms, rules=replace(terms.rules, routes=routes))


async def test_a_digest_of_too_many_takes_the_longest_owed_first(daemon, upstream, clock, mailbox):
    """Nothing is overtaken: what does not fit comes with the next one."""
    box = mailbox()
    daemon.configure({"team": box}, gathers=True, digest=MINUTE)
    names = [f"t{number:04}" for number in range(1100)]
    for name in names:
        upstream.says(name, "finished")
        await daemon.register(name)
        clock.turn(timedelta(milliseconds=1))
    while (await daemon.store.stats()).watches.get("succeeded") != len(names):
        await daemon.poll()
    owed = (await daemon.store.deliveries(DeliveryQuery(limit=1000))).items
    assert len(owed) == 1000
    await daemon.dispatcher.tick()
    await daemon.dispatcher.drain()
    assert tasks(box) == names[:500]
    await daemon.deliver()
    assert tasks(box) == names


async def test_more_than_its_rate_becomes_a_digest_by_itself(daemon, upstream, clock, mailbox):
    """Twenty mails a minute, then one for all the rest."""
    box = mailbox()
    sends: list[int] = []
    send = box.send

    async def counted(messages, now):
        sends.append(len(messages))
        return await send(messages, now)

    box.send = counted
    daemon.configure({"team": box}, gathers=True, per_second=20 / 60)
    for number in range(100):
        upstream.says(f"t{number}", "finished")
        await daemon.register(f"t{number}")
    await daemon.poll()
    await daemon.poll()
    await daemon.until(10 * SECOND, step=timedelta(milliseconds=500), do=daemon.deliver)
    assert sum(sends) == 100
    assert sends[:19] == [1] * 19
    assert len(sends) <= 22


async def test_a_settled_delivery_is_resent_and_goes_on_counting_its_attempts(daemon, upstream, clock, mailbox):
    """The same event with the same id; a pending one is a conflict."""
    box = mailbox(413)
    daemon.configure({"builds": box})
    await finished(daemon, upstream, "t")
    await daemon.deliver()
    (delivery,) = (await daemon.store.deliveries(DeliveryQuery())).items
    assert delivery.state is DeliveryState.DISCARDED
    box.outcomes = mailbox(200).outcomes
    again = await daemon.intake.resend(delivery.id)
    assert again.state is DeliveryState.PENDING
    with pytest.raises(Conflict):
        await daemon.intake.resend(delivery.id)
    await daemon.deliver()
    found, attempts = await daemon.store.delivery(delivery.id)
    assert (found.state, [attempt.number for attempt in attempts]) == (DeliveryState.DELIVERED, [1, 2])
    assert len({message.event.id for message in box.got}) == 1
    with pytest.raises(UnknownName):
        await daemon.intake.resend("dlv_none")


async def test_many_are_resent_by_state_destination_and_time(daemon, upstream, clock, mailbox):
    """At least one of them has to be said; owners resend only their own."""
    daemon.configure({"builds": mailbox(413), "team": mailbox()})
    await finished(daemon, upstream, "old")
    await daemon.deliver()
    clock.turn(3 * HOUR)
    await finished(daemon, upstream, "new")
    await daemon.deliver()
    with pytest.raises(BadInput):
        await daemon.intake.resend_many()
    mine = Caller("ci", "own")
    assert await daemon.intake.resend_many(state=DeliveryState.DISCARDED, caller=mine) == 0
    since = clock.now() - 2 * HOUR
    assert await daemon.intake.resend_many(state=DeliveryState.DISCARDED, since=since) == 1
    assert await daemon.intake.resend_many(destination="team") == 2
    assert await daemon.intake.resend_many(state=DeliveryState.DISCARDED) == 1


async def test_a_test_event_says_that_it_is_one_and_leaves_no_trace(daemon, mailbox):
    """Sent once, now, in the true shape."""
    box = mailbox(503)
    daemon.configure({"builds": box})
    outcome = await daemon.dispatcher.test("builds")
    assert outcome.status == 503
    assert box.got[0].event.data.metadata == {"ringback": "test"}
    assert await events(daemon, "*") == []
    with pytest.raises(UnknownName):
        await daemon.dispatcher.test("nobody")
