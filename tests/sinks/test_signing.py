"""Signatures: the vector of Standard Webhooks 1.0, what is accepted, and what the libraries say of ours."""

import base64
from datetime import timedelta, timezone

import pytest
import standardwebhooks
import svix
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput
from ringback.outbound import Outbound
from ringback.receiver import Receiver
from ringback.scheduler import SteadyClock
from ringback.sinks.signing import BadSignature, key_of, secret_from, sign, signed_headers, verify
from ringback.sinks.webhook import WebhookSink
from tests.sinks.samples import HARD_TEXT, NOW, OLD_SECRET, SECRET, document, message, task_event

LIBRARIES = [standardwebhooks.Webhook, svix.Webhook]
BODY = b'{"test": 2432232314}'


def headers(**changes):
    """Honest headers, but for the changes."""
    names = {name.replace("_", "-"): value for name, value in changes.items()}
    return signed_headers([SECRET], "evt_1", NOW, BODY) | names


def test_the_vector_of_the_specification():
    """The published example gives the published signature."""
    signature = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("secrets", [[SECRET], [SECRET, OLD_SECRET], [OLD_SECRET, SECRET]])
@pytest.mark.parametrize("result", ["42 items", HARD_TEXT], ids=["plain", "hard text"])
async def test_what_we_send_verifies_with_the_libraries(library, secrets, result):
    """A receiver that uses a standard library accepts our requests, whichever of two secrets it still has."""
    clock = SteadyClock()
    outbound = Outbound()
    async with Receiver(None, now=clock.now) as receiver:
        sink = WebhookSink(outbound, receiver.url, secrets=lambda: secrets)
        await sink.send([message(task_event(result=document(result)))], clock.now())
    await outbound.aclose()
    (received,) = receiver.received
    assert received.data["result"] == result
    for secret in secrets:
        library(secret).verify(received.body, received.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library(secret_from(bytes(32))).verify(received.body, received.headers)


def test_the_timestamp_is_in_whole_seconds():
    """Fractions are cut: a receiver that reads an integer reads it."""
    assert headers()["webhook-timestamp"] == "1795325580"
    assert int(NOW.timestamp()) == 1795325580


def test_every_valid_secret_signs():
    """One signature each, with spaces between."""
    both = signed_headers([SECRET, OLD_SECRET], "evt_1", NOW, BODY)["webhook-signature"]
    assert both == " ".join(sign(secret, "evt_1", int(NOW.timestamp()), BODY) for secret in (SECRET, OLD_SECRET))


@pytest.mark.parametrize("secrets", [[SECRET], [OLD_SECRET, SECRET]])
def test_an_honest_request_verifies(secrets):
    """With any of the secrets."""
    verify(secrets, headers(), BODY, NOW)


def test_one_good_signature_is_enough():
    """Other versions and other secrets beside it do no harm."""
    good = headers()["webhook-signature"]
    verify([SECRET], headers(webhook_signature=f"v1a,AAAA {good} v1,AAAA nonsense"), BODY, NOW)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"webhook_id": ""}, "lacks webhook-id"),
        ({"webhook_timestamp": "", "webhook_signature": ""}, "lacks webhook-timestamp, webhook-signature"),
        ({"webhook_id": "evt 1"}, "malformed"),
        ({"webhook_id": "evt_2"}, "no signature matches"),
        ({"webhook_timestamp": "soon"}, "malformed"),
        ({"webhook_timestamp": "1795325580.5"}, "malformed"),
        ({"webhook_timestamp": "9" * 13}, "malformed"),
        ({"webhook_timestamp": "1795325581"}, "no signature matches"),
        ({"webhook_signature": "v1,"}, "no signature matches"),
        ({"webhook_signature": "v1,\u00e9\u00e9"}, "no signature matches"),
        ({"webhook_signature": "v1a," + headers()["webhook-signature"][3:]}, "no signature matches"),
        ({"webhook_signature": headers()["webhook-signature"][3:]}, "no signature matches"),
    ],
)
def test_a_changed_header_is_refused(changes, says):
    """And the reason is given."""
    with pytest.raises(BadSignature, match=says):
        verify([SECRET], headers(**changes), BODY, NOW)


def test_another_secret_or_another_body_is_refused():
    """What was not signed is not believed."""
    with pytest.raises(BadSignature, match="another secret was used, or the body was changed"):
        verify([OLD_SECRET], headers(), BODY, NOW)
    with pytest.raises(BadSignature, match="another secret was used, or the body was changed"):
        verify([SECRET], headers(), BODY + b" ", NOW)
    with pytest.raises(BadSignature):
        verify([], headers(), BODY, NOW)


@pytest.mark.parametrize(("seconds", "refused"), [(300, False), (-300, False), (301, True), (-301, True)])
def test_five_minutes_are_forgiven(seconds, refused):
    """Either way; beyond that, the sentence says how far the clocks are apart."""
    at = NOW + timedelta(seconds=seconds)
    if not refused:
        verify([SECRET], headers(), BODY, at)
        return
    with pytest.raises(BadSignature, match=r"301 s (old|in the future): .* compare the two clocks"):
        verify([SECRET], headers(), BODY, at)


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_its_random_bytes(random):
    """Any 24 to 64 bytes make a secret that gives them back, with or without the `=` at its end."""
    secret = secret_from(random)
    assert key_of(secret) == key_of(secret.rstrip("=")) == random
    assert secret.startswith("whsec_")


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("hunter2hunter2hunter2hunter2hunter2", "starts with whsec_"),
        ("", "starts with whsec_"),
        ("WHSEC_" + SECRET[6:], "starts with whsec_"),
        ("whsec_", "24 to 64 random bytes, not 0"),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "24 to 64 random bytes, not 23"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "24 to 64 random bytes, not 65"),
        ("whsec_" + base64.urlsafe_b64encode(b"\xff" * 30).decode(), "standard base64"),
        ("whsec_" + "A" * 33, "standard base64"),
        ("whsec_" + "A" * 31 + " ", "standard base64"),
        ("whsec_" + "終" * 32, "standard base64"),
    ],
)
def test_a_bad_secret_is_refused_without_repeating_it(secret, says):
    """The sentence says what a secret looks like and how to make one, and does not show this one."""
    with pytest.raises(BadInput, match=says) as refused:
        key_of(secret)
    assert "`ringback secret`" in refused.value.message
    assert len(secret) < 8 or secret[6:] not in refused.value.message


@pytest.mark.parametrize("size", [23, 65])
def test_a_secret_of_the_wrong_size_is_not_made(size):
    """Too little randomness is no secret."""
    with pytest.raises(BadInput, match=f"not {size}"):
        secret_from(bytes(size))


@pytest.mark.parametrize("id", ["", "a.b", "a b", "evt_é", "evt_1\n"])
def test_an_id_that_blurs_what_is_signed_is_refused(id):
    """Only ids without dots: otherwise id and timestamp could be read in two ways."""
    with pytest.raises(BadInput, match="a webhook id is made of"):
        sign(SECRET, id, 1, BODY)


def test_signing_follows_utc_whatever_the_zone():
    """The same instant gives the same signature (a library gets this wrong)."""
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert signed_headers([SECRET], "evt_1", elsewhere, BODY) == headers()
