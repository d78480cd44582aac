"""How the simulated world is: how long tasks take, how they end, how often something goes wrong.

Secret: how chance is made repeatable. Pure: what happens to a task is a digest of the seed and its id.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Literal

import msgspec

from ringback.core.errors import BadInput

QUEUED_SHARE = 0.15
"""The part of its life that a task waits in the queue."""

Fate = Literal["succeeded", "failed", "unsuccessful", "cancelled"]
SHARES = ("jitter", "fail", "unsuccessful", "cancel", "error_rate", "throttle")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the simulated world is.

    A task takes `duration`, give or take the share `jitter` of it. `fail`, `unsuccessful` (finished, but without
    success) and `cancel` are shares of the tasks, `error_rate` and `throttle` shares of the polls. With a `key`, every
    credential of a request must be it. An id that was never submitted becomes a task when it is first asked for, unless
    `strict`.
    """

    duration: timedelta = timedelta(seconds=20)
    jitter: float = 0.0
    steps: int = 3
    fail: float = 0.0
    unsuccessful: float = 0.0
    cancel: float = 0.0
    error_rate: float = 0.0
    throttle: float = 0.0
    latency: timedelta = timedelta()
    key: str | None = None
    strict: bool = False
    seed: str = "ringback"

    def __post_init__(self) -> None:
        """Raises BadInput for what makes no world."""
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name} is a share: give a number from 0 to 1")
        if self.fail + self.unsuccessful + self.cancel > 1 or self.error_rate + self.throttle > 1:
            raise BadInput(
                "fail + unsuccessful + cancel, and error_rate + throttle, are shares of one whole: at most 1 together"
            )
        if self.steps < 0 or self.duration < timedelta() or self.latency < timedelta():
            raise BadInput("steps, duration and latency cannot be negative")


class Stage(msgspec.Struct, frozen=True):
    """Where a task is in its life: queued, running, or how it ended; `share` of the running part, and the step."""

    state: Literal["queued", "running"] | Fate
    share: float
    step: int


def chance(options: Options, *about: object) -> float:
    """A number in [0, 1) that is always the same for the same seed and subject."""
    subject = msgspec.json.encode((options.seed, *about))
    return int.from_bytes(hashlib.sha256(subject).digest()[:6]) / 2**48


def fate(options: Options, task_id: str) -> Fate:
    """How a task will end."""
    drawn = chance(options, "fate", task_id)
    if drawn < options.fail:
        return "failed"
    if drawn < options.fail + options.unsuccessful:
        return "unsuccessful"
    return "cancelled" if drawn < options.fail + options.unsuccessful + options.cancel else "succeeded"


def stage(options: Options, task_id: str, age_s: float) -> Stage:
    """Where a task of this age is."""
    life_s = options.duration.total_seconds() * (1 + options.jitter * (2 * chance(options, "life", task_id) - 1))
    queued_s = life_s * QUEUED_SHARE
    if age_s >= life_s:
        return Stage(fate(options, task_id), 1.0, options.steps)
    if age_s < queued_s:
        return Stage("queued", 0.0, 0)
    share = (age_s - queued_s) / (life_s - queued_s)
    return Stage("running", share, min(1 + int(share * options.steps), options.steps))
