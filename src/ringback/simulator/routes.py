"""Which request is which of a preset's: its templates, read backwards.

Secret: how what filled a placeholder is found again in a request. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

import msgspec

from ringback.core.errors import PresetError
from ringback.providers.asking import Request as Asking
from ringback.providers.preset import Preset
from ringback.providers.template import IDS, PARAM, UUID, Template
from ringback.simulator.wire import Request

Kind = Literal["poll", "submit", "result", "batch"]
OWN_PATH = "/_{kind}/{preset}/{{task_id}}"
"""Where a URL leads that an answer of ours brings."""

Found = dict[str, Any]
"""What stood in a request for each placeholder; `task_ids` is a list."""


class Route(msgspec.Struct, frozen=True):
    """One request of a preset. `weight` orders routes: what says more of a request is tried first.

    The path of one that leads `anywhere` is a placeholder and nothing else.
    """

    kind: Kind
    preset: Preset
    method: str
    path: re.Pattern[str]
    names: tuple[str, ...]
    query: Mapping[str, Template]
    headers: Mapping[str, Template]
    body: Any
    weight: int
    anywhere: bool

    def match(self, request: Request, path: str) -> Found | None:
        """What the request holds for each placeholder; None when it is another request."""
        placed = self.path.fullmatch(path) if request.method == self.method else None
        if placed is None:
            return None
        found: Found = _named(self.names, map(unquote, placed.groups()))
        given = dict(parse_qsl(request.target.partition("?")[2], keep_blank_values=True))
        texts = (
            *((given.get(name), template) for name, template in self.query.items()),
            *((request.headers.get(name), template) for name, template in self.headers.items()),
        )
        if not all(_read(text, template, found) for text, template in texts):
            return None
        return found if self.body is None or _same(self.body, _document(request), found) else None


def routes(preset: Preset) -> list[Route]:
    """Every request that the preset knows."""
    spec = preset.spec
    made: list[tuple[Kind, Asking | None]] = [
        ("poll", spec.ask), ("submit", spec.submit), ("result", spec.result), ("batch", spec.batch)
    ]  # fmt: skip
    return [_route(kind, preset, asking) for kind, asking in made if asking is not None]


def own_path(kind: Kind, preset: Preset, task_id: str) -> str:
    """The path of a URL that an answer of ours brings."""
    return OWN_PATH.format(kind=kind, preset=preset.about.id).format(task_id=task_id)


def _route(kind: Kind, preset: Preset, asking: Asking) -> Route:
    text = OWN_PATH.format(kind=kind, preset=preset.about.id)
    if asking.path is not None:
        text = asking.path.text
    elif asking.url is not None and not asking.url.names:
        raise PresetError(f"{preset.about.id}: a fixed url cannot be simulated")
    template = Template(text)
    pattern = "".join(_group(part, place % 2 == 1) for place, part in enumerate(template.parts))
    body = asking.body.tree if asking.body is not None else dict(asking.form) or None
    constraints = len(asking.query) + len(asking.headers) + (len(body) if isinstance(body, dict) else 0)
    return Route(
        kind=kind,
        preset=preset,
        method=asking.method,
        path=re.compile(pattern),
        names=template.names,
        query=asking.query,
        headers={name: value for name, value in asking.headers.items() if name != "accept"},
        body=body,
        weight=10 * sum(map(len, template.fixed)) + constraints,
        anywhere=not any(part.strip("/") for part in template.fixed),
    )


def _group(part: str, placeholder: bool) -> str:  # noqa: FBT001 - one of two kinds
    if not placeholder:
        return re.escape(part)
    return "(.+)" if part.startswith("+") else "([^/]+)"


def _read(text: str | None, template: Template, found: Found) -> bool:
    """Take what stands for placeholders out of a text; what is optional may be missing."""
    if text is None:
        return not any(template.fixed) and all(name.startswith(PARAM) for name in template.names)
    pattern = "".join(re.escape(part) if place % 2 == 0 else "(.*)" for place, part in enumerate(template.parts))
    met = re.fullmatch(pattern, text, re.DOTALL)
    if met is None:
        return False
    found.update(_named(template.names, met.groups()))
    return True


def _named(names: Iterable[str], texts: Iterable[str]) -> Found:
    """What was found for each placeholder that means something; ids stand in one text with commas."""
    pairs = zip(names, texts, strict=True)
    return {name: text.split(",") if name == IDS else text for name, text in pairs if name != UUID}


def _same(wanted: Any, given: Any, found: Found) -> bool:
    """Whether a JSON value is as a body's template has it."""
    if isinstance(wanted, Template):
        if wanted.names == (IDS,) and isinstance(given, list):
            found[IDS] = [str(each) for each in given]
            return True
        return _read(None if given is None else str(given), wanted, found)
    if isinstance(wanted, dict):
        return isinstance(given, dict) and all(_same(value, given.get(key), found) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(given, list) and all(_same(*pair, found) for pair in zip(wanted, given, strict=False))
    return bool(wanted == given)


def _document(request: Request) -> Any:
    """The body, as JSON or as a form."""
    if "form" in request.headers.get("content-type", ""):
        return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        return msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
