"""The Apprise sink: the contract of all sinks, and how a library that blocks and wanders is kept within bounds."""

import asyncio
import base64
import json
import logging
import subprocess
import sys
import threading
from contextlib import asynccontextmanager

import pytest
import requests

from ringback.core.errors import BadInput
from ringback.core.model import AttemptOutcome, EventType
from ringback.sinks import apprise
from ringback.sinks.apprise import AppriseSink, scheme_of
from tests.sinks import hostile
from tests.sinks.contract import DELIVERED, FAILED, REFUSED, TIMEOUT_S, Fault, SinkContract, Stage, Verdict
from tests.sinks.samples import NOW, account_event, document, message, task_event

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""One of Apprise's services imports a package that does."""

TARGET = "/hooks/T0AB12CD34/s3cr3t-p%2Fath-segment?+X-Token=t0p-s3cret-h3ader"
LOGIN = base64.b64encode(b"w4tch:p4ssw0rd-of-it").decode()
SPECIAL = {
    410: Verdict(REFUSED, gone=True),
    413: Verdict(REFUSED),
    415: Verdict(REFUSED),
    429: Verdict(FAILED, throttled=True),
}
CODES = (200, 201, 204, 301, 302, 307, 308, 400, 401, 403, 404, 408, 410, 413, 415, 429, 500, 502, 503, 504, 599)
VERDICTS = {code: SPECIAL.get(code, Verdict(DELIVERED if code < 300 else FAILED)) for code in CODES}
DEEDS = {
    Fault.SILENCE: hostile.silence,
    Fault.DRIP: hostile.drip,
    Fault.HEAD_DRIP: hostile.head_drip,
    Fault.HANG_UP: hostile.hang_up,
    Fault.RESET: hostile.reset,
    Fault.GARBAGE: hostile.garbage,
    Fault.CUT_OFF: hostile.cut_off,
}


class Marks:
    """The event's id in every message that a server has seen."""

    def __init__(self, server):
        self._server = server

    def __iter__(self):
        return (facts_of(request)["Event"] for request in self._server.requests)

    def __len__(self):
        return len(self._server.requests)


def facts_of(request):
    """The facts in a message, by their names."""
    lines = json.loads(request.body)["message"].split("\n")
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def url_at(origin, target=TARGET):
    """An Apprise URL for a server of ours: json:// posts JSON to any host."""
    return f"json://w4tch:p4ssw0rd-of-it@{origin.removeprefix('http://')}{target}"


def sink_to(origin, target=TARGET, **settings):
    url = url_at(origin, target)
    return AppriseSink(lambda: url, **({"schemes": ("json",), "timeout_s": TIMEOUT_S} | settings))


class AppriseChannel:
    """Hostile HTTP servers on loopback, reached by Apprise."""

    secrets = (
        "T0AB12CD34",
        "s3cr3t-p%2Fath-segment",
        "s3cr3t-p/ath-segment",
        "t0p-s3cret-h3ader",
        "p4ssw0rd-of-it",
        LOGIN,
    )
    verdicts = VERDICTS
    patience = 429

    @asynccontextmanager
    async def facing(self, deed, **settings):
        async with hostile.Hostile(deed) as server:
            yield Stage(sink_to(server.origin, **settings), Marks(server))

    @asynccontextmanager
    async def answering(self):
        async def deed(request, writer):
            headers = {"location": "/elsewhere"} if stage.code // 100 == 3 else {}
            headers |= {} if stage.retry_after is None else {"retry-after": stage.retry_after}
            return await hostile.reply(writer, stage.code, headers, b"so it is\n")

        async with self.facing(deed, timeout_s=15) as stage:
            yield stage

    @asynccontextmanager
    async def failing(self, fault):
        if fault in DEEDS:
            async with self.facing(DEEDS[fault]) as stage:
                yield stage
        elif fault is Fault.NO_NAME:
            yield Stage(sink_to("http://nobody.invalid", timeout_s=15), ())
        else:
            with hostile.closed_port() as origin:
                yield Stage(sink_to(origin, timeout_s=15), ())

    def flooding(self):
        return self.facing(hostile.endless(500), timeout_s=15)

    def echoing(self):
        return self.facing(hostile.echo, timeout_s=15)


@pytest.fixture
async def channel():
    return AppriseChannel()


class TestAppriseSink(SinkContract):
    """It keeps the obligations of every sink."""


@pytest.fixture
async def server():
    async def deed(request, writer):
        return await hostile.reply(writer, 200)

    async with hostile.Hostile(deed) as server:
        yield server


async def sent_by(sink, event=None):
    return (await sink.send([message(event)], NOW)).outcome


async def test_people_read_what_happened(server):
    """Title, facts, result and link, in plain words."""
    event = task_event(metadata={"team": "video"})
    assert (await sent_by(sink_to(server.origin, public_url="https://ringback.example/"), event)).status == 200
    said, facts = json.loads(server.requests[0].body), facts_of(server.requests[0])
    assert said["title"] == "Succeeded: 302ai-browser 26cbe8e5-0d5e"
    assert (facts["Task"], facts["Metadata team"], facts["Event"]) == ("26cbe8e5-0d5e", "video", event.id)
    assert said["message"].endswith("\n42 items\nhttps://ringback.example/v1/watches/w_1f0c/answer")


@pytest.mark.parametrize(("shown", "length"), [("excerpt", 300), ("full", 5000), ("none", 0)])
async def test_as_much_of_the_result_as_is_wanted(server, shown, length):
    """An excerpt, the whole of it, or nothing."""
    await sent_by(sink_to(server.origin, result=shown), task_event(result=document("#" * 5000)))
    assert json.loads(server.requests[0].body)["message"].count("#") == length


async def test_a_value_cannot_pass_for_another_fact(server):
    """However odd metadata is, it stays on its line."""
    await sent_by(sink_to(server.origin), task_event(metadata={"a": "b\nEvent: forged\r\n\x1b[2J"}))
    facts = facts_of(server.requests[0])
    assert facts["Event"] == task_event().id
    assert facts["Metadata a"] == "b Event: forged [2J"


@pytest.mark.parametrize(
    ("event", "mood"),
    [(task_event(EventType.TASK_FAILED), "failure"), (task_event(EventType.TASK_RUNNING), "info")],
)
async def test_the_service_is_told_the_mood(server, event, mood):
    """Colour and icon follow the outcome."""
    await sent_by(sink_to(server.origin), event)
    assert json.loads(server.requests[0].body)["type"] == mood


async def test_what_is_said_about_ourselves_can_be_read(server):
    """An account that cannot be asked: why, and how many wait for it."""
    await sent_by(sink_to(server.origin), account_event())
    said = json.loads(server.requests[0].body)
    assert said["title"] == "Degraded: account 302ai"
    assert said["message"].startswith("unauthorized: the key is refused\nOpen watches: 12\n")


@pytest.mark.parametrize("target", ["/hook", "/hook?redirect=yes"])
async def test_redirects_are_not_followed(target):
    """Whatever the URL asks for: the message goes where it says, nowhere else."""

    async def deed(request, writer):
        return await hostile.reply(writer, 307, {"location": "/elsewhere"})

    async with hostile.Hostile(deed) as server:
        outcome = await sent_by(sink_to(server.origin, target))
        assert [request.target for request in server.requests] == ["/hook"]
    assert outcome.outcome is AttemptOutcome.FAILED
    assert "redirects are not followed" in outcome.message


async def test_the_environment_chooses_no_way(server, monkeypatch):
    """A proxy of the environment is not taken; that of the settings is."""
    with hostile.closed_port() as nowhere:
        monkeypatch.setenv("HTTP_PROXY", nowhere)
        monkeypatch.setenv("http_proxy", nowhere)
        assert (await sent_by(sink_to(server.origin, timeout_s=15))).outcome is DELIVERED
    assert (await sent_by(sink_to("http://far.invalid", "/x", proxy=server.origin, timeout_s=15))).outcome is DELIVERED
    assert server.requests[1].target == "http://far.invalid/x"


async def test_an_answer_that_unpacks_to_much_is_not_unpacked(server):
    """We ask for identity."""
    await sent_by(sink_to(server.origin))
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_the_loop_goes_on_while_apprise_waits():
    """A service that does not answer keeps its thread, not the daemon."""
    came = asyncio.Event()

    async def deed(request, writer):
        came.set()
        await hostile.silence(request, writer)

    async with hostile.Hostile(deed) as server:
        sending = asyncio.create_task(sent_by(sink_to(server.origin)))
        async with asyncio.timeout(20):
            await came.wait()
            assert not sending.done()
            assert (await sending).outcome is FAILED


async def test_threads_that_are_left_behind_are_counted(server, monkeypatch):
    """A thread cannot be stopped: at four that do not come back nothing new is begun, and when they do it goes on."""
    hold, sink = threading.Event(), sink_to(server.origin, timeout_s=0.05)
    real = sink._service

    class Stuck:
        def notify(self, **text):
            return hold.wait(60)

    monkeypatch.setattr(sink, "_service", lambda url: Stuck())
    late = [await sent_by(sink) for _ in range(apprise.LEFT_BEHIND_AT_MOST)]
    assert {outcome.message for outcome in late} == {"json:// gave no whole answer within 0.05 s"}
    refused = await sent_by(sink)
    assert (refused.outcome, refused.latency_ms) == (FAILED, 0)
    assert "has not let go of 4 earlier messages" in refused.message
    stuck = list(sink._left_behind)
    hold.set()
    for thread in stuck:
        await asyncio.to_thread(thread.join, 20)
    monkeypatch.setattr(sink, "_service", real)
    sink._timeout_s = 15
    assert (await sent_by(sink)).outcome is DELIVERED
    assert sink._left_behind == []


async def test_whatever_apprise_raises_is_a_failure(server, monkeypatch):
    """A defect in a plugin ends no loop, and its words, which may quote anything, are not repeated."""
    sink = sink_to(server.origin, timeout_s=15)

    class Broken:
        def notify(self, **text):
            raise KeyError("p4ssw0rd-of-it")

    monkeypatch.setattr(sink, "_service", lambda url: Broken())
    outcome = await sent_by(sink)
    assert outcome.outcome is AttemptOutcome.FAILED
    assert outcome.message == "json:// could not be asked (KeyError)"


async def test_a_yes_that_means_no_is_a_failure():
    """A service that answers 200 and says no in its body is heard by its plugin; its words are kept."""

    async def deed(request, writer):
        return await hostile.reply(writer, 200, body=b'{"ok": false, "error": "chat not found"}')

    async with hostile.Hostile(deed) as server:
        sink = sink_to(server.origin, timeout_s=15)
        service = sink._service(sink._url())
        outcome = None
        plugin = service[0]
        plugin.send = lambda *args, **kwargs: bool(requests.post(server.origin, timeout=5).json()["ok"])
        sink._service = lambda url: service
        outcome = await sent_by(sink)
    assert (outcome.outcome, outcome.status) == (FAILED, 200)
    assert outcome.message == "json:// did not take the message"
    assert "chat not found" in outcome.excerpt


async def test_nothing_reaches_our_log(monkeypatch, caplog):
    """Apprise's own lines may name what is secret: the warnings stay with the attempt, masked, and the rest is gone."""
    root, heard = logging.getLogger(), []
    listener = logging.Handler()
    listener.emit = heard.append
    monkeypatch.setattr(root, "handlers", [*root.handlers, listener])
    caplog.set_level(logging.DEBUG)
    with hostile.closed_port() as origin:
        outcome = await sent_by(sink_to(origin, timeout_s=15))
    assert [record.name for record in heard if record.name.startswith(("apprise", "urllib3"))] == []
    assert "Connection error" in outcome.excerpt


async def test_other_users_of_requests_go_on_as_they_did(server):
    """Only what Apprise does for us is bounded."""
    sink_to(server.origin)
    answer = await asyncio.to_thread(requests.get, server.origin, timeout=20)
    assert answer.status_code == 200
    assert "gzip" in server.requests[0].headers["accept-encoding"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ntfy://topic", "ntfy is not among the `schemes` that are allowed: json"),
        ("file:///etc/passwd", "file is not among"),
        ("nonsense-of-s3cret", "its URL is not among"),
        ("json://", r"Apprise cannot read the json:// URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url, says):
    """At the start, with what to do, and without repeating it."""
    with pytest.raises(BadInput, match=says) as refused:
        AppriseSink(lambda: url, schemes=("json",))
    assert "s3cret" not in refused.value.message


async def test_a_secret_file_that_is_gone_is_a_failed_attempt(server):
    """What is wrong with the URL just now is told, and tried again."""
    urls = iter([url_at(server.origin)])

    def read():
        try:
            return next(urls)
        except StopIteration:
            raise BadInput("the secret file /run/secrets/apprise cannot be read") from None

    outcome = await sent_by(AppriseSink(read, schemes=("json",)))
    assert outcome.outcome is FAILED
    assert outcome.message == "the secret file /run/secrets/apprise cannot be read"


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    """The base install has no Apprise: who asks for it is told how to get it."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(BadInput, match=r"pip install 'ringback\[apprise\]'"):
        AppriseSink(lambda: "json://localhost", schemes=("json",))


def test_nothing_imports_it_before_it_is_asked_for():
    """The base install starts without Apprise and without requests."""
    code = "import sys, ringback.app, ringback.sinks.apprise; print({'apprise', 'requests'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_every_allowed_scheme_is_one_of_apprise_s():
    """The list names services that there are."""
    from apprise import Apprise  # noqa: PLC0415 - asked for here

    known = {
        scheme
        for service in Apprise().details()["schemas"]
        for scheme in (*(service["protocols"] or ()), *(service["secure_protocols"] or ()))
    }
    assert set(apprise.SCHEMES) <= known
    assert not {"json", "xml", "form", "syslog", "mailto", "slack", "apprise"} & set(apprise.SCHEMES)


@pytest.mark.parametrize(
    ("url", "scheme"), [("46elks://x", "46elks"), ("tgram://1:2/3", "tgram"), ("ntfy:topic", None), ("", None)]
)
def test_a_scheme_is_what_stands_before_the_slashes(url, scheme):
    """Anything else is no Apprise URL."""
    assert scheme_of(url) == scheme
