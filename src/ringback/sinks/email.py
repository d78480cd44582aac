"""The e-mail sink: one event, one mail; several events at once, one digest.

    send:   write -> connect, protect the way, log in -> envelope, mail -> outcome          all under one time-out

Secret: how a mail server is spoken to. What a mail looks like is letter.py's, what answers mean is smtp_answers.py's.
A time-out after the last byte may be for a mail that was taken: it is sent again under the same Message-ID.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from time import perf_counter
from typing import Literal
from urllib.parse import unquote

import msgspec
from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPRecipientRefused, SMTPResponse, SMTPResponseException
from msgspec.structs import replace

from ringback.core.errors import BadInput, RingbackError
from ringback.core.model import AttemptOutcome
from ringback.core.retry import Outcome
from ringback.sinks.base import Message, Sent
from ringback.sinks.excerpt import Hidden
from ringback.sinks.letter import address, mail, write
from ringback.sinks.section import Shown
from ringback.sinks.smtp_answers import CODES, Reading, Unfit, verdict

TIMEOUT_S = 15.0
"""From the first packet to the last answer."""

CLOSING = 421
"""The server ends the conversation with it, whatever it is the answer to."""

COMPLETED = 250
LAST_PORT = 65535

Security = Literal["starttls", "tls", "plain"]

_SCHEMES: dict[str, tuple[Security, int]] = {
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
    "smtp": ("plain", 25),
}
_URL = re.compile(
    r"(?P<scheme>[a-z+]+)://((?P<user>[^\s/?#]*)@)?(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:(?P<port>[0-9]{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)
_FULL_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", re.ASCII | re.IGNORECASE)


class Smtp(msgspec.Struct, frozen=True):
    """A mail server, how the way there is protected, and who logs in (nobody, when empty)."""

    host: str
    port: int
    security: Security = "starttls"
    user: str = ""

    @classmethod
    def of(cls, url: str) -> Smtp:
        """`smtp+starttls://user@host:587`, `smtps://`, `smtp://`. Raises BadInput, which does not repeat the URL."""
        found = _URL.fullmatch(url)
        known = _SCHEMES.get(found["scheme"].lower()) if found is not None else None
        if found is None or known is None:
            raise BadInput("must be smtp+starttls://[user@]host[:port], smtps://... or, unprotected, smtp://...")
        security, port = known[0], int(found["port"] or known[1])
        if not 0 < port <= LAST_PORT:
            raise BadInput(f"has a port that does not exist: write one from 1 to {LAST_PORT}")
        return cls(found["host"].strip("[]").lower(), port, security, _user(found["user"], security))

    @property
    def name(self) -> str:
        """Host and port: all that a message may say of it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _user(written: str | None, security: Security) -> str:
    if written is None:
        return ""
    if ":" in written:
        raise BadInput("must not hold a password: give it as `smtp_password` or `smtp_password_file`")
    user = unquote(written)
    if not user or not user.isprintable():
        raise BadInput("has no user before its @ that could log in")
    if security == "plain":
        raise BadInput("would send a login unprotected: write smtp+starttls:// or smtps://, or leave the user out")
    return user


class EmailSink:
    """Sends one mail to all of `to`. `password` is asked at each send, so that a rotated one is used at once."""

    def __init__(
        self,
        *,
        to: Sequence[str],
        sender: str,
        smtp: Smtp,
        password: Callable[[], str] | None = None,
        result: Shown = "excerpt",
        public_url: str = "",
        timeout_s: float = TIMEOUT_S,
        ca_file: str = "",
    ) -> None:
        if password is not None and smtp.security == "plain":
            raise BadInput("a password would be readable on its way: write smtp+starttls:// or smtps:// in `smtp`")
        if (password is None) != (not smtp.user):
            raise BadInput("a login is a user in `smtp` and an `smtp_password`: give both or neither")
        if not to:
            raise BadInput("a mail needs somebody who gets it: name an address in `to`")
        self._to = [address(each) for each in to]
        self._sender = address(sender)
        self._smtp = smtp
        self._password = password
        self._result = result
        self._public_url = public_url.rstrip("/")
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._trust: ssl.SSLContext | None = None

    async def send(self, messages: Sequence[Message], now: datetime) -> Sent:
        """Send the message, or all of them as one digest, dated `now`."""
        letter = write(messages, result=self._result, public_url=self._public_url)
        content = mail(letter, self._sender, self._to, now)
        try:
            password = self._password() if self._password is not None else ""
        except RingbackError as exc:
            # An unreadable secret file is no fault of the event: it stays owed, and the attempt says what to do.
            return Sent(Outcome(outcome=AttemptOutcome.FAILED, message=exc.message))
        started = perf_counter()
        outcome = await self._deliver(content, password)
        return Sent(replace(outcome, latency_ms=(perf_counter() - started) * 1000))

    async def _deliver(self, content: bytes, password: str) -> Outcome:
        """One connection, one mail, one outcome, whatever the server does."""
        reading = Reading(self._smtp.name, Hidden(_spellings(self._smtp.user, password)))
        client = self._client()
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                await self._enter(client, password)
                outcome = await self._hand_over(client, content, reading)
            _take_leave(client)
        except SMTPResponseException as exc:
            _take_leave(client)
            return reading.answered(exc)
        except (SMTPException, OSError, ValueError, Unfit) as exc:
            if limit.expired():
                return reading.failed(f"did not take the mail within {self._timeout_s:g} s")
            return reading.fault(exc)
        finally:
            _cut(client)
        return outcome

    def _client(self) -> SMTP:
        """It has no time-outs of its own: there is one over all it does. STARTTLS is ours to ask for."""
        return SMTP(
            hostname=self._smtp.host,
            port=self._smtp.port,
            timeout=None,
            use_tls=self._smtp.security == "tls",
            start_tls=False,
            local_hostname=_own_name(),
        )

    # ------------------------------------------------------------------ the conversation

    async def _enter(self, client: SMTP, password: str) -> None:
        """Connect, protect the way, log in. What the configuration asks for is never left out for a server's sake."""
        if self._smtp.security != "plain":
            client.tls_context = await self._context()
        await client.connect()
        if self._smtp.security == "starttls":
            await client.ehlo()
            if not client.supports_extension("starttls"):
                raise Unfit("does not offer STARTTLS: try smtps://, or smtp:// where the way there is safe")
            await client.starttls()
        if self._smtp.user:
            await client.ehlo()
            if not client.supported_auth_methods:
                raise Unfit("offers no login with a password: leave the user out of `smtp` if it wants none")
            await client.login(self._smtp.user, password)

    async def _hand_over(self, client: SMTP, content: bytes, reading: Reading) -> Outcome:
        """The envelope, then the mail, to those of the recipients that are accepted."""
        await client.mail(self._sender.addr_spec)
        refused: list[SMTPRecipientRefused] = []
        for recipient in self._to:
            try:
                await client.rcpt(recipient.addr_spec)
            except SMTPRecipientRefused as exc:
                if exc.code == CLOSING or exc.code not in CODES:
                    raise
                if verdict(exc.code) is not AttemptOutcome.DELIVERED:
                    refused.append(exc)
        if len(refused) == len(self._to):
            return reading.nobody(refused)
        return reading.taken(await _data(client, content), refused)

    async def _context(self) -> ssl.SSLContext:
        """Whom to trust, read once, in a thread (20 ms of files). A new configuration makes a new sink."""
        if self._trust is None:
            try:
                self._trust = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file or None)
            except OSError as exc:
                raise Unfit(f"cannot be asked: the CA file {self._ca_file} cannot be used") from exc
        return self._trust


async def _data(client: SMTP, content: bytes) -> SMTPResponse:
    """Any 2yz says that it was taken, but for a 250 that aiosmtplib does not like: it stood where 354 should."""
    try:
        return await client.data(content)
    except SMTPDataError as exc:
        if verdict(exc.code) is not AttemptOutcome.DELIVERED or exc.code == COMPLETED:
            raise
        return SMTPResponse(exc.code, exc.message)


def _take_leave(client: SMTP) -> None:
    """Say QUIT and go. The outcome stands: nobody waits for the answer (Postfix does not either)."""
    if client.protocol is not None and client.protocol.is_connected:
        client.protocol.write(b"QUIT\r\n")
    client.close()


def _cut(client: SMTP) -> None:
    """Drop what is left of the connection: closing it would first wait for a server that reads nothing any more."""
    transport = client.transport
    client.close()
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


def _spellings(user: str, password: str) -> Iterator[str]:
    """The password as it is, and as a login sends it."""
    for sent in (password, f"\0{user}\0{password}") if password else ():
        yield sent
        yield b64encode(sent.encode()).decode().rstrip("=")


def _own_name() -> str:
    """What we call ourselves in EHLO. No name server is asked: one that is slow would hold up every mail."""
    name = socket.gethostname()
    return name if _FULL_NAME.fullmatch(name) else "[127.0.0.1]"
