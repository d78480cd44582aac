"""The journal keeps every obligation; that it lasts, the files beside this one show."""

import given
import pytest

from ringback.store.journal import JournalStore
from tests.store.contract import StoreContract


class TestJournal(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        journal = JournalStore(tmp_path / "data")
        await journal.open(given.NOW)
        yield journal
        await journal.close()
