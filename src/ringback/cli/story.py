"""The tasks of `ringback demo`: what is special about each, what the vendor answers, and how it must end.

Secret: the story, and the daemon's configuration in it. One reply a poll, the last one again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ringback.simulator import Reply

FOUND = "見つけました。東京の明日の天気は「晴れ時々曇り」、最高気温は21℃です。"

CONFIGURATION = """\
[server]
listen = "127.0.0.1:0"
[store]
url = "json:{folder}/data"
[polling]
interval = "1s"
[accounts.302ai]
base_url = "{upstream}"
api_key = "{key}"
[destinations.team]
type = "webhook"
url = "{receiver}/team"
secret = "{secret}"
[callbacks]
secret = "{secret}"
"""


class Task(msgspec.Struct, frozen=True):
    """One task of the story."""

    id: str
    about: str
    replies: Sequence[Reply | Mapping[str, Any]]
    ends: str
    to_busy_receiver: bool = False

    @property
    def event(self) -> str:
        """The event that its callback gets."""
        return f"task.{self.ends}"


def tasks() -> tuple[Task, ...]:
    """All of them; the daemon is restarted while the last one runs."""
    return (
        Task("weather", "will succeed, with a result in Japanese", _weather(), "succeeded"),
        Task("login", "will fail", _login(), "failed"),
        Task("search", "will finish, but without success: that is failed too", _search(), "failed"),
        Task("gateway", "will meet a 429 and a 502 of the vendor on its way", _gateway(), "succeeded"),
        Task(
            "deploy", "calls back a receiver that is busy the first time", _deploy(), "succeeded", to_busy_receiver=True
        ),
        Task("report", "will still run while the daemon is restarted", _report(), "succeeded"),
    )


def _weather() -> list[Mapping[str, Any]]:
    id = "weather"
    return [shown(id, "queue"), *_steps(id, 3), shown(id, "finished", step=3, result=FOUND, is_successful=True)]


def _login() -> list[Mapping[str, Any]]:
    id = "login"
    return [shown(id, "queue"), *_steps(id, 1), shown(id, "fail", step=1, result="The page asks for a captcha.")]


def _search() -> list[Mapping[str, Any]]:
    id, reason = "search", "No result matched in 2 steps."
    return [*_steps(id, 2), shown(id, "finished", step=2, result=reason, is_successful=False)]


def _gateway() -> list[Reply | Mapping[str, Any]]:
    id = "gateway"
    busy = {"error": {"err_code": -10005, "message": "too many requests", "type": "api_error"}}
    slow = Reply(status=429, headers={"retry-after": "1"}, body=busy)
    down = Reply(status=502, headers={"content-type": "text/html"}, body=b"<h1>502 Bad Gateway</h1>")
    return [shown(id, "queue"), slow, down, *_steps(id, 1), shown(id, "finished", step=1, result="OK")]


def _deploy() -> list[Mapping[str, Any]]:
    id = "deploy"
    return [*_steps(id, 1), shown(id, "finished", step=1, result="https://files.example.org/deploy.mp4")]


def _report() -> list[Mapping[str, Any]]:
    id = "report"
    return [shown(id, "queue"), *_steps(id, 5), shown(id, "finished", step=5, result="12 pages, “none” empty")]


def shown(
    task_id: str, status: str, *, step: int = 0, result: str | None = None, is_successful: bool | None = None
) -> dict[str, Any]:
    """An answer of 302.AI about a browser task, with every field that it has."""
    steps = [{"step": number, "next_goal": f"Open result {number} and read it"} for number in range(1, step + 1)]
    return {
        "task_id": task_id,
        "status": status,
        "result": result,
        "is_successful": is_successful,
        "current_step": step,
        "steps": steps,
    }


def _steps(id: str, count: int) -> list[Mapping[str, Any]]:
    return [shown(id, "running", step=step) for step in range(1, count + 1)]
