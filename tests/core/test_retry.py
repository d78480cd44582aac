"""What follows an attempt."""

from __future__ import annotations

from datetime import timedelta

import given
import pytest
from given import HOUR, MINUTE, NOW, SECOND
from hypothesis import given as forall
from hypothesis import strategies as some

from ringback.core import retry
from ringback.core.model import AttemptOutcome, DeliveryState
from ringback.core.retry import Again, Done, GiveUp, Outcome, Policy, Superseded

FAILED = Outcome(outcome=AttemptOutcome.FAILED, status=503, message="503")
DELIVERED = Outcome(outcome=AttemptOutcome.DELIVERED, status=200)
WAITS = [5, 15, 60, 120, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]


def attempts(delivery, outcome, policy=Policy(), jitter=0.5):  # noqa: B008 - a frozen value
    """Every wait until the delivery is settled, and how it was settled."""
    now, waits = NOW, []
    while True:
        what = retry.step(delivery, outcome, policy, now, jitter)
        delivery = retry.settled(delivery, what, now, attempted=True)
        if not isinstance(what, Again):
            return [round(wait.total_seconds()) for wait in waits], delivery
        waits.append(what.at - now)
        now = what.at


def test_a_final_event_is_tried_thirteen_times_in_about_75_hours():
    """The schedule of the reference, and then it is discarded with its reason."""
    waits, delivery = attempts(given.delivery(), FAILED)
    assert waits == WAITS
    assert 75 * 3600 < sum(waits) < 76 * 3600
    assert (delivery.attempts, delivery.state) == (13, DeliveryState.DISCARDED)
    assert "13 attempts" in delivery.reason
    assert "503" in delivery.reason


@forall(some.floats(0, 1, exclude_max=True))
def test_jitter_takes_no_attempt_away(jitter):
    """Thirteen, however the waits fall; a schedule of one's own ends by itself, too."""
    assert attempts(given.delivery(), FAILED, jitter=jitter)[1].attempts == 13
    days = Policy((24 * HOUR, 48 * HOUR, 72 * HOUR))
    assert attempts(given.delivery(), FAILED, days, jitter=jitter)[1].attempts == 4


def test_a_passing_event_gives_up_after_ten_minutes():
    """Nobody needs to hear an hour later that it was running."""
    waits, delivery = attempts(given.delivery(given.event("running")), FAILED)
    assert waits == WAITS[:5]
    assert delivery.state is DeliveryState.DISCARDED


def test_a_destinations_own_schedule_replaces_both():
    """`retry` counts for every event."""
    policy = Policy((5 * SECOND, 20 * MINUTE))
    for state in ("running", "succeeded"):
        waits, delivery = attempts(given.delivery(given.event(state)), FAILED, policy)
        assert waits == [5, 1200]
        assert delivery.attempts == 3


@forall(some.floats(0, 1, exclude_max=True))
def test_jitter_is_a_fifth_either_way(jitter):
    """Receivers that fail together are not tried together."""
    what = retry.step(given.delivery(), FAILED, Policy(), NOW, jitter)
    assert 4 * SECOND <= what.at - NOW <= 6 * SECOND


@forall(some.floats(0, 1, exclude_max=True), some.integers(0, 200_000))
def test_retry_after_is_kept_in_full_up_to_a_day(jitter, seconds):
    """Jitter only adds."""
    asked = Outcome(outcome=AttemptOutcome.FAILED, status=503, message="503", retry_after=timedelta(seconds=seconds))
    what = retry.step(given.delivery(), asked, Policy(), NOW, jitter)
    assert what.at - NOW >= min(timedelta(seconds=seconds), 24 * HOUR)
    assert what.at - NOW <= max(6 * SECOND, 24 * HOUR * 1.2)


def test_a_throttled_attempt_is_numbered_but_keeps_its_place():
    """429 is no failure: the schedule does not move, yet it ends after about 75 hours."""
    throttled = Outcome(outcome=AttemptOutcome.FAILED, status=429, message="429", throttled=True)
    what = retry.step(given.delivery(), throttled, Policy(), NOW, 0.0)
    assert what == Again(NOW + 30 * SECOND, 0)
    after = retry.settled(given.delivery(), what, NOW, attempted=True)
    assert (after.attempts, after.position) == (1, 0)
    waits, delivery = attempts(given.delivery(), throttled)
    assert delivery.state is DeliveryState.DISCARDED
    assert 75 * 3600 < sum(waits) < 76.1 * 3600


def test_done_refused_and_superseded_settle():
    """Each with its state; a refusal keeps the sink's sentence."""
    delivery = given.delivery()
    assert retry.step(delivery, DELIVERED, Policy(), NOW, 0.5) == Done()
    refused = Outcome(outcome=AttemptOutcome.REFUSED, status=410, message="gone")
    assert retry.step(delivery, refused, Policy(), NOW, 0.5) == GiveUp("gone")
    after = retry.settled(delivery, Superseded(), NOW, attempted=False)
    assert (after.state, after.attempts, after.next_attempt_at) == (DeliveryState.SUPERSEDED, 0, None)


@pytest.mark.parametrize(
    ("state", "attempted", "newer", "held", "expected"),
    [
        ("running", 1, True, None, True),
        ("running", 0, True, None, False),
        ("running", 0, True, NOW + SECOND, True),
        ("running", 0, True, NOW, False),
        ("running", 3, False, NOW + SECOND, False),
        ("succeeded", 5, True, NOW + HOUR, False),
    ],
)
def test_only_a_passing_event_that_failed_or_was_held_back_is_superseded(state, attempted, newer, held, expected):
    """A final event never is."""
    delivery = given.delivery(given.event(state), attempts=attempted)
    assert retry.is_superseded(delivery, newer=newer, held_until=held) is expected


def test_owed_anew_starts_the_schedule_but_not_the_numbers():
    """A resent delivery's attempts go on being numbered."""
    _, over = attempts(given.delivery(), FAILED)
    again = retry.anew(over, NOW + 100 * HOUR)
    assert (again.state, again.attempts, again.position) == (DeliveryState.PENDING, 13, 0)
    assert retry.attempt_of(again, FAILED, NOW).number == 14
    assert isinstance(retry.step(again, FAILED, Policy(), NOW + 100 * HOUR, 0.5), Again)
