"""What a mail looks like: headers that nothing can break, threads, two parts, and digests that stay small."""

import email
import email.policy
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.core.document import Document
from ringback.core.errors import BadInput
from ringback.core.model import AccountData, DestinationData, Error, Event, EventType, Progress
from ringback.sinks.base import Message
from ringback.sinks.letter import DIGEST_AT_MOST, MAIL_AT_MOST, address, mail, write
from ringback.sinks.section import EXCERPT_CHARACTERS, FULL_AT_MOST
from tests.sinks.samples import HARD_TEXT, NOW, account_event, destination_event, document, message, task_event

SENDER = address("ringback <ringback@example.org>")
TO = [address("oncall@example.org"), address("Second One <second@example.org>")]
HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "References",
    "In-Reply-To",
    "List-Id",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
]
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=300)
BREAKING = ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028", "\0", "\t", " ", "\r\n\r\n", "\u202e", "ö", "終"]
SYNTAX = ["<", ">", '"', "&", ",", ";", "@", ".", "--", "Bcc: x@example.org"]
ENCODED = ["=?utf-8?q?", "=0D=0ABcc:_x?=", "=?utf-8?b?DQpCY2M6IHg=?=", "a" * 90]
HOSTILE_TEXT = st.one_of(ANY_TEXT, st.lists(st.sampled_from(BREAKING + SYNTAX + ENCODED), max_size=12).map("".join))
UTF8_TEXT = HOSTILE_TEXT.map(lambda text: text.encode(errors="replace").decode())


def raw(*messages, result="excerpt", public_url="", sender=SENDER, now=NOW):
    return mail(write(messages, result=result, public_url=public_url), sender, TO, now)


def parsed(*messages, **settings):
    return email.message_from_bytes(raw(*messages, **settings), policy=email.policy.default)


def parts(*messages, **settings):
    found = parsed(*messages, **settings)
    return [found.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html")]


class Page(HTMLParser):
    """The tags, attributes and words of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


# ---------------------------------------------------------------------- headers


@settings(deadline=None)
@given(
    st.lists(HOSTILE_TEXT, min_size=4, max_size=4), st.dictionaries(HOSTILE_TEXT, HOSTILE_TEXT, max_size=3), UTF8_TEXT
)
def test_no_text_becomes_a_header(names, metadata, result):
    """Whatever ids, errors, metadata and results hold: the headers are ours, each once, and so are the parts."""
    task, provider, account, words = names
    told = {"task_id": task, "provider": provider, "account": account, "metadata": metadata, "result": document(result)}
    event = task_event(EventType.TASK_FAILED, error=Error(words, words), progress=Progress(text=words), **told)
    assert_ours(raw(message(event), result="full"), HEADERS)
    in_a_digest = [name for name in HEADERS if name not in {"References", "In-Reply-To"}]
    assert_ours(raw(message(event), message(account_event())), in_a_digest)


def assert_ours(content, headers):
    """These headers and no others, the two parts and no others, in lines that every server takes."""
    assert content.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert b":\r\n" not in content.partition(b"\r\n\r\n")[0]
    for policy in (email.policy.default, email.policy.compat32):
        found = email.message_from_bytes(content, policy=policy)
        assert sorted(found.keys()) == sorted(headers)
        assert found.defects == []
        assert [part.get_content_type() for part in found.walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]


@settings(deadline=None)
@given(UTF8_TEXT, UTF8_TEXT)
def test_no_name_of_ours_becomes_a_header_either(account, reason):
    """Events about ourselves are no way in."""
    first = Event("evt_1", EventType.PROVIDER_DEGRADED, NOW, AccountData(account, Error(reason, reason), 1))
    second = Event("evt_2", EventType.DESTINATION_PAUSED, NOW, DestinationData(account, reason, NOW, 1))
    for event in (first, second):
        found = parsed(message(event))
        assert sorted(found.keys()) == sorted(HEADERS)
        assert "\n" not in found["subject"]


@settings(deadline=None)
@given(HOSTILE_TEXT)
def test_the_subject_is_not_decoded(task):
    """An id that looks like an encoded word is shown as it is, not as what it says."""
    subject = str(parsed(message(task_event(task_id=task)))["subject"])
    assert subject.startswith("Succeeded: 302ai-browser")
    assert subject.isprintable()
    assert len(subject) < 220


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (task_event(), "Succeeded: 302ai-browser 26cbe8e5-0d5e"),
        (task_event(EventType.TASK_VANISHED), "Vanished: 302ai-browser 26cbe8e5-0d5e"),
        (task_event(task_id="終わり" * 20), "Succeeded: 302ai-browser " + "終わり" * 20),
        (task_event(task_id="0" * 45), "Succeeded: 302ai-browser " + "0" * 45),
        (task_event(task_id="a" * 150), "Succeeded: 302ai-browser " + "a" * 150),
        (account_event(), "Degraded: account 302ai"),
        (destination_event(), "Paused: destination builds"),
    ],
)
def test_the_subject_says_the_outcome(event, subject):
    """First, so that a telephone shows it."""
    assert parsed(message(event))["subject"] == subject


def test_the_headers_of_a_mail():
    """It says who, when, and that nobody need answer it."""
    found = parsed(message(), now=datetime(2026, 11, 22, 6, 0, tzinfo=UTC))
    assert found["from"] == "ringback <ringback@example.org>"
    assert found["to"] == "oncall@example.org, Second One <second@example.org>"
    assert found["date"] == "Sun, 22 Nov 2026 06:00:00 +0000"
    assert found["list-id"] == "ringback <ringback.example.org>"
    assert found["auto-submitted"] == "auto-generated"
    assert found["x-auto-response-suppress"] == "OOF, AutoReply"


def test_a_retry_is_the_same_mail():
    """Only the date tells two attempts apart."""
    one, two = parsed(message()), parsed(message(attempt=2), now=NOW + timedelta(hours=1))
    assert one["message-id"] == two["message-id"]
    assert one["date"] != two["date"]
    assert one.get_body(("html",)).get_content() == two.get_body(("html",)).get_content()


def test_a_watch_is_a_thread():
    """All mails of a watch point at one root, those of another watch at another, and none is the root itself."""
    events = [task_event(EventType.TASK_RUNNING, sequence=1), task_event(sequence=2)]
    first, second, other = (parsed(message(event)) for event in (*events, task_event(watch_id="w_other")))
    assert first["references"] == first["in-reply-to"] == second["references"] != other["references"]
    assert len({first["message-id"], second["message-id"], first["references"]}) == 3


def test_what_is_said_of_an_account_is_a_thread():
    """Trouble and its end stand together; an account and a destination of one name do not."""
    degraded = account_event()
    recovered = Event("evt_2", EventType.PROVIDER_RECOVERED, NOW, AccountData("302ai", None, 12))
    paused = Event("evt_3", EventType.DESTINATION_PAUSED, NOW, DestinationData("302ai", None, NOW, 1))
    one, two, three = (parsed(message(event))["references"] for event in (degraded, recovered, paused))
    assert one == two != three


@pytest.mark.parametrize("length", [5, 28, 30, 40, 41, 60, 63])
def test_ids_stay_whole(length):
    """However long the sender's domain is, no id is folded or encoded."""
    content = raw(
        Message("dlv_" + "e" * 32, task_event(watch_id="w_" + "f" * 32), 1), sender=address(f"ringback@{'d' * length}")
    )
    for name in ("Message-ID", "References", "In-Reply-To"):
        assert re.search(rf"^{name}: <(dlv|w)_[ef]{{32}}@[a-z.]+>\r$", content.decode(), re.MULTILINE)


# ---------------------------------------------------------------------- the parts


def test_the_text_comes_first():
    """Programs show the last part that they can."""
    assert [part.get_content_type() for part in parsed(message()).iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    "event", [task_event(), account_event(), destination_event()], ids=["task", "account", "destination"]
)
def test_both_parts_say_the_same(event):
    """Who reads text misses nothing."""
    text, html = parts(message(event), public_url="https://ring.example.org")
    words = "\n".join(Page(html).words)
    told = write([message(event)], result="excerpt", public_url="").sections[0]
    for said in (told.headline, told.trouble, told.result or "", *(word for fact in told.facts for word in fact)):
        assert said in text
        assert said in words


def test_what_went_wrong_is_said():
    """Error, progress and metadata stand in the mail; a key of metadata cannot look like a fact of ours."""
    event = task_event(
        EventType.TASK_FAILED,
        error=Error("no_credit", "the balance\r\nis empty"),
        progress=Progress(3, 10),
        metadata={"Task": "mine\nState: succeeded", "empty": ""},
    )
    text, _ = parts(message(event))
    lines = text.split("\n")
    assert "no_credit: the balance is empty" in lines
    assert "Progress: 3 of 10" in lines
    assert "Metadata Task: mine State: succeeded" in lines
    assert not any(line.startswith("State: ") and "was running" not in line for line in lines)
    assert "empty" not in " ".join(line for line in lines if line.startswith("Metadata"))


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress(value=3), "3"),
        (Progress(fraction=0.255), "26%"),
        (Progress(value=1, text="rendering"), "rendering"),
        (Progress(), None),
        (None, None),
    ],
)
def test_progress_in_words_or_numbers(progress, said):
    """The provider's words, where it has some."""
    text, _ = parts(message(task_event(progress=progress)))
    assert re.findall(r"^Progress: (.*)$", text, re.MULTILINE) == ([said] if said else [])


def test_the_page_is_escaped():
    """Markup from outside is text, wherever it stands."""
    evil = "<img src=http://evil.example.org/x onerror=alert(1)><script>x</script></pre>\"'&"
    event = task_event(
        EventType.TASK_FAILED, task_id=evil, error=Error(evil, evil), metadata={evil: evil}, result=document(evil)
    )
    plain = Page(parts(message(task_event(metadata={"a": "b"})))[1])
    for messages in ([message(event)], [message(event), message(event)]):
        page = Page(parts(*messages, public_url="")[1])
        assert not {"img", "script"} & set(page.tags)
        assert evil in "".join(page.words)
    assert not {"img", "script", "link", "iframe"} & set(plain.tags)


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_is_fetched(count):
    """Opening a mail tells nobody; the only address in it is the way back to us."""
    html = parts(*[message()] * count, public_url="https://ring.example.org")[1]
    page = Page(html)
    assert {value for name, value in page.attributes if name in ("src", "href", "background", "action", "srcset")} == {
        "https://ring.example.org/v1/watches/w_1f0c/answer"
    }
    assert "url(" not in html
    assert "@import" not in html
    assert not parts(*[message()] * count)[1].count("http")


@pytest.mark.parametrize("count", [1, 2])
def test_light_and_dark(count):
    """A mail looks right in either, and says so."""
    html = parts(*[message()] * count)[1]
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "@media (prefers-color-scheme: dark)" in html


@pytest.mark.parametrize(
    ("how", "value", "shown"),
    [
        ("excerpt", "short", "short"),
        ("excerpt", "x" * 300, "x" * 300),
        ("excerpt", "x" * 301, "x" * 300),
        ("full", "x" * 5000, "x" * 5000),
        ("full", "終" * 40000, "終" * (FULL_AT_MOST // 3)),
        ("full", {"a": [1.0, 2]}, '{\n  "a": [\n    1.0,\n    2\n  ]\n}'),
        ("none", "short", None),
    ],
)
def test_how_much_of_a_result_is_shown(how, value, shown):
    """An excerpt of 300 characters, all of it, or nothing; what is cut is said."""
    told = write([message(task_event(result=document(value)))], result=how, public_url="").sections[0]
    text, html = parts(message(task_event(result=document(value))), result=how)
    length = len(value) if isinstance(value, str) else 0
    assert told.result == shown
    assert told.cut == (f"This is the beginning of {length:,} characters." if shown and len(shown) < length else "")
    assert told.cut in text
    assert told.cut in html
    assert ("Result:" in text) == (how != "none")


def test_a_result_that_was_not_read_is_measured():
    """A result that only the store holds is named by its size, and the way to it is shown."""
    event = task_event(result=Document("0" * 32, 5_000_000))
    text, _ = parts(message(event), result="full", public_url="https://ring.example.org")
    assert "The result has 5,000,000 bytes." in text
    assert "https://ring.example.org/v1/watches/w_1f0c/answer" in text


def test_a_hard_text_arrives_as_it_is():
    """Japanese, quotes, emoji: what was said is what is read."""
    text, html = parts(message(task_event(result=document(HARD_TEXT))), result="full")
    wanted = HARD_TEXT.replace("\r", "").strip()
    assert wanted in text
    assert wanted in "".join(Page(html).words)


@pytest.mark.parametrize("text", ["&" * 70_000, "\N{GRINNING FACE}" * 20_000, "a\n" * 50_000, "x" * 70_000])
def test_the_largest_mail_is_bounded(text):
    """Nothing that a provider answers makes a mail that servers refuse for its size."""
    metadata = {f"{number:03}" + "&" * 60: "&" * 512 for number in range(16)}
    event = task_event(EventType.TASK_FAILED, error=Error(text, text), metadata=metadata, result=document(text))
    assert len(raw(message(event), result="full")) <= MAIL_AT_MOST


# ---------------------------------------------------------------------- digests


def many(count, **changes):
    return [message(task_event(sequence=number, **changes)) for number in range(1, count + 1)]


def test_a_digest_tells_every_event():
    """Its subject counts, each event has its headline, what went wrong, and an excerpt."""
    failed = task_event(
        EventType.TASK_FAILED, sequence=9, task_id="other", error=Error("no_credit", "empty"), result=None
    )
    messages = [*many(2, result=document("line one\n" + "x" * 400)), message(failed), message(account_event())]
    found = parsed(*messages)
    assert found["subject"] == "4 events: 2 succeeded, 1 failed, 1 degraded"
    text, html = parts(*messages, result="full")
    words = "".join(Page(html).words)
    for said in (text, words):
        assert said.count("Succeeded: 302ai-browser 26cbe8e5-0d5e") == 2
        assert "Failed: 302ai-browser other" in said
        assert "no_credit: empty" in said
        assert "unauthorized: the key is refused" in said
    assert f"result: line one {'x' * (EXCERPT_CHARACTERS - 9)}\n" in text
    assert "line one" not in parts(*messages, result="none")[0]
    assert "not shown" not in text


def test_a_digest_is_the_same_mail_again():
    """Its id is that of its deliveries, in whatever order; with one more it is another mail."""
    one, again, more = (parsed(*messages)["message-id"] for messages in (many(3), many(3)[::-1], many(4)))
    assert one == again != more


def test_a_digest_has_its_limit():
    """Beyond so many events they are counted."""
    messages = [*many(DIGEST_AT_MOST), *(message(account_event()) for _ in range(23))]
    text, html = parts(*messages)
    assert text.count("Succeeded:") == html.count("Succeeded:") == DIGEST_AT_MOST
    for said in (text, html):
        assert "And 23 more that are not shown: 23 degraded." in said


@pytest.mark.parametrize("text", ["&" * 400, "\N{GRINNING FACE}" * 400, '"' * 400])
def test_a_digest_stays_small(text):
    """The largest events make no larger mail: what does not fit is counted, and none is forgotten."""
    messages = many(DIGEST_AT_MOST, task_id=text, error=Error("x", text * 5), result=document(text))
    content = raw(*messages, public_url="https://ring.example.org/" + "p" * 100)
    assert MAIL_AT_MOST // 3 < len(content) <= MAIL_AT_MOST
    found = email.message_from_bytes(content, policy=email.policy.default)
    body = found.get_body(("plain",)).get_content()
    (rest,) = re.findall(r"And (\d+) more that are not shown", body)
    assert body.count("Succeeded:") + int(rest) == DIGEST_AT_MOST


# ---------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("text", "name", "spec"),
    [
        ("oncall@example.org", "", "oncall@example.org"),
        ("ringback <ring.back+x@mail.example.org>", "ringback", "ring.back+x@mail.example.org"),
        ('"Ring, back" <root@localhost>', "Ring, back", "root@localhost"),
        ("Rückruf <a@example.org>", "Rückruf", "a@example.org"),
    ],
)
def test_an_address_with_or_without_a_name(text, name, spec):
    """As people write them."""
    assert (address(text).display_name, address(text).addr_spec) == (name, spec)
    assert parsed(message(), sender=address(text))["from"].addresses[0].addr_spec == spec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "oncall",
        "@example.org",
        "a@",
        "a@b@example.org",
        "a b@example.org",
        "a..b@example.org",
        "a@example.org, b@example.org",
        "a@example.org\r\nBcc: b@example.org",
        "x\n <a@example.org>",
        "a@ex_ample.org",
        "ü@example.org",
        "a@" + "x" * 300,
        "<a@example.org> SIZE=1",
    ],
)
def test_what_is_no_address_is_refused(text):
    """Nothing goes into an envelope that could be a command."""
    with pytest.raises(BadInput, match="is no address"):
        address(text)


def test_every_event_type_has_a_mail():
    """None is forgotten in the words."""
    for type in EventType:
        if type.about_a_task:
            event = task_event(type)
        else:
            sample = account_event() if type.value.startswith("provider.") else destination_event()
            event = msgspec.structs.replace(sample, type=type)
        assert type.value.partition(".")[2] in parsed(message(event))["subject"].lower()
        assert json.dumps(event.id) in json.dumps(parts(message(event))[0]).replace(event.id, f'"{event.id}"')
