"""Signing adds the credential where the vendor wants it and nothing else, and never tells it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from ringback.core.errors import BadInput
from ringback.providers.auth import NO_CREDENTIALS
from ringback.providers.base import Ask
from ringback.providers.schemes import KINDS, chosen
from ringback.settings.sections import Account

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASK = Ask(
    method="POST",
    url="https://api.example.com/t?a=1",
    headers={"accept": "application/json", "content-type": "application/json"},
    body=b"{}",
    region="eu-1",
)
TABLES = {
    "none": {},
    "bearer": {},
    "header": {"name": "X-API-Key"},
    "query": {"name": "key"},
    "basic": {},
    "kling_jwt": {},
    "tc3": {"service": "vclm"},
    "volcengine": {"service": "cv", "region": "cn-north-1"},
    "sigv4": {"service": "transcribe", "region": "eu-west-1"},
}
SETTINGS = {
    "api_key": "k 1/&+",
    "username": "me",
    "password": "pass:word",
    "token": "t-1",
    "access_key": "ak",
    "secret_key": "sk",
    "secret_id": "id",
}


def _auth(*tables):
    problems: list[str] = []
    auth = chosen(list(tables) if len(tables) > 1 else tables[0], "auth", problems)
    assert problems == []
    return auth


def _pair(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("table", "added"),
    [
        ({"type": "none"}, {}),
        ({"type": "bearer"}, {"authorization": "Bearer k 1/&+"}),
        ({"type": "bearer", "credential": "token"}, {"authorization": "Bearer t-1"}),
        ({"type": "header", "name": "X-API-Key"}, {"x-api-key": "k 1/&+"}),
        ({"type": "header", "name": "Authorization", "prefix": "Key"}, {"authorization": "Key k 1/&+"}),
        ({"type": "header", "name": "xi", "prefix": "Token", "credential": "token"}, {"xi": "Token t-1"}),
        ({"type": "basic"}, {"authorization": _pair("me:pass:word")}),
        ({"type": "basic", "username": "token", "password": ""}, {"authorization": _pair("t-1:")}),
        ({"type": "basic", "username": "", "password": "api_key"}, {"authorization": _pair(":k 1/&+")}),
    ],
)
def test_the_credential_is_in_a_header_and_nothing_else_changes(table, added):
    signed = _auth(table).sign(ASK, SETTINGS, NOW)
    assert signed.headers == {**ASK.headers, **added}
    assert (signed.method, signed.url, signed.body) == (ASK.method, ASK.url, ASK.body)
    assert ASK.headers == {"accept": "application/json", "content-type": "application/json"}


@pytest.mark.parametrize(
    ("table", "url", "signed"),
    [
        ({"name": "key"}, "https://a.example/t?a=1", "https://a.example/t?a=1&key=k%201%2F%26%2B"),
        ({"name": "key"}, "https://a.example/t", "https://a.example/t?key=k%201%2F%26%2B"),
        ({"name": "a&b", "credential": "token"}, "https://a.example/t", "https://a.example/t?a%26b=t-1"),
    ],
)
def test_the_credential_is_the_last_parameter_of_the_query(table, url, signed):
    ask = Ask(method="GET", url=url, headers={"accept": "x"})
    assert _auth({"type": "query", **table}).sign(ask, SETTINGS, NOW) == Ask(
        method="GET", url=signed, headers={"accept": "x"}
    )


# ---------------------------------------------------------------------- every kind


@pytest.mark.parametrize("type", KINDS)
def test_every_kind_names_its_settings_and_needs_them_all(type):
    """What is missing is named; the values of the others are in no message."""
    auth = _auth({"type": type, **TABLES[type]})
    assert (auth.sign(ASK, SETTINGS, NOW) != ASK) is bool(auth.credentials)
    for name in auth.credentials:
        for missing in ({}, {name: ""}):
            settings = {other: "hunter2" for other in SETTINGS if other != name} | missing
            with pytest.raises(BadInput, match=f"^the account has no {name}: set it") as refused:
                auth.sign(ASK, settings, NOW)
            assert refused.value.code == "no_credential"
            assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("type", KINDS)
@pytest.mark.parametrize("key", ["hunter2\n", "hunter2\r\nx: y", "hunter2é", "hunter2\x00", "hunter2\x7f", "\thunter2"])
def test_a_credential_that_no_header_can_carry_is_refused_without_telling_it(type, key):
    """It is named, so that whoever set it finds it."""
    auth = _auth({"type": type, **TABLES[type]})
    for name in auth.credentials:
        with pytest.raises(BadInput, match=f"^the account's {name} has a character") as refused:
            auth.sign(ASK, {**SETTINGS, name: key}, NOW)
        assert refused.value.code == "bad_credential"
        assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("type", ["tc3", "sigv4"])
def test_a_session_token_is_sent_along_where_there_is_one_and_refused_when_broken(type):
    auth = _auth({"type": type, **TABLES[type]})
    with pytest.raises(BadInput, match=r"^the account's session_token has a character") as refused:
        auth.sign(ASK, {**SETTINGS, "session_token": "hunter2\n"}, NOW)
    assert "hunter2" not in refused.value.message
    header = {"tc3": "x-tc-token", "sigv4": "x-amz-security-token"}[type]
    assert auth.sign(ASK, {**SETTINGS, "session_token": "st"}, NOW).headers[header] == "st"
    assert header not in auth.sign(ASK, SETTINGS, NOW).headers
    assert header not in auth.sign(ASK, {**SETTINGS, "session_token": ""}, NOW).headers


@pytest.mark.parametrize("type", KINDS)
def test_every_kind_explains_where_its_settings_go(type):
    auth = _auth({"type": type, **TABLES[type]})
    assert all(f"<{name}>" in auth.explain() for name in auth.credentials)
    assert all(value in auth.explain() for value in TABLES[type].values() if value != "X-API-Key")


@pytest.mark.parametrize("type", KINDS)
def test_what_says_that_it_is_timeless_signs_the_same_at_all_times(type):
    auth = _auth({"type": type, **TABLES[type]})
    credentials = dict.fromkeys(auth.credentials, "k")
    first, later = (auth.sign(ASK, credentials, at) for at in (NOW, NOW + timedelta(days=1)))
    assert auth.timeless == (first == later)


@pytest.mark.parametrize("type", ["none", "bearer", "header", "query", "basic"])
def test_what_is_the_same_at_all_times_never_says_when_it_was_signed(type):
    auth = _auth({"type": type, **TABLES[type]})
    assert auth.signed_at(auth.sign(ASK, SETTINGS, NOW)) is None


# ---------------------------------------------------------------------- several kinds


CHOICE = ({"type": "kling_jwt"}, {"type": "header", "name": "x-key", "credential": "token"}, {"type": "bearer"})


@pytest.mark.parametrize(
    ("settings", "signed_with"),
    [
        ({"access_key": "a", "secret_key": "s"}, "eyJ"),
        ({"access_key": "a", "secret_key": "s", "token": "t", "api_key": "k"}, "eyJ"),
        ({"access_key": "a", "secret_key": "", "token": "t", "api_key": "k"}, "t"),
        ({"access_key": "a", "api_key": "k"}, "Bearer k"),
        ({"token": "t"}, "t"),
    ],
)
def test_of_several_kinds_the_first_that_the_account_has_everything_for_is_taken(settings, signed_with):
    signed = _auth(*CHOICE).sign(ASK, settings, NOW)
    found = signed.headers.get("x-key") or signed.headers["authorization"]
    assert found.removeprefix("Bearer ").startswith(signed_with) or found == signed_with


def test_without_any_the_settings_of_the_first_kind_are_asked_for():
    auth = _auth(*CHOICE)
    assert auth.credentials == ("access_key", "secret_key")
    with pytest.raises(BadInput, match="the account has no access_key"):
        auth.sign(ASK, {}, NOW)
    assert auth.explain().count("; or the header") == 2


def test_of_several_kinds_any_says_when_it_was_signed():
    auth = _auth(*CHOICE)
    assert auth.signed_at(auth.sign(ASK, {"access_key": "a", "secret_key": "s"}, NOW)) == NOW
    assert not auth.timeless
    assert auth.signed_at(auth.sign(ASK, {"api_key": "k"}, NOW)) is None


# ---------------------------------------------------------------------- the table


ONE_OF = "expected one of none, bearer, header, query, basic, kling_jwt, tc3, volcengine, sigv4"


@pytest.mark.parametrize(
    ("raw", "problems"),
    [
        (None, [f"auth.type: {ONE_OF}"]),
        ({}, [f"auth.type: {ONE_OF}"]),
        ("bearer", [f"auth.type: {ONE_OF}"]),
        ({"type": 3}, [f"auth.type: {ONE_OF}"]),
        ({"type": "baerer"}, [f"auth.type: {ONE_OF}, got 'baerer'. Did you mean 'bearer'?"]),
        ({"type": "bearer", "credentail": "x"}, ["auth.credentail: there is no such key. Did you mean 'credential'?"]),
        ({"type": "bearer", "name": "x"}, ["auth.name: there is no such key."]),
        ({"type": "header"}, ["auth.name: is missing; expected text"]),
        ({"type": "header", "name": "a:"}, ["auth.name: expected the name of a header, got 'a:'"]),
        ({"type": "query", "name": ""}, ["auth.name: expected text, got ''"]),
        ({"type": "bearer", "credential": ""}, ["auth.credential: expected text, got ''"]),
        ({"type": "basic", "username": 1}, ["auth.username: expected text, got a whole number"]),
        ({"type": "tc3"}, ["auth.service: is missing; expected text"]),
        (
            {"type": "sigv4"},
            ["auth.service: is missing; expected text", "auth.region: is missing; expected text"],
        ),
        (
            {"type": "volcengine", "service": "cv", "region": "{region}"},
            ["auth.region: expected placeholders such as {task_id} and {params.name}, got '{region}'"],
        ),
        ([], ["auth: expected a table"]),
        (
            [{"type": "bearer"}, {"type": "nune"}, {"type": "header"}],
            [f"auth[1].type: {ONE_OF}, got 'nune'. Did you mean 'none'?", "auth[2].name: is missing; expected text"],
        ),
        ([["bearer"]], [f"auth[0].type: {ONE_OF}"]),
    ],
)
def test_a_wrong_table_is_told_with_its_key(raw, problems):
    found: list[str] = []
    assert chosen(raw, "auth", found) is None
    assert found == problems


NO_NAMES = ["My Token", "token ", "Token", "7up", "_token", "api-key", "tökén", "a\n"]
OTHERS = ["base_url", "rate", "vendor", "headers", "params", "proxy", "ca_file", "token_file", "key_command"]


@pytest.mark.parametrize("name", [*NO_NAMES, *OTHERS])
@pytest.mark.parametrize(
    ("type", "key"),
    [("bearer", "credential"), ("header", "credential"), ("query", "credential"), ("basic", "username"),
     ("basic", "password")],
)  # fmt: skip
def test_a_credential_has_a_name_that_an_account_can_have(type, key, name):
    """Else nobody could ever configure the account, and would be told so by its first poll."""
    found: list[str] = []
    assert chosen({"type": type, **TABLES[type], key: name}, "auth", found) is None
    assert found == [
        f"auth.{key}: expected small letters, digits and _, such as 'api_key', got '{name}'"
        if name in NO_NAMES
        else f"auth.{key}: expected a credential, such as 'api_key': '{name}' is another key of an account"
    ]


def test_what_an_account_says_beside_its_credentials_is_known():
    """Presets are read without the configuration."""
    assert set(Account.model_fields) - Account.secret_keys == NO_CREDENTIALS


def test_a_preset_needs_the_table(problems_with, preset_with):
    assert problems_with(auth=None) == ["auth: is missing; expected a table"]
    assert preset_with(auth=[{"type": "bearer"}]).about.credentials == ("api_key",)
    assert preset_with(auth={"type": "none"}).about.needs_account is False


@pytest.mark.parametrize("type", TABLES)
def test_what_an_account_needs_is_told_in_json(preset_with, type):
    """A name that was checked is a text like any other."""
    about = preset_with(auth={"type": type, **TABLES[type]}).about
    told = msgspec.json.decode(msgspec.json.encode(about))
    assert tuple(told["credentials"]) == about.credentials
