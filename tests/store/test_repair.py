"""A damaged directory is made readable again, and says what it gave up; an export has everything that can be read."""

import given
import pytest
from msgspec.structs import replace

from ringback.core.errors import BadInput, StoreDamaged, StoreLocked
from ringback.core.model import Answer
from ringback.store import examine
from ringback.store.base import WatchQuery
from ringback.store.export import export
from ringback.store.repair import repair
from tests.store import steps
from tests.store.files import crashed, journal, lines, results, segments, snapshots

NOW = given.NOW


@pytest.fixture
async def directory(tmp_path):
    """Two snapshots, each with the segment that follows it, and a large document; `b` and `c` came with the last."""
    where = tmp_path / "data"
    for number in range(2):
        async with journal(where, compact_at=1) as store:
            await steps.follow(store, of=given.watch(f"a-{number}"))
            await store.tend()
    async with journal(where) as store:
        watch = await steps.follow(store, "running", of=given.watch("b"))
        change = steps.moved(watch, "succeeded", result=given.document(steps.LARGE))
        await store.commit(replace(change, answer=Answer(status=200, body=steps.LARGE.encode())))
        await steps.follow(store, of=given.watch("c"))
    return where


def bend(path, line):
    """One letter of one line; the header is line 0."""
    whole = lines(path)
    whole[line] = whole[line].replace(b"302ai", b"303ai", 1) if line else whole[line].replace(b"1", b"2", 1)
    path.write_bytes(b"".join(whole))


async def tasks(directory):
    """The tasks that a daemon finds there."""
    async with journal(directory) as store:
        return sorted(watch.task_id for watch in (await store.watches(WatchQuery())).items)


def texts(directory):
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_what_is_whole_is_left_alone(directory):
    """Not a byte is changed, also where a crash tore the end: the next start mends that."""
    with segments(directory)[-1].open("ab") as file:
        file.write(b"9 0123")
    before = texts(directory)
    assert repair(directory) == type(repair(directory))((), ())
    assert texts(directory) == before


async def test_a_bent_record_ends_the_journal(directory):
    """What stands before it is kept; the rest is set aside as it was, and counted."""
    path = segments(directory)[-1]
    bent = lines(path)
    bend(path, 3)
    damaged = path.read_bytes()
    [said] = repair(directory).done
    number = int(bent[3].split()[0])
    assert said == (
        f"{path}, byte {sum(map(len, bent[:3]))}: the journal ends here now; "
        f"{len(bent) - 3} records from {number} on set aside"
    )
    assert (directory / "damaged" / f"{path.name}.1").read_bytes() == damaged
    assert await tasks(directory) == ["a-0", "a-1", "b"]
    assert examine.verify(directory).sound


async def test_a_document_of_what_is_set_aside_is_set_aside_too(directory):
    """The next start would remove it, because nothing names it any more."""
    names = results(directory)
    bend(segments(directory)[-1], 1)
    repair(directory)
    assert sorted(path.name for path in (directory / "damaged").iterdir()) == sorted(
        f"{name}.1" for name in (segments(directory)[-1].name, *names)
    )
    assert await tasks(directory) == ["a-0", "a-1"]


async def test_a_bent_snapshot_is_not_needed(directory):
    """The one before it and the segments since say the same: nothing is lost."""
    path = snapshots(directory)[-1]
    bend(path, 1)
    assert repair(directory).done == (f"{path}: set aside: nothing is lost, older files say all that it said",)
    assert await tasks(directory) == ["a-0", "a-1", "b", "c"]


async def test_the_first_snapshot_is_not_needed_either(tmp_path):
    """Every segment is there: the journal is read from its first entry."""
    async with journal(tmp_path, compact_at=1) as store:
        await steps.follow(store, of=given.watch("a"))
        await store.tend()
    bend(snapshots(tmp_path)[0], 1)
    assert len(repair(tmp_path).done) == 1
    assert await tasks(tmp_path) == ["a"]


@pytest.mark.parametrize("missing", ["nothing", "snapshots"])
async def test_what_nothing_can_be_known_without_stays(directory, missing):
    """It is refused, and nothing is changed: only a backup helps. So with a first segment that is missing."""
    for path in snapshots(directory):
        bend(path, 1) if missing == "nothing" else path.unlink()
    before = texts(directory)
    with pytest.raises(StoreDamaged, match="cannot be done without: what is older is gone, too"):
        repair(directory)
    assert texts(directory) == before


@pytest.mark.parametrize("line", [0, 1])
async def test_what_follows_a_bent_segment_goes_with_it(directory, line):
    """Its header or an entry: later segments build on what is lost."""
    snapshots(directory)[-1].unlink()
    first, last = segments(directory)
    lost = len(lines(first)) + len(lines(last)) - 2
    bend(first, line)
    [said] = repair(directory).done
    assert said.endswith(f"{lost} records from 2 on set aside")
    assert await tasks(directory) == ["a-0"]
    assert examine.verify(directory).sound


async def test_a_missing_segment_is_a_place_where_the_journal_ends(directory):
    """The snapshot is all there is."""
    segments(directory)[-1].unlink()
    repair(directory)
    assert await tasks(directory) == ["a-0", "a-1"]


async def test_a_gap_sets_aside_what_follows_it(directory):
    """A segment that begins too late is no end to go on from."""
    snapshots(directory)[-1].unlink()
    first, last = segments(directory)
    first.write_bytes(b"".join(lines(first)[:-1]))
    repair(directory)
    assert segments(directory) == [first]
    assert (directory / "damaged" / f"{last.name}.1").exists()
    assert await tasks(directory) == ["a-0"]


def test_any_bent_byte_is_mended(directory, tmp_path):
    """Wherever it is, a daemon can start afterwards, and every byte that there was is still somewhere."""
    for path in (*segments(directory), *snapshots(directory)):
        whole = path.read_bytes()
        for place in range(0, len(whole), 97):
            copy = crashed(directory, tmp_path / f"{path.name}-{place}")
            bent = bytearray(whole)
            bent[place] ^= 1
            (copy / path.name).write_bytes(bent)
            repair(copy)
            assert examine.verify(copy).sound, (path.name, place)
            assert bytes(bent) in texts(copy).values()


async def test_repairing_twice_loses_nothing_that_was_set_aside(directory):
    """A file of the same name is kept beside the first."""
    for _ in range(2):
        bend(segments(directory)[-1], 1)
        repair(directory)
        async with journal(directory) as store:
            await steps.follow(store, of=given.watch("d"))
    assert (directory / "damaged" / f"{segments(directory)[-1].name}.2").exists()


async def test_a_document_that_is_gone_is_said(directory):
    """Nobody but a backup has it; the journal itself is whole."""
    for name in results(directory):
        (directory / "results" / name).unlink()
    found = repair(directory)
    assert found.done == ()
    assert len(found.gone) == 2
    assert all("restore it from a backup" in what for what in found.gone)


async def test_a_running_daemon_and_a_wrong_directory_are_refused(directory, tmp_path):
    """Its journal is moving; and nothing is made where there is none."""
    async with journal(directory):
        for act in (repair, lambda where: list(export(where))):
            with pytest.raises(StoreLocked):
                act(directory)
    with pytest.raises(BadInput, match="holds no journal"):
        repair(tmp_path / "nowhere")


# ---------------------------------------------------------------------- export


async def test_an_export_has_everything(directory):
    """Each watch with its answer, events and deliveries, documents in full, and ourselves last; nothing is changed."""
    before = texts(directory)
    exported = {row.row.watch and row.row.watch.task_id: row for row in export(directory)}
    assert list(exported) == ["a-0", "a-1", "b", "c", None]
    row = exported["b"].row
    assert row.watch.result.text == given.document(steps.LARGE).text
    assert row.answer.body == steps.LARGE.encode()
    assert [event.type.value for _, event in row.events] == ["task.running", "task.succeeded"]
    assert len(row.deliveries) == 2
    assert not any(row.gone for row in exported.values())
    assert texts(directory) == before


async def test_a_document_that_is_gone_costs_only_itself(directory):
    """The rest of the export is there, and says which are missing."""
    for name in results(directory):
        (directory / "results" / name).unlink()
    exported = next(row for row in export(directory) if row.row.watch and row.row.watch.task_id == "b")
    assert len(exported.gone) == 2
    assert (exported.row.watch.result, exported.row.answer) == (None, None)
    assert exported.row.events[-1][1].data.result is None
