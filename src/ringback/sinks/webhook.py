"""The webhook sink: one event, one signed POST.

Secret: what each HTTP status means for a delivery, and which headers are ours.

    2xx            delivered
    410            refused: the receiver wants nothing more
    413, 415       refused: this event will never fit
    429            failed, but only patience is asked for
    anything else  failed, redirects and network errors too: it may pass
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from time import perf_counter
from typing import Any, Literal

import msgspec

from ringback.core.errors import BadInput, RingbackError
from ringback.core.model import Answer, AttemptOutcome, Event
from ringback.core.retry import Outcome
from ringback.core.routing import origin
from ringback.outbound import Outbound, OutboundError, Via
from ringback.retry_after import retry_after
from ringback.sinks import cloudevents
from ringback.sinks.base import Message, Sent
from ringback.sinks.excerpt import READ_AT_MOST, Hidden, excerpt, of_header, of_secret, of_url
from ringback.sinks.payload import event_json
from ringback.sinks.signing import signed_headers
from ringback.sinks.template import Template

TIMEOUT_S = 15.0
JSON = "application/json"
GONE = 410
THROTTLED = 429
NEVER_FITS = frozenset({413, 415})

_OUR_FAMILIES = ("webhook-", "content-")
_OUR_NAMES = frozenset(
    {"accept-encoding", "connection", "expect", "host", "te", "transfer-encoding", "upgrade", "user-agent"}
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?", re.ASCII)


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """The request as outbound.py takes it."""

    url: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


class WebhookSink:
    """Posts events to one URL. `secrets` is asked at each send, so that a rotated one is used at once.

    The body is the public event, in the envelope that `format` names or in the shape of `template`.
    """

    def __init__(
        self,
        outbound: Outbound,
        url: str,
        *,
        secrets: Callable[[], Sequence[str]],
        headers: Mapping[str, str] | None = None,
        format: Literal["standard", "cloudevents"] = "standard",
        template: Any = None,
        timeout_s: float = TIMEOUT_S,
        via: Via | None = None,
    ) -> None:
        self._outbound = outbound
        self._url = url
        self._secrets = secrets
        self._headers = custom_headers(headers or {})
        self._content_type, self._body = _writer(format, template)
        self._timeout_s = timeout_s
        self._via = via or Via()
        self._hidden = [*of_url(url), *(text for value in self._headers.values() for text in of_header(value))]

    async def send(self, messages: Sequence[Message], now: datetime) -> Sent:
        """Send the first message, signed as of `now`."""
        event = messages[0].event
        body = self._body(event)
        try:
            secrets = self._secrets()
            signature = signed_headers(secrets, event.id, now, body)
        except RingbackError as exc:
            # An unreadable secret file is no fault of the event: it stays owed, and the attempt says what to do.
            return Sent(Outcome(outcome=AttemptOutcome.FAILED, message=exc.message))
        headers = self._headers | {"content-type": self._content_type} | signature
        post = Post(url=self._url, headers=headers, body=body)
        hidden = Hidden([*self._hidden, *(text for secret in secrets for text in of_secret(secret))])
        return Sent(await self._post(post, hidden, now))

    async def _post(self, post: Post, hidden: Hidden, now: datetime) -> Outcome:
        started = perf_counter()
        try:
            answer = await self._outbound.send(
                post, via=self._via, timeout_s=self._timeout_s, body_limit=READ_AT_MOST, truncate=True
            )
        except OutboundError as exc:
            took = _ms_since(started)
            return Outcome(outcome=AttemptOutcome.FAILED, latency_ms=took, message=hidden.mask(exc.message))
        return outcome_of(answer, origin(self._url), hidden, now=now, latency_ms=_ms_since(started))


def outcome_of(answer: Answer, receiver: str, hidden: Hidden, *, now: datetime, latency_ms: float) -> Outcome:
    """What an HTTP answer means for the delivery; `receiver` is the origin, all that a message may name."""
    status = answer.status
    text = excerpt(answer.body, hidden)
    if status // 100 == 2:  # noqa: PLR2004  the class of success
        return Outcome(outcome=AttemptOutcome.DELIVERED, latency_ms=latency_ms, status=status, excerpt=text)
    refused = status == GONE or status in NEVER_FITS
    return Outcome(
        outcome=AttemptOutcome.REFUSED if refused else AttemptOutcome.FAILED,
        latency_ms=latency_ms,
        status=status,
        message=f"{receiver} answered {_named(status)}{_meaning(status)}",
        excerpt=text,
        retry_after=None if refused else retry_after(answer.headers, now),
        throttled=status == THROTTLED,
        gone=status == GONE,
    )


def custom_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """A destination's own headers, names in lower case. Raises BadInput for one that is ours, or that HTTP refuses."""
    for name, value in headers.items():
        lower = name.lower()
        if lower in _OUR_NAMES or lower.startswith(_OUR_FAMILIES):
            raise BadInput(f"the header {name} is set by ringback itself: leave it out of `headers`")
        if _NAME.fullmatch(name) is None:
            raise BadInput(f"{name!r} is no header name: use letters, digits and -")
        if value and _VALUE.fullmatch(value) is None:
            raise BadInput(f"the value of the header {name} cannot be sent: use printable ASCII without spaces around")
    return {name.lower(): value for name, value in headers.items()}


def _writer(format: str, template: Any) -> tuple[str, Callable[[Event], bytes]]:
    """The content type, and what writes the body. Raises BadInput."""
    if template is not None and format != "standard":
        raise BadInput(f'template: says how the body is written, and so does format = "{format}": keep one of them')
    if template is not None:
        return JSON, Template(template).body
    if format == "cloudevents":
        return cloudevents.CONTENT_TYPE, cloudevents.cloudevent_json
    return JSON, event_json


def _named(status: int) -> str:
    """`503 Service Unavailable`; the receiver's own reason phrase is not repeated."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _meaning(status: int) -> str:
    if status // 100 == 3:  # noqa: PLR2004  the class of redirects
        return ": redirects are not followed, give the final URL"
    if status == GONE:
        return ": it wants nothing more"
    if status in NEVER_FITS:
        return ": it will never take this event"
    return ": it asks for patience" if status == THROTTLED else ""


def _ms_since(started: float) -> float:
    return (perf_counter() - started) * 1000
