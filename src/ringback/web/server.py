"""uvicorn inside our own loop: bound first, served when all is ready, stopped in order.

Secret: how an embedded server is started, found (port 0) and stopped. Signals are app.py's.
"""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import uvicorn
from fastapi import FastAPI

from ringback.core.errors import SetupError

BACKLOG = 512
CONNECTIONS = 2000
"""At once: twice the answers that may be held. Beyond it uvicorn answers 503."""

KEEP_ALIVE_S = 15
WHY = {
    errno.EADDRINUSE: "something listens there already: stop it, or choose another port",
    errno.EACCES: "this user may not: choose a port above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one that it has",
}


class Server:
    """One listening socket and what answers on it.

    bind    the port is ours, and `port` is known; nothing is answered yet
    start   requests are answered
    stop    no new ones; those under way are finished, held ones answered at once
    """

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._app = app
        self._socket: socket.socket | None = None
        self._uvicorn = _Embedded(_config(app))
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it is found from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def serving(self) -> bool:
        """Whether requests are answered."""
        return self._serving is not None and not self._serving.done()

    def bind(self) -> None:
        """Take the port. Raises SetupError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            self._socket = socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise self._refused(error) from error
        self.port = self._socket.getsockname()[1]

    async def start(self) -> None:
        """Answer requests, from when this returns. Needs `bind`."""
        assert self._socket is not None, "bind first"
        self._serving = asyncio.create_task(self._uvicorn.serve([self._socket]), name="http")
        ready = asyncio.create_task(self._uvicorn.ready.wait())
        await asyncio.wait({self._serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if self._serving.done():
            await self._serving

    async def stop(self, grace: timedelta) -> None:
        """Answer what is held, finish what is under way, within the grace."""
        self._app.state.waits.cut()
        if self._serving is None:
            if self._socket is not None:
                self._socket.close()
            return
        self._uvicorn.config.timeout_graceful_shutdown = math.ceil(grace.total_seconds())
        self._uvicorn.should_exit = True
        await self._serving

    def _refused(self, error: OSError) -> SetupError:
        why = WHY.get(error.errno or 0, error.strerror or str(error))
        return SetupError(f"cannot listen on {self.host}:{self.port}: {why} (server.listen)", port=self.port)


class _Embedded(uvicorn.Server):
    """uvicorn that says when it is ready, and leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
