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
        ("length(a, b)", "gives length() 1 argument, got 2"),
        ("contains(a)", "gives contains() 2 arguments, got 1"),
        ("not_null()", "gives not_null() 1 argument, got 0"),
    ],
)
def test_a_call_that_can_never_work_is_found_when_the_preset_is_loaded(text, problem):
    """JMESPath finds it only when a search gets there: the preset would silently read nothing."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        Path(text)
    assert Path("not_null(a, b, c)").find({"c": 1}) == 1


@pytest.mark.parametrize("text", ["!a.b", "!a.b.c", "a && !b.c", "[0] || !a[].b", "!a[?b]", "!a.*.b", "length(!a.b)"])
def test_a_not_before_a_path_is_refused(text):
    """JMESPath binds it closer than the dot: a rule with it would never hold."""
    with pytest.raises(ValueError, match=re.escape("expected !(a.b) for what is not at a.b")):
        Path(text)


@pytest.mark.parametrize(
    "text", ["!(a.b)", "!a", "!a[0]", "!a[*]", "!(a[].b)", "!!a", "!a && b.c", "!a || b.c", "!a == b.c"]
)
def test_a_not_before_a_name_or_in_front_of_parentheses_is_taken(text):
    assert Path(text).find({}) in (True, None, False)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("items[0].phase == 61", "; a number stands in back-ticks: `61`"),
        ("a && done >=-1.5", "; a number stands in back-ticks: `-1.5`"),
        ("the master has expired", """; a text of your own stands in single quotes of its own: "'...'\""""),
        ("a..b", ""),
        ("job.", ""),
    ],
)
def test_what_was_meant_by_no_expression_is_said_where_it_shows(text, hint):
    with pytest.raises(ValueError, match="expected a JMESPath expression") as refused:
        Path(text)
    said = str(refused.value)
    assert said.endswith(hint or ")")
    assert ("stands in" in said) is bool(hint)


def test_a_field_tells_null_from_absent():
    assert Field("n").find(DOCUMENT) is None
    assert Field("x").find(DOCUMENT) is MISSING
    assert Field("x").find([]) is MISSING
    assert Field("a.e").name == "e"
    assert Field('a."weird-name"').name == "weird-name"


@pytest.mark.parametrize(
    "text", ["a || b", "a[0]", "[0]", "length(a)", "a.", "x y", 'a."b', 'a.""', "[0]a", "a.[0].b", ""]
)
def test_a_field_is_a_plain_path_to_a_name(text):
    with pytest.raises(ValueError, match="expected the plain path of a field"):
        Field(text)


# ---------------------------------------------------------------------- several places, limits, fields


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"a": 1, "b": 2, "c": 3}, 1),
        ({"a": None, "b": 0, "c": 3}, 0),
        ({"a": [], "b": {}, "c": "x"}, "x"),
        ({"a": "", "b": False, "c": {}}, None),
        ({"c": False}, None),
        ({}, None),
        (None, None),
        ([1], None),
    ],
)
def test_of_several_places_the_first_that_is_true_counts_and_nothing_when_none_is(document, found):
    """Unlike `||`, which gives what the last one finds."""
    assert Path.first_of([Path("a"), Path("b"), Path("c")]).find(document) == found


def test_each_of_several_places_is_known():
    nested = Path.first_of([Path("a"), Path.first_of([Path("b"), Path("c || d")])])
    assert [path.text for path in nested.each] == ["a", "b", "c || d"]
    assert Path("a").each == (Path("a"),)
    assert Path("a") == Path("a") != Path("b")
    assert len({Path("a"), Path("a"), Path("b")}) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a" * EXPRESSION_LIMIT + " || b",
            f"expected an expression of at most {EXPRESSION_LIMIT} characters, got 1029",
        ),
        ("!" * (NESTING_LIMIT + 1) + "a", f"expected an expression of at most {NESTING_LIMIT} levels, got 42"),
        ("(" * 1000, "expected a"),
        (" | ".join(["[@, @]"] * 10), "expected an expression that does not multiply what it finds so often"),
        (" | ".join(["{a: @, b: @}"] * 10), "expected an expression that does not multiply what it finds so often"),
        (
            "[[a, a, a, a], [b, b], " + "c, " * 9 + "c] | [@, @] | [@, @] | [@, @] | [@, @] | [@, @]",
            "does not multiply",
        ),
        (" | ".join(["to_string([@])"] * 10), "expected an expression that does not multiply what it finds so often"),
        ("join(a, b)", "expected an expression that does not multiply what it finds so often"),
        (f"join('{'-' * 1001}', b)", "expected an expression that does not multiply what it finds so often"),
    ],
)
def test_an_expression_has_limits(text, problem):
    """Of its length, its depth, and of how much it can make of little: texts are quoted again and again, too."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        Path(text)


@pytest.mark.parametrize(
    ("text", "document", "found"),
    [
        ("!" * (NESTING_LIMIT - 1) + "a", {"a": 1}, False),
        ("[@, @] | [@, @] | [0][1]", 7, 7),
        ("join(', ', a[].to_string(@))", {"a": [1, "b"]}, "1, b"),
        ("{n: length(a), first: a[0]}", {"a": [1]}, {"n": 1, "first": 1}),
        ("a." * 500 + "a", {}, None),
    ],
)
def test_what_stays_within_the_limits_is_searched(text, document, found):
    assert Path(text).find(document) == found


@given(st.integers(1, 60))
def test_what_is_let_pass_makes_no_more_than_a_thousandfold_of_it(steps):
    text = " | ".join(["to_string([@])"] * steps)
    try:
        found = Path(text).find('"')
    except ValueError:
        assert steps > 9
        return
    assert len(found) <= 4000


@pytest.mark.parametrize(
    ("field", "document", "changed"),
    [
        ("a", {"a": "1", "b": "2"}, {"a": ["1"], "b": "2"}),
        ("a.b", {"a": {"b": None}}, {"a": {"b": [None]}}),
        ("a[0].b", {"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": [1]}, {"b": 2}]}),
        ("a[-1].b", {"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": [2]}]}),
        ("a.b", {"a": {}}, {"a": {}}),
        ("a.b", {"a": [1]}, {"a": [1]}),
        ("a.b", {"a": None}, {"a": None}),
        ("[0].b", [{"b": 1}, {"b": 2}], [{"b": [1]}, {"b": 2}]),
        ('a."b-c"', {"a": {"b-c": 1, "b": 2}}, {"a": {"b-c": [1], "b": 2}}),
        ('"7"[1]."x.y"', {"7": [0, {"x.y": 1}]}, {"7": [0, {"x.y": [1]}]}),
        ("a", [1], [1]),
        ("a", None, None),
    ],
)
def test_a_field_is_changed_in_its_place_and_nowhere_else(field, document, changed):
    """Where there is none, nothing is."""
    Field(field).change(document, lambda value: [value])
    assert document == changed


@pytest.mark.parametrize(
    ("field", "document"),
    [
        ("a", {"a": 7}),
        ("a.b", {"a": {"b": 7}}),
        ("a[0].b.c", {"a": [{"b": {"c": 7}}]}),
        ("[0].a", [{"a": 7}]),
        ('a."b-c"', {"a": {"b-c": 7}}),
    ],
)
def test_a_field_holds_a_value_where_it_is_found_again(field, document):
    assert Field(field).hold(7) == document
    assert Field(field).find(document) == 7
