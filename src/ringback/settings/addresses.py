"""How it is written where a destination is: mail addresses, mail servers, webhook URLs that are secrets, ways out.

    "oncall@example.org"   "smtp+starttls://user@host:587"   "10.1.0.0/16" or "hooks.internal:8443"

Secret: these forms, and the sentence for each that is missed. No sentence repeats a value that may be a secret.
"""
# ruff: noqa: PLC0415 - mail has heavy parts, imported only where there is a mail to send

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from ringback.core.errors import BadInput
from ringback.credentials import Secret, origin_of
from ringback.egress import Way
from ringback.settings.forms import Credential, SomeTexts, Texts, judged
from ringback.sinks.apprise import scheme_of

if TYPE_CHECKING:
    from ringback.sinks.email import Smtp

RECIPIENTS = 50
"""Of one mail; a list with more is a mailing list's business."""

# ---------------------------------------------------------------------- mail


def _mailbox(value: str) -> str:
    from ringback.sinks.letter import address

    return judged(address)(value)


def _mailboxes(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_mailbox, values))


def smtp_of(url: str) -> Smtp:
    """The mail server that a URL names. Raises ValueError with what is wrong with it."""
    from ringback.sinks.email import Smtp

    try:
        return Smtp.of(url)
    except BadInput as error:
        raise ValueError(error.message) from error


def _smtp(value: str) -> str:
    smtp_of(value)
    return value


Addresses = Annotated[SomeTexts, Field(max_length=RECIPIENTS), AfterValidator(_mailboxes)]
Mailbox = Annotated[str, AfterValidator(_mailbox)]
SmtpUrl = Annotated[str, AfterValidator(_smtp)]

# ---------------------------------------------------------------------- URLs that are secrets


def _secret_url(secret: Secret) -> Secret:
    if origin_of(secret.reveal()) is None:
        raise ValueError("is no URL like https://host[:port][/path] (without user, password, spaces and #fragment)")
    return secret


def _service(secret: Secret) -> Secret:
    if scheme_of(secret.reveal()) is None:
        raise ValueError("is no Apprise URL like ntfy://topic; https://github.com/caronc/apprise lists them")
    return secret


def of_schemes(url: Secret, schemes: tuple[str, ...]) -> None:
    """Refuse the URL of a service that is not among those that are allowed."""
    scheme = scheme_of(url.reveal())
    if scheme is not None and scheme not in schemes:
        raise ValueError(f"{scheme}:// is not among the `schemes` that are allowed: add it there if it is meant")


def _schemes(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if scheme_of(f"{value}://") != value:
            raise ValueError(f"{value[:80]!r} is no scheme; write e.g. ntfy for ntfy://")
    return values


SecretUrl = Annotated[Credential, AfterValidator(_secret_url)]
ServiceUrl = Annotated[Credential, AfterValidator(_service)]
Schemes = Annotated[SomeTexts, Field(max_length=100), AfterValidator(_schemes)]

# ---------------------------------------------------------------------- ways out


def _ways(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(judged(Way.of), values))


Ways = Annotated[Texts, Field(max_length=1000), AfterValidator(_ways)]
