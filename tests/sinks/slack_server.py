"""A local Slack: the Web API's chat methods and one incoming webhook, as strict as the real one or stricter.

It refuses what Slack refuses (a bad token, a channel that is not there, block shapes and limits), in Slack's words, and
also arguments that slack-sdk does not know. What it took is in `messages` as people would see it; `pings` holds every
mention that would ring somebody, `unfurled` the messages whose links Slack would fetch.
"""

import inspect
import itertools
import json
import re

from slack_sdk import WebClient

from tests.sinks import hostile

TOKEN = "xoxb-210987654321-1234567890123-s3cr3tS3cr3tS3cr3tS3cr3t"
HOOK = "/services/T0AB12CD34/B0AB12CD34/s3cr3tS3cr3tS3cr3t"
BOT = {"bot_id": "B0RINGBACK", "user": "U0RINGBACK", "app_id": "A0RINGBACK", "team": "T0AB12CD34"}

METHODS = {"chat.postMessage": WebClient.chat_postMessage, "chat.update": WebClient.chat_update}
ARGUMENTS = {name: set(inspect.signature(method).parameters) - {"self", "kwargs"} for name, method in METHODS.items()}
HOOK_ARGUMENTS = {"text", "blocks", "attachments", "thread_ts", "unfurl_links", "unfurl_media", "metadata", "mrkdwn"}

BLOCKS_AT_MOST = 50
TOTAL_AT_MOST = 13_200
TEXT_AT_MOST = 40_000
KEYS = {
    "header": {"type", "block_id", "text"},
    "section": {"type", "block_id", "text", "fields", "expand"},
    "context": {"type", "block_id", "elements"},
    "divider": {"type", "block_id"},
}
TEXT_KEYS = {"mrkdwn": {"type", "text", "verbatim"}, "plain_text": {"type", "text", "emoji"}}
MENTION = re.compile(r"<[!@#][^>]*>")
NAME = re.compile(r"(?<!\w)@(?:channel|here|everyone)\b")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


class Slack:
    """`async with` it. `say` chooses an answer, whatever is asked; else it answers by what it knows."""

    def __init__(self):
        self.channels = {"#builds": "C0BUILDS01"}
        self.archived = set()
        self.members = {"C0BUILDS01"}
        self.messages = {}
        self.calls = []
        self.hooked = []
        self.pings = []
        self.unfurled = []
        self._told = []
        self._ts = itertools.count(1)
        self._server = hostile.Hostile(self._deed)

    async def __aenter__(self):
        await self._server.__aenter__()
        self.api_url = f"{self._server.origin}/api/"
        self.hook_url = self._server.origin + HOOK
        return self

    async def __aexit__(self, *exc):
        await self._server.__aexit__(*exc)

    def say(self, word, *, status=200, headers=None, times=1):
        """The next answers: `ok: false` with this word (of a webhook: the word); None answers honestly."""
        self._told += [(word, status, headers or {})] * times

    def lose(self):
        """The next request is honoured, its answer lost."""
        self._told.append((hostile.hang_up, 0, {}))

    @property
    def methods(self):
        return [method for method, _ in self.calls]

    def thread(self, ts):
        """The replies to a message."""
        return [message for message in self.messages.values() if message.get("thread_ts") == ts]

    @property
    def roots(self):
        return [message for message in self.messages.values() if "thread_ts" not in message]

    def delete(self, ts):
        """Somebody removes a message."""
        self.messages = {place: message for place, message in self.messages.items() if place[1] != ts}

    async def _deed(self, request, writer):
        word, status, headers = self._told.pop(0) if self._told else (None, 200, {})
        if word is hostile.hang_up:
            self._honest(request)
            return False
        if word is None:
            status, kind, body = self._honest(request)
        elif request.target.startswith("/api/"):
            self.calls.append((request.target.removeprefix("/api/"), json.loads(request.body)))
            kind, body = "application/json; charset=utf-8", json.dumps({"ok": False, "error": word})
        else:
            self.hooked.append(json.loads(request.body))
            kind, body = "text/html", word
        return await hostile.reply(writer, status, {"content-type": kind} | headers, body.encode())

    def _honest(self, request):
        if request.target.startswith("/api/"):
            return 200, "application/json; charset=utf-8", json.dumps(self._api(request))
        status, word = self._hook(request)
        return status, "text/html", word

    # ------------------------------------------------------------------ the Web API

    def _api(self, request):
        method = request.target.removeprefix("/api/")
        word, given = self._admitted(method, request)
        if word is not None:
            return {"ok": False, "error": word}
        self.calls.append((method, given))
        found = complaints(given)
        if found:
            notes = [note for _, note in found if note]
            return {"ok": False, "error": found[0][0]} | ({"response_metadata": {"messages": notes}} if notes else {})
        answer = self._post(given) if method == "chat.postMessage" else self._update(given)
        if "charset" not in request.headers["content-type"]:
            answer["warning"] = "missing_charset"
        return answer

    def _admitted(self, method, request):
        """Why the request is not even looked at, or what it gives."""
        authorization = request.headers.get("authorization", "")
        if method not in METHODS:
            return "unknown_method", None
        if authorization != f"Bearer {TOKEN}":
            return "invalid_auth" if authorization.startswith("Bearer ") else "not_authed", None
        if request.method != "POST" or not request.headers["content-type"].startswith("application/json"):
            return "invalid_post_type", None
        given = _parsed(request.body)
        if given is None:
            return "invalid_json", None
        return ("invalid_arguments", None) if set(given) - ARGUMENTS[method] else (None, given)

    def _post(self, given):
        channel = self.channels.get(given.get("channel"), given.get("channel"))
        if channel not in self.channels.values():
            return {"ok": False, "error": "channel_not_found"}
        if channel in self.archived:
            return {"ok": False, "error": "is_archived"}
        if channel not in self.members:
            return {"ok": False, "error": "not_in_channel"}
        ts = f"1795325580.{next(self._ts):06}"
        message = self._kept(given, BOT | {"type": "message", "ts": ts, "channel": channel})
        if "thread_ts" in given:
            message |= {"thread_ts": given["thread_ts"], "broadcast": given.get("reply_broadcast", False)}
        if given.get("unfurl_links") is not False or given.get("unfurl_media") is not False:
            self.unfurled.append(message)
        self.messages[channel, ts] = message
        return {"ok": True, "channel": channel, "ts": ts, "message": message}

    def _update(self, given):
        place = given.get("channel"), given.get("ts")
        if place[0] not in self.channels.values():
            return {"ok": False, "error": "channel_not_found"}
        if place not in self.messages:
            return {"ok": False, "error": "message_not_found"}
        message = self.messages[place] = self._kept(given, self.messages[place])
        message["edited"] = {"user": BOT["user"], "ts": place[1]}
        return {"ok": True, "channel": place[0], "ts": place[1], "text": message["text"], "message": message}

    def _kept(self, given, message):
        finds_names = given.get("parse", "none") != "none" or given.get("link_names", False)
        self.pings += mentions(given, finds_names=finds_names)
        return message | {key: given[key] for key in ("text", "blocks", "metadata") if key in given}

    # ------------------------------------------------------------------ the incoming webhook

    def _hook(self, request):
        if request.target != HOOK:
            return 404, "no_service"
        given = _parsed(request.body)
        if given is None or set(given) - HOOK_ARGUMENTS:
            return 400, "invalid_payload"
        if self.channels["#builds"] in self.archived:
            return 410, "channel_is_archived"
        found = complaints(given)
        if found:
            return 400, found[0][0]
        self.hooked.append(given)
        self.pings += mentions(given, finds_names=False)
        if given.get("unfurl_links") is not False or given.get("unfurl_media") is not False:
            self.unfurled.append(given)
        return 200, "ok"


def _parsed(body):
    """A JSON object; None for anything else."""
    try:
        given = json.loads(body)
    except ValueError:
        return None
    return given if isinstance(given, dict) else None


def mentions(given, *, finds_names):
    """What in a message would ring somebody."""
    found = MENTION.findall(given.get("text", ""))
    if finds_names:
        found += NAME.findall(given.get("text", ""))
    for block in given.get("blocks", []):
        for text in _texts(block):
            if text["type"] == "mrkdwn":
                found += MENTION.findall(text["text"])
                found += [] if text.get("verbatim") else NAME.findall(CODE.sub("", text["text"]))
    return found


# ---------------------------------------------------------------------- what a message must be


def complaints(given):
    """(error word, note) of everything that is wrong with a message."""
    text, blocks = given.get("text"), given.get("blocks")
    if not text and not blocks:
        return [("no_text", "")]
    if text is not None and (not isinstance(text, str) or _units(text) > TEXT_AT_MOST):
        return [("msg_too_long", "")]
    metadata = given.get("metadata")
    if metadata is not None and not _is_metadata(metadata):
        return [("invalid_metadata_format", "")]
    if blocks is None:
        return []
    found = [("invalid_blocks", note) for note in block_complaints(blocks)]
    if not found and sum(_units(part["text"]) for block in blocks for part in _texts(block)) > TOTAL_AT_MOST:
        found.append(("msg_blocks_too_long", ""))
    return found


def block_complaints(blocks):
    """What Slack would say of these blocks, in its words."""
    if not isinstance(blocks, list) or not blocks:
        return ["[ERROR] must be an array [json-pointer:/blocks]"]
    found = []
    if len(blocks) > BLOCKS_AT_MOST:
        found.append(f"[ERROR] no more than {BLOCKS_AT_MOST} items allowed [json-pointer:/blocks]")
    ids = [block["block_id"] for block in blocks if isinstance(block, dict) and "block_id" in block]
    if len(set(ids)) < len(ids) or any(not 0 < len(id) <= 255 for id in ids):
        found.append("[ERROR] block_id must be unique and of 1 to 255 characters [json-pointer:/blocks]")
    for number, block in enumerate(blocks):
        found += [f"[ERROR] {note} [json-pointer:/blocks/{number}{where}]" for where, note in _block(block)]
    return found


def _block(block):
    if not isinstance(block, dict) or block.get("type") not in KEYS:
        yield "/type", "unsupported type"
        return
    if set(block) - KEYS[block["type"]]:
        yield "", "additional properties are not allowed"
    match block["type"]:
        case "header":
            yield from _text(block.get("text"), "/text", 150, {"plain_text"})
        case "section":
            yield from _section(block)
        case "context":
            yield from _array(block.get("elements"), "/elements", 3000)


def _section(block):
    if "text" not in block and "fields" not in block:
        yield "", "missing required field: text or fields"
    if "text" in block:
        yield from _text(block["text"], "/text", 3000)
    if "fields" in block:
        yield from _array(block["fields"], "/fields", 2000)


def _array(items, where, limit):
    if not isinstance(items, list) or not 1 <= len(items) <= 10:
        yield where, "must have 1 to 10 items"
        return
    for number, item in enumerate(items):
        yield from _text(item, f"{where}/{number}", limit)


def _text(text, where, limit, types=frozenset(TEXT_KEYS)):
    if not isinstance(text, dict) or text.get("type") not in types or not isinstance(text.get("text"), str):
        yield where, "must be a valid text object"
    elif set(text) - TEXT_KEYS[text["type"]]:
        yield where, "additional properties are not allowed"
    elif not text["text"]:
        yield f"{where}/text", "must be more than 0 characters"
    elif _units(text["text"]) > limit:
        yield f"{where}/text", f"must be less than {limit + 1} characters"


def _texts(block):
    return [part for part in (block.get("text"), *block.get("fields", ()), *block.get("elements", ())) if part]


def _is_metadata(metadata):
    return (
        isinstance(metadata, dict)
        and set(metadata) == {"event_type", "event_payload"}
        and re.fullmatch(r"\w+", metadata["event_type"], re.ASCII) is not None
        and isinstance(metadata["event_payload"], dict)
    )


def _units(text):
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
