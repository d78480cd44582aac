"""Where polls had come to, after a stop in order and after a crash."""

import errno
import os

import given
import pytest
from given import NOW, SECOND

from ringback.core.model import Problem
from ringback.store import disk
from tests.store import steps
from tests.store.files import crashed, journal, lines, segments


@pytest.mark.parametrize("compact_at", [1, 1 << 24])
async def test_a_stop_in_order_forgets_no_poll(tmp_path, compact_at):
    """A crash may: then a poll comes early. Least of all what the provider asked for is forgotten."""
    later, problem = NOW + 40 * SECOND, Problem("rate_limited", "slow down", NOW, 2)
    async with journal(tmp_path / "store", compact_at=compact_at) as store:
        watch = await steps.follow(store, "running")
        over = await steps.follow(store, "succeeded", of=given.watch("over"))
        polled = steps.polled(watch, polls=9, next_poll_at=later, not_before_at=later, problem=problem)
        assert await store.reschedule([polled]) == []
        crash = crashed(tmp_path / "store", tmp_path / "crashed")
    async with journal(tmp_path / "store") as store:
        assert await store.watch(watch.id) == polled.watch
        assert await store.watch(over.id) == over
        assert await store.next_watch_at(()) == later
        await store.commit(steps.moved(polled.watch, "succeeded"))
    async with journal(crash) as store:
        assert await store.watch(watch.id) == watch


async def test_a_stop_without_a_poll_writes_nothing(tmp_path):
    """Nor does one after a snapshot, which has it all."""
    async with journal(tmp_path) as store:
        await steps.follow(store, "running")
    [segment] = segments(tmp_path)
    written = segment.read_bytes()
    async with journal(tmp_path):
        pass
    assert segment.read_bytes() == written
    async with journal(tmp_path, compact_at=1) as store:
        await store.reschedule([steps.polled(await store.watch(given.watch().id))])
    assert len(lines(segments(tmp_path)[-1])) == 1


async def test_a_full_disk_holds_up_no_stop(tmp_path, monkeypatch):
    """Polls then come early, as after a crash."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with journal(tmp_path) as store:
        watch = await steps.follow(store, "running")
        await store.reschedule([steps.polled(watch)])
        monkeypatch.setattr(disk, "write", full)
    monkeypatch.undo()
    async with journal(tmp_path) as store:
        assert await store.watch(watch.id) == watch
