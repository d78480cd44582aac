"""What is remembered between two polls: it saves work, and nothing that an answer means is lost by it."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
import pytest
from given import HOUR, MINUTE, NOW, SECOND
from msgspec.structs import replace

from ringback import recent
from ringback.accounts import AccountTerms
from ringback.core.errors import BadInput
from ringback.core.model import Answer, WatchState
from ringback.credentials import Credentials, Keys, Secret
from ringback.outbound import Outbound, OutboundError
from ringback.providers.preset import Preset
from ringback.providers.shelf import shipped
from ringback.store.base import EventQuery

RUNNING = {"status": "running", "current_step": 1}


@pytest.fixture
def reads(monkeypatch):
    """The answers that are read, one after the other."""
    seen = []
    read = Preset.read

    def counted(preset, answer, task_id):
        seen.append(answer.body)
        return read(preset, answer, task_id)

    monkeypatch.setattr(Preset, "read", counted)
    return seen


@pytest.fixture
def prepares(upstream, monkeypatch):
    """The requests that are prepared, one after the other."""
    seen = []
    prepare = upstream.prepare

    def counted(ask, **way):
        seen.append(ask)
        return prepare(ask, **way)

    monkeypatch.setattr(upstream, "prepare", counted)
    return seen


async def _polls(daemon, clock, count, gap=10 * SECOND):
    for _ in range(count):
        await daemon.poll()
        clock.turn(gap)


async def _types(daemon):
    return [event.type.value for event in (await daemon.store.events(EventQuery())).items]


# ---------------------------------------------------------------------- answers


async def test_the_same_bytes_are_read_once(daemon, upstream, clock, reads):
    """Every further poll that brings them is counted, and that is all."""
    upstream.says("t", RUNNING)
    watch = await daemon.register("t")
    await _polls(daemon, clock, 5)
    after = await daemon.store.watch(watch.id)
    assert (after.polls, after.state, after.progress.value) == (5, WatchState.RUNNING, 1)
    assert len(reads) == 1
    assert await _types(daemon) == ["task.running"]


async def test_other_bytes_are_read(daemon, upstream, clock, reads):
    """Also when the ones before come back."""
    upstream.says("t", RUNNING, RUNNING | {"current_step": 2}, RUNNING, RUNNING)
    watch = await daemon.register("t")
    await _polls(daemon, clock, 4)
    assert (await daemon.store.watch(watch.id)).progress.value == 1
    assert len(reads) == 3


async def test_the_same_bytes_clear_a_problem(daemon, upstream, clock, reads):
    """The provider answers again, and nothing has changed meanwhile: the problem is over."""
    down = OutboundError("https://api.302.ai refused the connection", code="refused")
    upstream.says("t", RUNNING, down, RUNNING)
    watch = await daemon.register("t")
    await _polls(daemon, clock, 2)
    assert (await daemon.store.watch(watch.id)).problem.code == "refused"
    await _polls(daemon, clock, 1)
    assert (await daemon.store.watch(watch.id)).problem is None
    assert len(reads) == 1


async def test_the_same_bytes_end_an_accounts_trouble(daemon, upstream, clock):
    """They are an answer of the account like any other."""
    upstream.says("t", RUNNING, *[503] * 30, RUNNING)
    await daemon.register("t")
    await daemon.until(HOUR, step=MINUTE, do=daemon.poll)
    assert await _types(daemon) == ["task.running", "provider.degraded", "provider.recovered"]


async def test_the_same_bytes_do_not_hold_up_the_deadline(daemon, upstream, clock):
    """What never changes expires."""
    upstream.says("t", RUNNING)
    watch = await daemon.register("t", deadline="10m")
    await daemon.until(11 * MINUTE, step=10 * SECOND, do=daemon.poll)
    assert (await daemon.store.watch(watch.id)).state is WatchState.EXPIRED


async def test_the_same_bytes_are_what_stalls(daemon, upstream, clock, mailbox):
    """Nothing new for so long is said, where it is asked for."""
    daemon.configure({"team": mailbox()})
    upstream.says("t", RUNNING)
    await daemon.register("t", to=["team"], events=["task.*"])
    await daemon.until(HOUR, step=MINUTE, do=daemon.poll)
    assert (await _types(daemon)).count("task.stalled") == 1


async def test_the_same_bytes_with_retry_after_are_waited_for(daemon, upstream, clock):
    """What is asked for in a header counts each time."""
    patient = Answer(status=200, headers={"retry-after": "40"}, body=msgspec.json.encode(RUNNING))
    upstream.says("t", RUNNING, patient, patient)
    watch = await daemon.register("t")
    for waits in (None, 40 * SECOND, 40 * SECOND):
        await daemon.poll()
        after = await daemon.store.watch(watch.id)
        assert after.not_before_at == (clock.now() + waits if waits else None)
        clock.turn(MINUTE)


async def test_the_same_bytes_are_read_again_by_a_watch_that_was_reopened(daemon, upstream, clock):
    """It starts anew, so what they say is news."""
    upstream.says("t", RUNNING)
    watch = await daemon.register("t")
    await _polls(daemon, clock, 2)
    await daemon.intake.abandon(watch.id)
    await daemon.register("t")
    await _polls(daemon, clock, 1)
    assert (await daemon.store.watch(watch.id)).state is WatchState.RUNNING
    assert await _types(daemon) == ["task.running", "task.running"]


async def test_a_callback_that_joins_during_the_same_bytes_gets_the_end(daemon, upstream, clock):
    """Somebody else's change of the watch makes them be read again, once."""
    upstream.says("t", RUNNING, RUNNING, RUNNING, {"status": "finished", "result": "x"})
    await daemon.register("t")
    await _polls(daemon, clock, 2)
    await daemon.register("t", callback_url="http://127.0.0.1:9/x")
    await _polls(daemon, clock, 2)
    await daemon.deliver()
    assert daemon.callbacks.types == ["task.succeeded"]


async def test_a_word_nobody_knows_is_read_each_time(daemon, upstream, clock, reads):
    """What a watch does not keep of an answer cannot be remembered for it."""
    upstream.says("t", {"status": "warming"})
    await daemon.register("t")
    await _polls(daemon, clock, 3)
    assert len(reads) == 3


async def test_the_same_bytes_are_read_again_by_other_presets(daemon, upstream, clock, reads):
    """A preset that was corrected may read them as something else."""
    upstream.says("t", RUNNING)
    await daemon.register("t")
    await _polls(daemon, clock, 2)
    daemon.poller._asker.catalogue = shipped()
    await _polls(daemon, clock, 2)
    assert len(reads) == 2


# ---------------------------------------------------------------------- requests


async def test_a_request_is_prepared_once_for_all_that_are_asked_about_alike(daemon, upstream, clock, prepares):
    """Not once a watch, and not once a poll: they differ by the task's id."""
    ids = ["t", "u-2", "V_3"]
    for id in ids:
        upstream.says(id, RUNNING)
        await daemon.register(id)
    await _polls(daemon, clock, 5)
    assert sorted(upstream.urls) == sorted(f"https://api.302.ai/302/browser/tasks/{id}" for id in ids * 5)
    assert len(prepares) == 1


@pytest.mark.parametrize("id", ["t/u", "a b", "é", "a.b", "x" * 300, recent.ANY])
async def test_an_id_that_is_written_otherwise_in_a_url_has_a_request_of_its_own(daemon, upstream, clock, prepares, id):
    """Made once, too."""
    spelled = quote(id, safe="")
    upstream.says(spelled, RUNNING)
    await daemon.register(id)
    await _polls(daemon, clock, 3)
    assert upstream.urls == [f"https://api.302.ai/302/browser/tasks/{spelled}"] * 3
    assert len(prepares) == 1


async def test_watches_with_other_params_are_not_alike(daemon, upstream, clock, prepares):
    ways = {"t": {"model": "doubao-seaweed"}, "u": {"model": "doubao-seedance"}, "v": {"model": "doubao-seaweed"}}
    for id, params in ways.items():
        upstream.says(id, RUNNING)
        await daemon.register(id, provider="302ai-jimeng-seaweed", params=params)
    await _polls(daemon, clock, 2)
    assert set(upstream.urls) == {f"https://api.302.ai/doubao/{way['model']}/{id}" for id, way in ways.items()}
    assert len(prepares) == 2


async def test_a_described_api_has_a_request_a_watch(daemon, upstream, clock, prepares):
    """Each of its watches brings its own URL and headers."""
    read = {"state": "status", "states": {"done": "succeeded"}}
    for id, key in (("t", "one"), ("u", "two")):
        upstream.says(id, RUNNING)
        ask = {"url": f"https://api.example.org/jobs/{id}", "headers": {"authorization": key}}
        await daemon.register(id, provider="http", ask=ask, read=read)
    await _polls(daemon, clock, 2)
    assert sorted(zip(upstream.urls, upstream.keys, strict=True)) == sorted(
        [("https://api.example.org/jobs/t", "one"), ("https://api.example.org/jobs/u", "two")] * 2
    )
    assert len(prepares) == 2


@pytest.mark.parametrize("preset", shipped().presets(), ids=lambda preset: preset.about.id)
def test_any_task_of_a_preset_is_asked_about_with_the_same_bytes(preset):
    """Whether or not it has a request of its own: those that a request about any task is made for, and most are."""
    outbound = Outbound()
    params = {name: preset.about.defaults.get(name) or "p" for name in preset.about.params}

    def prepared(task_id):
        unsigned = preset.ask(task_id, params, "https://api.example.org")
        return unsigned, outbound.prepare(preset.sign(unsigned, dict.fromkeys(preset.about.credentials, "k"), NOW))

    try:
        any_ask, any_prepared = prepared(recent.ANY)
    except BadInput:
        assert preset.spec.ask.url is not None
        return
    if preset.timeless and recent.fits_any(any_ask):
        for task_id in ("t", "0", "-_-", "8f6d0e2a-11aa-4c1b-9b5e-2f4f9d1c7e55", "1935639178641400001"):
            assert recent.about(any_prepared, task_id).request == prepared(task_id)[1].request
    else:
        assert preset.spec.ask.method != "GET" or not preset.timeless or preset.spec.ask.url is not None


async def test_a_new_key_is_signed_with(daemon, upstream, clock, prepares, tmp_path):
    """A secret file that changes is read again, and the request is prepared again."""
    file = tmp_path / "key"
    file.write_text("one")
    daemon.poller._asker.credentials = Credentials({"302ai": Keys({"api_key": Secret.in_file(file)})})
    upstream.says("t", RUNNING)
    await daemon.register("t")
    await _polls(daemon, clock, 2)
    file.write_text("two, which is longer")
    await _polls(daemon, clock, 2)
    assert upstream.keys == ["Bearer one"] * 2 + ["Bearer two, which is longer"] * 2
    assert len(prepares) == 2


async def test_new_terms_make_a_new_request(daemon, upstream, clock, prepares):
    """A reload that moves the account's base URL or headers is in the next poll."""
    upstream.says("t", RUNNING)
    await daemon.register("t")
    await _polls(daemon, clock, 1)
    daemon.agree({"302ai": AccountTerms(headers={"x-team": "video"})})
    await _polls(daemon, clock, 1)
    daemon.agree({"302ai": AccountTerms(base_url="https://moved.example")})
    await _polls(daemon, clock, 1)
    assert [(ask.url.partition("/302")[0], ask.headers.get("x-team")) for ask in prepares] == [
        ("https://api.302.ai", None),
        ("https://api.302.ai", "video"),
        ("https://moved.example", None),
    ]


async def test_a_signature_that_depends_on_the_time_is_made_each_time(daemon, upstream, clock, prepares, monkeypatch):
    """What does not depend on it is made once all the same."""
    asks = []
    ask = Preset.ask

    def signs(preset, unsigned, credentials, now):
        return replace(unsigned, headers={**unsigned.headers, "x-signed-at": now.isoformat()})

    def counted(preset, *of):
        asks.append(of)
        return ask(preset, *of)

    monkeypatch.setattr(Preset, "sign", signs)
    monkeypatch.setattr(Preset, "ask", counted)
    upstream.says("t", RUNNING)
    watch = await daemon.register("t")
    monkeypatch.setattr(daemon.poller._asker.catalogue.of(watch.provider), "timeless", False)
    asks.clear()  # registering made one to see that it can be made
    await _polls(daemon, clock, 3)
    assert len({one.headers["x-signed-at"] for one in prepares}) == 3
    assert len(asks) == 1


async def test_there_is_a_limit(daemon, upstream, clock, monkeypatch):
    """What was not used lately is forgotten, and everybody goes on being asked."""
    monkeypatch.setattr(recent, "REQUESTS", 4)
    monkeypatch.setattr(recent, "ANSWERS", 4)
    daemon.build()
    upstream.always = Answer(status=200, body=msgspec.json.encode(RUNNING))
    for number in range(10):
        await daemon.register(f"t{number}")
    await _polls(daemon, clock, 3)
    assert len(upstream.asked) == 30
    assert len(daemon.poller._asker._recent._requests) <= 4
    assert len(daemon.poller._asker._recent._answers) <= 4


async def test_what_is_over_is_forgotten(daemon, upstream, clock):
    """A finished watch is not asked about any more; what is asked about others stays."""
    upstream.says("t%2Fu", RUNNING, "finished")
    upstream.says("t", RUNNING)
    await daemon.register("t/u")
    await daemon.register("t")
    await _polls(daemon, clock, 1)
    assert (len(daemon.poller._asker._recent._requests), len(daemon.poller._asker._recent._answers)) == (2, 2)
    await _polls(daemon, clock, 1)
    assert (len(daemon.poller._asker._recent._requests), len(daemon.poller._asker._recent._answers)) == (1, 1)
