"""The request: what fills a placeholder chooses neither host nor path."""

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput
from ringback.providers.asking import Asking, BaseUrl, PathTemplate, request

BASE = "https://api.example.com"


def _url(path, task_id="t", params=None, base=BASE):
    return request(Asking(path=PathTemplate(path)), task_id, params or {}, base).url


@pytest.mark.parametrize(
    ("task_id", "segment"),
    [
        ("26cbe8e5-0000", "26cbe8e5-0000"),
        ("a/b", "a%2Fb"),
        ("../../v1/keys", "..%2F..%2Fv1%2Fkeys"),
        ("a b", "a%20b"),
        ("a?b#c", "a%3Fb%23c"),
        ("a%2Fb", "a%252Fb"),
        ("%2e%2e", "%252e%252e"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("@evil.example", "%40evil.example"),
        ("\\..\\", "%5C..%5C"),
        ("a\r\nX-Y: z", "a%0D%0AX-Y%3A%20z"),
        ("...", "..."),
        ("a~b_c.d-e", "a~b_c.d-e"),
        ("{params.x}", "%7Bparams.x%7D"),
    ],
)
def test_an_id_is_one_encoded_segment(task_id, segment):
    assert _url("/v1/tasks/{task_id}/status", task_id) == f"{BASE}/v1/tasks/{segment}/status"


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_whatever_fills_it_the_host_and_the_other_segments_stay(task_id, owner):
    try:
        url = _url("/repos/{params.owner}/runs/{task_id}", task_id, {"owner": owner})
    except BadInput:
        assert {task_id, owner} & {".", ".."}
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example.com", "", "")
    assert [unquote(part) for part in parts.path.split("/")] == ["", "repos", owner, "runs", task_id]


@pytest.mark.parametrize(
    ("path", "task_id", "params"),
    [
        ("/t/{task_id}", ".", {}),
        ("/t/{task_id}", "..", {}),
        ("/t/{task_id}", "", {}),
        ("/t/{task_id}", "\ud800", {}),
        ("/t/.{task_id}", ".", {}),
        ("/t/{params.a}{task_id}", ".", {"a": "."}),
        ("/t/{params.a}/{task_id}", "x", {}),
        ("/t/{params.a}/{task_id}", "x", {"a": ""}),
    ],
)
def test_what_cannot_be_a_segment_is_refused(path, task_id, params):
    with pytest.raises(BadInput):
        _url(path, task_id, params)


def test_a_missing_param_is_named():
    with pytest.raises(BadInput, match="the param 'owner' is missing"):
        _url("/repos/{params.owner}/{task_id}")


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.302.ai", "https://api.302.ai/t"),
        ("https://api.302.ai/", "https://api.302.ai/t"),
        ("http://127.0.0.1:8080/proxy/302/", "http://127.0.0.1:8080/proxy/302/t"),
        ("http://[::1]:80", "http://[::1]:80/t"),
    ],
)
def test_a_base_url_may_have_a_prefix(base, url):
    assert _url("/{task_id}", base=base) == url


@pytest.mark.parametrize(
    "base",
    [
        "",
        "api.302.ai",
        "ftp://x",
        "https://",
        "https://user:hunter2@x",
        "https://x?k=hunter2",
        "https://x#hunter2",
        "https://x/a b",
        "https://x/../y",
        "https://x/%2e%2e/y",
        "https://x\n",
        "https://é.example",
        "//x",
        "https://x\\y",
    ],
)
def test_a_base_url_that_could_lead_elsewhere_is_refused_and_not_repeated(base):
    with pytest.raises(BadInput) as refused:
        _url("/{task_id}", base=base)
    assert "hunter2" not in refused.value.message
    with pytest.raises(ValueError, match="expected a base URL"):
        BaseUrl(base)


@pytest.mark.parametrize(
    "path",
    [
        "t/{task_id}",
        "/t?id={task_id}",
        "/t#{task_id}",
        "/t/{id}",
        "/t/{params.A}",
        "/t/{task_id",
        "/a b",
        "/a/../{task_id}",
        "/a/%2e%2e/{task_id}",
        "/%zz",
        "",
    ],
)
def test_a_path_that_is_none_is_refused_when_the_preset_is_loaded(path):
    with pytest.raises(ValueError, match="expected a path"):
        PathTemplate(path)


def test_the_params_of_a_path_are_known_in_order_and_once():
    assert PathTemplate("/{params.b}/{params.a}/{params.b}/{task_id}").params == ("b", "a")


def test_the_request_holds_no_credential():
    made = request(Asking(path=PathTemplate("/{task_id}")), "t", {}, BASE)
    assert (made.method, made.headers, made.body) == ("GET", {"accept": "application/json"}, None)
