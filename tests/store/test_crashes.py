"""Real processes that are killed, and disks that really fail: what was acknowledged is there."""

import asyncio
import errno
import json
import os
import shutil
import sys
from pathlib import Path

import given
import pytest

from ringback.core.errors import StoreLocked
from ringback.store import examine
from ringback.store.base import WatchQuery
from tests.store.files import Facts, journal, results

CHILD = [sys.executable, str(Path(__file__).with_name("child.py"))]
FIU = shutil.which("fiu-run")
needs_fiu = pytest.mark.skipif(
    FIU is None and not os.environ.get("CI"), reason="fiu-run is not installed: apt install fiu-utils"
)


async def _tasks(directory):
    """The task ids that are there after a restart."""
    found, cursor = set(), None
    async with journal(directory) as store:
        while True:
            page = await store.watches(WatchQuery(limit=1000, cursor=cursor))
            found |= {watch.task_id for watch in page.items}
            for watch in page.items:
                if watch.details is not None:
                    assert watch.details.text
            cursor = page.next
            if cursor is None:
                return found


async def _said(*command):
    """What a child prints."""
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    assert child.returncode == 0
    return json.loads(out.splitlines()[-1])


async def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path):
    """SIGKILL in the middle of commits and snapshots, again and again on the same directory."""
    acknowledged = set()
    for round, count in enumerate([1, 30, 90, 200, 9]):
        child = await asyncio.create_subprocess_exec(
            *CHILD, "loop", str(tmp_path), str(round), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(count):
            acknowledged.add((await child.stdout.readline()).decode().strip())
        child.kill()
        # The pipe may hold more that was acknowledged before the end.
        acknowledged |= {line.decode().strip() for line in (await child.stdout.read()).splitlines(keepends=True)[:-1]}
        await child.wait()
        assert examine.verify(tmp_path).sound
    assert acknowledged - await _tasks(tmp_path) == set()
    assert len(acknowledged) >= 330


async def test_a_disk_that_is_full_refuses_and_goes_on_when_there_is_space(tmp_path):
    """What is refused is not kept, what is acknowledged is; the first commit after space returns is kept."""
    said = await _said(*CHILD, "full", str(tmp_path), "12000")
    assert set(said["outcomes"]) == {"kept", "StoreFull"}
    assert said["outcomes"][0] == "kept"
    assert said["outcomes"][-1] == "StoreFull"
    assert said["probes"] == ["StoreFull", "kept"]
    assert said["after"] == "kept"
    assert said["facts"] == ["store_full", "space_returned"]
    assert await _tasks(tmp_path) == {*said["kept"], "after"}


@needs_fiu
@pytest.mark.parametrize("point", ["rw/write", "sync/fdatasync", "sync/fsync", "dir/rename"])
async def test_no_space_at_any_call_keeps_nothing_and_passes(tmp_path, point):
    """Line, sync, or result file: what met it is refused, no file of it stays, and later commits are kept."""
    said = await _said(FIU, "-x", *CHILD, "fault", str(tmp_path), f"posix/io/{point}", str(errno.ENOSPC))
    large, small, _ = said["during"]
    assert large == "StoreFull"
    # The other one shares its batch or comes after it; then only what it needs itself decides.
    assert small == "StoreFull" or point in {"sync/fsync", "dir/rename"}
    assert (said["before"], said["after"], said["probe"]) == ("kept", "kept", "kept")
    assert said["facts"][0] == "store_full"
    assert said["facts"][-1] == "space_returned"
    assert results(tmp_path) == []
    facts = Facts()
    async with journal(tmp_path, report=facts):
        assert facts == []
    assert await _tasks(tmp_path) == {"before", "after"} | ({"small"} if small == "kept" else set())


@needs_fiu
@pytest.mark.parametrize("point", ["rw/write", "sync/fdatasync", "sync/fsync", "dir/rename"])
async def test_a_disk_that_fails_is_not_written_again(tmp_path, point):
    """After an I/O error everything is refused, though the disk has mended; a new process finds what was kept."""
    said = await _said(FIU, "-x", *CHILD, "fault", str(tmp_path), f"posix/io/{point}", str(errno.EIO))
    assert said["before"] == "kept"
    assert said["during"] == ["StoreBroken"] * 3
    assert (said["after"], said["probe"]) == ("StoreBroken", "StoreBroken")
    assert said["facts"] == ["store_broken"]
    assert "before" in await _tasks(tmp_path)
    assert "after" not in await _tasks(tmp_path)


@needs_fiu
async def test_a_disk_that_takes_a_part_is_given_the_rest(tmp_path):
    """A short write is not a failed one."""
    said = await _said(FIU, "-x", *CHILD, "fault", str(tmp_path), "posix/io/rw/write/reduce", "0")
    assert said["during"] == ["kept", "kept", "kept"]
    assert await _tasks(tmp_path) == {"before", "large", "small", "after"}


def test_the_faults_are_not_left_out_unseen():
    """Where the tests must be whole (CI), fiu-run is there."""
    assert FIU is not None or not os.environ.get("CI")


async def test_a_second_daemon_is_refused_with_the_pid_of_the_first(tmp_path):
    """Another process has the directory; `wait_lock` waits for it, and the loop goes on meanwhile."""
    child = await asyncio.create_subprocess_exec(
        *CHILD, "hold", str(tmp_path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    pid = (await child.stdout.readline()).decode().strip()
    with pytest.raises(StoreLocked, match=f"pid {pid}") as caught:
        async with journal(tmp_path):
            pass
    assert str(tmp_path) in caught.value.message
    assert "--wait-lock" in caught.value.message

    async def opened():
        async with journal(tmp_path, wait_lock=given.MINUTE):
            return child.returncode

    waiting = asyncio.create_task(opened())
    await asyncio.sleep(0)
    assert not waiting.done()
    child.stdin.close()
    await waiting
    await child.wait()


async def test_a_lock_ends_with_its_process(tmp_path):
    """A killed daemon leaves nothing to clean up."""
    child = await asyncio.create_subprocess_exec(
        *CHILD, "hold", str(tmp_path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await child.stdout.readline()
    child.kill()
    await child.wait()
    async with journal(tmp_path) as store:
        await store.probe()
