"""The local receiver: what it believes, what it answers, and how tests wait for it."""

import asyncio
import itertools
import socket
from datetime import timedelta

import httpx
import pytest

from ringback.core.errors import SetupError
from ringback.receiver import BODY_AT_MOST, Receiver, Reply
from ringback.sinks.payload import event_json
from ringback.sinks.signing import signed_headers
from tests.sinks.samples import NOW, OLD_SECRET, SECRET, account_event, destination_event, task_event


@pytest.fixture
async def http():
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def receiver_of(*answers, **settings):
    return Receiver(**({"secret": SECRET, "now": lambda: NOW, "answers": answers} | settings))


async def ring(http, receiver, event=None, *, secret=SECRET, at=NOW, path=""):
    """Send an event as the sink does."""
    event = event or task_event()
    body = event_json(event)
    headers = signed_headers([secret], event.id, at, body)
    return await http.post(receiver.url + path, content=body, headers=headers)


async def test_a_signed_event_is_received_and_answered_200(http):
    """It is kept with its headers, its body and what it says."""
    async with receiver_of() as receiver:
        answer = await ring(http, receiver, path="/cb/1?x=y")
        (received,) = await receiver.wait_for(1)
    assert answer.status_code == 200
    assert received.path == "/cb/1?x=y"
    assert received.body == event_json(task_event())
    assert (received.id, received.type) == (task_event().id, "task.succeeded")
    assert received.data["result"] == "42 items"
    assert received.at == NOW
    assert receiver.accepted == [received]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"secret": OLD_SECRET}, "no signature matches"),
        ({"at": NOW - timedelta(minutes=6)}, "360 s old"),
        ({"at": NOW + timedelta(minutes=6)}, "360 s in the future"),
    ],
)
async def test_what_is_not_signed_is_refused_with_the_reason(http, settings, says):
    """401, and nothing is received."""
    async with receiver_of(503) as receiver:
        answer = await ring(http, receiver, **settings)
        assert answer.status_code == 401
        assert says in answer.text
        assert receiver.received == []
        assert says in receiver.refused[0].reason
        assert (await ring(http, receiver)).status_code == 503, "a refused request must not use up an answer"


async def test_a_request_without_signature_is_refused(http):
    """It says which headers are missing."""
    async with receiver_of() as receiver:
        answer = await http.post(receiver.url, json={})
    assert answer.status_code == 401
    assert "webhook-signature" in answer.text


async def test_any_of_its_secrets_will_do(http):
    """During a rotation both are good; tests with several callbacks need one receiver."""
    async with receiver_of(secret=[OLD_SECRET, SECRET]) as receiver:
        assert (await ring(http, receiver)).status_code == 200
        assert (await ring(http, receiver, secret=OLD_SECRET)).status_code == 200


async def test_the_clock_it_checks_with_is_handed_down(http):
    """It may be turned while the receiver runs."""
    clock = [NOW]
    async with receiver_of(now=lambda: clock[0]) as receiver:
        clock[0] = NOW + timedelta(days=1)
        assert (await ring(http, receiver)).status_code == 401
        assert (await ring(http, receiver, at=clock[0])).status_code == 200


async def test_without_a_secret_nothing_is_checked(http):
    """And the printed line says so."""
    lines = []
    async with receiver_of(secret=None, printer=lines.append) as receiver:
        assert (await ring(http, receiver, secret=OLD_SECRET)).status_code == 200
        assert (await http.post(receiver.url, json={"type": "x", "data": {}})).status_code == 200
    assert "signature not checked" in lines[0]


async def test_answers_are_given_one_after_another(http):
    """A script of statuses and whole replies, then `otherwise`, which can be changed on the way."""
    async with receiver_of(503, Reply(429, {"retry-after": "30"}, "slowly")) as receiver:
        first, second = await ring(http, receiver), await ring(http, receiver)
        assert first.status_code == 503
        assert (second.status_code, second.headers["retry-after"], second.text) == (429, "30", "slowly")
        receiver.otherwise = 410
        assert (await ring(http, receiver)).status_code == 410
        receiver.otherwise = 200
        assert (await ring(http, receiver)).status_code == 200
        assert len(receiver.received) == 4
        assert len(receiver.accepted) == 1


async def test_answers_may_never_end(http):
    """A receiver that is down for good is one line of a test."""
    async with receiver_of(answers=itertools.repeat(503)) as receiver:
        assert {(await ring(http, receiver)).status_code for _ in range(5)} == {503}


async def test_an_answer_waits_for_its_event(http):
    """A slow receiver without a clock: it answers when the test says so."""
    hold = asyncio.Event()
    async with receiver_of(Reply(after=hold)) as receiver:
        sending = asyncio.create_task(ring(http, receiver))
        await receiver.wait_for(1)
        assert not sending.done()
        hold.set()
        assert (await sending).status_code == 200


async def test_it_can_hang_up(http):
    """The event came in, the sender cannot know."""
    async with receiver_of(Reply(hang_up=True)) as receiver:
        with pytest.raises(httpx.RemoteProtocolError):
            await ring(http, receiver)
        assert len(receiver.received) == 1
        assert receiver.accepted == []
        assert (await ring(http, receiver)).status_code == 200


async def test_duplicates_stay_visible(http):
    """The same event twice is two entries, and each knows which one it is."""
    lines = []
    async with receiver_of(503, printer=lines.append) as receiver:
        await ring(http, receiver)
        await ring(http, receiver)
        await ring(http, receiver, task_event(sequence=4))
    assert [one.nth for one in receiver.received] == [1, 2, 1]
    assert receiver.counts[task_event().id] == 2
    assert ["again, number 2" in line for line in lines] == [False, True, False]


async def test_one_line_is_printed_for_each_request(http):
    """What happened, to what, whether it is believed and what was answered."""
    lines = []
    async with receiver_of(200, 503, Reply(hang_up=True), printer=lines.append) as receiver:
        await ring(http, receiver)
        await ring(http, receiver, account_event())
        with pytest.raises(httpx.RemoteProtocolError):
            await ring(http, receiver, destination_event())
        await ring(http, receiver, secret=OLD_SECRET)
    assert lines == [
        "05:33:00  task.succeeded  302ai-browser 26cbe8e5-0d5e  running -> succeeded  #3  signature valid -> 200",
        "05:33:00  provider.degraded  302ai  signature valid -> 503",
        "05:33:00  destination.paused  builds  signature valid -> hung up",
        "05:33:00  refused: no signature matches: another secret was used, or the body was changed on its way -> 401",
    ]


async def test_what_an_event_says_cannot_play_with_the_terminal(http):
    """Escapes and newlines in an id stay one harmless line."""
    lines = []
    async with receiver_of(printer=lines.append) as receiver:
        await ring(http, receiver, task_event(task_id="a\x1b[2Jb\nc\rd"))
    assert "302ai-browser a[2Jb cd  running" in lines[0]
    assert lines[0].isprintable()


@pytest.mark.parametrize("body", [b"", b"nothing", b"[1]", b'{"data": 1}', b"[" * 200_000, b"\xff"])
async def test_what_is_no_event_is_refused(http, body):
    """400 for a body that says nothing, signed or not."""
    async with receiver_of() as receiver:
        answer = await http.post(receiver.url, content=body, headers=signed_headers([SECRET], "evt_1", NOW, body))
        assert answer.status_code == 400
        assert receiver.received == []
        assert len(receiver.refused) == 1


async def test_a_curious_browser_is_told_what_this_is(http):
    """GET is no event."""
    async with receiver_of() as receiver:
        answer = await http.get(receiver.url)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert "receiver of ringback" in answer.text
        assert receiver.refused == receiver.received == []


async def test_a_body_without_end_is_not_taken():
    """413, and the memory stays."""
    async with receiver_of() as receiver:
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
        writer.write(f"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY_AT_MOST + 1}\r\n\r\n".encode())
        writer.write(b"." * (BODY_AT_MOST + 1))
        assert b" 413 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize("garbage", [b"SSH-2.0-x\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 70_000, b"\x16\x03"])
async def test_garbage_ends_its_connection_only(http, garbage):
    """What is not HTTP is turned away, and the next one is served."""
    async with receiver_of() as receiver:
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
        writer.write(garbage)
        writer.write_eof()
        answer = await reader.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        writer.close()
        assert (await ring(http, receiver)).status_code == 200


async def test_chunked_bodies_and_100_continue_are_understood():
    """Tunnels and curl use both."""
    body = event_json(task_event())
    head = "".join(f"{k}: {v}\r\n" for k, v in signed_headers([SECRET], task_event().id, NOW, body).items())
    async with receiver_of() as receiver:
        reader, writer = await asyncio.open_connection(receiver.host, receiver.port)
        head += "host: x\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n"
        writer.write(f"POST / HTTP/1.1\r\n{head}\r\n".encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert b" 200 " in await reader.readline()
        writer.close()
    assert receiver.received[0].body == body


async def test_connections_are_kept(http):
    """A sender that keeps its connection sends one event after another on it."""
    async with receiver_of() as receiver:
        for _ in range(3):
            await ring(http, receiver)
        assert len(receiver._connections) == 1
        assert len(receiver.received) == 3


async def test_it_can_go_down_and_come_back(http):
    """Stopped, nobody answers; started again, it is the same address with the same memory."""
    async with receiver_of() as receiver:
        await ring(http, receiver)
        before = receiver.url
        await receiver.stop()
        with pytest.raises(httpx.TransportError):
            await ring(http, receiver)
        await receiver.start()
        assert receiver.url == before
        await ring(http, receiver)
        assert len(receiver.received) == 2


async def test_stopping_does_not_wait_for_held_answers(http):
    """The end of a test is the end."""
    receiver = receiver_of(Reply(after=asyncio.Event()))
    await receiver.start()
    sending = asyncio.create_task(ring(http, receiver))
    await receiver.wait_for(1)
    await receiver.stop()
    with pytest.raises(httpx.RemoteProtocolError):
        await sending


async def test_waiting_ends_when_it_is_true(http):
    """A predicate over everything received, asked again after every request, refused ones too."""
    async with receiver_of() as receiver:
        waiting = asyncio.create_task(
            receiver.wait_until(lambda got: [one for one in got if one.data["sequence"] == 5])
        )
        refused = asyncio.create_task(receiver.wait_until(lambda _: receiver.refused))
        await ring(http, receiver)
        assert not waiting.done()
        await ring(http, receiver, task_event(sequence=5))
        assert len(await waiting) == 2
        assert not refused.done()
        await ring(http, receiver, secret=OLD_SECRET)
        await refused


async def test_waiting_in_vain_says_what_came(http):
    """A failing test tells what it got instead."""
    async with receiver_of(503) as receiver:
        await ring(http, receiver)
        await ring(http, receiver, secret=OLD_SECRET)
        with pytest.raises(TimeoutError) as vain:
            await receiver.wait_for(2, within_s=0)
    assert str(vain.value) == (
        "not within 0 s; received 1: task.succeeded -> 503; refused 1, the last: "
        "no signature matches: another secret was used, or the body was changed on its way"
    )


async def test_a_port_in_use_is_one_sentence():
    """It says which, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"cannot listen on 127.0.0.1:{port} .*choose another with --port"):
            await receiver_of(port=port).start()


async def test_an_ipv6_address_makes_a_url():
    """The address stands in brackets."""
    receiver = receiver_of(host="::1", port=8303)
    assert receiver.url == "http://[::1]:8303"
