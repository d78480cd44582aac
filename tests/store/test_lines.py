"""What is forgiven and what is refused: every cut and every bent byte."""

import asyncio
import json
import shutil
import zlib

import given
import pytest

from ringback.core.errors import BadInput, SetupError, StoreDamaged
from ringback.core.model import Change, Progress
from ringback.store import segment
from ringback.store.base import WatchQuery
from ringback.store.segment import frame, unframe
from tests.store import steps
from tests.store.files import Facts, crashed, journal, lines, segments

NOW = given.NOW


@pytest.fixture
async def written(tmp_path):
    """A journal of a few entries of each kind: (directory, its segment's bytes)."""
    directory = tmp_path / "written"
    async with journal(directory) as store:
        watch = await steps.follow(store, "queued", "running")
        await store.settle(steps.settlement((await steps.owed(store, NOW))[0].delivery))
        await store.shift(given.SECOND)
        for number in range(3):
            await steps.follow(store, of=given.watch(f"later-{number}", metadata={"name": steps.HARD_TEXT}))
        assert watch.sequence == 2
    return directory, segments(directory)[0].read_bytes()


async def _reopened(directory, text, facts=None):
    """The task ids that a journal with this text in its segment has, and the text afterwards."""
    segments(directory)[0].write_bytes(text)
    async with journal(directory, report=Facts() if facts is None else facts) as store:
        found = {watch.task_id for watch in (await store.watches(WatchQuery())).items}
        await steps.follow(store, of=given.watch("afterwards"))
    async with journal(directory) as store:
        assert "afterwards" in {watch.task_id for watch in (await store.watches(WatchQuery())).items}
    return found


async def test_a_cut_at_every_byte_of_the_last_three_lines_loses_only_what_is_cut(written):
    """Wherever a crash tears the end, what stands before it whole is there, and the journal goes on."""
    directory, text = written
    whole = text.splitlines(keepends=True)
    for cut in range(len(b"".join(whole[:-3])), len(text)):
        # A line that lacks only its end is whole too.
        kept = sum(1 for end in range(1, len(whole) + 1) if len(b"".join(whole[:end])) - 1 <= cut)
        facts = Facts()
        found = await _reopened(directory, text[:cut], facts)
        assert found == {"task-1"} | {f"later-{number}" for number in range(3 - (len(whole) - kept))}, cut
        torn = cut - len(b"".join(whole[:kept]))
        if torn > 0:
            assert facts.of("torn_tail")["bytes"] == torn
            assert facts.of("torn_tail")["byte"] == cut - torn
        else:
            assert "torn_tail" not in facts.names


@pytest.mark.parametrize("zeros", [1, 100, 70_000])
@pytest.mark.parametrize("before", [b"", b"9 0123abcd {", b"{"])
async def test_zeros_at_the_end_are_forgiven(written, zeros, before):
    """A file that a crash left longer than what was written into it, with or without the start of a line."""
    directory, text = written
    assert await _reopened(directory, text + before + bytes(zeros)) == {"task-1", "later-0", "later-1", "later-2"}
    assert b"\0" not in segments(directory)[0].read_bytes()


async def test_a_line_that_lacks_its_end_and_has_zeros_is_kept(written):
    """Whole but for the line end that did not get there."""
    directory, text = written
    assert await _reopened(directory, text[:-1] + bytes(512)) == {"task-1", "later-0", "later-1", "later-2"}


async def test_a_crash_that_left_an_empty_segment_is_forgiven(written):
    """A segment without its header, as the last one, holds nothing."""
    directory, _ = written
    assert await _reopened(directory, b"") == set()
    assert await _reopened(directory, lines(segments(directory)[0])[0][:20]) == set()


async def _refused(directory, text, byte):
    segments(directory)[0].write_bytes(text)
    with pytest.raises(StoreDamaged) as caught:
        async with journal(directory):
            pass
    assert caught.value.facts["file"] == str(segments(directory)[0])
    assert caught.value.facts["byte"] == byte
    assert f"{segments(directory)[0]}, byte {byte}: " in caught.value.message
    assert f"ringback store verify {directory}" in caught.value.message
    assert segments(directory)[0].read_bytes() == text


async def test_a_bent_byte_in_any_line_is_refused_with_file_and_byte(written):
    """The first, middle and last byte of every line, the last line included: nothing is lost in silence."""
    directory, text = written
    start = 0
    for line in text.splitlines(keepends=True):
        for place in {0, 3, len(line) // 2, len(line) - 2, len(line) - 1}:
            bent = bytearray(text)
            bent[start + place] ^= 0x04
            await _refused(directory, bytes(bent), start)
        start += len(line)


async def test_every_bit_of_the_last_line_counts(written):
    """A complete last line is no torn tail, whichever of its bits is bent."""
    directory, text = written
    start = len(b"".join(text.splitlines(keepends=True)[:-1]))
    for place in range(start, len(text)):
        for bit in (0x01, 0x20):
            bent = bytearray(text)
            bent[place] ^= bit
            await _refused(directory, bytes(bent), start)


async def test_a_missing_line_is_refused(written):
    """A gap in the numbers is damage, though every line left is whole."""
    directory, text = written
    whole = text.splitlines(keepends=True)
    segments(directory)[0].write_bytes(b"".join(whole[:3] + whole[4:]))
    with pytest.raises(StoreDamaged, match="record 3 is missing: the next one is 4"):
        async with journal(directory):
            pass


async def test_a_line_twice_is_refused(written):
    """So is a number that comes again."""
    directory, text = written
    whole = text.splitlines(keepends=True)
    await _refused(directory, b"".join(whole[:3] + whole[2:]), len(b"".join(whole[:3])))


async def test_a_whole_line_that_says_nothing_known_is_refused(written):
    """A checksum that fits does not make an entry."""
    directory, text = written
    count = len(text.splitlines())
    await _refused(directory, text + frame(count, b'{"entry":"unheard"}'), len(text))


async def test_a_newer_format_is_refused_by_name(written):
    """The message names the version; nothing is touched."""
    directory, text = written
    body = text.split(b"\n", 1)[1]
    newer = frame(0, b'{"kind":"journal","version":7,"first":1,"more":true}') + body
    segments(directory)[0].write_bytes(newer)
    with pytest.raises(SetupError, match="has format 7, and this ringback reads 1"):
        async with journal(directory):
            pass
    assert segments(directory)[0].read_bytes() == newer


async def test_an_older_format_is_copied_aside_and_read(written, tmp_path, monkeypatch):
    """The old files stay as they were in a folder of their own; what is new goes to a segment of the new format."""
    directory, text = written
    _, *entries = text.splitlines(keepends=True)
    older = frame(0, b'{"kind":"journal","version":0,"first":1}')
    for number, line in enumerate(entries, 1):
        old = json.loads(unframe(memoryview(line), number).tobytes())
        older += frame(number, json.dumps({"was": old}).encode())
    segments(directory)[0].write_bytes(older)

    def read_version_0(line):
        return segment.decode(json.dumps(json.loads(bytes(line))["was"]).encode())

    monkeypatch.setattr(segment, "READERS", {0: read_version_0, 1: segment.decode})
    facts = Facts()
    async with journal(directory, report=facts) as store:
        assert len((await store.watches(WatchQuery())).items) == 4
        await steps.follow(store, of=given.watch("new"))
    aside = directory / "format-0"
    assert facts.of("copied_aside")["directory"] == str(aside)
    assert [path.read_bytes() for path in segments(aside)] == [older]
    assert segments(directory)[0].read_bytes() == older
    assert [json.loads(lines(path)[0].split(b" ", 2)[2])["version"] for path in segments(directory)] == [0, 1]
    async with journal(directory, report=(again := Facts())) as store:
        assert len((await store.watches(WatchQuery())).items) == 5
    assert "copied_aside" not in again.names


async def test_a_header_that_is_not_its_files_is_refused(written):
    """A file that was renamed is not taken for another."""
    directory, text = written
    shutil.copy(segments(directory)[0], directory / f"journal-{len(text.splitlines()):012d}.jsonl")
    with pytest.raises(StoreDamaged, match="header and its name do not agree"):
        async with journal(directory):
            pass


async def test_a_missing_segment_is_refused(written):
    """A directory whose first segment is gone is not taken for an empty one."""
    directory, _ = written
    segments(directory)[0].rename(directory / "journal-000000000005.jsonl")
    with pytest.raises(StoreDamaged, match=r"journal-000000000001\.jsonl, byte 0: the file is missing"):
        async with journal(directory):
            pass


async def test_a_line_is_what_its_documentation_says(written):
    """Number, CRC of number and JSON, JSON: anybody can check it with zlib."""
    _, text = written
    for number, line in enumerate(text.splitlines()):
        place, crc, rest = line.split(b" ", 2)
        assert int(place) == number
        assert int(crc, 16) == zlib.crc32(place + b" " + rest)
        json.loads(rest)


async def test_a_commit_costs_one_line_and_an_unchanged_poll_none(tmp_path):
    """The watch, its event, its deliveries, its answer: one line. A poll that changed nothing: not a byte."""
    async with journal(tmp_path) as store:
        path = segments(tmp_path)[0]
        counts = [len(lines(path))]
        watch = await steps.follow(store)
        counts.append(len(lines(path)))
        await store.commit(steps.moved(watch, "running"))
        counts.append(len(lines(path)))
        delivery = (await steps.owed(store, NOW))[0].delivery
        counts.append(len(lines(path)))
        await store.settle(steps.settlement(delivery))
        counts.append(len(lines(path)))
        before = path.read_bytes()
        current = await store.watch(watch.id)
        await store.reschedule([steps.polled(current)] * 3)
        await asyncio.gather(*(store.claim_watches(NOW + given.HOUR, 10, steps.LEASE, {}) for _ in range(3)))
        await store.prune(NOW, 10, (), 10)
        await store.tend()
        assert path.read_bytes() == before
    assert counts == [1, 2, 3, 3, 4]


async def test_what_cannot_be_a_line_is_refused_before_it_is_one(tmp_path):
    """A lone surrogate in text of our own is no JSON: the caller hears of it, and the journal goes on."""
    async with journal(tmp_path) as store:
        with pytest.raises(BadInput, match="cannot be kept as JSON"):
            await store.commit(Change(watch=given.watch(metadata={"a": "\ud800"})))
        await steps.follow(store, of=given.watch(progress=Progress(2**63)))
    async with journal(tmp_path) as store:
        assert [watch.progress for watch in (await store.watches(WatchQuery())).items] == [Progress(2**63)]


async def test_a_crash_between_any_two_commits_is_a_state_that_was(tmp_path):
    """A copy of the directory taken at any moment opens, with all that was acknowledged by then."""
    async with journal(tmp_path / "live") as store:
        watch = given.watch()
        for number, change in enumerate([Change(watch=watch), steps.moved(watch, "running")]):
            await store.commit(change)
            async with journal(crashed(tmp_path / "live", tmp_path / f"copy-{number}")) as copy:
                assert await copy.watch(watch.id) == change.watch
