"""/openapi.json: complete, and true."""

import asyncio
import re
import threading

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from ringback.core import advance, retry
from ringback.core.model import AccountData, DestinationData, Error, EventType, Mark
from ringback.core.retry import GiveUp
from ringback.core.routing import Routes
from ringback.intake import Caller
from ringback.store.base import Settlement
from ringback.web import openapi
from ringback.web.api import Token
from tests.faces.api.stage import CALLBACK, NOW, SECRET, answer_of, served

OPERATIONS = [
    ("post", "/v1/watches"),
    ("get", "/v1/watches"),
    ("post", "/v1/watches/batch"),
    ("get", "/v1/watches/{id}"),
    ("delete", "/v1/watches/{id}"),
    ("get", "/v1/watches/{id}/events"),
    ("get", "/v1/watches/{id}/answer"),
    ("post", "/v1/watches/{id}/poll"),
    ("get", "/v1/events"),
    ("get", "/v1/deliveries"),
    ("post", "/v1/deliveries/resend"),
    ("get", "/v1/deliveries/{id}"),
    ("post", "/v1/deliveries/{id}/resend"),
    ("get", "/v1/destinations"),
    ("post", "/v1/destinations/{name}/test"),
    ("post", "/v1/destinations/{name}/pause"),
    ("post", "/v1/destinations/{name}/resume"),
    ("get", "/v1/providers"),
    ("get", "/v1/providers/{id}"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/metrics"),
]
CAN_BE_WRONG = {"/v1/watches", "/v1/watches/{id}", "/v1/events", "/v1/deliveries", "/v1/deliveries/resend"}
MET = {
    ("post", "/v1/watches"): {422},
    ("get", "/v1/watches"): {200, 422},
    ("get", "/v1/watches/{id}"): {200, 404, 422},
    ("delete", "/v1/watches/{id}"): {200, 404},
    ("get", "/v1/watches/{id}/events"): {200, 404},
    ("get", "/v1/watches/{id}/answer"): {200, 404},
    ("post", "/v1/watches/{id}/poll"): {404, 409},
    ("post", "/v1/deliveries/resend"): {202, 422},
    ("get", "/v1/deliveries/{id}"): {200, 404},
    ("post", "/v1/deliveries/{id}/resend"): {404, 409},
    ("post", "/v1/destinations/{name}/test"): {200, 404},
    ("post", "/v1/destinations/{name}/pause"): {200, 404},
    ("post", "/v1/destinations/{name}/resume"): {200, 404},
    ("get", "/v1/providers/{id}"): {200, 404},
}
"""Statuses that the examples must reach; else 200."""

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
    checks.ignored_auth,
]
BOUNDED = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
TOKEN = Token(Caller("ops"), "rb_ops-secret")
HEADERS = {"Authorization": f"Bearer {TOKEN.secret}"}


async def _lived_in(api):
    """One of everything, so that answers have something in every field."""
    api.tokens = [TOKEN]
    api.http.headers["authorization"] = f"Bearer {TOKEN.secret}"
    watch = await api.register(
        callback_url=CALLBACK, callback_secret=SECRET, to=["builds"], events=["task.*"], metadata={"team": "x"}
    )
    answer = answer_of(b"{}", content_type="application/json")
    await api.see(watch, "failed", answer=answer, result=b'"why"', details=b'{"step": 1}')
    await api.register("open")
    for data, event in (
        (AccountData("302ai", Error("unauthorized", "the key is refused"), 2), EventType.PROVIDER_DEGRADED),
        (DestinationData("builds", "410", NOW, 3), EventType.DESTINATION_PAUSED),
    ):
        mark = Mark(subject=event, active=True, since=NOW, code="c", message="m", sequence=1)
        routes = Routes(destinations={"team": ("provider.*", "destination.*")})
        await api.store.commit(advance.about_ourselves(mark, data, event, routes))
    deliveries = (await api.http.get("/v1/deliveries")).json()["items"]
    settled, _ = await api.store.delivery(deliveries[-1]["id"])
    await api.store.settle(Settlement(retry.settled(settled, GiveUp("nobody is there"), NOW, attempted=False)))
    return {"watches": watch["id"], "deliveries": settled.id, "destinations": "team", "providers": "302ai-browser"}


@pytest.fixture(scope="module")
def lived_in():
    """The API in a thread of its own, for a client that blocks; and ids that are there."""
    started, ended, found = threading.Event(), threading.Event(), []

    async def serve():
        async with served(loopback=False) as api:
            ids = await _lived_in(api)
            found.extend((api, ids))
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(30), "the server does not start"
    api, ids = found
    yield api, ids
    ended.set()
    thread.join()
    assert api.failures == []


@pytest.fixture(scope="module")
def described(lived_in):
    """What schemathesis makes of it."""
    return schemathesis.openapi.from_url(f"{lived_in[0].server.url}/openapi.json", headers=HEADERS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_is_described_is_what_is_answered(lived_in, described, method, path):
    """Whatever is asked, good or bad: a described status, type and shape, never a 500; nonsense is refused."""
    operation = described[path][method]
    named = re.search(r"\{(\w+)\}", path)
    ids = {named[1]: lived_in[1][path.split("/")[2]]} if named else None
    cases = operation.as_strategy(GenerationMode.POSITIVE)
    if ids:
        cases |= operation.as_strategy(GenerationMode.POSITIVE, path_parameters=ids)
        cases |= operation.as_strategy(GenerationMode.POSITIVE, path_parameters=ids, query={})
    if path in CAN_BE_WRONG:
        cases |= operation.as_strategy(GenerationMode.NEGATIVE)
    met = set()

    @BOUNDED
    @given(case=cases)
    def asked(case):
        met.add(case.call_and_validate(headers=HEADERS, checks=CHECKS).status_code)

    asked()
    assert met >= MET.get((method, path), {200}), "the examples do not reach what they are to show"


async def test_the_contracts_routes_are_described_and_no_other(api):
    """What is not described nobody finds."""
    described = api.app.openapi()["paths"]
    assert {(method, path) for path, methods in described.items() for method in methods} == set(OPERATIONS)


def test_events_are_described_as_they_are_sent(lived_in):
    """The webhook's own shape: every key, in its order."""
    page = httpx.get(f"{lived_in[0].server.url}/v1/events", headers=HEADERS, trust_env=False).json()
    described = {"task": openapi.TaskData, "provider": openapi.AccountData, "destination": openapi.DestinationData}
    assert list(page) == list(openapi.EventPage.__struct_fields__)
    seen = set()
    for event in page["items"]:
        family = event["type"].partition(".")[0]
        seen.add(family)
        assert list(event) == list(openapi.Event.__struct_fields__)
        assert list(event["data"]) == list(described[family].__struct_fields__)
    assert seen == set(described)


def test_a_page_for_browsers_is_not_served(lived_in):
    """Swagger's would load scripts from elsewhere."""
    for path in ("/docs", "/redoc"):
        answer = httpx.get(lived_in[0].server.url + path, headers=HEADERS, trust_env=False)
        assert answer.status_code == 404
