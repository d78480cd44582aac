"""The way to the daemon: one request, the API's own bytes back, and what went wrong as one sentence.

Secret: how a command reaches the daemon. `http.client` and not outbound.py: a command makes one or two requests and
ends, and importing httpx alone would triple the time it takes (0.3 s against 0.1 s). No proxy of the environment is
asked, nothing is redirected.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from cyclopts import Parameter

import ringback
from ringback.core.errors import BadInput, Conflict, Forbidden, RingbackError, SetupError, UnknownName, Unreachable

TIMEOUT_S = 60.0
"""For each read; a batch of 1,000 registrations takes a second or two."""

BLINK_S = 0.5
"""For all of what can be done without."""

ANSWER_AT_MOST = 256 * 1024 * 1024
"""A page of 1,000 watches with 64 KiB of result each is 64 MiB."""

ERRORS: dict[int, type[RingbackError]] = {401: Forbidden, 403: Forbidden, 404: UnknownName, 409: Conflict}
"""What the daemon's refusals are here; other 4xx are BadInput, 5xx the surroundings."""


@Parameter(name="*")
@dataclass(frozen=True)
class Daemon:
    """Where the daemon is, and the token it wants."""

    url: Annotated[str, Parameter(env_var="RINGBACK_URL", help="where the daemon listens")] = "http://127.0.0.1:8302"
    token: Annotated[str, Parameter(env_var="RINGBACK_TOKEN", help="the token it wants", show_default=False)] = ""

    def get(self, path: str, **query: str | int | None) -> bytes:
        """The body of a success. Raises Unreachable and what ERRORS says."""
        asked = {name: value for name, value in query.items() if value is not None}
        return self.send("GET", f"{path}?{urlencode(asked)}" if asked else path)

    def send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The same for any method. `path` is percent-encoded already: `segment` does it."""
        place = _place(self.url)
        status, kind, answer = self._exchange(place, method, place.path.rstrip("/") + path, body)
        if status < http.HTTPStatus.MULTIPLE_CHOICES and "json" in kind:
            return answer
        raise self._refusal(status, kind, answer)

    def glimpse(self, path: str) -> bytes | None:
        """The body of a success that comes within a blink, else None, whatever the reason. Raises BadInput for --url.

        In a thread, because looking a name up knows no time-out.
        """
        _place(self.url)
        found: list[bytes] = []

        def look() -> None:
            with suppress(RingbackError):
                found.append(self.get(path))

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        looking.join(BLINK_S)
        return found[0] if found else None

    def _exchange(self, place: SplitResult, method: str, target: str, body: bytes | None) -> tuple[int, str, bytes]:
        connection = _connection(place)
        try:
            connection.request(method, target, body, self._headers(body))
            response = connection.getresponse()
            answer = response.read(ANSWER_AT_MOST)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self._why(error)) from error
        finally:
            connection.close()
        return response.status, response.headers.get_content_type(), answer

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {"accept": "application/json", "user-agent": f"ringback/{ringback.__version__}"}
        if body is not None:
            headers["content-type"] = "application/json"
        if self.token:
            if not (self.token.isascii() and self.token.isprintable()):
                raise BadInput("--token holds characters that no token has: copy it anew")
            headers["authorization"] = f"Bearer {self.token}"
        return headers

    def _why(self, error: Exception) -> str:
        match error:
            case TimeoutError():
                return f"The ringback daemon at {self.url} took longer than {TIMEOUT_S:.0f} s to answer: try again."
            case ssl.SSLError():
                return (
                    f"No safe connection to {self.url} ({error.reason or 'TLS failed'}): check the address in --url, "
                    "or name a private CA with SSL_CERT_FILE."
                )
            case socket.gaierror():
                return f"The host of {self.url} is not known here: check the address in --url."
            case http.client.HTTPException():
                return self._stranger("something that is not HTTP")
        return f"No ringback daemon answers at {self.url}: start one with `ringback serve`, or name it with --url."

    def _stranger(self, what: str) -> str:
        return f"What answers at {self.url} is no ringback daemon ({what}): name the daemon's address with --url."

    def _refusal(self, status: int, kind: str, answer: bytes) -> RingbackError:
        problem = _problem(kind, answer)
        if problem is None:
            return Unreachable(self._stranger(f"HTTP {status}, {kind}"))
        said = sentence(problem)
        if status == http.HTTPStatus.UNAUTHORIZED:
            said = f"The daemon does not take {'this' if self.token else 'a request without'} token: {said}"
        default = SetupError if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else BadInput
        return ERRORS.get(status, default)(said, code=problem.get("code"))


LOCAL = Daemon()


def segment(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="")


def sentence(problem: dict[str, Any]) -> str:
    """What a problem+json says."""
    return str(problem.get("detail") or problem.get("title") or problem.get("code") or "it gave no reason")


def _problem(kind: str, answer: bytes) -> dict[str, Any] | None:
    if kind != "application/problem+json":
        return None
    try:
        problem = json.loads(answer)
    except ValueError:
        return None
    return problem if isinstance(problem, dict) else None


def _place(url: str) -> SplitResult:
    try:
        place = urlsplit(url)
        good = place.scheme in ("http", "https") and place.hostname and place.port != 0
    except ValueError:
        good = False
    if not good or not url.isascii() or any(character.isspace() for character in url):
        raise BadInput(f"--url '{url}' is no address: it looks like http://127.0.0.1:8302.")
    return urlsplit(url)


def _connection(place: SplitResult) -> http.client.HTTPConnection:
    if place.scheme == "https":
        return http.client.HTTPSConnection(str(place.hostname), place.port, timeout=TIMEOUT_S)
    return http.client.HTTPConnection(str(place.hostname), place.port, timeout=TIMEOUT_S)
