"""Compaction: the same state from less, without losing the way back."""

import asyncio
import errno
import os

import given
import pytest

from ringback.core.advance import about_ourselves
from ringback.core.errors import StoreBroken, StoreDamaged
from ringback.core.model import AccountData, Answer, Change, EventType, Watch
from ringback.core.routing import Routes
from ringback.store import disk
from ringback.store.base import DeliveryQuery, EventQuery, WatchQuery
from ringback.store.snapshot import Snapshot
from ringback.store.tail import Tail
from tests.store import steps
from tests.store.files import Facts, Gate, crashed, journal, lines, results, segments, snapshots

NOW = given.NOW
ANSWER = Answer(status=200, body=b"{}")


async def _state(store):
    """All that can be read."""
    events = (await store.events(EventQuery(limit=1000))).items
    deliveries = (await store.deliveries(DeliveryQuery(limit=1000))).items
    watches = (await store.watches(WatchQuery(limit=1000))).items
    return {
        "watches": watches,
        "events": events,
        "deliveries": [await store.delivery(delivery.id) for delivery in deliveries],
        "answers": [await store.answer(watch.id) for watch in watches],
        "marks": await store.marks(),
        "laws": await store.laws("302ai-browser"),
        "stats": await store.stats(),
        "handles": dict(store.table.handles),
        "over": dict(store.table.over),
        "watch_at": await store.next_watch_at(()),
        "delivery_at": await store.next_delivery_at(()),
    }


async def _lived_in(store):
    """Something of everything."""
    for number in range(5):
        await steps.follow(store, "queued", of=given.watch(f"task-{number}"), at=NOW + number * given.SECOND)
    watch = await steps.follow(
        store,
        "running",
        "succeeded",
        of=given.watch("done"),
        at=NOW + 9 * given.SECOND,
        details=given.document(steps.LARGE),
    )
    for number, took in enumerate((20.5, 300.25, 0.1)):
        over = await steps.follow(store, of=given.watch(f"over-{number}"))
        await store.commit(steps.ended(over, took * given.SECOND))
    for one in await steps.owed(store, NOW + given.HOUR):
        await store.settle(steps.settlement(one.delivery))
    await store.settle(
        steps.replace(steps.settlement((await steps.owed(store, NOW + given.HOUR))[0].delivery), handle="1.23")
    )
    ours = about_ourselves(
        steps.mark(since=NOW + given.HOUR),
        AccountData("302ai", None, 3),
        EventType.PROVIDER_DEGRADED,
        Routes({"team": ("*",)}),
    )
    await store.commit(ours)
    await store.settle(
        steps.replace(steps.settlement(ours.deliveries[0], steps.again(NOW + given.HOUR)), handle="4.56")
    )
    reopened = steps.replace(watch, state="pending", version=watch.version + 1, next_poll_at=NOW)
    await store.commit(Change(watch=steps.replace(reopened, state=given.WatchState.PENDING), answer=ANSWER))


async def test_a_snapshot_holds_everything(tmp_path):
    """What is read after a restart from the snapshot is what was read before, in the same order."""
    async with journal(tmp_path / "a", compact_at=1) as store:
        await _lived_in(store)
        await store.tend()
        before = await _state(store)
        image = crashed(tmp_path / "a", tmp_path / "b")
    assert len(lines(segments(image)[-1])) == 1
    async with journal(image) as store:
        assert await _state(store) == before
        assert (await steps.owed(store, NOW + 2 * given.HOUR))[-1].handle in ("1.23", "4.56", None)


async def test_what_comes_after_a_snapshot_is_added(tmp_path):
    """The segments since it are read on top; the feed goes on where it was."""
    async with journal(tmp_path / "a", compact_at=1) as store:
        watch = await steps.follow(store, "queued")
        cursor = (await store.events(EventQuery())).next
        await store.tend()
        await store.commit(steps.moved(watch, "running"))
        image = crashed(tmp_path / "a", tmp_path / "b")
    async with journal(image) as store:
        assert [event.sequence for event in (await store.events(EventQuery(cursor=cursor))).items] == [2]
        assert [event.sequence for event in (await store.events(EventQuery())).items] == [1, 2]


async def test_nothing_is_written_before_it_is_worth_it(tmp_path):
    """Below the threshold, and below half of the last snapshot, tending does nothing."""
    async with journal(tmp_path) as store:
        await steps.follow(store, "queued")
        await store.tend()
    assert snapshots(tmp_path) == []
    async with journal(tmp_path, compact_at=1) as store:
        for number in range(20):
            await steps.follow(store, of=given.watch(f"task-{number + 2}"))
        await store.tend()
        assert len(snapshots(tmp_path)) == 1
        await store.tend()
        await steps.follow(store, of=given.watch("task-0"))
        await store.tend()
        assert len(snapshots(tmp_path)) == 1


async def test_the_snapshot_before_is_kept_with_a_way_back(tmp_path):
    """Two snapshots at most, and the segments since the older; without the newest, the same state comes back."""
    async with journal(tmp_path / "a", compact_at=1) as store:
        for number in range(4):
            for more in range(4**number):
                await steps.follow(store, "queued", of=given.watch(f"task-{number}-{more}"))
            await store.tend()
        assert [path.name[9:] for path in snapshots(tmp_path / "a")] == [
            path.name[8:] for path in segments(tmp_path / "a")
        ]
        assert len(snapshots(tmp_path / "a")) == 2
        before = await _state(store)
        image = crashed(tmp_path / "a", tmp_path / "b")
    snapshots(image)[-1].unlink()
    async with journal(image) as store:
        assert await _state(store) == before


async def test_after_the_first_snapshot_the_way_back_is_the_beginning(tmp_path):
    """The segments from the first entry on are kept until there are two snapshots."""
    async with journal(tmp_path / "a", compact_at=1) as store:
        await steps.follow(store, "queued")
        await store.tend()
        image = crashed(tmp_path / "a", tmp_path / "b")
    snapshots(image)[0].unlink()
    async with journal(image) as store:
        assert (await store.stats()).watches == {"queued": 1}


@pytest.mark.parametrize("harm", ["bent", "cut", "no footer", "empty", "longer"])
async def test_a_broken_snapshot_is_refused_with_file_and_remedy(tmp_path, harm):
    """No part of one is taken for the whole; the message says how to go back to the one before it."""
    async with journal(tmp_path, compact_at=1) as store:
        for number in range(3):
            await steps.follow(store, "queued", of=given.watch(f"task-{number}"))
        await store.tend()
    path = snapshots(tmp_path)[0]
    whole = lines(path)
    text = b"".join(whole)
    bent = bytearray(text)
    bent[len(text) // 2] ^= 1
    path.write_bytes(
        {
            "bent": bytes(bent),
            "cut": text[:-1],
            "no footer": b"".join(whole[:-1]),
            "empty": b"",
            "longer": text + whole[-1],
        }[harm]
    )
    with pytest.raises(StoreDamaged) as caught:
        async with journal(tmp_path):
            pass
    assert f"{path}, byte " in caught.value.message
    assert f"move {path.name} away" in caught.value.message
    path.rename(tmp_path / "moved-away")
    async with journal(tmp_path) as store:
        assert (await store.stats()).watches == {"queued": 3}


async def test_commits_go_on_while_a_snapshot_is_written(tmp_path, monkeypatch):
    """Each row is as it was when the snapshot began; what changed meanwhile is in the new segment, once."""
    gate = Gate(Snapshot.add)
    monkeypatch.setattr(Snapshot, "add", gate)
    async with journal(tmp_path / "a", compact_at=1) as store:
        kept = [await steps.follow(store, "queued", of=given.watch(f"task-{number}")) for number in range(250)]
        over = await steps.follow(store, "succeeded", of=given.watch("over"), to=Routes())
        first = (await steps.owed(store, NOW, 1))[0].delivery
        gate.shut()
        tending = asyncio.create_task(store.tend())
        await asyncio.to_thread(gate.met.wait)
        await store.commit(steps.moved(kept[0], "running"))
        await store.commit(steps.moved(kept[200], "running"))
        await store.settle(steps.settlement(first))
        await store.prune(NOW + given.HOUR, 0, (), 10)
        await steps.follow(store, "queued", of=given.watch("new"))
        await store.shift(given.SECOND)
        await store.commit(steps.moved(await store.watch(kept[240].id), "running"))
        gate.open()
        await tending
        before = await _state(store)
        image = crashed(tmp_path / "a", tmp_path / "b")
        assert await store.watch(over.id) is None
    async with journal(image) as store:
        after = await _state(store)
    assert {name: after[name] for name in after if name != "over"} == {
        name: before[name] for name in before if name != "over"
    }
    assert len(snapshots(image)) == 1


async def test_a_crash_while_a_snapshot_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    """An unfinished file is no snapshot, and is swept away."""
    gate = Gate(Snapshot.finish)
    monkeypatch.setattr(Snapshot, "finish", gate)
    async with journal(tmp_path / "a", compact_at=1) as store:
        await steps.follow(store, "queued")
        gate.shut()
        tending = asyncio.create_task(store.tend())
        await asyncio.to_thread(gate.met.wait)
        image = crashed(tmp_path / "a", tmp_path / "b")
        gate.open()
        await tending
    assert list(image.glob("*.tmp"))
    async with journal(image) as store:
        assert (await store.stats()).watches == {"queued": 1}
        assert list(image.glob("*.tmp")) == []


async def test_one_snapshot_at_a_time(tmp_path):
    """Whoever tends meanwhile waits for the same one."""
    async with journal(tmp_path, compact_at=1, report=(facts := Facts())) as store:
        await steps.follow(store, "queued")
        await asyncio.gather(*(store.tend() for _ in range(3)))
        assert facts.names == ["compacted"]
        assert facts.of("compacted")["rows"] == 2


async def test_a_tend_that_is_cancelled_goes_on(tmp_path, monkeypatch):
    """Closing waits for it: no thread writes into a directory that was let go."""
    gate = Gate(Snapshot.finish)
    monkeypatch.setattr(Snapshot, "finish", gate)
    async with journal(tmp_path, compact_at=1) as store:
        await steps.follow(store, "queued")
        gate.shut()
        tending = asyncio.create_task(store.tend())
        await asyncio.to_thread(gate.met.wait)
        tending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await tending
        gate.open()
    assert len(snapshots(tmp_path)) == 1


async def test_closing_writes_the_snapshot_that_is_worth_it(tmp_path):
    """So that the next start reads it and not the segments, however large the last one was."""
    async with journal(tmp_path, compact_at=300) as store:
        for number in range(20):
            await steps.follow(store, "queued", of=given.watch(f"task-{number}"))
        await store.tend()
        await steps.follow(store, "queued", of=given.watch("more"))
        await store.tend()
        assert len(snapshots(tmp_path)) == 1
    assert len(snapshots(tmp_path)) == 2
    assert len(lines(segments(tmp_path)[-1])) == 1
    async with journal(tmp_path, compact_at=300) as store:
        assert (await store.stats()).watches == {"queued": 21}
    assert len(snapshots(tmp_path)) == 2


async def test_without_space_for_a_snapshot_the_journal_goes_on(tmp_path, monkeypatch):
    """It is reported and left for later; nothing is lost, and nothing of it stays."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with journal(tmp_path, compact_at=1, report=(facts := Facts())) as store:
        await steps.follow(store, "queued")
        with monkeypatch.context() as patch:
            patch.setattr(Snapshot, "add", full)
            await store.tend()
        assert facts.names == ["compaction_failed"]
        assert list(tmp_path.glob("*.tmp")) == []
        await store.tend()
        assert facts.names == ["compaction_failed"]
        for number in range(9):
            await steps.follow(store, "queued", of=given.watch(f"more-{number}"))
        await store.tend()
        assert facts.names == ["compaction_failed", "compacted"]
    async with journal(tmp_path) as store:
        assert (await store.stats()).watches == {"queued": 10}


def test_a_segment_that_is_left_holds_its_entries_and_nothing_else(tmp_path, monkeypatch):
    """What a search for space has left at its end is gone first: no crash could explain it there."""

    def half(descriptor, data):
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    tail = Tail.begin(tmp_path, 1)
    tail.append([b"{}"])
    written = tail.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(disk, "write", half)
        with pytest.raises(OSError, match="No space"):
            tail.reserve()
    assert tail.path.read_bytes() != written
    following, left = tail.switch()
    assert (tail.path.read_bytes(), left) == (written, len(written))
    following.close()


async def test_a_disk_that_fails_under_a_snapshot_ends_the_store(tmp_path, monkeypatch):
    """An I/O error is one, wherever it is met."""

    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    facts = Facts()
    async with journal(tmp_path, compact_at=1, report=facts) as store:
        await steps.follow(store, "queued")
        monkeypatch.setattr(Snapshot, "finish", broken)
        with pytest.raises(StoreBroken):
            await store.tend()
        with pytest.raises(StoreBroken):
            await steps.follow(store, of=given.watch("late"))
    assert facts.names == ["store_broken"]


async def test_results_stay_through_a_snapshot(tmp_path):
    """Rows name the same files."""
    document = given.document(steps.LARGE)
    async with journal(tmp_path, compact_at=1) as store:
        watch = await steps.follow(store, "succeeded", result=document)
        await store.tend()
    async with journal(tmp_path, report=(facts := Facts())) as store:
        found = await store.watch(watch.id)
        assert isinstance(found, Watch)
        assert found.result.text == document.text
    assert facts == []
    assert len(results(tmp_path)) == 1
