"""How a length of time is written."""

from datetime import timedelta

import pytest

from ringback.core.errors import BadInput
from ringback.durations import LONGEST, duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200ms", timedelta(milliseconds=200)),
        ("5s", timedelta(seconds=5)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("0s", timedelta()),
        ("1.5h", timedelta(minutes=90)),
        (" 5s ", timedelta(seconds=5)),
        ("3650d", LONGEST),
    ],
)
def test_every_unit_is_read(text, expected):
    """A number and a unit, from milliseconds to days."""
    assert duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "-5s", "5S", "1h30m", "5s5s", "1e3s", "٣s", "5w", ".5s", "5.s", "s5", "1_000s"]
)
def test_what_is_no_duration_is_told_how_to_write_one(text):
    """Anything else is refused, naming the forms that are taken."""
    with pytest.raises(BadInput, match=r"is not a duration; write e\.g\. 200ms, 5s, 10m, 2h or 7d"):
        duration(text)


@pytest.mark.parametrize("text", ["3651d", "999999999999999d", "99999999h"])
def test_too_long_is_told_the_longest(text):
    """What would leave the calendar is refused as such."""
    with pytest.raises(BadInput, match="too long; the longest duration is 3650d"):
        duration(text)


def test_a_message_quotes_no_more_than_a_little():
    """A long text is not repeated in full."""
    with pytest.raises(BadInput) as caught:
        duration("x" * 10_000)
    assert len(caught.value.message) < 200
