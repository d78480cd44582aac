"""What every contestant talks to: a provider's task API and a receiver of webhooks, on bare asyncio protocols.

    GET  /302/browser/tasks/ID      running; an id like `until-1764128066.5-7` is finished from that second on
    POST anything                   taken; how long ago the event in it was observed is kept
    GET  /latencies                 those, in milliseconds; and forgotten

Secret: the answers. Every contestant gets the same bytes, over HTTP and over TLS, so that only the asking differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import ssl
import time
from datetime import datetime
from pathlib import Path

import trustme

STEPS = [
    {"step": 1, "next_goal": "Open the page of the timetable and wait until it has loaded", "success": True},
    {"step": 2, "next_goal": "Find the row of the 8:12 train and read its platform", "success": True},
    {"step": 3, "next_goal": "Compare it with the announcement on the second page", "success": None},
]
RUNNING = {"status": "running", "result": None, "is_successful": None, "current_step": 3, "steps": STEPS}
FINISHED = RUNNING | {"status": "finished", "result": "Platform 4, as announced.", "is_successful": True}
HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: nginx\r\ndate: Sun, 22 Nov 2026 05:33:00 GMT\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nconnection: keep-alive\r\nx-request-id: 7f3b2c9a41d84e06\r\n\r\n"
)
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
OBSERVED_AT = re.compile(rb'"observed_at":"([^"]+)"')
UNTIL = re.compile(r"until-([0-9.]+)-")


class Upstream(asyncio.Protocol):
    """One connection; requests may come in pieces, and several at once."""

    latencies: list[float] = []  # noqa: RUF012 - of all connections together

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            head = self.rest[:end]
            length = LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length is not None else 0)
            if len(self.rest) < whole:
                return
            body, self.rest = self.rest[end + 4 : whole], self.rest[whole:]
            answer = self._answer(head, body)
            self.transport.write(HEAD % len(answer) + answer)

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"POST"):
            seen = OBSERVED_AT.search(body)
            if seen is not None:
                observed = datetime.fromisoformat(seen[1].decode()).timestamp()
                self.latencies.append((time.time() - observed) * 1000)
            return b"ok"
        path = head.split(b" ", 2)[1].decode()
        if path == "/latencies":
            told = json.dumps(self.latencies).encode()
            self.latencies.clear()
            return told
        return _task(path.rpartition("/")[2])


def _task(id: str) -> bytes:
    until = UNTIL.match(id)
    state = FINISHED if until is not None and time.time() >= float(until[1]) else RUNNING
    return json.dumps({"task_id": id} | state).encode()


async def _serve(http: int, https: int, ca_file: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(ca_file))
    loop = asyncio.get_running_loop()
    await loop.create_server(Upstream, "127.0.0.1", http, backlog=1024)
    await loop.create_server(Upstream, "127.0.0.1", https, ssl=context, backlog=1024)
    print("ready", flush=True)
    await asyncio.sleep(3600)  # whoever started it ends it; at the latest this does


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("http", type=int)
    given.add_argument("https", type=int)
    given.add_argument("ca_file", type=Path)
    given.add_argument("core", type=int)
    terms = given.parse_args()
    os.sched_setaffinity(0, {terms.core})
    asyncio.run(_serve(terms.http, terms.https, terms.ca_file))
