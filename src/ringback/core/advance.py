"""The product in one function: an open watch and what was seen become a Change.

    observation -> transition -> next poll -> event? -> targets -> deliveries

Secret: what has to be kept of a poll, and what may be forgotten. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import attrgetter

import msgspec
from msgspec.structs import replace

from ringback.core import cadence, ids, lifecycle, routing
from ringback.core.cadence import Pace
from ringback.core.law import lesson
from ringback.core.model import (
    ONLY_WHERE_ASKED_FOR,
    AccountData,
    Change,
    Delivery,
    DestinationData,
    Event,
    EventType,
    Mark,
    Observation,
    TaskData,
    Watch,
    WatchState,
)
from ringback.core.routing import Routes, Target

FORGETTABLE = ("polls", "last_polled_at", "next_poll_at", "not_before_at", "problem")
"""What a poll that changes nothing moves: kept in memory, written with the next change."""

_lasting = attrgetter(*(name for name in Watch.__struct_fields__ if name not in FORGETTABLE))


class Rules(msgspec.Struct, frozen=True):
    """What decides beside the watch and the answer."""

    pace: Pace
    routes: Routes = Routes()
    stalled_after: timedelta = timedelta(minutes=30)


def advance(
    watch: Watch, seen: Observation, rules: Rules, now: datetime, *, jitter: float
) -> tuple[Watch, Change | None]:
    """The watch after this answer, and what has to be kept: None when only the forgettable moved.

    At the deadline an answer that is not final makes the watch `expired`.
    """
    if watch.state.final:
        return watch, None
    if seen.trouble is not None:
        after, event = lifecycle.trouble(watch, seen.trouble, now)
    else:
        after, event = lifecycle.transition(watch, seen, now)
    after = replace(after, polls=watch.polls + 1, last_polled_at=now)
    if not after.state.final and now >= watch.deadline_at:
        after, event = lifecycle.end(after, WatchState.EXPIRED, now), EventType.TASK_EXPIRED
    if event is None and lifecycle.stalls(after, rules.stalled_after, now):
        after, event = replace(after, stalled=True), EventType.TASK_STALLED
    after = cadence.schedule(after, rules.pace, _asked(seen), now, jitter)
    if event is None and (seen is lifecycle.SAME or _lasting(after) == _lasting(watch)):
        return after, None
    after, change = keep(watch, after, event, rules.routes, now)
    return after, replace(change, took=lesson(watch, seen, now))


def keep(before: Watch, after: Watch, event: EventType | None, routes: Routes, now: datetime) -> tuple[Watch, Change]:
    """Record a decided move: the next version, the event with its sequence, and what is owed of it to whom."""
    after = replace(after, version=before.version + 1)
    to = routing.targets(event, after, routes) if event is not None else ()
    if event is None or (event in ONLY_WHERE_ASKED_FOR and not to):
        return after, Change(watch=after)
    after = replace(after, sequence=before.sequence + 1)
    fact = _event_of(before, after, event, now)
    return after, Change(watch=after, events=(fact,), deliveries=owed(fact, to, now))


def owed(event: Event, to: Iterable[Target], now: datetime) -> tuple[Delivery, ...]:
    """One delivery for each target, due now, or when the target has collected."""
    return tuple(
        Delivery(
            id=ids.delivery_id(event.id, target.destination),
            event_id=event.id,
            event_type=event.type,
            watch_id=event.watch_id,
            owner=event.owner,
            sequence=event.sequence,
            destination=target.destination,
            group=target.group,
            created_at=now,
            next_attempt_at=now + target.delay,
        )
        for target in to
    )


def about_ourselves(mark: Mark, data: AccountData | DestinationData, event: EventType, routes: Routes) -> Change:
    """The change that keeps a mark and tells whoever takes events about ourselves. `mark.since` is when it was seen."""
    fact = Event(ids.event_id(mark.subject, mark.sequence), event, mark.since, data)
    return Change(
        marks=(mark,),
        events=(fact,),
        deliveries=owed(fact, routing.targets_about_ourselves(event, routes), mark.since),
    )


def _asked(seen: Observation) -> timedelta | None:
    return seen.trouble.retry_after if seen.trouble is not None else seen.retry_after


def _event_of(before: Watch, after: Watch, event: EventType, now: datetime) -> Event:
    data = TaskData(
        watch_id=after.id,
        owner=after.owner,
        provider=after.provider,
        account=after.account,
        task_id=after.task_id,
        params=after.params,
        state=after.state,
        previous_state=before.state,
        sequence=after.sequence,
        progress=after.progress,
        result=after.result,
        result_expires_at=after.result_expires_at,
        error=after.error,
        details=after.details,
        metadata=after.metadata,
        registered_at=after.registered_at,
        previous_poll_at=before.last_polled_at,
        observed_at=now,
    )
    return Event(ids.event_id(after.id, after.sequence), event, now, data)
