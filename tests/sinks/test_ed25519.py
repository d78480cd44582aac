"""ed25519 signatures: published vectors, the form of keys, and a machine without the library."""

import base64
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput
from ringback.outbound import Outbound
from ringback.receiver import Receiver
from ringback.sinks import ed25519
from ringback.sinks.signing import BadSignature, key_of, sign, signed_headers, verify
from ringback.sinks.webhook import WebhookSink
from tests.sinks import hostile
from tests.sinks.samples import NOW, SECRET, message

PAIR = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SEED = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="
BODY = b'{"test": 2432232314}'
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize("secret", [PAIR, SEED, SEED.rstrip("=")])
def test_the_vector_of_the_reference_server(secret):
    """The published key, id, time and body give the published signature, from the seed alone as well."""
    assert sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY) == (
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    )
    assert ed25519.public_of(secret) == PUBLIC


@pytest.mark.parametrize(("seed", "public", "text", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032(seed, public, text, signature):
    """The primitive itself is the standard's."""
    secret = ed25519.secret_from(bytes.fromhex(seed))
    assert ed25519.signature(secret, bytes.fromhex(text)).hex() == signature
    assert ed25519.public_of(secret) == "whpk_" + base64.b64encode(bytes.fromhex(public)).decode()
    assert ed25519.matches(ed25519.public_of(secret), bytes.fromhex(signature), bytes.fromhex(text))


@given(st.binary(min_size=32, max_size=32))
def test_a_secret_is_its_seed(seed):
    """Any 32 bytes make a secret that gives them back and whose signatures its public half accepts."""
    secret = ed25519.secret_from(seed)
    assert key_of(secret) == seed
    verify([ed25519.public_of(secret)], signed_headers([secret], "evt_1", NOW, BODY), BODY, NOW)


@pytest.mark.parametrize("key", [PUBLIC, PAIR, SEED])
def test_a_signature_is_checked_with_either_half(key):
    """Beside signatures of other kinds, too."""
    headers = signed_headers([SECRET, PAIR], "evt_1", NOW, BODY)
    assert [each.partition(",")[0] for each in headers["webhook-signature"].split(" ")] == ["v1", "v1a"]
    verify([key], headers, BODY, NOW)
    verify([SECRET], headers, BODY, NOW)
    verify([SECRET, key], headers | {"webhook-signature": "v1a,AAAA v1a,% " + headers["webhook-signature"]}, BODY, NOW)


OTHER = ed25519.secret_from(bytes(32))


@pytest.mark.parametrize(
    ("key", "body", "change"),
    [
        (ed25519.public_of(OTHER), BODY, ("", "")),
        (PUBLIC, BODY + b" ", ("", "")),
        (PUBLIC, BODY, ("v1a,", "v1,")),
        (PUBLIC, BODY, ("v1a,", "v1a,A")),
        (PUBLIC, BODY, ("==", "")),
    ],
)
def test_what_the_secret_did_not_sign_is_refused(key, body, change):
    """Another key, another body, another version, a signature that is none."""
    headers = signed_headers([PAIR], "evt_1", NOW, BODY)
    headers["webhook-signature"] = (
        headers["webhook-signature"].replace(*change) if change[0] else headers["webhook-signature"]
    )
    with pytest.raises(BadSignature, match="no signature matches"):
        verify([key], headers, body, NOW)


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("whsk_", "32 or 64 bytes, not 0"),
        ("whsk_" + base64.b64encode(bytes(31)).decode(), "not 31"),
        ("whsk_" + base64.b64encode(bytes(64)).decode(), "do not belong together"),
        (PAIR[:-8] + "AAAAAA==", "do not belong together"),
        ("whsk_" + "%" * 44, "standard base64"),
        ("whsk_" + "終" * 44, "standard base64"),
        (PUBLIC, "only checks signatures"),
    ],
)
def test_a_bad_secret_is_refused_without_repeating_it(secret, says):
    """A secret that was cut, mixed up or is only the public half says so at once, and is not shown."""
    for judge in (key_of, lambda given: sign(given, "evt_1", 1, BODY)):
        with pytest.raises(BadInput, match=says) as refused:
            judge(secret)
        assert len(secret) < 8 or secret[5:] not in refused.value.message


@pytest.mark.parametrize("key", ["whpk_", "whpk_AAAA", "whpk_" + "%" * 44])
def test_a_bad_public_key_is_refused(key):
    """A receiver that was given half a key hears of it, instead of refusing every event."""
    with pytest.raises(BadInput):
        verify([key], signed_headers([PAIR], "evt_1", NOW, BODY), BODY, NOW)


@pytest.mark.parametrize("size", [31, 33, 64])
def test_a_secret_of_the_wrong_size_is_not_made(size):
    """A seed has 32 bytes."""
    with pytest.raises(BadInput, match=f"not {size}"):
        ed25519.secret_from(bytes(size))


async def test_a_receiver_checks_with_the_public_half():
    """A webhook signed with both kinds is taken by whoever holds either; an echo gives the secret away to nobody."""
    outbound = Outbound()
    for key in (PUBLIC, SECRET):
        async with Receiver(key, now=lambda: NOW) as receiver:
            sink = WebhookSink(outbound, receiver.url, secrets=lambda: [PAIR, SECRET])
            assert (await sink.send([message()], NOW)).outcome.outcome.value == "delivered"

    async def tells(request, writer):
        return await hostile.reply(writer, 500, body=f"your key is {PAIR}".encode())

    async with hostile.Hostile(tells) as server:
        outcome = (await WebhookSink(outbound, server.origin, secrets=lambda: [PAIR]).send([message()], NOW)).outcome
    assert outcome.excerpt == "your key is ***"
    await outbound.aclose()


@pytest.mark.parametrize("key", [PAIR, SEED, PUBLIC])
def test_without_the_library_a_sentence_says_what_to_install(monkeypatch, key):
    """The base install has no ed25519; shared secrets work as ever."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(BadInput, match=r"pip install 'ringback\[ed25519\]'"):
        verify([key], signed_headers([SECRET], "evt_1", NOW, BODY) | {"webhook-signature": "v1a,AAAA"}, BODY, NOW)
    if key != PUBLIC:
        with pytest.raises(BadInput, match=r"pip install 'ringback\[ed25519\]'"):
            key_of(key)
    verify([SECRET], signed_headers([SECRET], "evt_1", NOW, BODY), BODY, NOW)


async def test_without_the_library_a_delivery_stays_owed(monkeypatch):
    """It is a failed attempt that says what to do, not an end of the loop."""
    outbound = Outbound()
    monkeypatch.setitem(sys.modules, "cryptography", None)
    sink = WebhookSink(outbound, "http://127.0.0.1:9", secrets=lambda: [PAIR])
    outcome = (await sink.send([message()], NOW)).outcome
    assert outcome.outcome.value == "failed"
    assert "ringback[ed25519]" in outcome.message
    await outbound.aclose()


def test_the_page_says_how_to_check_with_a_public_key():
    """The snippet of docs/how-to/verify-signatures.md takes what we sign and nothing else."""
    page = (Path(__file__).parents[2] / "docs/how-to/verify-signatures.md").read_text(encoding="utf-8")
    names = {}
    exec(page.partition("## With a public key")[2].partition("```python\n")[2].partition("```")[0], names)
    headers = signed_headers([SECRET, PAIR], "evt_1", NOW, BODY)
    names["verify_public"](PUBLIC, headers, BODY)
    with pytest.raises(InvalidSignature):
        names["verify_public"](PUBLIC, headers, BODY + b" ")
