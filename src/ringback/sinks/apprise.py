"""The Apprise sink: a short text through one of the many services that Apprise speaks to.

    event -> title and body -> a thread of its own: Apprise -> what the service answered -> Outcome

Secret: how Apprise is kept within bounds. It blocks, so it gets a thread, and is left behind at the deadline; it goes
where its URL says, so its scheme must be allowed; its logs may quote secrets, so they end here. It is an extra: nothing
imports it before a destination asks for it.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from urllib.parse import unquote

from ringback.core.errors import BadInput
from ringback.core.model import AttemptOutcome
from ringback.core.retry import Outcome
from ringback.sinks.base import Message, Sent
from ringback.sinks.excerpt import Hidden, excerpt, of_url
from ringback.sinks.requests_within import Trip, hear_logs, travelling, watch_over_requests
from ringback.sinks.section import Section, Shown, Tone, section
from ringback.sinks.webhook import outcome_of

SCHEMES = (
    *("bark", "barks", "discord", "gchat", "gotify", "gotifys", "lark", "matrix", "matrixs", "mmost", "mmosts"),
    *("ntfy", "ntfys", "opsgenie", "pagerduty", "pbul", "pover", "rocket", "rockets", "signal", "signals"),
    *("tgram", "threema", "webex", "wecombot", "workflows", "zulip"),
)
"""Services for people, each over HTTP. Not among them: what runs here (syslog), what has a type of its own (slack,
mailto), and what posts anywhere (json, form, apprise)."""

TIMEOUT_S = 15.0
LEFT_BEHIND_AT_MOST = 4
"""Threads of one sink that are past their deadline; while there are more, nothing is begun."""

_SCHEME = re.compile(r"([a-z0-9]+)://.*", re.DOTALL)
_SECRET_AT_LEAST = 6
"""Shorter pieces of a URL are words (`ntfy`, `hooks`), not tokens."""

_MOODS: Mapping[Tone, str] = {"good": "success", "bad": "failure", "plain": "info"}


class AppriseSink:
    """Sends through one service. `url` is asked at each send, so that a rotated one is used at once.

    Raises BadInput when Apprise is not installed, or cannot do anything with the URL.
    """

    def __init__(
        self,
        url: Callable[[], str],
        *,
        schemes: Sequence[str] = SCHEMES,
        result: Shown = "excerpt",
        public_url: str = "",
        proxy: str = "",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = url
        self._schemes = tuple(schemes)
        self._result: Shown = result
        self._public_url = public_url.rstrip("/")
        self._proxy = proxy
        self._timeout_s = timeout_s
        self._left_behind: list[threading.Thread] = []
        self._service(url())

    async def send(self, messages: Sequence[Message], now: datetime) -> Sent:
        """Send the first message."""
        event = messages[0].event
        try:
            url = self._url()
            service = self._service(url)
        except BadInput as exc:
            # A file that cannot be read just now is no fault of the event: it stays owed.
            return Sent(Outcome(outcome=AttemptOutcome.FAILED, message=exc.message))
        where = f"{scheme_of(url)}://"
        self._left_behind = [thread for thread in self._left_behind if thread.is_alive()]
        if len(self._left_behind) >= LEFT_BEHIND_AT_MOST:
            busy = f"{where} has not let go of {len(self._left_behind)} earlier messages: nothing new is begun"
            return Sent(Outcome(outcome=AttemptOutcome.FAILED, message=busy))
        trip = Trip(deadline=perf_counter() + self._timeout_s, proxy=self._proxy)
        said = section(event, self._result, self._public_url)
        text = {"title": said.headline, "body": _body(said), "notify_type": _MOODS[said.tone], "body_format": "text"}
        started = perf_counter()
        trip.taken = await self._in_a_thread(lambda: bool(service.notify(**text)), trip)
        took = (perf_counter() - started) * 1000
        return Sent(_outcome(trip, where, Hidden(_secrets_of(url)), now=now, latency_ms=took))

    def _service(self, url: str) -> Any:
        """Apprise with this one service."""
        scheme = scheme_of(url)
        if scheme not in self._schemes:
            raise BadInput(
                f"{scheme or 'its URL'} is not among the `schemes` that are allowed: {', '.join(self._schemes)}"
            )
        apprise = _apprise()
        asset = apprise.AppriseAsset(
            app_id="ringback",
            app_desc="ringback",
            async_mode=False,
            http_redirects=False,
            pem_autogen=False,
            pgp_autogen=False,
            allow_templates=False,
            storage_mode="memory",
            timezone=UTC,
            service_timeout=0,
        )
        service = apprise.Apprise.instantiate(url, asset=asset)
        if service is None:
            raise BadInput(f"Apprise cannot read the {scheme}:// URL: its pages say how one is written")
        # A URL may ask for more than it should; how often and how much is sent is ours to say.
        service.redirects = False
        service.request_rate_per_sec = 0
        service.overflow_mode = "truncate"
        return apprise.Apprise(service, asset=asset)

    async def _in_a_thread(self, work: Callable[[], bool], trip: Trip) -> bool | str:
        """What the work comes to, or why it came to nothing. A thread cannot be stopped: a late one is left behind."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool | str] = loop.create_future()

        def run() -> None:
            taken = travelling(trip, work)
            try:
                loop.call_soon_threadsafe(_settle, done, taken)
            except RuntimeError:
                return  # the loop is closed: nobody waits for a thread that was left behind

        # A daemon, not a pool: the program's end does not wait for a service that keeps us waiting.
        thread = threading.Thread(target=run, name="apprise", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await done
        except TimeoutError:
            return f"gave no whole answer within {self._timeout_s:g} s"
        finally:
            if not done.done() or done.cancelled():
                self._left_behind.append(thread)


def _settle(done: asyncio.Future[bool | str], taken: bool | str) -> None:  # noqa: FBT001 - what the work came to
    if not done.done():
        done.set_result(taken)


def _outcome(trip: Trip, where: str, hidden: Hidden, *, now: datetime, latency_ms: float) -> Outcome:
    """True is success; else the HTTP answer says what it means, if there was one that said no."""
    answer, taken = trip.answer, trip.taken
    status = answer.status if answer is not None else None
    if taken is True:
        return Outcome(outcome=AttemptOutcome.DELIVERED, latency_ms=latency_ms, status=status)
    if answer is not None and answer.status // 100 != 2 and taken is False:  # noqa: PLR2004  the class of success
        return outcome_of(answer, where, hidden, now=now, latency_ms=latency_ms)
    kept = answer.body if answer is not None else "\n".join(trip.said).encode()
    return Outcome(
        outcome=AttemptOutcome.FAILED,
        latency_ms=latency_ms,
        status=status,
        message=f"{where} {taken or trip.failure or 'did not take the message'}",
        excerpt=excerpt(kept, hidden),
    )


def _body(said: Section) -> str:
    """A fact a line, then the result; the event's id is among the facts, so two messages of one can be told for one."""
    facts = (f"{label}: {value}" for label, value in said.facts)
    return "\n".join(part for part in (said.trouble, *facts, said.result, said.cut, said.link) if part)


def scheme_of(url: str) -> str | None:
    """The service that a URL names; None when it is no such URL."""
    found = _SCHEME.fullmatch(url)
    return found[1] if found else None


def _apprise() -> Any:
    """The library, with its redirects, answers and logs under control."""
    try:
        hear_logs("apprise", "urllib3")
        apprise = importlib.import_module("apprise")
        watch_over_requests()
    except ModuleNotFoundError as exc:
        raise BadInput("needs Apprise, which is an extra: pip install 'ringback[apprise]'") from exc
    return apprise


def _secrets_of(url: str) -> Iterable[str]:
    """Everything after the scheme: tokens stand anywhere in these URLs, as user, host, path or query."""
    rest = url.partition("://")[2]
    yield from of_url(url)
    yield rest
    login = rest.rpartition("@")[0]
    yield b64encode(unquote(login).encode()).decode()  # as it goes out
    for piece in re.split(r"[/?&=:@#,]", rest):
        if len(piece) >= _SECRET_AT_LEAST:
            yield piece
            yield unquote(piece)
