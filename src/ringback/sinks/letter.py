"""What a mail looks like: its subject, its headers, its text and its HTML, for one event or for a digest of many.

    messages -> sections (section.py) -> letter (subject, ids) -> mail (headers, two parts laid out by templates/)

Secret: the headers, how mails become one thread, and the limits of a digest. Pure. Templates for HTML escape whatever
they are given, and name nothing that a mail program would have to fetch.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import escape

from ringback.core.document import digest
from ringback.core.errors import BadInput
from ringback.core.model import AccountData, DestinationData, Event, TaskData
from ringback.sinks.base import Message
from ringback.sinks.section import Section, Shown, outcome_word, section

DIGEST_AT_MOST = 500
"""Events in one mail; what is beyond in a larger digest is only counted."""

MAIL_AT_MOST = 1024 * 1024
"""Bytes of a whole mail."""

_FRAME = 64 * 1024
"""Bytes kept free for headers, frame and style."""

_MARKUP = 600
"""Bytes that the templates add to a section of a digest, in both parts."""

_LINE_AT_MOST = 998
"""Bytes that SMTP allows between two line ends."""

_DOMAIN_AT_MOST = 40
"""A longer one would make an id that fits no line of a header: it would be encoded there, and the thread be lost."""

_ADDRESS_AT_MOST = 254
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})*", re.ASCII)


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail says. `id` and `thread` are what stands before the @ of its ids; a digest has no thread."""

    subject: str
    sections: tuple[Section, ...]
    left_out: str = ""
    id: str
    thread: str = ""


def write(messages: Sequence[Message], *, result: Shown, public_url: str) -> Letter:
    """The letter for one message, or the digest of several."""
    if len(messages) > 1:
        return _digest(messages, result, public_url)
    (message,) = messages
    told = section(message.event, result, public_url)
    return Letter(subject=told.headline, sections=(told,), id=message.delivery_id, thread=_thread(message.event))


def mail(letter: Letter, sender: Address, to: Sequence[Address], now: datetime) -> bytes:
    """The whole mail, dated `now`. ASCII, so that the same bytes do for every server."""
    domain = sender.domain if len(sender.domain) <= _DOMAIN_AT_MOST else "ringback.invalid"
    made = EmailMessage(policy=SMTP)
    made["From"] = sender
    made["To"] = to
    made["Subject"] = letter.subject
    made["Date"] = format_datetime(now)
    made["Message-ID"] = f"<{letter.id}@{domain}>"
    if letter.thread:
        made["In-Reply-To"] = made["References"] = f"<{letter.thread}@{domain}>"
    made["List-Id"] = f"ringback <ringback.{domain}>"
    made["Auto-Submitted"] = "auto-generated"
    made["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    layout = "event" if letter.thread else "digest"
    text, page = (_templates().get_template(f"{layout}.{kind}").render(letter=letter) for kind in ("txt", "html"))
    made.set_content(text, cte=_encoding(text))
    made.add_alternative(page, subtype="html", cte=_encoding(page))
    return _unfolded(made.as_bytes())


def address(text: str) -> Address:
    """`oncall@example.org`, or `Name <oncall@example.org>`. Raises BadInput for anything that is not exactly one."""
    name, spec = parseaddr(text)
    known = len(spec) <= _ADDRESS_AT_MOST and _ADDRESS.fullmatch(spec) is not None
    if not text.isprintable() or not known or (not name and text != spec):
        raise BadInput(f"{text[:80]!r} is no address like oncall@example.org or ringback <ringback@example.org>")
    return Address(display_name=name, addr_spec=spec)


def _thread(event: Event) -> str:
    """What all mails of one watch, or about one account or destination, hang on. No mail has this id itself."""
    match event.data:
        case TaskData() as data:
            return data.watch_id
        case AccountData() as data:
            return f"account_{digest(data.account.encode())}"
        case DestinationData() as data:
            return f"destination_{digest(data.destination.encode())}"


# ---------------------------------------------------------------------- a digest


def _digest(messages: Sequence[Message], result: Shown, public_url: str) -> Letter:
    """As many events as fit, each with an excerpt at most; the rest is counted. Its id is that of its deliveries."""
    shown: Shown = "none" if result == "none" else "excerpt"
    sections = _fitting([section(message.event, shown, public_url) for message in messages[:DIGEST_AT_MOST]])
    rest = messages[len(sections) :]
    ids = "\n".join(sorted(message.delivery_id for message in messages))
    return Letter(
        subject=f"{len(messages)} events: {_counted(messages)}",
        sections=tuple(sections),
        left_out=f"And {len(rest)} more that are not shown: {_counted(rest)}." if rest else "",
        id=f"digest_{digest(ids.encode())}",
    )


def _fitting(sections: Sequence[Section]) -> Sequence[Section]:
    """The first of them that fit into a mail together."""
    room = MAIL_AT_MOST - _FRAME
    for number, each in enumerate(sections):
        room -= _weight(each)
        if room < 0:
            return sections[:number]
    return sections


def _weight(told: Section) -> int:
    """Bytes of the mail that a section takes at most: in both parts, in base64 with its line ends."""
    words = (told.headline, told.trouble, told.result or "", told.link, told.link)
    raw = sum(len(word.encode()) + len(escape(word).encode()) for word in words)
    return (raw + _MARKUP) * 3 // 2


def _counted(messages: Iterable[Message]) -> str:
    """`9 succeeded, 3 failed`."""
    counts = Counter(outcome_word(message.event) for message in messages)
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())


# ---------------------------------------------------------------------- the parts


def _unfolded(content: bytes) -> bytes:
    """Without folds right after a header's name: Python makes them, and some programs show an empty subject then."""
    head, end, body = content.partition(b"\r\n\r\n")
    return head.replace(b":\r\n ", b": ") + end + body


def _encoding(text: str) -> str:
    """As it is where every server takes it so; never 8bit, which not every server does."""
    plain = text.isascii() and all(len(line) <= _LINE_AT_MOST for line in text.splitlines())
    return "7bit" if plain else "base64"


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("ringback.sinks"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
