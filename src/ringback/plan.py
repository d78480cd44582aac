"""A configuration as the values that the parts work by, made whole before any of it is put in force.

Secret: which setting ends up where. No I/O but reading the secret files that settings name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from ringback.accounts import AccountTerms
from ringback.config import Account, Settings, WatchEntry, WebhookDestination
from ringback.core.advance import Rules
from ringback.core.cadence import Fixed, Pace
from ringback.core.errors import BadInput, RingbackError, SettingsError
from ringback.core.model import Callback
from ringback.core.retry import Policy
from ringback.core.routing import STATE_EVENTS, Route, Routes
from ringback.credentials import Credentials, Keys
from ringback.dispatcher import Channel
from ringback.outbound import Outbound, Via
from ringback.poller import PollTerms
from ringback.providers.base import Catalogue
from ringback.registration import ADMIN, Caller, Draft, Registration, Terms, draft
from ringback.sinks.base import Sink
from ringback.sinks.webhook import WebhookSink
from ringback.web.parts import Token


class Plan(msgspec.Struct, frozen=True):
    """What a configuration comes to."""

    settings: Settings
    intake: Terms
    polling: PollTerms
    accounts: Mapping[str, AccountTerms]
    credentials: Credentials
    channels: Mapping[str, Channel]
    watches: tuple[Draft, ...]


def plan(settings: Settings, outbound: Outbound, catalogue: Catalogue) -> Plan:
    """Everything at once. Raises SettingsError with every problem that only shows here, like a watch's provider."""
    problems: list[str] = []
    polling = settings.polling
    routes = _routes(settings)
    pace = Pace(Fixed(polling.interval), polling.min_interval, polling.max_interval)
    terms = Terms(
        accounts={name: account.vendor or name for name, account in settings.accounts.items()},
        params={name: account.params for name, account in settings.accounts.items()},
        routes=routes,
        deadline=polling.deadline,
        min_interval=polling.min_interval,
    )
    agreed = Plan(
        settings=settings,
        intake=terms,
        polling=PollTerms(Rules(pace, routes, polling.stalled_after), polling.concurrency),
        accounts={name: _account(account) for name, account in settings.accounts.items()},
        credentials=Credentials(
            {name: Keys(account.credentials, account.base_url or "") for name, account in settings.accounts.items()}
        ),
        channels=_channels(settings, outbound, problems),
        watches=_watches(settings, terms, catalogue, problems),
    )
    if problems:
        raise SettingsError(problems)
    return agreed


def tokens_of(settings: Settings) -> list[Token]:
    """Who may ask. Raises BadInput when a secret file cannot be read."""
    return [
        Token(Caller(name, token.scope, token.accounts), token.secret.reveal())
        for name, token in settings.tokens.items()
    ]


def callback_sink(callback: Callback, instance_secret: Callable[[], str], outbound: Outbound) -> Sink:
    """The sink of a callback: signed with its own secret, else with the instance's."""
    return WebhookSink(outbound, callback.url, secrets=lambda: [callback.secret or instance_secret()])


def _routes(settings: Settings) -> Routes:
    wanted = {name: destination.events or STATE_EVENTS for name, destination in settings.destinations.items()}
    return Routes(
        wanted, tuple(Route(route.to, route.events, route.providers, route.metadata) for route in settings.routes)
    )


def _account(account: Account) -> AccountTerms:
    return AccountTerms(
        base_url=account.base_url,
        per_second=account.rate.per_second,
        headers={name.lower(): value for name, value in account.headers.items()},
        via=Via(account.ca_file, account.proxy),
    )


def _channels(settings: Settings, outbound: Outbound, problems: list[str]) -> dict[str, Channel]:
    channels: dict[str, Channel] = {}
    for name, destination in settings.destinations.items():
        try:
            channels[name] = _channel(destination, outbound)
        except BadInput as error:
            problems.append(f"destinations.{name}: {error.message}")
    return channels


def _channel(destination: WebhookDestination, outbound: Outbound) -> Channel:
    keys = destination.signing_secrets
    sink = WebhookSink(
        outbound, destination.url, secrets=lambda: [key.reveal() for key in keys], headers=destination.headers
    )
    return Channel(sink, Policy(destination.retry), destination.concurrency)


def _watches(settings: Settings, terms: Terms, catalogue: Catalogue, problems: list[str]) -> tuple[Draft, ...]:
    drafts: list[Draft] = []
    for number, watch in enumerate(settings.watches):
        try:
            drafts.append(draft(_registration(watch), ADMIN, terms, catalogue))
        except RingbackError as error:
            problems.append(f"watches.{number}: {error.message}")
    return tuple(drafts)


def _registration(watch: WatchEntry) -> Registration:
    return Registration(
        provider=watch.provider,
        task_id=watch.task_id,
        account=watch.account,
        params=watch.params,
        callback_url=watch.callback_url,
        callback_secret=watch.callback_secret.reveal() if watch.callback_secret is not None else None,
        to=list(watch.to) if watch.to is not None else None,
        events=list(watch.events) if watch.events is not None else None,
        metadata=watch.metadata,
        deadline=_text(watch.deadline),
        interval=_text(watch.interval),
        reopen=watch.reopen,
    )


def _text(length: timedelta | None) -> str | None:
    return f"{length // timedelta(milliseconds=1)}ms" if length is not None else None
