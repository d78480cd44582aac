"""The suite that every sink passes: tests/sinks/test_webhook.py shows how one joins.

A sink's test file says how to meet its receivers (a `Channel`) and inherits `SinkContract`. Codes are the channel's
own: HTTP statuses, SMTP codes. Each obligation of sinks/base.py is a test here.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

import pytest

from ringback.core.model import AttemptOutcome
from ringback.core.retry import Outcome
from ringback.sinks.base import Sink
from tests.sinks.samples import HARD_TEXT, NOW, account_event, destination_event, document, message, task_event

DELIVERED, FAILED, REFUSED = AttemptOutcome.DELIVERED, AttemptOutcome.FAILED, AttemptOutcome.REFUSED
TIMEOUT_S = 0.4
"""What the channels give their sinks."""

MUCH_LATER_S = 20
"""A sink that is not back by then has no total time-out (a loaded machine is given time)."""

EXCERPT_AT_MOST = 4096


class Fault(StrEnum):
    """What a receiver may do instead of answering."""

    SILENCE = "silence"
    DRIP = "drip"
    HEAD_DRIP = "head_drip"
    HANG_UP = "hang_up"
    RESET = "reset"
    NOBODY = "nobody listens"
    NO_NAME = "no such host name"
    GARBAGE = "garbage"
    CUT_OFF = "cut_off"


@dataclass(frozen=True)
class Verdict:
    """What a code means."""

    outcome: AttemptOutcome
    throttled: bool = False
    gone: bool = False

    @classmethod
    def of(cls, outcome: Outcome) -> "Verdict":
        return cls(outcome.outcome, outcome.throttled, outcome.gone)


@dataclass
class Stage:
    """A sink that faces a receiver. `marks` is what the receiver can tell deliveries apart by, in the order they came.

    `code`, where the receiver answers: set it to choose what it says next; `retry_after` goes with it.
    """

    sink: Sink
    marks: Sequence[str]
    code: int = 0
    retry_after: str | None = None


class Channel(Protocol):
    """How the suite meets a sink's receivers. The sink's time-out is TIMEOUT_S."""

    secrets: Sequence[str]
    """Texts of at least 8 characters that must not be seen; the sink was given all of them."""

    verdicts: Mapping[int, Verdict]
    """Every code, and what it means."""

    patience: int
    """The code that asks for patience."""

    def answering(self) -> AbstractAsyncContextManager[Stage]:
        """A receiver that answers with `stage.code`."""

    def failing(self, fault: Fault) -> AbstractAsyncContextManager[Stage]:
        """A receiver that does this."""

    def flooding(self) -> AbstractAsyncContextManager[Stage]:
        """A receiver that refuses at endless length."""

    def echoing(self) -> AbstractAsyncContextManager[Stage]:
        """A receiver that refuses and repeats all it was sent."""


async def send(stage, event=None, attempt=1):
    """Send, in time, and without anything raised."""
    async with asyncio.timeout(MUCH_LATER_S):
        sent = await stage.sink.send([message(event, attempt)], NOW)
    return sent.outcome


def assert_harmless(outcome, channel):
    """An outcome that may be stored and logged."""
    text = f"{outcome.message}\n{outcome.excerpt}"
    assert [secret for secret in channel.secrets if secret in text] == []
    assert len((outcome.excerpt or "").encode()) <= EXCERPT_AT_MOST
    assert all(character.isprintable() or character in "\n\t\N{REPLACEMENT CHARACTER}\u3000" for character in text)
    assert outcome.latency_ms >= 0


class SinkContract:
    """Inherit it as `Test...` and give a `channel` fixture."""

    async def test_every_code_has_its_outcome(self, channel):
        """What may pass is failed, what will never pass is refused, and only success is delivered."""
        found = {}
        async with channel.answering() as stage:
            for code in channel.verdicts:
                stage.code = code
                outcome = await send(stage)
                assert_harmless(outcome, channel)
                assert outcome.status == code
                found[code] = Verdict.of(outcome)
        assert found == channel.verdicts

    async def test_what_is_not_delivered_says_why(self, channel):
        """Every outcome but success has one sentence."""
        async with channel.answering() as stage:
            for code, verdict in channel.verdicts.items():
                stage.code = code
                outcome = await send(stage)
                assert (outcome.message is None) == (verdict.outcome is DELIVERED)
                assert "\n" not in (outcome.message or "")

    @pytest.mark.parametrize("fault", Fault)
    async def test_a_fault_is_a_failure_in_time(self, channel, fault):
        """Whatever the receiver does instead of answering: the sink comes back, says why, and it is tried again."""
        async with channel.failing(fault) as stage:
            outcome = await send(stage)
        assert Verdict.of(outcome) == Verdict(FAILED)
        assert outcome.message
        assert_harmless(outcome, channel)

    async def test_a_flood_is_not_read(self, channel):
        """Of an answer without end a bounded part is kept, and its code still counts."""
        async with channel.flooding() as stage:
            outcome = await send(stage)
        assert outcome.outcome is not DELIVERED
        assert outcome.excerpt
        assert_harmless(outcome, channel)

    async def test_an_echo_gives_no_secret_away(self, channel):
        """A receiver that repeats the request in its error page does not carry secrets into our store and logs."""
        async with channel.echoing() as stage:
            outcome = await send(stage)
        assert outcome.outcome is not DELIVERED
        assert "***" in outcome.excerpt
        assert_harmless(outcome, channel)

    async def test_the_same_event_is_recognised(self, channel):
        """Two attempts of one event look the same to the receiver, two events do not."""
        async with channel.answering() as stage:
            stage.code = next(code for code, verdict in channel.verdicts.items() if verdict.outcome is DELIVERED)
            await send(stage)
            await send(stage, attempt=2)
            await send(stage, task_event(sequence=4))
            first, again, other = stage.marks
        assert first == again != other

    async def test_a_request_for_patience_is_understood(self, channel):
        """How long the receiver asks us to wait is handed on."""
        async with channel.answering() as stage:
            stage.code, stage.retry_after = channel.patience, "120"
            outcome = await send(stage)
        assert outcome.throttled
        assert outcome.retry_after == timedelta(seconds=120)

    @pytest.mark.parametrize(
        "event",
        [
            task_event(),
            task_event(result=document(HARD_TEXT)),
            task_event(result=None, details=None, progress=None),
            task_event(metadata={"to\r\nBcc: x@example.org": "<!channel> & ]]>\r\n.\r\n", "empty": ""}),
            account_event(),
            destination_event(),
        ],
        ids=["plain", "hard text", "nothing", "injection", "account", "destination"],
    )
    async def test_every_event_can_be_sent(self, channel, event):
        """No event is too odd to be delivered."""
        async with channel.answering() as stage:
            stage.code = next(code for code, verdict in channel.verdicts.items() if verdict.outcome is DELIVERED)
            outcome = await send(stage, event)
            assert len(stage.marks) == 1
        assert Verdict.of(outcome) == Verdict(DELIVERED)
