"""The embedded server: bound, started, found, stopped."""

import asyncio
import signal
import socket
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from ringback.core.errors import SetupError
from ringback.web.server import Server
from ringback.web.waits import Waits
from tests.faces.api.stage import GRACE, served, until


def _server(**where):
    app = FastAPI()
    app.state.waits = Waits()
    return Server(app, **where)


def test_port_0_becomes_a_real_port_when_bound():
    """The port is known before anything is answered."""
    server = _server(host="127.0.0.1", port=0)
    server.bind()
    try:
        assert server.port > 0
        assert server.url == f"http://127.0.0.1:{server.port}"
        assert not server.serving
    finally:
        asyncio.run(server.stop(GRACE))


def test_a_port_in_use_is_one_sentence():
    """Address, what to do, and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"127\.0\.0\.1:{port}: something listens there already.*server\.listen"):
            _server(host="127.0.0.1", port=port).bind()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_one_sentence(host):
    """A foreign address, a name that is none."""
    with pytest.raises(SetupError, match=f"cannot listen on {host}:0: "):
        _server(host=host, port=0).bind()


async def test_it_leaves_signals_alone():
    """SIGTERM belongs to who runs the loop."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with served():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


async def test_what_is_under_way_is_finished(api, monkeypatch):
    """A stop waits for a commit; the answer is whole."""
    commit, begun, gate = api.store.commit, asyncio.Event(), asyncio.Event()

    async def slow(change):
        begun.set()
        await gate.wait()
        await commit(change)

    monkeypatch.setattr(api.store, "commit", slow)
    asked = asyncio.create_task(api.register())
    await begun.wait()
    stopping = asyncio.create_task(api.server.stop(GRACE))
    await asyncio.sleep(0)
    assert not stopping.done()
    gate.set()
    assert (await asked)["state"] == "pending"
    await stopping
    assert not api.server.serving


async def test_a_stop_ends_within_its_grace(api, monkeypatch):
    """What does not end by itself is ended."""
    begun = asyncio.Event()

    async def for_ever(change):
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(api.store, "commit", for_ever)
    asked = asyncio.create_task(api.register())
    await begun.wait()
    async with asyncio.timeout(10):
        await api.server.stop(timedelta(milliseconds=1))
    assert not api.server.serving
    with pytest.raises((httpx.HTTPError, AssertionError)):
        await asked


async def test_after_a_stop_nobody_listens(api):
    """The port is free again; stopping twice is stopping once."""
    await api.server.stop(GRACE)
    await api.server.stop(GRACE)
    async with httpx.AsyncClient(trust_env=False) as other:
        with pytest.raises(httpx.ConnectError):
            await other.get(api.server.url)
    with socket.create_server(("127.0.0.1", api.server.port)):
        pass


async def test_what_is_no_http_harms_nobody(api):
    """Garbage is refused, and the next is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    await writer.wait_closed()
    assert (await api.http.get("/v1/watches")).status_code == 200


async def test_whoever_hangs_up_in_the_middle_is_no_failure(api):
    """Half a body and gone: nothing is registered, nothing is logged as ours."""
    begun = asyncio.Event()
    api.swap(tokens=lambda: begun.set() or [])
    _, writer = await asyncio.open_connection("127.0.0.1", api.server.port)
    writer.write(
        b"POST /v1/watches HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b'content-length: 100\r\n\r\n{"provider": '
    )
    await begun.wait()
    writer.close()
    await writer.wait_closed()
    await until(lambda: not api.server._uvicorn.server_state.tasks)
    assert api.failures == []
    assert (await api.store.stats()).watches == {}


async def test_parts_can_be_swapped_while_it_runs(api):
    """A reload puts all of them in at once."""
    api.swap(alive=lambda: ["swapped"])
    assert (await api.http.get("/healthz")).json()["problems"] == ["swapped"]
