"""The Slack sink: an incoming webhook (one message an event), or a bot (one message a watch, edited as it moves).

Secret: the order of the calls to Slack, and what a lane's handle says.

    webhook   post
    bot       nothing posted yet -> post          posted -> edit; a final state is also a reply, shown in the channel
              edit or reply impossible -> post anew          an older event, sent again by hand -> reply

A message that is posted rings by itself, so only an edit needs the reply. The handle holds the message, the number of
the event that it shows, and the event whose reply is owed: it comes with failures too, so that a try after an edit
without its reply only replies. What Slack took although its answer was lost is posted again; the event's id stands in
the first block's id and in the metadata, where a second copy is recognised by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from time import perf_counter
from typing import Any, Literal, Protocol

import msgspec
from msgspec.structs import replace

from ringback.core.errors import BadInput, RingbackError
from ringback.core.model import Answer, AttemptOutcome, Event
from ringback.core.retry import Outcome
from ringback.core.routing import origin
from ringback.outbound import DIRECT, Outbound, OutboundError, Via
from ringback.retry_after import retry_after
from ringback.sinks.base import Message, Sent
from ringback.sinks.blocks import Composed, Look, Shown, announced, composed
from ringback.sinks.excerpt import READ_AT_MOST, Hidden, of_url
from ringback.sinks.slack_errors import MEANINGS, POST_ANEW, WORD, Kind
from ringback.sinks.webhook import TIMEOUT_S, Post, outcome_of

API_URL = "https://slack.com/api/"
ANSWER_AT_MOST = 1024 * 1024
"""Bytes: the Web API repeats the whole message in its answer."""

LEAST_S = 1.0
"""What a second call has at least, however long the first one took."""

JSON = {"content-type": "application/json; charset=utf-8"}
QUIET = {"unfurl_links": False, "unfurl_media": False}
"""Else Slack fetches the links of a result, signed ones too."""

PLAIN = {"parse": "none", "link_names": False}
"""Else an edit finds names and channels in the text: its default is not that of a post."""

DELIVERED, FAILED, REFUSED = AttemptOutcome.DELIVERED, AttemptOutcome.FAILED, AttemptOutcome.REFUSED


class Handle(msgspec.Struct, frozen=True):
    """What was done for a watch so far: where its message is (`to` as configured), what it shows, what is owed."""

    to: str
    channel: str
    ts: str
    sequence: int
    owes: str = ""

    @property
    def text(self) -> str:
        """As the store keeps it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str | None) -> Handle | None:
        """What the store kept; None when there is none, or it was another channel's kind of handle."""
        try:
            return None if text is None else msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError:
            return None


class Said(msgspec.Struct, frozen=True):
    """Slack's answer as it was understood."""

    outcome: Outcome
    word: str = ""
    channel: str = ""
    ts: str = ""

    @property
    def anew(self) -> bool:
        """Whether the message that was spoken of is beyond reach."""
        return self.word in POST_ANEW


class SlackSink:
    """Sends to one Slack channel. Its secret is asked for at each send, so that a new one is used at once."""

    def __init__(
        self,
        outbound: Outbound,
        *,
        webhook_url: Callable[[], str] | None = None,
        bot_token: Callable[[], str] | None = None,
        channel: str = "",
        api_url: str = API_URL,
        final: Literal["reply", "edit"] = "reply",
        result: Shown = "excerpt",
        public_url: str = "",
        timeout_s: float = TIMEOUT_S,
        via: Via = DIRECT,
    ) -> None:
        look = Look(result, public_url)
        line = _Line(outbound, via)
        self._timeout_s = timeout_s
        self._way: _Way
        if webhook_url is not None and bot_token is None:
            self._way = _Webhook(line, webhook_url, look)
        elif bot_token is not None and webhook_url is None and channel:
            self._way = _Bot(line, bot_token, look, to=channel, api_url=api_url, replies=final == "reply")
        else:
            raise BadInput("a Slack destination takes `webhook_url`, or `bot_token` and `channel`")

    async def send(self, messages: Sequence[Message], now: datetime) -> Sent:
        """Send the first message as of `now`."""
        timer = _Timer(self._timeout_s)
        try:
            sent = await self._way.send(messages[0], now, timer)
        except RingbackError as exc:
            # An unreadable secret file is no fault of the event: it stays owed, and the attempt says what to do.
            return Sent(Outcome(outcome=FAILED, message=exc.message))
        return Sent(replace(sent.outcome, latency_ms=timer.taken_s * 1000), sent.handle)


class _Timer:
    """The time that is left for the calls of one send."""

    def __init__(self, total_s: float) -> None:
        self._started = perf_counter()
        self._total_s = total_s

    @property
    def taken_s(self) -> float:
        return perf_counter() - self._started

    @property
    def left_s(self) -> float:
        return max(self._total_s - self.taken_s, min(LEAST_S, self._total_s))


class _Line:
    """The way to Slack: one request, its answer's outcome as HTTP alone has it, and its body."""

    def __init__(self, outbound: Outbound, via: Via) -> None:
        self._outbound = outbound
        self._via = via

    async def post(self, post: Post, hidden: Hidden, now: datetime, timer: _Timer) -> tuple[Outcome, Answer]:
        try:
            answer = await self._outbound.send(
                post, via=self._via, timeout_s=timer.left_s, body_limit=ANSWER_AT_MOST, truncate=True
            )
        except OutboundError as exc:
            return Outcome(outcome=FAILED, message=hidden.mask(exc.message)), Answer(status=0)
        start = replace(answer, body=answer.body[:READ_AT_MOST])
        return outcome_of(start, origin(post.url), hidden, now=now, latency_ms=0), answer


class _Way(Protocol):
    """One of the two ways in. May raise RingbackError for what is wrong on our side."""

    async def send(self, message: Message, now: datetime, timer: _Timer) -> Sent: ...


class _Webhook:
    """Answers `ok` or an error word, as text; knows no edits and no threads."""

    def __init__(self, line: _Line, url: Callable[[], str], look: Look) -> None:
        self._line = line
        self._url = url
        self._look = look

    async def send(self, message: Message, now: datetime, timer: _Timer) -> Sent:
        url = self._url()
        body = msgspec.json.encode(_halves(composed(message.event, self._look)) | QUIET)
        post = Post(url=url, headers=JSON, body=body)
        outcome, answer = await self._line.post(post, Hidden(of_url(url)), now, timer)
        word = answer.body[:READ_AT_MOST].decode(errors="replace").strip()
        if word in MEANINGS:  # whatever the status says; without such a word a 2xx is success
            outcome = _meant(outcome, word, f"{origin(url)} answered {word}", answer, now)
        return Sent(outcome)


class _Bot:
    """Speaks the Web API, which answers 200 with `ok` true or false."""

    def __init__(
        self, line: _Line, token: Callable[[], str], look: Look, *, to: str, api_url: str, replies: bool
    ) -> None:
        self._line = line
        self._token = token
        self._look = look
        self._to = to
        self._api_url = api_url.rstrip("/") + "/"
        self._replies = replies

    async def send(self, message: Message, now: datetime, timer: _Timer) -> Sent:
        """See the top of the file; `call` is Slack as this attempt reaches it."""
        event, token = message.event, self._token()

        async def call(method: str, payload: dict[str, Any]) -> Said:
            return await self._call(method, payload, token, now, timer)

        posted = self._posted(message)
        if posted is None:
            return await self._post(event, call)
        if posted.owes == event.id or event.sequence < posted.sequence:
            return await self._reply(event, posted, call)
        return await self._edit(event, posted, call)

    def _posted(self, message: Message) -> Handle | None:
        """The watch's message, if it is in the channel that is configured now."""
        posted = Handle.read(message.handle) if message.event.type.about_a_task else None
        return posted if posted is not None and posted.to == self._to else None

    async def _post(self, event: Event, call: _Call) -> Sent:
        said = await call("chat.postMessage", {"channel": self._to} | self._content(event) | QUIET)
        if said.outcome.outcome is not DELIVERED or not said.ts or not event.type.about_a_task:
            return Sent(said.outcome)
        return Sent(said.outcome, Handle(self._to, said.channel, said.ts, event.sequence).text)

    async def _edit(self, event: Event, posted: Handle, call: _Call) -> Sent:
        said = await call("chat.update", {"channel": posted.channel, "ts": posted.ts} | self._content(event))
        if said.anew:
            return await self._post(event, call)
        if said.outcome.outcome is not DELIVERED:
            return Sent(said.outcome)
        rings = self._replies and event.type.lasting
        edited = replace(posted, sequence=event.sequence, owes=event.id if rings else "")
        return await self._reply(event, edited, call) if rings else Sent(said.outcome, edited.text)

    async def _reply(self, event: Event, posted: Handle, call: _Call) -> Sent:
        """In the message's thread; what lasts is shown in the channel too."""
        place = {"channel": posted.channel, "thread_ts": posted.ts, "reply_broadcast": event.type.lasting}
        content = _halves(announced(event, self._look)) | _metadata(event) | PLAIN
        said = await call("chat.postMessage", place | content | QUIET)
        if said.anew:
            return await self._post(event, call)
        if said.outcome.outcome is not DELIVERED:
            missing = f"the message stands, its reply is missing: {said.outcome.message}"
            return Sent(replace(said.outcome, message=missing), posted.text)
        return Sent(said.outcome, replace(posted, owes="").text)

    def _content(self, event: Event) -> dict[str, Any]:
        return _halves(composed(event, self._look)) | _metadata(event) | PLAIN

    async def _call(self, method: str, payload: dict[str, Any], token: str, now: datetime, timer: _Timer) -> Said:
        headers = JSON | {"authorization": f"Bearer {token}"}
        post = Post(url=self._api_url + method, headers=headers, body=msgspec.json.encode(payload))
        hidden = Hidden([token, token.partition("-")[2]])
        outcome, answer = await self._line.post(post, hidden, now, timer)
        found = _Answered.read(answer.body)
        who = f"{origin(self._api_url)} answered {method} with"
        if found is None:
            if outcome.outcome is DELIVERED:
                outcome = _not(outcome, f"{who} something that is not Slack's: is `api_url` right?")
            return Said(outcome)
        if outcome.outcome is DELIVERED and found.ok:
            return Said(outcome, channel=found.channel, ts=found.ts)
        word = found.error if WORD.fullmatch(found.error) else "an error without a name"
        return Said(_meant(outcome, word, f"{who} {word}", answer, now), word)


class _Call(Protocol):
    """One method of the Web API."""

    async def __call__(self, method: str, payload: dict[str, Any]) -> Said: ...


class _Answered(msgspec.Struct, frozen=True):
    """What is read of a Web API answer."""

    ok: bool
    error: str = ""
    channel: str = ""
    ts: str = ""

    @classmethod
    def read(cls, body: bytes) -> _Answered | None:
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def _meant(outcome: Outcome, word: str, says: str, answer: Answer, now: datetime) -> Outcome:
    """What an error word makes of an outcome that HTTP alone had; an unknown one never makes it better."""
    meaning = MEANINGS.get(word)
    if meaning is None:
        return outcome if outcome.outcome is not DELIVERED else _not(outcome, says)
    refused = meaning.kind in (Kind.CLOSED, Kind.UNFIT)
    return replace(
        outcome,
        outcome=REFUSED if refused else FAILED,
        message=f"{says}: {meaning.advice}",
        retry_after=None if refused else retry_after(answer.headers, now),
        throttled=outcome.throttled or meaning.kind is Kind.PATIENCE,
        gone=meaning.kind is Kind.CLOSED,
    )


def _not(outcome: Outcome, says: str) -> Outcome:
    return replace(outcome, outcome=FAILED, message=says)


def _halves(message: Composed) -> dict[str, Any]:
    return {"text": message.text, "blocks": message.blocks}


def _metadata(event: Event) -> dict[str, Any]:
    """What programs read of a message; the id is the same in every copy."""
    about = {"id": event.id, "type": event.type, "watch_id": event.watch_id, "sequence": event.sequence}
    return {"metadata": {"event_type": "ringback_event", "event_payload": about}}
