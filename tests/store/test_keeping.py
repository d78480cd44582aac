"""When an entry counts: not before it is durable, and then whatever becomes of who waits for it."""

import asyncio
import os

import given
import pytest
from msgspec.structs import replace

from ringback.core.errors import Stale, StoreBroken, StoreError
from ringback.core.model import Change, WatchState
from ringback.core.routing import Routes
from ringback.store import journal as journal_module
from ringback.store.base import DeliveryQuery, EventQuery, WatchQuery
from ringback.store.journal import JournalStore
from tests.store import steps
from tests.store.files import Facts, Gate, crashed, journal, segments

NOW = given.NOW


@pytest.fixture
def disk(monkeypatch):
    """The fdatasync of the journal, which can be held up."""
    gate = Gate(os.fdatasync)
    monkeypatch.setattr(os, "fdatasync", gate)
    yield gate
    gate.open()


async def _waiting(disk, *entries):
    """Tasks that wait for the disk."""
    disk.shut()
    tasks = [asyncio.create_task(entry) for entry in entries]
    await asyncio.to_thread(disk.met.wait)
    return tasks


async def test_nothing_is_seen_before_it_is_durable(tmp_path, disk):
    """Neither read, nor claimed, nor counted, nor told, while the disk has not said yes."""
    async with journal(tmp_path) as store:
        watch = await steps.follow(store)
        told = []
        store.listen(told.append)
        change = steps.moved(watch, "succeeded")
        tasks = await _waiting(disk, store.commit(change))
        assert await store.watch(watch.id) == watch
        assert await store.event(change.events[0].id) is None
        assert (await store.events(EventQuery())).items == []
        assert (await store.deliveries(DeliveryQuery())).items == []
        assert await steps.owed(store, NOW) == []
        assert (await store.stats()).watches == {"pending": 1}
        assert told == []
        assert not tasks[0].done()
        disk.open()
        await asyncio.gather(*tasks)
        assert await store.watch(watch.id) == change.watch
        assert told == [change]


async def _refused(disk, *verbs) -> None:
    """Each is Stale, and is told so only when what it met is durable: reading again before would find the old state."""
    tasks = [asyncio.create_task(verb) for verb in verbs]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    disk.open()
    assert [type(result) for result in await asyncio.gather(*tasks, return_exceptions=True)] == [Stale] * len(tasks)


async def test_what_is_queued_makes_others_stale(tmp_path, disk):
    """A second decision on what is being written is refused: on a watch, on a delivery, on a new watch."""
    async with journal(tmp_path) as store:
        watch = await steps.follow(store, "queued")
        delivery = (await steps.owed(store, NOW))[0].delivery
        entries = [
            lambda: store.commit(steps.moved(watch, "running")),
            lambda: store.settle(steps.settlement(delivery)),
            lambda: store.commit(Change(watch=given.watch("new"))),
        ]
        tasks = await _waiting(disk, *(entry() for entry in entries))
        await asyncio.sleep(0)
        await _refused(disk, *(entry() for entry in entries), store.commit(Change(deliveries=(delivery,))))
        await asyncio.gather(*tasks)
        assert (await store.watch(watch.id)).state is WatchState.RUNNING


async def test_what_is_being_changed_is_not_forgotten(tmp_path, disk):
    """A watch that is over is reopened while retention passes: it stays."""
    async with journal(tmp_path) as store:
        over = await steps.follow(store, "succeeded", to=Routes())
        opened = replace(over, state=WatchState.PENDING, version=over.version + 1, next_poll_at=NOW)
        tasks = await _waiting(disk, store.commit(Change(watch=opened)))
        assert await store.prune(NOW + given.HOUR, 0, (), 10) == 0
        disk.open()
        await asyncio.gather(*tasks)
        assert await store.watch(over.id) == opened


async def test_what_is_being_forgotten_is_not_changed(tmp_path, disk):
    """A decision on a watch that retention has taken is Stale: who reads again finds it gone."""
    async with journal(tmp_path) as store:
        over = await steps.follow(store, "succeeded")
        delivery = steps.settlement((await steps.owed(store, NOW))[0].delivery)
        await store.settle(delivery)
        tasks = await _waiting(disk, store.prune(NOW + given.HOUR, 0, (), 10))
        await _refused(
            disk,
            store.commit(Change(watch=replace(over, version=over.version + 1))),
            store.commit(Change(deliveries=(steps.anew(delivery.delivery),))),
        )
        assert await asyncio.gather(*tasks) == [1]
        assert await store.watch(over.id) is None


async def test_what_was_decided_before_a_step_of_the_clock_is_stale(tmp_path, disk):
    """While the step is written too; a watch that is new meanwhile is kept."""
    async with journal(tmp_path) as store:
        watch = await steps.follow(store, "queued")
        tasks = await _waiting(disk, store.shift(given.HOUR))
        tasks.append(asyncio.create_task(store.commit(Change(watch=given.watch("new")))))
        await _refused(disk, store.commit(steps.moved(watch, "running")))
        await asyncio.gather(*tasks)
        shifted = await store.watch(watch.id)
        assert shifted.deadline_at == watch.deadline_at + given.HOUR
        await store.commit(steps.moved(shifted, "running"))


async def test_who_does_not_wait_any_more_loses_nothing(tmp_path, disk):
    """A cancelled commit was queued: it is kept, in order, once."""
    async with journal(tmp_path / "data") as store:
        watch = await steps.follow(store)
        change = steps.moved(watch, "running")
        tasks = await _waiting(disk, store.commit(change), store.commit(Change(watch=given.watch("other"))))
        tasks[0].cancel()
        disk.open()
        assert [type(result) for result in await asyncio.gather(*tasks, return_exceptions=True)] == [
            asyncio.CancelledError,
            type(None),
        ]
        assert await store.watch(watch.id) == change.watch
        await store.commit(steps.moved(change.watch, "succeeded"))
    async with journal(tmp_path / "data") as store:
        assert (await store.watch(watch.id)).state is WatchState.SUCCEEDED
        assert len((await store.watches(WatchQuery())).items) == 2


async def test_many_commits_share_one_sync(tmp_path, disk):
    """What waits while the disk is busy is one batch."""
    async with journal(tmp_path) as store:
        tasks = await _waiting(disk, *(store.commit(Change(watch=given.watch(f"a-{n}"))) for n in range(200)))
        before = disk.calls
        disk.open()
        await asyncio.gather(*tasks)
        assert disk.calls - before <= 2
        assert (await store.stats()).watches == {"pending": 200}


async def test_the_queue_has_an_end(tmp_path, disk, monkeypatch):
    """Who comes when it is full waits outside, and is served when there is room; who gives up there leaves no trace."""
    monkeypatch.setattr(journal_module, "QUEUE", 2)
    async with journal(tmp_path) as store:
        tasks = await _waiting(disk, *(store.commit(Change(watch=given.watch(f"a-{n}"))) for n in range(5)))
        assert len(store._in_flight.touched) == 2
        tasks[4].cancel()
        disk.open()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert {watch.task_id for watch in (await store.watches(WatchQuery())).items} == {"a-0", "a-1", "a-2", "a-3"}
        await store.commit(Change(watch=given.watch("after")))


async def test_closing_finishes_what_is_queued(tmp_path, disk):
    """Who was let in before the end is answered; who comes after it is refused in a sentence."""
    store = JournalStore(tmp_path)
    await store.open(NOW)
    tasks = await _waiting(disk, store.commit(Change(watch=given.watch())))
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match="is closed"):
        await store.commit(Change(watch=given.watch("late")))
    disk.open()
    await asyncio.gather(closing, *tasks)
    async with journal(tmp_path) as again:
        assert [watch.task_id for watch in (await again.watches(WatchQuery())).items] == ["task-1"]


async def test_a_store_that_is_not_open_says_so(tmp_path):
    """Before it is opened and after it is closed; closing twice is fine."""
    store = JournalStore(tmp_path)
    with pytest.raises(StoreError, match="is not open"):
        await store.commit(Change(watch=given.watch()))
    await store.open(NOW)
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="is closed"):
        await store.probe()
    await store.open(NOW)
    await store.probe()
    await store.close()


async def test_what_was_acknowledged_survives_a_crash_at_any_time(tmp_path, disk):
    """Acknowledged: there. Not acknowledged: there whole or not at all."""
    async with journal(tmp_path / "live") as store:
        watch = await steps.follow(store, "queued")
        change = steps.moved(watch, "succeeded")
        tasks = await _waiting(disk, store.commit(change))
        image = crashed(tmp_path / "live", tmp_path / "image")
        disk.open()
        await asyncio.gather(*tasks)
    async with journal(image) as store:
        found = await store.watch(watch.id)
        assert found in (watch, change.watch)
        assert (await store.event(change.events[0].id) is not None) == (found == change.watch)


async def test_commits_are_timed(tmp_path):
    """Each durable entry is observed once, in seconds."""
    observed = []
    async with journal(tmp_path, observe_commit=observed.append) as store:
        await steps.follow(store, "queued")
    assert len(observed) == 2
    assert all(0 <= seconds < 60 for seconds in observed)


async def test_a_listener_that_fails_breaks_nothing(tmp_path):
    """Its error goes to the loop; the commit is kept and answered."""
    met = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: met.append(context["exception"]))
    async with journal(tmp_path) as store:
        store.listen(lambda _: 1 / 0)
        await steps.follow(store)
        assert await store.watch(given.watch().id) is not None
    assert [type(error) for error in met] == [ZeroDivisionError]


async def test_an_entry_that_cannot_be_applied_ends_the_store(tmp_path, monkeypatch):
    """Memory and journal would not agree any more: nothing is kept after that, and somebody is told."""
    facts = Facts()
    async with journal(tmp_path, report=facts) as store:
        watch = await steps.follow(store)
        monkeypatch.setattr(store.table, "apply", lambda *_: {}["bug"])
        with pytest.raises(StoreBroken, match="could not be applied"):
            await store.commit(steps.moved(watch, "queued"))
        with pytest.raises(StoreBroken):
            await store.commit(Change(watch=given.watch("other")))
    assert facts.names == ["store_broken"]


async def test_a_writer_that_fails_of_a_bug_answers_everybody(tmp_path, monkeypatch):
    """Nobody waits for ever."""
    facts = Facts()
    async with journal(tmp_path, report=facts) as store:
        monkeypatch.setattr(os, "fdatasync", lambda _: {}["bug"])
        results = await asyncio.gather(
            *(store.commit(Change(watch=given.watch(f"a-{n}"))) for n in range(3)), return_exceptions=True
        )
        assert [type(result) for result in results] == [StoreBroken] * 3
    assert facts.names == ["store_broken"]
    assert len(segments(tmp_path)) == 1
