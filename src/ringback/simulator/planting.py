"""Reading backwards: a document in which an expression finds what it should.

    plant(document, expression, value)         `job.status`            -> {"job": {"status": value}}
    satisfy(document, expression, truth=...)   `error || !job.output`  -> a document for which it holds, or does not

Secret: how each kind of JMESPath node is undone. It is a best effort: whoever uses it reads the document to see whether
it says what was meant. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

SOMETHING = "x"
"""What makes a place true that may hold anything."""

Node = Mapping[str, Any]


def plant(document: Any, expression: str, value: Any) -> Any:
    """The document with a value where the expression looks for one."""
    return _put(_parsed(expression), document, value)


def satisfy(document: Any, expression: str, *, truth: bool = True) -> Any:
    """The document, changed until the expression holds (or does not): what comes last may undo what came first."""
    node = _parsed(expression)
    return _make(node, _make(node, document, truth=truth), truth=truth)


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> Node:
    parsed: Node = jmespath.compile(expression).parsed
    return parsed


def _get(node: Node, document: Any) -> Any:
    try:
        return TreeInterpreter().visit(node, document)
    except (JMESPathError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        return None


# ---------------------------------------------------------------------- a value at a place


def _put(node: Node, document: Any, value: Any) -> Any:
    """What cannot be undone is left alone: a literal, a table that is made on the way."""
    put = _PUT.get(node["type"])
    return document if put is None else put(node, document, value)


def _whole(_: Node, document: Any, value: Any) -> Any:
    """What an item has already stays."""
    return {**document, **value} if isinstance(document, dict) and isinstance(value, dict) else value


def _field(node: Node, document: Any, value: Any) -> Any:
    return {**(document if isinstance(document, dict) else {}), node["value"]: value}


def _index(node: Node, document: Any, value: Any) -> Any:
    items = list(document) if isinstance(document, list) else []
    place = node["value"] if node["value"] >= 0 else max(len(items) + node["value"], 0)
    items += [None] * (place + 1 - len(items))
    items[place] = value
    return items


def _chain(node: Node, document: Any, value: Any) -> Any:
    """`a.b`, `a[0]`, `a | b`: from the last step to the first."""
    first, *rest = node["children"]
    if not rest:
        return _put(first, document, value)
    inner = {**node, "children": rest}
    return _put(first, document, _put(inner, _get(first, document), value))


def _list(node: Node, document: Any, value: Any) -> Any:
    """`a[].b`, `a[*].b`, `a[?c].b`: a list of values goes to one item each, another value to the first."""
    source, each = node["children"][:2]
    found = _get(source, document)
    items = list(found) if isinstance(found, list) else []
    values = value if isinstance(value, list) else [value]
    items += [{}] * (len(values) - len(items))
    for place, one in enumerate(values):
        items[place] = _put(each, items[place], one)
        if node["type"] == "filter_projection":
            items[place] = _make(node["children"][2], items[place], truth=True)
    return _put(source, document, items)


def _table(node: Node, document: Any, value: Any) -> Any:
    """`a.*.b`: in the first field there is, or one of that name."""
    source, each = node["children"]
    found = _get(source, document)
    name = next(iter(found), SOMETHING) if isinstance(found, dict) else SOMETHING
    item = _put(each, found.get(name) if isinstance(found, dict) else None, value)
    return _put(source, document, {**(found if isinstance(found, dict) else {}), name: item})


def _first(node: Node, document: Any, value: Any) -> Any:
    """`a || b`: in the first."""
    return _put(node["children"][0], document, value)


def _several(node: Node, document: Any, value: Any) -> Any:
    """`[done, failed]`, of which a sum is made: a number in the first, nothing in the others."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return document
    for place, each in enumerate(node["children"]):
        document = _put(each, document, 0 if place else value)
    return document


def _call(node: Node, document: Any, value: Any) -> Any:
    arguments = node["children"]
    if node["value"] == "values" and isinstance(value, list):
        found = _get(arguments[0], document)
        names = list(found) if isinstance(found, dict) else []
        names += [f"{SOMETHING}{place}" for place in range(len(names), len(value))]
        return _put(arguments[0], document, dict(zip(names, value, strict=False)))
    if node["value"] == "map":
        each, source = arguments
        return _list({"type": "projection", "children": [source, *each["children"]]}, document, value)
    if node["value"] == "length" and value == 0 and arguments[0]["type"] == "filter_projection":
        source = arguments[0]["children"][0]
        listed = document if isinstance(_get(source, document), list) else _put(source, document, [])
        return _make(arguments[0], listed, truth=False)
    if node["value"] == "length" and isinstance(value, int):
        return _put(arguments[0], document, [{} for _ in range(value)])
    if node["value"] in ("to_string", "to_number", "not_null", "sum", "max", "join"):
        return _put(arguments[-1 if node["value"] == "join" else 0], document, value)
    return document


_PUT: Mapping[str, Callable[[Node, Any, Any], Any]] = {
    "identity": _whole,
    "current": _whole,
    "field": _field,
    "index": _index,
    "subexpression": _chain,
    "index_expression": _chain,
    "pipe": _chain,
    "projection": _list,
    "filter_projection": _list,
    "flatten": _first,
    "value_projection": _table,
    "multi_select_list": _several,
    "or_expression": _first,
    "and_expression": lambda node, document, value: _put(
        node["children"][1], _make(node["children"][0], document, truth=True), value
    ),
    "function_expression": _call,
}

# ---------------------------------------------------------------------- a condition that holds


def _make(node: Node, document: Any, *, truth: bool) -> Any:
    """Change as little as possible: what holds already is left alone."""
    if _is_true(_get(node, document)) is truth:
        return document
    kind, children = node["type"], node["children"]
    if kind == "not_expression":
        document = _make(children[0], document, truth=not truth)
        fails = truth and children[0]["type"] == "function_expression" and not _is_true(_get(node, document))
        return _hold(children[0], document, truth=False) if fails else document
    if kind in ("and_expression", "or_expression"):
        both = truth is (kind == "and_expression")
        document = _make(children[0], document, truth=truth)
        return _make(children[1], document, truth=truth) if both else document
    if kind == "filter_projection" and not truth:
        items = [_make(children[2], item, truth=False) for item in _get(children[0], document) or []]
        return _put(children[0], document, items)
    special = {"comparator": _compare, "function_expression": _hold}.get(kind)
    if special is not None:
        return special(node, document, truth=truth)
    return _put(node, document, SOMETHING if truth else None)


def _compare(node: Node, document: Any, *, truth: bool) -> Any:
    """A place against a literal, either way round; of two places that are to be equal, the one that is empty."""
    left, right = node["children"]
    places = left["type"] != "literal" != right["type"]
    if places and truth and node["value"] == "eq" and (value := _get(left, document)) is not None:
        return _put(right, document, value)
    how, wanted = node["value"], _get(right, document)
    if right["type"] != "literal" and left["type"] == "literal":
        left, wanted, how = right, _get(left, document), how.translate(str.maketrans("gl", "lg"))
    wanted = 1 if places and wanted is None and truth else wanted
    step = wanted if isinstance(wanted, int) and not isinstance(wanted, bool) else 0
    holds = {"eq": wanted, "ne": SOMETHING, "gt": step + 1, "gte": wanted, "lt": step - 1, "lte": wanted}
    other = SOMETHING if wanted is None else None
    fails = {"eq": other, "ne": wanted, "gt": step, "gte": step - 1, "lt": step, "lte": step + 1}
    return _put(left, document, (holds if truth else fails)[how])


def _hold(node: Node, document: Any, *, truth: bool) -> Any:
    """A function that says yes: contains, starts_with, ends_with; any other of something, or of nothing."""
    first, *others = node["children"]
    looks = node["value"] in ("contains", "starts_with", "ends_with")
    if looks and first["type"] in ("literal", "multi_select_list"):
        return _be_among(node, document, truth=truth)
    if not truth:
        return _put(first, document, [] if first["type"].endswith("projection") else None)
    if not looks:
        return _put(node, document, SOMETHING)
    wanted, found = _get(others[0], document), _get(first, document)
    return _put(first, document, [*found, wanted] if isinstance(found, list) else wanted)


def _be_among(node: Node, document: Any, *, truth: bool) -> Any:
    """`contains(['a', 'b'], state)`: one of these words, or none of them."""
    listed, place = node["children"]
    words = _get(listed, document)
    if truth:
        return _put(place, document, words[0] if words and isinstance(words, (list, str)) else SOMETHING)
    without = _put(place, document, None)
    return _put(place, document, SOMETHING) if _is_true(_get(node, without)) else without


def _is_true(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", [], {})
