"""Mail servers on loopback: one that works (aiosmtpd) and can be told what to refuse, and one that misbehaves."""
# ruff: noqa: N802 - aiosmtpd finds its handlers by these names

import asyncio
import contextlib
import email
import email.policy
import socket
import ssl

import trustme
from aiosmtpd.smtp import MISSING, SMTP, AuthResult

USER, PASSWORD = "ring back@example.org", 'pa55 w"ord\\/+ö'


class Authority:
    """A private certificate authority, its certificate in a file, and what it issues."""

    def __init__(self, folder):
        self._ca = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def context(self, name="127.0.0.1"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name).configure_cert(context)
        return context


class Mail:
    """One mail that came: its envelope, its bytes, its parts."""

    def __init__(self, envelope, session, transport):
        self.sender, self.recipients = envelope.mail_from, envelope.rcpt_tos
        self.content = envelope.original_content
        self.encrypted = transport.get_extra_info("sslcontext") is not None
        self.authenticated = session.authenticated

    @property
    def parsed(self):
        return email.message_from_bytes(self.content, policy=email.policy.default)

    @property
    def text(self):
        return self.parsed.get_body(("plain",)).get_content()

    @property
    def html(self):
        return self.parsed.get_body(("html",)).get_content()


class MailServer:
    """aiosmtpd on a port of its own. `answers` replaces what a command gets, `refuse` what a recipient gets.

    `without` names the ways to log in that it does not offer.
    """

    def __init__(self, context=None, *, implicit=False, without=(), answers=None, refuse=None):
        self.mails, self.logins, self.commands = [], [], []
        self.answers, self.refuse = answers or {}, refuse or {}
        self._context, self._implicit, self._without = context, implicit, without
        self._talks = []

    async def __aenter__(self):
        # A socket of our own: aiosmtpd's controllers want to know the port before they bind.
        # With its protocol named, since asyncio sends without delay only then.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        tls = self._context if self._implicit else None
        self._server = await asyncio.get_running_loop().create_server(self._talk, sock=listening, ssl=tls)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        talks = [talk._handler_coroutine for talk in self._talks if talk._handler_coroutine is not None]
        for talk in self._talks:
            for transport in (talk.transport, talk._original_transport):
                if transport is not None:
                    transport.abort()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await self._server.wait_closed()

    def _talk(self):
        talk = SMTP(
            self,
            hostname="mail.test",
            tls_context=None if self._implicit else self._context,
            auth_required=False,
            auth_require_tls=not self._implicit,
            auth_exclude_mechanism=self._without,
            authenticator=self._check,
            loop=asyncio.get_running_loop(),
        )
        self._talks.append(talk)
        return talk

    def _check(self, server, session, envelope, mechanism, data):
        self.logins.append((mechanism, data.login.decode(), data.password.decode()))
        return AuthResult(success=self.logins[-1][1:] == (USER, PASSWORD), handled=False)

    def _answer(self, command, otherwise):
        self.commands.append(command)
        return self.answers.get(command, otherwise)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return self._answer("EHLO", responses)

    async def handle_AUTH(self, server, session, envelope, args):
        answer = self._answer("AUTH", MISSING)
        return answer(args) if callable(answer) else answer

    async def handle_MAIL(self, server, session, envelope, address, options):
        envelope.mail_from = address
        return self._answer("MAIL", "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = self.refuse.get(address, "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(Mail(envelope, session, server.transport))
        return self._answer("DATA", "250 2.0.0 OK: queued")


class Script:
    """Does `deed(reader, writer)` to every connection, until it is left."""

    def __init__(self, deed, context=None):
        self._deed, self._context = deed, context
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            await self._deed(reader, writer)
        writer.transport.abort()


def saying(*lines, then=None):
    """Says the first line, and after each line that it hears another one; a list is said at once."""

    async def deed(reader, writer):
        for number, line in enumerate(lines):
            if number:
                await reader.readuntil(b"\r\n")
            for each in line if isinstance(line, list) else [line]:
                writer.write(each.encode() + b"\r\n")
            await writer.drain()
        await (then or waiting)(reader, writer)

    return deed


async def waiting(reader, writer):
    """Reads and says nothing more."""
    while await reader.read(65536):
        pass


async def deaf(reader, writer):
    """Does not even read."""
    await asyncio.get_running_loop().create_future()


def dripping(bit, every=0.05):
    """Says a bit now and then, for ever."""

    async def deed(reader, writer):
        loop = asyncio.get_running_loop()
        while True:
            writer.write(bit)
            await writer.drain()
            tick = loop.create_future()
            loop.call_later(every, tick.set_result, None)
            await tick

    return deed


async def endless(reader, writer):
    """Refuses in lines without end."""
    while True:
        writer.write(b"550-no\r\n" * 10_000)
        await writer.drain()


async def hang_up(reader, writer):
    """Goes without a word."""


async def garbage(reader, writer):
    """Speaks something else."""
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n\x00\x01\xff\r\n")
    await writer.drain()
    await waiting(reader, writer)
