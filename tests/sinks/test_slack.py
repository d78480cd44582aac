"""The Slack sink: the contract of all sinks, both ways in, and what is special about Slack."""

import asyncio
import json
import re
import warnings
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from slack_sdk import WebClient, WebhookClient
from slack_sdk.errors import SlackApiError, SlackObjectFormationError
from slack_sdk.models.blocks import Block

from ringback.core.errors import BadInput
from ringback.core.ids import event_id
from ringback.core.model import AccountData, Error, Event, EventType, Progress, WatchState
from ringback.outbound import Outbound
from ringback.sinks.base import Message
from ringback.sinks.blocks import Look, announced, composed, fitted, texts
from ringback.sinks.slack import Handle, SlackSink
from ringback.sinks.slack_errors import MEANINGS, POST_ANEW, Kind
from tests.sinks import hostile, slack_server
from tests.sinks.contract import DELIVERED, FAILED, REFUSED, TIMEOUT_S, Fault, SinkContract, Stage, Verdict
from tests.sinks.samples import HARD_TEXT, NOW, account_event, destination_event, document, message, task_event
from tests.sinks.slack_server import HOOK, TOKEN, Slack

BUILDS = "C0BUILDS01"
WITHOUT_ANSWER = {204, 205}
SPECIAL = {
    410: Verdict(REFUSED, gone=True),
    413: Verdict(REFUSED),
    415: Verdict(REFUSED),
    429: Verdict(FAILED, throttled=True),
}
VERDICTS = {code: SPECIAL.get(code, Verdict(DELIVERED if code < 300 else FAILED)) for code in range(200, 600)}
DEEDS = {
    Fault.SILENCE: hostile.silence,
    Fault.DRIP: hostile.drip,
    Fault.HEAD_DRIP: hostile.head_drip,
    Fault.HANG_UP: hostile.hang_up,
    Fault.RESET: hostile.reset,
    Fault.GARBAGE: hostile.garbage,
    Fault.CUT_OFF: hostile.cut_off,
}
VILE = (
    "```<!channel> <!here|x> <@U0ADMIN> <#C0BUILDS01> <https://evil.example/?a=b&c|click> @channel @everyone ````` "
    "終わり\N{COMBINING KATAKANA-HIRAGANA VOICED SOUND MARK} 👩‍👩‍👧‍👦 `x` ```` & \x00\x1b[31m\u202e &lt;!channel&gt; "
    "*b* _i_ ~s~\r\n"
)
VILE_RESULT = (VILE * 300)[:20_000]
RUNNING = {"state": WatchState.RUNNING, "previous_state": WatchState.QUEUED, "result": None}


def running(sequence=1, **fields):
    return task_event(EventType.TASK_RUNNING, sequence=sequence, **RUNNING | fields)


# ---------------------------------------------------------------------- the contract, both ways


class Marks:
    """The first block ids that a server has seen: the events' ids."""

    def __init__(self, server):
        self._server = server

    def __iter__(self):
        return (json.loads(request.body)["blocks"][0]["block_id"] for request in self._server.requests)

    def __len__(self):
        return len(self._server.requests)


class SlackChannel:
    """Hostile servers in place of Slack."""

    patience = 429

    def __init__(self, outbound):
        self.outbound = outbound

    @asynccontextmanager
    async def facing(self, deed, **settings):
        async with hostile.Hostile(deed) as server:
            yield Stage(self.sink(server.origin, **settings), Marks(server))

    @asynccontextmanager
    async def answering(self):
        async def deed(request, writer):
            headers = {} if stage.retry_after is None else {"retry-after": stage.retry_after}
            body = self.success(request) if stage.code // 100 == 2 else b"so it is\n"
            return await hostile.reply(writer, stage.code, headers, body)

        async with self.facing(deed, timeout_s=15) as stage:
            yield stage

    @asynccontextmanager
    async def failing(self, fault):
        if fault in DEEDS:
            async with self.facing(DEEDS[fault]) as stage:
                yield stage
        elif fault is Fault.NO_NAME:
            yield Stage(self.sink("http://nobody.invalid", timeout_s=15), ())
        else:
            with hostile.closed_port() as origin:
                yield Stage(self.sink(origin, timeout_s=15), ())

    def flooding(self):
        return self.facing(hostile.endless(500), timeout_s=15)

    def echoing(self):
        return self.facing(hostile.echo, timeout_s=15)


class HookChannel(SlackChannel):
    """An incoming webhook."""

    secrets = (HOOK, *HOOK.split("/")[2:], HOOK.replace("/", "\\/"))
    verdicts = VERDICTS

    def sink(self, origin, **settings):
        return SlackSink(self.outbound, webhook_url=lambda: origin + HOOK, **{"timeout_s": TIMEOUT_S} | settings)

    def success(self, request):
        return b"ok"


class BotChannel(SlackChannel):
    """The Web API. A 2xx without its JSON is not its word."""

    secrets = (TOKEN, TOKEN.removeprefix("xoxb-"))
    verdicts = VERDICTS | dict.fromkeys(WITHOUT_ANSWER, Verdict(FAILED))

    def sink(self, origin, **settings):
        settings = {"timeout_s": TIMEOUT_S, "channel": "#builds", "api_url": f"{origin}/api"} | settings
        return SlackSink(self.outbound, bot_token=lambda: TOKEN, **settings)

    def success(self, request):
        message = json.loads(request.body)
        return json.dumps({"ok": True, "channel": BUILDS, "ts": "1.000001", "message": message}).encode()


@pytest.fixture
async def outbound():
    outbound = Outbound()
    yield outbound
    await outbound.aclose()


class TestIncomingWebhook(SinkContract):
    """An incoming webhook keeps the obligations of every sink."""

    @pytest.fixture
    async def channel(self, outbound):
        return HookChannel(outbound)


class TestBotToken(SinkContract):
    """A bot keeps the obligations of every sink."""

    @pytest.fixture
    async def channel(self, outbound):
        return BotChannel(outbound)


# ---------------------------------------------------------------------- a Slack that knows what it is asked


@pytest.fixture
async def slack():
    async with Slack() as slack:
        yield slack


class Lane:
    """Sends the events of a watch as the dispatcher does: with the handle that the last attempt left."""

    def __init__(self, sink):
        self.sink = sink
        self.handle = None

    async def send(self, event, attempt=1):
        sent = await self.sink.send([Message("dlv_1", event, attempt, self.handle)], NOW)
        self.handle = sent.handle if sent.handle is not None else self.handle
        return sent.outcome


def bot(outbound, slack, **settings):
    settings = {"bot_token": lambda: TOKEN, "channel": "#builds", "api_url": slack.api_url} | settings
    return Lane(SlackSink(outbound, **settings))


def hook(outbound, slack, **settings):
    return Lane(SlackSink(outbound, **{"webhook_url": lambda: slack.hook_url} | settings))


def shown(message):
    return "\n".join(texts(message["blocks"]))


async def test_a_webhook_gets_one_message_an_event(outbound, slack):
    """Every event is a message of its own; nothing is kept, since nothing can be edited."""
    lane = hook(outbound, slack)
    assert (await lane.send(running())).outcome is DELIVERED
    outcome = await lane.send(task_event())
    assert outcome.outcome is DELIVERED
    assert outcome.excerpt == "ok"
    assert [one["blocks"][0]["block_id"] for one in slack.hooked] == [running().id, task_event().id]
    assert all(one["text"] for one in slack.hooked)
    assert lane.handle is None
    assert slack.unfurled == slack.pings == []


async def test_a_bot_edits_one_message_and_rings_at_the_end(outbound, slack):
    """A watch is one message that moves; its final state is also a reply that the channel sees."""
    lane = bot(outbound, slack)
    first = running()
    for event in (first, running(2, progress=Progress(fraction=0.5)), task_event(sequence=3)):
        assert (await lane.send(event)).outcome is DELIVERED
    (root,) = slack.roots
    (reply,) = slack.thread(root["ts"])
    assert slack.methods == ["chat.postMessage", "chat.update", "chat.update", "chat.postMessage"]
    assert "succeeded" in shown(root)
    assert root["blocks"][0]["block_id"] == task_event(sequence=3).id != first.id
    assert reply["broadcast"] is True
    assert Handle.read(lane.handle) == Handle("#builds", BUILDS, root["ts"], 3)
    assert "succeeded" in reply["text"]
    assert reply["metadata"]["event_payload"]["id"] == task_event(sequence=3).id
    assert slack.unfurled == slack.pings == []


async def test_final_may_be_an_edit_only(outbound, slack):
    """`final = "edit"` makes no reply."""
    lane = bot(outbound, slack, final="edit")
    await lane.send(running())
    await lane.send(task_event())
    assert slack.methods == ["chat.postMessage", "chat.update"]
    assert slack.thread(slack.roots[0]["ts"]) == []


async def test_a_message_that_begins_final_rings_by_itself(outbound, slack):
    """Whoever asks for the final states only gets one message a watch, not two."""
    await bot(outbound, slack).send(task_event())
    assert slack.methods == ["chat.postMessage"]


async def test_the_handle_survives_a_restart(outbound, slack):
    """Another process goes on editing with what the store kept."""
    before = bot(outbound, slack)
    await before.send(running())
    after = bot(outbound, slack)
    after.handle = before.handle
    await after.send(running(2))
    assert len(slack.roots) == 1
    assert slack.methods[-1] == "chat.update"
    assert TOKEN not in before.handle


@pytest.mark.parametrize("word", sorted(POST_ANEW))
async def test_what_cannot_be_edited_is_posted_anew(outbound, slack, word):
    """A message that is gone or closed is replaced by a new one, which later events edit; it rings by itself."""
    lane = bot(outbound, slack)
    await lane.send(running())
    slack.say(word)
    assert (await lane.send(task_event(sequence=2))).outcome is DELIVERED
    assert slack.methods == ["chat.postMessage", "chat.update", "chat.postMessage"]
    await lane.send(running(3))
    assert slack.calls[-1][1]["ts"] == slack.roots[1]["ts"]


async def test_a_deleted_message_is_posted_anew(outbound, slack):
    """The same, with a Slack that finds out by itself."""
    lane = bot(outbound, slack)
    await lane.send(running())
    slack.delete(slack.roots[0]["ts"])
    assert (await lane.send(running(2))).outcome is DELIVERED
    assert len(slack.roots) == 1


async def test_a_failed_edit_is_tried_again_as_an_edit(outbound, slack):
    """What may pass makes no second message."""
    lane = bot(outbound, slack)
    await lane.send(running())
    slack.say("internal_error")
    assert (await lane.send(running(2))).outcome is FAILED
    assert (await lane.send(running(2), attempt=2)).outcome is DELIVERED
    assert slack.methods == ["chat.postMessage", "chat.update", "chat.update"]
    assert len(slack.roots) == 1


async def test_an_edit_without_its_reply_is_not_edited_again(outbound, slack):
    """The next try only replies, and the one after the next event does not reply for the old one."""
    lane = bot(outbound, slack)
    await lane.send(running())
    slack.say(None)
    slack.say("service_unavailable", times=2)
    failed = await lane.send(task_event())
    assert failed.outcome is FAILED
    assert failed.message.startswith("the message stands, its reply is missing: ")
    assert (await lane.send(task_event(), attempt=2)).outcome is FAILED
    assert (await lane.send(task_event(), attempt=3)).outcome is DELIVERED
    assert slack.methods[1:] == ["chat.update", *["chat.postMessage"] * 3]
    assert len(slack.thread(slack.roots[0]["ts"])) == 1
    await lane.send(running(4))
    assert slack.methods[-1] == "chat.update"


async def test_a_throttled_reply_is_held_back(outbound, slack):
    """429 at the second step asks for patience like at the first, and what was done is kept."""
    lane = bot(outbound, slack)
    await lane.send(running())
    slack.say(None)
    slack.say("ratelimited", status=429, headers={"Retry-After": "30"})
    outcome = await lane.send(task_event())
    assert outcome.throttled
    assert outcome.retry_after == timedelta(seconds=30)
    assert Handle.read(lane.handle).owes == task_event().id


async def test_a_lost_answer_makes_a_copy_that_is_recognised(outbound, slack):
    """Slack took it, we do not know: the second copy bears the same ids."""
    lane = bot(outbound, slack)
    slack.lose()
    assert (await lane.send(running())).outcome is FAILED
    assert (await lane.send(running(), attempt=2)).outcome is DELIVERED
    one, two = slack.roots
    assert one["metadata"] == two["metadata"]
    assert one["blocks"][0]["block_id"] == two["blocks"][0]["block_id"] == one["metadata"]["event_payload"]["id"]


async def test_an_older_event_does_not_turn_the_message_back(outbound, slack):
    """Sent again by hand, it is a reply; the message goes on showing the newest."""
    lane = bot(outbound, slack)
    await lane.send(running())
    await lane.send(task_event())
    handle = lane.handle
    assert (await lane.send(running(), attempt=2)).outcome is DELIVERED
    (root,) = slack.roots
    assert "succeeded" in shown(root)
    assert [reply["broadcast"] for reply in slack.thread(root["ts"])] == [True, False]
    assert lane.handle == handle


async def test_the_newest_sent_again_by_hand_rings_again(outbound, slack):
    """Who resends a final event wants it seen."""
    lane = bot(outbound, slack)
    await lane.send(running())
    await lane.send(task_event())
    await lane.send(task_event(), attempt=2)
    assert len(slack.roots) == 1
    assert len(slack.thread(slack.roots[0]["ts"])) == 2


async def test_a_reply_that_has_no_thread_is_a_message(outbound, slack):
    """Where the thread is gone the final state is still told."""
    lane = bot(outbound, slack)
    await lane.send(running())
    slack.say(None)
    slack.say("cannot_reply_to_message")
    assert (await lane.send(task_event())).outcome is DELIVERED
    assert "succeeded" in shown(slack.roots[1])


async def test_another_channel_gets_a_message_of_its_own(outbound, slack):
    """After `channel` was changed the old message in the old channel is left alone."""
    slack.channels["#video"] = "C0VIDEO001"
    slack.members.add("C0VIDEO001")
    lane = bot(outbound, slack)
    await lane.send(running())
    lane.sink = bot(outbound, slack, channel="#video").sink
    await lane.send(running(2))
    assert [root["channel"] for root in slack.roots] == [BUILDS, "C0VIDEO001"]


@pytest.mark.parametrize("handle", ["", "C1:1.2", "{}", '{"to":1}', "[" * 5000, "\x00"])
async def test_a_handle_of_another_kind_is_forgotten(outbound, slack, handle):
    """What cannot be read makes a new message, not an error."""
    lane = bot(outbound, slack)
    lane.handle = handle
    assert (await lane.send(running())).outcome is DELIVERED
    assert slack.methods == ["chat.postMessage"]


async def test_what_is_said_about_ourselves_is_never_an_edit(outbound, slack):
    """Accounts and destinations share a lane: each of their events is a message, and leaves no handle."""
    lane = bot(outbound, slack)
    for event in (account_event(), destination_event()):
        assert (await lane.send(event)).outcome is DELIVERED
    assert lane.handle is None
    lane.handle = Handle("#builds", BUILDS, slack.roots[0]["ts"], 0).text
    await lane.send(account_event())
    assert slack.methods == ["chat.postMessage"] * 3
    assert len(slack.roots) == 3


# ---------------------------------------------------------------------- what Slack's words mean

MEANING_ORDER = (Kind.CLOSED, Kind.UNFIT, Kind.PATIENCE, Kind.PASSING)
CLOSED = Verdict(REFUSED, gone=True)
UNFIT, PASSING, PATIENCE = Verdict(REFUSED), Verdict(FAILED), Verdict(FAILED, throttled=True)
WORDS = {
    "invalid_auth": CLOSED,
    "not_authed": CLOSED,
    "account_inactive": CLOSED,
    "token_revoked": CLOSED,
    "token_expired": CLOSED,
    "missing_scope": CLOSED,
    "channel_not_found": CLOSED,
    "not_in_channel": CLOSED,
    "is_archived": CLOSED,
    "restricted_action": CLOSED,
    "invalid_blocks": UNFIT,
    "msg_too_long": UNFIT,
    "msg_blocks_too_long": UNFIT,
    "no_text": UNFIT,
    "invalid_arguments": UNFIT,
    "ratelimited": PATIENCE,
    "rate_limited": PATIENCE,
    "internal_error": PASSING,
    "fatal_error": PASSING,
    "service_unavailable": PASSING,
    "request_timeout": PASSING,
    "team_added_to_org": PASSING,
    "something_new": PASSING,
    "Not <a> word": PASSING,
}
HOOK_WORDS = {
    (400, "invalid_payload"): UNFIT,
    (400, "invalid_blocks"): UNFIT,
    (400, "no_text"): UNFIT,
    (400, "too_many_attachments"): UNFIT,
    (400, "user_not_found"): CLOSED,
    (403, "action_prohibited"): CLOSED,
    (403, "invalid_token"): CLOSED,
    (403, "posting_to_general_channel_denied"): CLOSED,
    (404, "no_service"): CLOSED,
    (404, "no_team"): CLOSED,
    (404, "channel_not_found"): CLOSED,
    (410, "channel_is_archived"): CLOSED,
    (200, "no_service"): CLOSED,
    (429, "rate_limited"): PATIENCE,
    (500, "rollup_error"): PASSING,
    (404, "Not Found"): PASSING,
    (400, "something_new"): PASSING,
}


@pytest.mark.parametrize(("word", "verdict"), WORDS.items())
async def test_a_false_ok_is_understood(outbound, slack, word, verdict):
    """HTTP 200 is no success when `ok` is false; its word says what follows."""
    slack.say(word)
    outcome = await bot(outbound, slack).send(running())
    assert Verdict.of(outcome) == verdict
    assert outcome.status == 200
    assert (
        f" answered chat.postMessage with {word if ' ' not in word else 'an error without a name'}" in outcome.message
    )


@pytest.mark.parametrize(("said", "verdict"), HOOK_WORDS.items())
async def test_a_webhook_word_is_understood(outbound, slack, said, verdict):
    """The text of an incoming webhook's answer tells permanent from passing."""
    status, word = said
    slack.say(word, status=status)
    outcome = await hook(outbound, slack).send(running())
    assert Verdict.of(outcome) == verdict
    assert outcome.status == status
    assert outcome.message.startswith(slack.hook_url.removesuffix(HOOK))


@pytest.mark.parametrize("status", [200, 429])
async def test_patience_says_how_long(outbound, slack, status):
    """Retry-After counts with either status, and with both ways in."""
    for lane in (bot(outbound, slack), hook(outbound, slack)):
        slack.say("ratelimited", status=status, headers={"Retry-After": "7"})
        outcome = await lane.send(running())
        assert outcome.throttled
        assert outcome.retry_after == timedelta(seconds=7)


async def test_a_refusal_says_what_to_do(outbound, slack):
    """Whoever reads the reason knows the next step."""
    slack.members.clear()
    outcome = await bot(outbound, slack).send(running())
    assert outcome.message.endswith("answered chat.postMessage with not_in_channel: invite the app to the channel")


async def test_an_unknown_word_makes_no_status_better(outbound, slack):
    """A 410 stays one, whatever word comes with it."""
    slack.say("something_new", status=410)
    assert Verdict.of(await bot(outbound, slack).send(running())) == CLOSED


@pytest.mark.parametrize(
    "page", [b"<html>Please log in</html>", b'{"ok": true, "ts": "\xff"}', b"[" * 9000, b'{"ok": 1}']
)
async def test_a_login_page_is_not_the_web_api(outbound, page):
    """A 200 that is not Slack's is a failure that names the setting."""

    async def deed(request, writer):
        return await hostile.reply(writer, 200, {}, page)

    async with hostile.Hostile(deed) as server:
        sink = SlackSink(outbound, bot_token=lambda: TOKEN, channel="#builds", api_url=server.origin)
        outcome = (await sink.send([message()], NOW)).outcome
    assert outcome.outcome is FAILED
    assert "api_url" in outcome.message


def test_every_word_is_one_that_is_recognised():
    """No meaning is out of reach, and every refusal gives advice."""
    assert all(re.fullmatch(r"[a-z_]{2,60}", word) for word in MEANINGS)
    assert {meaning.kind for meaning in MEANINGS.values()} == set(Kind)
    assert all(meaning.advice for meaning in MEANINGS.values())


def test_the_guide_says_what_slacks_words_mean():
    """Each row of the table names words of one kind, and no other."""
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "slack.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \|", guide, re.MULTILINE)
    words = [[word for word in re.findall(r"`([^`]+)`", row) if word != "Retry-After"] for row in rows]
    assert [{MEANINGS[word].kind for word in row} for row in words] == [{kind} for kind in MEANING_ORDER]


# ---------------------------------------------------------------------- secrets and settings


@pytest.mark.parametrize("way", ["webhook_url", "bot_token"])
async def test_an_unreadable_secret_file_is_a_failed_attempt(outbound, slack, way):
    """A secret that cannot be had just now ends no loop and sends nothing."""

    def unreadable():
        raise BadInput("/run/secrets/slack cannot be read: permission denied")

    channel = {"channel": "#builds", "api_url": slack.api_url} if way == "bot_token" else {}
    outcome = await Lane(SlackSink(outbound, **{way: unreadable}, **channel)).send(running())
    assert outcome.outcome is FAILED
    assert outcome.message == "/run/secrets/slack cannot be read: permission denied"
    assert slack.calls == []


async def test_a_new_token_is_used_at_once(outbound, slack):
    """The secret is asked for at each send."""
    token = ["xoxb-of-yesterday"]
    lane = bot(outbound, slack, bot_token=lambda: token[0])
    refused = await lane.send(running())
    token[0] = TOKEN
    assert "invalid_auth" in refused.message
    assert "yesterday" not in f"{refused.message}{refused.excerpt}"
    assert (await lane.send(running(), attempt=2)).outcome is DELIVERED


@pytest.mark.parametrize("secret", ["xoxb-line\nbreak", "xoxb-日本語"])
async def test_a_secret_that_cannot_be_sent_is_not_repeated(outbound, slack, secret):
    """A token that HTTP cannot carry is a failed attempt that does not quote it."""
    outcome = await bot(outbound, slack, bot_token=lambda: secret).send(running())
    assert outcome.outcome is FAILED
    assert secret[5:] not in outcome.message


async def test_a_webhook_url_that_cannot_be_asked_is_not_repeated(outbound):
    """Nor does a bad URL."""
    sink = SlackSink(outbound, webhook_url=lambda: "hooks.slack.com/services/T0AB12CD34/s3cr3t")
    outcome = (await sink.send([message()], NOW)).outcome
    assert outcome.outcome is FAILED
    assert "s3cr3t" not in outcome.message


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"webhook_url": str, "bot_token": str, "channel": "#builds"},
        {"bot_token": str},
    ],
)
def test_exactly_one_way_in(settings):
    """Neither, both, or a bot without a channel is a mistake that is told at once."""
    with pytest.raises(BadInput, match="`webhook_url`, or `bot_token` and `channel`"):
        SlackSink(Outbound(), **settings)


async def test_both_calls_share_the_time(outbound):
    """A slow edit leaves its reply what remains: together they end within the sink's time-out, near enough."""
    asked = []

    async def deed(request, writer):
        asked.append(request.target)
        if request.target.endswith("chat.update"):
            return await hostile.reply(writer, 200, {}, b'{"ok": true}')
        return await hostile.silence(request, writer)

    async with hostile.Hostile(deed) as server:
        sink = SlackSink(
            outbound, bot_token=lambda: TOKEN, channel="#builds", api_url=server.origin, timeout_s=TIMEOUT_S
        )
        handle = Handle("#builds", BUILDS, "1.1", 1).text
        sent = await sink.send([Message("dlv_1", task_event(), 1, handle)], NOW)
    assert len(asked) == 2
    assert Handle.read(sent.handle).owes == task_event().id
    assert sent.outcome.latency_ms < 10_000


# ---------------------------------------------------------------------- what a message looks like


LOOKS = [Look(result, url) for result in ("excerpt", "full", "none") for url in ("", "https://ring.example.org/base/")]
WORST = {str(number) + "&" * 80: "<!channel>`" + "&😀" * 250 for number in range(80)}
EVENTS = {
    "plain": task_event(),
    "hard": task_event(result=document(HARD_TEXT)),
    "vile": task_event(
        EventType.TASK_FAILED,
        provider="<!channel>" * 99,
        account="<@U1>",
        task_id=VILE,
        result=document(VILE_RESULT),
        error=Error(VILE, VILE_RESULT),
        metadata=WORST,
        progress=Progress(1, 3, 1 / 3, VILE),
        result_expires_at=NOW,
    ),
    "bare": task_event(task_id=" \x00 ", result=document(""), details=None, progress=None, error=Error("", "")),
    "object": task_event(result=document({"a": [1, "<!here>"], "b": "```"})),
    "url": task_event(result=document("https://files.example/v.mp4?a=b&sig=x%2Fy")),
    "endless url": task_event(result=document("https://files.example/?" + "&" * 3000)),
    "too large": task_event(result=document("x" * 70_000)),
    "account": account_event(),
    "vile account": Event("evt_1", EventType.PROVIDER_RECOVERED, NOW, AccountData(VILE, Error(VILE, VILE), 0)),
    "destination": destination_event(),
    **{type.value: task_event(type) for type in EventType if type.about_a_task},
}


@pytest.mark.parametrize("look", LOOKS, ids=str)
@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("compose", [composed, announced])
def test_every_message_keeps_all_limits_and_pings_nobody(event, look, compose):
    """Whatever stands in an event: Slack's rules and slack-sdk's hold, nobody is mentioned, all is printable."""
    made = compose(event, look)
    given = {"text": made.text, "blocks": made.blocks}
    everything = [made.text, *texts(made.blocks)]
    assert slack_server.complaints(given) == []
    assert [block.to_dict() for block in Block.parse_all(made.blocks)] == made.blocks
    assert slack_server.mentions(given, finds_names=False) == []
    assert sum(map(len, texts(made.blocks))) <= 12_000
    assert 0 < len(made.text) <= 1000
    assert made.blocks[0]["block_id"] == event.id
    assert not any(re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text) for text in everything)
    assert not any(re.search("[<>]", re.sub(r"<https://[^<>|]+\|[^<>|]+>", "", text)) for text in everything)
    assert not any(re.search(r"&(?!(amp|lt|gt);)", text) for text in everything)
    assert all(text.count("```") in (0, 2) for text in everything)
    assert str(made.blocks).count("'verbatim': True") == str(made.blocks).count("'type': 'mrkdwn'")


async def test_what_the_sink_sends_pings_nobody_on_either_way(outbound, slack):
    """40 KB of Japanese, back-ticks, mentions, links and control characters is taken by Slack, without a ring."""
    event = EVENTS["vile"]
    lane = bot(outbound, slack, result="full")
    for one in (running(1, metadata=WORST), event):
        assert (await lane.send(one)).outcome is DELIVERED
    assert (await hook(outbound, slack, result="full").send(event)).outcome is DELIVERED
    assert slack.pings == slack.unfurled == []


def test_a_long_result_is_cut_with_a_note_and_a_link():
    """The excerpt has 300 characters, says of how many, and links to the whole."""
    event = task_event(result=document("終わ&り" * 5000))
    made = composed(event, Look("excerpt", "https://ring.example.org"))
    sections = [block["text"]["text"] for block in made.blocks if block["type"] == "section" and "text" in block]
    context = made.blocks[-1]["elements"][0]["text"]
    assert sections == ["```\n" + ("終わ&amp;り" * 75) + "\n```"]
    assert "the result is cut: 300 of 20,000 characters" in context
    assert "<https://ring.example.org/v1/watches/w_1f0c/answer|the whole answer>" in context


def test_full_shows_as_much_as_slack_takes():
    """About four sections, without a gap or a double; the note says how much it is."""
    whole = "".join(f"{number:06}" for number in range(8000))
    made = composed(task_event(result=document(whole)), Look("full"))
    fences = [text.removeprefix("```\n").removesuffix("\n```") for text in texts(made.blocks) if text.startswith("```")]
    joined = "".join(fences)
    assert whole.startswith(joined)
    assert len(joined) > 10_000
    assert f"the result is cut: {len(joined):,} of 48,000 characters" in made.blocks[-1]["elements"][0]["text"]


def test_a_short_result_is_whole_without_a_note():
    """What fits is not called cut."""
    for look in LOOKS[:4]:
        made = composed(task_event(result=document("42 items")), look)
        assert "```\n42 items\n```" in list(texts(made.blocks))
        assert "cut" not in made.blocks[-1]["elements"][0]["text"]


def test_none_shows_nothing_of_the_result():
    """Not even in the text beside the blocks."""
    made = composed(task_event(result=document("s3nsitive " * 50)), Look("none", "https://ring.example.org"))
    assert "s3nsitive" not in made.text + str(made.blocks)


def test_without_public_url_there_is_no_link():
    """A link that leads nowhere is not made."""
    assert not any("<http" in text for text in texts(composed(task_event(), Look("full")).blocks))


def test_a_result_that_is_one_url_can_be_clicked():
    """Half a signed URL would be of no use; the whole is a link, its label harmless."""
    texts_of = list(texts(composed(EVENTS["url"], Look()).blocks))
    url = "https://files.example/v.mp4?a=b&amp;sig=x%2Fy"
    assert f"<{url}|{url}>" in texts_of


def test_a_result_too_large_for_an_event_is_named_by_its_size():
    """Its text need not even be at hand."""
    large = msgspec.structs.replace(document("x" * 70_000), json=msgspec.Raw())
    made = composed(task_event(result=large), Look("full"))
    assert "the result has 70,002 bytes" in made.blocks[-1]["elements"][0]["text"]


def test_what_is_empty_is_called_so():
    """Slack takes no empty text, and empty code would look like a fault."""
    made = composed(EVENTS["bare"], Look())
    assert "*Task*\n_empty_" in list(texts(made.blocks))
    assert "_empty_" in list(texts(made.blocks))


def test_back_ticks_in_a_result_are_kept_apart():
    """None is lost, none ends the block of code."""
    made = composed(task_event(result=document("a`b``c```d`````")), Look())
    (shown,) = (text for text in texts(made.blocks) if text.startswith("```"))
    assert shown.removeprefix("```\n").removesuffix("\n```").replace("\u200b", "") == "a`b``c```d`````"
    assert shown.count("``") == 2


def test_a_message_says_what_matters():
    """Who, what, how far, how long, why, and the metadata."""
    event = task_event(
        EventType.TASK_FAILED,
        state=WatchState.FAILED,
        progress=Progress(3, 10, 0.3, "rendering"),
        error=Error("out_of_credit", "buy more"),
        metadata={"team": "video"},
    )
    made = composed(event, Look())
    text = "\n".join(texts(made.blocks))
    assert made.text == "❌ 302ai-browser `26cbe8e5-0d5e` failed"
    for part in (
        "❌ 302ai-browser failed",
        "`26cbe8e5-0d5e`",
        "`302ai`",
        "`running`",
        "`3 of 10 · 30% · rendering`",
        "2 min 0 s",
        "*`out_of_credit`*\n```\nbuy more\n```",
        "*`team`*\n`video`",
        "2026-11-22 05:33:00 UTC",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("text", "room", "shown", "count"),
    [
        ("abc", 3, "abc", 3),
        ("abc", 2, "ab", 2),
        ("a&b", 5, "a", 1),
        ("a&b", 6, "a&amp;", 2),
        ("a😀", 2, "a", 1),
        ("a😀", 3, "a😀", 2),
        ("aかha", 1, "a", 1),
        ("ab\u0301c", 2, "a", 1),
        ("a👩\u200d👧b", 4, "a", 1),
        ("a👍\U0001f3fd", 3, "a", 1),
        ("a" + "\u0301" * 50, 20, "a" + "\u0301" * 19, 20),
        ("", 5, "", 0),
        ("abc", 0, "", 0),
    ],
)
def test_a_cut_falls_between_characters(text, room, shown, count):
    """Neither an entity nor what people see as one character is torn, unless it has no end."""
    assert fitted(text, room) == (shown, count)


# ---------------------------------------------------------------------- the local Slack is like the real one


@pytest.fixture
def sdk(slack, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return WebClient(TOKEN, base_url=slack.api_url)


async def test_slack_sdk_posts_edits_and_replies(slack, sdk):
    """What we make of an event goes through Slack's own client, which reads the answers as Slack's."""
    made = composed(task_event(result=document(VILE_RESULT)), Look("full", "https://ring.example.org"))
    content = {"text": made.text, "blocks": made.blocks, "parse": "none", "link_names": False}
    posted = await asyncio.to_thread(sdk.chat_postMessage, channel="#builds", **content)
    assert posted["ok"] is True
    assert posted["message"]["blocks"] == made.blocks
    edited = await asyncio.to_thread(sdk.chat_update, channel=posted["channel"], ts=posted["ts"], **content)
    assert (edited["channel"], edited["ts"], edited["text"]) == (posted["channel"], posted["ts"], made.text)
    replied = await asyncio.to_thread(
        sdk.chat_postMessage, channel=posted["channel"], thread_ts=posted["ts"], reply_broadcast=True, text="done"
    )
    assert slack.thread(posted["ts"])[0]["ts"] == replied["ts"]
    assert "warning" not in posted.data


async def test_slack_sdk_and_the_sink_send_the_same_request(outbound, slack, sdk):
    """Method, content type, authorization and JSON: a request of ours is one that Slack's client would make."""
    await bot(outbound, slack).send(task_event())
    ours = slack._server.requests[-1]
    await asyncio.to_thread(sdk.chat_postMessage, **slack.calls[-1][1])
    theirs = slack._server.requests[-1]
    assert json.loads(theirs.body) == json.loads(ours.body)
    for name in ("authorization", "content-type"):
        assert theirs.headers[name].replace(" ", "") == ours.headers[name].replace(" ", "")
    assert (theirs.method, theirs.target) == (ours.method, ours.target)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"channel": "#nowhere"}, "channel_not_found"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": ""}, "no_text"),
        ({"blocks": [{"type": "marquee"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]}, "invalid_blocks"),
        ({"metadata": {"event_type": "x"}}, "invalid_metadata_format"),
        ({"made_up": 1}, "invalid_arguments"),
    ],
)
async def test_slack_sdk_reads_the_errors(slack, sdk, wrong, word):
    """Every refusal is one that Slack's client raises with Slack's word."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # slack-sdk misses the text before Slack does
        with pytest.raises(SlackApiError) as refused:
            await asyncio.to_thread(sdk.chat_postMessage, **{"channel": "#builds", "text": "hello"} | wrong)
    assert refused.value.response["error"] == word


async def test_slack_sdk_reads_the_throttle(slack, sdk):
    """429 comes as Slack's client expects it."""
    slack.say("ratelimited", status=429, headers={"Retry-After": "7"})
    with pytest.raises(SlackApiError) as refused:
        await asyncio.to_thread(sdk.chat_postMessage, channel="#builds", text="hello")
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "7"
    assert refused.value.response["error"] == "ratelimited"


async def test_slack_sdk_uses_the_webhook(slack, sdk):
    """The webhook answers as Slack's client documents it."""
    made = composed(task_event(), Look())
    client = WebhookClient(slack.hook_url)
    taken = await asyncio.to_thread(client.send, text=made.text, blocks=made.blocks, unfurl_links=False)
    assert (taken.status_code, taken.body) == (200, "ok")
    refused = await asyncio.to_thread(client.send, blocks=[{"type": "marquee"}])
    assert (refused.status_code, refused.body) == (400, "invalid_blocks")
    lost = await asyncio.to_thread(WebhookClient(slack.hook_url + "x").send, text="hello")
    assert (lost.status_code, lost.body) == (404, "no_service")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}},
        {"type": "section"},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11},
        {"type": "section", "block_id": "x" * 256, "text": {"type": "mrkdwn", "text": "x"}},
    ],
)
def test_what_slack_sdk_refuses_the_local_slack_refuses(block):
    """The rules of the local Slack are no laxer than those of Slack's own models."""
    with pytest.raises(SlackObjectFormationError):
        Block.parse(block).to_dict()
    assert slack_server.block_complaints([block]) != []


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"text": "<!channel> hi"}, ["<!channel>"]),
        ({"text": "@here hi"}, ["@here"]),
        ({"text": "&lt;!channel&gt; a@here.org"}, []),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "@channel"}}]}, ["@channel"]),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "@channel", "verbatim": True}}]}, []),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "`<@U1>`", "verbatim": True}}]}, ["<@U1>"]),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "<!here>"}}]}, []),
    ],
)
def test_the_local_slack_hears_a_ping(given, found):
    """A test for silence would be worth nothing with a deaf listener."""
    assert slack_server.mentions(given, finds_names=True) == found


def test_event_ids_fit_a_block_id():
    """The id of any event is one that Slack takes for a block."""
    assert len(event_id("w_1f0c", 10**18)) <= 255
