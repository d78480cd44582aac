"""The loops with a clock that is turned, a store in memory, and an outside that answers as it is told."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import given
import msgspec
import pytest
import uvloop
from outside import Outgoing, Outside

from ringback.accounts import Accounts, AccountTerms
from ringback.asker import Asker
from ringback.core.model import Answer, AttemptOutcome
from ringback.core.retry import Outcome
from ringback.core.routing import Routes
from ringback.credentials import Credentials, Keys, Secret
from ringback.destinations import Channel, Destinations
from ringback.dispatcher import Dispatcher
from ringback.intake import Intake
from ringback.outbound import OutboundError
from ringback.poller import Poller, PollTerms
from ringback.providers.shelf import shipped
from ringback.registration import Registration, Terms
from ringback.sinks.base import Message, Sent
from ringback.store.memory import MemoryStore
from ringback.telemetry import Telemetry

CONCURRENCY = 256
"""Polls at once."""


class TurnedClock:
    """Time stands until it is turned; chance is always the middle."""

    def __init__(self) -> None:
        self.time = given.NOW

    def now(self) -> datetime:
        return self.time

    def jitter(self) -> float:
        return 0.5

    def turn(self, by: timedelta) -> None:
        self.time += by


class Upstream(Outside):
    """What stands for every provider: answers by task id, one a request, the last repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, list[Answer | Exception]] = defaultdict(list)
        self.asked: list[str] = []
        self.urls: list[str] = []
        self.keys: list[str] = []
        self.always: Answer | Exception | None = None

    def says(self, task_id: str, *answers: object) -> None:
        self.answers[task_id] = [_answer(answer) for answer in answers]

    async def send(self, sent: Outgoing) -> Answer:
        task_id = sent.url.rpartition("/")[2]
        self.asked.append(task_id)
        self.urls.append(sent.url)
        self.keys.append(sent.headers.get("authorization", ""))
        told = self.answers[task_id]
        answer = self.always or (told.pop(0) if len(told) > 1 else told[0])
        if isinstance(answer, Exception):
            raise answer
        return answer


def _answer(told: object) -> Answer | Exception:
    """A status word, an HTTP status, a whole body, an exception, or an answer as it is."""
    match told:
        case Answer() | Exception():
            return told
        case int():
            return Answer(status=told, body=b"{}")
        case str():
            return Answer(status=200, body=msgspec.json.encode({"status": told}))
        case _:
            return Answer(status=200, body=msgspec.json.encode(told))


class Mailbox:
    """What stands for every sink: outcomes as told, the last repeated; keeps what it was given."""

    def __init__(self, *outcomes: object) -> None:
        self.outcomes = [_outcome(told) for told in outcomes] or [_outcome(200)]
        self.got: list[Message] = []

    @property
    def types(self) -> list[str]:
        return [message.event.type.value for message in self.got]

    async def send(self, messages, now) -> Sent:
        self.got.extend(messages)
        return Sent(self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0])


def _outcome(told: object) -> Outcome:
    if isinstance(told, Outcome):
        return told
    assert isinstance(told, int)
    if told // 100 == 2:
        return Outcome(outcome=AttemptOutcome.DELIVERED, status=told)
    refused = told in (410, 413)
    return Outcome(
        outcome=AttemptOutcome.REFUSED if refused else AttemptOutcome.FAILED,
        status=told,
        message=f"answered {told}",
        throttled=told == 429,
        gone=told == 410,
    )


class Daemon:
    """Intake, both loops and the store, with every wake-up and report noted."""

    def __init__(
        self, clock: TurnedClock, upstream: Upstream, accounts: Mapping[str, AccountTerms], *, vendor: str = "302ai"
    ) -> None:
        self.clock = clock
        self.vendor = vendor
        self.upstream = upstream
        self.store = MemoryStore()
        self.telemetry = Telemetry()
        self.reports: list[Exception] = []
        self.wakes: list[datetime] = []
        self.mailboxes: dict[str, Mailbox] = {}
        self.callbacks = Mailbox()
        self.account_terms = accounts
        self.build()

    def build(self, routes: Routes = Routes(), **channels: Channel) -> None:  # noqa: B008 - a frozen value
        """Make the loops (anew: as after a restart)."""
        self.key = Secret("sk-one")
        credentials = Credentials({name: Keys({"api_key": self.key}) for name in self.account_terms})
        terms = Terms(
            catalogue=shipped(),
            accounts=dict.fromkeys(self.account_terms, self.vendor),
            base_urls={name: terms.base_url for name, terms in self.account_terms.items() if terms.base_url},
            credentials=credentials,
            routes=routes,
        )
        self.accounts = Accounts(self.store, self.telemetry)
        self.agree(self.account_terms)
        common = {
            "clock": self.clock,
            "telemetry": self.telemetry,
            "wake": self.wakes.append,
            "report": self.reports.append,
        }
        hurry = lambda: self.wakes.append(self.clock.now())  # noqa: E731 - as short as it is
        self.poller = Poller(
            self.store,
            self.accounts,
            Asker(self.accounts, shipped(), credentials, outbound=self.upstream, clock=self.clock),
            terms=PollTerms(given.rules(routes=routes), CONCURRENCY),
            hurry=hurry,
            **common,
        )
        self.destinations = Destinations(self.store, self.telemetry)
        self.destinations.agree(channels, routes)
        self.dispatcher = Dispatcher(self.store, self.destinations, lambda _: self.callbacks, **common)
        self.intake = Intake(self.store, self.clock.now, terms=terms, wake=lambda: None)

    def agree(self, terms: Mapping[str, AccountTerms], *, concurrency: int = CONCURRENCY) -> None:
        """What the configuration says of the accounts from now on."""
        self.accounts.agree(terms, concurrency=concurrency)

    def configure(self, outcomes: Mapping[str, Mailbox], **channel: object) -> None:
        """Webhook destinations by name, each with a mailbox."""
        self.mailboxes = dict(outcomes)
        routes = given.routes(**dict.fromkeys(outcomes, ("task.*", "provider.*")))
        self.build(routes, **{name: Channel(sink=mailbox, **channel) for name, mailbox in outcomes.items()})

    async def register(self, task_id: str, **fields: object):
        registration = Registration(**{"provider": "302ai-browser", "task_id": task_id, **fields})
        return (await self.intake.register(registration)).watch

    async def poll(self) -> datetime | None:
        """One tick of the poll loop, to its end."""
        next_at = await self.poller.tick()
        await self.poller.drain()
        return next_at

    async def deliver(self) -> datetime | None:
        """Ticks of the delivery loop until nothing is due."""
        next_at = await self.dispatcher.tick()
        while self.dispatcher._in_flight:
            await self.dispatcher.drain()
            next_at = await self.dispatcher.tick()
        return next_at

    async def until(self, end: timedelta, *, step: timedelta, do: Callable) -> None:
        """Turn the clock in steps, running the loops at each."""
        over = self.clock.now() + end
        while self.clock.now() < over:
            await do()
            self.clock.turn(step)


BOTH_LOOPS = {"test_outbound.py", "test_egress.py"}
"""What has to hold on Python's own event loop and on uvloop's alike: whatever opens connections."""


def pytest_asyncio_loop_factories(item):
    own = {"asyncio": asyncio.new_event_loop}
    return own | {"uvloop": uvloop.new_event_loop} if item.path.name in BOTH_LOOPS else own


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def daemon(clock, upstream) -> Daemon:
    return Daemon(clock, upstream, {"302ai": AccountTerms()})


@pytest.fixture
def mailbox():
    return Mailbox


@pytest.fixture
def make_daemon():
    return Daemon


REFUSED = OutboundError("https://api.302.ai refused the connection", code="refused")
