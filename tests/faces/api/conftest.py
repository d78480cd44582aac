"""The stage, set."""

import pytest

from tests.faces.api.stage import served


@pytest.fixture
async def api():
    """Loopback, without tokens."""
    async with served() as api:
        yield api
