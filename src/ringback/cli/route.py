"""`route`: which destinations would get an event, as the configuration stands. No daemon needed.

Secret: none of its own; core/routing.py decides, of a watch made up for the question.
"""
# ruff: noqa: PLC0415 - a command line imports what is heavy where it is needed

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ringback.cli.serve import ConfigFile
from ringback.cli.show import note, raw, table
from ringback.cli.watch import pairs
from ringback.core.errors import BadInput, nearest

if TYPE_CHECKING:
    from ringback.core.model import EventType
    from ringback.core.routing import Routes

ANY_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""A watch has times, and no route asks for them."""


def route(
    *,
    event: Annotated[str, Parameter(help="the type of the event, e.g. task.failed")],
    provider: Annotated[str | None, Parameter(help="whose task it is about: a preset's id")] = None,
    meta: Annotated[list[str] | None, Parameter(help="K=V, the metadata of its watch; repeatable")] = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, Parameter(name="--json", show_default=False, help="print a list as JSON")] = False,
) -> None:
    """Say which destinations would get an event, by the configuration alone.

    Example: `ringback route --provider 302ai-browser --event task.failed --meta team=video`
    """
    from ringback import config as configuration
    from ringback.outbound import Outbound
    from ringback.plan import plan

    kind, metadata = _event(event), pairs(meta, "--meta") or {}
    if kind.about_a_task:
        if provider is None:
            raise BadInput(f"--provider is missing: whose task is {kind} about? `ringback providers` lists them.")
    elif provider is not None or metadata:
        note(f"{kind} has no provider and no metadata: a route that asks for one passes it by.")
    settings = configuration.load(config, os.environ)
    agreed = plan(settings, Outbound())
    if provider is not None:
        agreed.catalogue.about(provider)
    names = reached(agreed.intake.routes, kind, provider or "", metadata)
    types = {name: settings.destinations[name].type for name in names}
    if as_json:
        return _as_json(types)
    if not types:
        return note("No destination gets it.")
    return table(("DESTINATION", "TYPE"), types.items())


def reached(routes: Routes, event: EventType, provider: str, metadata: Mapping[str, str]) -> list[str]:
    """The destinations that get such an event, in the order of the configuration."""
    from ringback.core import routing
    from ringback.core.model import Watch

    if not event.about_a_task:
        return [target.destination for target in routing.targets_about_ourselves(event, routes)]
    watch = Watch(
        id="",
        owner="",
        provider=provider,
        account="",
        task_id="",
        metadata=dict(metadata),
        registered_at=ANY_TIME,
        changed_at=ANY_TIME,
        deadline_at=ANY_TIME,
    )
    return [target.destination for target in routing.targets(event, watch, routes)]


def _event(text: str) -> EventType:
    from ringback.core.model import EventType

    try:
        return EventType(text)
    except ValueError:
        known = [event.value for event in EventType]
        hint = nearest(text, known) or f" There are {', '.join(known)}."
        raise BadInput(f"--event '{text}' is no type of event.{hint}") from None


def _as_json(types: Mapping[str, str]) -> None:
    import msgspec

    items = [{"name": name, "type": type} for name, type in types.items()]
    raw(msgspec.json.encode({"items": items, "next": None}))
