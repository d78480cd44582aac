"""Signing adds the credential and nothing else, and never tells it."""

from datetime import UTC, datetime

import pytest

from ringback.core.errors import BadInput
from ringback.providers.auth import KINDS, Bearer, chosen
from ringback.providers.base import Ask

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ASK = Ask(method="GET", url="https://api.example.com/t", headers={"accept": "application/json"})


def test_bearer_adds_one_header():
    signed = Bearer().sign(ASK, {"api_key": "k-1", "other": "x"}, NOW)
    assert signed.headers == {"accept": "application/json", "authorization": "Bearer k-1"}
    assert (signed.method, signed.url, signed.body) == (ASK.method, ASK.url, ASK.body)
    assert "authorization" not in ASK.headers


@pytest.mark.parametrize("key", ["hunter2\n", "hunter2\r\nx: y", "hunter2é", "hunter2\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_telling_it(key):
    with pytest.raises(BadInput) as refused:
        Bearer().sign(ASK, {"api_key": key}, NOW)
    assert refused.value.code == "bad_credential"
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("credentials", [{}, {"api_key": ""}, {"token": "x"}])
def test_a_missing_key_is_named(credentials):
    with pytest.raises(BadInput, match="has no api_key") as refused:
        Bearer().sign(ASK, credentials, NOW)
    assert refused.value.code == "no_credential"


def test_the_name_of_the_credential_can_be_chosen():
    problems: list[str] = []
    auth = chosen({"type": "bearer", "credential": "token"}, "auth", problems)
    assert auth is not None
    assert (auth.credentials, auth.explain(), problems) == (("token",), "the header Authorization: Bearer <token>", [])


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (None, "auth.type: expected one of bearer"),
        ({}, "auth.type: expected one of bearer"),
        ({"type": 3}, "auth.type: expected one of bearer"),
        ({"type": "baerer"}, "auth.type: expected one of bearer, got 'baerer'. Did you mean 'bearer'?"),
        ({"type": "bearer", "credentail": "x"}, "auth.credentail: there is no such key. Did you mean 'credential'?"),
    ],
)
def test_a_wrong_table_is_a_problem_with_its_key(raw, problem):
    problems: list[str] = []
    assert chosen(raw, "auth", problems) is None
    assert problems == [problem]


def test_every_kind_keeps_its_promises():
    for kind in KINDS.values():
        auth = kind()
        signed = auth.sign(ASK, dict.fromkeys(auth.credentials, "k"), NOW)
        assert signed != ASK
        assert all(name in auth.explain() for name in auth.credentials)
