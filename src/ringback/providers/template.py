"""Text with placeholders, as it stands in a request.

    {task_id}  {params.NAME}      percent-encoded, as one segment of a path or one value of a query
    {+task_id}  {+params.NAME}    in a path: slashes stay (RFC 6570, reserved expansion), for ids such as `batches/a`
    {answer.PLACE}                a value of the answer that was just read; in [result] only
    {task_ids}                    all ids of one request; in [batch] only
    {uuid}                        another one for every request; in headers and bodies only

Secret: how a value gets into a request without choosing where it goes. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import quote

import msgspec

from ringback.core.errors import BadInput
from ringback.providers import documents
from ringback.providers.paths import Path

PARAM = "params."
ANSWER = "answer."
UUID = "uuid"
IDS = "task_ids"
KEPT_IN_PATHS = "/:@!$&'()*+,;=-._~"
"""What a path may hold as it is (RFC 3986, pchar and the slash)."""

_PLACEHOLDER = re.compile(r"\{(\+?(?:task_ids?|uuid|params\.[a-z][a-z0-9_]*|answer\.[A-Za-z0-9_.\[\]-]+))\}")
_LOOKS_LIKE_ONE = re.compile(r"\{\+?[A-Za-z][A-Za-z0-9_.]*\}")
_ORIGIN = re.compile(r"https?://[^\x00-\x20\x7f/?#{}@\\]+(?=[/?]|\Z)")
_QUERY_TEXT = re.compile(r"[\x21-\x7e]*")
_PATH_TEXT = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]+")
_VISIBLE = re.compile(r"[\x20-\x7e]*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOTS = {".", ".."}
_ALL_IDS = f"{{{IDS}}}"


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """What placeholders stand for. In a request about several tasks `task_id` is all their ids, with commas."""

    task_id: str = ""
    params: Mapping[str, str] = {}
    answer: Any = None

    def of(self, name: str) -> str:
        """The text for a placeholder's name. Raises BadInput for one that has none."""
        if name.startswith(PARAM):
            value = self.params.get(name[len(PARAM) :])
            if value is None:
                raise BadInput(f"the param '{name[len(PARAM) :]}' is missing: this provider needs it")
            return value
        if name.startswith(ANSWER):
            found = documents.text(Path(name[len(ANSWER) :]).find(self.answer))
            if not found:
                raise BadInput(f"the answer has nothing at {name[len(ANSWER) :]} to ask with")
            return found
        return "{uuid}" if name == UUID else self.task_id


class Template:
    """A text with placeholders, split when its preset is loaded."""

    __slots__ = ("_parts", "names", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for a placeholder that there is not."""
        self.text = text
        self._parts = _PLACEHOLDER.split(text)
        self.names = tuple(name.removeprefix("+") for name in self._parts[1::2])
        unknown = next((found[0] for part in self._parts[::2] if (found := _LOOKS_LIKE_ONE.search(part))), None)
        if unknown is not None:
            raise ValueError(f"expected placeholders such as {{task_id}} and {{params.name}}, got '{unknown}'")
        for name in self.names:
            if name.startswith(ANSWER):
                Path(name.removeprefix(ANSWER))

    @property
    def parts(self) -> list[str]:
        """The texts, and between them the placeholders as they are written."""
        return self._parts

    @property
    def fixed(self) -> list[str]:
        """The texts between the placeholders."""
        return self._parts[::2]

    def fill(self, values: Values, encode: Callable[[str, str], str]) -> str:
        """The text; `encode` gets each placeholder as it is written and its value. Raises BadInput."""
        parts = list(self._parts)
        for place in range(1, len(parts), 2):
            parts[place] = encode(parts[place], values.of(parts[place].removeprefix("+")))
        return "".join(parts)

    def left_out(self, values: Values) -> bool:
        """Whether it is nothing but an optional param that was not given."""
        return len(self._parts) == 3 and self._parts[::2] == ["", ""] and not values.of(self.names[0])  # noqa: PLR2004


class HeaderName(str):
    """A header's name, in small letters."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Raises ValueError with a sentence for what is none."""
        if not _TOKEN.fullmatch(text):
            raise ValueError(f"expected the name of a header, got '{text}'")
        return super().__new__(cls, text.lower())


class PathTemplate(Template):
    """A path with placeholders."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is no path."""
        fixed = _PLACEHOLDER.split(text)[::2]
        if not text.startswith("/") or not all(_PATH_TEXT.fullmatch(part) for part in fixed):
            raise ValueError(
                "expected a path that begins with / and has no query; its placeholders are {task_id} and {params.name},"
                f" got '{text}'"
            )
        if has_dots("x".join(fixed)):
            raise ValueError(f"expected a path without . and .. segments, got '{text}'")
        super().__init__(text)
        _refuse_uuid(self.names)

    def path(self, values: Values) -> str:
        """The path with every placeholder encoded. Raises BadInput for what cannot fill it."""
        path = self.fill(values, _in_path)
        if has_dots(path):
            raise BadInput(f"the id and params make a path segment of only dots in '{self.text}': check them")
        return path


class HeaderTemplate(Template):
    """The value of a header."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what no header can carry."""
        super().__init__(text)
        if not all(_VISIBLE.fullmatch(part) for part in self.fixed):
            raise ValueError("expected the value of a header, which is ASCII on one line")

    def header(self, values: Values) -> str:
        """The value. Raises BadInput for what no header can carry."""
        return self.fill(values, _in_header)


class QueryTemplate(Template):
    """One value of a query or of a form."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for a placeholder that there is not."""
        super().__init__(text)
        _refuse_uuid(self.names)

    def query(self, values: Values) -> str:
        """The value, percent-encoded."""
        return quote(self.fill(values, _as_it_is), safe="")


class UrlTemplate:
    """A whole URL: one placeholder (an answer or a param brings it), or text with placeholders after its host.

    Whether a credential may go there is decided when it is finished.
    """

    __slots__ = ("_origin", "_path", "_query", "_whole", "names", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is no URL."""
        self.text = text
        self._whole = Template(text) if _PLACEHOLDER.fullmatch(text) else None
        if self._whole is not None:
            self.names = self._whole.names
            _refuse_uuid(self.names)
            return
        origin = _ORIGIN.match(text)
        path, _, query = text[origin.end() if origin is not None else 0 :].partition("?")
        if origin is None or "#" in text or not all(map(_QUERY_TEXT.fullmatch, _PLACEHOLDER.split(query)[::2])):
            raise ValueError(
                "expected a URL such as 'https://api.example.com/jobs/{task_id}', in ASCII, without user or fragment"
            )
        self._origin, self._path, self._query = origin[0], PathTemplate(path or "/"), QueryTemplate(query)
        self.names = (*self._path.names, *self._query.names)

    def url(self, values: Values) -> str:
        """The URL. Raises BadInput for what cannot fill it."""
        if self._whole is not None:
            return self._whole.fill(values, _in_header)
        query = self._query.fill(values, lambda name, value: quote(_as_it_is(name, value), safe=""))
        return f"{self._origin}{self._path.path(values)}" + (f"?{query}" if query else "")


class BodyTemplate:
    """A JSON body whose texts have placeholders."""

    __slots__ = ("names", "tree")

    def __init__(self, tree: Any) -> None:
        """Raises ValueError for a placeholder that there is not."""
        names: list[str] = []
        self.tree = _compiled(tree, names)
        self.names = tuple(names)

    def fill(self, values: Values, task_ids: list[str] | None = None) -> Any:
        """The value. Raises BadInput for a placeholder that cannot be filled."""
        return _filled(self.tree, values, task_ids)

    @property
    def text(self) -> str:
        """As it is written, for people."""
        return msgspec.json.encode(_shown(self.tree)).decode()


class BaseUrl:
    """Where an API is: scheme, host, maybe a port and a path. Params may stand for labels of the host."""

    __slots__ = ("_template", "names", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is no base URL."""
        self._template = Template(text)
        self.names = self._template.names
        if not is_base_url("x".join(self._template.fixed)) or not all(name.startswith(PARAM) for name in self.names):
            raise ValueError(
                "expected a base URL such as 'https://api.example.com/v1', without user, query or fragment"
            )
        self.text = text.rstrip("/")

    def url(self, values: Values) -> str:
        """The base URL. Raises BadInput for a param that is no label of a host name."""
        return self._template.fill(values, _in_host).rstrip("/") if self.names else self.text


_BASE_URL = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?"
)


def is_base_url(text: str) -> bool:
    """Whether a text is scheme, host, maybe port and path, and nothing else."""
    return _BASE_URL.fullmatch(text) is not None and not has_dots(text)


def has_dots(path: str) -> bool:
    """Whether a segment is only one or two dots, plain or encoded."""
    return not _DOTS.isdisjoint(path.replace("%2E", ".").replace("%2e", ".").split("/"))


def _refuse_uuid(names: tuple[str, ...]) -> None:
    """A URL is made once a watch."""
    if UUID in names:
        raise ValueError("expected no {uuid} here: it may stand in a header or a JSON body")


def _in_path(name: str, value: str) -> str:
    if not value.strip("/" if name.startswith("+") else ""):
        raise BadInput(f"{name.removeprefix('+')} is empty: it cannot be asked about")
    try:
        if not name.startswith("+"):
            return quote(value, safe="")
        path = quote(value.removeprefix("/"), safe=KEPT_IN_PATHS)
    except UnicodeEncodeError:
        raise BadInput(
            f"{name.removeprefix('+')} holds half a surrogate pair, which no URL can carry: check it"
        ) from None
    if "" in path.split("/") or has_dots(path):
        raise BadInput(f"{name.removeprefix('+')} has a segment that is empty or only dots: check it")
    return path


def _in_host(name: str, value: str) -> str:
    if _LABEL.fullmatch(value) is None:
        raise BadInput(
            f"{name} is part of a host name: give small letters, digits and hyphens", code="bad_param", param=name
        )
    return value


def _in_header(name: str, value: str) -> str:
    if _VISIBLE.fullmatch(value) is None:
        raise BadInput(f"{name.removeprefix('+')} stands in a header or is a URL, which are ASCII only: check it")
    return value


def _as_it_is(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadInput(
            f"{name.removeprefix('+')} holds half a surrogate pair, which no request can carry: check it"
        ) from None
    return value


def _compiled(tree: Any, names: list[str]) -> Any:
    if isinstance(tree, str):
        template = Template(tree)
        names += template.names
        return template if template.names else tree
    if isinstance(tree, Mapping):
        return {key: _compiled(value, names) for key, value in tree.items()}
    return [_compiled(value, names) for value in tree] if isinstance(tree, list) else tree


def _filled(tree: Any, values: Values, task_ids: list[str] | None) -> Any:
    if isinstance(tree, Template):
        return task_ids if tree.text == _ALL_IDS else tree.fill(values, _as_it_is)
    if isinstance(tree, dict):
        return {
            key: _filled(value, values, task_ids)
            for key, value in tree.items()
            if not (isinstance(value, Template) and value.left_out(values))
        }
    return [_filled(value, values, task_ids) for value in tree] if isinstance(tree, list) else tree


def _shown(tree: Any) -> Any:
    if isinstance(tree, Template):
        return tree.text
    if isinstance(tree, dict):
        return {key: _shown(value) for key, value in tree.items()}
    return [_shown(value) for value in tree] if isinstance(tree, list) else tree
