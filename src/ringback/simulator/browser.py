"""How a simulated browser task moves: queue, running through its steps, then finish, fail, or finish without success.

Secret: what 302.AI's browser answers look like from the other side, and how chance is made repeatable. Pure.

There is no randomness: what happens to a task is a digest of the seed and its id, so that a run can be repeated.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ringback.core.errors import BadInput

QUEUED_SHARE = 0.15
"""The part of its life that a task waits in the queue."""

Fate = Literal["finish", "fail", "unsuccessful"]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How the simulated world is.

    A task takes `duration`, give or take the share `jitter` of it. `fail` and `unsuccessful` are shares of the tasks,
    `error_rate` and `throttle` shares of the polls. With a `key`, requests must carry it. An id that was never
    submitted becomes a task when it is first asked for, unless `strict`.
    """

    duration: timedelta = timedelta(seconds=20)
    jitter: float = 0.0
    steps: int = 3
    fail: float = 0.0
    unsuccessful: float = 0.0
    error_rate: float = 0.0
    throttle: float = 0.0
    latency: timedelta = timedelta()
    key: str | None = None
    strict: bool = False
    seed: str = "ringback"

    def __post_init__(self) -> None:
        """Raises BadInput for what makes no world."""
        for name in ("jitter", "fail", "unsuccessful", "error_rate", "throttle"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name} is a share: give a number from 0 to 1")
        if self.fail + self.unsuccessful > 1 or self.error_rate + self.throttle > 1:
            raise BadInput(
                "fail + unsuccessful, and error_rate + throttle, are shares of one whole: at most 1 together"
            )
        if self.steps < 0 or self.duration < timedelta() or self.latency < timedelta():
            raise BadInput("steps, duration and latency cannot be negative")


def chance(options: Options, *about: object) -> float:
    """A number in [0, 1) that is always the same for the same seed and subject."""
    subject = msgspec.json.encode((options.seed, *about))
    return int.from_bytes(hashlib.sha256(subject).digest()[:6]) / 2**48


def fate(options: Options, task_id: str) -> Fate:
    """How a task will end."""
    drawn = chance(options, "fate", task_id)
    if drawn < options.fail:
        return "fail"
    return "unsuccessful" if drawn < options.fail + options.unsuccessful else "finish"


def answer(options: Options, task_id: str, age_s: float) -> dict[str, Any]:
    """What the API says about a task of this age."""
    life_s = options.duration.total_seconds() * (1 + options.jitter * (2 * chance(options, "life", task_id) - 1))
    queued_s = life_s * QUEUED_SHARE
    if age_s >= life_s:
        return _ended(task_id, fate(options, task_id), options.steps)
    if age_s < queued_s:
        return {"task_id": task_id, "status": "queue"}
    step = 1 + int((age_s - queued_s) / (life_s - queued_s) * options.steps)
    return shown(task_id, "running", step=min(step, options.steps), is_successful=False)


def shown(
    task_id: str, status: str, *, step: int = 0, result: str | None = None, is_successful: bool | None = None
) -> dict[str, Any]:
    """An answer with every field that the API has."""
    return {
        "task_id": task_id,
        "status": status,
        "result": result,
        "is_successful": is_successful,
        "current_step": step,
        "steps": [_step(number) for number in range(1, step + 1)],
    }


def envelope(code: int, message: str, *, kind: str = "api_error") -> dict[str, Any]:
    """The gateway's own error."""
    return {"error": {"err_code": code, "message": message, "type": kind}}


def _ended(task_id: str, fate: Fate, steps: int) -> dict[str, Any]:
    if fate == "fail":
        reason = "The browser could not open the page: net::ERR_NAME_NOT_RESOLVED"
        return shown(task_id, "fail", step=steps, result=reason, is_successful=False)
    if fate == "unsuccessful":
        reason = "The agent used all its steps without finding the answer."
        return shown(task_id, "finished", step=steps, result=reason, is_successful=False)
    found = f"Found it: the answer of task {task_id} is “四十二” (42)."
    return shown(task_id, "finished", step=steps, result=found, is_successful=True)


def _step(number: int) -> dict[str, Any]:
    return {
        "step": number,
        "evaluation_previous_goal": "Unknown" if number == 1 else "Success",
        "next_goal": f"Open result {number} and read it",
        "memory": f"{number - 1} results read so far",
        "action": [{"click_element": {"index": number}}],
        "extracted_content": [f"The text of result {number}"],
    }
