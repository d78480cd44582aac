"""JSON text in, documents out: what can be given a meaning is read, the rest is Unreadable; nothing else is raised."""

import json
from datetime import UTC, datetime, timedelta

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
    ("value", "text"),
    [
        ("a", "a"),
        (0, "0"),
        (True, "true"),
        ([1, "é"], '[1,"é"]'),
        ({"a": None}, '{"a":null}'),
        ({"code": 7, "message": "too dark"}, "too dark"),
        ({"message": " "}, '{"message":" "}'),
        ({"message": ["a"]}, '{"message":["a"]}'),
        ([{"message": "a"}], '[{"message":"a"}]'),
    ],
)
def test_a_message_is_text_or_that_of_an_object_or_compact_json(value, text):
    assert documents.message(value) == text


@given(st.binary(max_size=1000))
def test_an_excerpt_is_one_short_printable_line(body):
    assert documents.excerpt(body).isprintable()
    assert len(documents.excerpt(body)) <= EXCERPT_LIMIT


def test_an_excerpt_says_when_there_is_more():
    assert documents.excerpt(b"x" * 119) == "x" * 119
    assert documents.excerpt(b"x" * 500) == "x" * 119 + "…"
    assert documents.excerpt("a\u202eb\x1b[31mc\r\nd".encode()) == "a b [31mc d"


@pytest.mark.parametrize(
    ("value", "unpacked"),
    [
        ('{"a": [1]}', {"a": [1]}),
        (" \n[1]", [1]),
        ('"text"', "text"),
        ('"{\\"a\\": 1}"', '{"a": 1}'),
        ("", ""),
        ("plain", "plain"),
        ("17", "17"),
        ("true", "true"),
        ("null", "null"),
        ("{not json", "{not json"),
        ("[" * (DEPTH_LIMIT + 1) + "]" * (DEPTH_LIMIT + 1), "[" * (DEPTH_LIMIT + 1) + "]" * (DEPTH_LIMIT + 1)),
        ({"a": 1}, {"a": 1}),
        (17, 17),
        (None, None),
    ],
)
def test_a_text_that_is_an_object_a_list_or_a_string_is_unpacked_once(value, unpacked):
    """Everything else stays as it is: a number in a text may be an id."""
    assert documents.unpacked(value) == unpacked


NEW_YEAR = datetime(2026, 1, 1, 12, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-01-01T12:30:15Z", NEW_YEAR),
        ("2026-01-01T13:30:15+01:00", NEW_YEAR),
        ("2026-01-01 12:30:15+00:00", NEW_YEAR),
        ("2026-01-01T12:30:15.25Z", NEW_YEAR + timedelta(milliseconds=250)),
        ("2026-01-01T12:30:15.1234567Z", NEW_YEAR + timedelta(microseconds=123_456)),
        (1767270615, NEW_YEAR),
        ("1767270615", NEW_YEAR),
        (1767270615.5, NEW_YEAR + timedelta(seconds=0.5)),
        ("1767270615.5", NEW_YEAR + timedelta(seconds=0.5)),
        (1767270615000, NEW_YEAR),
        ("1767270615250", NEW_YEAR + timedelta(milliseconds=250)),
        (1767270615000000, NEW_YEAR),
        (999_999_999, datetime(2001, 9, 9, 1, 46, 39, tzinfo=UTC)),
        (99_999_999_999, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
        (100_000_000_000, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
    ],
)
def test_a_time_is_rfc_3339_or_seconds_milliseconds_or_microseconds(value, moment):
    """The number of digits tells the unit."""
    assert documents.moment(value) == moment


@pytest.mark.parametrize(
    "value",
    ["2026-01-01T12:30:15", "2026-01-01", "20260101", "12:30", "", "soon", "0", 0, 5, -1767270615, "-1767270615",
     1767270615000000000, 10**30, 1e300, True, None, [], {"at": 1}, "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
     "9999-12-31T23:59:59-14:00", "1767270615 ", "1_767_270_615", "١٧٦٧٢٧٠٦١٥", "\x00",
     "Thu, 01 Jan 2026 12:30:15 GMT"],
)  # fmt: skip
def test_what_is_no_time_or_has_no_zone_is_none(value):
    """A time whose zone has to be guessed would be wrong by hours."""
    assert documents.moment(value) is None


@given(values | st.floats() | st.text("0123456789TZ:-+.", max_size=30))
def test_no_value_is_too_odd_to_be_looked_at_as_a_time_or_words(value):
    at = documents.moment(value)
    assert at is None or at.tzinfo is UTC
    words = documents.message(value)
    assert words is None or words.strip()


@pytest.mark.parametrize("value", [None, False, "", " ", "\n\t", [], {}])
def test_what_says_nothing_is_no_message(value):
    assert documents.message(value) is None


@given(st.text(), st.integers(1, 50))
def test_a_line_is_printable_and_short(words, limit):
    line = documents.line(words, limit)
    assert line.isprintable()
    assert len(line) <= limit
