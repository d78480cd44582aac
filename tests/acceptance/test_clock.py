"""The wall clock stepped a day back or forward under the running daemon (libfaketime, the real process)."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
if LIBRARY is None and os.environ.get("CI"):
    pytest.fail("libfaketime is missing: .ci/run installs it")


@pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (Debian: libfaketime)")
@pytest.mark.parametrize(("told", "by"), [("-1d", timedelta(days=-1)), ("+1d", timedelta(days=1))])
async def test_polls_and_deliveries_go_on_and_nothing_fires_twice(daemon, upstream, receiver, told, by):
    """What was due stays due, deadlines do not pass, retries are not compressed, signatures carry the new time."""
    dial = daemon.folder / "faketime"
    dial.write_text("+0\n")
    daemon.environ |= {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(dial),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    upstream.script("t", [{"task_id": "t", "status": "running"}])
    upstream.script("held", [{"task_id": "held", "status": "finished"}])
    await daemon.start()
    receiver.otherwise = 503
    held = await daemon.register("held")
    await receiver.wait_for(1)
    receiver.otherwise = 200
    watch = await daemon.register("t", to=[], deadline="3h")
    await upstream.polled("t", 3)
    stepped = asyncio.Event()
    receiver._now = lambda: datetime.now(UTC) + (by if stepped.is_set() else timedelta())
    turned = dial.with_suffix(".new")
    turned.write_text(f"{told}\n")
    turned.replace(dial)  # at once: half a file would be another time
    await daemon.said("clock.stepped")
    stepped.set()
    before = upstream.polls("t")
    await upstream.polled("t", before + 5)
    first, second = await receiver.wait_for(2)
    assert first.id == second.id
    assert 3 < (second.at - by - first.at).total_seconds() < 20
    after = await daemon.get(f"/v1/watches/{watch['id']}")
    assert after["state"] == "running"
    moved = datetime.fromisoformat(after["deadline_at"]) - datetime.fromisoformat(watch["deadline_at"])
    assert abs(moved - by) < timedelta(minutes=1)
    upstream.script("t", [{"task_id": "t", "status": "finished"}])
    upstream.script("new", [{"task_id": "new", "status": "finished"}])
    fresh = await daemon.register("new")
    got = await receiver.wait_for(3)
    assert got[2].data["watch_id"] == fresh["id"]
    assert (await daemon.until_final(watch["id"]))["state"] == "succeeded"
    assert receiver.refused == []
    assert len(receiver.received) == 3
    assert [item["state"] for item in await daemon.all("/v1/deliveries") if item["watch_id"] == held["id"]] == [
        "delivered"
    ]
    assert daemon.log.count("clock.stepped") == 1
    assert await daemon.stop() == 0
