"""How a watch moves: what an observation, a trouble, a deadline or a person makes of it.

Secret: which states follow which, and which of the moves is an event. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from ringback.core.model import (
    EVENT_OF_STATE,
    EventType,
    Observation,
    Problem,
    Progress,
    Trouble,
    Watch,
    WatchState,
)

NOT_FOUND = "not_found"
VANISHED_AFTER = timedelta(minutes=10)
VANISHED_AFTER_COUNT = 3
NEVER_SEEN_AFTER = timedelta(hours=1)

SAME = Observation()
"""The very answer that an open watch was last read from has come again: it is as it was."""


def transition(watch: Watch, seen: Observation, now: datetime) -> tuple[Watch, EventType | None]:
    """What an answer makes of an open watch, and the kind of event that is.

    A final watch stays as it is. An answer that only adds progress moves the watch and is `task.progressed`.
    """
    if watch.state.final:
        return watch, None
    if seen.state is None:
        return watch if watch.problem is None else replace(watch, problem=None), None
    after = replace(
        watch,
        state=seen.state,
        progress=seen.progress or watch.progress,
        result=seen.result,
        result_expires_at=seen.result_expires_at,
        error=seen.error,
        details=seen.details,
        first_seen_at=watch.first_seen_at or now,
        finished_at=now if seen.state.final else None,
        problem=None,
    )
    if after.state is not watch.state:
        return _moved(after, now), EVENT_OF_STATE[after.state]
    if _moves(watch.progress, after.progress):
        return _moved(after, now), EventType.TASK_PROGRESSED
    return after, None


def as_it_is(watch: Watch) -> Observation:
    """What the answer said that an open watch was last read from, as far as a watch keeps it."""
    return Observation(
        state=watch.state,
        result=watch.result,
        result_expires_at=watch.result_expires_at,
        error=watch.error,
        progress=watch.progress,
        details=watch.details,
    )


def trouble(watch: Watch, met: Trouble, now: datetime) -> tuple[Watch, EventType | None]:
    """Count an answer that says nothing; a task that is only ever not found has vanished in the end."""
    if watch.state.final:
        return watch, None
    before = watch.problem
    if before is not None and before.code == met.code:
        problem = Problem(met.code, met.message, before.since, before.count + 1)
    else:
        problem = Problem(met.code, met.message, now, 1)
    after = replace(watch, problem=problem)
    if _has_vanished(after, problem, now):
        return end(after, WatchState.VANISHED, now), EventType.TASK_VANISHED
    return after, None


def end(watch: Watch, state: WatchState, now: datetime) -> Watch:
    """Close a watch for our own reason: expired, vanished, abandoned."""
    return _moved(replace(watch, state=state, finished_at=now), now)


def reopen(watch: Watch, deadline_at: datetime, now: datetime) -> Watch:
    """Follow a final task again, from the start; its sequence goes on."""
    return replace(
        _moved(watch, now),
        state=WatchState.PENDING,
        progress=None,
        result=None,
        result_expires_at=None,
        error=None,
        details=None,
        problem=None,
        began_at=now,
        first_seen_at=None,
        finished_at=None,
        next_poll_at=max(now, watch.not_before_at or now),
        deadline_at=deadline_at,
    )


def shifted(watch: Watch, by: timedelta) -> Watch:
    """The watch after the wall clock was stepped: whatever it waits for comes as soon as it would have."""
    problem = watch.problem
    return replace(
        watch,
        began_at=(watch.began_at or watch.registered_at) + by,
        changed_at=watch.changed_at + by,
        deadline_at=watch.deadline_at + by,
        next_poll_at=watch.next_poll_at + by if watch.next_poll_at is not None else None,
        not_before_at=watch.not_before_at + by if watch.not_before_at is not None else None,
        problem=replace(problem, since=problem.since + by) if problem is not None else None,
        version=watch.version + 1,
    )


def stalls(watch: Watch, stalled_after: timedelta, now: datetime) -> bool:
    """Whether nothing has changed for too long and nobody was told yet."""
    return not watch.state.final and not watch.stalled and now - watch.changed_at >= stalled_after


def _moved(watch: Watch, now: datetime) -> Watch:
    return replace(watch, changed_at=now, stalled=False)


def _moves(before: Progress | None, after: Progress | None) -> bool:
    return after is not None and after != before


def _has_vanished(watch: Watch, problem: Problem, now: datetime) -> bool:
    """A never seen task may be a wrong key's (some vendors answer 404 for that): it gets an hour."""
    if problem.code != NOT_FOUND:
        return False
    lasted = now - problem.since
    if watch.first_seen_at is None:
        return lasted >= NEVER_SEEN_AFTER
    return lasted >= VANISHED_AFTER and problem.count >= VANISHED_AFTER_COUNT
