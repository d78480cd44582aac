"""The event loop that runs the daemon."""

import sys

import pytest

from ringback import eventloop


async def _name(given):
    return given, eventloop.name()


@pytest.mark.parametrize("installed", [True, False])
def test_the_fastest_loop_there_is(monkeypatch, installed):
    """uvloop where it is installed, Python's own where it is not; it can be told which."""
    if not installed:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    assert eventloop.run(_name("x")) == ("x", "uvloop" if installed else "asyncio")
