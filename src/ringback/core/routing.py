"""Which destinations get an event.

Secret: how routes, defaults, a watch's own `to` and `events`, and its callbacks combine. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import msgspec

from ringback.core.model import EVENT_OF_STATE, FINAL_STATES, Callback, EventType, Watch

FINAL_EVENTS = tuple(EVENT_OF_STATE[state].value for state in EVENT_OF_STATE if state in FINAL_STATES)
STATE_EVENTS = tuple(event.value for event in EVENT_OF_STATE.values())
ABOUT_OURSELVES = ("provider.*", "destination.*")


class Target(msgspec.Struct, frozen=True):
    """Where one delivery goes: a destination's name or `callback:ID`, and the group whose fate it shares.

    `delay` is how long it may wait for others.
    """

    destination: str
    group: str
    delay: timedelta = timedelta()


class Route(msgspec.Struct, frozen=True):
    """One `[[routes]]` entry; what is left out matches everything (`events`: what each destination wants)."""

    to: tuple[str, ...]
    events: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    metadata: Mapping[str, str] = {}


class Routes(msgspec.Struct, frozen=True):
    """The routes, and for every destination the globs of what it wants by default. No routes: all destinations.

    `delays` are how long a destination collects before it is sent to (a digest).
    """

    destinations: Mapping[str, tuple[str, ...]] = {}
    routes: tuple[Route, ...] = ()
    delays: Mapping[str, timedelta] = {}

    def target(self, name: str) -> Target:
        """A destination as a target."""
        return Target(name, name, self.delays.get(name, timedelta()))


def matches(event: EventType, globs: Iterable[str]) -> bool:
    """Whether any glob names the event."""
    return any(fnmatchcase(event.value, glob) for glob in globs)


def targets(event: EventType, watch: Watch, routes: Routes) -> tuple[Target, ...]:
    """Everybody who gets this event of this watch, each once: its own `to` (else the routes), then its callbacks."""
    names = _named(event, watch, routes) if watch.to is not None else _routed(event, watch, routes)
    return tuple(map(routes.target, names)) + tuple(
        to_callback(callback) for callback in watch.callbacks if wants(callback, event)
    )


def targets_about_ourselves(event: EventType, routes: Routes) -> tuple[Target, ...]:
    """Everybody who gets an event about ourselves: only who names it, and never a callback."""
    return tuple(map(routes.target, _routed(event, None, routes)))


def wants(callback: Callback, event: EventType) -> bool:
    """A callback gets what it asks for, else the final states; never what is said about ourselves."""
    return event.about_a_task and matches(event, callback.events or FINAL_EVENTS)


def wants_by_name(name: str, watch: Watch, event: EventType, routes: Routes) -> bool:
    """Whether a destination in a watch's `to` gets the event: as the watch's `events` say, else by its default."""
    return name in routes.destinations and matches(event, watch.events or routes.destinations[name])


def to_callback(callback: Callback) -> Target:
    """Callbacks to one origin share a fate, so that a dead receiver holds up nobody else."""
    return Target(callback.destination, origin(callback.url))


def origin(url: str) -> str:
    """Scheme, host and port: all of a callback's URL that logs, metrics and groups may name."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _named(event: EventType, watch: Watch, routes: Routes) -> Sequence[str]:
    return [name for name in dict.fromkeys(watch.to or ()) if wants_by_name(name, watch, event, routes)]


def _routed(event: EventType, watch: Watch | None, routes: Routes) -> Sequence[str]:
    if not routes.routes:
        return [name for name, globs in routes.destinations.items() if matches(event, globs)]
    found = (
        name
        for route in routes.routes
        if _covers(route, watch)
        for name in route.to
        if matches(event, route.events if route.events is not None else routes.destinations.get(name, ()))
    )
    return list(dict.fromkeys(found))


def _covers(route: Route, watch: Watch | None) -> bool:
    """A route that asks for a provider or for metadata says nothing about ourselves."""
    if watch is None:
        return route.providers is None and not route.metadata
    return (route.providers is None or any(fnmatchcase(watch.provider, glob) for glob in route.providers)) and all(
        watch.metadata.get(key) == value for key, value in route.metadata.items()
    )
