"""What fills a placeholder: it is encoded for the place where it stands, and chooses neither host nor path."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput
from ringback.providers.template import (
    BaseUrl,
    BodyTemplate,
    HeaderName,
    HeaderTemplate,
    PathTemplate,
    QueryTemplate,
    Template,
    UrlTemplate,
    Values,
)

BASE = "https://api.example.com"
HALF = "\ud800"
whole_text = st.text(st.characters(exclude_categories=["Cs"]))
any_text = st.text() | st.text("./%\\@#?: ae", max_size=8)


def _values(task_id="t", **params):
    return Values(task_id=task_id, params=params)


# ---------------------------------------------------------------------- in a path


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
        ("/", "%2F"),
        ("a~b_c.d-e", "a~b_c.d-e"),
        ("{params.x}", "%7Bparams.x%7D"),
    ],
)
def test_an_id_is_one_encoded_segment(task_id, segment):
    assert PathTemplate("/v1/tasks/{task_id}/status").path(_values(task_id)) == f"/v1/tasks/{segment}/status"


@pytest.mark.parametrize(
    ("task_id", "path"),
    [
        ("batches/a1", "batches/a1"),
        ("/batches/a1", "batches/a1"),
        ("a b/c?d#e", "a%20b/c%3Fd%23e"),
        ("models/veo:predict@1;x=1,2", "models/veo:predict@1;x=1,2"),
        ("a%2F..%2Fb", "a%252F..%252Fb"),
        ("a/%2e%2e/b", "a/%252e%252e/b"),
        ("a\\..\\b", "a%5C..%5Cb"),
        ("日/本", "%E6%97%A5/%E6%9C%AC"),
        ("a/.../b", "a/.../b"),
    ],
)
def test_a_plus_keeps_slashes_and_encodes_the_rest(task_id, path):
    """A slash at the beginning is the template's own."""
    assert PathTemplate("/v1/{+task_id}/status").path(_values(task_id)) == f"/v1/{path}/status"


@pytest.mark.parametrize("task_id", ["", "/", "//", "//a", "a//b", "a/", "..", ".", "a/../b", "a/./b", "../a", HALF])
def test_a_plus_takes_no_segment_that_is_empty_or_only_dots(task_id):
    with pytest.raises(BadInput, match=r"^task_id "):
        PathTemplate("/v1/{+task_id}").path(_values(task_id))


@pytest.mark.parametrize(
    ("path", "task_id", "params"),
    [
        ("/t/{task_id}", ".", {}),
        ("/t/{task_id}", "..", {}),
        ("/t/{task_id}", "", {}),
        ("/t/{task_id}", HALF, {}),
        ("/t/.{task_id}", ".", {}),
        ("/t/{params.a}{task_id}", ".", {"a": "."}),
        ("/t/{+params.a}{task_id}", ".", {"a": "x/."}),
        ("/t/{params.a}/{task_id}", "x", {}),
        ("/t/{params.a}/{task_id}", "x", {"a": ""}),
    ],
)
def test_what_cannot_be_a_segment_is_refused(path, task_id, params):
    with pytest.raises(BadInput):
        PathTemplate(path).path(_values(task_id, **params))


@given(any_text, any_text)
def test_whatever_fills_a_path_the_host_and_the_other_segments_stay(task_id, owner):
    """And each value comes out of its own segment as it went in."""
    try:
        path = PathTemplate("/repos/{params.owner}/runs/{task_id}").path(_values(task_id, owner=owner))
    except BadInput:
        assert {task_id, owner} & {"", ".", ".."}
        return
    parts = urlsplit(BASE + path)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example.com", "", "")
    assert [unquote(part) for part in parts.path.split("/")] == ["", "repos", owner, "runs", task_id]


@given(any_text)
def test_whatever_fills_a_plus_what_stands_around_it_stays(task_id):
    try:
        path = PathTemplate("/v1/{+task_id}/status").path(_values(task_id))
    except BadInput:
        return
    parts = urlsplit(BASE + path)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example.com", "", "")
    segments = parts.path.split("/")
    assert (segments[:2], segments[-1]) == (["", "v1"], "status")
    assert not {"", ".", ".."} & {unquote(segment) for segment in segments[2:]}
    assert unquote("/".join(segments[2:-1])) == task_id.removeprefix("/")


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
        "/é",
        "/a\n",
        "/a/../{task_id}",
        "/a/%2e%2e/{task_id}",
        "/%zz",
        "",
    ],
)
def test_a_path_that_is_none_is_refused_when_the_preset_is_loaded(path):
    with pytest.raises(ValueError, match="expected a path"):
        PathTemplate(path)


# ---------------------------------------------------------------------- in a query, a header, a body


@pytest.mark.parametrize(
    ("text", "task_id", "query"),
    [
        ("{task_id}", "a&b=c", "a%26b%3Dc"),
        ("{task_id}", "a b+c#d/e", "a%20b%2Bc%23d%2Fe"),
        ("{task_id}", "日", "%E6%97%A5"),
        ("{task_id}", "", ""),
        ("id:{task_id}", "7", "id%3A7"),
        ("{+task_id}", "a/b", "a%2Fb"),
        ("{task_ids}", "a,b", "a%2Cb"),
    ],
)
def test_a_value_of_a_query_is_encoded_whole(text, task_id, query):
    assert QueryTemplate(text).query(_values(task_id)) == query


@given(whole_text)
def test_whatever_fills_a_query_it_is_one_value_of_it(task_id):
    query = f"a=1&id={QueryTemplate('{task_id}').query(_values(task_id))}&b=2"
    assert parse_qsl(query, keep_blank_values=True) == [("a", "1"), ("id", task_id), ("b", "2")]
    assert urlsplit(f"{BASE}/x?{query}").fragment == ""


@pytest.mark.parametrize("value", ["é", "a\r\nx-y: z", "a\n", "\x00", "\x7f", "日本", HALF])
def test_a_header_carries_ascii_on_one_line(value):
    with pytest.raises(BadInput, match=r"^params.x stands in a header"):
        HeaderTemplate("v={params.x}").header(_values(x=value))
    with pytest.raises(ValueError, match="expected the value of a header"):
        HeaderTemplate(f"{value}{{params.x}}")


def test_a_header_takes_visible_ascii_as_it_is():
    assert HeaderTemplate("v={params.x};q=1").header(_values(x='a b,"c"%2F')) == 'v=a b,"c"%2F;q=1'


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\n", "é", "(x)"])
def test_the_name_of_a_header_is_a_token(name):
    with pytest.raises(ValueError, match="expected the name of a header"):
        HeaderName(name)
    assert HeaderName("X-API-Key") == "x-api-key"


def test_a_body_is_filled_wherever_it_has_texts():
    """In tables in lists in tables; what is no text, and every name, stays as it is."""
    tree = {
        "job": {"ids": ["{task_id}", {"of": "{params.x}/{task_id}"}, [1, "{params.x}"]], "{task_id}": "name"},
        "n": 1.5,
        "on": True,
    }
    body = BodyTemplate(tree)
    assert body.names == ("task_id", "params.x", "task_id", "params.x")
    assert body.fill(_values('a"/b', x="é\n")) == {
        "job": {"ids": ['a"/b', {"of": 'é\n/a"/b'}, [1, "é\n"]], "{task_id}": "name"},
        "n": 1.5,
        "on": True,
    }
    assert body.text == (
        '{"job":{"ids":["{task_id}",{"of":"{params.x}/{task_id}"},[1,"{params.x}"]],"{task_id}":"name"},"n":1.5,"on":true}'
    )


def test_all_ids_are_a_list_in_a_body_and_have_commas_in_a_text():
    body = BodyTemplate({"ids": "{task_ids}", "named": "ids {task_ids}", "in": [["{task_ids}"]]})
    assert body.fill(_values("a,b"), ["a", "b"]) == {"ids": ["a", "b"], "named": "ids a,b", "in": [[["a", "b"]]]}


@pytest.mark.parametrize(
    "fill",
    [
        QueryTemplate("{task_id}").query,
        BodyTemplate({"a": ["{task_id}"]}).fill,
        UrlTemplate("https://a.example/?x={task_id}").url,
    ],
)
def test_half_a_surrogate_pair_is_in_no_request(fill):
    with pytest.raises(BadInput, match=r"^task_id holds half a surrogate pair"):
        fill(_values(HALF))


@given(whole_text)
def test_whatever_fills_a_body_it_is_one_text_of_it(task_id):
    assert BodyTemplate({"a": "{task_id}", "b": "{params.x}"}).fill(_values(task_id, x=task_id or "-")) == {
        **({"a": task_id} if task_id else {}),
        "b": task_id or "-",
    }


# ---------------------------------------------------------------------- what may stand where


@pytest.mark.parametrize("kind", [Template, HeaderTemplate, QueryTemplate, lambda text: BodyTemplate({"a": [text]})])
@pytest.mark.parametrize(
    "unknown", ["{id}", "{taskid}", "{task}", "{params.A}", "{params.}", "{+id}", "{answer.}", "{Task_id}", "{uuid4}"]
)
def test_an_unknown_placeholder_is_told_when_the_preset_is_loaded(kind, unknown):
    with pytest.raises(ValueError, match=r"expected placeholders such as {task_id} and {params.name}, got") as refused:
        kind(f"{{task_id}} {unknown} x")
    assert refused.value.args[0].endswith(f"got '{unknown}'")


@pytest.mark.parametrize("text", ["{}", "{ task_id }", '{"a": 1}', "{1}", "}{", "{a b}"])
def test_other_braces_are_text(text):
    template = Template(text)
    assert (template.names, template.fill(_values(), lambda _, value: value)) == ((), text)


def test_a_place_in_an_answer_is_checked_when_the_preset_is_loaded():
    with pytest.raises(ValueError, match="expected a JMESPath expression"):
        Template("{answer.a..b}")
    assert Template("{answer.a[0].b}").names == ("answer.a[0].b",)


@pytest.mark.parametrize("kind", [PathTemplate, QueryTemplate, UrlTemplate])
def test_a_url_has_no_number_of_its_own(kind):
    """It is made once a watch; whoever needs another one each time has headers and bodies."""
    text = {PathTemplate: "/{uuid}", QueryTemplate: "{uuid}", UrlTemplate: "https://a.example/{uuid}"}[kind]
    with pytest.raises(ValueError, match=r"expected no {uuid} here"):
        kind(text)
    with pytest.raises(ValueError, match=r"expected no {uuid} here"):
        UrlTemplate("{uuid}")


def test_a_number_waits_for_the_signature():
    assert HeaderTemplate("n-{uuid}").header(_values()) == "n-{uuid}"
    assert BodyTemplate({"n": "{uuid}"}).fill(_values()) == {"n": "{uuid}"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_id", "t-1"),
        ("task_ids", "t-1"),
        ("params.x", "7"),
        ("params.empty", ""),
        ("answer.job.file", "f 1"),
        ("answer.job.n", "12"),
        ("answer.job.on", "true"),
        ("answer.list[1]", "b"),
    ],
)
def test_every_placeholder_stands_for_its_value(name, value):
    answer = {"job": {"file": "f 1", "n": 12.0, "on": True}, "list": ["a", "b"]}
    assert Values(task_id="t-1", params={"x": "7", "empty": ""}, answer=answer).of(name) == value


@pytest.mark.parametrize("answer", [None, {}, {"file": None}, {"file": ""}, {"file": []}, {"file": {"a": 1}}, [1]])
def test_an_answer_without_the_value_is_told_with_its_place(answer):
    with pytest.raises(BadInput, match=r"^the answer has nothing at file to ask with"):
        Values(answer=answer).of("answer.file")


def test_a_missing_param_is_named():
    with pytest.raises(BadInput, match=r"^the param 'owner' is missing"):
        PathTemplate("/repos/{params.owner}/{task_id}").path(_values())


@pytest.mark.parametrize(
    ("text", "params", "left_out"),
    [
        ("{params.x}", {"x": ""}, True),
        ("{params.x}", {"x": "0"}, False),
        ("{params.x} ", {"x": ""}, False),
        ("{params.x}{params.y}", {"x": "", "y": ""}, False),
        ("x", {}, False),
        ("", {}, False),
    ],
)
def test_only_an_optional_param_alone_is_left_out(text, params, left_out):
    assert Template(text).left_out(_values(**params)) is left_out


# ---------------------------------------------------------------------- whole URLs


@pytest.mark.parametrize(
    ("text", "values", "url"),
    [
        ("{task_id}", _values("https://b.example/x?y=z"), "https://b.example/x?y=z"),
        ("{params.polling_url}", _values(polling_url="https://b.example/p"), "https://b.example/p"),
        ("{answer.next}", Values(answer={"next": "https://b.example/n"}), "https://b.example/n"),
        ("https://a.example/jobs/{task_id}", _values("a/../b?c#d"), "https://a.example/jobs/a%2F..%2Fb%3Fc%23d"),
        ("https://a.example/{+task_id}?v={params.v}", _values("a/b", v="1&2"), "https://a.example/a/b?v=1%262"),
        ("https://a.example?id={task_id}", _values("@b.example"), "https://a.example/?id=%40b.example"),
        ("http://[::1]:8080/{task_id}", _values(), "http://[::1]:8080/t"),
        ("https://a.example:8443", _values(), "https://a.example:8443/"),
        ("https://a.example/x?filter[a]={task_id}&b={1}", _values("é"), "https://a.example/x?filter[a]=%C3%A9&b={1}"),
    ],
)
def test_a_url_is_one_placeholder_or_text_with_placeholders_after_its_host(text, values, url):
    assert UrlTemplate(text).url(values) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.example/x",
        "//a.example/x",
        "ftp://a.example/x",
        "https://",
        "https:///x",
        "https://a.example/x#y",
        "https://a.example/{task_id}#y",
        "https://user:hunter2@a.example/x",
        "https://a.example\\@hunter2/x",
        "https://{params.host}/x",
        "https://{params.host}.a.example/x",
        "https://a.example{task_id}/x",
        "https://a.example:{params.port}/x",
        "{params.scheme}://a.example/x",
        "{params.base}/x",
        "https://a.example/?a=b c",
        "https://a.example/?a=é",
        "https://a.example/?a=\r\nhunter2: x",
        "https://a.example\n",
        " https://a.example",
    ],
)
def test_what_could_lead_elsewhere_is_no_url_and_not_repeated(text):
    with pytest.raises(ValueError, match="expected a URL such as") as refused:
        UrlTemplate(text)
    assert "hunter2" not in str(refused.value)


def test_a_whole_url_is_ascii():
    """Whether a credential may go there is decided when it is finished; what no request line can carry is no URL."""
    for value in ("https://b.example/é", "https://b.example/\r\nx: y"):
        with pytest.raises(BadInput, match="ASCII only"):
            UrlTemplate("{task_id}").url(_values(value))


@given(any_text, any_text)
def test_whatever_fills_a_url_its_origin_and_its_other_parts_stay(task_id, value):
    try:
        url = UrlTemplate("https://a.example/jobs/{task_id}/x?v={params.v}&w=1").url(_values(task_id, v=value))
    except BadInput:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "a.example", "")
    assert [unquote(part) for part in parts.path.split("/")] == ["", "jobs", task_id, "x"]
    assert parse_qsl(parts.query, keep_blank_values=True) == [("v", value), ("w", "1")]


# ---------------------------------------------------------------------- base URLs


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
        "{params.scheme}://x",
        "{params.base}",
        "https://x:{params.port}",
        "https://{task_id}.example",
        "https://{answer.host}.example",
        "https://{params.x}@x.example",
        "https://x.example?{params.x}",
    ],
)
def test_a_base_url_that_could_lead_elsewhere_is_refused_and_not_repeated(base):
    with pytest.raises(ValueError, match="expected a base URL") as refused:
        BaseUrl(base)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "params", "url"),
    [
        ("https://api.example.com/v1/", {}, "https://api.example.com/v1"),
        ("https://{params.region}.example.com/v1/", {"region": "eu-1"}, "https://eu-1.example.com/v1"),
        ("https://{params.a}-{params.b}.example.com", {"a": "x", "b": "1"}, "https://x-1.example.com"),
        ("https://example.com/{params.tenant}/v1", {"tenant": "t1"}, "https://example.com/t1/v1"),
    ],
)
def test_a_param_may_stand_for_a_label_of_the_host(text, params, url):
    assert BaseUrl(text).url(_values(**params)) == url


@pytest.mark.parametrize(
    "value",
    ["", "evil.com/", "a.b", "a@b", "EU", "a_b", "-a", "a-", "a:1", "a/b", "a?b", "a#b", "a\\b", "é", "a\n", "a" * 64,
     "%61", "xn--a.b", "[::1]", "a。b", " a", ".", ".."],
)  # fmt: skip
def test_what_is_no_label_of_a_host_is_refused(value):
    with pytest.raises(BadInput, match=r"^params.region is part of a host name") as refused:
        BaseUrl("https://api-{params.region}.example.com").url(_values(region=value))
    assert refused.value.code == "bad_param"


@given(any_text | st.text("ab-.", max_size=5))
def test_whatever_fills_a_host_the_rest_of_it_stays(value):
    try:
        url = BaseUrl("https://api-{params.region}.example.com/v1").url(_values(region=value))
    except BadInput:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.path, parts.query, parts.fragment) == ("https", "/v1", "", "")
    assert parts.netloc == f"api-{value}.example.com"
    assert parts.netloc.split(".")[1:] == ["example", "com"]
