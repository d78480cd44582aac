"""What every preset of the catalogue holds to: above all, that nobody who registers a task can send a key elsewhere."""

from __future__ import annotations

import json
import re
from urllib.parse import urlsplit

import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.errors import BadInput
from ringback.core.model import Answer, Observation, WatchState
from ringback.credentials import Credentials, Keys, Secret, climbs
from ringback.providers import spec
from ringback.providers.shelf import CATALOGUE, shipped
from ringback.simulator.planting import plant, satisfy

PRESETS = shipped().presets()
every_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.about.id)

OWN = "https://gateway.mine.test/base"
"""What an account says when its preset does not know the place."""

AT_LEAST = 115
LONG = "x" * 2048
HOSTILE = [
    "evil.example", "evil.example/", "evil.example#", "evil.example?", "evil.example:443", ":443", "@evil.example",
    "me@evil.example", "me:pw@evil.example/", ".evil.example", "evil.example.", "a.b", "a.b.c", "-", "_", "*", "A",
    "..", ".", "...", "../..", "../../evil.example", "/..", "/../", "/", "//", "//evil.example", "///evil.example",
    "a//b",
    "%2e%2e", "%2e%2e/", "..%2f..", "%2f%2fevil.example", "%40evil.example", "%00", "%0d%0aHost:%20evil.example", "%",
    "\\evil.example", "\\\\evil.example\\", "..\\..", "a\\..\\b", "/\\evil.example", "\\@evil.example",
    "a\r\nHost: evil.example", "\n", "\r", "\t", " ", "", "\x00", "\x7f", "\u2028", "\xa0", "\u200b", "\ud800",
    "https://evil.example", "http://evil.example", "HTTPS://EVIL.EXAMPLE/", "https:evil.example", "https:///evil.example",
    "https://me@evil.example/", "https://me:pw@evil.example/", "https://evil.example:8443/x", "https://evil.example:0/",
    "https://evil.example/x?y=z#w", "//evil.example/x", "ftp://evil.example/", "javascript:alert(1)", "file:///etc/passwd",
    "evil\u3002example", "https://evil\u3002example/", "evil\uff0eexample", "https://evil\uff61example/", "\u3002",
    "[::1]", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "[", "]", "https://[", "https://127.0.0.1/", "127.1",
    "0x7f000001", "https://2130706433/", "localhost", "https://169.254.169.254/latest/meta-data", "xn--e1afmkfd", "é",
    "{task_id}", "{params.region}", "{uuid}", "?x=y", "#x", "&x=y", ";x", "a b", LONG, "\uff45vil.example", "\u212a",
]  # fmt: skip


def _around(host):
    """URLs that look like the preset's own host to a careless reader."""
    return [
        f"https://{host}.evil.example/", f"https://{host}@evil.example/", f"https://evil.example/{host}",
        f"https://evil.example?https://{host}/", f"https://evil.example#{host}", f"https://{host}#@evil.example/",
        f"https://{host}\\@evil.example/", f"https://evil.example\\{host}/", f"https://{host}:8443/x", f"http://{host}/x",
        f"https://{host}:@evil.example/", f"https://{host}%2eevil.example/", f"https://{host}%00.evil.example/",
        f"https://x{host}/", f"https://x.{host}/", f"https://{host}./", f"https://{host}\u3002evil.example/",
        f"https://{host}/../x", f"https://{host}/%2e%2e/x", f"https://{host}/\r\nx", f" https://{host}/",
        f"https://{host}:443@evil.example/", f"https://me@{host}/", f"https://{host}:0443x/", f"https://{host}\t.evil.example",
        f"https://{host}/x", f"https://{host}:443/x", f"HTTPS://{host.upper()}/x", host, f"{host}/", f"//{host}/",
    ]  # fmt: skip


def _labels_match(host, pattern):
    """Label by label, `*` for one or more characters of one."""
    labels, wanted = host.split("."), pattern.split(".")
    fits = (
        re.fullmatch(re.escape(want).replace(r"\*", "[a-z0-9-]+"), label)
        for label, want in zip(labels, wanted, strict=False)
    )
    return len(labels) == len(wanted) and all(fits)


def _is_own(url, about, base_url):
    """Whether both readers of this URL, Python's and the client's, see a place that belongs to preset or account."""
    parts, client = urlsplit(url), yarl.URL(url, encoded=True)
    assert (parts.scheme, parts.hostname, parts.port) == (client.scheme, client.raw_host.lower(), client.explicit_port)
    assert (parts.username, parts.password, parts.fragment) == (None, None, "")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    for known in (base_url, about.trusted):
        own = urlsplit(known)
        if known and (own.scheme, own.hostname, own.port or {"http": 80, "https": 443}[own.scheme]) == (
            parts.scheme, parts.hostname, port,
        ):  # fmt: skip
            return True
    return (parts.scheme, port) == ("https", 443) and any(_labels_match(parts.hostname, host) for host in about.hosts)


def _may_go(url, about, base_url):
    """As asker.py asks it: the account's base URL, else the preset's own where no param is in it, and its hosts."""
    credentials = Credentials({about.vendor: Keys({"api_key": Secret("k")}, base_url)})
    return credentials.may_go(about.vendor, url, base_url or about.trusted, about.hosts)


def _good(preset):
    """Params with which the preset can be asked."""
    url = "https://mine.test/x" if preset.spec.ask.url is not None else "p-1"
    return dict.fromkeys(preset.about.params, url)


def _bases(about):
    """Accounts with a base URL of their own, and without."""
    return [OWN, ""] if about.base_url else [OWN]


def _hosts(about):
    """Of the preset's own, with something in the place of stars and params."""
    own = [urlsplit(re.sub(r"\{[^}]*\}", "x1", about.base_url)).hostname] if about.base_url else ["gateway.mine.test"]
    return [*own, *(host.replace("*", "x1") for host in about.hosts)]


# ---------------------------------------------------------------------- where a key may go


@every_preset
def test_nobody_who_registers_a_task_sends_the_key_elsewhere(preset):
    """Whatever stands in a param or the id: the request is not made, or its key goes to the preset's own hosts."""
    about = preset.about
    hostile = [*HOSTILE, *(url for host in _hosts(about) for url in _around(host))]
    for base_url in _bases(about):
        for name in ("", *about.params):
            for value in hostile:
                params = _good(preset) | ({name: value} if name else {})
                _assert_it_goes_nowhere_else(preset, value if not name else "t-1", params, base_url)


def _assert_it_goes_nowhere_else(preset, task_id, params, base_url):
    try:
        ask = preset.ask(task_id, params, base_url)
    except BadInput:
        return
    assert ask.url.isascii()
    assert ask.url.isprintable() or preset.spec.ask.url is not None
    may_go = _may_go(ask.url, preset.about, base_url)
    if may_go:
        assert _is_own(ask.url, preset.about, base_url), ask.url
        assert not climbs(ask.url)
    if preset.spec.ask.url is None:
        assert _is_own(ask.url, preset.about, base_url), ask.url
        assert may_go or climbs(ask.url) or "xn--" in ask.url, ask.url
        _assert_the_path_stays(preset, ask.url, base_url or preset.about.base_url)
    assert "\n" not in "".join(f"{name}{value}" for name, value in ask.headers.items())


def _assert_the_path_stays(preset, url, base_url):
    """What the template has around its placeholders is where it was."""
    fixed, path = preset.spec.ask.path.fixed, urlsplit(url).path
    prefix = urlsplit(re.sub(r"\{[^}]*\}", "x1", base_url)).path.rstrip("/")
    assert path.startswith(prefix + fixed[0]), url
    assert path.endswith(fixed[-1]), url
    assert urlsplit(url).fragment == ""
    if "{+" not in preset.spec.ask.path.text:
        assert path.count("/") == prefix.count("/") + preset.spec.ask.path.text.count("/"), url


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset.spec.result is not None],
                         ids=lambda preset: preset.about.id)  # fmt: skip
def test_no_answer_sends_the_key_elsewhere(preset):
    """What an answer brings to be asked with is trusted no more than what a caller brings."""
    second, about = preset.spec.result, preset.about
    names = [name.removeprefix("answer.") for name in second.names if name.startswith("answer.")]
    seen = Observation(state=WatchState.SUCCEEDED)
    for base_url in _bases(about):
        for value in [*HOSTILE, *(url for host in _hosts(about) for url in _around(host))]:
            document = satisfy({}, second.when.each[0].text) if second.when is not None else {}
            for name in names:
                document = plant(document, name, value)
            answer = Answer(status=200, body=json.dumps(document).encode())
            try:
                ask = preset.ask_result(seen, answer, "t-1", _good(preset), base_url)
            except BadInput:
                continue
            if ask is not None and _may_go(ask.url, about, base_url):
                assert _is_own(ask.url, about, base_url), ask.url
            if ask is not None and second.url is None:
                assert _is_own(ask.url, about, base_url), ask.url


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset.spec.batch is not None],
                         ids=lambda preset: preset.about.id)  # fmt: skip
def test_no_list_of_ids_sends_the_key_elsewhere(preset):
    """Nor anybody else's id: each goes with the key of the account that all of them have."""
    for base_url in _bases(preset.about):
        for value in HOSTILE:
            try:
                ask = preset.ask_many(["t-1", value, "t-2"], _good(preset), base_url)
            except BadInput:
                continue
            assert _is_own(ask.url, preset.about, base_url), ask.url


@pytest.mark.parametrize("preset", [preset for preset in PRESETS if preset.spec.ask.url or preset.spec.base_url is None
                                    or preset.spec.base_url.names], ids=lambda preset: preset.about.id)  # fmt: skip
@given(
    value=st.text() | st.text("abx./@:#?%\\[]-", max_size=12), before=st.sampled_from(["", "https://", "https://x."])
)
def test_no_text_at_all_sends_the_key_elsewhere(preset, value, before):
    """Where a param has a say in the host."""
    for base_url in _bases(preset.about):
        _assert_it_goes_nowhere_else(
            preset,
            f"{before}{value}",
            {**_good(preset), **dict.fromkeys(preset.about.params, f"{before}{value}")},
            base_url,
        )


@pytest.mark.parametrize(
    ("id", "task_id", "params", "base_url", "may_go"),
    [
        ("bfl-flux", "t", {"polling_url": "https://api.eu1.bfl.ai/v1/get_result?id=t"}, "", True),
        ("bfl-flux", "t", {"polling_url": "https://api.bfl.ai/v1/get_result?id=t"}, "", True),
        ("bfl-flux", "t", {"polling_url": "https://api.bfl.ai.evil.example/v1"}, "", False),
        ("bfl-flux", "t", {"polling_url": "https://eu1.bfl.ai/v1"}, "", False),
        ("azure-operation-location", "https://me.cognitiveservices.azure.com/x", {},
         "https://me.cognitiveservices.azure.com", True),
        ("azure-operation-location", "https://you.cognitiveservices.azure.com/x", {},
         "https://me.cognitiveservices.azure.com", False),
        ("aws-transcribe", "t", {"region": "eu-west-1"}, "", True),
        ("google-lro", "operations/1", {"service": "aiplatform"}, "", True),
        ("veo-vertex", "t", {"location": "us-central1", "project": "p", "model": "m"}, "", True),
    ],
)  # fmt: skip
def test_the_vendors_own_places_are_open(id, task_id, params, base_url, may_go):
    """A guard that lets nothing pass would guard well."""
    preset = shipped().get(id)
    assert _may_go(preset.ask(task_id, {**_good(preset), **params}, base_url).url, preset.about, base_url) is may_go


@pytest.mark.parametrize(
    ("given", "sent"),
    [({}, '{"return_url":true}'), ({"req_json": '{"logo_info":{"add_logo":true}}'}, '{"logo_info":{"add_logo":true}}')],
)
def test_jimeng_is_asked_for_urls_unless_the_caller_says_otherwise(given, sent):
    """Else it answers with the pictures themselves; a caller's watermark is in the same text."""
    ask = shipped().get("jimeng").ask("t-1", {"req_key": "jimeng_t2i_v40", **given}, "")
    assert json.loads(ask.body) == {"req_key": "jimeng_t2i_v40", "task_id": "t-1", "req_json": sent}


# ---------------------------------------------------------------------- the catalogue as a whole


def test_every_shipped_file_loads_and_is_named_by_its_id():
    files = sorted(CATALOGUE.glob("*.toml"))
    assert len(files) >= AT_LEAST
    assert [spec.load(file).id.text for file in files] == [file.stem for file in files]
    assert len(PRESETS) == len(files)


KEY = re.compile(
    r"\bsk-(?=[A-Za-z0-9]*[0-9])[A-Za-z0-9]{8,}|AKIA[0-9A-Z]{12,}|AIza[0-9A-Za-z_-]{20,}|gh[pousr]_[A-Za-z0-9]{16,}"
    r"|xox[abp]-[0-9A-Za-z-]{8,}|eyJ[A-Za-z0-9_-]{8,}|-----BEGIN|Bearer [A-Za-z0-9._-]{12,}"
    r"|\b(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{24,}\b"
)


@every_preset
def test_no_preset_holds_what_looks_like_a_key(preset):
    """Nor what stands beside it in the name of a credential."""
    text = (CATALOGUE / f"{preset.about.id}.toml").read_text()
    assert KEY.findall(text) == []
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in preset.about.credentials)


@pytest.mark.parametrize(
    "text",
    ["sk-abc123def456", "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "eyJhbGciOiJIUzI1NiJ9",
     "Bearer abcdefghijklmn", "26cbe8e5aaaa4bbb8ccc1234567890ab"],
)  # fmt: skip
def test_what_looks_like_a_key_is_seen(text):
    assert KEY.search(f'x = "{text}"')


SHARED = ("github.io", "herokuapp.com", "vercel.app", "pages.dev", "workers.dev", "azurewebsites.net", "amazonaws.com",
          "cloudfront.net", "ngrok.io", "co.uk", "com.cn", "com.au", "netlify.app", "web.app", "run.app")  # fmt: skip
"""Where anybody can have a name."""


@every_preset
def test_each_host_that_a_key_may_go_to_is_the_vendors(preset):
    """No star right before a domain where anybody can have a name; the base URL is one of them, and spoken over TLS."""
    for host in preset.about.hosts:
        parent = ".".join(host.rsplit("*", 1)[-1].strip(".").split("."))
        assert "*" not in host or parent not in SHARED or host.partition(".")[0] != "*", host
        assert host.count("*") <= 1, host
    if preset.about.base_url:
        assert preset.about.base_url.startswith("https://")
        assert not re.search(r":[0-9]", preset.about.base_url.partition("://")[2])
    if preset.spec.base_url is not None and preset.spec.base_url.names:
        host = urlsplit(re.sub(r"\{[^}]*\}", "x1", preset.about.base_url)).hostname
        assert any(_labels_match(host, pattern) for pattern in preset.about.hosts)


@every_preset
def test_a_preset_says_where_its_facts_are_from(preset):
    """And what it needs can be asked for: one params' table for each that the path does not explain by itself."""
    about = preset.about
    assert about.source.strip()
    assert about.confidence in ("confirmed", "likely")
    assert about.needs_account is bool(about.credentials or not about.base_url)
    assert set(about.identity) | set(about.secrets) | set(about.defaults) <= set(about.params)
    assert not set(about.identity) & set(about.secrets)
    assert about.body_limit <= 64 * 1024 * 1024
