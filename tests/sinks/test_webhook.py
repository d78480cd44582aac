"""The webhook sink: the contract of all sinks, and what is special about HTTP."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime

import pytest

from ringback import __version__
from ringback.core.errors import BadInput
from ringback.core.model import AttemptOutcome
from ringback.outbound import Outbound, Via
from ringback.receiver import Receiver, Reply
from ringback.sinks import signing
from ringback.sinks.payload import event_json
from ringback.sinks.webhook import WebhookSink
from tests.sinks import hostile
from tests.sinks.contract import DELIVERED, FAILED, REFUSED, TIMEOUT_S, Fault, SinkContract, Stage, Verdict
from tests.sinks.samples import NOW, OLD_SECRET, SECRET, message, task_event

TARGET = "/hooks/T0AB12CD34/s3cr3t-p%2Fath-segment?token=t0p-s3cret&x=1"
HEADERS = {"Authorization": "Bearer abc/def+ghi==", "X-Team": 'quoted "value" <here>'}
SPECIAL = {
    410: Verdict(REFUSED, gone=True),
    413: Verdict(REFUSED),
    415: Verdict(REFUSED),
    429: Verdict(FAILED, throttled=True),
}
VERDICTS = {code: SPECIAL.get(code, Verdict(DELIVERED if code < 300 else FAILED)) for code in range(200, 600)}
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
    """The webhook ids that a server has seen."""

    def __init__(self, server):
        self._server = server

    def __iter__(self):
        return (request.headers["webhook-id"] for request in self._server.requests)

    def __len__(self):
        return len(self._server.requests)


class HttpChannel:
    """Hostile HTTP servers on loopback."""

    secrets = (
        SECRET,
        SECRET.removeprefix("whsec_"),
        OLD_SECRET,
        TARGET,
        "T0AB12CD34",
        "s3cr3t-p%2Fath-segment",
        "s3cr3t-p/ath-segment",
        "t0p-s3cret",
        "abc/def+ghi==",
        "abc\\/def+ghi==",
        'quoted "value" <here>',
        'quoted \\"value\\" <here>',
    )
    verdicts = VERDICTS
    patience = 429

    def __init__(self, outbound):
        self.outbound = outbound

    def sink(self, origin, **settings):
        settings = {"secrets": lambda: [SECRET, OLD_SECRET], "headers": HEADERS, "timeout_s": TIMEOUT_S} | settings
        return WebhookSink(self.outbound, origin + TARGET, **settings)

    @asynccontextmanager
    async def facing(self, deed, **settings):
        async with hostile.Hostile(deed) as server:
            yield Stage(self.sink(server.origin, **settings), Marks(server))

    @asynccontextmanager
    async def answering(self):
        async def deed(request, writer):
            headers = {} if stage.retry_after is None else {"retry-after": stage.retry_after}
            return await hostile.reply(writer, stage.code, headers, b"so it is\n")

        async with self.facing(deed, timeout_s=15) as stage:
            yield stage

    @asynccontextmanager
    async def failing(self, fault):
        if fault in DEEDS:
            async with self.facing(DEEDS[fault]) as stage:
                yield stage
        elif fault is Fault.NO_NAME:
            yield Stage(self.sink("http://nobody.invalid", timeout_s=15), ())
        else:
            with hostile.closed_port() as origin:
                yield Stage(self.sink(origin, timeout_s=15), ())

    def flooding(self):
        return self.facing(hostile.endless(500), timeout_s=15)

    def echoing(self):
        return self.facing(hostile.echo, timeout_s=15)


@pytest.fixture
async def outbound():
    outbound = Outbound()
    yield outbound
    await outbound.aclose()


@pytest.fixture
async def channel(outbound):
    return HttpChannel(outbound)


class TestWebhookSink(SinkContract):
    """It keeps the obligations of every sink."""


@pytest.fixture
async def receiver():
    async with Receiver([SECRET], now=lambda: NOW) as receiver:
        yield receiver


def sink_to(outbound, url, **settings):
    return WebhookSink(outbound, url, **({"secrets": lambda: [SECRET]} | settings))


async def outcome_of(sink, event=None):
    return (await sink.send([message(event)], NOW)).outcome


async def test_one_post_carries_the_event(outbound, receiver):
    """The body is the public event, the headers say what it is and who sends it."""
    event = task_event()
    outcome = await outcome_of(sink_to(outbound, f"{receiver.url}/hook?a=b", headers={"X-Team": "video"}), event)
    (received,) = receiver.received
    assert outcome.outcome is AttemptOutcome.DELIVERED
    assert outcome.status == 200
    assert outcome.message is outcome.excerpt is None
    assert received.path == "/hook?a=b"
    assert received.body == event_json(event)
    assert received.headers["content-type"] == "application/json"
    assert received.headers["user-agent"] == f"ringback/{__version__}"
    assert received.headers["x-team"] == "video"
    assert received.headers["webhook-id"] == event.id
    assert received.headers["webhook-timestamp"] == str(int(NOW.timestamp()))


async def test_the_secrets_are_read_at_each_send(outbound, receiver):
    """A rotated secret is used by the next attempt; while two are valid both sign."""
    valid = [SECRET]
    sink = sink_to(outbound, receiver.url, secrets=lambda: valid)
    await outcome_of(sink)
    valid.insert(0, OLD_SECRET)
    await outcome_of(sink)
    valid.remove(SECRET)
    refused = await outcome_of(sink)
    one, two = receiver.received
    assert len(one.headers["webhook-signature"].split(" ")) == 1
    assert len(two.headers["webhook-signature"].split(" ")) == 2
    assert refused.status == 401
    assert refused.outcome is AttemptOutcome.FAILED


async def test_the_time_signed_is_that_of_the_attempt(outbound, receiver):
    """A delivery that is tried again a day later is not refused for its age."""
    sink = sink_to(outbound, receiver.url)
    later = NOW + timedelta(days=1)
    receiver._now = lambda: later
    await sink.send([message(attempt=9)], later)
    assert receiver.received[0].headers["webhook-timestamp"] == str(int(later.timestamp()))


@pytest.mark.parametrize(
    ("secrets", "says"),
    [
        (list, "no secret to sign with"),
        (lambda: ["hunter2-hunter2-hunter2"], "starts with whsec_"),
    ],
)
async def test_nothing_leaves_unsigned(outbound, receiver, secrets, says):
    """Without a usable secret nothing is sent; the delivery stays owed and its attempt says what to do."""
    outcome = await outcome_of(sink_to(outbound, receiver.url, secrets=secrets))
    assert outcome.outcome is AttemptOutcome.FAILED
    assert says in outcome.message
    assert "hunter2" not in outcome.message
    assert receiver.received == receiver.refused == []


async def test_an_unreadable_secret_file_is_a_failed_attempt(outbound, receiver):
    """A secret that cannot be had just now ends no loop."""

    def unreadable():
        raise BadInput("/run/secrets/hook cannot be read: permission denied")

    outcome = await outcome_of(sink_to(outbound, receiver.url, secrets=unreadable))
    assert outcome.outcome is AttemptOutcome.FAILED
    assert outcome.message == "/run/secrets/hook cannot be read: permission denied"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 302, 404])
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", timedelta(seconds=7)),
        (format_datetime(NOW.replace(microsecond=0) + timedelta(hours=2), usegmt=True), timedelta(hours=2)),
        (None, None),
        ("soon", None),
    ],
)
async def test_retry_after_is_handed_on(channel, status, header, wait):
    """Seconds or a date, with any failure."""
    async with channel.answering() as stage:
        stage.code, stage.retry_after = status, header
        outcome = await outcome_of(stage.sink)
    if wait is None:
        assert outcome.retry_after is None
    else:
        assert abs(outcome.retry_after - wait) < timedelta(seconds=1)


async def test_redirects_are_not_followed(channel):
    """The event and its signature go where the configuration says, nowhere else."""

    async def deed(request, writer):
        return await hostile.reply(writer, 307, {"location": "/elsewhere"})

    async with channel.facing(deed) as stage:
        outcome = await outcome_of(stage.sink)
        assert len(stage.marks) == 1
    assert outcome.outcome is AttemptOutcome.FAILED
    assert "redirects are not followed" in outcome.message


async def test_success_counts_however_long_the_answer(channel):
    """A receiver that took the event and talks without end is not sent it again."""
    async with channel.facing(hostile.endless(200), timeout_s=15) as stage:
        outcome = await outcome_of(stage.sink)
    assert outcome.outcome is AttemptOutcome.DELIVERED
    assert len(outcome.excerpt.encode()) in range(4090, 4097)


async def test_a_message_names_only_the_origin(channel):
    """Who reads a log sees who failed, not where exactly."""
    async with hostile.Hostile(hostile.hang_up) as server:
        broken = await outcome_of(channel.sink(server.origin))
    async with channel.answering() as stage:
        stage.code = 503
        answered = await outcome_of(stage.sink)
    assert broken.message.startswith(f"{server.origin} ")
    assert answered.message == f"{stage.sink._url.removesuffix(TARGET)} answered 503 Service Unavailable"


async def test_the_time_it_took_is_measured(outbound):
    """Latency is that of the whole exchange."""
    hold = asyncio.Event()
    async with Receiver([SECRET], now=lambda: NOW, answers=[Reply(after=hold)]) as receiver:
        sending = asyncio.create_task(outcome_of(sink_to(outbound, receiver.url)))
        await receiver.wait_for(1)
        asyncio.get_running_loop().call_later(0.1, hold.set)
        outcome = await sending
    assert outcome.latency_ms > 99


async def test_a_private_certificate_authority_that_cannot_be_read_is_a_failure(outbound, receiver):
    """What is wrong with the way out is told like any other failure."""
    outcome = await outcome_of(sink_to(outbound, receiver.url, via=Via(ca_file="/nowhere/ca.pem")))
    assert outcome.outcome is AttemptOutcome.FAILED
    assert outcome.message


async def test_an_event_with_all_its_text_arrives_whole(outbound, receiver):
    """Every character of a result arrives."""
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000)]))
    event = task_event(metadata={"everything": text})
    await outcome_of(sink_to(outbound, receiver.url), event)
    assert json.loads(receiver.received[0].body)["data"]["metadata"]["everything"] == text


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Webhook-Id": "x"}, "Webhook-Id is set by ringback itself"),
        ({"webhook-anything": "x"}, "is set by ringback itself"),
        ({"Content-Type": "x"}, "is set by ringback itself"),
        ({"content-length": "x"}, "is set by ringback itself"),
        ({"HOST": "x"}, "is set by ringback itself"),
        ({"User-Agent": "x"}, "is set by ringback itself"),
        ({"Transfer-Encoding": "chunked"}, "is set by ringback itself"),
        ({"X Team": "x"}, "is no header name"),
        ({"": "x"}, "is no header name"),
        ({"X-Team": "a\r\nWebhook-Id: b"}, "cannot be sent"),
        ({"X-Team": "日本"}, "cannot be sent"),
        ({"X-Team": " x"}, "cannot be sent"),
    ],
)
async def test_a_header_of_ours_is_refused(outbound, headers, says):
    """A custom header can neither replace what is signed nor break the request; its value is not repeated."""
    with pytest.raises(BadInput, match=says) as refused:
        sink_to(outbound, "http://127.0.0.1", headers=headers)
    assert "Webhook-Id: b" not in refused.value.message


async def test_a_bad_url_is_a_failed_attempt(outbound):
    """Even a URL that cannot be asked ends no loop, and is not repeated."""
    outcome = await outcome_of(sink_to(outbound, "http://user:passw0rd@127.0.0.1/secret-path"))
    assert outcome.outcome is AttemptOutcome.FAILED
    assert "passw0rd" not in outcome.message
    assert "secret-path" not in outcome.message


async def test_signatures_are_made_with_the_scheme_of_one_file(outbound, receiver):
    """What is sent is what signing.py makes: nobody signs beside it."""
    event = task_event()
    await outcome_of(sink_to(outbound, receiver.url), event)
    expected = signing.signed_headers([SECRET], event.id, NOW, event_json(event))
    assert expected.items() <= receiver.received[0].headers.items()
