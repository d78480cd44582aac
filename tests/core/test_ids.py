"""Ids depend on identity and sequence alone."""

from __future__ import annotations

import re

from hypothesis import given as forall
from hypothesis import strategies as some

from ringback.core import ids

TEXT = some.text(some.characters(exclude_categories=["Cs"]), max_size=30)
IDENTITY = some.tuples(TEXT, TEXT, TEXT, TEXT, some.dictionaries(TEXT, TEXT, max_size=3))


@forall(IDENTITY, IDENTITY)
def test_two_watches_share_an_id_only_when_they_share_the_identity(one, other):
    """No way of cutting the parts makes two identities one."""
    assert (ids.watch_id(*one) == ids.watch_id(*other)) is (one == other)


@forall(IDENTITY, some.integers(1, 10**6))
def test_ids_are_stable_and_fit_a_webhook_header(identity, sequence):
    """The order of params does not matter; letters, digits, - and _ only."""
    *parts, params = identity
    watch = ids.watch_id(*parts, dict(reversed(params.items())))
    assert watch == ids.watch_id(*parts, params)
    event = ids.event_id(watch, sequence)
    delivery = ids.delivery_id(event, "builds")
    for prefix, id in (("w_", watch), ("evt_", event), ("dlv_", delivery)):
        assert re.fullmatch(prefix + "[A-Za-z0-9_-]{32}", id)


def test_the_ids_of_today_are_the_ids_of_tomorrow():
    """They are in journals and in receivers' tables: this test may never change."""
    watch = ids.watch_id("", "302ai-browser", "302ai", "26cbe8e5", {})
    assert watch == "w_6585d0ef95b39d02cb0be68bea1ddeac"
    assert ids.event_id(watch, 1) == "evt_5560e3c20579456f72cf3e906c4db0a3"
