"""How a problem of the configuration is told.

    polling.intervall: unknown key. Did you mean 'polling.interval'?

Secret: the sentences, and which key is near to which. What stands in a value is repeated only where forms.py does so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ringback.settings.forms import FromEnvironment, InFile, Slip, UnknownKey

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

Place = tuple[int | str, ...]


def told(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Every problem, each once, as `key: sentence`."""
    known = list(keys(root))
    return list(dict.fromkeys(_sentence(detail, known) for detail in error.errors(include_url=False)))


def keys(section: type[BaseModel], before: str = "") -> Iterator[str]:
    """Every key that can be set, with `*` for a name or a place in a list: `accounts.*.rate`, `routes.*.to`."""
    for attribute, field in section.model_fields.items():
        name = field.alias or attribute
        inner = next((kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)), None)
        if inner is not None:
            yield from keys(inner, f"{before}{name}." if inner is field.annotation else f"{before}{name}.*.")
            continue
        yield before + name
        if name in getattr(section, "secret_keys", ()):
            yield f"{before}{name}_file"


def spelled(place: Sequence[int | str]) -> str:
    """A place as people write it: `routes[0].to`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def _kinds(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)


def _sentence(detail: ErrorDetails, known: Sequence[str]) -> str:
    place: Place = tuple(part for part in detail["loc"] if part != "[key]")
    context = detail.get("ctx", {})
    cause = context.get("error")
    variable = _variable(detail["input"]) if detail["type"] != "missing" else ""
    if detail["type"] == "extra_forbidden" or isinstance(cause, UnknownKey):
        says = "unknown key." + _suggestion(place, variable, known)
    elif cause is not None:
        says = str(cause)
    else:
        sentence = SENTENCES.get(detail["type"])
        says = sentence.format(**context) if sentence is not None else detail["msg"]
    return f"{spelled(place)}{f' ({variable})' if variable else ''}: {says}"


def _variable(value: object) -> str:
    """The variable that a value came from; of a table, that of its first value."""
    while (isinstance(value, dict) and value) or isinstance(value, Slip | InFile):
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]
    return value.variable if isinstance(value, FromEnvironment) else ""


def _suggestion(place: Place, variable: str, known: Sequence[str]) -> str:
    """The nearest key in the same table, or anywhere else; a variable's is spelled as a variable."""
    beside = {spelled((*place[:-1], name)): _alike(str(place[-1]), name) for name in _beside(place[:-1], known)}
    elsewhere = {key: _alike(spelled(place), key) for key in known if "*" not in key}
    likeness = elsewhere | beside
    best = max(likeness, key=lambda key: likeness[key])
    if likeness[best] < NEAR:
        return ""
    if variable:
        rest = variable.removeprefix(PREFIX).split("__")[len(place) :]
        best = PREFIX + "__".join([*best.upper().split("."), *rest])
    return f" Did you mean '{best}'?"


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _beside(table: Place, known: Sequence[str]) -> set[str]:
    """The names that a table has."""
    found = set()
    for key in known:
        parts = key.split(".")
        above = zip(table, parts, strict=False)
        if len(parts) > len(table) and all(part in (given, "*") for given, part in above):
            found.add(parts[len(table)])
    return found - {"*"}
