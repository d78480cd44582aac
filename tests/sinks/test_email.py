"""The e-mail sink: the contract of all sinks, and what is special about SMTP. What a mail says is test_letter.py's."""

import asyncio
import base64
import contextlib
import socket
import struct

import pytest

from ringback.core.errors import BadInput
from ringback.sinks.email import EmailSink, Smtp
from tests.sinks import hostile
from tests.sinks.contract import (
    DELIVERED,
    FAILED,
    MUCH_LATER_S,
    REFUSED,
    TIMEOUT_S,
    Fault,
    SinkContract,
    Stage,
    Verdict,
    send,
)
from tests.sinks.mail_server import (
    PASSWORD,
    USER,
    Authority,
    MailServer,
    Script,
    deaf,
    dripping,
    endless,
    garbage,
    hang_up,
    saying,
    waiting,
)
from tests.sinks.samples import NOW, document, message, task_event

TO = ("oncall@example.org", "second@example.org", "third@example.org")
LOGIN_CODES = {530, 534, 535, 538}
VERDICTS = {
    code: Verdict(DELIVERED if code < 300 else REFUSED if code >= 500 and code not in LOGIN_CODES else FAILED)
    for code in range(200, 600)
}
HELLO = "220 mail.test ESMTP"
PLAIN_EHLO = ["250-mail.test", "250 8BITMIME"]
TLS_EHLO = ["250-mail.test", "250 STARTTLS"]


async def reset(reader, writer):
    """Resets the connection."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def cut_off(reader, writer):
    """Goes in the middle of an answer."""
    writer.write(b"250-mail.test\r\n250 STA")
    await writer.drain()


DEEDS = {
    Fault.SILENCE: deaf,
    Fault.DRIP: saying(HELLO, then=dripping(b"2")),
    Fault.HEAD_DRIP: dripping(b"220-mail.test\r\n"),
    Fault.HANG_UP: hang_up,
    Fault.RESET: reset,
    Fault.GARBAGE: garbage,
    Fault.CUT_OFF: saying(HELLO, then=cut_off),
}


def base64_of(text):
    return base64.b64encode(text.encode()).decode().rstrip("=")


class Marks:
    """The message ids that a server has seen."""

    def __init__(self, server):
        self._server = server

    def __iter__(self):
        return (mail.parsed["message-id"] for mail in self._server.mails)

    def __len__(self):
        return len(self._server.mails)


class MailChannel:
    """Mail servers on loopback, that want STARTTLS and a login."""

    secrets = (PASSWORD, base64_of(PASSWORD), base64_of(f"\0{USER}\0{PASSWORD}"))
    verdicts = VERDICTS
    patience = 451

    def __init__(self, authority):
        self.authority = authority

    def sink(self, port, host="127.0.0.1", security="starttls", **settings):
        user = "" if security == "plain" else USER
        known = {
            "to": TO[:1],
            "sender": "ringback <ringback@example.org>",
            "smtp": Smtp(host, port, security, user),
            "password": (lambda: PASSWORD) if user else None,
            "timeout_s": 15,
            "ca_file": self.authority.ca_file,
        }
        return EmailSink(**known | settings)

    @contextlib.asynccontextmanager
    async def facing(self, deed, context=None, **settings):
        async with Script(deed, context) as server:
            yield Stage(self.sink(server.port, **settings), ())

    @contextlib.asynccontextmanager
    async def serving(self, context=None, server=None, **settings):
        context = context or self.authority.context()
        async with MailServer(context, **server or {}) as mail_server:
            yield mail_server, self.sink(mail_server.port, **settings)

    @contextlib.asynccontextmanager
    async def answering(self):
        class Answers(dict):
            def get(self, command, otherwise):
                return f"{stage.code} so it is" if command == "DATA" else otherwise

        async with self.serving(server={"answers": Answers({1: 1})}) as (server, sink):
            stage = Stage(sink, Marks(server))
            yield stage

    @contextlib.asynccontextmanager
    async def failing(self, fault):
        if fault in DEEDS:
            async with self.facing(DEEDS[fault], timeout_s=TIMEOUT_S) as stage:
                yield stage
        elif fault is Fault.NO_NAME:
            yield Stage(self.sink(25, "nobody.invalid"), ())
        else:
            with hostile.closed_port() as origin:
                yield Stage(self.sink(int(origin.rpartition(":")[2])), ())

    def flooding(self):
        return self.facing(saying([*["554-no"] * 3000, "554 no"]))

    @contextlib.asynccontextmanager
    async def echoing(self):
        def echo(args):
            heard = " ".join(args).encode()
            return b"535 you said " + heard + b" that is " + base64.b64decode(args[1]).rpartition(b"\0")[2]

        async with self.serving(server={"answers": {"AUTH": echo}, "without": ["LOGIN"]}) as (server, sink):
            yield Stage(sink, Marks(server))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def channel(authority):
    return MailChannel(authority)


class TestEmailSink(SinkContract):
    """It keeps the obligations of every sink."""

    async def test_a_request_for_patience_is_understood(self, channel):
        """SMTP has no word for how long to wait: a server that says `later` is tried again by our schedule."""
        async with channel.answering() as stage:
            for stage.code in (421, 450, channel.patience, 452):
                outcome = await send(stage)
                assert Verdict.of(outcome) == Verdict(FAILED)
                assert outcome.retry_after is None


async def outcome_of(sink, event=None):
    async with asyncio.timeout(MUCH_LATER_S):
        return (await sink.send([message(event)], NOW)).outcome


async def test_one_mail_carries_the_event(channel):
    """It goes to all recipients at once, over TLS, after a login, and its code and answer are kept."""
    async with channel.serving(to=TO, result="full") as (server, sink):
        outcome = await outcome_of(sink)
    (mail,) = server.mails
    assert outcome.outcome is DELIVERED
    assert (outcome.status, outcome.message, outcome.excerpt) == (250, None, "2.0.0 OK: queued")
    assert mail.encrypted
    assert mail.authenticated
    assert (mail.sender, mail.recipients) == ("ringback@example.org", list(TO))
    assert mail.parsed["to"] == ", ".join(TO)
    assert "42 items" in mail.text


async def test_several_events_are_one_mail(channel):
    """What is given at once is told at once."""
    messages = [message(task_event(sequence=number)) for number in range(1, 4)]
    async with channel.serving() as (server, sink):
        sent = await sink.send(messages, NOW)
    assert sent.outcome.outcome is DELIVERED
    (mail,) = server.mails
    assert mail.parsed["subject"] == "3 events: 3 succeeded"


async def test_a_line_that_begins_with_a_dot_arrives(channel):
    """No text of an event can end the mail early."""
    text = "one\r\n.\r\nMAIL FROM:<evil@example.org>\r\n..two\n.\n.three"
    async with channel.serving(result="full") as (server, sink):
        await outcome_of(sink, task_event(result=document(text)))
    (mail,) = server.mails
    assert text.replace("\r\n", "\n") in mail.text.replace("\r\n", "\n")


# ---------------------------------------------------------------------- the way there


async def test_tls_from_the_start(channel):
    """`smtps://` speaks TLS before anything else."""
    async with channel.serving(server={"implicit": True}, security="tls") as (server, sink):
        outcome = await outcome_of(sink)
    assert outcome.outcome is DELIVERED
    assert server.mails[0].encrypted
    assert server.logins[-1][1:] == (USER, PASSWORD)


async def test_plain_is_plain(channel):
    """`smtp://` neither protects the way nor logs in, even where it could."""
    async with channel.serving(security="plain") as (server, sink):
        outcome = await outcome_of(sink)
    assert outcome.outcome is DELIVERED
    assert not server.mails[0].encrypted
    assert server.logins == []


async def test_without_starttls_nothing_is_sent(channel):
    """A server, or somebody on the way, that leaves STARTTLS out gets neither login nor mail."""
    heard = []

    async def listening(reader, writer):
        heard.append(await reader.read())

    async with channel.facing(saying(HELLO, PLAIN_EHLO, then=listening)) as stage:
        outcome = await outcome_of(stage.sink)
        assert outcome.outcome is FAILED
        assert "does not offer STARTTLS" in outcome.message
    assert heard in ([], [b""])


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_a_certificate_must_be_trusted(channel, security, implicit):
    """Whoever cannot prove who he is gets neither login nor mail."""
    async with channel.serving(server={"implicit": implicit}, security=security, ca_file="") as (server, sink):
        outcome = await outcome_of(sink)
    assert outcome.outcome is FAILED
    assert "showed a certificate that is not accepted" in outcome.message
    assert server.mails == server.logins == []


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
async def test_a_certificate_must_be_that_of_the_host(channel, security, implicit):
    """A good certificate of somebody else is none."""
    context = channel.authority.context("other.example.org")
    async with channel.serving(context, server={"implicit": implicit}, security=security) as (server, sink):
        outcome = await outcome_of(sink)
    assert outcome.outcome is FAILED
    assert "showed a certificate that is not accepted" in outcome.message
    assert server.mails == server.logins == []


async def test_no_tls_where_tls_was_said(channel):
    """A server that answers a TLS greeting in the clear is no reason to do likewise."""
    async with channel.facing(saying(HELLO, then=waiting), security="tls") as stage:
        outcome = await outcome_of(stage.sink)
    assert outcome.outcome is FAILED
    assert outcome.message == f"{stage.sink._smtp.name} could not be spoken to over TLS"


async def test_what_is_injected_before_tls_is_not_believed(channel):
    """What somebody on the way appends to the answer to STARTTLS is not taken for the server's."""

    async def upgrade(reader, writer):
        await reader.readuntil(b"\r\n")
        writer.write(b"220 go\r\n250 AUTH PLAIN\r\n")
        await writer.start_tls(channel.authority.context())
        assert await reader.readuntil(b"\r\n") == b"EHLO " + name + b"\r\n"
        writer.write(b"250 mail.test\r\n")
        await waiting(reader, writer)

    async def deed(reader, writer):
        nonlocal name
        writer.write(HELLO.encode() + b"\r\n")
        name = (await reader.readuntil(b"\r\n")).split()[1]
        writer.write("\r\n".join([*TLS_EHLO, ""]).encode())
        await upgrade(reader, writer)

    name = b""
    async with channel.facing(deed) as stage:
        outcome = await outcome_of(stage.sink)
    assert outcome.outcome is FAILED
    assert "offers no login" in outcome.message


async def test_a_certificate_authority_that_cannot_be_read_is_a_failure(channel):
    """What is wrong with the configuration of the way out is told like any other failure, and names the file."""
    async with channel.serving(ca_file="/nowhere/ca.pem") as (_, sink):
        outcome = await outcome_of(sink)
    assert outcome.outcome is FAILED
    assert "/nowhere/ca.pem" in outcome.message


# ---------------------------------------------------------------------- the login


@pytest.mark.parametrize("without", ["PLAIN", "LOGIN"])
async def test_either_way_of_logging_in(channel, without):
    """Servers that know one way only are logged in to."""
    async with channel.serving(server={"without": [without]}) as (server, sink):
        assert (await outcome_of(sink)).outcome is DELIVERED
    assert [login[0] for login in server.logins] == [{"PLAIN", "LOGIN"}.difference([without]).pop()]


async def test_a_server_without_a_login(channel):
    """A login that is configured is not left out."""
    async with channel.serving(server={"without": ["PLAIN", "LOGIN"]}) as (server, sink):
        outcome = await outcome_of(sink)
    assert outcome.outcome is FAILED
    assert "offers no login" in outcome.message
    assert server.mails == []


async def test_a_wrong_password_is_no_fault_of_the_event(channel):
    """The event stays owed until somebody has put the password right, which is used at once."""
    passwords = ["wrong-password", PASSWORD]
    async with channel.serving(password=lambda: passwords[0]) as (_, sink):
        refused = await outcome_of(sink)
        passwords.pop(0)
        taken = await outcome_of(sink)
    assert (refused.outcome, refused.status) == (FAILED, 535)
    assert "smtp_password" in refused.message
    assert "wrong-password" not in f"{refused.message}{refused.excerpt}"
    assert taken.outcome is DELIVERED


async def test_an_unreadable_secret_file_is_a_failed_attempt(channel):
    """A secret that cannot be had just now ends no loop."""

    def unreadable():
        raise BadInput("/run/secrets/smtp cannot be read: permission denied")

    outcome = await outcome_of(channel.sink(25, password=unreadable))
    assert outcome.outcome is FAILED
    assert outcome.message == "/run/secrets/smtp cannot be read: permission denied"


# ---------------------------------------------------------------------- what the server says


async def test_some_recipients_are_refused(channel):
    """Who was accepted has it and is not sent it again; who was refused is named, with the code and what was said."""
    refuse = {TO[1]: "550 5.1.1 no such user", TO[2]: "452 4.2.2 mailbox full"}
    async with channel.serving(server={"refuse": refuse}, to=TO) as (server, sink):
        outcome = await outcome_of(sink)
    assert (outcome.outcome, outcome.status) == (DELIVERED, 250)
    assert outcome.message == f"{sink._smtp.name} took it, but not for {TO[1]} (550), {TO[2]} (452)"
    assert outcome.excerpt == f"{TO[1]}: 550 5.1.1 no such user\n{TO[2]}: 452 4.2.2 mailbox full"
    assert server.mails[0].recipients == [TO[0]]


@pytest.mark.parametrize(
    ("codes", "verdict", "status"),
    [
        ((550, 551, 553), REFUSED, 550),
        ((550, 451, 553), FAILED, 451),
        ((550, 530, 553), FAILED, 530),
        ((452, 450, 451), FAILED, 450),
    ],
)
async def test_every_recipient_is_refused(channel, codes, verdict, status):
    """While one of them may pass, it is tried again."""
    refuse = {address: f"{code} no" for address, code in zip(TO, codes, strict=True)}
    async with channel.serving(server={"refuse": refuse}, to=TO) as (server, sink):
        outcome = await outcome_of(sink)
    assert (outcome.outcome, outcome.status) == (verdict, status)
    assert all(f"{address} ({code})" in outcome.message for address, code in zip(TO, codes, strict=True))
    assert server.mails == []


async def test_a_server_that_closes_among_the_recipients(channel):
    """Then nobody has it, whoever was accepted before."""
    async with channel.serving(server={"refuse": {TO[1]: "421 4.3.2 shutting down"}}, to=TO) as (server, sink):
        outcome = await outcome_of(sink)
    assert (outcome.outcome, outcome.status) == (FAILED, 421)
    assert server.mails == []


@pytest.mark.parametrize(
    ("lines", "code", "says"),
    [
        (["554 go away"], 554, "to the connection"),
        (["421 too many"], 421, "to the connection"),
        ([HELLO, "550 no", "550 no"], 550, "to EHLO"),
        ([HELLO, TLS_EHLO, "454 no TLS now"], 454, "to STARTTLS"),
        ([HELLO, TLS_EHLO, "554 no TLS ever"], 554, "to STARTTLS"),
    ],
)
async def test_what_goes_wrong_before_the_mail_is_no_fault_of_it(channel, lines, code, says):
    """Even a final word about the conversation leaves the event owed."""
    async with channel.facing(saying(*lines)) as stage:
        outcome = await outcome_of(stage.sink)
    assert (outcome.outcome, outcome.status) == (FAILED, code)
    assert outcome.message == f"{stage.sink._smtp.name} answered {code} {says}"


@pytest.mark.parametrize(
    ("code", "verdict"), [(550, REFUSED), (552, REFUSED), (451, FAILED), (530, FAILED), (251, FAILED)]
)
async def test_the_sender_is_refused(channel, code, verdict):
    """The envelope is judged like the mail; only success in the wrong place is none."""
    async with channel.serving(server={"answers": {"MAIL": f"{code} no"}}) as (server, sink):
        outcome = await outcome_of(sink)
    assert (outcome.outcome, outcome.status) == (verdict, code)
    assert server.mails == []


async def test_success_without_asking_for_the_mail_is_none(channel):
    """A server that answers DATA with 250 has taken nothing."""
    lines = [HELLO, PLAIN_EHLO, "250 ok", "250 ok", "250 ok"]
    async with channel.facing(saying(*lines), security="plain") as stage:
        outcome = await outcome_of(stage.sink)
    assert (outcome.outcome, outcome.status) == (FAILED, 250)


async def test_a_long_refusal_is_kept_in_part(channel):
    """The code of a long answer counts, and its beginning is kept."""
    lines = [HELLO, PLAIN_EHLO, [*["550-" + "x" * 76] * 300, "550 end"]]
    async with channel.facing(saying(*lines), security="plain") as stage:
        outcome = await outcome_of(stage.sink)
    assert (outcome.outcome, outcome.status) == (REFUSED, 550)
    assert len(outcome.excerpt) == 4096


async def test_an_answer_without_end_is_a_failure(channel):
    """Nobody reads on for ever to find out what a server wants to say."""
    async with channel.facing(endless) as stage:
        outcome = await outcome_of(stage.sink)
    assert (outcome.outcome, outcome.status) == (FAILED, None)
    assert "does not speak SMTP" in outcome.message


async def test_something_else_than_smtp_is_told(channel):
    """Who has the wrong port sees what answers there."""
    async with channel.facing(garbage) as stage:
        outcome = await outcome_of(stage.sink)
    assert outcome.message == f"{stage.sink._smtp.name} does not speak SMTP"
    assert "HTTP/1.1 400 Bad Request" in outcome.excerpt


# ---------------------------------------------------------------------- time


@pytest.mark.parametrize(("answer", "verdict"), [("250 taken", DELIVERED), ("550 spam", REFUSED)])
async def test_nobody_waits_for_a_farewell(channel, answer, verdict):
    """What was answered to the mail stands, whatever becomes of the connection then; and QUIT is said."""

    async def take(reader, writer):
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(answer.encode() + b"\r\n")
        said.set_result(await reader.readuntil(b"\r\n"))
        await deaf(reader, writer)

    said = asyncio.get_running_loop().create_future()
    lines = [HELLO, PLAIN_EHLO, "250 ok", "250 ok", "354 go on"]
    async with channel.facing(saying(*lines, then=take), security="plain") as stage:
        outcome = await outcome_of(stage.sink)
        assert outcome.outcome is verdict
        assert await asyncio.wait_for(said, MUCH_LATER_S) == b"QUIT\r\n"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_handshake_that_never_ends_ends_in_time(channel, security):
    """The time-out is over all that is done, TLS too."""
    lines = [HELLO, TLS_EHLO, "220 go on"] if security == "starttls" else []
    async with channel.facing(saying(*lines, then=deaf), security=security, timeout_s=TIMEOUT_S) as stage:
        outcome = await outcome_of(stage.sink)
    assert outcome.outcome is FAILED
    assert outcome.message == f"{stage.sink._smtp.name} did not take the mail within 0.4 s"


async def test_a_server_that_does_not_take_what_it_asked_for(channel):
    """A mail that nobody reads is given up in time."""

    async def ask_and_stall(reader, writer):
        writer.transport.pause_reading()
        await given_up.wait()
        writer.transport.resume_reading()

    given_up = asyncio.Event()
    lines = [HELLO, PLAIN_EHLO, "250 ok", "250 ok", "354 go on"]
    messages = [message(task_event(sequence=number, result=document("&" * 300))) for number in range(1, 400)]
    deed = saying(*lines, then=ask_and_stall)
    async with channel.facing(deed, security="plain", timeout_s=TIMEOUT_S) as stage:
        sent = await asyncio.wait_for(stage.sink.send(messages, NOW), MUCH_LATER_S)
        given_up.set()
    assert sent.outcome.outcome is FAILED
    assert "did not take the mail" in sent.outcome.message


async def test_the_time_it_took_is_measured(channel):
    """Latency is that of the whole exchange."""
    hold = asyncio.Event()

    async def late(reader, writer):
        hold.set()
        await asyncio.wait_for(go.wait(), MUCH_LATER_S)
        writer.write(b"554 no\r\n")
        await waiting(reader, writer)

    go = asyncio.Event()
    async with channel.facing(late) as stage:
        sending = asyncio.create_task(outcome_of(stage.sink))
        await hold.wait()
        asyncio.get_running_loop().call_later(0.1, go.set)
        outcome = await sending
    assert outcome.latency_ms > 99


# ---------------------------------------------------------------------- the configuration


@pytest.mark.parametrize(
    ("url", "smtp"),
    [
        ("smtp+starttls://user@smtp.example.org:587", Smtp("smtp.example.org", 587, "starttls", "user")),
        ("smtp+starttls://smtp.example.org", Smtp("smtp.example.org", 587, "starttls")),
        ("SMTP+STARTTLS://SMTP.example.org/", Smtp("smtp.example.org", 587, "starttls")),
        ("smtps://me%40example.org@smtp.example.org", Smtp("smtp.example.org", 465, "tls", "me@example.org")),
        ("smtps://me@example.org@smtp.example.org", Smtp("smtp.example.org", 465, "tls", "me@example.org")),
        ("smtp://localhost", Smtp("localhost", 25, "plain")),
        ("smtp://[::1]:2525", Smtp("::1", 2525, "plain")),
    ],
)
def test_a_url_names_a_server(url, smtp):
    """Scheme, user, host and port, with the usual ports."""
    assert Smtp.of(url) == smtp


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("smtp+starttls://user:hunter22@host", "must not hold a password"),
        ("smtps://user:hunter22@host:465", "must not hold a password"),
        ("smtps://:hunter22@host", "must not hold a password"),
        ("smtp://user@host", "would send a login unprotected"),
        ("smtps://@host", "no user before its @"),
        ("smtps://a%0d%0ab@host", "no user before its @"),
        ("smtps://host:0", "a port that does not exist"),
        ("smtps://host:65536", "a port that does not exist"),
        ("smtps://host:port", "must be smtp"),
        ("smtps://host/path", "must be smtp"),
        ("smtps://host?x=hunter22", "must be smtp"),
        ("smtps://ho st", "must be smtp"),
        ("smtps://host\r\nQUIT", "must be smtp"),
        ("smtps://", "must be smtp"),
        ("https://host", "must be smtp"),
        ("host:25", "must be smtp"),
        ("", "must be smtp"),
    ],
)
def test_a_url_that_names_none_is_refused(url, says):
    """With what is wrong, and without what may be a secret."""
    with pytest.raises(BadInput, match=says) as refused:
        Smtp.of(url)
    assert "hunter22" not in refused.value.message


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"smtp": Smtp("host", 25, "plain"), "password": lambda: PASSWORD}, "would be readable"),
        ({"smtp": Smtp("host", 587)}, "give both or neither"),
        ({"password": None}, "give both or neither"),
        ({"to": []}, "name an address"),
        ({"to": ["a@example.org, b@example.org"]}, "is no address"),
        ({"to": ["a@example.org\r\nRCPT TO:<b@example.org>"]}, "is no address"),
        ({"sender": "ringback"}, "is no address"),
        ({"sender": "x <a@example.org>\r\nBcc: b@example.org"}, "is no address"),
    ],
)
def test_settings_that_cannot_work_are_refused(channel, settings, says):
    """A sink that is made can send."""
    with pytest.raises(BadInput, match=says):
        channel.sink(587, **settings)


def test_a_server_is_named_by_host_and_port():
    """As people write it."""
    assert Smtp("mail.example.org", 25, "plain").name == "mail.example.org:25"
    assert Smtp("::1", 25, "plain").name == "[::1]:25"
