"""Health, metrics, and what every answer carries."""

import asyncio

import pytest
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from ringback.core.errors import StoreBroken
from ringback.web import health, shield
from tests.faces.api.stage import NOW, served, until


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_ok(api, path):
    """200 and one word; HEAD is answered too."""
    answer = await api.http.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert (await api.http.head(path)).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_loop_that_stands_still_is_said(api, path):
    """503 with every problem."""
    api.ills = ["the poll loop made no progress for 61 s", "the delivery loop ended"]
    answer = await api.http.get(path)
    assert (answer.status_code, answer.json()["code"]) == (503, "unhealthy")
    assert answer.json()["problems"] == api.ills


async def test_ready_means_that_the_store_can_write(api, monkeypatch):
    """A broken disk is not ready, and not dead: restarting is for who decides on /healthz."""

    async def refuse():
        raise StoreBroken("the disk failed: I/O error")

    monkeypatch.setattr(api.store, "probe", refuse)
    answer = await api.http.get("/readyz")
    assert (answer.status_code, answer.json()["problems"]) == (503, ["the disk failed: I/O error"])
    assert (await api.http.get("/healthz")).status_code == 200


async def test_a_disk_that_hangs_does_not_hang_the_check(api, monkeypatch):
    """Whoever monitors gets an answer."""
    monkeypatch.setattr(health, "PROBE_WITHIN_S", 0.05)
    monkeypatch.setattr(api.store, "probe", asyncio.Event().wait)
    answer = await api.http.get("/readyz")
    assert answer.status_code == 503
    assert "did not write within" in answer.json()["detail"]


async def test_many_checks_at_once_are_one_write(api, monkeypatch):
    """Anybody may ask, so asking costs the disk nothing more."""
    probes, gate = 0, asyncio.Event()

    async def slow():
        nonlocal probes
        probes += 1
        await gate.wait()

    monkeypatch.setattr(api.store, "probe", slow)
    came = []
    api.swap(alive=lambda: came.append(1) or [])
    asked = [asyncio.create_task(api.http.get("/readyz")) for _ in range(20)]
    await until(lambda: len(came) == 20)
    gate.set()
    assert {(await one).status_code for one in asked} == {200}
    assert probes == 1


async def test_health_needs_neither_token_nor_host():
    """A probe knows neither."""
    async with served(loopback=False) as api:
        for path in ("/healthz", "/readyz"):
            assert (await api.http.get(path, headers={"host": "10.1.2.3:8302"})).status_code == 200


def _samples(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_metrics_hold_the_registry_and_the_store(api):
    """Counts at the moment of the scrape: watches by state, what is owed, and since when."""
    Counter("made_up", "Something.", registry=api.app.state.parts.registry).inc(3)
    one, two = await api.register("one"), await api.register("two")
    await api.register("three")
    answer = await api.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    before = _samples(answer.text)
    assert before["made_up_total",] == 3
    assert before["ringback_watches", "pending"] == 3
    assert before["ringback_deliveries_pending",] == 0
    assert before["ringback_delivery_oldest_pending_seconds",] == 0
    await api.see(one, "failed", at=NOW.replace(minute=31))
    await api.see(two, "running")
    after = _samples((await api.http.get("/metrics")).text)
    assert after["ringback_watches", "pending"] == 1
    assert after["ringback_watches", "failed"] == 1
    assert after["ringback_watches", "vanished"] == 0
    assert after["ringback_events_kept",] == 2
    assert after["ringback_deliveries_pending",] == 3
    assert after["ringback_delivery_oldest_pending_seconds",] == 120


async def test_the_metrics_speak_openmetrics_where_asked(api):
    """As Prometheus asks."""
    answer = await api.http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/watches", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/metrics", 200),
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/v1/watches", 405),
        ("POST", "/v1/watches", 400),
    ],
)
async def test_every_answer_is_shielded(api, method, path, status):
    """No sniffing, no framing, no scripts, no caching, no word about the server; refused ones too."""
    answer = await api.http.request(method, path)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in shield.HEADERS} == dict(shield.HEADERS)
    assert "server" not in answer.headers
    refused = await api.http.request(method, path, headers={"host": "evil.example"})
    assert refused.headers["x-content-type-options"] == "nosniff"
