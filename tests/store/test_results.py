"""Documents over 4 KiB: in files of their own, there when a line names them, gone when nothing does."""

import asyncio
import os
from pathlib import Path

import given
import pytest
from msgspec.structs import replace

from ringback.core.document import NOT_HERE, Document
from ringback.core.errors import StoreDamaged, StoreError
from ringback.core.model import Answer, Change
from ringback.core.routing import Routes
from ringback.store import segment
from ringback.store.base import EventQuery, WatchQuery
from ringback.store.noted import Noted
from tests.store import steps
from tests.store.files import Facts, Gate, crashed, journal, results, segments
from tests.store.steps import LARGE

NOW = given.NOW
ID = given.watch().id


def _name(document, id=ID):
    return f"{id}-{document.digest}.json"


async def test_a_large_document_is_a_file_and_not_a_line(tmp_path):
    """One file for the watch and its event; the line and the table hold digest and size."""
    document = given.document(LARGE)
    async with journal(tmp_path) as store:
        await steps.follow(store, "succeeded", result=document, details=given.document("small"))
        assert results(tmp_path) == [_name(document)]
        assert (tmp_path / "results" / _name(document)).read_bytes() == document.text
        kept = store.table.watches[ID]
        assert (kept.result.json, kept.result.size) == (NOT_HERE, document.size)
        assert kept.details.text == b'"small"'
    assert len(segments(tmp_path)[0].read_bytes()) < 4096


@pytest.mark.parametrize(("size", "files"), [(4096, 0), (4097, 1)])
async def test_over_four_kibibytes_is_large(tmp_path, size, files):
    """Up to that a document stays in its line."""
    async with journal(tmp_path) as store:
        await steps.follow(store, "running", details=given.document("x" * (size - 2)))
        assert len(results(tmp_path)) == files


async def test_large_documents_survive_a_restart(tmp_path):
    """Read, claimed and listed whole after a crash; the answer too."""
    result, answer = given.document(LARGE), Answer(status=200, body=LARGE.encode())
    async with journal(tmp_path / "a") as store:
        watch = await steps.follow(store)
        await store.commit(replace(steps.moved(watch, "succeeded", result=result), answer=answer))
        image = crashed(tmp_path / "a", tmp_path / "b")
    async with journal(image) as store:
        assert (await store.watch(ID)).result.text == result.text
        assert (await store.watches(WatchQuery())).items[0].result.text == result.text
        assert (await store.events(EventQuery())).items[0].data.result.text == result.text
        assert (await steps.owed(store, NOW))[0].event.data.result.text == result.text
        assert await store.answer(ID) == answer


async def test_a_file_is_durable_before_the_line_that_names_it(tmp_path, monkeypatch):
    """File, its name in the directory, then the line: in this order, each synced."""
    order = []
    fsync, fdatasync = os.fsync, os.fdatasync

    def noted(call):
        def sync(descriptor):
            order.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
            call(descriptor)

        return sync

    async with journal(tmp_path) as store:
        watch = await steps.follow(store)
        monkeypatch.setattr(os, "fsync", noted(fsync))
        monkeypatch.setattr(os, "fdatasync", noted(fdatasync))
        document = given.document(LARGE)
        await store.commit(steps.moved(watch, "succeeded", result=document))
        assert order == [_name(document) + ".tmp", "results", "journal-000000000001.jsonl"]
        order.clear()
        await store.commit(Change(watch=replace(await store.watch(ID), version=3)))
        assert order == ["journal-000000000001.jsonl"]


async def test_a_stub_of_what_is_kept_is_fine(tmp_path):
    """A claimed watch does not carry its large documents; what is decided on it may name them."""
    document = given.document(LARGE)
    async with journal(tmp_path) as store:
        await steps.follow(store, "running", details=document)
        claimed = (await steps.due(store, NOW + given.HOUR))[0]
        assert claimed.details == document
        await store.commit(steps.moved(claimed, "succeeded"))
        assert (await store.watch(ID)).details.text == document.text
    async with journal(tmp_path) as store:
        assert (await store.watch(ID)).details.text == document.text


async def test_a_stub_of_what_was_never_given_is_refused(tmp_path):
    """A line must not name a file that is not there."""
    document = given.document(LARGE)
    async with journal(tmp_path) as store:
        watch = await steps.follow(store)
        with pytest.raises(StoreError, match="never given"):
            await store.commit(steps.moved(watch, "running", details=Document(document.digest, document.size)))
        assert await store.watch(ID) == watch


async def test_what_nothing_names_any_more_is_removed(tmp_path):
    """Details that only the watch had, and the answer before the last; what an event names stays."""
    first, second, result = given.document(LARGE + "1"), given.document(LARGE + "2"), given.document(LARGE + "3")
    answers = [Answer(status=200, body=LARGE.encode() + bytes([number])) for number in range(2)]
    async with journal(tmp_path) as store:
        watch = await steps.follow(store)
        await store.commit(Change(watch=(watch := replace(watch, version=2, details=first)), answer=answers[0]))
        assert _name(first) in results(tmp_path)
        await store.commit(Change(watch=(watch := replace(watch, version=3, details=second)), answer=answers[1]))
        await store.commit(change := steps.moved(watch, "succeeded", result=result))
        await store.commit(Change(watch=replace(change.watch, version=5, details=None, result=None)))
    assert len(results(tmp_path)) == 3
    assert {_name(second), _name(result)} < set(results(tmp_path))
    async with journal(tmp_path, report=(facts := Facts())) as store:
        assert await store.answer(ID) == answers[1]
        assert (await store.event(change.events[0].id)).data.result.text == result.text
    assert facts == []


async def test_pruning_removes_the_files(tmp_path):
    """With the watch goes all that is its own, and nothing of another's."""
    async with journal(tmp_path) as store:
        for name in ("a", "b"):
            watch = await steps.follow(store, of=given.watch(name))
            change = steps.moved(watch, "succeeded", to=Routes(), result=given.document(LARGE))
            await store.commit(replace(change, answer=Answer(status=200, body=LARGE.encode())))
        assert len(results(tmp_path)) == 4
        assert await store.prune(NOW + given.HOUR, 1, {watch.id}, 10) == 1
    assert len(results(tmp_path)) == 2
    assert all(name.startswith(watch.id) for name in results(tmp_path))


async def test_orphans_are_removed_at_the_start(tmp_path):
    """What a crash left between two steps: a file without its line, one half written, one of a forgotten watch."""
    document = given.document(LARGE)
    async with journal(tmp_path) as store:
        await steps.follow(store, "succeeded", result=document)
    for name in (f"{ID}-{'0' * 32}.json", f"{_name(document)}.tmp", f"w_gone-{document.digest}.json"):
        (tmp_path / "results" / name).write_bytes(b"x")
    async with journal(tmp_path, report=(facts := Facts())):
        assert results(tmp_path) == [_name(document)]
    assert facts == [("orphans_removed", {"files": 3})]


@pytest.mark.parametrize("harm", ["missing", "bent"])
async def test_a_document_that_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path, harm):
    """Whoever asks for it learns the file; whoever asks for something else does not notice."""
    document = given.document(LARGE)
    facts = Facts()
    async with journal(tmp_path, report=facts) as store:
        await steps.follow(store, "succeeded", result=document)
        await steps.follow(store, "succeeded", of=given.watch("fine"), result=document)
        path = tmp_path / "results" / _name(document)
        path.unlink() if harm == "missing" else path.write_bytes(document.text[:-2] + b'x"')
        for ask in (store.watch(ID), store.event(steps.moved(given.watch(), "succeeded").events[0].id)):
            with pytest.raises(StoreDamaged, match="restore it from a backup") as caught:
                await ask
            assert caught.value.facts["file"] == str(path)
        assert (await store.watch(given.watch("fine").id)).result.text == document.text
        claimed = await steps.owed(store, NOW)
        assert [one.event.data.task_id for one in claimed] == ["fine"]
        assert facts.of("result_damaged")["file"] == str(path)
        assert facts.of("result_damaged")["delivery"]
        await steps.follow(store, of=given.watch("new"))


async def test_a_document_that_moves_on_while_it_is_read_is_no_damage(tmp_path, monkeypatch):
    """A reader that meets a removed file reads what took its place."""
    first, second = given.document(LARGE + "1"), given.document(LARGE + "2")
    async with journal(tmp_path) as store:
        watch = await steps.follow(store, of=given.watch(details=first))
        gate = Gate(store._results.whole)
        monkeypatch.setattr(store._results, "whole", gate)
        gate.shut()
        reading = asyncio.create_task(store.watch(ID))
        await asyncio.to_thread(gate.met.wait)
        await store.commit(Change(watch=replace(watch, version=2, details=second)))
        await store.probe()
        while results(tmp_path) != [_name(second)]:
            await store._in_turn(store._writer, lambda: None)
        gate.open()
        assert (await reading).details.text == second.text


async def test_noted_answers_take_no_file(tmp_path):
    """An answer of a poll that changed nothing is shown and forgotten, and the kept one stands under it."""
    kept = Answer(status=200, body=LARGE.encode())
    async with journal(tmp_path) as store:
        watch = await steps.follow(store)
        await store.commit(replace(steps.moved(watch, "running"), answer=kept))
        before = results(tmp_path)
        await store.reschedule(
            [replace(steps.polled(await store.watch(ID)), answer=Answer(status=500, body=b"x" * 9000))]
        )
        assert (await store.answer(ID)).status == 500
        assert results(tmp_path) == before
    async with journal(tmp_path) as store:
        assert await store.answer(ID) == kept


def test_noted_answers_have_a_limit():
    """In bytes: the oldest goes first, and one that is noted again counts once."""
    noted = Noted(at_most=10_000)
    for number in range(3):
        noted.note("again", Answer(status=200, body=b"x" * 1000))
        noted.note(f"w_{number}", Answer(status=200, body=b"x" * 1000))
    assert [noted.get(id) is not None for id in ("w_0", "w_1", "again", "w_2")] == [False, True, True, True]
    noted.note("w_3", Answer(status=200, body=b"x" * 9000))
    assert noted.get("w_3") is None


@pytest.mark.parametrize("body", [b"\0ringback keeps this apart:", b"\0ringback keeps this apart:x 1", b"", b"\0"])
async def test_an_answer_may_look_like_our_own_mark(tmp_path, body):
    """Whatever a provider sends is given back as it came."""
    async with journal(tmp_path) as store:
        watch = await steps.follow(store)
        await store.commit(replace(steps.moved(watch, "running"), answer=Answer(status=200, body=body)))
        assert (await store.answer(ID)).body == body
    async with journal(tmp_path) as store:
        assert (await store.answer(ID)).body == body


async def test_what_a_poll_brings_again_does_not_stay_in_memory(tmp_path):
    """A poll without change carries its documents: the table keeps the stub."""
    document = given.document(LARGE)
    async with journal(tmp_path) as store:
        watch = await steps.follow(store, "running", details=document)
        await store.reschedule([steps.polled(watch)])
        assert store.table.watches[ID].details.json is NOT_HERE
        assert store.table.watches[ID].polls == 1


def test_a_replayed_document_does_not_hold_its_line():
    """A small text is copied out of a line that is large for other reasons, once for watch and event."""
    change = steps.moved(given.watch(metadata={"a": "x" * 100_000}), "running", details=given.document("small"))
    line = bytearray(segment.encode(change))
    read = segment.decode(memoryview(line))
    line.clear()  # a view on the line would not let it shrink
    assert read.watch.details.text == b'"small"'
    assert read.events[0].data.details is read.watch.details
