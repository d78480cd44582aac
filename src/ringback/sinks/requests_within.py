"""The requests library within bounds where a library that we call uses it: a deadline, a bounded answer, no redirects.

Secret: that requests has no seam for this, so its adapter is wrapped, once. Only what happens on a `Trip` is touched:
whatever else uses requests in this process goes on as it did. The logs of a trip are kept with it, and go nowhere else.
"""

from __future__ import annotations

import functools
import importlib
import io
import logging
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from typing import Any

import msgspec

from ringback.core.model import Answer
from ringback.sinks.excerpt import READ_AT_MOST

CONNECT_TIMEOUT_S = 5.0
BODY_AT_MOST = 1024 * 1024
"""Bytes of an answer; services say yes or no in a few."""

CHUNK = 16 * 1024
SAID_AT_MOST = 20
LINE_AT_MOST = 1000


class Trip(msgspec.Struct, kw_only=True):
    """One errand of a thread: until when it lasts, which way it goes, and what came of it.

    `taken` says whether the message was taken, or why nothing is known of that.
    """

    deadline: float
    proxy: str = ""
    taken: bool | str = False
    answer: Answer | None = None
    failure: str = ""
    said: list[str] = []


_here: ContextVar[Trip | None] = ContextVar("trip", default=None)


def travelling(trip: Trip, work: Callable[[], bool]) -> bool | str:
    """Do the work on this trip; a sentence instead of what a foreign library may raise. Its words may quote secrets."""
    token = _here.set(trip)
    try:
        return work()
    except Exception as exc:  # noqa: BLE001 - a foreign library, told by the name of what it raised
        return f"could not be asked ({type(exc).__name__})"
    finally:
        _here.reset(token)


@functools.cache
def watch_over_requests() -> None:
    """Wrap the one method that all of requests goes through."""
    adapter = importlib.import_module("requests.adapters").HTTPAdapter
    plain = adapter.send

    @functools.wraps(plain)
    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        trip = _here.get()
        if trip is None:
            return plain(self, request, *args, **kwargs)
        return _within(trip, lambda: plain(self, _asking_plainly(request), **_bounds(trip, kwargs)))

    adapter.send = send


@functools.cache
def hear_logs(*names: str) -> None:
    """Take what these loggers say: it goes nowhere else."""
    for name in names:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(_Listener())


def _asking_plainly(request: Any) -> Any:
    """Identity: nothing is unpacked, so nothing can unpack to a thousandfold."""
    request.headers["accept-encoding"] = "identity"
    return request


def _bounds(trip: Trip, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the adapter is told. The environment's proxies are not ours; a read may take what is left of the time."""
    left = max(trip.deadline - perf_counter(), 0.001)
    proxies = {"http": trip.proxy, "https": trip.proxy} if trip.proxy else {}
    given = {name: kwargs[name] for name in ("verify", "cert") if name in kwargs}
    return given | {"stream": True, "timeout": (min(CONNECT_TIMEOUT_S, left), left), "proxies": proxies}


def _within(trip: Trip, ask: Callable[[], Any]) -> Any:
    """The answer with its body read, as far as it may be read, and without the place it would send us to."""
    exceptions = importlib.import_module("requests.exceptions")
    urllib3 = importlib.import_module("urllib3.exceptions")
    trip.answer, trip.failure = None, ""
    try:
        response = ask()
        try:
            body = _read(response.raw, trip.deadline)
        finally:
            response.raw.close()
    except (exceptions.RequestException, urllib3.HTTPError, OSError) as exc:
        trip.failure = _meaning(exc, exceptions, urllib3)
        raise exceptions.ConnectionError(trip.failure) from None
    response.raw = io.BytesIO(body)
    response.headers.pop("location", None)
    headers = {name.lower(): value for name, value in response.headers.items()}
    trip.answer = Answer(status=response.status_code, headers=headers, body=body[:READ_AT_MOST])
    return response


def _read(raw: Any, deadline: float) -> bytes:
    """What comes in time, up to the limit. Of a drip each byte comes in time for its read: the sum must, too."""
    body = bytearray()
    while len(body) < BODY_AT_MOST:
        chunk = raw.read1(CHUNK)
        if not chunk:
            return bytes(body)
        body += chunk
        if perf_counter() > deadline:
            raise TimeoutError
    return bytes(body[:BODY_AT_MOST])


def _meaning(exc: Exception, exceptions: Any, urllib3: Any) -> str:
    late = (exceptions.Timeout, urllib3.TimeoutError, TimeoutError)
    if isinstance(exc, late):
        return "did not answer in time"
    if isinstance(exc, exceptions.SSLError | urllib3.SSLError):
        return "could not be spoken to over TLS"
    if isinstance(exc, exceptions.ProxyError | urllib3.ProxyError):
        return "cannot be reached: the proxy refused"
    return "cannot be reached, broke off, or does not speak HTTP"


class _Listener(logging.Handler):
    """Keeps what is said on a trip; what is said elsewhere is dropped."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        trip = _here.get()
        if trip is None or record.levelno < logging.WARNING or len(trip.said) >= SAID_AT_MOST:
            return
        line = record.getMessage()
        if len(line) <= LINE_AT_MOST:  # a longer one is not cut: half a secret would not be recognised
            trip.said.append(line)
