"""Expressions: the short way finds what JMESPath finds, and nothing a document holds makes a search raise."""

import re

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.providers.paths import EXPRESSION_LIMIT, MISSING, NESTING_LIMIT, Field, Path

DOCUMENT = {"a": {"b": [{"c": 1}, {"c": None}], "e": ""}, "n": None, "z": 0, "f": False, "t": "text"}
PLAIN = [
    "a",
    "a.b",
    "a.b[0].c",
    "a.b[-1].c",
    "a.b[-2].c",
    "a.b[7]",
    "a.b[-7]",
    "n.x",
    "t.x",
    "t[0]",
    "z",
    "nowhere",
    "a.e || t",
]
PLAIN += ["n || t", "n || f", "f || n", "nowhere || z || t", "a.b[0].c || a"]

names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
)
steps = st.lists(names.map(lambda name: f".{name}") | st.integers(-4, 4).map(lambda index: f"[{index}]"), max_size=4)
plain = st.builds(lambda name, rest: name + "".join(rest), names, steps)
choices = st.lists(plain, min_size=1, max_size=3).map(" || ".join)


@pytest.mark.parametrize("text", PLAIN)
def test_the_short_way_finds_what_jmespath_finds(text):
    assert Path(text).find(DOCUMENT) == jmespath.search(text, DOCUMENT)


@given(choices, values)
def test_the_short_way_is_jmespath_for_any_document(text, document):
    found, expected = Path(text).find(document), jmespath.search(text, document)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.b[].c", [1]),
        ("length(a.b)", 2),
        ("f == `false`", True),
        ("n == `false`", False),
        ('"a".b[0].c', 1),
        ("@", DOCUMENT),
    ],
)
def test_everything_else_is_searched(text, found):
    assert Path(text).find(DOCUMENT) == found


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("length(n)", {"n": None}),
        ("ceil(n)", {"n": float("inf")}),
        ("l[::0]", {"l": [1]}),
        ("sort(l)", {"l": [1, "a"]}),
        ("keys(l)", {"l": []}),
        ("sum(l)", {"l": ["a"]}),
        ("max_by(l, &x)", {"l": [{"x": []}]}),
    ],
)
def test_a_search_that_fails_finds_nothing(text, document):
    assert Path(text).find(document) is None


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (None, False),
        (False, False),
        ("", False),
        ([], False),
        ({}, False),
        (0, True),
        (True, True),
        ("x", True),
        ([0], True),
    ],
)
def test_true_is_what_jmespath_calls_true(value, holds):
    assert Path("x").holds({"x": value}) is holds


def test_paths_in_order_give_the_first_that_is_true():
    path = Path.first_of([Path("a"), Path("b"), Path("length(c)")])
    assert path.find({"a": "", "b": 2}) == 2
    assert path.find({"c": [1, 2, 3]}) == 3
    assert path.find({}) is None
    assert path.text == "a, else b, else length(c)"


@pytest.mark.parametrize(
    "text",
    [
        "a.",
        "a ||",
        "[",
        "a b",
        "nosuch(@",
        "f(",
        "`",
        "a." * EXPRESSION_LIMIT + "a",
        "(" * 500 + "a" + ")" * 500,
        "[" * (NESTING_LIMIT + 5) + "a" + "]" * (NESTING_LIMIT + 5),
        "!" * 400 + "a",
    ],
)
def test_what_is_no_expression_is_refused_with_what_was_expected(text):
    with pytest.raises(ValueError, match=r"^expected an? (JMESPath )?expression"):
        Path(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a[].lenght(@)", "got lenght(). Did you mean 'length'?"),
        ("a[?nosuch(@)]", "got nosuch()."),
        ("length(a, b)", "gives length() 1 arguments, got 2"),
        ("contains(a)", "gives contains() 2 arguments, got 1"),
        ("not_null()", "gives not_null() 1 arguments, got 0"),
    ],
)
def test_a_call_that_can_never_work_is_found_when_the_preset_is_loaded(text, problem):
    """JMESPath finds it only when a search gets there: the preset would silently read nothing."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        Path(text)
    assert Path("not_null(a, b, c)").find({"c": 1}) == 1


def test_a_field_tells_null_from_absent():
    assert Field("n").find(DOCUMENT) is None
    assert Field("x").find(DOCUMENT) is MISSING
    assert Field("x").find([]) is MISSING
    assert Field("a.e").name == "e"


@pytest.mark.parametrize("text", ["a || b", "a[0]", "length(a)", "a.", "x y"])
def test_a_field_is_a_plain_path_to_a_name(text):
    with pytest.raises(ValueError, match="expected the plain path of a field"):
        Field(text)
