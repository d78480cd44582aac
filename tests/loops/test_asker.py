"""Between a watch and its answer: the credential and where it may go, the second request, the way out."""

from __future__ import annotations

import msgspec
import pytest
from given import NOW, watch
from outside import Outside

from ringback.accounts import Accounts, AccountTerms
from ringback.asker import RESULT_TRIES, Asker
from ringback.core.model import Answer, Problem, WatchState
from ringback.credentials import Credentials, Keys, Secret
from ringback.outbound import OutboundError
from ringback.providers import described
from ringback.providers.shelf import shipped
from ringback.store.memory import MemoryStore
from ringback.telemetry import Telemetry


class Provider(Outside):
    """Answers one after another; keeps what was sent, and on which way."""

    def __init__(self, *answers):
        super().__init__()
        self.answers = list(answers)
        self.sent = []

    async def send(self, sent):
        self.sent.append(sent)
        told = self.answers.pop(0)
        if isinstance(told, Exception):
            raise told
        return told if isinstance(told, Answer) else Answer(status=200, body=msgspec.json.encode(told))


@pytest.fixture
def ask(clock):
    """Ask about a watch of a provider whose account is configured so; what came of it, and what was sent."""

    async def about(provider, *answers, terms=None, keys=None, account=None, **fields):
        name = account or shipped().about(provider).vendor
        accounts = Accounts(MemoryStore(), Telemetry())
        accounts.agree({name: terms} if terms is not None else {}, concurrency=32)
        known = {
            name: Keys({key: Secret(value) for key, value in (keys or {}).items()}, (terms and terms.base_url) or "")
        }
        outside = Provider(*answers)
        asker = Asker(accounts, shipped(), Credentials(known if terms else {}), outbound=outside, clock=clock)
        [told] = await asker.ask([watch(provider=provider, account=name, **{"task_id": "t-1", **fields})])
        return told.seen, outside.sent

    return about


VEO = {"project": "p", "location": "us-central1", "model": "veo-3"}


async def test_the_key_goes_to_the_host_that_a_param_chooses_within_the_presets_hosts(ask):
    """And the guard looks where that host leads, because a caller chose it."""
    seen, sent = await ask("veo-vertex", {"done": False}, terms=AccountTerms(), keys={"api_key": "k"}, params=VEO)
    request = sent[0]
    assert seen.state is WatchState.RUNNING
    assert request.url.startswith("https://us-central1-aiplatform.googleapis.com/v1/projects/p/")
    assert request.headers["authorization"] == "Bearer k"
    assert request.via.guarded


@pytest.mark.parametrize(
    ("key", "shown"), [("sesame", "*** is no key of ours (1)"), ("ours", "sesame is no key of ours (1)")]
)
async def test_a_key_is_hidden_in_a_vendors_words_where_it_can_be_nothing_else(ask, key, shown):
    """One that is as short as a word would take words out of the sentence."""
    refused = Answer(status=401, body=b'{"error": {"err_code": 1, "message": "sesame is no key of ours", "type": "x"}}')
    seen, _ = await ask("302ai-browser", refused, terms=AccountTerms(), keys={"api_key": key})
    assert seen.trouble.message == shown


async def test_our_own_words_hold_no_key_to_hide(ask):
    """A sentence of ours stays whole, whatever the key is."""
    refused = OutboundError("https://api.302.ai refused the connection", code="refused")
    seen, _ = await ask("302ai-browser", refused, terms=AccountTerms(), keys={"api_key": "refused"})
    assert seen.trouble.message == "https://api.302.ai refused the connection"


@pytest.mark.parametrize("location", ["evil.example/", "evil.example#", "x@evil", "a.b", "", "EVIL", "é"])
async def test_a_host_that_a_param_would_break_out_of_is_not_asked(ask, location):
    seen, sent = await ask(
        "veo-vertex", terms=AccountTerms(), keys={"api_key": "k"}, params={**VEO, "location": location}
    )
    assert (seen.trouble.code, sent) == ("bad_params", [])


@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("https://api.us1.bfl.ai/v1/get_result?id=7", True),
        ("https://api.bfl.ai/v1/get_result?id=7", True),
        ("https://api.evil.example/v1", False),
        ("https://api.bfl.ai.evil.example/", False),
        ("https://api.bfl.ai@evil.example/", False),
        ("http://api.us1.bfl.ai/", False),
        ("https://api.us1.bfl.ai:8443/", False),
        ("https://api.bfl.ai/../x", False),
        ("https://api.a.b.bfl.ai/", False),
    ],
)
async def test_a_url_that_a_param_brings_gets_the_key_only_on_a_host_of_the_preset(ask, url, goes):
    seen, sent = await ask(
        "bfl-flux", {"status": "Pending"}, terms=AccountTerms(), keys={"api_key": "k"}, params={"polling_url": url}
    )
    assert [request.headers["x-key"] for request in sent] == (["k"] if goes else [])
    assert (seen.trouble is None) is goes


async def test_an_accounts_own_base_url_is_asked_without_a_guard(ask):
    """Whoever runs ringback named it: it may be inside."""
    terms = AccountTerms(base_url="http://10.1.2.3:8188", headers={"x-team": "video"})
    seen, sent = await ask("comfyui-history", {}, terms=terms)
    request = sent[0]
    assert (request.url, request.headers["x-team"], request.via.guarded) == (
        "http://10.1.2.3:8188/history/t-1",
        "video",
        False,
    )
    assert seen.state is WatchState.RUNNING


async def test_a_server_of_ones_own_needs_a_base_url(ask):
    seen, sent = await ask("comfyui-history", {}, terms=AccountTerms())
    assert (seen.trouble.code, sent) == ("bad_params", [])
    assert "set base_url in the account's configuration" in seen.trouble.message


async def test_what_needs_no_account_is_asked_without_one(ask):
    seen, sent = await ask("skyreels", {"code": 200, "status": "running", "data": None})
    assert seen.state is WatchState.RUNNING
    assert "authorization" not in sent[0].headers


async def test_no_credential_and_no_header_of_an_account_goes_to_a_url_of_the_callers(ask):
    """Provider http: not even those of an account that is called so, unless its own base URL is asked."""
    dialect = described.dialect(
        {"url": "https://api.example.org/jobs/{task_id}", "headers": {"Authorization": "Bearer mine"}},
        {"state": "status", "states": {"done": "succeeded"}},
    )
    terms = AccountTerms(base_url="https://elsewhere.example", headers={"x-ours": "1"})
    seen, sent = await ask("http", {"status": "done"}, terms=terms, keys={"api_key": "ours"}, dialect=dialect)
    request = sent[0]
    assert (request.url, request.via.guarded) == ("https://api.example.org/jobs/t-1", True)
    assert request.headers["authorization"] == "Bearer mine"
    assert "ours" not in str(request.headers)
    assert seen.state is WatchState.SUCCEEDED


async def test_the_result_that_is_elsewhere_is_asked_for_once_the_task_has_succeeded(ask):
    first = {"status": "Success", "file_id": "205", "base_resp": {"status_code": 0}}
    second = {"file": {"download_url": "https://cdn.test/v.mp4"}, "base_resp": {"status_code": 0}}
    seen, sent = await ask("minimax-v1", first, second, terms=AccountTerms(), keys={"api_key": "k"})
    assert [request.url.partition(".io")[2] for request in sent] == [
        "/v1/query/video_generation?task_id=t-1",
        "/v1/files/retrieve?file_id=205",
    ]
    assert all(request.headers["authorization"] == "Bearer k" for request in sent)
    assert (seen.state, seen.result.text) == (WatchState.SUCCEEDED, b'"https://cdn.test/v.mp4"')


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (Answer(status=500, body=b'{"error": "sorry"}'), "no_result"),
        (Answer(status=404, body=b"{}"), "no_result"),
        (Answer(status=200, body=b"<html>"), "no_result"),
        (Answer(status=429, body=b"{}"), "rate_limited"),
        (OutboundError("https://api.minimax.io refused the connection", code="refused"), "refused"),
    ],
)
async def test_without_its_result_a_task_is_not_over_until_that_was_asked_for_often_enough(ask, second, code):
    """Then it is told with what the first answer has."""
    first = {"status": "Success", "file_id": "205", "base_resp": {"status_code": 0}}
    how = {"terms": AccountTerms(), "keys": {"api_key": "k"}}
    seen, _ = await ask("minimax-v1", first, second, **how)
    assert (seen.state, seen.trouble.code) == (None, code)
    seen, _ = await ask("minimax-v1", first, second, problem=Problem(code, "", NOW, RESULT_TRIES - 2), **how)
    assert seen.trouble.code == code
    tried = Problem(code, "", NOW, RESULT_TRIES - 1)
    seen, _ = await ask("minimax-v1", first, second, problem=tried, **how)
    assert (seen.state, seen.result.text) == (WatchState.SUCCEEDED, b'"205"')


async def test_only_tries_that_failed_alike_are_counted(ask):
    """Another trouble of the same watch says nothing of its result."""
    first = {"status": "Success", "file_id": "205", "base_resp": {"status_code": 0}}
    other = Problem("unavailable", "", NOW, 99)
    refused = Answer(status=404, body=b"{}")
    seen, _ = await ask("minimax-v1", first, refused, terms=AccountTerms(), keys={"api_key": "k"}, problem=other)
    assert (seen.state, seen.trouble.code) == (None, "no_result")


async def test_a_result_that_is_refused_is_how_some_tasks_fail(ask):
    params = {"owner": "fal-ai", "app": "flux"}
    refused = Answer(status=422, body=b'{"detail": [{"msg": "prompt is too long"}]}')
    seen, _ = await ask(
        "fal-queue", {"status": "COMPLETED"}, refused, terms=AccountTerms(), keys={"api_key": "k"}, params=params
    )
    assert (seen.state, seen.error.message) == (WatchState.FAILED, "prompt is too long")


async def test_a_place_that_an_answer_names_gets_the_key_only_where_it_may_go(ask):
    """An answer is the provider's word, and no more than that."""
    answer = {"status": "succeeded", "resourceLocation": "https://evil.example/result"}
    terms = AccountTerms(base_url="https://mine.cognitiveservices.azure.com")
    seen, sent = await ask(
        "azure-operation-location",
        answer,
        terms=terms,
        keys={"api_key": "k"},
        task_id="https://mine.cognitiveservices.azure.com/operations/7",
    )
    assert len(sent) == 1
    assert seen.trouble.code == "no_result"


async def test_a_secret_param_is_asked_with(ask):
    seen, sent = await ask(
        "deepl-document",
        {"status": "translating"},
        terms=AccountTerms(),
        keys={"api_key": "k"},
        secrets={"document_key": "s3cret"},
    )
    assert sent[0].body == b'{"document_key":"s3cret"}'
    assert seen.state is WatchState.RUNNING
