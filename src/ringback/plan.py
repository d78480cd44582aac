"""A configuration as the values that the parts work by, made whole before any of it is put in force.

Secret: which setting ends up where. No I/O but reading the secret files that settings name.
"""
# ruff: noqa: PLC0415 - the sinks for people are heavy, and imported only where a destination asks for one

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import msgspec

from ringback.accounts import AccountTerms
from ringback.config import (
    Account,
    AppriseDestination,
    Destination,
    EmailDestination,
    Settings,
    SlackDestination,
    WatchEntry,
    WebhookDestination,
)
from ringback.core.advance import Rules
from ringback.core.cadence import Fixed, Pace
from ringback.core.errors import BadInput, PresetError, RingbackError, SettingsError
from ringback.core.model import Callback
from ringback.core.retry import Policy
from ringback.core.routing import ABOUT_OURSELVES, FINAL_EVENTS, STATE_EVENTS, Route, Routes
from ringback.credentials import Credentials, Keys
from ringback.destinations import Channel
from ringback.egress import Egress
from ringback.outbound import DIRECT, Outbound, Via
from ringback.poller import PollTerms
from ringback.providers import spec
from ringback.providers.shelf import Shelf, files_of, places, shipped
from ringback.registration import ADMIN, Caller, Draft, Registration, Terms, draft
from ringback.sinks.base import Sink
from ringback.sinks.webhook import WebhookSink
from ringback.web.parts import Token

FOR_PEOPLE = (*FINAL_EVENTS, *ABOUT_OURSELVES)
BY_DEFAULT: Mapping[str, tuple[str, ...]] = {
    "webhook": STATE_EVENTS,
    "slack": FOR_PEOPLE,
    "email": FOR_PEOPLE,
    "apprise": FOR_PEOPLE,
}
"""The events of a destination that names none: programs want every change, people want to hear when it is over."""


class Plan(msgspec.Struct, frozen=True):
    """What a configuration comes to."""

    settings: Settings
    intake: Terms
    polling: PollTerms
    catalogue: Shelf
    accounts: Mapping[str, AccountTerms]
    credentials: Credentials
    channels: Mapping[str, Channel]
    watches: tuple[Draft, ...]


def plan(settings: Settings, outbound: Outbound) -> Plan:
    """Everything at once. Raises SettingsError with every problem that only shows here, like a watch's provider."""
    problems: list[str] = []
    catalogue = catalogue_of(settings, problems)
    polling = settings.polling
    routes = routes_of(settings)
    pace = Pace(Fixed(polling.interval), polling.min_interval, polling.max_interval)
    credentials = Credentials(
        {name: Keys(account.credentials, account.base_url or "") for name, account in settings.accounts.items()}
    )
    terms = Terms(
        catalogue=catalogue,
        accounts={name: account.vendor or name for name, account in settings.accounts.items()},
        params={name: account.params for name, account in settings.accounts.items()},
        base_urls={name: account.base_url for name, account in settings.accounts.items() if account.base_url},
        credentials=credentials,
        routes=routes,
        deadline=polling.deadline,
        min_interval=polling.min_interval,
        egress=egress_of(settings),
    )
    agreed = Plan(
        settings=settings,
        intake=terms,
        polling=PollTerms(
            Rules(pace, routes, polling.stalled_after), polling.concurrency, learns=polling.cadence == "learned"
        ),
        catalogue=catalogue,
        accounts=_accounts(settings, catalogue),
        credentials=credentials,
        channels=_channels(settings, outbound, problems),
        watches=_watches(settings, terms, problems),
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


def callback_sink(
    callback: Callback, instance_secret: Callable[[], str], outbound: Outbound, *, via: Via = DIRECT
) -> Sink:
    """The sink of a callback: signed with its own secret, else with the instance's."""
    return WebhookSink(outbound, callback.url, secrets=lambda: [callback.secret or instance_secret()], via=via)


def callback_via(settings: Settings) -> Via:
    """The way out for callbacks: their URLs come from callers, so each address is checked before it is connected to."""
    return Via(guarded=True, proxy=settings.egress.proxy)


def egress_of(settings: Settings) -> Egress:
    """Where a URL from outside may lead: the public internet, what `egress.allow` opens, and loopback on loopback."""
    return Egress(settings.egress.allow, loopback=settings.server.loopback)


def routes_of(settings: Settings) -> Routes:
    """Who gets what."""
    destinations = settings.destinations
    return Routes(
        {name: to.events or BY_DEFAULT[to.type] for name, to in destinations.items()},
        tuple(Route(route.to, route.events, route.providers, route.metadata) for route in settings.routes),
        {name: delay for name, to in destinations.items() if (delay := _digest(to)) is not None},
    )


def catalogue_of(settings: Settings, problems: list[str]) -> Shelf:
    """The shipped presets and the user's own: those beside the configuration, then those that it names."""
    own: list[Path] = []
    for path in places(settings.source, settings.providers.paths):
        try:
            own += files_of(path).values()
        except PresetError as error:
            problems.append(f"providers.paths: {error.message}")
    return shipped(file for file in own if _is_good(file, problems))


def _is_good(file: Path, problems: list[str]) -> bool:
    try:
        spec.load(file)
    except PresetError as error:
        problems += error.message.splitlines()
        return False
    return True


def _accounts(settings: Settings, catalogue: Shelf) -> dict[str, AccountTerms]:
    """Whoever sets no rate asks as fast as the vendor's slowest preset says, else at the usual one."""
    slowest: dict[str, float] = {}
    if any("rate" not in account.model_fields_set for account in settings.accounts.values()):
        for about in catalogue.abouts():
            if about.rate is not None:
                slowest[about.vendor] = min(about.rate, slowest.get(about.vendor, about.rate))
    return {name: _account(account, slowest.get(account.vendor or name)) for name, account in settings.accounts.items()}


def _account(account: Account, documented: float | None) -> AccountTerms:
    usual = documented if documented is not None and "rate" not in account.model_fields_set else None
    return AccountTerms(
        base_url=account.base_url,
        per_second=usual or account.rate.per_second,
        headers={name.lower(): value for name, value in account.headers.items()},
        via=Via(account.ca_file, account.proxy),
    )


# ---------------------------------------------------------------------- destinations


def _channels(settings: Settings, outbound: Outbound, problems: list[str]) -> dict[str, Channel]:
    channels: dict[str, Channel] = {}
    for name, destination in settings.destinations.items():
        try:
            channels[name] = _channel(destination, settings, outbound)
        except BadInput as error:
            problems.append(f"destinations.{name}: {error.message}")
    return channels


def _channel(destination: Destination, settings: Settings, outbound: Outbound) -> Channel:
    """The sink that its type asks for, and how much and how often it takes. Mail can be gathered."""
    return Channel(
        sink=_sink(destination, settings, outbound),
        policy=Policy(destination.retry),
        concurrency=destination.concurrency,
        per_second=destination.rate.per_second,
        gathers=isinstance(destination, EmailDestination),
        digest=_digest(destination),
        kind=destination.type,
    )


def _digest(destination: Destination) -> timedelta | None:
    return destination.digest if isinstance(destination, EmailDestination) else None


def _sink(destination: Destination, settings: Settings, outbound: Outbound) -> Sink:
    match destination:
        case WebhookDestination():
            return _webhook(destination, settings, outbound)
        case SlackDestination():
            return _slack(destination, settings, outbound)
        case EmailDestination():
            return _email(destination, settings)
        case AppriseDestination():
            return _apprise(destination, settings)


def _webhook(destination: WebhookDestination, settings: Settings, outbound: Outbound) -> Sink:
    keys = destination.signing_secrets
    return WebhookSink(
        outbound,
        destination.url,
        secrets=lambda: [key.reveal() for key in keys],
        headers=destination.headers,
        format=destination.format,
        template=destination.template,
        via=Via(proxy=settings.egress.proxy, client_cert=destination.client_cert, client_key=destination.client_key),
    )


def _slack(destination: SlackDestination, settings: Settings, outbound: Outbound) -> Sink:
    from ringback.sinks.slack import SlackSink

    url, token = destination.webhook_url, destination.bot_token
    return SlackSink(
        outbound,
        webhook_url=url.reveal if url is not None else None,
        bot_token=token.reveal if token is not None else None,
        channel=destination.channel or "",
        api_url=destination.api_url,
        final=destination.final,
        result=destination.result,
        public_url=settings.server.public_url,
        via=Via(proxy=settings.egress.proxy),
    )


def _email(destination: EmailDestination, settings: Settings) -> Sink:
    from ringback.sinks.email import EmailSink, Smtp

    password = destination.smtp_password
    return EmailSink(
        to=destination.to,
        sender=destination.sender,
        smtp=Smtp.of(destination.smtp),
        password=password.reveal if password is not None else None,
        result=destination.result,
        public_url=settings.server.public_url,
    )


def _apprise(destination: AppriseDestination, settings: Settings) -> Sink:
    from ringback.sinks.apprise import AppriseSink

    return AppriseSink(
        destination.url.reveal,
        schemes=destination.schemes,
        result=destination.result,
        public_url=settings.server.public_url,
        proxy=settings.egress.proxy,
    )


def _watches(settings: Settings, terms: Terms, problems: list[str]) -> tuple[Draft, ...]:
    drafts: list[Draft] = []
    for number, watch in enumerate(settings.watches):
        try:
            drafts.append(draft(_registration(watch), ADMIN, terms))
        except RingbackError as error:
            problems.append(f"watches.{number}: {error.message}")
    return tuple(drafts)


def _registration(watch: WatchEntry) -> Registration:
    return Registration(
        provider=watch.provider,
        task_id=watch.task_id,
        account=watch.account,
        params=watch.params,
        ask=watch.ask,
        read=watch.read,
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
