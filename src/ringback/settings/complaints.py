"""How a problem of the configuration is told.

    polling.intervall: unknown key. Did you mean 'polling.interval'?

Secret: the sentences, and which key is near to which. What stands in a value is repeated only where forms.py does so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails

from ringback.settings.forms import ByCommand, FromEnvironment, InFile, Slip, UnknownKey
from ringback.settings.section import Section

PREFIX = "RINGBACK_"
NEAR = 0.6
"""How much of two keys must be the same for one to be suggested for the other."""

SENTENCES = {
    "missing": "is missing",
    "string_type": "must be text in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": 'must be a list, e.g. ["one", "two"]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must not be empty",
    "too_long": "must not have more than {max_length} items",
    "literal_error": "must be {expected}",
}

UNKNOWN_TYPE = "kind"
"""The error of a table that is of none of the types there are; `key` in its context is the key that says the type."""

Place = tuple[int | str, ...]
T = TypeVar("T")


def told(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Every problem, each once, as `key: sentence`."""
    known = list(_places(root))
    return list(dict.fromkeys(_sentence(detail, known) for detail in error.errors(include_url=False)))


def keys(root: type[BaseModel]) -> Iterator[str]:
    """Every key that can be set, with `*` for a name or a place in a list: `accounts.*.rate`, `routes.*.to`."""
    yield from dict.fromkeys(".".join(_untagged(place)) for place in _places(root))


def _places(section: type[BaseModel], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The same, part by part; where a table may be of several types, the type stands in it as `[slack]`."""
    for attribute, field in section.model_fields.items():
        name = field.alias or attribute
        inner = [(tag, kind) for tag, kind in _kinds(field.annotation) if issubclass(kind, BaseModel)]
        for tag, kind in inner:
            star = () if kind is field.annotation else ("*",)
            yield from _places(kind, (*before, name, *star, *tag))
        if not inner:
            yield (*before, name)
            if issubclass(section, Section) and name in section.secret_keys:
                yield (*before, f"{name}_file")
                if section.commands:
                    yield (*before, f"{name}_command")


def spelled(place: Sequence[int | str]) -> str:
    """A place as people write it: `routes[0].to`."""
    parts = _untagged(place)
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _kinds(annotation: Any, tag: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type]]:
    """The types in an annotation, each with its tag if it has one."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield tag, annotation
    marks = tuple(mark.tag for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, Tag))
    for inner in get_args(annotation):
        yield from _kinds(inner, marks or tag)


def _untagged(place: Iterable[T]) -> Iterator[T]:
    """Without what nobody writes: the type of a table, and pydantic's mark of a key."""
    return (part for part in place if not (isinstance(part, str) and part[:1] == "["))


def _sentence(detail: ErrorDetails, known: Sequence[tuple[str, ...]]) -> str:
    place: Place = detail["loc"]
    context = detail.get("ctx", {})
    cause = context.get("error")
    given = detail["input"] if detail["type"] != "missing" else ""
    if detail["type"] == UNKNOWN_TYPE and isinstance(given, dict):
        place, given = (*place, context["key"]), given.get(context["key"], "")
    variable = _variable(given)
    if detail["type"] == "extra_forbidden" or isinstance(cause, UnknownKey):
        says = "unknown key." + _suggestion(place, variable, known)
    elif cause is not None:
        says = str(cause)
    elif detail["type"] == UNKNOWN_TYPE:
        says = _about_type(detail, context)
    else:
        sentence = SENTENCES.get(detail["type"])
        says = sentence.format(**context) if sentence is not None else detail["msg"]
    key = spelled(place) + ("_command" if isinstance(given, ByCommand) and not given.twice else "")
    return f"{key}{f' ({variable})' if variable else ''}: {says}"


def _about_type(detail: ErrorDetails, context: Mapping[str, Any]) -> str:
    table = detail["input"]
    if not isinstance(table, dict):
        return SENTENCES["dict_type"]
    return detail["msg"] if context["key"] in table else f"is missing: it {detail['msg']}"


def _variable(value: object) -> str:
    """The variable that a value came from; of a table, that of its first value."""
    while (isinstance(value, dict) and value) or isinstance(value, Slip | InFile | ByCommand):
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]
    return value.variable if isinstance(value, FromEnvironment) else ""


def _suggestion(place: Place, variable: str, known: Sequence[tuple[str, ...]]) -> str:
    """The nearest key in the same table, or anywhere else; a variable's is spelled as a variable.

    Where none is near, all that the table has.
    """
    beside = {spelled((*place[:-1], name)): _alike(str(place[-1]), name) for name in _beside(place[:-1], known)}
    everywhere = (".".join(key) for key in known if "*" not in key)
    likeness = {key: _alike(spelled(place), key) for key in everywhere} | beside
    best = max(likeness, key=lambda key: likeness[key])
    if likeness[best] < NEAR:
        names = sorted(_beside(place[:-1], known))
        return f" Known here: {', '.join(names)}" if len(place) > 1 and names else ""
    if variable:
        rest = variable.removeprefix(PREFIX).split("__")[len(list(_untagged(place))) :]
        best = PREFIX + "__".join([*best.upper().split("."), *rest])
    return f" Did you mean '{best}'?"


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _beside(table: Place, known: Sequence[tuple[str, ...]]) -> set[str]:
    """The names that a table has."""
    found = set()
    for key in known:
        above = zip(table, key, strict=False)
        if len(key) > len(table) and all(part in (given, "*") for given, part in above):
            found.add(key[len(table)])
    return found - {"*"}
