"""What makes each field of a registration good.

Secret: the limits and forms of the fields. Each function gives the good value or raises BadInput naming the field.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from ringback.core import ids, routing
from ringback.core.errors import BadInput, nearest
from ringback.core.model import Callback, EventType
from ringback.credentials import origin_of
from ringback.durations import duration
from ringback.egress import Egress
from ringback.providers.base import About
from ringback.sinks import signing

TASK_ID_AT_MOST = 1024
PARAM_AT_MOST = 2048
URL_AT_MOST = 2048
METADATA_KEYS = 16
METADATA_KEY_AT_MOST = 128
METADATA_VALUE_AT_MOST = 512
CALLBACKS = 16
"""Of one watch; each has its own deliveries."""

GLOBS = 32
DEADLINE_AT_MOST = timedelta(days=366)


def task_id_of(given: str | int) -> str:
    """The remote id as text, kept as given. Raises BadInput."""
    task_id = str(given)
    if not task_id.strip():
        raise BadInput("task_id: is empty; give the id that the provider answered with", code="empty_task_id")
    if len(task_id) > TASK_ID_AT_MOST:
        raise BadInput(f"task_id: has {len(task_id)} characters; at most {TASK_ID_AT_MOST} are taken")
    return _good_text("task_id", task_id)


def _good_text(field: str, text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise BadInput(f"{field}: holds control characters")
    return text


def params_of(params: Mapping[str, str], about: About, given: Mapping[str, str]) -> dict[str, str]:
    """The params the preset needs, those of the account filling in. Raises BadInput for a missing or unknown one."""
    for name, value in given.items():
        if name not in about.params:
            raise BadInput(f"params.{name[:80]}: {about.id} has no such param.{nearest(name[:80], about.params)}")
        if len(value) > PARAM_AT_MOST:
            raise BadInput(f"params.{name}: has {len(value)} characters; at most {PARAM_AT_MOST} are taken")
    params = {**about.defaults, **params}
    missing = [name for name in about.params if not params.get(name) and name not in about.defaults]
    if missing:
        raise BadInput(
            f"params.{missing[0]}: {about.id} needs it: give it with the registration, or once for all as params of the"
            f" account (`ringback providers {about.id}` says what it is)",
            code="missing_param",
        )
    return {name: _good_text(f"params.{name}", params[name]) for name in about.params if params.get(name)}


def events_of(globs: list[str] | None) -> tuple[str, ...] | None:
    """The globs, each of which names an event about tasks. Raises BadInput."""
    if globs is None:
        return None
    if not 0 < len(globs) <= GLOBS:
        raise BadInput(f"events: give 1 to {GLOBS} of them, or leave it out for the default")
    for glob in globs:
        check_glob("events", glob, [event for event in EventType if event.about_a_task])
    return tuple(dict.fromkeys(globs))


def check_glob(field: str, glob: str, among: Collection[EventType] = tuple(EventType)) -> None:
    """Raise BadInput unless a glob names one of these events: with the nearest one, or with all there are."""
    if not any(routing.matches(event, (glob,)) for event in among):
        near = nearest(glob[:80], among)
        known = f".{near}" if near else f"; there are {', '.join(among)}"
        raise BadInput(f"{field}: '{glob[:80]}' names no event{known}", code="unknown_event", field=field)


def metadata_of(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata within its limits, as given. Raises BadInput."""
    if len(metadata) > METADATA_KEYS:
        raise BadInput(f"metadata: has {len(metadata)} keys; at most {METADATA_KEYS} are kept")
    for key, value in metadata.items():
        if not key or len(key) > METADATA_KEY_AT_MOST:
            raise BadInput(f"metadata: a key has 1 to {METADATA_KEY_AT_MOST} characters, not {len(key)}")
        if len(value) > METADATA_VALUE_AT_MOST:
            raise BadInput(f"metadata.{key}: has {len(value)} characters; at most {METADATA_VALUE_AT_MOST} are kept")
    return metadata


def deadline_of(text: str | None) -> timedelta | None:
    """How long to follow, from now; None when not said. Raises BadInput."""
    if text is None:
        return None
    deadline = _good_duration("deadline", text)
    if not timedelta() < deadline <= DEADLINE_AT_MOST:
        raise BadInput(f"deadline: '{text}' is no time to wait: give more than 0s, at most {DEADLINE_AT_MOST.days}d")
    return deadline


def interval_of(text: str | None, shortest: timedelta) -> timedelta | None:
    """The watch's own spacing of polls; None when not said. Raises BadInput."""
    if text is None:
        return None
    interval = _good_duration("interval", text)
    if interval < shortest:
        raise BadInput(f"interval: '{text}' is below polling.min_interval ({shortest.total_seconds():g}s)")
    return interval


def _good_duration(field: str, text: str) -> timedelta:
    try:
        return duration(text)
    except BadInput as error:
        raise BadInput(f"{field}: {error.message}") from error


def callback_of(
    url: str | None, secret: str | None, watch: str, events: tuple[str, ...] | None, *, egress: Egress | None = None
) -> Callback | None:
    """The callback that comes with the registration, if any, judged by `egress`. Raises BadInput."""
    if url is None:
        if secret is not None:
            raise BadInput("callback_secret: there is no callback_url that it could sign for")
        return None
    good = _good_url(url, egress)
    if secret is not None:
        try:
            signing.key_of(secret)
        except BadInput as error:
            raise BadInput(f"callback_secret: {error.message}", code="bad_secret") from error
    return Callback(ids.callback_id(watch, good), good, events, secret)


def _good_url(url: str, egress: Egress | None) -> str:
    """A URL that will be sent as it stands: what two readers might read differently is refused here already."""
    if len(url) > URL_AT_MOST:
        raise BadInput(f"callback_url: has {len(url)} characters; at most {URL_AT_MOST} are taken", code="bad_url")
    if not url.lower().startswith(("http://", "https://")):
        raise BadInput(
            "callback_url: must begin with http:// or https://, like https://ci.example.org/hooks/ringback",
            code="bad_url",
        )
    if _names_a_user(url):
        raise BadInput("callback_url: may not hold a user or password; use callback_secret", code="bad_url")
    why = egress.judge(url) if egress is not None else None
    if origin_of(url) is None:
        says = why or "it is no http(s) URL, like https://ci.example.org/hooks/ringback"
        raise BadInput(f"callback_url: {says}", code="bad_url")
    if why is not None:
        raise BadInput(f"callback_url: {why}", code="egress_denied", key="egress.allow")
    return url


def _names_a_user(url: str) -> bool:
    try:
        return "@" in urlsplit(url).netloc
    except ValueError:
        return False
