"""The directory: who may read it, who may have it, and what is said when it cannot be used."""

import stat

import given
import pytest

from ringback.core.errors import SetupError, StoreLocked
from tests.store import steps
from tests.store.files import journal, results

NOW = given.NOW


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_we_may_read_it(tmp_path):
    """Directories 0700, files 0600, whatever the umask; parents are made when they are missing."""
    directory = tmp_path / "var" / "lib" / "data"
    async with journal(directory, compact_at=1) as store:
        await steps.follow(store, "succeeded", result=given.document(steps.LARGE))
        await store.tend()
    assert len(results(directory)) == 1
    for path in (directory, *directory.rglob("*")):
        assert _mode(path) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/ringback", "/dev/null/data"])
async def test_a_directory_that_cannot_be_one_is_a_sentence(tmp_path, where):
    """It names the directory and what to do."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError, match=r"cannot be used .*: make it a directory that this user may write") as caught:
        async with journal(tmp_path / where):
            pass
    assert str(tmp_path / where) in caught.value.message
    assert "\n" not in caught.value.message


async def test_one_store_at_a_time(tmp_path):
    """A second one is refused while the first is open; then it may have it."""
    async with journal(tmp_path):
        with pytest.raises(StoreLocked):
            async with journal(tmp_path):
                pass
    async with journal(tmp_path) as store:
        await store.probe()


async def test_a_store_that_could_not_be_opened_lets_go(tmp_path):
    """Whoever mends it can open it in the same process."""
    async with journal(tmp_path) as store:
        await steps.follow(store)
    path = tmp_path / "journal-000000000001.jsonl"
    text = path.read_bytes()
    path.write_bytes(text.replace(b"task-1", b"task-2"))
    for _ in range(2):
        with pytest.raises(Exception, match="does not match its checksum"):
            async with journal(tmp_path):
                pass
    path.write_bytes(text)
    async with journal(tmp_path) as store:
        assert (await store.stats()).watches == {"pending": 1}


async def test_what_is_not_ours_is_left_alone(tmp_path):
    """Other files in the directory stay."""
    (tmp_path / "callback-secret").write_text("whsec_x")
    (tmp_path / "journal-old.jsonl").write_text("not a number")
    async with journal(tmp_path, compact_at=1) as store:
        await steps.follow(store)
        await store.tend()
    assert (tmp_path / "callback-secret").read_text() == "whsec_x"
    assert (tmp_path / "journal-old.jsonl").exists()
