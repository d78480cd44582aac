"""How an account is doing, and how fast it may be asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from given import HOUR, MINUTE, NOW, SECOND
from hypothesis import given as forall
from hypothesis import strategies as some

from ringback.core import health
from ringback.core.health import Health, News
from ringback.core.model import Trouble
from ringback.core.rate import Bucket

THROTTLED = Trouble("rate_limited", "429")
LOCKED_OUT = Trouble("unauthorized", "401")
DOWN = Trouble("unavailable", "503")


def test_a_429_rests_the_account_and_halves_its_rate():
    """Until Retry-After; without one 30 s, doubling to 10 min. Those under way then are one warning."""
    state, news = health.troubled(Health(), Trouble("rate_limited", "429", 7 * SECOND), "w", 9, NOW)
    assert (state.resting_until, state.share, news) == (NOW + 7 * SECOND, 0.5, None)
    same, _ = health.troubled(state, THROTTLED, "w2", 9, NOW + SECOND)
    assert same.share == 0.5
    state, rests, now = Health(), [], NOW
    for _ in range(7):
        state, _ = health.troubled(state, THROTTLED, "w", 9, now)
        rests.append((state.resting_until - now).total_seconds())
        now = state.resting_until
    assert rests == [30, 60, 120, 240, 480, 600, 600]
    assert state.share == pytest.approx(1 / 64)


def test_the_rate_climbs_back_step_by_step():
    """One step each quarter of a minute of answers, never above the whole."""
    state, _ = health.troubled(Health(), Trouble("rate_limited", "429", SECOND), "w", 9, NOW)
    shares, now = [], NOW + SECOND
    for _ in range(8):
        state, _ = health.answered(state, now)
        shares.append(state.share)
        now += 15 * SECOND
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.5, 1.0)
    assert not state.rests_at(now)


def test_one_watch_that_may_not_be_seen_is_its_own_problem_and_two_are_the_accounts():
    """Unless it is the only one of the account."""
    one, news = health.troubled(Health(), LOCKED_OUT, "w1", 2, NOW)
    assert (news, one.resting_until) == (None, None)
    same, news = health.troubled(one, LOCKED_OUT, "w1", 2, NOW)
    assert news is None
    two, news = health.troubled(same, LOCKED_OUT, "w2", 2, NOW)
    assert (news, two.resting_until) == (News.DEGRADED, NOW + 5 * MINUTE)
    _, news = health.troubled(Health(), LOCKED_OUT, "w1", 1, NOW)
    assert news is News.DEGRADED


def test_a_success_between_acquits_the_account():
    """Two watches that may not be seen, with an answer in between, are two problems of two watches."""
    state, _ = health.troubled(Health(), LOCKED_OUT, "w1", 3, NOW)
    state, _ = health.answered(state, NOW)
    _, news = health.troubled(state, LOCKED_OUT, "w2", 3, NOW)
    assert news is None


def test_it_is_announced_once_however_often_it_is_tried():
    """Tried again every five minutes; recovered is said once too."""
    state, news, said = Health(), None, []
    for minutes in range(0, 30, 5):
        state, news = health.troubled(state, LOCKED_OUT, "w", 1, NOW + timedelta(minutes=minutes))
        said.append(news)
    assert said == [News.DEGRADED] + [None] * 5
    state, news = health.answered(state, NOW + HOUR)
    assert (news, state.degraded, state.resting_until) == (News.RECOVERED, None, None)
    assert health.answered(state, NOW + HOUR)[1] is None


def test_nothing_but_trouble_for_two_minutes_degrades_and_goes_on_asking():
    """Any answer within starts the two minutes anew."""
    state, news = health.troubled(Health(), DOWN, "w1", 5, NOW)
    state, news = health.troubled(state, DOWN, "w2", 5, NOW + 119 * SECOND)
    assert news is None
    late, news = health.troubled(state, Trouble("timeout", "slow"), "w3", 5, NOW + 120 * SECOND)
    assert (news, late.resting_until, late.on_trial) == (News.DEGRADED, None, False)
    state, _ = health.answered(state, NOW + 119 * SECOND)
    _, news = health.troubled(state, DOWN, "w2", 5, NOW + 121 * SECOND)
    assert news is None


def test_a_task_that_is_not_found_says_nothing_about_the_account():
    """It is the task's problem alone."""
    assert health.troubled(Health(), Trouble("not_found", "404"), "w", 1, NOW) == (Health(), None)


def test_a_new_key_is_tried_at_once_without_forgetting_what_was_announced():
    """The announcement ends with an answer, not with a hope."""
    state, _ = health.troubled(Health(), LOCKED_OUT, "w", 1, NOW)
    fresh = health.asked_anew(state)
    assert not fresh.rests_at(NOW)
    assert fresh.on_trial
    assert health.answered(fresh, NOW)[1] is News.RECOVERED


def test_a_step_of_the_clock_changes_no_rest():
    """A rest of 30 s stays one."""
    state, _ = health.troubled(Health(), THROTTLED, "w", 1, NOW)
    moved = health.shifted(state, -24 * HOUR)
    assert moved.resting_until == NOW + 30 * SECOND - 24 * HOUR


@forall(some.floats(0.2, 500), some.lists(some.floats(0.001, 3), min_size=1, max_size=200))
def test_a_bucket_never_lets_more_through_than_its_rate_and_one_burst(rate, waits):
    """Whatever the pattern of asking."""
    bucket, now, gone = Bucket(rate), NOW, 0
    for wait_s in waits:
        now += timedelta(seconds=wait_s)
        bucket = bucket.filled(now)
        count = bucket.allows(10_000)
        bucket, gone = bucket.taken(count), gone + count
    assert gone <= rate * (now - NOW).total_seconds() + max(rate * 0.2, 1) + rate * 0.2 + 1


def test_a_bucket_says_when_the_next_may_go():
    """At that time one may; an unlimited one always lets all through."""
    bucket = Bucket(2.0, at=NOW).taken(1)
    assert bucket.allows(5) == 0
    at = bucket.next_at(NOW)
    assert at == NOW + 0.5 * SECOND
    assert bucket.filled(at).allows(5) == 1
    assert Bucket(2.0, at=NOW).taken(1).filled(at, share=0.5).allows(5) == 0
    assert Bucket(None).filled(NOW).taken(3).allows(5) == 5
