"""A request as a preset writes it: the tables [ask], [submit], [result] and [batch].

    method, path or url, query, headers, body (JSON) or form     each text may have placeholders: template.py

Secret: how these keys become one request. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from ringback.core.errors import BadInput
from ringback.providers.base import Ask
from ringback.providers.template import (
    BodyTemplate,
    HeaderName,
    HeaderTemplate,
    PathTemplate,
    QueryTemplate,
    UrlTemplate,
    Values,
    is_base_url,
)

ACCEPT = {"accept": "application/json"}
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

NOT_FOR_PRESETS = frozenset({"host", "content-length", "transfer-encoding", "connection", "authorization", "cookie"})


def body(raw: object, where: str, problems: list[str]) -> BodyTemplate | None:
    """A JSON body: any table."""
    if not isinstance(raw, Mapping):
        problems.append(f"{where}: expected a table, which is sent as JSON")
        return None
    try:
        return BodyTemplate(raw)
    except ValueError as exc:
        problems.append(f"{where}: {exc}")
        return None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `path` is added to the base URL; `url` stands for itself."""

    method: Literal["GET", "POST", "PUT"] = "GET"
    path: PathTemplate | None = None
    url: UrlTemplate | None = None
    query: dict[str, QueryTemplate] = {}
    headers: dict[HeaderName, HeaderTemplate] = {}
    body: Annotated[BodyTemplate, body] | None = None
    form: dict[str, QueryTemplate] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Every placeholder, in order and once."""
        parts: list[Any] = [self.path, self.url, *self.query.values(), *self.headers.values(), self.body]
        parts += self.form.values()
        return tuple(dict.fromkeys(name for part in parts if part is not None for name in part.names))

    @property
    def target(self) -> str:
        """Where it goes, as it is written: path with query, or URL."""
        place = self.url or self.path
        query = "&".join(f"{name}={value.text}" for name, value in self.query.items())
        return (place.text if place is not None else "/") + (f"?{query}" if query else "")

    def contradictions(self, where: str) -> list[str]:
        """What its keys cannot be together."""
        found = []
        if (self.path is None) == (self.url is None):
            found.append(f"{where}: expected either path or url")
        if self.body is not None and self.form:
            found.append(f"{where}: expected either body or form")
        if self.method == "GET" and (self.body is not None or self.form):
            found.append(f"{where}: expected method POST or PUT with a body")
        if self.url is not None and self.query and self.url.names:
            found.append(f"{where}.query: expected it within url")
        barred = NOT_FOR_PRESETS.intersection(self.headers)
        return found + [f"{where}.headers.{name}: no preset sets this one" for name in sorted(barred)]


def request(asking: Request, values: Values, base_url: str, task_ids: list[str] | None = None) -> Ask:
    """The request, without a credential. Raises BadInput for what cannot fill it."""
    if asking.url is not None:
        url = asking.url.url(values)
    else:
        assert asking.path is not None, "the preset was checked"
        url = prefix(base_url) + asking.path.path(values)
    query = _pairs(asking.query, values)
    if query:
        url = f"{url}{'&' if '?' in url else '?'}{query}"
    headers = ACCEPT | {
        name: value.header(values) for name, value in asking.headers.items() if not value.left_out(values)
    }
    content: bytes | None = None
    if asking.body is not None:
        content = msgspec.json.encode(asking.body.fill(values, task_ids))
        headers.setdefault("content-type", JSON)
    elif asking.form:
        content = _pairs(asking.form, values).encode()
        headers.setdefault("content-type", FORM)
    return Ask(method=asking.method, url=url, headers=headers, body=content)


@lru_cache(maxsize=256)
def prefix(base_url: str) -> str:
    """The base URL without its last slash; a daemon has a handful of them. It may hold a password: never repeated."""
    if not is_base_url(base_url):
        raise BadInput(
            "base_url cannot be used: write it as https://host or https://host/prefix, without user, query or fragment"
        )
    return base_url.rstrip("/")


def _pairs(templates: Mapping[str, QueryTemplate], values: Values) -> str:
    """name=value&..., without what is optional and was not given."""
    return "&".join(
        f"{quote(name, safe='')}={value.query(values)}"
        for name, value in templates.items()
        if not value.left_out(values)
    )
