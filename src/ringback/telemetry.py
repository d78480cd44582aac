"""Every log line and every metric that the program can emit, one function a fact.

Secret: the names of facts. Nobody else writes a log line or touches a metric. Callback URLs appear as their origin
only, credentials never.

One canonical line is written per poll that changed something (`watch.changed`) and per attempt (`delivery.attempt`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

import ringback
from ringback.core.health import News
from ringback.core.model import Attempt, Delivery, Event, EventType, Problem, Watch
from ringback.core.retry import Step
from ringback.tally import Spread, Tally

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
QUIET = ("httpx", "httpcore", "apscheduler", "uvicorn.access", "uvicorn.error", "asyncio")
"""Libraries that may speak at WARNING only: httpx prints whole URLs at INFO."""

WORDS_SAID = 1000
"""Unknown status words that are warned of, so that a hostile provider cannot fill memory or the log."""


SHARED: tuple[Any, ...] = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)
"""What every line gets, ours and the libraries'."""


def configure(*, as_json: bool, level: str = "info") -> None:
    """Write our lines and the libraries' to stderr in one form."""
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class Telemetry:
    """What the program says about itself. Each process, and each test, has its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
            logging.getLogger("ringback"),
            wrapper_class=structlog.stdlib.BoundLogger,
            processors=[
                structlog.stdlib.filter_by_level,
                *SHARED,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
        )
        self._words: set[tuple[str, str]] = set()
        self._make_poll_metrics()
        self._make_delivery_metrics()
        info = Info("ringback_build", "Version of ringback and of Python.", registry=self.registry)
        info.info({"version": ringback.__version__, "python": sys.version.split()[0]})

    def _make_poll_metrics(self) -> None:
        self._polls = Tally(
            "ringback_polls",
            "Polls, by what came of them.",
            ["outcome"],
            registry=self.registry,
            known=[("changed",), ("unchanged",), ("problem",)],
        )
        self._observations = Tally(
            "ringback_observations",
            "Answers read, by provider and state.",
            ["provider", "state"],
            registry=self.registry,
        )
        self._problems = Counter(
            "ringback_poll_problems", "Answers that said nothing, by code.", ["code"], registry=self.registry
        )
        self._lag = Spread("ringback_poll_lag_seconds", "From due to polled.", buckets=SECONDS, registry=self.registry)
        self._polling = 0
        polling = Gauge("ringback_polls_in_flight", "Polls under way.", registry=self.registry)
        polling.set_function(lambda: self._polling)
        self._commit = Histogram(
            "ringback_journal_commit_seconds", "From asked to durable.", buckets=SECONDS, registry=self.registry
        )

    def _make_delivery_metrics(self) -> None:
        events = Counter("ringback_events", "Events recorded, by type.", ["type"], registry=self.registry)
        self._events: Mapping[str, Any] = _Labelled(events)
        deliveries = Counter("ringback_deliveries", "Deliveries settled, by state.", ["state"], registry=self.registry)
        self._deliveries: Mapping[str, Any] = _Labelled(deliveries)
        attempts = Counter("ringback_attempts", "Attempts, by outcome.", ["outcome"], registry=self.registry)
        self._attempts: Mapping[str, Any] = _Labelled(attempts)
        self._took = Histogram(
            "ringback_attempt_seconds", "How long an attempt took.", buckets=SECONDS, registry=self.registry
        )
        self._sending = Gauge("ringback_attempts_in_flight", "Attempts under way.", registry=self.registry)

    # ------------------------------------------------------------------ polling

    def poll_began(self, lag: timedelta) -> None:
        """A watch is asked about, so long after it was due."""
        self._polling += 1
        self._lag.observe(max(lag.total_seconds(), 0.0))

    def poll_ended(self, outcome: str) -> None:
        """A poll came to an end: changed, unchanged or problem."""
        self._polling -= 1
        self._polls.counts[(outcome,)] += 1

    def observed(self, watch: Watch) -> None:
        """An answer was read as a state."""
        self._observations.counts[watch.provider, watch.state.value] += 1

    def changed(self, before: Watch, after: Watch, events: tuple[Event, ...]) -> None:
        """A watch moved: the canonical line of a poll. Progress that nobody is told of is no news."""
        self.recorded(events)
        self._log.log(
            logging.INFO if events else logging.DEBUG,
            "watch.changed",
            watch=after.id,
            provider=after.provider,
            account=after.account,
            task_id=after.task_id,
            state=after.state.value,
            previous=before.state.value,
            events=[event.type.value for event in events],
            sequence=after.sequence,
            polls=after.polls,
        )

    def recorded(self, events: tuple[Event, ...]) -> None:
        """Events became durable."""
        for event in events:
            self._events[event.type.value].inc()

    def troubled(self, watch: Watch, problem: Problem) -> None:
        """An answer said nothing. A new problem is a line, its repetition only a number."""
        self._problems.labels(problem.code).inc()
        if problem.count == 1:
            self._log.warning(
                "watch.problem",
                watch=watch.id,
                provider=watch.provider,
                account=watch.account,
                task_id=watch.task_id,
                code=problem.code,
                message=problem.message,
            )

    def unknown_word(self, provider: str, word: str) -> None:
        """A preset does not list this status word: said once, read as running."""
        if (provider, word) not in self._words and len(self._words) < WORDS_SAID:
            self._words.add((provider, word))
            self._log.warning("provider.unknown_word", provider=provider, word=word, read_as="running")

    def account_news(self, account: str, news: News, message: str, watches: int) -> None:
        """An account is degraded, or has recovered."""
        line = self._log.warning if news is News.DEGRADED else self._log.info
        line(f"account.{news.value}", account=account, message=message, watches=watches)

    def account_rests(self, account: str, until: datetime) -> None:
        """An account asked for patience."""
        self._log.info("account.rests", account=account, until=until.isoformat())

    # ------------------------------------------------------------------ delivery

    def attempt_began(self) -> None:
        """A delivery is on its way."""
        self._sending.inc()

    def attempt_ended(self, delivery: Delivery, attempt: Attempt, what: Step) -> None:
        """A try came to an end: the canonical line of an attempt."""
        self._sending.dec()
        self._attempts[attempt.outcome.value].inc()
        self._took.observe(attempt.latency_ms / 1000)
        line = self._log.info if attempt.outcome.value == "delivered" else self._log.warning
        line(
            "delivery.attempt",
            delivery=delivery.id,
            watch=delivery.watch_id,
            type=delivery.event_type.value,
            sequence=delivery.sequence,
            destination=delivery.destination,
            to=delivery.group,
            attempt=attempt.number,
            outcome=attempt.outcome.value,
            status=attempt.status,
            latency_ms=attempt.latency_ms,
            message=attempt.message,
            then=type(what).__name__.lower(),
        )

    def settled(self, delivery: Delivery) -> None:
        """A delivery is over; one that was discarded is a line of its own."""
        self._deliveries[delivery.state.value].inc()
        if delivery.reason is not None:
            self._log.warning(
                "delivery.discarded", delivery=delivery.id, destination=delivery.destination, reason=delivery.reason
            )

    def destination_news(self, name: str, event: EventType, reason: str, pending: int) -> None:
        """A destination was paused or resumed."""
        self._log.warning(event.value, destination=name, reason=reason or None, pending=pending)

    # ------------------------------------------------------------------ store

    def committed(self, seconds: float) -> None:
        """A commit took so long to be durable."""
        self._commit.observe(seconds)

    def store_fact(self, fact: str, **facts: object) -> None:
        """Something about the store that an operator wants to know."""
        self._log.warning(f"store.{fact}", **facts)

    def pruned(self, watches: int) -> None:
        """Finished watches were forgotten."""
        self._log.info("store.pruned", watches=watches)

    # ------------------------------------------------------------------ life

    def started(self, **facts: object) -> None:
        """The daemon is ready."""
        self._log.info("ringback.started", version=ringback.__version__, **facts)

    def stopping(self, why: str) -> None:
        """The daemon was told to end."""
        self._log.info("ringback.stopping", why=why)

    def stopped(self) -> None:
        """The daemon has ended in order."""
        self._log.info("ringback.stopped")

    def generated(self, what: str, where: str) -> None:
        """A secret was made at first start, and where it is kept."""
        self._log.warning("secret.generated", what=what, where=where)

    def reloaded(self, needs_restart: list[str]) -> None:
        """A new configuration is in force."""
        self._log.info("configuration.reloaded", needs_restart=needs_restart)

    def reload_refused(self, problems: tuple[str, ...]) -> None:
        """A new configuration is bad: the old one stays."""
        self._log.error("configuration.refused", problems=problems)

    def clock_stepped(self, by: timedelta) -> None:
        """The wall clock jumped; what was due was moved with it."""
        self._log.warning("clock.stepped", by_s=round(by.total_seconds(), 3))

    def request_failed(self, asked: str, error: BaseException) -> None:
        """A request to the API met something unforeseen."""
        self._log.error("request.failed", asked=asked, error=f"{type(error).__name__}: {error}", exc_info=error)

    def duty_failed(self, duty: str, error: BaseException) -> None:
        """A periodic duty met something unforeseen; it goes on at its next turn."""
        self._log.error("duty.failed", duty=duty, error=f"{type(error).__name__}: {error}", exc_info=error)


class _Labelled(dict[Any, Any]):
    """A metric's children by their label, each looked up once."""

    def __init__(self, metric: Counter) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, label: str) -> Any:
        self[label] = child = self._metric.labels(label)
        return child
