"""TOML, environment and secret files become one frozen Settings, or one SettingsError with every problem and its key.

    find the file -> read it and the environment -> the environment wins, key by key -> Settings

Secret: where settings may come from, and who wins. What can be set stands in settings/.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import InitSettingsSource

from ringback.core.errors import SettingsError
from ringback.providers.shelf import places
from ringback.settings.complaints import PREFIX, keys
from ringback.settings.destinations import (
    AppriseDestination,
    Destination,
    EmailDestination,
    SlackDestination,
    WebhookDestination,
)
from ringback.settings.forms import FromEnvironment, Rate, unpacked
from ringback.settings.sections import Account, Egress, RouteEntry, Settings, Token, WatchEntry

__all__ = [
    "Account",
    "AppriseDestination",
    "Destination",
    "Egress",
    "EmailDestination",
    "Rate",
    "RouteEntry",
    "Settings",
    "SlackDestination",
    "Token",
    "WatchEntry",
    "WebhookDestination",
    "find",
    "keys",
    "load",
    "preset_places",
]

NO_SETTINGS = {"RINGBACK_CONFIG", "RINGBACK_URL", "RINGBACK_TOKEN", "RINGBACK_DEBUG"}
"""Variables that say where and how, not what."""

PATHS_VARIABLE = "RINGBACK_PROVIDERS__PATHS"

SERVICE_LINKS = re.compile(r"RINGBACK(_[A-Z0-9]+)*_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT(_[0-9]+_[A-Z]+(_[A-Z]+)?)?)")
"""What Kubernetes puts into every pod beside a Service named `ringback`."""

PLACES = (Path("ringback.toml"), Path("/etc/ringback/ringback.toml"))
LARGEST = 4 * 1024 * 1024
"""Bytes of a configuration file."""


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a file (None: the one that is found, or none) and the environment. Raises SettingsError."""
    source = find(path, environ)
    given = _of_environment(environ)
    written = _without_doubles(_of_file(source), given) if source is not None else {}
    # pydantic-settings' own source reads JSON into text that looks like it: a key of digits would become a number.
    sources = InitSettingsSource(Settings, given), InitSettingsSource(Settings, written)
    how: dict[str, Any] = {"_build_sources": (sources, {})}
    settings = Settings(**how)
    settings._source = source  # noqa: SLF001 - ours
    return settings


def preset_places(path: Path | None, environ: Mapping[str, str]) -> list[Path]:
    """Where a user's own presets are. Nothing else of the configuration is judged: its secrets need not be readable."""
    source = find(path, environ)
    written = _of_file(source) if source is not None else {}
    given = _of_environment({name: value for name, value in environ.items() if name == PATHS_VARIABLE})
    paths = unpacked((given or written).get("providers", {}).get("paths", ()))
    if not isinstance(paths, list | tuple) or not all(isinstance(each, str) for each in paths):
        raise SettingsError(['providers.paths: must be a list, e.g. ["/etc/ringback/presets"]'])
    return places(source, paths)


def find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the one that is named, else the first that is there."""
    named = path or (Path(environ["RINGBACK_CONFIG"]) if environ.get("RINGBACK_CONFIG") else None)
    return named or next((place for place in PLACES if place.is_file()), None)


def _of_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise SettingsError([f"{path}: is larger than {LARGEST} bytes"])
        return tomllib.loads(raw.decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read ({error.strerror}); name another file with --config"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: is not UTF-8 text at byte {error.start}"]) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError([f"{path}: is not TOML: {error}"]) from error


def _of_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """RINGBACK_ACCOUNTS__302AI__RATE becomes accounts.302ai.rate."""
    tree: dict[str, Any] = {}
    for variable, value in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in NO_SETTINGS or _is_service_link(variable, value):
            continue
        *tables, key = variable.removeprefix(PREFIX).lower().split("__")
        table = tree
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                break
        if isinstance(table, dict):
            table[key] = FromEnvironment.of(value, variable)
    return tree


def _is_service_link(variable: str, value: str) -> bool:
    if not SERVICE_LINKS.fullmatch(variable):
        return False
    return not variable.endswith("_PORT") or variable.endswith("_SERVICE_PORT") or "://" in value


def _without_doubles(written: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A secret that the environment gives in one way replaces the one that the file gives in another."""

    def kind(key: str) -> str:
        return key.removesuffix("_file").removesuffix("_command").removesuffix("s")

    kinds = {kind(key): key for key, value in given.items() if isinstance(value, str)}
    kept = {key: value for key, value in written.items() if kinds.get(kind(key), key) == key}
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(kept.get(key), dict):
            kept[key] = _without_doubles(kept[key], value)
    return kept
