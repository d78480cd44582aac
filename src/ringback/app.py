"""Everything, built and connected: the first file to read.

    register --> store --> due? --> ask --> read --> advance --> commit --> due? --> send --> next step --> commit
     intake      store    scheduler poller provider   core       store    scheduler  sink      core         store

Secret: which parts there are, and the order in which they start and stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from ringback import eventloop, instance
from ringback.accounts import Accounts
from ringback.asker import Asker
from ringback.config import Settings
from ringback.core.errors import RingbackError, SettingsError
from ringback.core.model import Callback, Change
from ringback.destinations import Destinations
from ringback.dispatcher import Dispatcher
from ringback.intake import Intake
from ringback.outbound import Outbound
from ringback.plan import Plan, callback_sink, callback_via, egress_of, plan, tokens_of
from ringback.poller import Poller
from ringback.registration import ADMIN
from ringback.scheduler import Beat, SteadyClock
from ringback.sinks.base import Sink
from ringback.store.base import Entry, Settlement, Store
from ringback.store.journal import JournalStore
from ringback.supervisor import Supervisor
from ringback.telemetry import Telemetry
from ringback.web.api import create
from ringback.web.parts import Parts, Token
from ringback.web.server import Server

TURN = timedelta(seconds=1)
"""The loops turn at least so often; whatever is due earlier wakes them."""

POLLS_APART_S = 0.02
"""Watches that are due within it are claimed together, which costs half as much: no poll is waited for so closely."""

HUNG_AFTER = timedelta(seconds=30)
"""A loop whose last turn is older makes no progress: /healthz says so, and the watchdog is not fed."""

TEND_EVERY = timedelta(seconds=15)
PRUNE_EVERY = timedelta(minutes=1)
PRUNED_AT_ONCE = 200
STATUS = "following tasks"


class App:
    """The daemon. With `serve=False` it has no API: `ringback wait` follows a task with it."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store | None = None,
        load: Callable[[], Settings] | None = None,
        wait_lock: timedelta = timedelta(),
        serve: bool = True,
    ) -> None:
        self.settings = settings
        self._started_with = settings
        self.telemetry = Telemetry()
        self.clock = SteadyClock()
        self.store = store or _journal(settings, wait_lock, self.telemetry)
        self._load = load
        self._serve = serve
        self.server: Server | None = None
        self._supervisor = Supervisor(os.environ)
        self._reloading: asyncio.Task[None] | None = None
        self._reload_again = False
        self._told_to_stop = asyncio.Event()

    # ------------------------------------------------------------------ life

    async def run(self) -> None:
        """Start, go on until a signal or a broken store, stop. Raises what start raises, and StoreBroken."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask_to_stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        await self.start()
        try:
            await self._until_stopped()
        finally:
            await self.stop()

    async def start(self) -> None:
        """Take the store and the port, take up what was under way, then let the loops and the API go.

        Raises SetupError, SettingsError, StoreError. Whatever was opened is closed again.
        """
        async with contextlib.AsyncExitStack() as opened:
            self.outbound = Outbound()
            opened.push_async_callback(self.outbound.aclose)
            agreed = plan(self.settings, self.outbound)
            self._build(agreed)
            await self.store.open(self.clock.now())
            opened.push_async_callback(self.store.close)
            gc.freeze()  # what was read lives long: no collection walks through it
            if self.server is not None:
                self.server.bind()
                opened.push_async_callback(self.server.stop, timedelta())
            await self.accounts.remember()
            await self.destinations.remember()
            await self._put_in_force(agreed)
            self.store.listen(self._on_entry)
            self.beat.start()
            if self.server is not None:
                await self.server.start()
            opened.pop_all()
        self._supervisor.ready(STATUS)
        self.telemetry.started(listen=self.url, store=self.settings.store.url, pid=os.getpid(), loop=eventloop.name())

    async def stop(self) -> None:
        """Finish what is in flight within `shutdown_grace`, then close everything."""
        self._supervisor.stopping()
        grace = self.settings.server.shutdown_grace
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace.total_seconds()):
                await self.beat.stop()
                finishing = [self.poller.drain(), self.dispatcher.drain()]
                await asyncio.gather(*finishing, *([self.server.stop(grace)] if self.server is not None else []))
        await asyncio.gather(self.poller.cancel(), self.dispatcher.cancel())
        await self.outbound.aclose()
        await self.store.close()
        self.telemetry.stopped()

    def ask_to_stop(self, why: str) -> None:
        """Have `run` come to its end."""
        self.telemetry.stopping(why)
        self._told_to_stop.set()

    def _reload_soon(self) -> None:
        """One reload at a time; a signal during one is taken up by the next."""
        self._reload_again = True
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reloads())

    async def _reloads(self) -> None:
        while self._reload_again:
            self._reload_again = False
            await self.reload()

    async def reload(self) -> None:
        """Build the new configuration fully, then swap; keep the old one on any error."""
        self._supervisor.reloading(time.monotonic_ns() // 1000)
        try:
            if self._load is None:
                raise SettingsError(["there is no configuration to read again"])
            agreed = plan(self._load(), self.outbound)
            await self._put_in_force(agreed)
            self.telemetry.reloaded(_needs_restart(self._started_with, agreed.settings))
        except RingbackError as error:
            self.telemetry.reload_refused(error.problems if isinstance(error, SettingsError) else (error.message,))
        finally:
            self._supervisor.ready(STATUS)

    @property
    def url(self) -> str:
        """Where the API answers; empty without one."""
        return self.server.url if self.server is not None else ""

    # ------------------------------------------------------------------ the parts

    def _build(self, agreed: Plan) -> None:
        """Every part, with what it works by. Nothing here does I/O."""
        self.beat = Beat(self.clock, self.telemetry, self._on_step)
        self.accounts = Accounts(self.store, self.telemetry)
        self.intake = Intake(self.store, self.clock.now, terms=agreed.intake, wake=partial(self.beat.wake, "poll"))
        self.asker = Asker(
            self.accounts, agreed.catalogue, agreed.credentials, outbound=self.outbound, clock=self.clock
        )
        self.poller = Poller(
            self.store,
            self.accounts,
            self.asker,
            terms=agreed.polling,
            clock=self.clock,
            telemetry=self.telemetry,
            wake=partial(self.beat.wake_at, "poll"),
            hurry=partial(self.beat.hurry, "poll"),
            report=partial(self.beat.report, "poll"),
        )
        self.destinations = Destinations(self.store, self.telemetry)
        self.dispatcher = Dispatcher(
            self.store,
            self.destinations,
            self._callback_sink,
            clock=self.clock,
            telemetry=self.telemetry,
            wake=partial(self.beat.wake_at, "deliver"),
            report=partial(self.beat.report, "deliver"),
        )
        self._add_duties()
        if self._serve:
            listen = self.settings.server
            self.server = Server(create(self._parts()), host=listen.host, port=listen.port)

    def _add_duties(self) -> None:
        self.beat.add("poll", self.poller.tick, TURN, apart_s=POLLS_APART_S)
        self.beat.add("deliver", self.dispatcher.tick, TURN)
        self.beat.add("tend", self._tend, TEND_EVERY)
        self.beat.add("prune", self._prune, PRUNE_EVERY)
        if self._supervisor.watchdog_every is not None:
            self.beat.add("watchdog", self._feed_watchdog, self._supervisor.watchdog_every)

    def _parts(self) -> Parts:
        return Parts(
            store=self.store,
            intake=self.intake,
            destinations=self.destinations,
            test=self.dispatcher.test,
            catalogue=lambda: self.asker.catalogue,
            registry=self.telemetry.registry,
            now=self.clock.now,
            tokens=lambda: self._tokens,
            loopback=self.settings.server.loopback,
            alive=self.problems,
            failed=self.telemetry.request_failed,
        )

    async def _put_in_force(self, agreed: Plan) -> None:
        """Register what the configuration itself follows, then swap every value at once."""
        secret, tokens = self._secrets_for(agreed.settings)
        followed = [(await self.intake.follow(watch, standing=True)).watch.id for watch in agreed.watches]
        self._configured = frozenset(followed)
        self.settings = agreed.settings
        self._instance_secret, self._tokens = secret, tokens
        self.outbound.renew(egress_of(agreed.settings))
        self._callback_via = callback_via(agreed.settings)
        self.accounts.agree(agreed.accounts, concurrency=agreed.polling.concurrency)
        self.intake.terms = agreed.intake
        self.poller.terms = agreed.polling
        self.asker.catalogue, self.asker.credentials = agreed.catalogue, agreed.credentials
        self.destinations.agree(agreed.channels, agreed.intake.routes)

    def _secrets_for(self, settings: Settings) -> tuple[Callable[[], str], list[Token]]:
        """What signs callbacks, and who may ask: as configured, else made by this instance where it is needed."""
        directory, tokens = self._started_with.store.directory, tokens_of(settings)
        if settings.callbacks.secret is not None:
            secret = settings.callbacks.secret.reveal
        elif not self._serve:
            secret = instance.new_secret
        else:
            secret = self._made(instance.callback_secret, directory / instance.CALLBACK_SECRET_FILE)
        if self._serve and not settings.server.loopback and not tokens:
            tokens = [Token(ADMIN, self._made(instance.admin_token, directory / instance.ADMIN_TOKEN_FILE)())]
        return secret, tokens

    def _made(self, make: Callable[[Path], tuple[str, bool]], path: Path) -> Callable[[], str]:
        text, new = make(path)
        if new:
            self.telemetry.generated(path.name, str(path))
        return lambda: text

    def _callback_sink(self, callback: Callback) -> Sink:
        return callback_sink(callback, self._instance_secret, self.outbound, via=self._callback_via)

    # ------------------------------------------------------------------ duties and wake-ups

    def _on_entry(self, entry: Entry) -> None:
        """What became durable may be work: a new watch to ask about, a delivery to send."""
        if isinstance(entry, Change) and entry.watch is not None and entry.watch.next_poll_at is not None:
            self.beat.wake_at("poll", entry.watch.next_poll_at)
        if isinstance(entry, Settlement) or (isinstance(entry, Change) and (entry.deliveries or entry.marks)):
            self.beat.wake("deliver")

    async def _on_step(self, by: timedelta) -> None:
        """The wall clock jumped: everything that is due stays due in as long as it was."""
        await self.store.shift(by)
        self.accounts.shift(by)
        self.poller.shift(by)
        self.destinations.shift(by)

    async def _tend(self) -> datetime | None:
        await self.store.tend()
        return None

    async def _prune(self) -> datetime | None:
        """Forget what is over for long enough, a slice at a time so that the loop goes on."""
        now, keep = self.clock.now(), self.settings.store
        pruned = await self.store.prune(now - keep.retain, keep.retain_max, self._configured, PRUNED_AT_ONCE)
        if pruned:
            self.telemetry.pruned(pruned)
        return now if pruned == PRUNED_AT_ONCE else None

    async def _feed_watchdog(self) -> datetime | None:
        if not self.problems():
            self._supervisor.alive()
        return None

    def problems(self) -> list[str]:
        """What makes no progress; nothing when all is well."""
        ages = {name: self.beat.last_run_ago(name) for name in ("poll", "deliver")}
        return [
            f"the {name} loop has made no progress for {age.total_seconds():.0f} s"
            for name, age in ages.items()
            if age > HUNG_AFTER
        ]

    async def _until_stopped(self) -> None:
        told = asyncio.create_task(self._told_to_stop.wait())
        await asyncio.wait((told, self.beat.failed), return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if self.beat.failed.done():
            await self.beat.failed


def _journal(settings: Settings, wait_lock: timedelta, telemetry: Telemetry) -> Store:
    return JournalStore(
        settings.store.directory,
        wait_lock=wait_lock,
        observe_commit=telemetry.committed,
        report=telemetry.store_fact,
    )


def _needs_restart(before: Settings, after: Settings) -> list[str]:
    """The settings that are only read at start-up and have changed."""
    changed = {
        "server.listen": before.server.listen != after.server.listen,
        "store.url": before.store.url != after.store.url,
    }
    return [name for name, differs in changed.items() if differs]
