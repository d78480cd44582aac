"""JSON text in, documents out: what can be given a meaning is read, the rest is Unreadable; nothing else is raised."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.providers import documents
from ringback.providers.documents import DEPTH_LIMIT, EXCERPT_LIMIT, Unreadable

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def _nested(levels):
    return b"[" * levels + b"]" * levels


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_value_that_every_receiver_can_parse_or_unreadable(body):
    """json.dumps writes NaN, Infinity and half surrogate pairs, too."""
    try:
        value = documents.parse(body)
    except Unreadable:
        return
    kept = documents.document(value).text
    strict = json.loads(kept.decode("utf-8"), parse_constant=pytest.fail)
    assert strict == value


@given(values)
def test_what_json_allows_is_kept_exactly(value):
    text = json.dumps(value).encode()
    try:
        expected = json.loads(text, parse_constant=lambda _: None)
        json.dumps(expected, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert documents.parse(text) == expected


@pytest.mark.parametrize("value", [2**63, -(2**64), 10**40, 10**4000, 7340012345678901249, 0.1, 1e308, -0.0])
def test_numbers_come_out_as_they_went_in(value):
    text = json.dumps({"n": value}).encode()
    assert json.loads(documents.document(documents.parse(text)).text) == {"n": value}


def test_numbers_that_json_has_no_word_for_are_null():
    assert documents.parse(b"[NaN, Infinity, -Infinity, 1e999, -1e999, 1.5]") == [None, None, None, None, None, 1.5]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"\xef\xbb\xbf",
        b"1 2",
        b"{",
        b"nan",
        b"{'a':1}",
        b'"a\nb"',
        "{}".encode("utf-16"),
        b"9" * 5000,
        b"\x00",
    ],
)
def test_what_is_no_json_is_unreadable(body):
    with pytest.raises(Unreadable):
        documents.parse(body)


def test_nesting_has_a_limit_that_does_not_depend_on_the_stack():
    assert documents.parse(_nested(DEPTH_LIMIT)) is not None
    for levels in (DEPTH_LIMIT + 1, 5_000, 1_000_000):
        with pytest.raises(Unreadable, match="nested too deeply"):
            documents.parse(_nested(levels))


def test_many_brackets_side_by_side_are_not_deep():
    assert len(documents.parse(b"[" + b",".join([b"[{}]"] * 1000) + b"]")) == 1000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.0, "1"),
        (2.5, "2.5"),
        (10**25, "1" + "0" * 25),
        (None, None),
        ([], None),
        ({"a": 1}, None),
    ],
)
def test_scalars_are_words(value, text):
    assert documents.text(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (0, "0"), ([1, "é"], '[1,"é"]'), ("", None), ({}, None), (None, None)]
)
def test_a_message_is_text_or_compact_json(value, text):
    assert documents.message(value) == text


@given(st.binary(max_size=1000))
def test_an_excerpt_is_one_short_printable_line(body):
    assert documents.excerpt(body).isprintable()
    assert len(documents.excerpt(body)) <= EXCERPT_LIMIT


def test_an_excerpt_says_when_there_is_more():
    assert documents.excerpt(b"x" * 119) == "x" * 119
    assert documents.excerpt(b"x" * 500) == "x" * 119 + "…"
    assert documents.excerpt("a\u202eb\x1b[31mc\r\nd".encode()) == "a b [31mc d"
