"""A local receiver: takes events over HTTP, checks their signatures, shows them, and answers as it is told.

    async with Receiver(secret, now=clock, answers=[503, 503]) as receiver:
        ...  # send events to receiver.url
        first, second, third = await receiver.wait_for(3)

It is `ringback listen`, and the other end of the acceptance tests. Secret: how one received request is judged and told.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

import h11
import msgspec

from ringback.core.errors import SetupError
from ringback.sinks.excerpt import printable
from ringback.sinks.signing import ID, BadSignature, verify

BODY_AT_MOST = 8 * 1024 * 1024
HEAD_AT_MOST = 64 * 1024
PIECE = 64 * 1024


class Reply(msgspec.Struct, frozen=True):
    """How a request is answered: once `after` is set, or by closing the connection without a word (`hang_up`)."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: str = ""
    after: asyncio.Event | None = None
    hang_up: bool = False


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it came in. `nth` counts how often its id came, this one included."""

    at: datetime
    path: str
    headers: dict[str, str]
    body: bytes
    event: dict[str, Any]
    reply: Reply
    nth: int

    @property
    def id(self) -> str:
        """The `webhook-id`, the same on every attempt."""
        return self.headers.get(ID, "")

    @property
    def type(self) -> str:
        """`task.succeeded` and so on."""
        return str(self.event.get("type", ""))

    @property
    def data(self) -> dict[str, Any]:
        """What the event says."""
        data: dict[str, Any] = self.event.get("data", {})
        return data

    @property
    def accepted(self) -> bool:
        """Whether it is answered with success."""
        return not self.reply.hang_up and 200 <= self.reply.status < 300  # noqa: PLR2004  the class of success


class Refused(msgspec.Struct, frozen=True):
    """A request that was no event of a sender who knows the secret, and why."""

    at: datetime
    reason: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """An HTTP server on one port. It can be stopped and started again: the port and what it has received stay.

    Without a secret nothing is checked. `answers` are given to the events one after another, then `otherwise`, which
    may be set at any time. `now` is the clock that signatures are compared with, `printer` gets a line a request.
    """

    def __init__(
        self,
        secret: str | Sequence[str] | None,
        *,
        now: Callable[[], datetime],
        answers: Iterable[int | Reply] = (),
        otherwise: int | Reply = 200,
        host: str = "127.0.0.1",
        port: int = 0,
        printer: Callable[[str], None] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.otherwise = otherwise
        self.received: list[Received] = []
        self.refused: list[Refused] = []
        self.counts: Counter[str] = Counter()
        self._secrets = (secret,) if isinstance(secret, str) else tuple(secret or ())
        self._now = now
        self._answers = iter(answers)
        self._print = printer or (lambda _: None)
        self._news = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self.stop()

    @property
    def url(self) -> str:
        """Where to send events; any path below it does too."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def accepted(self) -> list[Received]:
        """What was answered with success."""
        return [one for one in self.received if one.accepted]

    async def start(self) -> None:
        """Listen. Raises SetupError when the port cannot be had."""
        try:
            self._server = await asyncio.start_server(self._connected, self.host, self.port)
        except OSError as exc:
            raise SetupError(
                f"cannot listen on {self.host}:{self.port} ({exc.strerror}): choose another with --port"
            ) from exc
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop every connection, also those that wait for their answer."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def wait_for(self, count: int, *, within_s: float = 30.0) -> list[Received]:
        """Everything received, as soon as it is so many. Raises TimeoutError that says what came instead."""
        return await self.wait_until(lambda received: len(received) >= count, within_s=within_s)

    async def wait_until(
        self, predicate: Callable[[list[Received]], object], *, within_s: float = 30.0
    ) -> list[Received]:
        """Everything received, as soon as the predicate holds of it (it is asked again after every request)."""
        try:
            async with asyncio.timeout(within_s):
                while not predicate(self.received):
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {within_s:g} s; {self._account()}") from None
        return list(self.received)

    # ------------------------------------------------------------------ judging a request

    def _take(self, request: h11.Request, body: bytes) -> Reply:
        """Judge a request, keep it, tell of it."""
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in request.headers}
        if request.method != b"POST":
            return Reply(405, {"allow": "POST"}, "this is a receiver of ringback: events are sent with POST\n")
        try:
            if self._secrets:
                verify(self._secrets, headers, body, self._now())
            event = _event_in(body)
        except BadSignature as exc:
            return self._refuse(Reply(401, body=f"{exc.message}\n"), headers, body)
        except ValueError:
            return self._refuse(Reply(400, body="the body is not an event: expected a JSON object\n"), headers, body)
        return self._accept(request.target.decode("latin-1"), headers, body, event)

    def _accept(self, path: str, headers: dict[str, str], body: bytes, event: dict[str, Any]) -> Reply:
        id = headers.get(ID, "")
        self.counts[id] += 1
        answer = next(self._answers, self.otherwise)
        reply = Reply(answer) if isinstance(answer, int) else answer
        received = Received(
            at=self._now(), path=path, headers=headers, body=body, event=event, reply=reply, nth=self.counts[id]
        )
        self.received.append(received)
        self._tell(_line(received, checked=bool(self._secrets)))
        return reply

    def _refuse(self, reply: Reply, headers: dict[str, str], body: bytes) -> Reply:
        refused = Refused(self._now(), reply.body.strip(), headers, body)
        self.refused.append(refused)
        self._tell(f"{refused.at:%H:%M:%S}  refused: {refused.reason} -> {reply.status}")
        return reply

    def _tell(self, line: str) -> None:
        self._print(line)
        self._news.set()
        self._news = asyncio.Event()

    def _account(self) -> str:
        types = ", ".join(f"{one.type} -> {_told(one.reply)}" for one in self.received[-20:]) or "nothing"
        last = f"; refused {len(self.refused)}, the last: {self.refused[-1].reason}" if self.refused else ""
        return f"received {len(self.received)}: {types}{last}"

    # ------------------------------------------------------------------ HTTP

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._converse(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after another."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_AT_MOST)
        try:
            while await self._answer_next(http, reader, writer):
                http.start_next_cycle()
        except h11.RemoteProtocolError as exc:
            if http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                writer.write(_response(http, Reply(exc.error_status_hint, body=f"{exc}\n")))
        except ConnectionError:
            pass  # The sender went away: it is his to come again.
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_next(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether another request may follow on this connection."""
        request = await _next_event(http, reader, writer)
        if not isinstance(request, h11.Request):
            return False
        body = bytearray()
        while isinstance(piece := await _next_event(http, reader, writer), h11.Data):
            body += piece.data
            if len(body) > BODY_AT_MOST:
                raise h11.RemoteProtocolError(f"a body over {BODY_AT_MOST} bytes is not taken", 413)
        reply = self._take(request, bytes(body))
        if reply.after is not None:
            await reply.after.wait()
        if reply.hang_up:
            return False
        writer.write(_response(http, reply))
        await writer.drain()
        return http.our_state is h11.DONE and http.their_state is h11.DONE


async def _next_event(
    http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> h11.Event | type[h11.PAUSED]:
    while not isinstance(event := http.next_event(), h11.Event) and event is not h11.PAUSED:
        if http.they_are_waiting_for_100_continue:
            writer.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        http.receive_data(await reader.read(PIECE))
    return event


def _response(http: h11.Connection, reply: Reply) -> bytes:
    body = reply.body.encode()
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))} | dict(reply.headers)
    head = http.send(h11.Response(status_code=reply.status, headers=list(headers.items())))
    return (head or b"") + (http.send(h11.Data(data=body)) or b"") + (http.send(h11.EndOfMessage()) or b"")


def _event_in(body: bytes) -> dict[str, Any]:
    """The JSON object. Raises ValueError."""
    try:
        event = json.loads(body)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc
    if not isinstance(event, dict) or not isinstance(event.get("data", {}), dict):
        raise ValueError("not an object")  # noqa: TRY004  to the caller it is one kind of bad body
    return event


def _line(received: Received, *, checked: bool) -> str:
    """`05:33:00  task.succeeded  302ai-browser 26cbe8e5  running -> succeeded  #3  signature valid -> 200`."""
    data = received.data
    about = (
        [f"{data.get('provider')} {data.get('task_id')}", f"{data.get('previous_state')} -> {data.get('state')}"]
        if "task_id" in data
        else [str(data.get("account") or data.get("destination") or "")]
    )
    number = [f"#{data['sequence']}"] if "sequence" in data else []
    again = [f"again, number {received.nth}"] if received.nth > 1 and received.id else []
    verdict = f"{'signature valid' if checked else 'signature not checked'} -> {_told(received.reply)}"
    words = [f"{received.at:%H:%M:%S}", received.type, *about, *number, *again, verdict]
    return " ".join("  ".join(printable(word) for word in words).splitlines())


def _told(reply: Reply) -> str:
    return "hung up" if reply.hang_up else str(reply.status)
