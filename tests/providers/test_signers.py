"""Signatures that are computed: the vendors' own figures, and what they hold on to."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from ringback.providers.base import Ask
from ringback.providers.signers.jwt import BACKDATED, LIVES, KlingJwt
from ringback.providers.signers.sigv4 import SigV4
from ringback.providers.signers.tc3 import Tc3
from ringback.providers.signers.volcengine import Volcengine
from ringback.providers.template import HeaderTemplate

SUITE_AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SUITE_KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

TRANSCRIBE = SigV4(service="transcribe", region=HeaderTemplate("eu-west-1"))
TRANSCRIBE_ASK = Ask(
    method="POST",
    url="https://transcribe.eu-west-1.amazonaws.com/",
    headers={
        "accept": "application/json",
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": "Transcribe.GetTranscriptionJob",
    },
    body=b'{"TranscriptionJobName":"j1"}',
    region="eu-west-1",
)
VCLM = Tc3(service="vclm")
VCLM_ASK = Ask(
    method="POST",
    url="https://vclm.tencentcloudapi.com/",
    headers={"content-type": "application/json", "x-tc-action": "DescribeHunyuanToVideoJob"},
    body=b'{"JobId":"1"}',
)
VISUAL = Volcengine(service="cv", region=HeaderTemplate("cn-north-1"))
VISUAL_ASK = Ask(
    method="POST",
    url="https://visual.volcengineapi.com/?Action=CVSync2AsyncGetResult&Version=2022-08-31",
    headers={"content-type": "application/json"},
    body=b'{"req_key":"jimeng","task_id":"1"}',
    region="cn-north-1",
)
KLING_ASK = Ask(method="GET", url="https://api.klingai.com/v1/videos/text2video/1")

KINDS = {
    "sigv4": (TRANSCRIBE, TRANSCRIBE_ASK, {"access_key": "AKID", "secret_key": "SECRET"}, "x-amz-date"),
    "tc3": (VCLM, VCLM_ASK, {"secret_id": "ID", "secret_key": "SK"}, "x-tc-timestamp"),
    "volcengine": (VISUAL, VISUAL_ASK, {"access_key": "AK", "secret_key": "SK"}, "x-date"),
    "kling_jwt": (KlingJwt(), KLING_ASK, {"access_key": "ak", "secret_key": "sk"}, "authorization"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_hash = pytest.mark.parametrize("kind", ["sigv4", "tc3", "volcengine"])


def _authorization(auth, ask, credentials, now):
    return auth.sign(ask, credentials, now).headers["authorization"]


# ---------------------------------------------------------------------- the vendors' figures


SUITE = {
    "get-vanilla": ("GET", "/", b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        "GET",
        "/?Param2=value2&Param1=value1",
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "post-vanilla": ("POST", "/", b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-x-www-form-urlencoded": (
        "POST",
        "/",
        b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


@pytest.mark.parametrize("case", SUITE)
def test_sigv4_signs_as_the_official_suite_does(case):
    """The AWS Signature Version 4 test suite, by the names of its cases."""
    method, target, body, signature = SUITE[case]
    form = {"content-type": "application/x-www-form-urlencoded"} if body else {}
    ask = Ask(
        method=method,
        url=f"https://example.amazonaws.com{target}",
        headers={"accept": "application/json", **form},
        body=body or None,
        region="us-east-1",
    )
    auth = SigV4(service="service", region=HeaderTemplate("us-east-1"))
    assert _authorization(auth, ask, SUITE_KEYS, SUITE_AT) == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={'content-type;' if body else ''}host;x-amz-date, Signature={signature}"
    )


def test_sigv4_signs_as_botocore_does():
    """With a session's token, as botocore's own SigV4Auth signed this request."""
    signed = TRANSCRIBE.sign(
        TRANSCRIBE_ASK, {"access_key": "AKID", "secret_key": "SECRET", "session_token": "TOKEN"}, AT
    )
    assert signed.headers == {
        **TRANSCRIBE_ASK.headers,
        "x-amz-date": "20260102T030405Z",
        "x-amz-security-token": "TOKEN",
        "authorization": (
            "AWS4-HMAC-SHA256 Credential=AKID/20260102/eu-west-1/transcribe/aws4_request, "
            "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, "
            "Signature=96bf0f1e0a405d6860ccc567a398f706be24d86f64e3413eb0b84ea803bc3326"
        ),
    }


def test_tc3_signs_as_tencents_sdk_does():
    """As tencentcloud-sdk-python signed this request."""
    signed = VCLM.sign(VCLM_ASK, {"secret_id": "ID", "secret_key": "SK"}, datetime.fromtimestamp(1551113065, UTC))
    assert signed.headers == {
        **VCLM_ASK.headers,
        "x-tc-timestamp": "1551113065",
        "authorization": (
            "TC3-HMAC-SHA256 Credential=ID/2019-02-25/vclm/tc3_request, SignedHeaders=content-type;host;x-tc-action, "
            "Signature=276e29a67b1983af47a47da49562d7964790a4f7106af88082edf23fc0b78e05"
        ),
    }


def test_volcengine_signs_as_its_sdk_does():
    """As the volcengine SDK for Python signed this request."""
    signed = VISUAL.sign(VISUAL_ASK, {"access_key": "AK", "secret_key": "SK"}, AT)
    assert signed.headers["authorization"] == (
        "HMAC-SHA256 Credential=AK/20260102/cn-north-1/cv/request, "
        "SignedHeaders=content-type;host;x-content-sha256;x-date, "
        "Signature=e2878e5a190f7375aed6433d6a21df1eefaae026822dc059e043b09ec7ca090e"
    )
    assert signed.headers["x-date"] == "20260102T030405Z"


def test_klings_token_is_the_one_that_pyjwt_makes():
    """As PyJWT encoded these claims with HS256."""
    assert _authorization(KlingJwt(), KLING_ASK, {"access_key": "ak", "secret_key": "sk"}, SUITE_AT) == (
        "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJpc3MiOiJhayIsImV4cCI6MTQ0MDkzOTk2MCwibmJmIjoxNDQwOTM4MTU1fQ."
        "dkmyMycFei47zk0tPMsrLAf8fiecuK1QAADLLgVM2A8"
    )


# ---------------------------------------------------------------------- what they hold on to


@every_kind
def test_the_same_request_at_the_same_time_has_the_same_signature(kind):
    """So that the other side can compute it, too."""
    auth, ask, credentials, _ = KINDS[kind]
    assert auth.sign(ask, credentials, AT) == auth.sign(ask, credentials, AT)


@every_kind
def test_when_it_was_signed_stands_in_the_request(kind):
    """To the second; what was never signed, or says nonsense, does not say it."""
    auth, ask, credentials, header = KINDS[kind]
    signed = auth.sign(ask, credentials, AT + timedelta(microseconds=999))
    assert auth.signed_at(signed) == AT
    assert auth.signed_at(ask) is None
    for nonsense in ("", "x", "-1", "9" * 30, "20260102T030405", "Bearer a.b.c", "Bearer a.e30.c", "Bearer é.é.é",
                     "Bearer a.W10.c", "Bearer a.eyJuYmYiOiAieCJ9.c", "Bearer a.eyJuYmYiOiAxZTk5fQ.c"):  # fmt: skip
        assert auth.signed_at(replace(ask, headers={header: nonsense})) is None, nonsense


@every_kind
def test_another_key_or_another_time_is_another_signature(kind):
    auth, ask, credentials, _ = KINDS[kind]
    signatures = {_authorization(auth, ask, credentials, AT + timedelta(seconds=late)) for late in (0, 1, 86_400)}
    for name in credentials:
        signatures.add(_authorization(auth, ask, {**credentials, name: "OTHER"}, AT))
    assert len(signatures) == 3 + len(credentials)


@every_hash
def test_what_is_signed_cannot_be_changed(kind):
    """Method, host, path, query, body and the headers that are signed: each change makes another signature."""
    auth, ask, credentials, _ = KINDS[kind]
    changed = [
        ask,
        replace(ask, method="PUT"),
        replace(ask, url=ask.url.replace(".com", ".net")),
        replace(ask, url=ask.url.replace(".com", ".com:8443")),
        replace(ask, url=ask.url.replace(".com/", ".com/x")),
        replace(ask, url=f"{ask.url}{'&' if '?' in ask.url else '?'}x=y"),
        replace(ask, body=ask.body + b" "),
        replace(ask, body=None),
    ]
    changed += [
        replace(ask, headers={**ask.headers, name: f"{value}2"})
        for name, value in ask.headers.items()
        if name != "accept"
    ]
    found = [re.search(r"Signature=([0-9a-f]{64})$", _authorization(auth, each, credentials, AT)) for each in changed]
    assert len({each[1] for each in found}) == len(changed)


@every_hash
def test_the_usual_port_is_no_part_of_the_host(kind):
    """As clients send it."""
    auth, ask, credentials, _ = KINDS[kind]
    usual = replace(ask, url=ask.url.replace(".com", ".com:443"))
    assert _authorization(auth, usual, credentials, AT) == _authorization(auth, ask, credentials, AT)


@pytest.mark.parametrize("kind", ["sigv4", "volcengine"])
def test_the_order_of_the_query_does_not_matter(kind):
    auth, ask, credentials, _ = KINDS[kind]
    made = {
        _authorization(auth, replace(ask, url=f"https://a.example/?{query}"), credentials, AT)
        for query in ("a=1&b=2&a-=%7e", "b=2&a=1&a-=~", "a-=~&b=2&a=1")
    }
    assert len(made) == 1


def test_the_path_is_encoded_once_more_by_sigv4_alone():
    """AWS: all services but S3."""
    aws, twice = (
        _authorization(TRANSCRIBE, replace(TRANSCRIBE_ASK, url=f"https://a.example/{path}"), SUITE_KEYS, AT)
        for path in ("a%2Fb", "a%252Fb")
    )
    assert aws != twice


def test_the_region_is_the_requests_own():
    """A param may stand for it; the signature names the one that was asked with."""
    ask = replace(TRANSCRIBE_ASK, region="us-west-2")
    assert "/us-west-2/transcribe/" in _authorization(TRANSCRIBE, ask, SUITE_KEYS, AT)


def test_a_preset_puts_the_param_into_the_region(preset_with):
    preset = preset_with(auth={"type": "sigv4", "service": "s", "region": "{params.region}"})
    ask = preset.ask("t", {"region": "eu-west-1"}, "")
    signed = preset.sign(ask, {"access_key": "AK", "secret_key": "SK"}, AT)
    assert (ask.region, preset.about.params) == ("eu-west-1", ("region",))
    assert "Credential=AK/20260102/eu-west-1/s/aws4_request" in signed.headers["authorization"]


def test_klings_token_is_made_anew_and_lives_for_half_an_hour():
    """It begins a little earlier than now, for clocks that are behind."""
    tokens = []
    for now in (SUITE_AT, SUITE_AT + timedelta(minutes=10)):
        signed = KlingJwt().sign(KLING_ASK, {"access_key": "ak", "secret_key": "sk"}, now)
        token = signed.headers["authorization"].removeprefix("Bearer ")
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
        assert header == {"alg": "HS256", "typ": "JWT"}
        assert claims == {
            "iss": "ak",
            "exp": int((now + LIVES).timestamp()),
            "nbf": int((now - BACKDATED).timestamp()),
        }
        tokens.append((token, claims["exp"]))
    assert tokens[0][0] != tokens[1][0]
    assert tokens[1][1] - tokens[0][1] == 600
