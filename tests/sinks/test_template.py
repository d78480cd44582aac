"""Bodies of the receiver's own shape."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput
from ringback.core.model import Error, EventType
from ringback.outbound import Outbound
from ringback.receiver import Receiver
from ringback.sinks.payload import event_json
from ringback.sinks.template import LARGEST, Template
from ringback.sinks.webhook import WebhookSink
from tests.sinks.samples import HARD_TEXT, NOW, SECRET, account_event, destination_event, document, message, task_event

HOSTILE = '"},"admin":true,"x":{"y":"\\ {data.task_id} {{ }} \n\u2028 <&>'


def made(template, event=None):
    return json.loads(Template(template).body(event or task_event()))


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("{id}", task_event().id),
        ("{type}", "task.succeeded"),
        ("{timestamp}", "2026-11-22T05:33:00.123Z"),
        ("{data.task_id}", "26cbe8e5-0d5e"),
        ("{data.sequence}", 3),
        ("{data.state}", "succeeded"),
        ("{data.progress}", {"value": 3, "total": None, "fraction": None, "text": None}),
        ("{data.progress.value}", 3),
        ("{data.error}", None),
        ("{data.error.code}", None),
        ("{data.result}", "42 items"),
        ("{data.result.deeper}", None),
        ("{data.details}", {"is_successful": True, "current_step": 3, "steps": [{"n": 1}]}),
        ("{data.details.is_successful}", True),
        ("{data.details.steps.0}", {"n": 1}),
        ("{data.details.steps.0.n}", 1),
        ("{data.details.steps.1}", None),
        ("{data.details.steps.x}", None),
        ("{data.metadata.team}", "video"),
        ("{data.metadata.nobody}", None),
        ("{data.registered_at}", "2026-11-22T05:31:00.123Z"),
        ("{data.destination}", None),
        ("{data.task_id} is {data.state}", "26cbe8e5-0d5e is succeeded"),
        ("{data.sequence}.", "3."),
        ("error: {data.error}{data.error.message}", "error: "),
        ("{data.details.is_successful}!", "true!"),
        ("{data.details.steps}!", '[{"n":1}]!'),
        ("{data.result}!", "42 items!"),
        ("{{data.task_id}}", "{data.task_id}"),
        ("{{}} {data.state} {{", "{} succeeded {"),
        ("", ""),
        ("plain", "plain"),
    ],
)
def test_a_placeholder_becomes_what_the_event_has(text, becomes):
    """Alone it is the value itself, among text it is written out; what is not there is null, or nothing."""
    details = document({"is_successful": True, "current_step": 3, "steps": [{"n": 1}]})
    event = task_event(details=details, metadata={"team": "video"})
    assert made({"x": [{"y": text}]}, event) == {"x": [{"y": becomes}]}


def test_other_events_have_other_fields():
    """One template serves what is said of tasks and of ourselves."""
    template = {
        "what": "{type}",
        "who": "{data.account}{data.destination}",
        "why": "{data.problem.message}{data.reason}",
    }
    assert made(template, account_event()) == {
        "what": "provider.degraded",
        "who": "302ai",
        "why": "the key is refused",
    }
    assert made(template, destination_event())["why"] == "it answered 410"


def test_what_is_no_placeholder_stays():
    """Numbers, booleans, null and lists are sent as they stand, in their order."""
    template = {"b": 1, "a": [1.5, True, None, {"c": []}], "n": 2**70}
    assert Template(template).body(task_event()) == b'{"b":1,"a":[1.5,true,null,{"c":[]}],"n":1180591620717411303424}'


def test_a_whole_document_is_not_rebuilt():
    """Numbers of any size and the order of keys arrive as the provider's answer has them."""
    text = '{"z":123456789012345678901234567890,"a":1.50}'
    event = task_event(details=document(json.loads('{"z":123456789012345678901234567890,"a":1.5}')))
    assert Template({"x": "{data.details}"}).body(event) == b'{"x":%s}' % event.data.details.text
    assert json.loads(text)["z"] == made({"x": "{data.details.z}"}, event)["x"]


def test_a_large_document_is_named_by_its_size():
    """As in the standard body."""
    event = task_event(result=document("x" * 70_000))
    assert made("{data.result}", event) == {"truncated": True, "bytes": 70_002}


@pytest.mark.parametrize("value", [HOSTILE, HARD_TEXT])
def test_nothing_that_is_filled_in_becomes_structure(value):
    """A value with quotes, braces and placeholders in it is that text and nothing else, wherever it stands."""
    event = task_event(
        EventType.TASK_FAILED, task_id=value, error=Error("x", value), result=document(value), metadata={"m": value}
    )
    for place in ("data.task_id", "data.error.message", "data.result", "data.metadata.m"):
        assert made({"x": f"{{{place}}}", "y": f"<{{{place}}}>"}, event) == {"x": value, "y": f"<{value}>"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
    )
)
def test_any_template_that_is_taken_makes_json(value):
    """Whatever somebody writes is refused as a template or makes a body that can be read."""
    refused = None
    try:
        body = Template(value).body(task_event())
    except BadInput as error:
        refused = error.message
    if refused is None:
        json.loads(body)
    else:
        assert refused.startswith("template")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        (
            {"a": "{data.taskid}"},
            r"template\.a: \{data\.taskid\} names nothing that an event has\. Did you mean 'task_id'",
        ),
        ({"a": ["{task_id}"]}, r"template\.a\.0: \{task_id\} names nothing"),
        ({"a": {"b": "x {data.owner}"}}, r"template\.a\.b: \{data\.owner\}"),
        ({"a": "{id.x}"}, "names nothing"),
        ({"a": "{data.task_id.x}"}, "names nothing"),
        ({"a": "{data.error.cause}"}, "names nothing"),
        ({"a": "{data.metadata.}"}, "names nothing"),
        ({"a": "{data..x}"}, "names nothing"),
        ({"a": "{}"}, "names nothing"),
        ({"a": "{ data.task_id }"}, "names nothing"),
        ({"a": "{data.task_id"}, r"has a single \{; a brace is written \{\{"),
        ({"a": "data.task_id}"}, r"has a single \}"),
        ({"{data.task_id}": 1}, "a key is text without placeholders"),
        ({1: 2}, "a key is text"),
        ({"a": date(2026, 1, 1)}, "write it as text in quotes"),
        ({"a": float("nan")}, "no such number"),
        ({"a": "\ud800"}, "no text that can be sent"),
        ("x" * LARGEST, "has more than"),
    ],
)
def test_a_slip_is_told_when_it_is_read(template, says):
    """Not at the first event: with its place, what is wrong, and the nearest that is right."""
    with pytest.raises(BadInput, match=says):
        Template(template)


def test_a_template_ends_somewhere():
    """Tables in tables have an end."""
    deep = "x"
    for _ in range(40):
        deep = [deep]
    with pytest.raises(BadInput, match="tables deep"):
        Template(deep)


def _paths(value, prefix=""):
    for key, item in value.items():
        yield f"{prefix}{key}"
        if isinstance(item, dict):
            yield from _paths(item, f"{prefix}{key}.")


@pytest.mark.parametrize("event", [task_event(error=Error("a", "b")), account_event(), destination_event()])
def test_everything_that_is_sent_can_be_asked_for(event):
    """Every field of the public event has a placeholder that gives its value."""
    shape = json.loads(event_json(event))
    for path in _paths(shape):
        value = shape
        for name in path.split("."):
            value = value[name]
        assert made(f"{{{path}}}", event) == value


async def test_what_is_sent_is_signed():
    """The body is the template's; id and signature are those of every webhook."""
    outbound = Outbound()
    async with Receiver([SECRET], now=lambda: NOW) as receiver:
        sink = WebhookSink(outbound, receiver.url, secrets=lambda: [SECRET], template={"job": "{data.task_id}"})
        await sink.send([message()], NOW)
    await outbound.aclose()
    (received,) = receiver.received
    assert received.body == b'{"job":"26cbe8e5-0d5e"}'
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == task_event().id


def test_a_slip_is_told_when_the_sink_is_made():
    """A destination with a bad template is a configuration error."""
    with pytest.raises(BadInput, match="names nothing"):
        WebhookSink(Outbound(), "http://a.example", secrets=list, template="{nothing}")
