"""`check`: everything that would keep the daemon from starting or from doing its work, said before it starts.

    settings and secret files -> what they come to -> accounts and presets -> store and what is in it -> port

Secret: what is looked at. Nothing is changed, and no secret is shown. While a daemon runs on the store, its store and
port are in use by right: they are left out, so that `ringback check` can be asked before a reload.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ringback.cli import exits
from ringback.cli.dialect import HTTP
from ringback.cli.local import kept_secret
from ringback.cli.serve import ConfigFile
from ringback.cli.show import facts, note, table
from ringback.core.errors import BadInput, SettingsError, SetupError, StoreLocked, nearest

if TYPE_CHECKING:
    from ringback.config import Settings

OURSELVES = "ringback itself"
EXAMPLES_AT_MOST = 12
"""Kinds of tasks that are shown; `ringback route` answers for any other."""


def check(*, config: ConfigFile = None) -> int:
    """Validate the configuration and what it names, and say every problem; exit 1 on any.

    Example: `ringback check --config ringback.toml`
    """
    from ringback import config as configuration

    try:
        settings = configuration.load(config, os.environ)
    except SettingsError as error:
        return _found(error.problems)
    problems = [*_plan(settings), *_accounts(settings), *_secret(settings)]
    try:
        problems += _store(settings.store.directory)
    except StoreLocked as error:
        note(f"A daemon is running on this store (pid {error.facts.get('pid')}): store and port were not looked at.")
    else:
        problems += _port(settings.server.host, settings.server.port)
    return _found(problems) if problems else _good(settings)


def _found(problems: tuple[str, ...] | list[str]) -> int:
    for problem in dict.fromkeys(problems):
        note(problem)
    return exits.FOUND


def _good(settings: Settings) -> int:
    print(f"{settings.source or 'The built-in configuration'} is good.")
    facts(
        (
            ("listen", settings.server.listen),
            ("store", str(settings.store.directory.absolute())),
            ("accounts", ", ".join(settings.accounts)),
            ("destinations", ", ".join(f"{name} ({to.type})" for name, to in settings.destinations.items())),
            ("tokens", ", ".join(f"{name} ({token.scope})" for name, token in settings.tokens.items())),
            ("routes", str(len(settings.routes) or "")),
            ("watches", str(len(settings.watches) or "")),
        )
    )
    if settings.destinations:
        print()
        table(("EVENT", "OF", "GOES TO"), _examples(settings))
    return exits.DONE


def _examples(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Where each type of event would go: of any task, and of one for every route that asks for a certain kind."""
    from ringback.cli.route import reached
    from ringback.core.model import EventType
    from ringback.plan import routes_of

    routes = routes_of(settings)
    for about, provider, metadata in list(_tasks(settings))[:EXAMPLES_AT_MOST]:
        for event in EventType:
            if event.about_a_task == (about != OURSELVES):
                names = reached(routes, event, provider, metadata)
                yield event.value, about, ", ".join(names) or "nobody"


def _tasks(settings: Settings) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """(in words, provider, metadata) of the tasks that routes tell apart."""
    from ringback.plan import catalogue_of

    presets = [about.id for about in catalogue_of(settings, []).abouts()]
    yield OURSELVES, "", {}
    yield "any task", "", {}
    told: list[str] = []
    for route in settings.routes:
        for glob in route.providers or ("",):
            provider = next((preset for preset in presets if fnmatchcase(preset, glob)), glob)
            words = ", ".join([provider, *(f"{key}={value}" for key, value in route.metadata.items())]).strip(", ")
            if words and words not in told:
                told.append(words)
                yield words, provider, route.metadata


def _plan(settings: Settings) -> Iterator[str]:
    """What only shows when the parts are made of it; presets too."""
    from ringback.outbound import Outbound
    from ringback.plan import plan

    try:
        plan(settings, Outbound())
    except SettingsError as error:
        yield from error.problems


def _accounts(settings: Settings) -> Iterator[str]:
    """An account must be of use to at least one preset of its vendor."""
    from ringback.plan import catalogue_of

    needs: dict[str, list[tuple[str, ...]]] = {}
    for about in catalogue_of(settings, []).abouts():
        needs.setdefault(about.vendor, []).append(about.credentials)
    for name, account in settings.accounts.items():
        vendor = account.vendor or name
        if vendor not in needs:
            yield f"accounts.{name}: no preset uses an account of '{vendor}'; name its vendor.{nearest(vendor, needs)}"
        elif vendor == HTTP and account.credentials:
            yield (
                f"accounts.{name}: provider http asks with no account's {next(iter(account.credentials))}: give the key"
                " with the watch, in ask.headers or by --header"
            )
        elif not any(set(wanted) <= set(account.credentials) for wanted in needs[vendor]):
            choices = " or ".join(dict.fromkeys(" and ".join(wanted) for wanted in needs[vendor]))
            has = f"; it has {' and '.join(account.credentials)}" if account.credentials else ""
            yield f"accounts.{name}: its presets need {choices}{has}"


def _secret(settings: Settings) -> Iterator[str]:
    """What the instance made for itself can still be read."""
    try:
        kept_secret(settings.store.directory)
    except BadInput as error:
        yield f"callbacks.secret: {error.message}"


def _store(directory: Path) -> Iterator[str]:
    """The directory can be made or written, and what is in it is whole. Raises StoreLocked."""
    from ringback.store import examine, replay

    there = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield f"store.url: {there} is no directory that this user may write: name another one, or change its owner"
        return
    kept = replay.files(directory) if there == directory.absolute() else None
    if kept is None or not (kept.segments or kept.snapshots):
        return
    try:
        yield from (
            f"store.url: {finding.file}, byte {finding.byte}: {finding.what}"
            for finding in examine.verify(directory).findings
            if not finding.harmless
        )
    except SetupError as error:
        yield f"store.url: {error.message}"


def _port(host: str, port: int) -> Iterator[str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        yield f"server.listen: cannot listen on {host}:{port} ({error.strerror}): stop what does, or choose another"
