"""A real server on a port of its own, over the real intake, a store in memory and a receiver that is rung back."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx
from msgspec import structs
from prometheus_client import CollectorRegistry

from ringback.core import advance, lifecycle
from ringback.core.document import Document
from ringback.core.errors import UnknownName, nearest
from ringback.core.model import Answer, Observation, WatchState
from ringback.core.routing import Routes
from ringback.credentials import Credentials, Keys
from ringback.destinations import Channel, Destinations
from ringback.dispatcher import Dispatcher
from ringback.intake import Intake, Terms
from ringback.outbound import Outbound
from ringback.providers.base import About, Ask
from ringback.receiver import Receiver
from ringback.sinks.webhook import WebhookSink
from ringback.store.memory import MemoryStore
from ringback.telemetry import Telemetry
from ringback.web.api import Parts, create
from ringback.web.server import Server

NOW = datetime(2026, 11, 22, 5, 33, 0, 123456, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CALLBACK = "https://ci.example.org/hooks/done?key=1"
GRACE = timedelta(seconds=5)
ROUTES = Routes(destinations={"builds": ("task.*",), "team": ("task.failed",)})
BROWSER = About(
    id="302ai-browser",
    title="302.AI browser use",
    vendor="302ai",
    base_url="https://api.302.ai",
    source="https://doc.302.ai",
    confidence="confirmed",
    credentials=("api_key",),
    states={"queue": "queued", "finished": "succeeded"},
    interval=timedelta(seconds=90),
    deadline=timedelta(hours=2),
)
VIDEO = About(
    id="acme-video",
    title="Acme video",
    vendor="acme",
    base_url="https://acme.example",
    source="https://acme.example/docs",
    confidence="likely",
    credentials=("api_key",),
    params=("region",),
    identity=("region",),
    interval=timedelta(milliseconds=1500),
    learn_by="region",
)


class Asks:
    """How both providers are asked."""

    def ask(self, task_id, params, base_url):
        return Ask(method="GET", url=f"{base_url}/tasks/{task_id}")


class Shelf:
    """Two providers, as much of each as registering needs."""

    def of(self, id, dialect=""):
        return Asks()

    def about(self, id):
        found = next((about for about in self.abouts() if about.id == id), None)
        if found is None:
            ids = [about.id for about in self.abouts()]
            raise UnknownName(f"there is no provider '{id}'.{nearest(id, ids)}", provider=id)
        return found

    def abouts(self):
        return [BROWSER, VIDEO]


TERMS = Terms(
    catalogue=Shelf(),
    accounts={"302ai": "302ai", "acme": "acme"},
    base_urls={"302ai": BROWSER.base_url, "acme": VIDEO.base_url},
    credentials=Credentials({"302ai": Keys(), "acme": Keys()}),
    routes=ROUTES,
)


class StillClock:
    """It is always NOW, and chance is always the middle."""

    def now(self):
        return NOW

    def jitter(self):
        return 0.5


@dataclass
class Api:
    """What a test has in hand."""

    store: MemoryStore
    intake: Intake
    destinations: Destinations
    receiver: Receiver
    server: Server
    http: httpx.AsyncClient
    ills: list[str] = field(default_factory=list)
    failures: list[tuple[str, BaseException]] = field(default_factory=list)
    tokens: list = field(default_factory=list)

    @property
    def app(self):
        return self.server._app

    def swap(self, **parts):
        """Put other parts in while it runs."""
        self.app.state.parts = replace(self.app.state.parts, **parts)

    async def register(self, task_id="t-1", **fields):
        """Register over HTTP; the watch."""
        answer = await self.http.post("/v1/watches", json={"provider": "302ai-browser", "task_id": task_id, **fields})
        assert answer.is_success, answer.text
        return answer.json()

    async def see(self, watch, state, *, at=NOW, answer=None, result=None, details=None):
        """What a poll would commit when the provider says so."""
        known = await self.store.watch(watch["id"])
        observation = Observation(state=WatchState(state), result=_document(result), details=_document(details))
        after, event = lifecycle.transition(known, observation, at)
        _, change = advance.keep(known, after, event, ROUTES, at)
        await self.store.commit(structs.replace(change, answer=answer))
        return change


def _document(text):
    return Document.of_text(text) if text is not None else None


def answer_of(body, *, status=200, **headers):
    """A provider's answer."""
    return Answer(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body)


@asynccontextmanager
async def served(*, store=None, host="127.0.0.1", **parts):
    """The API as it is served; `parts` replace the usual ones."""
    store = store or MemoryStore()
    intake = Intake(store, lambda: NOW, terms=TERMS, wake=lambda: None)
    destinations = Destinations(store, Telemetry())
    dispatcher = Dispatcher(
        store,
        destinations,
        callback_sink=None,  # nothing is owed here but by test events, and a callback gets none
        clock=StillClock(),
        telemetry=Telemetry(),
        wake=lambda _: None,
        report=lambda _: None,
    )
    receiver = Receiver(SECRET, now=lambda: NOW)
    api = Api(store, intake, destinations, receiver, None, None)
    usual = Parts(
        store=store,
        intake=intake,
        destinations=destinations,
        test=dispatcher.test,
        catalogue=lambda: TERMS.catalogue,
        registry=CollectorRegistry(),
        now=lambda: NOW,
        tokens=lambda: api.tokens,
        loopback=True,
        alive=lambda: api.ills,
        failed=lambda what, error: api.failures.append((what, error)),
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(receiver)
        outbound = Outbound()
        stack.push_async_callback(outbound.aclose)
        destinations.agree(_channels(outbound, receiver), ROUTES)
        api.server = Server(create(replace(usual, **parts)), host=host, port=0)
        api.server.bind()
        await api.server.start()
        stack.push_async_callback(api.server.stop, GRACE)
        api.http = await stack.enter_async_context(httpx.AsyncClient(base_url=api.server.url, trust_env=False))
        yield api


def _channels(outbound, receiver):
    """Two webhooks; one of them has a secret in its path."""
    urls = {"builds": f"{receiver.url}/builds", "team": f"{receiver.url}/hooks/a-secret-path"}
    return {name: Channel(sink=WebhookSink(outbound, url, secrets=lambda: [SECRET])) for name, url in urls.items()}


async def until(condition):
    """Let the loop turn until something is so; the test's own time-out ends it otherwise."""
    while not condition():  # noqa: ASYNC110 - what it waits for is state of the server, which signals nobody
        await asyncio.sleep(0)
