"""Which destinations get an event."""

from __future__ import annotations

import given
import pytest

from ringback.core.model import Callback, EventType
from ringback.core.routing import FINAL_EVENTS, STATE_EVENTS, Route, Routes, Target, origin, targets, to_callback

DESTINATIONS = {"builds": STATE_EVENTS, "team": (*FINAL_EVENTS, "provider.*")}


def names(event: str, routes: Routes, **fields) -> list[str]:
    """Who gets the event of a watch with these fields."""
    return [target.destination for target in targets(EventType(event), given.watch(**fields), routes)]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("task.queued", ["builds"]),
        ("task.running", ["builds"]),
        ("task.succeeded", ["builds", "team"]),
        ("task.vanished", ["builds", "team"]),
        ("task.progressed", []),
        ("task.stalled", []),
    ],
)
def test_without_routes_every_destination_gets_its_default(event, expected):
    """Progress and stalling only where asked for."""
    assert names(event, Routes(DESTINATIONS)) == expected


def test_a_route_covers_what_it_says_and_all_it_leaves_out():
    """Globs over events and providers, all metadata; left-out events are each destination's own."""
    routes = Routes(
        DESTINATIONS,
        (
            Route(("team",), ("task.f*",), ("302ai-*",), {"team": "video", "job": "7"}),
            Route(("builds", "team"), None, ("runway",)),
        ),
    )
    video = {"team": "video", "job": "7", "more": "x"}
    assert names("task.failed", routes, metadata=video) == ["team"]
    assert names("task.failed", routes, metadata={"team": "video"}) == []
    assert names("task.succeeded", routes, metadata=video) == []
    assert names("task.failed", routes, metadata=video, provider="kling") == []
    assert names("task.running", routes, provider="runway") == ["builds"]
    assert names("task.failed", routes, provider="runway", metadata=video) == ["builds", "team"]


def test_a_glob_asks_for_progress():
    """`task.*` in a route counts as asking."""
    assert names("task.progressed", Routes(DESTINATIONS, (Route(("team",), ("task.*",)),))) == ["team"]


def test_a_watchs_own_to_replaces_the_routes_and_its_events_filter_it():
    """An empty `to` silences the routes."""
    routes = Routes(DESTINATIONS, (Route(("builds",), ("task.*",)),))
    assert names("task.failed", routes, to=("team",)) == ["team"]
    assert names("task.running", routes, to=("team",)) == []
    assert names("task.running", routes, to=("team",), events=("task.running",)) == ["team"]
    assert names("task.failed", routes, to=()) == []
    assert names("task.running", routes, events=("task.failed",)) == ["builds"]


def test_callbacks_come_on_top_and_get_final_states_by_default():
    """Each by its own filter."""
    callbacks = (Callback("cb_1", "http://a.example/x"), Callback("cb_2", "http://b.example/y", ("task.running",)))
    assert names("task.running", Routes(), callbacks=callbacks) == ["callback:cb_2"]
    assert names("task.expired", Routes(), callbacks=callbacks) == ["callback:cb_1"]


def test_a_destination_that_is_gone_gets_nothing_new():
    """A watch may still name it."""
    assert names("task.failed", Routes(), to=("team",)) == []


def test_each_gets_it_once():
    """Whatever names it twice."""
    routes = Routes(DESTINATIONS, (Route(("team",), ("task.*",)), Route(("team", "team"), ("task.failed",))))
    assert names("task.failed", routes) == ["team"]
    assert names("task.failed", routes, to=("team", "team")) == ["team"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://ci.example.org/hooks/secret?token=x", "https://ci.example.org"),
        ("http://user:pw@10.0.0.1:8080/x", "http://10.0.0.1:8080"),
        ("http://[::1]:9/x", "http://[::1]:9"),
    ],
)
def test_only_the_origin_of_a_callback_is_named(url, expected):
    """No path, query or user: those may be secrets."""
    assert origin(url) == expected
    assert to_callback(Callback("cb_1", url)) == Target("callback:cb_1", expected)
