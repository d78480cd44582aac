"""One event in the words of a mail: a headline, what is wrong, the facts, the result.

Secret: these words and their limits, and how foreign text is made fit for a header and for a line. Pure.
"""

from __future__ import annotations

import unicodedata
from typing import Literal

import msgspec

from ringback.core.document import NOT_HERE, Document
from ringback.core.model import AccountData, DestinationData, Error, Event, EventType, Progress, TaskData
from ringback.sinks.excerpt import printable
from ringback.sinks.payload import rfc3339

Tone = Literal["good", "bad", "plain"]
Shown = Literal["excerpt", "full", "none"]
"""How much of a result a mail shows."""

EXCERPT_CHARACTERS = 300
FULL_AT_MOST = 64 * 1024
"""Bytes of a result that is shown in full."""

SUBJECT_AT_MOST = 200
VALUE_AT_MOST = 1000
"""Characters of an error, a metadata value, a reason."""

LABEL_AT_MOST = 100

_GOOD = {EventType.TASK_SUCCEEDED, EventType.PROVIDER_RECOVERED, EventType.DESTINATION_RESUMED}
_BAD = {
    EventType.TASK_FAILED,
    EventType.TASK_EXPIRED,
    EventType.TASK_VANISHED,
    EventType.TASK_STALLED,
    EventType.PROVIDER_DEGRADED,
    EventType.DESTINATION_PAUSED,
}


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """What the templates lay out; a digest leaves `facts` and `cut` away.

    `trouble` is what is wrong, `facts` are (label, value), `result` is None where none is shown, `cut` says what is not
    shown of it, `link` leads to the whole.
    """

    headline: str
    tone: Tone
    trouble: str
    facts: tuple[tuple[str, str], ...]
    result: str | None = None
    cut: str = ""
    link: str = ""


def section(event: Event, shown: Shown, public_url: str = "") -> Section:
    """What is said of an event; without a `public_url` nothing leads anywhere."""
    match event.data:
        case TaskData() as data:
            result, cut = _result(data.result, shown)
            link = f"{public_url}/v1/watches/{data.watch_id}/answer" if public_url else ""
            about = f"{data.provider} {data.task_id}"
            return _section(event, about, _error(data.error), _of_task(data), result=result, cut=cut, link=link)
        case AccountData() as data:
            facts = {"Open watches": str(data.watches)}
            return _section(event, f"account {data.account}", _error(data.problem), facts, link=public_url)
        case DestinationData() as data:
            facts = {"Since": rfc3339(data.since), "Deliveries that wait": str(data.pending)}
            return _section(event, f"destination {data.destination}", data.reason or "", facts, link=public_url)


def outcome_word(event: Event) -> str:
    """`succeeded`, `paused`: the type's last word."""
    return event.type.value.partition(".")[2]


def _section(
    event: Event,
    about: str,
    trouble: str,
    facts: dict[str, str],
    *,
    result: str | None = None,
    cut: str = "",
    link: str = "",
) -> Section:
    stated = facts | {"Observed": rfc3339(event.at), "Event": event.id}
    return Section(
        headline=f"{outcome_word(event).capitalize()}: {_for_a_header(about)}",
        tone="good" if event.type in _GOOD else "bad" if event.type in _BAD else "plain",
        trouble=_on_a_line(trouble),
        facts=tuple((_on_a_line(key, LABEL_AT_MOST), _on_a_line(value)) for key, value in stated.items() if value),
        result=result,
        cut=cut,
        link=link,
    )


def _of_task(data: TaskData) -> dict[str, str]:
    """A key of the metadata may be one of our words, so it is marked."""
    ours = {
        "Task": data.task_id,
        "Provider": data.provider,
        "Account": data.account,
        "State": f"{data.state} (was {data.previous_state})",
        "Progress": _progress(data.progress),
        "Result expires": rfc3339(data.result_expires_at) if data.result_expires_at is not None else "",
        "Registered": rfc3339(data.registered_at),
    }
    return ours | {f"Metadata {key}": value for key, value in data.metadata.items()}


def _error(error: Error | None) -> str:
    return f"{error.code}: {error.message}" if error is not None else ""


def _progress(progress: Progress | None) -> str:
    """In the provider's words, else in numbers."""
    if progress is None:
        return ""
    if progress.text is None and progress.value is not None:
        return f"{progress.value}" if progress.total is None else f"{progress.value} of {progress.total}"
    if progress.text is None and progress.fraction is not None:
        return f"{progress.fraction:.0%}"
    return progress.text or ""


def _result(result: Document | None, shown: Shown) -> tuple[str | None, str]:
    """The part that is shown, and a sentence about the rest. One that was not read is only measured."""
    if result is None or shown == "none":
        return None, ""
    if result.json is NOT_HERE:
        return None, f"The result has {result.size:,} bytes."
    text = printable(_plain(result)).strip()
    part = text[:EXCERPT_CHARACTERS] if shown == "excerpt" else text.encode()[:FULL_AT_MOST].decode(errors="ignore")
    return part, f"This is the beginning of {len(text):,} characters." if len(part) < len(text) else ""


def _plain(document: Document) -> str:
    """A text as it reads, anything else as indented JSON."""
    if document.text.startswith(b'"'):
        return msgspec.json.decode(document.text, type=str)
    return msgspec.json.format(document.text, indent=2).decode()


# ---------------------------------------------------------------------- foreign text, made fit


def _for_a_header(text: str) -> str:
    """One line, nothing but printable characters, and nothing that would be read as an encoded word (`=?`)."""
    visible = "".join(c if c.isprintable() else " " for c in text[: SUBJECT_AT_MOST * 2])
    return _shortened(" ".join(visible.replace("=?", "= ?").split()), SUBJECT_AT_MOST)


def _on_a_line(text: str, at_most: int = VALUE_AT_MOST) -> str:
    """One line, so that no value looks like another fact. Joiners, which some scripts need, stay."""
    visible = "".join(" " if unicodedata.category(c) in {"Cc", "Cs"} else c for c in text[: at_most * 2])
    return _shortened(" ".join(visible.split()), at_most)


def _shortened(text: str, at_most: int) -> str:
    return text if len(text) <= at_most else f"{text[: at_most - 1]}…"
