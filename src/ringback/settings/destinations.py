"""What a destination can be: a webhook, Slack, e-mail, or a service that Apprise speaks to; each with its keys.

    [destinations.team]   type = "slack"   webhook_url = "https://hooks.slack.com/services/..."

Secret: the keys and defaults of each type, and which of its keys may stand beside which. The `type` chooses the rest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from ringback.credentials import Secret
from ringback.settings.addresses import Addresses, Mailbox, Schemes, SecretUrl, ServiceUrl, SmtpUrl, of_schemes, smtp_of
from ringback.settings.complaints import UNKNOWN_TYPE
from ringback.settings.forms import (
    BaseUrl,
    Body,
    Count,
    Credential,
    Duration,
    FilledText,
    Globs,
    Headers,
    Pace,
    PemFile,
    Rate,
    SigningSecret,
    SigningSecrets,
    Url,
    Waits,
    pair_of,
)
from ringback.settings.section import Section
from ringback.sinks.apprise import SCHEMES

TYPES = ("webhook", "slack", "email", "apprise")

Shown = Literal["excerpt", "full", "none"]
"""How much of a result people get to read."""


class _AnyDestination(Section):
    """What can be said of every destination."""

    retry: Waits | None = None
    events: Globs | None = None


class WebhookDestination(_AnyDestination):
    """A URL that gets signed POSTs."""

    secret_keys = frozenset({"secret", "secrets"})

    type: Literal["webhook"]
    url: Url = Field(repr=False, exclude=True)
    secrets: SigningSecrets = ()
    secret: SigningSecret | None = Field(default=None, validate_default=True)
    headers: Headers = Field(default={}, repr=False, exclude=True)
    format: Literal["standard", "cloudevents"] = "standard"
    template: Body | None = Field(default=None, validate_default=True, repr=False, exclude=True)
    client_cert: PemFile = ""
    client_key: PemFile = Field(default="", validate_default=True)
    concurrency: Count = Field(default=8, ge=1, le=1000)
    rate: Pace = Rate(None)

    @property
    def signing_secrets(self) -> tuple[Secret, ...]:
        """What every delivery is signed with, the newest first."""
        return (self.secret,) if self.secret is not None else self.secrets

    @field_validator("secret")
    @classmethod
    def _one_of_both(cls, secret: Secret | None, info: ValidationInfo) -> Secret | None:
        secrets = info.data.get("secrets")
        if secret is None and secrets == ():
            raise ValueError("is missing: `ringback secret` makes one; give it to the receiver too")
        if secret is not None and secrets:
            raise ValueError("stands beside `secrets`: keep one of them")
        return secret

    @field_validator("template")
    @classmethod
    def _instead_of_cloudevents(cls, template: Any, info: ValidationInfo) -> Any:
        if template is not None and info.data.get("format") == "cloudevents":
            raise ValueError('says how the body is written, and so does format = "cloudevents": keep one of them')
        return template

    @field_validator("client_key")
    @classmethod
    def _of_the_certificate(cls, key: str, info: ValidationInfo) -> str:
        certificate = info.data.get("client_cert")
        if certificate == "" and key:
            raise ValueError("stands alone: give its certificate as `client_cert`")
        if certificate:
            pair_of(certificate, key)
        return key


class SlackDestination(_AnyDestination):
    """A Slack channel: by an incoming webhook, or by a bot that edits its messages."""

    secret_keys = frozenset({"webhook_url", "bot_token"})

    type: Literal["slack"]
    webhook_url: SecretUrl | None = None
    channel: FilledText | None = None
    bot_token: Credential | None = Field(default=None, validate_default=True)
    api_url: BaseUrl = "https://slack.com/api/"
    final: Literal["reply", "edit"] = "reply"
    result: Shown = "excerpt"
    concurrency: Count = Field(default=2, ge=1, le=1000)
    rate: Pace = Rate(1.0)

    @field_validator("bot_token")
    @classmethod
    def _exactly_one_way(cls, token: Secret | None, info: ValidationInfo) -> Secret | None:
        if "webhook_url" not in info.data or "channel" not in info.data:
            return token  # one of them is wrong, and told as such
        by_webhook, channel = info.data["webhook_url"] is not None, info.data["channel"]
        if by_webhook and (token is not None or channel is not None):
            raise ValueError(
                "or `channel` stands beside `webhook_url`: keep `webhook_url`, or `bot_token` and `channel`"
            )
        if not by_webhook and (token is None or channel is None):
            missing = "its `channel` is missing" if token is not None else "is missing"
            raise ValueError(f"{missing}: give `webhook_url`, or `bot_token` and `channel`")
        return token


class EmailDestination(_AnyDestination):
    """One mail to all addresses."""

    secret_keys = frozenset({"smtp_password"})

    type: Literal["email"]
    to: Addresses
    sender: Mailbox = Field(alias="from")
    smtp: SmtpUrl = Field(repr=False, exclude=True)
    smtp_password: Credential | None = Field(default=None, validate_default=True)
    result: Shown = "excerpt"
    digest: Duration | None = None
    concurrency: Count = Field(default=2, ge=1, le=1000)
    rate: Pace = Rate(20 / 60)

    @field_validator("smtp_password")
    @classmethod
    def _goes_with_the_user(cls, password: Secret | None, info: ValidationInfo) -> Secret | None:
        if "smtp" not in info.data:
            return password
        server = smtp_of(info.data["smtp"])
        if password is not None and server.security == "plain":
            raise ValueError("would be readable on its way: write smtp+starttls:// or smtps:// in `smtp`")
        if password is not None and not server.user:
            raise ValueError("belongs to nobody: write smtp+starttls://USER@host:587 in `smtp`")
        if password is None and server.user:
            raise ValueError("is missing: `smtp` names a user")
        return password


class AppriseDestination(_AnyDestination):
    """A service that Apprise speaks to. Needs the extra: pip install 'ringback[apprise]'."""

    secret_keys = frozenset({"url"})

    type: Literal["apprise"]
    schemes: Schemes = SCHEMES
    url: ServiceUrl
    result: Shown = "excerpt"
    concurrency: Count = Field(default=2, ge=1, le=1000)
    rate: Pace = Rate(1.0)

    @field_validator("url")
    @classmethod
    def _of_an_allowed_scheme(cls, url: Secret, info: ValidationInfo) -> Secret:
        if "schemes" in info.data:
            of_schemes(url, info.data["schemes"])
        return url


def _tag(table: object) -> str | None:
    """Which type a table says it is, in brackets: complaints.py takes these out of a problem's place."""
    said = table.get("type") if isinstance(table, dict) else getattr(table, "type", None)
    return f"[{said}]" if isinstance(said, str) and said in TYPES else None


def _sentence() -> str:
    *others, last = (f"'{name}'" for name in TYPES)
    return f"must be {', '.join(others)} or {last}"


Destination = Annotated[
    Annotated[WebhookDestination, Tag("[webhook]")]
    | Annotated[SlackDestination, Tag("[slack]")]
    | Annotated[EmailDestination, Tag("[email]")]
    | Annotated[AppriseDestination, Tag("[apprise]")],
    Discriminator(
        _tag, custom_error_type=UNKNOWN_TYPE, custom_error_message=_sentence(), custom_error_context={"key": "type"}
    ),
]
"""Any of them, as its `type` says."""
