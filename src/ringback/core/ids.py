"""Ids are digests of what they name, so that they survive restores, restarts and several daemons, and need no chance.

Secret: how ids are made. Pure. Every id fits a webhook header: letters, digits and `_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ringback.core.document import digest


def _digest_of(*parts: Any) -> str:
    return digest(msgspec.json.encode(parts, order="deterministic"))


def watch_id(owner: str, provider: str, account: str, task_id: str, identity: Mapping[str, str]) -> str:
    """The id of the one watch that follows this task for this owner; `identity` are the params that tell ids apart."""
    return "w_" + _digest_of(owner, provider, account, task_id, dict(identity))


def event_id(subject: str, sequence: int) -> str:
    """The id of a subject's event; the subject is a watch id, or a mark's subject."""
    return "evt_" + _digest_of(subject, sequence)


def delivery_id(event: str, destination: str) -> str:
    """The id of what is owed of this event to this destination."""
    return "dlv_" + _digest_of(event, destination)


def callback_id(watch: str, url: str) -> str:
    """The id of a callback: one a URL a watch."""
    return "cb_" + _digest_of(watch, url)
