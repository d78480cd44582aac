"""HTTP/1.1 with keep-alive, as much of it as a local upstream needs.

Secret: the bytes of a request and of a reply, and the life of a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec

from ringback.core.errors import SetupError

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 1024 * 1024


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What came: `target` as it stood in the request line, lower-case header names."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back: bytes as they are, anything else as JSON.

    It waits for `hold` before it goes. With `drop` the connection is closed instead of answered.
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = {}
    hold: asyncio.Event | None = None
    drop: bool = False


Handler = Callable[[Request], Awaitable[Reply]]


class Wire:
    """A listening socket and its connections."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "not started"
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises SetupError when the address cannot be had."""
        self._stopping = False
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=HEAD_LIMIT)
        except OSError as exc:
            raise SetupError(f"cannot listen on {host}:{port}: {exc.strerror}; choose another port") from exc

    async def stop(self) -> None:
        """Close the socket and every connection, whatever is in flight on it."""
        if self._server is None:
            return
        self._stopping = True  # for a connection that was accepted but has not run yet
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request by request. It ends quietly when the other side goes away or we stop."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while not self._stopping and await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; whether another may follow."""
        try:
            request = await _request(reader)
        except (ValueError, asyncio.LimitOverrunError):
            writer.write(_bytes_of(Reply(status=400, body={"error": "this is not a request"})))
            await writer.drain()
            return False
        reply = await self._handler(request)
        if reply.hold is not None:
            await reply.hold.wait()
        if reply.drop:
            return False
        writer.write(_bytes_of(reply))
        await writer.drain()
        return request.headers.get("connection", "").lower() != "close"


async def _request(reader: asyncio.StreamReader) -> Request:
    """Read one. Raises ValueError for what is none, IncompleteReadError at the end of the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = start.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_LIMIT or "transfer-encoding" in headers:
        raise ValueError("a body must have a length, and not too much of it")
    return Request(method=method, target=target, headers=headers, body=await reader.readexactly(length))


def _bytes_of(reply: Reply) -> bytes:
    body = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    reason = HTTPStatus(reply.status).phrase if reply.status in HTTPStatus._value2member_map_ else "Unknown"
    headers = {"content-type": "application/json", "content-length": str(len(body)), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
