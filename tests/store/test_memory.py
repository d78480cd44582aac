"""The store in memory keeps every obligation but that it lasts."""

import pytest

from ringback.store.memory import MemoryStore
from tests.store.contract import StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self):
        return MemoryStore()
