"""Events as CloudEvents: what the official SDK makes of them."""

import json

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from ringback.core.errors import BadInput
from ringback.outbound import Outbound
from ringback.receiver import Receiver
from ringback.sinks.cloudevents import cloudevent_json
from ringback.sinks.payload import event_json
from ringback.sinks.webhook import WebhookSink
from tests.sinks.samples import HARD_TEXT, NOW, SECRET, account_event, destination_event, document, message, task_event

EVENTS = {
    "task": (task_event(), "/ringback/providers/302ai-browser", "26cbe8e5-0d5e"),
    "hard": (task_event(result=document(HARD_TEXT)), "/ringback/providers/302ai-browser", "26cbe8e5-0d5e"),
    "odd name": (task_event(provider="a b/ü"), "/ringback/providers/a%20b%2F%C3%BC", "26cbe8e5-0d5e"),
    "account": (account_event(), "/ringback/accounts/302ai", "302ai"),
    "destination": (destination_event(), "/ringback/destinations/builds", "builds"),
}


@pytest.fixture
async def outbound():
    outbound = Outbound()
    yield outbound
    await outbound.aclose()


@pytest.mark.parametrize("name", EVENTS)
async def test_the_sdk_reads_what_is_sent(outbound, name):
    """A receiver that uses the SDK gets the same event: same id, same time, same data, and a signature that holds."""
    event, source, subject = EVENTS[name]
    async with Receiver([SECRET], now=lambda: NOW) as receiver:
        sink = WebhookSink(outbound, receiver.url, secrets=lambda: [SECRET], format="cloudevents")
        outcome = (await sink.send([message(event)], NOW)).outcome
    assert outcome.outcome.value == "delivered"
    (received,) = receiver.received
    read = from_structured(HTTPMessage(headers=received.headers, body=received.body), JSONFormat(), CloudEvent)
    assert read.get_id() == event.id == received.headers["webhook-id"]
    assert read.get_type() == event.type.value
    assert (read.get_source(), read.get_subject()) == (source, subject)
    assert read.get_time() == NOW.replace(microsecond=123000)
    assert read.get_datacontenttype() == "application/json"
    assert read.get_specversion() == "1.0"
    assert read.get_data() == json.loads(event_json(event))["data"]
    assert received.headers["content-type"] == "application/cloudevents+json"


def test_a_cloudevent_looks_the_same_every_time():
    """Every key in its place: the body is signed, and a retry sends the same bytes."""
    body = cloudevent_json(account_event())
    assert body == cloudevent_json(account_event())
    assert body.decode() == (
        f'{{"specversion":"1.0","id":"{account_event().id}","source":"/ringback/accounts/302ai",'
        '"type":"provider.degraded","subject":"302ai","time":"2026-11-22T05:33:00.123Z",'
        '"datacontenttype":"application/json","data":{"account":"302ai",'
        '"problem":{"code":"unauthorized","message":"the key is refused"},"watches":12}}'
    )


def test_one_way_to_write_the_body(outbound):
    """A template and another format contradict each other."""
    with pytest.raises(BadInput, match="keep one of them"):
        WebhookSink(outbound, "http://a.example", secrets=list, format="cloudevents", template={"a": 1})
