"""The simulator's routes: what filled a placeholder of a preset is found again in the request."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput, PresetError
from ringback.core.model import Answer, Observation, WatchState
from ringback.providers.asking import request as asked
from ringback.providers.shelf import shipped
from ringback.providers.template import Values
from ringback.simulator.routes import own_path, routes
from ringback.simulator.wire import Request

BASE = "https://api.acme.example/v1"
SECRETLY = {"x": {"default": ""}}
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


def _request(ask):
    """As it comes in on the wire."""
    parts = urlsplit(ask.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Request(method=ask.method, target=target, headers=dict(ask.headers), body=ask.body or b"")


def _found(preset, ask, kind="poll", prefix="/v1"):
    """What the preset's route of this kind finds in a request; None when it is not its own."""
    route = next(route for route in routes(preset) if route.kind == kind)
    came = _request(ask)
    return route.match(came, came.target.partition("?")[0].removeprefix(prefix))


@pytest.mark.parametrize(
    "table",
    [
        {"path": "/jobs/{task_id}"},
        {"path": "/jobs/{task_id}/{params.p}/status"},
        {"path": "/jobs/v1-{task_id}.json"},
        {"path": "/jobs", "query": {"id": "{task_id}", "v": "2"}},
        {"path": "/jobs", "query": {"ref": "job={task_id}|{params.p}"}},
        {"path": "/jobs", "headers": {"x-job": "{task_id}", "x-v": "2"}},
        {"method": "POST", "path": "/q", "body": {"job": {"id": "{task_id}", "v": 2, "on": True}}},
        {"method": "POST", "path": "/q", "body": {"jobs": [{"ids": ["{task_id}", 1]}], "p": "at {params.p}!"}},
        {"method": "PUT", "path": "/q", "form": {"id": "{task_id}", "p": "{params.p}"}},
        {"method": "POST", "path": "/q/{params.p}", "headers": {"x-n": "{uuid}"}, "body": {"id": "{task_id}"}},
    ],
)
@pytest.mark.parametrize("value", ["t-1", "a/b", "a b+c&d=e", "100%", "~_.-", 'x"y', "?#;@:"])
def test_every_template_is_read_backwards(preset_with, table, value):
    """In a path, a query, a header, a JSON body or a form; alone or within a text."""
    preset = preset_with(ask=table)
    found = _found(preset, preset.ask(value, {"p": value}, ""))
    assert found == {"task_id": value} | ({"params.p": value} if preset.about.params else {})


@pytest.mark.parametrize("value", ["batches/a1", "a", "a/b/c", "models/x:y@z"])
def test_slashes_that_are_kept_are_read_backwards(preset_with, value):
    preset = preset_with(ask={"path": "/{params.p}/{+task_id}/status"})
    assert _found(preset, preset.ask(value, {"p": "a/b"}, "")) == {"task_id": value, "params.p": "a/b"}


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, {"task_id": "t"}), ({"x": "1"}, {"task_id": "t", "params.x": "1"})],
)
@pytest.mark.parametrize(
    "table",
    [
        {"path": "/{task_id}", "query": {"x": "{params.x}"}},
        {"path": "/{task_id}", "headers": {"x": "{params.x}"}},
        {"path": "/{task_id}", "method": "POST", "body": {"x": "{params.x}"}},
        {"path": "/{task_id}", "method": "POST", "form": {"x": "{params.x}", "y": "1"}},
    ],
)
def test_what_is_optional_may_be_missing(preset_with, table, given, found):
    preset = preset_with(params=SECRETLY, ask=table)
    assert _found(preset, preset.ask("t", given, "")) == found


@given(task_id=texts, value=texts)
def test_whatever_fills_them_it_is_found_again(preset_with, task_id, value):
    for table in (
        {"path": "/a/{task_id}/{params.p}", "query": {"q": "{params.p}"}},
        {"path": "/b", "method": "POST", "query": {"id": "{task_id}"}, "body": {"p": ["{params.p}"]}},
        {"path": "/c", "method": "POST", "form": {"id": "{task_id}", "p": "{params.p}"}},
    ):
        preset = preset_with(ask=table)
        try:
            ask = preset.ask(task_id, {"p": value}, "")
        except BadInput:
            assert {task_id, value} & {".", ".."}
            continue
        assert _found(preset, ask) == {"task_id": task_id, "params.p": value}


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"target": "/v1/jobs/t/other?v=2"},
        {"target": "/v1/jobs//status?v=2"},
        {"target": "/v1/jobs/a/b/status?v=2"},
        {"target": "/v1/jobs/t/status?v=3"},
        {"target": "/v1/jobs/t/status"},
        {"headers": {"content-type": "application/json"}},
        {"headers": {"content-type": "application/json", "x-v": "3"}},
        {"body": b'{"kind": "other", "id": "t"}'},
        {"body": b'{"kind": "job"}'},
        {"body": b'{"kind": "job", "id": null}'},
        {"body": b"[]"},
        {"body": b"null"},
        {"body": b""},
        {"body": b"{"},
        {"body": b"\xff"},
    ],
)
def test_another_request_is_not_taken_for_it(preset_with, change):
    preset = preset_with(
        ask={
            "method": "POST",
            "path": "/jobs/{task_id}/status",
            "query": {"v": "2"},
            "headers": {"x-v": "2"},
            "body": {"kind": "job", "id": "{task_id}"},
        }
    )
    came = _request(preset.ask("t", {}, ""))
    route = routes(preset)[0]
    assert route.match(came, "/jobs/t/status") == {"task_id": "t"}
    other = msgspec.structs.replace(came, **change)
    assert route.match(other, other.target.partition("?")[0].removeprefix("/v1")) is None


def test_a_request_may_hold_more_than_the_preset_asks_for(preset_with):
    """A client of another make sends headers and fields of its own."""
    preset = preset_with(ask={"method": "POST", "path": "/q", "query": {"v": "2"}, "body": {"id": "{task_id}"}})
    came = Request(method="POST", target="/q?x=1&v=2", headers={"x-more": "1"}, body=b'{"id": 17, "more": []}')
    assert routes(preset)[0].match(came, "/q") == {"task_id": "17"}


# ---------------------------------------------------------------------- the other requests


@pytest.mark.parametrize(
    "table",
    [
        {"method": "POST", "path": "/list", "body": {"ids": "{task_ids}"}},
        {"method": "POST", "path": "/list", "body": {"in": [{"ids": "{task_ids}"}]}},
        {"method": "POST", "path": "/list", "body": {"ids": "of {task_ids}"}},
        {"path": "/list", "query": {"ids": "{task_ids}"}},
        {"path": "/list/{task_ids}", "query": {"ids": "{task_ids}"}},
        {"path": "/list", "headers": {"x-ids": "{task_ids}"}},
        {"method": "POST", "path": "/list", "form": {"ids": "{task_ids}"}},
    ],
)
def test_all_ids_of_a_batch_are_found(preset_with, table):
    preset = preset_with(batch={**table, "limit": 3, "tasks": "jobs"})
    assert _found(preset, preset.ask_many(["a", "b", "c"], {}, ""), "batch") == {"task_ids": ["a", "b", "c"]}


@pytest.mark.parametrize(
    "table",
    [
        {"path": "/files/{answer.file}/{task_id}"},
        {"path": "/files", "query": {"file": "{answer.file}", "id": "{task_id}"}},
        {"method": "POST", "path": "/files", "body": {"file": "{answer.file}", "id": "{task_id}"}},
    ],
)
def test_what_an_answer_brought_is_found_in_the_request_for_the_result(preset_with, table):
    preset = preset_with(result={**table, "read": "@"})
    answer = Answer(status=200, body=b'{"file": "f/1"}')
    ask = preset.ask_result(Observation(state=WatchState.SUCCEEDED), answer, "t-1", {}, "")
    assert _found(preset, ask, "result") == {"answer.file": "f/1", "task_id": "t-1"}


def test_what_a_submission_was_made_with_is_found(preset_with):
    preset = preset_with(
        submit={"method": "POST", "path": "/{+params.model}", "query": {"v": "{params.v}"}, "id": "id"}
    )
    ask = asked(preset.spec.submit, Values(params={"model": "acme/fast", "v": "2"}), BASE)
    assert _found(preset, ask, "submit") == {"params.model": "acme/fast", "params.v": "2"}


def test_a_url_that_an_answer_brings_leads_to_a_path_of_our_own(preset_with):
    """It names the kind, the preset and the task."""
    preset = preset_with(ask={"url": "{params.polling_url}"}, result={"url": "{answer.next}", "read": "@"})
    for kind in ("poll", "result"):
        ask = Request(method="GET", target=own_path(kind, preset, "t-1"), headers={}, body=b"")
        route = next(route for route in routes(preset) if route.kind == kind)
        assert ask.target == f"/_{kind}/acme-video/t-1"
        assert route.match(ask, ask.target) == {"task_id": "t-1"}


def test_a_url_without_a_placeholder_cannot_be_simulated(preset_with):
    with pytest.raises(PresetError, match="acme-video: a fixed url cannot be simulated"):
        routes(preset_with(ask={"url": "https://a.example/jobs"}))


def test_the_route_that_says_more_comes_first(preset_with):
    """Of two that fit the longer one is meant, and of those the one with more conditions."""
    tables = [
        {"path": "/{params.p}/{task_id}"},
        {"path": "/jobs/{task_id}"},
        {"path": "/jobs/{task_id}", "query": {"v": "2"}},
        {"path": "/jobs/{task_id}/status"},
    ]
    weights = [routes(preset_with(ask=table))[0].weight for table in tables]
    assert weights == sorted(set(weights))


@pytest.mark.parametrize("preset", shipped().presets(), ids=lambda preset: preset.about.id)
def test_every_shipped_preset_is_understood(preset):
    """The request that ringback makes is the one that the simulator expects, with the same id and params in it."""
    if preset.spec.ask.url is not None:
        return
    params = {name: f"{name}-1".replace("_", "-") for name in preset.about.params}
    ask = preset.ask("t-1", params, "https://mine.test")
    found = _found(preset, ask, prefix="")
    assert found["task_id"] == "t-1"
    named = {name.removeprefix("params."): value for name, value in found.items() if name.startswith("params.")}
    assert named.items() <= params.items()
