"""What a mail server's answers mean for a delivery, and what can go wrong on the way to it.

    before the mail   whatever goes wrong (greeting, TLS, login) is no fault of the event: failed
    2yz               delivered, as soon as one recipient has it
    530 534 535 538   failed: a login is wanted, which the configuration can still give
    5yz               refused
    anything else     failed: 4yz may pass, the rest is no SMTP

Recipients that are refused while another is accepted get nothing, and the outcome names them. To send the event again
would be for those who have it too, and one full mailbox would hold up everybody else's mail: an address that must get
every event is a destination of its own.

Secret: these meanings and their sentences. Pure. A message names the server by host and port, and recipients; never
what the server said, which is the excerpt.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence

from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPDataError,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponse,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from ringback.core.model import AttemptOutcome
from ringback.core.retry import Outcome
from ringback.sinks.excerpt import Hidden, excerpt

CODES = range(200, 600)
LOGIN_WANTED = frozenset({530, 534, 535, 538})

_TO_WHAT: tuple[tuple[type[Exception], str], ...] = (
    (SMTPConnectResponseError, "to the connection"),
    (SMTPHeloError, "to EHLO"),
    (SMTPAuthenticationError, "to the login: check the user in `smtp`, and `smtp_password`"),
    (SMTPSenderRefused, "to the sender"),
    (SMTPRecipientRefused, "to a recipient"),
    (SMTPDataError, "to the mail"),
    (SMTPResponseException, "to STARTTLS"),
)
_ABOUT_THE_MAIL = (SMTPSenderRefused, SMTPRecipientRefused, SMTPDataError)
_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "has a name that cannot be resolved"),
    (ssl.SSLCertVerificationError, "showed a certificate that is not accepted"),
    (ssl.SSLError, "could not be spoken to over TLS"),
    (ConnectionRefusedError, "refused the connection"),
    (SMTPServerDisconnected, "broke off"),
    (ConnectionError, "broke off"),
    (OSError, "cannot be reached"),
    (BaseException, "could not be spoken to"),
)


class Unfit(Exception):
    """The server, or what we are to trust, is not what the configuration takes it for; says what follows the name."""


class Reading:
    """Reads what one server does. `server` is its host and port, `hidden` what it may repeat and nobody may see."""

    def __init__(self, server: str, hidden: Hidden) -> None:
        self._server = server
        self._hidden = hidden

    def taken(self, answer: SMTPResponse, refused: Sequence[SMTPRecipientRefused]) -> Outcome:
        """The mail was taken, for all recipients but these."""
        message = f"{self._server} took it, but not for {_named(refused)}" if refused else None
        said = _texts(refused) if refused else answer.message
        return self._outcome(AttemptOutcome.DELIVERED, answer.code, message, said)

    def nobody(self, refused: Sequence[SMTPRecipientRefused]) -> Outcome:
        """Every recipient was refused; while one of them may pass, it is tried again."""
        verdicts = {exc.code: verdict(exc.code) for exc in refused}
        code = min(verdicts, key=lambda code: (verdicts[code] is AttemptOutcome.REFUSED, code))
        message = f"{self._server} refused every recipient: {_named(refused)}"
        return self._outcome(verdicts[code], code, message, _texts(refused))

    def answered(self, exc: SMTPResponseException) -> Outcome:
        """An answer other than the one that was hoped for."""
        if exc.code not in CODES:
            return self._outcome(AttemptOutcome.FAILED, None, f"{self._server} does not speak SMTP", exc.message)
        refused = isinstance(exc, _ABOUT_THE_MAIL) and verdict(exc.code) is AttemptOutcome.REFUSED
        outcome = AttemptOutcome.REFUSED if refused else AttemptOutcome.FAILED
        to_what = next(says for kind, says in _TO_WHAT if isinstance(exc, kind))
        return self._outcome(outcome, exc.code, f"{self._server} answered {exc.code} {to_what}", exc.message)

    def fault(self, exc: BaseException) -> Outcome:
        """No answer, or no way there. The cause's own words are left out: they may quote what was sent."""
        if isinstance(exc, Unfit):
            return self.failed(str(exc))
        *_, deepest = _chain(exc)
        says = next(says for kind, says in _CAUSES if isinstance(deepest, kind))
        reason = getattr(deepest, "verify_message", None)
        return self.failed(f"{says} ({reason})" if reason else says)

    def failed(self, says: str) -> Outcome:
        """It may pass; `says` follows the server's name."""
        return self._outcome(AttemptOutcome.FAILED, None, f"{self._server} {says}", "")

    def _outcome(self, outcome: AttemptOutcome, code: int | None, message: str | None, said: str) -> Outcome:
        # What is no UTF-8 comes out of aiosmtplib as half pairs.
        kept = excerpt(said.encode(errors="surrogateescape"), self._hidden)
        return Outcome(outcome=outcome, status=code, message=message, excerpt=kept)


def verdict(code: int) -> AttemptOutcome:
    """What an answer to the mail, or to its envelope, means for the delivery."""
    if code // 100 == 2:  # noqa: PLR2004  the class of success
        return AttemptOutcome.DELIVERED
    if code // 100 == 5 and code not in LOGIN_WANTED:  # noqa: PLR2004  the class of what is permanent
        return AttemptOutcome.REFUSED
    return AttemptOutcome.FAILED


def _named(refused: Sequence[SMTPRecipientRefused]) -> str:
    return ", ".join(f"{exc.recipient} ({exc.code})" for exc in refused)


def _texts(refused: Sequence[SMTPRecipientRefused]) -> str:
    return "\n".join(f"{exc.recipient}: {exc.code} {exc.message}" for exc in refused)


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """From what was raised down to what lies under it."""
    while exc is not None:
        yield exc
        exc = exc.__cause__
