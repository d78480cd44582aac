"""Credentials: kept to themselves, read again when they change, and sent nowhere but where they belong."""

import copy
import os
import pickle

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringback.core.errors import BadInput, UnknownName
from ringback.credentials import LARGEST, Credentials, Keys, Secret, climbs, origin_of

VALUE = "tiger-lily"
BASE = "https://api.302.ai"
HOSTS = ("files.302.ai",)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "key"
    path.write_text(VALUE)
    return path


def credentials(base_url=""):
    return Credentials({"302ai": Keys({"api_key": Secret(VALUE)}, base_url)})


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r:>20}".format, lambda secret: repr([secret])])
def test_a_secret_is_never_shown(show, file):
    """However a secret is printed, its value is not in it; read or not, from a file or not."""
    read = Secret.in_file(file)
    read.reveal()
    for secret in (Secret(VALUE), read):
        assert VALUE not in show(secret)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_not_copied(copied):
    """A secret does not end up in a file or another process by accident."""
    with pytest.raises(TypeError, match="not copied"):
        copied(Secret(VALUE))


def test_secrets_are_compared_by_what_they_are(file):
    """The same value is the same secret, so that a reload can tell what changed; so is the same file."""
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret.in_file(file) == Secret.in_file(file) != Secret(VALUE)
    assert len({Secret("a"), Secret("a"), Secret.in_file(file), Secret.in_file(file)}) == 2
    assert Secret("a") != "a"


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_the_newline_at_the_end_is_no_part_of_it(file, end):
    """Editors end a file with a newline; keys do not."""
    file.write_bytes(f"{VALUE}{end}".encode())
    assert Secret.in_file(file).reveal() == VALUE


def test_other_spaces_are_part_of_it(file):
    """What is not a newline at the end may belong to the secret."""
    file.write_text(" a\nb \n")
    assert Secret.in_file(file).reveal() == " a\nb "


def test_a_file_is_read_again_when_it_changes(file):
    """A new text, or a new file in its place, is seen at the next use; the stamp tells beforehand."""
    secret = Secret.in_file(file)
    assert secret.reveal() == VALUE
    first = secret.stamp()
    file.write_text("rotated")
    assert secret.stamp() != first
    assert secret.reveal() == "rotated"
    second, status = secret.stamp(), file.stat()
    successor = file.with_name("new")
    successor.write_text("ROTATED")
    os.utime(successor, ns=(status.st_atime_ns, status.st_mtime_ns))
    successor.replace(file)
    assert secret.stamp() != second
    assert secret.reveal() == "ROTATED"


def test_a_file_that_stays_is_not_read_again(file, monkeypatch):
    """As long as nothing changes, revealing costs one look at the file's status."""
    secret = Secret.in_file(file)
    secret.reveal()
    stamp = secret.stamp()
    monkeypatch.setattr("ringback.credentials._read", lambda path: pytest.fail("read again"))
    assert secret.reveal() == VALUE
    assert secret.stamp() == stamp


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read (No such file or directory): create it"),
        (b"", "is empty: write the secret into it"),
        (b" \n\n", "is empty: write the secret into it"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * (LARGEST + 1), f"is over {LARGEST} bytes"),
    ],
)
def test_a_file_without_a_secret_is_named(file, content, sentence):
    """What is wrong with a secret file is said with its name and what to do, never with its content."""
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        Secret.in_file(file).reveal()
    assert str(file) in caught.value.message
    assert sentence in caught.value.message
    assert "xxx" not in caught.value.message


def test_a_directory_is_no_secret(tmp_path):
    """A wrong mount is told like a missing file."""
    with pytest.raises(BadInput, match=r"cannot be read \(Is a directory\)"):
        Secret.in_file(tmp_path).reveal()


def test_a_file_that_vanishes_is_told_and_that_returns_is_read(file):
    """While its file is gone a secret is not had, not even the old one; then it is read again."""
    secret = Secret.in_file(file)
    secret.reveal()
    file.unlink()
    assert secret.stamp() is None
    with pytest.raises(BadInput):
        secret.reveal()
    file.write_text("back")
    assert secret.reveal() == "back"


def test_an_account_reveals_its_secrets(file):
    """By the names that presets know them by; the stamp changes with any of the files."""
    kept = Credentials({"a": Keys({"access_key": Secret("1"), "secret_key": Secret.in_file(file)}), "b": Keys()})
    assert kept.reveal("a") == {"access_key": "1", "secret_key": VALUE}
    assert kept.reveal("b") == {}
    before = kept.stamp("a")
    assert kept.stamp("a") == before
    file.write_text("other")
    assert kept.stamp("a") != before


def test_an_account_that_is_none_is_told():
    """The nearest account is named, and nothing of an unknown one is had."""
    kept = credentials()
    with pytest.raises(UnknownName, match=r"no account '302a'\. Did you mean '302ai'\?"):
        kept.reveal("302a")
    assert kept.stamp("302a") is None
    assert not kept.may_go("302a", f"{BASE}/x", BASE)


ALLOWED = [
    "https://api.302.ai",
    "https://api.302.ai/",
    "https://api.302.ai/302/browser/tasks/1",
    "https://api.302.ai:443/x",
    "HTTPS://API.302.AI/x",
    "https://api.302.ai/a%2Fb/%40evil.example?q=..&r=https://evil.example",
    "https://api.302.ai/@evil.example/",
    "https://api.302.ai/a..b/.hidden/...",
    "https://api.302.ai?x=1",
    "https://files.302.ai/x",
    "https://FILES.302.ai:443/x",
]
REFUSED = {
    "another host": "https://evil.example/",
    "a suffix": "https://api.302.ai.evil.example/",
    "a prefix": "https://evil-api.302.ai/",
    "a subdomain": "https://x.api.302.ai/",
    "the parent": "https://302.ai/",
    "one letter less": "https://api.302.a/",
    "a trailing dot": "https://api.302.ai./",
    "plain http": "http://api.302.ai/",
    "plain http on the TLS port": "http://api.302.ai:443/",
    "another port": "https://api.302.ai:8443/",
    "port 0": "https://api.302.ai:0/",
    "an empty port": "https://api.302.ai:/",
    "a port out of range": "https://api.302.ai:65979/",
    "a signed port": "https://api.302.ai:+443/",
    "a port in other digits": "https://api.302.ai:\u0664\u0664\u0663/",
    "a host of the preset over http": "http://files.302.ai/",
    "a host of the preset on another port": "https://files.302.ai:8443/",
    "a user": "https://api.302.ai@evil.example/",
    "a user here": "https://user@api.302.ai/",
    "a user and password": "https://user:password@api.302.ai/",
    "an empty user": "https://@api.302.ai/",
    "a user that looks like a port": "https://api.302.ai:443@evil.example/",
    "an encoded user": "https://api.302.ai%40evil.example/",
    "a backslash before a user": "https://api.302.ai\\@evil.example",
    "a backslash for a slash": "https://api.302.ai\\.evil.example/",
    "a backslash in the path": "https://api.302.ai/x\\..\\y",
    "backslashes for slashes": "https:\\\\api.302.ai\\x",
    "one slash": "https:/api.302.ai/",
    "three slashes": "https:///api.302.ai/",
    "no scheme": "//api.302.ai/",
    "another scheme": "ftp://api.302.ai/",
    "a scheme within": "xhttps://api.302.ai/",
    "a path only": "/302/browser/tasks/1",
    "nothing": "",
    "a fragment": "https://api.302.ai/#@evil.example",
    "a fragment for a host": "https://evil.example#api.302.ai/",
    "a query for a host": "https://evil.example?api.302.ai/",
    "a semicolon": "https://api.302.ai;.evil.example/",
    "an encoded dot": "https://api%2e302.ai/",
    "an encoded slash": "https://evil.example%2fapi.302.ai/",
    "a space before": " https://api.302.ai/",
    "a space after": "https://api.302.ai/x y",
    "a tab within": "https://api.302\t.ai/",
    "a newline": "https://api.302.ai/x\r\nhost: evil.example",
    "a newline at the end": "https://api.302.ai\n",
    "a null": "https://api.302.ai\0.evil.example/",
    "a delete": "https://api.302.ai/\x7f",
    "a no-break space": "https://api.302.ai\u00a0/",
    "a line separator": "https://api.302.ai\u2028.evil.example/",
    "a fullwidth letter": "https://\uff41pi.302.ai/",
    "a fullwidth dot": "https://api\uff0e302.ai/",
    "an ideographic dot": "https://api\u3002302.ai/",
    "a halfwidth dot": "https://api\uff61302.ai/",
    "a fullwidth slash": "https://evil.example\uff0fapi.302.ai/",
    "a fullwidth @": "https://api.302.ai\uff20evil.example/",
    "a Cyrillic a": "https://\u0430pi.302.ai/",
    "a dotless i": "https://api.302.a\u0131/",
    "a zero-width joiner": "https://api.302\u200d.ai/",
    "a soft hyphen": "https://api.\u00ad302.ai/",
    "its punycode": "https://xn--pi-7kc.302.ai/",
    "a surrogate": "https://api.302.ai\ud800/",
    "brackets": "https://[api.302.ai]/",
    "an open bracket": "https://[api.302.ai/",
    "no host": "https:///",
    "no host but a port": "https://:443/",
    "two dots": "https://api..302.ai/",
    "a climbing segment": "https://api.302.ai/302/../../other",
    "a climbing end": "https://api.302.ai/302/..",
    "an encoded climb": "https://api.302.ai/302/%2e%2E/other",
    "half an encoded climb": "https://api.302.ai/302/.%2e/other",
    "a climb in a segment": "https://api.302.ai/302/..%2fother",
    "a climb with an encoded backslash": "https://api.302.ai/302/..%5Cother",
    "a segment that stays": "https://api.302.ai/302/./other",
}


@pytest.mark.parametrize("url", ALLOWED)
def test_a_credential_goes_where_it_belongs(url):
    """To the preset's own origin however it is spelled, and over https to the hosts that the preset names."""
    assert credentials().may_go("302ai", url, BASE, HOSTS)


@pytest.mark.parametrize("trick", REFUSED)
def test_a_credential_goes_nowhere_else(trick):
    """No spelling of a URL leads a credential to another origin, or to one that another reader might see in it."""
    assert not credentials().may_go("302ai", REFUSED[trick], BASE, HOSTS)


def test_the_account_names_its_own_origin():
    """An account's base URL is allowed with its scheme and port, besides the preset's."""
    kept = credentials("http://127.0.0.1:9000/gateway")
    assert kept.may_go("302ai", "http://127.0.0.1:9000/gateway/302/1", BASE)
    assert kept.may_go("302ai", f"{BASE}/x", BASE)
    assert not kept.may_go("302ai", "https://127.0.0.1:9000/", BASE)
    assert not kept.may_go("302ai", "http://127.0.0.1:9001/", BASE)
    assert not kept.may_go("302ai", "http://127.1:9000/", BASE)
    assert not kept.may_go("302ai", "http://2130706433:9000/", BASE)
    assert not kept.may_go("302ai", "http://0x7f000001:9000/", BASE)


@pytest.mark.parametrize(
    ("base_url", "url", "allowed"),
    [
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example/x", True),
        ("https://xn--bcher-kva.example", "https://b\u00fccher.example/x", True),
        ("https://b\u00fccher.example", "https://bucher.example/x", False),
        ("https://kling.example", "https://\u212aling.example/x", False),
        ("http://[::1]:8000", "http://[0:0:0:0:0:0:0:1]:8000/x", True),
        ("http://[::1]:8000", "http://[::2]:8000/x", False),
        ("http://[::ffff:127.0.0.1]", "http://127.0.0.1/x", False),
        ("http://localhost", "http://localhost:80/x", True),
        ("http://localhost", "http://127.0.0.1/x", False),
    ],
)
def test_one_host_has_many_spellings(base_url, url, allowed):
    """International names and IPv6 addresses are compared in their normal form, and never taken for another host."""
    assert credentials(base_url).may_go("302ai", url, BASE) == allowed


def test_a_base_url_that_is_none_allows_nothing():
    """What has no origin equals nothing, least of all another that has none."""
    kept = credentials("nonsense")
    assert not kept.may_go("302ai", "nonsense", "nonsense", ("nonsense/", ""))
    assert not credentials().may_go("302ai", "https://", "", ("",))


_SIGNS = [
    "://",
    ":",
    "/",
    "\\",
    "@",
    "#",
    "?",
    ".",
    "..",
    "%2e",
    "%40",
    "[",
    "]",
    ";",
    " ",
    "\t",
    "\0",
    "\uff0e",
    "\u3002",
]
_WORDS = ["https", "http", "::1", "443", "80", "api.302.ai", "API", "evil.example", "b\u00fccher", "\u212a", "\u0131"]
_PIECES = st.sampled_from([*_SIGNS, *_WORDS])


@given(st.lists(_PIECES, max_size=9).map("".join) | st.text().map("https://{}".format))
@example("https://api.302.ai\\@evil.example")
@example("https://\u212aling.example")
def test_the_client_reads_the_same_origin(url):
    """Whatever has an origin here is sent to that very origin by the client."""
    origin = origin_of(url)
    if origin is None:
        return
    read = httpx.URL(url)
    assert read.scheme == origin.scheme
    assert read.raw_host.decode().lower() == origin.host.strip("[]") or ":" in origin.host
    assert (read.port or {"http": 80, "https": 443}[read.scheme]) == origin.port
    assert not read.userinfo


@given(st.lists(st.sampled_from(["a", ".", "%2e", "%2E", "/", "%2f", "%5C", "?"]), max_size=12).map("".join))
def test_the_client_asks_for_the_path_as_it_stands(path):
    """A URL that does not climb is not rewritten into another one on its way."""
    if not climbs(f"{BASE}/{path}"):
        assert httpx.URL(f"{BASE}/{path}").raw_path.decode() == f"/{path}"
