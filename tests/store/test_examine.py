"""Looking at a stopped daemon's directory: all that is wrong, all that is there, and not a byte changed."""

import given
import pytest
from msgspec.structs import replace

from ringback.core.errors import BadInput, StoreDamaged, StoreLocked
from ringback.core.model import Answer
from ringback.store import examine
from tests.store import steps
from tests.store.files import journal, lines, results, segments, snapshots

NOW = given.NOW


@pytest.fixture
async def directory(tmp_path):
    """A journal with a snapshot, a segment since it, and a large document."""
    where = tmp_path / "data"
    async with journal(where, compact_at=1) as store:
        watch = await steps.follow(store, "running")
        await store.settle(steps.settlement((await steps.owed(store, NOW))[0].delivery))
        await store.tend()
    async with journal(where) as store:
        change = steps.moved(watch, "succeeded", result=given.document(steps.LARGE))
        await store.commit(replace(change, answer=Answer(status=200, body=steps.LARGE.encode())))
    return where


def _bytes(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_sound_directory_is_sound(directory):
    """Every file with its records; nothing found, nothing changed."""
    before = _bytes(directory)
    found = examine.verify(directory)
    assert (found.sound, found.findings) == (True, ())
    assert found.records == {path.name: len(lines(path)) - 1 for path in (*snapshots(directory), *segments(directory))}
    assert _bytes(directory) == before


def test_what_is_there_is_counted(directory):
    """By state, and what it takes."""
    found = examine.stats(directory)
    assert (found.watches, found.events, found.attempts, found.entries) == ({"succeeded": 1}, 2, 1, 4)
    assert found.deliveries == {"delivered": 1, "pending": 1}
    assert found.oldest_pending_at == NOW
    assert (found.segments.files, found.snapshots.files, found.results.files) == (2, 1, 2)
    assert found.segments.bytes == sum(path.stat().st_size for path in segments(directory))


def test_every_file_that_is_bent_is_named(directory):
    """All of them, not the first alone, each with its byte."""
    expected = {}
    for path in (*segments(directory), *snapshots(directory)):
        whole = lines(path)
        expected[str(path)] = len(whole[0])
        path.write_bytes(whole[0] + whole[1].replace(b"302ai", b"303ai", 1) + b"".join(whole[2:]))
    found = examine.verify(directory)
    assert not found.sound
    assert {finding.file: finding.byte for finding in found.findings} == expected
    with pytest.raises(StoreDamaged):
        examine.stats(directory)


def test_what_a_crash_leaves_is_told_and_harmless(directory):
    """A torn tail, an unfinished file, an orphan: the next start mends them."""
    with segments(directory)[-1].open("ab") as file:
        file.write(b"5 0123")
    (directory / "snapshot-000000000009.jsonl.tmp").write_bytes(b"0")
    (directory / "results" / "w_gone-00.json").write_bytes(b"{}")
    found = examine.verify(directory)
    assert found.sound
    assert sorted(finding.file.rpartition("/")[2] for finding in found.findings) == sorted(
        [segments(directory)[-1].name, "snapshot-000000000009.jsonl.tmp", "w_gone-00.json"]
    )


@pytest.mark.parametrize("harm", ["missing", "bent"])
def test_every_document_is_read(directory, harm):
    """One that is missing or bent is damage, named once."""
    for name in results(directory):
        path = directory / "results" / name
        path.unlink() if harm == "missing" else path.write_bytes(b"{}")
    found = examine.verify(directory)
    assert not found.sound
    assert len(found.findings) == 2
    assert {finding.file.rpartition("/")[0] for finding in found.findings} == {str(directory / "results")}


def test_a_gap_between_files_is_found(directory):
    """Each file may be whole and one of them missing."""
    segments(directory)[-1].unlink()
    found = examine.verify(directory)
    assert not found.sound
    assert "the file is missing" in found.findings[0].what


def test_a_torn_segment_that_is_not_the_last_is_damage(directory):
    """A crash tears only the end of all."""
    path = segments(directory)[0]
    path.write_bytes(path.read_bytes()[:-5])
    found = examine.verify(directory)
    assert not found.sound
    assert "though it is not the last segment" in found.findings[0].what


async def test_a_running_daemon_is_left_alone(directory):
    """Its journal is moving: it is refused, with the pid."""
    async with journal(directory):
        for look in (examine.verify, examine.stats):
            with pytest.raises(StoreLocked):
                look(directory)


@pytest.mark.parametrize("where", ["nowhere", "."])
def test_a_directory_without_a_journal_is_a_sentence(tmp_path, where):
    """Nothing is created there."""
    for look in (examine.verify, examine.stats):
        with pytest.raises(BadInput, match=r"holds no journal: name the directory of store\.url"):
            look(tmp_path / where)
    assert list(tmp_path.iterdir()) == []
