"""The request that asks about a task: the [ask] table of a preset.

Secret: how an id or a param gets into a URL without choosing where it goes. Pure.

A placeholder is `{task_id}` or `{params.NAME}`. What fills it is percent-encoded as one segment of the path: a slash
becomes %2F, and a segment that is only dots, or nothing, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

import msgspec

from ringback.core.errors import BadInput
from ringback.providers.base import Ask

_PLACEHOLDER = re.compile(r"\{(task_id|params\.[a-z][a-z0-9_]*)\}")
_PATH_TEXT = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_BASE_URL = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?"
)
_DOTS = {".", ".."}


class PathTemplate:
    """A path with placeholders, checked when its preset is loaded."""

    __slots__ = ("_parts", "params", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is no path."""
        self.text = text
        self._parts = _PLACEHOLDER.split(text)
        fixed, names = self._parts[::2], self._parts[1::2]
        if not text.startswith("/") or not all(_PATH_TEXT.fullmatch(part) for part in fixed):
            raise ValueError(
                "expected a path that begins with / and has no query; its placeholders are {task_id} and {params.name},"
                f" got '{text}'"
            )
        if _has_dots("x".join(fixed)):
            raise ValueError(f"expected a path without . and .. segments, got '{text}'")
        self.params = tuple(dict.fromkeys(name.removeprefix("params.") for name in names if name != "task_id"))

    def fill(self, task_id: str, params: Mapping[str, str]) -> str:
        """The path with every placeholder encoded. Raises BadInput for what cannot fill it."""
        parts = list(self._parts)
        for place in range(1, len(parts), 2):
            name = parts[place]
            parts[place] = _segment(name, task_id if name == "task_id" else params.get(name.removeprefix("params.")))
        path = "".join(parts)
        if _has_dots(path):
            raise BadInput(f"the id and params make a path segment of only dots in '{self.text}': check them")
        return path


class BaseUrl:
    """A base URL, checked when its preset is loaded."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is no base URL."""
        if not _is_base_url(text):
            raise ValueError(
                "expected a base URL such as 'https://api.example.com/v1', without user, query or fragment"
            )
        self.text = text.rstrip("/")


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """The [ask] table: how the API is asked about one task."""

    path: PathTemplate
    method: Literal["GET", "POST"] = "GET"


def request(asking: Asking, task_id: str, params: Mapping[str, str], base_url: str) -> Ask:
    """The request about this task, without a credential."""
    url = _prefix(base_url) + asking.path.fill(task_id, params)
    return Ask(method=asking.method, url=url, headers={"accept": "application/json"})


@lru_cache(maxsize=256)
def _prefix(base_url: str) -> str:
    """The base URL without its last slash; a daemon has a handful of them. It may hold a password: never repeated."""
    if not _is_base_url(base_url):
        raise BadInput(
            "base_url cannot be used: write it as https://host or https://host/prefix, without user, query or fragment"
        )
    return base_url.rstrip("/")


def _is_base_url(text: str) -> bool:
    return _BASE_URL.fullmatch(text) is not None and not _has_dots(text)


def _segment(name: str, value: str | None) -> str:
    if value is None:
        param = name.removeprefix("params.")
        raise BadInput(f"the param '{param}' is missing: this provider needs it to ask about a task")
    if not value:
        raise BadInput(f"{name} is empty: it cannot be asked about")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise BadInput(f"{name} holds half a surrogate pair, which no URL can carry: check it") from None


def _has_dots(path: str) -> bool:
    return not _DOTS.isdisjoint(path.replace("%2E", ".").replace("%2e", ".").split("/"))
