"""How each kind of value is written in the configuration: durations, rates, URLs, secrets, names, lists, tables.

    "5s"   "50/s" or "unlimited"   "https://host[:port][/path]"   text, or a file that holds it   [a-z0-9_]+

Secret: the forms, and the sentence for each that is missed. No sentence repeats a value that may be a secret.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator

from ringback.core.errors import BadInput, nearest
from ringback.core.model import EventType
from ringback.core.routing import matches
from ringback.credentials import Secret, climbs, origin_of
from ringback.durations import duration
from ringback.minted import Minted
from ringback.sinks.signing import key_of
from ringback.sinks.template import Template
from ringback.sinks.webhook import custom_headers

FASTEST = 10_000.0
"""Polls of one account, or messages to one destination, a second; faster is `unlimited`."""

T = TypeVar("T")

PER = {"s": 1, "m": 60, "h": 3600}


class FromEnvironment(str):
    """A value that a variable gave, so that a problem can name it."""

    __slots__ = ("variable",)
    variable: str

    @classmethod
    def of(cls, value: str, variable: str) -> FromEnvironment:
        """The value, with the name of its variable."""
        made = cls(value)
        made.variable = variable
        return made


class InFile(NamedTuple):
    """A secret that is given by file; `twice` when it is given by value, too."""

    path: object
    twice: bool


class ByCommand(NamedTuple):
    """A secret that a program prints; `twice` when it is given in another way, too."""

    command: object
    twice: bool


class Slip(NamedTuple):
    """The value of a key that would be a credential only by a slip of the pen."""

    value: object


class Rate(msgspec.Struct, frozen=True):
    """How many a second; None is unlimited."""

    per_second: float | None

    def __str__(self) -> str:
        """As it is written: in the first unit that makes it a whole number."""
        if self.per_second is None:
            return "unlimited"
        counts = {unit: round(self.per_second * seconds, 6) for unit, seconds in PER.items()}
        unit = next((unit for unit, count in counts.items() if count.is_integer() and count), "s")
        return f"{counts[unit]:g}/{unit}"


class UnknownKey(ValueError):
    """A key that nothing reads."""


def judged(judge: Callable[[Any], object]) -> Callable[[T], T]:
    """A rule that stands elsewhere: the value as it is, or its sentence without the field that it names itself."""

    def check(value: T) -> T:
        try:
            judge(value)
        except BadInput as error:
            raise ValueError(error.message) from error
        return value

    return check


# ---------------------------------------------------------------------- numbers and times


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not a duration; write e.g. "5s"')  # noqa: TRY004 - pydantic takes ValueErrors
    try:
        return duration(value)
    except BadInput as error:
        raise ValueError(error.message) from error


def _lasting(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be longer than nothing")
    return value


def _count(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004 - pydantic takes ValueErrors
    return value


def _rate(value: object) -> Rate:
    if isinstance(value, Rate):
        return value
    if value == "unlimited":
        return Rate(None)
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)/([smh])", value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'{str(value)[:40]!r} is not a rate; write e.g. "50/s", "10/m" or "unlimited"')
    per_second = float(found[1]) / PER[found[2]]
    if not 0 < per_second <= FASTEST:
        raise ValueError(f'must be above 0 and at most {FASTEST:g}/s; "unlimited" is no limit')
    return Rate(per_second)


def in_seconds(value: timedelta) -> str:
    """A duration for a sentence: in seconds."""
    return f"{value.total_seconds():g}s"


Count = Annotated[int, BeforeValidator(_count)]
Wait = Annotated[timedelta, BeforeValidator(_duration)]
Duration = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_lasting)]
Pace = Annotated[Rate, PlainValidator(_rate), PlainSerializer(str)]

# ---------------------------------------------------------------------- lists and tables


def unpacked(value: object) -> object:
    """What a variable gives for a list or a table is JSON; what is none is told as no list or table."""
    if isinstance(value, FromEnvironment):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _body(value: dict[str, Any]) -> dict[str, Any]:
    try:
        Template(value)
    except BadInput as error:
        raise ValueError(error.message.removeprefix("template: ")) from error
    return value


def _globs(values: tuple[str, ...]) -> tuple[str, ...]:
    for glob in values:
        if not any(matches(event, (glob,)) for event in EventType):
            raise ValueError(f"'{glob}' names no event.{nearest(glob, [event.value for event in EventType])}")
    return values


Texts = Annotated[tuple[str, ...], BeforeValidator(unpacked)]
SomeTexts = Annotated[Texts, Field(min_length=1)]
Globs = Annotated[SomeTexts, AfterValidator(_globs)]
Waits = Annotated[tuple[Wait, ...], BeforeValidator(unpacked), Field(max_length=64)]
TextTable = Annotated[dict[str, str], BeforeValidator(unpacked)]
AnyTable = Annotated[dict[str, Any], BeforeValidator(unpacked)]
Headers = Annotated[TextTable, AfterValidator(judged(custom_headers))]
Body = Annotated[dict[str, Any], BeforeValidator(unpacked), AfterValidator(_body)]

# ---------------------------------------------------------------------- names, places, files


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+", value):
        raise ValueError(f"'{value}' is not a name; use a to z, 0 to 9 and _")
    return value


def _address(value: str) -> str:
    address(value)
    return value


def address(text: str) -> tuple[str, int]:
    """Host and port of a `listen`; an IPv6 address stands in brackets, and is given back without."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > 65535:  # noqa: PLR2004 - the ports there are
        raise ValueError(f"'{text[:80]}' is not host:port; write e.g. 127.0.0.1:8302, [::1]:8302 or 0.0.0.0:8302")
    return found[1] or found[2], int(found[3])


def _url(value: str) -> str:
    if origin_of(value) is None:
        raise ValueError("is no URL like https://host[:port][/path] (without user, password, spaces and #fragment)")
    return value


def _base_url(value: str) -> str:
    if "?" in _url(value) or climbs(value):
        raise ValueError("must have neither ?query nor .. in it")
    return value.rstrip("/")


def _proxy(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    bare = parts.netloc.rpartition("@")[2]
    if origin_of(f"{parts.scheme}://{bare}") is None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("is no proxy like http://[user:password@]host:port")
    return value


def _ca_file(value: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
    except OSError as error:
        why = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no PEM certificate"
        raise ValueError(f"the CA file {value} cannot be used ({why})") from error
    return value


def _pem_file(value: str) -> str:
    try:
        with Path(value).open("rb"):
            return value
    except OSError as error:
        raise ValueError(f"the file {value} cannot be read ({error.strerror})") from error


def pair_of(certificate: str, key: str) -> None:
    """Refuse a client certificate and its key (empty: in the same file) that cannot be used together."""
    try:
        # Without a password function a locked key would stop everything to ask for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key or None, password=lambda: "")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{key or certificate} holds no key (PEM, without password) of the certificate in {certificate}"
        ) from error


def _or_nothing(check: Callable[[str], str]) -> AfterValidator:
    """Empty text stands for no value."""
    return AfterValidator(lambda value: check(value) if value else value)


def _task_id(value: object) -> str | int | None:
    if value is None:
        return value
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError("must be the id that the provider answered with: text in quotes, or a whole number")
    return value


def _store(value: str) -> str:
    if not value.startswith("json:") or not value.removeprefix("json:"):
        raise ValueError("is no store; write json:DIRECTORY, e.g. json:./ringback-data")
    return value


Name = Annotated[str, AfterValidator(_name)]
Listen = Annotated[str, AfterValidator(_address)]
Url = Annotated[str, AfterValidator(_url)]
BaseUrl = Annotated[str, _or_nothing(_base_url)]
Proxy = Annotated[str, _or_nothing(_proxy)]
CaFile = Annotated[str, _or_nothing(_ca_file)]
PemFile = Annotated[str, _or_nothing(_pem_file)]
StoreUrl = Annotated[str, AfterValidator(_store)]
TaskId = Annotated[str | int | None, PlainValidator(_task_id)]
FilledText = Annotated[str, Field(min_length=1)]

# ---------------------------------------------------------------------- secrets


def _secret(value: object) -> Secret:
    """Revealed once here, so that a file that is missing is told with all other problems."""
    match value:
        case Secret():
            return value
        case Slip():
            raise UnknownKey
        case InFile(_, True):
            raise ValueError("is given twice, by value and by file: keep one")
        case ByCommand(_, True):
            raise ValueError("is given twice, by command and in another way: keep one")
        case ByCommand(command):
            return Minted(_program(command))
        case InFile(str(path), _) if path:
            secret = Secret.in_file(path)
        case InFile():
            raise ValueError("its file must be a path in quotes")
        case str() if value.strip():
            secret = Secret(str(value))
        case str():
            raise ValueError("is empty: give the secret, or leave the key out")
        case _:
            raise ValueError("must be text in quotes")
    judged(Secret.reveal)(secret)
    return secret


def _program(command: object) -> list[str]:
    """A program and its arguments: a list, or text that is split as a shell would; no shell sees it."""
    try:
        argv = shlex.split(command) if isinstance(command, str) else command
    except ValueError as error:
        raise ValueError(f"its command cannot be split into words ({error})") from error
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) and word for word in argv):
        raise ValueError('its command must be text, or a list such as ["gcloud", "auth", "print-access-token"]')
    if shutil.which(argv[0]) is None:
        raise ValueError(f"there is no program {argv[0][:80]}: give its path")
    return argv


def _signing(secret: Secret) -> Secret:
    judged(key_of)(secret.reveal())
    return secret


Credential = Annotated[Secret, PlainValidator(_secret), PlainSerializer(str)]
SigningSecret = Annotated[Credential, AfterValidator(_signing)]
SigningSecrets = Annotated[tuple[SigningSecret, ...], BeforeValidator(unpacked), Field(max_length=8)]
