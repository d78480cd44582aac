"""What somebody asks for, and what it comes to when it is good.

    Registration + Caller + Terms -> Draft

Secret: how what is left out is filled in, and who may ask for what. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ringback import fields
from ringback.core import ids
from ringback.core.errors import BadInput, Forbidden, UnknownName, nearest
from ringback.core.model import NOTHING, Callback
from ringback.core.routing import Routes
from ringback.credentials import Credentials, climbs
from ringback.egress import Egress
from ringback.providers import described
from ringback.providers.base import HTTP, About, Catalogue


class Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks for; the fields of POST /v1/watches and of `[[watches]]`."""

    provider: str
    task_id: str | int | None = None
    account: str | None = None
    params: dict[str, str] = {}
    ask: dict[str, Any] | None = None
    read: dict[str, Any] | None = None
    callback_url: str | None = None
    callback_secret: str | None = None
    to: list[str] | None = None
    events: list[str] | None = None
    metadata: dict[str, str] = {}
    deadline: str | None = None
    interval: str | None = None
    reopen: bool = False


class Caller(msgspec.Struct, frozen=True):
    """Who asks. `own` sees and touches only what it registered; `accounts` None means all."""

    name: str
    scope: Literal["admin", "own"] = "admin"
    accounts: tuple[str, ...] | None = None

    @property
    def owner(self) -> str:
        """Whose watches it registers: administrators share theirs."""
        return self.name if self.scope == "own" else ""

    @property
    def sees(self) -> str | None:
        """Whose watches it may see; None is everybody's."""
        return self.name if self.scope == "own" else None


ADMIN = Caller("")


class Terms(msgspec.Struct, frozen=True):
    """What a registration is judged by; replaced as a whole when the configuration is.

    `accounts` names each account's vendor, `params` its defaults for the presets' params, `base_urls` where it is asked
    instead of at the preset's place; `credentials` know where its key may go.
    """

    catalogue: Catalogue
    accounts: Mapping[str, str] = {}
    params: Mapping[str, Mapping[str, str]] = {}
    base_urls: Mapping[str, str] = {}
    credentials: Credentials = Credentials({})
    routes: Routes = Routes()
    deadline: timedelta = timedelta(hours=24)
    min_interval: timedelta = timedelta(seconds=1)
    egress: Egress | None = None


class Draft(msgspec.Struct, frozen=True):
    """A registration that is good: everything resolved, nothing stored yet.

    `given` are the params that it names itself, which correct those of a watch that there is. `url` is
    where it is asked about.
    """

    id: str
    owner: str
    provider: str
    account: str
    task_id: str
    params: dict[str, str]
    given: dict[str, str]
    secrets: dict[str, str]
    dialect: str
    url: str
    learn_by: str | None
    callback: Callback | None
    to: tuple[str, ...] | None
    events: tuple[str, ...] | None
    metadata: dict[str, str]
    deadline: timedelta
    deadline_given: bool
    interval: timedelta | None
    reopen: bool


def draft(asked: Registration, caller: Caller, terms: Terms) -> Draft:
    """Judge a registration. Raises BadInput, Forbidden."""
    about = _about(asked.provider, terms.catalogue)
    dialect = _dialect(asked, about)
    task_id = fields.task_id_of(_task_id(asked, dialect))
    account = _account(asked, about, caller, terms)
    params = fields.params_of({**terms.params.get(account, {}), **asked.params}, about, asked.params)
    identity = {name: params[name] for name in about.identity if name in params}
    id = ids.watch_id(caller.owner, about.id, account, task_id, identity)
    shown = {name: value for name, value in params.items() if name not in about.secrets}
    events = fields.events_of(asked.events)
    deadline = fields.deadline_of(asked.deadline)
    return Draft(
        id=id,
        owner=caller.owner,
        provider=about.id,
        account=account,
        task_id=task_id,
        params=shown or NOTHING,
        given={name: value for name, value in shown.items() if name in asked.params} or NOTHING,
        secrets={name: value for name, value in params.items() if name in about.secrets} or NOTHING,
        dialect=dialect,
        url=_url(task_id, params, about, dialect, account=account, terms=terms),
        learn_by=about.learn_by,
        callback=fields.callback_of(asked.callback_url, asked.callback_secret, id, events, egress=terms.egress),
        to=_to(asked.to, terms.routes),
        events=events,
        metadata=fields.metadata_of(asked.metadata) or NOTHING,
        deadline=deadline or about.deadline or terms.deadline,
        deadline_given=deadline is not None,
        interval=fields.interval_of(asked.interval, terms.min_interval),
        reopen=asked.reopen,
    )


def _about(provider: str, catalogue: Catalogue) -> About:
    try:
        return catalogue.about(provider)
    except UnknownName as error:
        raise BadInput(error.message, code="unknown_provider", provider=provider) from error


def _dialect(asked: Registration, about: About) -> str:
    """How to ask and read, where no preset says it; empty where one does."""
    if about.id == HTTP:
        return described.dialect(asked.ask, asked.read)
    if asked.ask is not None or asked.read is not None:
        field = "ask" if asked.ask is not None else "read"
        raise BadInput(f"{field}: the preset of {about.id} says this; only provider {HTTP} takes it")
    return ""


def _task_id(asked: Registration, dialect: str) -> str | int:
    """What is followed at a URL may be called by it."""
    if asked.task_id is not None:
        return asked.task_id
    if not dialect:
        raise BadInput(
            "task_id: is missing; give the id that the provider answered with", code="missing_field", field="task_id"
        )
    return described.url_of(dialect)


def _account(asked: Registration, about: About, caller: Caller, terms: Terms) -> str:
    name = asked.account or about.vendor
    if caller.accounts is not None and name not in caller.accounts:
        raise Forbidden(f"token '{caller.name}' may not use account '{name}'", account=name)
    vendor = terms.accounts.get(name)
    if vendor is None and name == about.vendor and not about.needs_account:
        return name
    if vendor is None:
        needs = (*(("vendor",) if name != about.vendor else ()), *(about.credentials or ("base_url",)))
        variables = " and ".join(f"RINGBACK_ACCOUNTS__{name}__{key}".upper() for key in needs)
        raise BadInput(
            f"no account '{name}' is configured: add [accounts.{name}] with its {' and '.join(needs)} to the"
            f" configuration, or set {variables} in its environment.{nearest(name, terms.accounts)}",
            code="no_account",
            account=name,
        )
    if vendor != about.vendor:
        raise BadInput(
            f"account '{name}' is one of {vendor}, but {about.id} needs one of {about.vendor}",
            code="wrong_account",
            account=name,
        )
    return name


def _url(task_id: str, params: Mapping[str, str], about: About, dialect: str, *, account: str, terms: Terms) -> str:
    """What will be asked, made once without its key: what can never be asked is refused here. Raises BadInput."""
    base_url = terms.base_urls.get(account, "")
    url = terms.catalogue.of(about.id, dialect).ask(task_id, params, base_url).url
    if not about.credentials or terms.credentials.may_go(account, url, base_url or about.trusted, about.hosts):
        return url
    if climbs(url):
        raise BadInput("task_id and params lead out of the path that is asked: check the dots in them")
    raise BadInput(
        f"task_id and params lead to a place that the key of account '{account}' may not go to: check them, or"
        " name that place as the account's base_url",
        code="blocked_host",
    )


def _to(names: list[str] | None, routes: Routes) -> tuple[str, ...] | None:
    if names is None:
        return None
    for name in names:
        if name not in routes.destinations:
            hint = nearest(name, routes.destinations)
            raise BadInput(f"to: there is no destination '{name}'.{hint}", code="unknown_destination")
    return tuple(dict.fromkeys(names))
