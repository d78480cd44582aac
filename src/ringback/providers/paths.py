"""Where something is in an answer: a JMESPath expression, compiled once, when its preset is loaded.

Secret: the expression language, its limits, and the short way for plain paths. Pure.

Nearly every expression of the catalogue is a plain path (`data.status`, `data[0].url`) or a choice of some
(`error.message || error`). Those are walked directly, in a tenth of the time that a JMESPath search takes.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Sequence
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

from ringback.core.errors import nearest

EXPRESSION_LIMIT = 1024
"""Characters of an expression."""

NESTING_LIMIT = 40
"""Levels of an expression: a search recurses once a level, from whatever depth it is called at."""

GROWTH_LIMIT = 1000
"""`[@,@] | [@,@] | ...` doubles at every step, `to_string([@])` quotes: a short expression could fill the memory."""

LOOKS_INTO = frozenset({"subexpression", "index_expression", "flatten", "filter_projection", "value_projection"})
"""Nodes that look for something in their first child."""

MISSING: Any = object()
"""What a field finds where nothing is; null is something."""

_BARE_NUMBER = re.compile(r"[=<>]\s*(-?[0-9]+(?:\.[0-9]+)?)")
_WORDS = re.compile(r"[\w,.:;!?'-]+(?: [\w,.:;!?'-]+)+")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*|\[-?[0-9]{1,9}\])*")
_NAMED = r'(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\\]+")'
_FIELD = re.compile(rf"(?:{_NAMED}|\[-?[0-9]{{1,9}}\])(?:\.{_NAMED}|\[-?[0-9]{{1,9}}\])*")
_LETTERS = frozenset(string.ascii_letters + "_")
_STEP = re.compile(r'"[^"]+"|[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+')
_SEARCH_FAILURES = (JMESPathError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What a search raises for documents it was not written for (`length` of null, `ceil` of infinity)."""

Steps = tuple[str | int, ...]
Finder = Callable[[Any], Any]


class Path:
    """A compiled expression. Two are equal when their text is."""

    __slots__ = ("each", "find", "text")

    def __init__(self, text: str) -> None:
        """Compile; raises ValueError with a sentence for what is no expression."""
        self.text = text
        self.each: tuple[Path, ...] = (self,)
        """The paths that are tried one after another."""
        self.find: Finder = _compiled(text)
        """The value there in a document, None where nothing is. Never raises."""

    @classmethod
    def first_of(cls, paths: Sequence[Path]) -> Path:
        """Several paths in order: the first whose value is true; nothing when none is."""
        chosen = cls.__new__(cls)
        chosen.each = tuple(each for path in paths for each in path.each)
        chosen.text = ", else ".join(path.text for path in chosen.each)
        chosen.find = _first_true([path.find for path in paths])
        return chosen

    def holds(self, document: Any) -> bool:
        """Whether the value there is true: not null, false or empty, as JMESPath has it."""
        return not _is_false(self.find(document))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Path({self.text!r})"


class Field:
    """A plain path whose value is kept under its last name; it tells null from absent. A name may be quoted."""

    __slots__ = ("_steps", "name", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError with a sentence for what is no plain path to a named field."""
        steps = _split(text) if _FIELD.fullmatch(text) and len(text) <= EXPRESSION_LIMIT else ()
        if not steps or not isinstance(steps[-1], str):
            raise ValueError(f"expected the plain path of a field, such as 'data.cost', got {text!r}")
        self.text, self.name, self._steps = text, steps[-1], steps

    def find(self, document: Any) -> Any:
        """The value, or MISSING."""
        return _walk(document, self._steps, MISSING)

    def hold(self, value: Any) -> Any:
        """A document that has nothing but this value, at this place."""
        for step in reversed(self._steps):
            value = {step: value} if isinstance(step, str) else [value]
        return value

    def change(self, document: Any, how: Callable[[Any], Any]) -> None:
        """Put something else in the value's place, in the document itself; nothing where there is none."""
        parent = _walk(document, self._steps[:-1], None)
        if type(parent) is dict and self.name in parent:
            parent[self.name] = how(parent[self.name])


def _compiled(text: str) -> Finder:
    if len(text) > EXPRESSION_LIMIT:
        raise ValueError(f"expected an expression of at most {EXPRESSION_LIMIT} characters, got {len(text)}")
    choices = [_steps(choice) for choice in text.split(" || ")]
    plain = [_walking(steps) for steps in choices if steps is not None]
    if len(plain) < len(choices):
        return _searching(text)
    return _first_of(plain) if len(plain) > 1 else plain[0]


def _walking(steps: Steps) -> Finder:
    if len(steps) > 1:
        return lambda document: _walk(document, steps, None)
    name = steps[0]
    return lambda document: document.get(name) if type(document) is dict else None


def _steps(text: str) -> Steps | None:
    """The steps of a plain path; None for anything else."""
    if not _PLAIN.fullmatch(text) or len(text) > EXPRESSION_LIMIT:
        return None
    return _split(text)


def _split(text: str) -> Steps:
    """Names, without their quotes, and places in lists."""
    steps = _STEP.findall(text)
    return tuple(step.strip('"') if step[0] in _LETTERS or step[0] == '"' else int(step) for step in steps)


def _walk(document: Any, steps: Steps, otherwise: Any) -> Any:
    for step in steps:
        if isinstance(step, str):
            if type(document) is not dict or step not in document:
                return otherwise
        elif type(document) is not list or not -len(document) <= step < len(document):
            return otherwise
        document = document[step]
    return document


def _first_of(finders: Sequence[Finder]) -> Finder:
    """The first that is true, else what the last one finds: `||` as JMESPath has it."""

    def find(document: Any) -> Any:
        found = None
        for finder in finders:
            found = finder(document)
            if not _is_false(found):
                break
        return found

    return find


def _first_true(finders: Sequence[Finder]) -> Finder:
    """The first that is true, else nothing."""
    first = _first_of(finders)

    def find(document: Any) -> Any:
        found = first(document)
        return None if _is_false(found) else found

    return find


def _searching(text: str) -> Finder:
    try:
        compiled = jmespath.compile(text)
        nesting, growth = _checked(compiled.parsed), _growth(compiled.parsed)
    except RecursionError:
        raise ValueError("expected an expression that is not nested so deeply") from None
    except JMESPathError as exc:
        place = getattr(exc, "lex_position", None)
        at = f" (something is wrong at character {place + 1})" if isinstance(place, int) else ""
        raise ValueError(f"expected a JMESPath expression, got {text!r}{at}{_hint(text)}") from exc
    if nesting > NESTING_LIMIT:
        raise ValueError(f"expected an expression of at most {NESTING_LIMIT} levels, got {nesting}")
    if growth > GROWTH_LIMIT:
        raise ValueError("expected an expression that does not multiply what it finds so often")

    def find(document: Any) -> Any:
        try:
            return compiled.search(document)
        except _SEARCH_FAILURES:
            return None

    return find


def _hint(text: str) -> str:
    """What is mostly meant by an expression that is none."""
    if (number := _BARE_NUMBER.search(text)) is not None:
        return f"; a number stands in back-ticks: `{number[1]}`"
    return "; a text of your own stands in single quotes of its own: \"'...'\"" if _WORDS.fullmatch(text) else ""


def _checked(node: Any) -> int:
    """How deep an expression is nested. Raises ValueError for what JMESPath takes and nobody can mean."""
    children: Sequence[Any] = node["children"] if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict) and node["type"] == "function_expression":
        _check_call(node["value"], len(children))
    if isinstance(node, dict) and node["type"] in LOOKS_INTO and children[0]["type"] == "not_expression":
        raise ValueError("expected !(a.b) for what is not at a.b: JMESPath reads !a.b as (!a).b, where nothing ever is")
    return 1 + max((_checked(child) for child in children), default=0)


def _growth(node: Any) -> int:
    """How many times over a value can come out."""
    children = node["children"] if isinstance(node, dict) else node if isinstance(node, list) else ()
    return math.prod((_repeats(node, children) if isinstance(node, dict) else 1, *map(_growth, children)))


def _repeats(node: Any, children: Sequence[Any]) -> int:
    """Lists and tables that an expression makes may repeat what it has, texts quote it, and join its separator."""
    if node["type"] in ("multi_select_list", "multi_select_dict"):
        return max(len(children), 1)
    if node["type"] != "function_expression" or node["value"] not in ("to_string", "join"):
        return 1
    if node["value"] == "to_string":
        return 2
    separator = children[0]
    return max(len(str(separator["value"])), 1) if separator["type"] == "literal" else GROWTH_LIMIT + 1


def _check_call(name: str, given: int) -> None:
    known = Functions.FUNCTION_TABLE
    if name not in known:
        raise ValueError(f"expected an expression of JMESPath's functions, got {name}().{nearest(name, known)}")
    wanted = known[name]["signature"]
    if given < len(wanted) or (given > len(wanted) and not wanted[-1].get("variadic")):
        many = f"{len(wanted)} argument{'s' if len(wanted) > 1 else ''}"
        raise ValueError(f"expected an expression that gives {name}() {many}, got {given}")


def _is_false(value: Any) -> bool:
    return value is None or value is False or (type(value) in {str, list, dict} and not value)
