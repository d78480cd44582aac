"""An HTTP receiver that misbehaves in one chosen way, on a real socket."""

import asyncio
import contextlib
import json
import socket
import struct

EVERY = 0.05
"""Seconds between two bytes of a drip: less than any read time-out."""

WITHOUT_BODY = {204, 304}
EMPTY = {205}


class Request:
    """What came in, as bytes."""

    def __init__(self, head, body):
        self.head = head
        self.body = body
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ")
        self.headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}


class Hostile:
    """Does `deed(request, writer)` to every request and keeps the requests. `async with` it."""

    def __init__(self, deed):
        self.deed = deed
        self.requests = []
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader, writer):
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = Request(head, b"")
                request.body = await reader.readexactly(int(request.headers.get("content-length", "0")))
                self.requests.append(request)
                if not await self.deed(request, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def reply(writer, status, headers=None, body=b""):
    """A whole, honest answer."""
    body = b"" if status in WITHOUT_BODY | EMPTY else body
    head = dict(headers or {}) if status in WITHOUT_BODY else {"content-length": len(body)} | dict(headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    writer.write(f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body)
    await writer.drain()
    return True


async def _timer(seconds):
    """The passing of time is what a drip is made of."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, lambda: done.done() or done.set_result(None))
    await done


async def silence(request, writer):
    """Takes the request and never answers."""
    await asyncio.get_running_loop().create_future()


async def drip(request, writer):
    """Answers 200, then a byte of the body now and then, for ever."""
    await reply(writer, 200, {"content-length": 1_000_000})
    while True:
        writer.write(b".")
        await writer.drain()
        await _timer(EVERY)


async def head_drip(request, writer):
    """Never comes to the end of its headers."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x: y\r\n")
        await writer.drain()
        await _timer(EVERY)


def endless(status):
    """Answers with a body that has no end."""

    async def deed(request, writer):
        await reply(writer, status, {"content-length": 10**12})
        while True:
            writer.write(b"\xe7\xb5\x82" * 20_000)
            await writer.drain()

    return deed


async def hang_up(request, writer):
    """Closes without a word."""
    return False


async def reset(request, writer):
    """Resets the connection."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def garbage(request, writer):
    """Speaks something that is not HTTP."""
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\x00\x01\x02\r\n\r\n")
    await writer.drain()
    return False


async def cut_off(request, writer):
    """Promises more than it sends."""
    await reply(writer, 200, {"content-length": 1000}, b"the beginning")
    return False


async def echo(request, writer):
    """Refuses, and repeats the whole request in its answer, as debug pages do: as it came, and as JSON."""
    text = (request.head + request.body).decode("latin-1")
    body = text + json.dumps(text).replace("/", "\\/") + json.dumps({"target": request.target, **request.headers})
    return await reply(writer, 500, body=body.encode())


@contextlib.contextmanager
def closed_port():
    """The origin of a port where nobody listens, and nobody else will."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
