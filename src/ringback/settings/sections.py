"""What can be set: every section of the configuration with its keys and defaults; config/ringback.toml shows them all.

Secret: the keys and their defaults. How a value is written stands in forms.py, how a problem is told in complaints.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ringback.core.errors import SettingsError, nearest
from ringback.credentials import Secret
from ringback.settings.addresses import Ways
from ringback.settings.complaints import spelled, told
from ringback.settings.destinations import Destination
from ringback.settings.forms import (
    AnyTable,
    BaseUrl,
    ByCommand,
    CaFile,
    Count,
    Credential,
    Duration,
    FilledText,
    Globs,
    Headers,
    InFile,
    Listen,
    Name,
    Pace,
    Proxy,
    Rate,
    SigningSecret,
    Slip,
    SomeTexts,
    StoreUrl,
    TaskId,
    Texts,
    TextTable,
    Url,
    Wait,
    address,
    in_seconds,
    unpacked,
)
from ringback.settings.section import Section

SLIP = 0.8
"""How near to a key of an account another one is taken for a slip of the pen; `app_key` is a credential of its own."""

COMMAND = "_command"

LOOPBACK = re.compile(r"localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|::1")


class Server(Section):
    """Where the API listens and how it ends."""

    listen: Listen = "127.0.0.1:8302"
    public_url: BaseUrl = ""
    shutdown_grace: Wait = timedelta(seconds=20)

    @property
    def host(self) -> str:
        """The host of `listen`, without brackets."""
        return address(self.listen)[0]

    @property
    def port(self) -> int:
        """The port of `listen`; 0 takes a free one."""
        return address(self.listen)[1]

    @property
    def loopback(self) -> bool:
        """Whether nobody from outside can connect."""
        return LOOPBACK.fullmatch(self.host) is not None


class Token(Section):
    """Who may ask, and for what."""

    secret_keys = frozenset({"secret"})

    secret: Credential
    scope: Literal["admin", "own"] = "admin"
    accounts: Texts | None = None


class StoreSettings(Section):
    """Where truth is kept, and how long."""

    url: StoreUrl = "json:./ringback-data"
    retain: Wait = timedelta(hours=48)
    retain_max: Count = Field(default=50_000, ge=0, le=10_000_000)

    @property
    def directory(self) -> Path:
        """The directory of the journal."""
        return Path(self.url.removeprefix("json:"))


class Polling(Section):
    """How often is asked, how many at once, and when to stop."""

    cadence: Literal["learned", "fixed"] = "learned"
    min_interval: Duration = timedelta(seconds=1)
    max_interval: Duration = timedelta(seconds=60)
    interval: Duration = Field(default=timedelta(seconds=5), validate_default=True)
    concurrency: Count = Field(default=256, ge=1, le=10_000)
    deadline: Duration = timedelta(hours=24)
    stalled_after: Duration = timedelta(minutes=30)

    @field_validator("interval")
    @classmethod
    def _between(cls, interval: timedelta, info: ValidationInfo) -> timedelta:
        least, most = info.data.get("min_interval"), info.data.get("max_interval")
        if least is not None and interval < least:
            raise ValueError(f"{in_seconds(interval)} is below polling.min_interval ({in_seconds(least)})")
        if most is not None and interval > most:
            raise ValueError(f"{in_seconds(interval)} is above polling.max_interval ({in_seconds(most)})")
        return interval


class Account(Section):
    """A vendor's credentials and how it is reached. Every other key is a credential too: presets name them."""

    model_config = ConfigDict(extra="allow")
    secret_keys = frozenset({"api_key"})
    commands = True
    __pydantic_extra__: dict[str, Credential] = Field(init=False)

    api_key: Credential | None = None
    vendor: Name | None = None
    base_url: BaseUrl | None = None
    rate: Pace = Rate(50.0)
    headers: Headers = Field(default={}, repr=False, exclude=True)
    params: TextTable = Field(default={}, repr=False, exclude=True)
    ca_file: CaFile = ""
    proxy: Proxy = Field(default="", repr=False, exclude=True)

    @property
    def credentials(self) -> dict[str, Secret]:
        """The secrets by the names that presets know them by."""
        known = {} if self.api_key is None else {"api_key": self.api_key}
        return known | (self.__pydantic_extra__ or {})

    @classmethod
    def _names_a_file(cls, key: str) -> bool:
        return key.endswith("_file") and key not in cls.model_fields

    @classmethod
    def _with_files(cls, table: dict[str, Any]) -> dict[str, Any]:
        """Also every `<key>_command` under its key."""
        filled = super()._with_files({key: value for key, value in table.items() if not key.endswith(COMMAND)})
        for key in (key for key in table if key.endswith(COMMAND)):
            name = key.removesuffix(COMMAND)
            filled[name] = ByCommand(unpacked(table[key]), name in filled)
        return {key: Slip(value) if cls._is_slip(key, value) else value for key, value in filled.items()}

    @classmethod
    def _is_slip(cls, key: str, value: object) -> bool:
        """Whether a key must not pass as a credential: it has the letters of another one, or nearly, or is no text."""
        if key in cls.model_fields:
            return False
        known = [name for name in cls.model_fields if name not in cls.secret_keys]
        return (
            not isinstance(value, str | InFile | ByCommand | Secret)
            or re.fullmatch(r"[a-z0-9_]+", key) is None
            or _letters(key) in map(_letters, cls.model_fields)
            or bool(get_close_matches(key, known, 1, SLIP))
        )


class RouteEntry(Section):
    """Which events go where."""

    to: SomeTexts
    events: Globs | None = None
    providers: SomeTexts | None = None
    metadata: TextTable = Field(default={})


class WatchEntry(Section):
    """A task to follow from start-up; the fields of a registration, which intake judges."""

    secret_keys = frozenset({"callback_secret"})

    provider: FilledText
    ask: AnyTable | None = Field(default=None, repr=False, exclude=True)
    read: AnyTable | None = None
    task_id: TaskId = Field(default=None, validate_default=True)
    account: Name | None = None
    params: TextTable = Field(default={})
    callback_url: Url | None = Field(default=None, repr=False, exclude=True)
    callback_secret: SigningSecret | None = None
    to: Texts | None = None
    events: Globs | None = None
    metadata: TextTable = Field(default={})
    deadline: Duration | None = None
    interval: Duration | None = None
    reopen: bool = False

    @field_validator("task_id")
    @classmethod
    def _named(cls, task_id: str | int | None, info: ValidationInfo) -> str | int | None:
        if task_id is None and not info.data.get("ask"):
            raise ValueError("is missing")
        return task_id


class Callbacks(Section):
    """What signs callbacks that bring no secret."""

    secret_keys = frozenset({"secret"})

    secret: SigningSecret | None = None

    @field_validator("secret", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return value or None


class Egress(Section):
    """Where callbacks may go besides the public internet, and the proxy for all that is rung back."""

    allow: Ways = ()
    proxy: Proxy = Field(default="", repr=False, exclude=True)


class Providers(Section):
    """Presets of your own, beside those in the folder `providers` next to the configuration."""

    paths: Texts = ()


class Settings(BaseSettings):
    """Everything that can be set. Made by `load`; without arguments it is the built-in defaults, which run."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    server: Server = Server()
    tokens: dict[Name, Token] = {}
    store: StoreSettings = StoreSettings()
    polling: Polling = Polling()
    accounts: dict[Name, Account] = {}
    destinations: dict[Name, Destination] = {}
    routes: tuple[RouteEntry, ...] = ()
    watches: tuple[WatchEntry, ...] = ()
    callbacks: Callbacks = Callbacks()
    egress: Egress = Egress()
    providers: Providers = Providers()
    _source: Path | None = PrivateAttr(default=None)

    @property
    def source(self) -> Path | None:
        """The file it was read from, if any."""
        return self._source

    @field_validator("routes", "watches", mode="before")
    @classmethod
    def _unpacked(cls, value: Any) -> Any:
        return unpacked(value)

    @model_validator(mode="wrap")
    @classmethod
    def _with_all_problems(cls, tree: Any, make: ModelWrapValidatorHandler[Self]) -> Self:
        """A problem in one place must not hide the others: names are looked up in what was written."""
        found: list[str] = []
        made = None
        try:
            made = make(tree)
        except ValidationError as error:
            found = told(error, Settings)
        found += _unknown_names(tree)
        if made is not None:
            found += _shared_tokens(made.tokens)
        if made is None or found:
            raise SettingsError(found)
        return made

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings names what it hands in
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing from behind our back: `load` says what is read."""
        return (init_settings,)


def _letters(key: str) -> list[str]:
    return sorted(key.replace("_", "").removesuffix("s"))


def _unknown_names(tree: Mapping[str, Any]) -> Iterator[str]:
    """Destinations and accounts that are named but not there, told from what was written."""
    for table, key, kind in (
        ("tokens", "accounts", "accounts"),
        ("routes", "to", "destinations"),
        ("watches", "to", "destinations"),
        ("watches", "account", "accounts"),
    ):
        there = tree.get(kind)
        known = list(there) if isinstance(there, dict) else []
        for place, entry in _entries(unpacked(tree.get(table))):
            named = unpacked(entry.get(key))
            for name in named if isinstance(named, list) else [named]:
                if isinstance(name, str) and name not in known:
                    where = spelled((table, place, key))
                    yield f"{where}: there is no [{kind}.{name}].{nearest(name, known)}"


def _shared_tokens(tokens: Mapping[str, Token]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, token in tokens.items():
        owner = owners.setdefault(token.secret.reveal(), name)
        if owner != name:
            yield f"tokens.{name}.secret: is that of [tokens.{owner}] too: give each its own"


def _entries(table: object) -> Iterator[tuple[int | str, dict[str, Any]]]:
    items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    return ((place, entry) for place, entry in items if isinstance(entry, dict))
