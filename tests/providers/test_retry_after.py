"""Retry-After, as servers send it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.retry_after import AT_MOST, retry_after

NOW = datetime(1994, 11, 6, 8, 49, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("0", 0),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("+3", 3),
        ("-5", 0),
        ("-0.5", 0),
        ("5, 5", 5),
        ("5, 6", 5),
        ("999999999999999999", AT_MOST.total_seconds()),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 7),
        ("Sun Nov  6 08:49:37 1994", 7),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 7),
        ("Sun, 06 Nov 1994 10:49:37 +0200", 7),
        ("Sun, 06 Nov 1994 08:49:30 GMT", 0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", AT_MOST.total_seconds()),
    ],
)
def test_both_forms_are_read(text, seconds):
    """Seconds and every form of an HTTP date are a wait from now; what has passed is none; nothing is endless."""
    assert retry_after({"retry-after": text}, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "5s",
        "1e3",
        "nan",
        "inf",
        "٣",
        "--5",
        "9" * 5000,
        "1994-11-06T08:49:37Z",
        "Sun, 99 Foo 1994",
        "Mon, 01 Jan 99999999999999 00:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:37 +9999999",
        "x" * 10_000,
    ],
)
def test_garbage_says_nothing(text):
    """What cannot be read is no wish, and no error."""
    assert retry_after({"retry-after": text}, NOW) is None


def test_no_header_says_nothing():
    """Most answers ask for nothing."""
    assert retry_after({"content-length": "5"}, NOW) is None


@given(st.text() | st.from_regex(r"\A[+-]?[0-9]{0,25}(\.[0-9]*)?\Z") | st.datetimes().map(lambda at: at.strftime("%c")))
def test_whatever_is_sent_is_a_bounded_wait_or_nothing(text):
    """No header can raise, ask for the past, or for longer than the limit."""
    wait = retry_after({"retry-after": text}, NOW)
    assert wait is None or timedelta() <= wait <= AT_MOST
