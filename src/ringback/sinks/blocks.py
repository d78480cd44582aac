"""What an event looks like in Slack: Block Kit within all of Slack's limits, and a plain text beside it.

Secret: the look of a message, Slack's limits, and how foreign text is made harmless. Pure.

Everything that is not our own word goes through `fitted`: printable, escaped, cut between two characters. So nothing
in a result, an error or metadata can be a mention, a link or the end of a code span, however long or odd it is. Lengths
are UTF-16 units of the escaped text: no way of counting that Slack may use gives more. `verbatim` keeps Slack from
finding names and links in a text by itself. The first block's id is the event's: two messages of one event show it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from ringback.core.document import Document
from ringback.core.model import AccountData, DestinationData, Error, Event, EventType, Progress, TaskData
from ringback.sinks.excerpt import printable
from ringback.sinks.payload import SHOWN_AT_MOST

Shown = Literal["excerpt", "full", "none"]
"""How much of a result a message shows."""

HEADER_AT_MOST = 150
SECTION_AT_MOST = 3000
FIELDS_AT_MOST = 10
TEXT_AT_MOST = 12_000
"""Of all blocks together; Slack refuses a message somewhere above 13,200."""

EXCERPT_CHARACTERS = 300
VALUE_AT_MOST = 200
KEY_AT_MOST = 60
REASON_AT_MOST = 1000
PAIRS_AT_MOST = 2 * FIELDS_AT_MOST
URL_AT_MOST = 2000

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_URL = re.compile(r"https?://[!#-;=?-_a-{}~]+")
_RUN = re.compile("`(?=`)")
_JOINER = "\N{ZERO WIDTH JOINER}"
_BREAK = "\N{ZERO WIDTH SPACE}"
_JOINED_AT_MOST = 16
_FENCE = "```\n", "\n```"
_EMPTY = "_empty_"
_SAYS: dict[EventType, tuple[str, str]] = {
    EventType.TASK_QUEUED: ("⏳", "is queued"),
    EventType.TASK_RUNNING: ("▶️", "is running"),
    EventType.TASK_PROGRESSED: ("▶️", "is further"),
    EventType.TASK_STALLED: ("🐌", "has stalled"),
    EventType.TASK_SUCCEEDED: ("✅", "succeeded"),
    EventType.TASK_FAILED: ("❌", "failed"),
    EventType.TASK_CANCELLED: ("🚫", "was cancelled"),
    EventType.TASK_EXPIRED: ("⌛", "expired: it did not end before the deadline"),
    EventType.TASK_VANISHED: ("❔", "vanished: the provider no longer knows it"),
    EventType.PROVIDER_DEGRADED: ("⚠️", "cannot be polled"),
    EventType.PROVIDER_RECOVERED: ("✅", "can be polled again"),
    EventType.DESTINATION_PAUSED: ("⏸️", "is paused"),
    EventType.DESTINATION_RESUMED: ("▶️", "is resumed"),
}

Block = dict[str, Any]


class Look(msgspec.Struct, frozen=True):
    """What is left to choose: how much of a result, and where links lead (empty: nowhere)."""

    result: Shown = "excerpt"
    public_url: str = ""


class Composed(msgspec.Struct, frozen=True):
    """The two halves of every message; `text` is what notifications and screen readers get."""

    text: str
    blocks: list[Block]


def composed(event: Event, look: Look) -> Composed:
    """The whole message of an event."""
    blocks = [_header(event), *_fields(_facts(event)), *_reason(event)]
    notes = [_inline(event.id), f"seen {_time(event.at)}"]
    if isinstance(event.data, TaskData):
        blocks += _fields(_pairs(event.data.metadata))
        link = _link(event.data.watch_id, look)
        room = TEXT_AT_MOST - sum(map(_length, texts([*blocks, _context([*notes, *link])]))) - VALUE_AT_MOST
        result, cut = _result(event.data.result, look, room)
        blocks += result
        notes += [*cut, *link]
    return Composed(_summary(event), [*blocks, _context(notes)])


def announced(event: Event, look: Look) -> Composed:
    """The short message that tells people to look at the long one, which was edited without a sound."""
    summary = _summary(event)
    link = _link(event.data.watch_id, look) if isinstance(event.data, TaskData) else []
    notes = [_inline(event.id), *link]
    return Composed(summary, [_section(summary) | {"block_id": event.id}, *_reason(event), _context(notes)])


def texts(blocks: Iterable[Block]) -> Iterator[str]:
    """Every text that stands in the blocks, as it is sent."""
    for block in blocks:
        for holder in (block.get("text"), *block.get("fields", ()), *block.get("elements", ())):
            if holder is not None:
                yield holder["text"]


# ---------------------------------------------------------------------- foreign text, made harmless


def fitted(text: str, room: int) -> tuple[str, int]:
    """The beginning of a text, escaped, in at most `room` units; and how many of its characters that is."""
    shown: list[str] = []
    for number, character in enumerate(text):
        escaped = _ENTITIES.get(character, character)
        room -= _length(escaped)
        if room < 0:
            end = _boundary(text, number)
            return "".join(shown[:end]), end
        shown.append(escaped)
    return "".join(shown), len(text)


def _boundary(text: str, end: int) -> int:
    """The nearest place at or before `end` where no accent, emoji modifier or joiner is torn from its character."""
    for place in range(end, max(end - _JOINED_AT_MOST, 0), -1):
        if not (_belongs(text[place]) or text[place - 1] == _JOINER):
            return place
    return end


def _belongs(character: str) -> bool:
    """Whether it is nothing without the one before it."""
    marks = unicodedata.category(character) in {"Mn", "Mc", "Me"}
    return marks or character == _JOINER or "\N{EMOJI MODIFIER FITZPATRICK TYPE-1-2}" <= character <= "\U0001f3ff"


def _inline(text: str, room: int = VALUE_AT_MOST) -> str:
    """One line of foreign text as code, so that no character of it is formatting."""
    line = _line(text)
    shown, count = fitted(line, room)
    return f"`{shown}{'…' if count < len(line) else ''}`" if line else _EMPTY


def _line(text: str) -> str:
    """One line of foreign text in which nothing begins or ends code."""
    return " ".join(printable(text).split()).replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}")


def _fenced(text: str, room: int) -> tuple[str, str]:
    """The beginning of foreign text as a block of code in at most `room` units, and the rest of it."""
    before, after = _FENCE
    shown, count = fitted(text, room - len(before) - len(after))
    return f"{before}{shown}{after}", text[count:]


def _unfenced(text: str) -> str:
    """Foreign text in which nothing ends a block of code."""
    return _RUN.sub(f"`{_BREAK}", printable(text)).strip()


def _length(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)


def _to(url: str, label: str) -> str:
    """A link; the URL is percent-encoded where Slack would see its end."""
    encoded = quote(url, safe=":/?#[]@!$&'()*+,;=%~").replace("&", _ENTITIES["&"])
    return f"<{encoded}|{label}>"


# ---------------------------------------------------------------------- the parts of a message


def _header(event: Event) -> Block:
    sign, says = _SAYS[event.type]
    title, _ = fitted(_line(f"{sign} {_subject(event)} {says}"), HEADER_AT_MOST)
    return {"type": "header", "block_id": event.id, "text": {"type": "plain_text", "text": title, "emoji": True}}


def _summary(event: Event) -> str:
    sign, says = _SAYS[event.type]
    task = f" {_inline(event.data.task_id)}" if isinstance(event.data, TaskData) else ""
    subject, _ = fitted(_line(_subject(event)), VALUE_AT_MOST)
    return f"{sign} {subject}{task} {says}"


def _subject(event: Event) -> str:
    match event.data:
        case TaskData(provider=provider):
            return provider
        case AccountData(account=account):
            return f"account {account}"
        case DestinationData(destination=destination):
            return f"destination {destination}"


def _facts(event: Event) -> list[tuple[str, str]]:
    match event.data:
        case TaskData() as data:
            return list(_task_facts(data))
        case AccountData(watches=watches):
            return [("Open watches", _inline(str(watches)))]
        case DestinationData(since=since, pending=pending):
            return [("Since", _time(since)), ("Deliveries that wait", _inline(str(pending)))]


def _task_facts(data: TaskData) -> Iterator[tuple[str, str]]:
    yield "Task", _inline(data.task_id)
    yield "Account", _inline(data.account)
    if data.previous_state is not data.state:
        yield "Before", _inline(data.previous_state)
    if data.progress is not None and (how_far := _how_far(data.progress)):
        yield "Progress", _inline(how_far)
    yield "Since it was registered", _lasted(data.observed_at - data.registered_at)
    if data.result_expires_at is not None:
        yield "Result expires", _time(data.result_expires_at)


def _pairs(metadata: dict[str, str]) -> list[tuple[str, str]]:
    """Metadata has at most 16 entries where it comes in; here it fills two blocks at most."""
    return [(_inline(key, KEY_AT_MOST), _inline(value)) for key, value in [*metadata.items()][:PAIRS_AT_MOST]]


def _reason(event: Event) -> list[Block]:
    """Why it failed, cannot be polled or is paused."""
    match event.data:
        case TaskData(error=Error() as error) | AccountData(problem=Error() as error):
            title, words = _inline(error.code), _unfenced(error.message)
        case DestinationData(reason=str() as reason):
            title, words = "Reason", _unfenced(reason)
        case _:
            return []
    shown, rest = _fenced(words, REASON_AT_MOST)
    return [_section(f"*{title}*\n{shown}{'…' if rest else ''}" if words else f"*{title}*")]


def _result(result: Document | None, look: Look, room: int) -> tuple[list[Block], list[str]]:
    """The result as far as it is wanted and fits, and a note of what is left out."""
    if result is None or look.result == "none":
        return [], []
    if result.size > SHOWN_AT_MOST:
        return [], [f"the result has {result.size:,} bytes"]
    whole = _unfenced(_readable(result))
    if _URL.fullmatch(whole) and _length(link := _to(whole, fitted(whole, EXCERPT_CHARACTERS)[0])) <= URL_AT_MOST:
        return [_section(link)], []  # half a link would lead nowhere
    rest = whole[: _boundary(whole, EXCERPT_CHARACTERS)] if _long(whole, look) else whole
    cut = len(whole) - len(rest)
    blocks: list[Block] = []
    while rest and room >= VALUE_AT_MOST:
        shown, rest = _fenced(rest, min(room, SECTION_AT_MOST))
        room -= _length(shown)
        blocks.append(_section(shown))
    left_out = cut + len(rest)
    note = f"the result is cut: {len(whole) - left_out:,} of {len(whole):,} characters"
    return blocks or [_section(_EMPTY)], [note] if left_out else []


def _long(whole: str, look: Look) -> bool:
    return look.result == "excerpt" and len(whole) > EXCERPT_CHARACTERS


def _readable(result: Document) -> str:
    """A text as it is, anything else as indented JSON."""
    if result.text.startswith(b'"'):
        return msgspec.json.decode(result.text, type=str)
    return msgspec.json.format(result.text, indent=2).decode()


def _link(watch_id: str, look: Look) -> list[str]:
    if not look.public_url:
        return []
    return [_to(f"{look.public_url.rstrip('/')}/v1/watches/{watch_id}/answer", "the whole answer")]


def _fields(facts: list[tuple[str, str]]) -> Iterator[Block]:
    for start in range(0, len(facts), FIELDS_AT_MOST):
        some = facts[start : start + FIELDS_AT_MOST]
        yield {"type": "section", "fields": [_mrkdwn(f"*{name}*\n{value}") for name, value in some]}


def _section(text: str) -> Block:
    return {"type": "section", "text": _mrkdwn(text)}


def _context(notes: list[str]) -> Block:
    return {"type": "context", "elements": [_mrkdwn(" · ".join(notes))]}


def _mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


# ---------------------------------------------------------------------- figures in words


def _how_far(progress: Progress) -> str:
    count = "" if progress.value is None else f"{progress.value:,}"
    if count and progress.total is not None:
        count += f" of {progress.total:,}"
    share = "" if progress.fraction is None else f"{progress.fraction:.0%}"
    return " · ".join(part for part in (count, share, progress.text) if part)


def _lasted(time: timedelta) -> str:
    """Its two largest units: `1 h 5 min`."""
    left = max(int(time.total_seconds()), 0)
    figures: list[str] = []
    for unit, seconds in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        figures += [f"{count} {unit}"] if count or figures else []
    return " ".join(figures[:2]) or "less than 1 s"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
