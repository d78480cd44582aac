"""The way out, against real servers on loopback that do everything wrong. Every transport has to pass this table."""

import asyncio
import functools
import gzip
import ssl
import traceback
import tracemalloc
import zlib
from datetime import UTC, datetime

import httpx
import msgspec
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback import __version__
from ringback.coding import MEMBERS
from ringback.connection import Reply
from ringback.egress import Egress
from ringback.outbound import CODES, Outbound, OutboundError, Via, _target

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SECRET = "tiger-lily"  # in the path, the query, the key and the body of every request that goes wrong
MIB = 1024 * 1024


class Question(msgspec.Struct, frozen=True, kw_only=True):
    method: str = "GET"
    url: str
    headers: dict[str, str] = {}
    body: bytes | None = None


class Server:
    """A raw server: every connection gets the same treatment; what it was sent is kept."""

    def __init__(self, treat):
        self.treat = treat
        self.asked = []
        self.connections = 0
        self.open = 0
        self._tasks = set()

    async def start(self, context=None):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        scheme = "https" if context else "http"
        self.origin = f"{scheme}://127.0.0.1:{self.port}"
        return self

    async def stop(self):
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            await self.treat(self, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass  # the other side has left, or the test is over
        finally:
            self.open -= 1
            writer.transport.abort()
            self._tasks.discard(task)

    async def request(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0)
        self.asked.append(head + (await reader.readexactly(length) if length else b""))
        return self.asked[-1]


def says(raw):
    """Answer every request with these bytes and end the connection."""

    async def treat(server, reader, writer):
        await server.request(reader)
        writer.write(raw)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return treat


def body(content, **headers):
    lines = {"content-length": len(content)} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\n" + content


async def keeps_alive(server, reader, writer):
    while True:
        await server.request(reader)
        writer.write(OK)


async def hangs(server, reader, writer):
    await server.request(reader)
    await asyncio.Event().wait()


async def resets_at_once(server, reader, writer):
    await server.request(reader)
    writer.transport.abort()


async def resets_within(server, reader, writer):
    await server.request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.transport.abort()


async def drips(server, reader, writer):
    await server.request(reader)
    await _drop_by_drop(writer, b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000)


async def drips_in_the_head(server, reader, writer):
    await server.request(reader)
    await _drop_by_drop(writer, b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 50_000)


async def continues_for_ever(server, reader, writer):
    await server.request(reader)
    while True:
        await _drop_by_drop(writer, b"HTTP/1.1 100 Continue\r\n\r\n")


async def _drop_by_drop(writer, raw):
    """A byte every 10 ms: each read ends in time, the whole does not."""
    loop = asyncio.get_running_loop()
    for place in range(len(raw)):
        drop = loop.create_future()
        loop.call_later(0.01, drop.set_result, None)
        await drop
        writer.write(raw[place : place + 1])
        await writer.drain()


@pytest.fixture
async def serve():
    """Start servers that end with the test."""
    servers = []

    async def start(treat, context=None):
        servers.append(await Server(treat).start(context))
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def outbound():
    way_out = Outbound()
    yield way_out
    await way_out.aclose()


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def identity(authority):
    """How a TLS server shows who it is, for these names."""

    def context(*names):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(made)
        return made

    return context


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


async def failure(outbound, origin, **terms):
    """The error of a request that cannot go well; it never says what was asked or with which key."""
    ask = Question(
        method="POST",
        url=f"{origin}/{SECRET}/status?token={SECRET}",
        headers={"authorization": f"Bearer {SECRET}"},
        body=SECRET.encode(),
    )
    with pytest.raises(OutboundError) as caught:
        await outbound.send(ask, **{"timeout_s": 5.0} | terms)
    error = caught.value
    told = "".join(traceback.format_exception(error)) + repr(error.facts)
    assert SECRET not in told
    assert "None" not in error.message
    assert error.message.startswith(origin)
    assert error.code in CODES
    return error


FAULTS = {
    "hangs": (hangs, "timeout"),
    "resets at once": (resets_at_once, "protocol"),
    "resets within the body": (resets_within, "protocol"),
    "drips": (drips, "timeout"),
    "drips in the head": (drips_in_the_head, "timeout"),
    "continues for ever": (continues_for_ever, "timeout"),
    "says nothing": (says(b""), "protocol"),
    "breaks off in the head": (says(b"HTTP/1.1 200 OK\r\ncontent-le"), "protocol"),
    "breaks off in the body": (says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"), "protocol"),
    "breaks off before the last chunk": (
        says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"),
        "protocol",
    ),
    "breaks off in a chunk": (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf"), "protocol"),
    "interim answers and no other": (says(b"HTTP/1.1 100 Continue\r\n\r\n" * 5000), "protocol"),
    "garbage": (says(b"\x00\xff220 mail.example.org ESMTP\r\n\r\n"), "protocol"),
    "SSH": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol"),
    "no status": (says(b"HTTP/1.1 OK\r\n\r\n"), "protocol"),
    "bad header": (says(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), "protocol"),
    "bad length": (says(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"), "protocol"),
    "negative length": (says(b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello"), "protocol"),
    "two lengths": (says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!"), "protocol"),
    "bad chunk": (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n"), "protocol"),
    "oversize header": (says(b"HTTP/1.1 200 OK\r\nx: " + b"x" * MIB + b"\r\ncontent-length: 0\r\n\r\n"), "protocol"),
    "endless headers": (says(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200_000), "protocol"),
    "two lengths that agree in another way": (says(b"HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok!"), "protocol"),
    "length and chunks": (
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        "protocol",
    ),
    "HTTP/2": (says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"), "protocol"),
    "oversize body": (says(body(b"x" * (MIB + 1))), "too_large"),
    "oversize announced": (
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 2 * MIB),
        "too_large",
    ),
    "oversize in chunks": (
        says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"10\r\nlong and longer!\r\n" * 70_000),
        "too_large",
    ),
    "oversize, unannounced": (says(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2 * MIB), "too_large"),
    "gzip bomb": (says(body(gzip.compress(b"\0" * 64 * MIB), content_encoding="gzip")), "too_large"),
    "deflate bomb": (says(body(zlib.compress(b"\0" * 64 * MIB), content_encoding="deflate")), "too_large"),
    "not gzip": (says(body(b"plain", content_encoding="gzip")), "protocol"),
    "half of a gzip": (says(body(gzip.compress(b"x" * 5000)[:-12], content_encoding="gzip")), "protocol"),
    "an unknown encoding": (says(body(b"\x1b\x03\x00", content_encoding="br")), "protocol"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_has_its_code(outbound, serve, fault):
    """Whatever a server does wrong ends in time, as one OutboundError that says what it was and gives nothing away."""
    treat, code = FAULTS[fault]
    server = await serve(treat)
    error = await failure(outbound, server.origin, timeout_s=0.3 if code == "timeout" else 20.0, body_limit=MIB)
    assert error.code == code
    assert error.facts["origin"] == server.origin


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_over_when_it_is_over(outbound, serve, fault):
    """After a fault the same origin answers the next request: no connection, slot or byte of it is left over."""
    treat, code = FAULTS[fault]
    treatments = iter([treat, keeps_alive])

    async def first_wrong_then_right(server, reader, writer):
        await next(treatments)(server, reader, writer)

    server = await serve(first_wrong_then_right)
    await failure(outbound, server.origin, timeout_s=0.3 if code == "timeout" else 20.0, body_limit=MIB)
    assert (await outbound.send(Question(url=server.origin))).body == b"ok"
    assert outbound._slots.users == {}


async def test_nobody_listens(outbound, serve):
    """A closed port is refused."""
    server = await serve(keeps_alive)
    await server.stop()
    assert (await failure(outbound, server.origin)).code == "refused"


async def test_a_name_that_is_none(outbound):
    """A name that does not resolve is a DNS failure."""
    assert (await failure(outbound, "http://nonexistent.invalid")).code == "dns"


async def test_a_network_that_is_not_there(outbound):
    """An address that no interface leads to is unreachable."""
    assert (await failure(outbound, "http://[fe80::1]:9")).code == "unreachable"


async def test_a_failure_within_a_failure(outbound, serve):
    """What the caller is busy with is not taken for the cause."""
    server = await serve(resets_at_once)
    try:
        int("nonsense")
    except ValueError as busy_with:
        busy_with.__cause__ = ConnectionRefusedError()
        error = await failure(outbound, server.origin)
    assert error.code == "protocol"


async def test_a_certificate_nobody_vouches_for(outbound, serve, identity):
    """A certificate of an unknown authority is not accepted, and the message says why."""
    server = await serve(keeps_alive, identity("127.0.0.1"))
    error = await failure(outbound, server.origin)
    assert error.code == "tls"
    assert "unable to get local issuer certificate" in error.message or "self-signed" in error.message
    assert server.asked == []


async def test_a_private_authority(outbound, serve, identity, ca_file):
    """An account's CA file makes its server's certificate good, on that way out only."""
    server = await serve(keeps_alive, identity("127.0.0.1"))
    assert (await outbound.send(Question(url=server.origin), via=Via(ca_file=ca_file))).body == b"ok"
    assert (await failure(outbound, server.origin)).code == "tls"


async def test_a_certificate_that_is_over(outbound, serve, authority, ca_file):
    """A certificate whose time has passed is not accepted."""
    expired = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=datetime(2024, 1, 1, tzinfo=UTC)).configure_cert(expired)
    server = await serve(keeps_alive, expired)
    error = await failure(outbound, server.origin, via=Via(ca_file=ca_file))
    assert error.code == "tls"
    assert "expired" in error.message
    assert server.asked == []


async def test_a_server_that_accepts_and_says_nothing(outbound, serve):
    """TLS that never begins ends in time, like everything."""

    async def accepts(server, reader, writer):
        await asyncio.Event().wait()

    server = await serve(accepts)
    error = await failure(outbound, server.origin.replace("http:", "https:"), timeout_s=0.3)
    assert error.code == "timeout"


async def test_a_certificate_for_somebody_else(outbound, serve, identity, ca_file):
    """A certificate for another host is not accepted."""
    server = await serve(keeps_alive, identity("other.example"))
    error = await failure(outbound, server.origin, via=Via(ca_file=ca_file))
    assert error.code == "tls"
    assert "127.0.0.1" in error.message
    assert server.asked == []


async def test_https_to_a_port_that_speaks_http(outbound, serve):
    """Plain HTTP where TLS was expected is a TLS failure."""

    async def greets(server, reader, writer):
        writer.write(OK)
        await reader.read()

    server = await serve(greets)
    assert (await failure(outbound, server.origin.replace("http:", "https:"))).code == "tls"


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"])
async def test_a_ca_file_that_is_none(outbound, tmp_path, content):
    """A CA file that is missing, empty or nonsense is named."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    error = await failure(outbound, "https://127.0.0.1:1", via=Via(ca_file=str(path)))
    assert error.code == "tls"
    assert str(path) in error.message


@pytest.fixture
def client(authority, tmp_path):
    """A client certificate and its key, in files."""
    made = authority.issue_cert("ringback@example.org")
    made.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    made.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    made.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    return tmp_path


@pytest.fixture
def demanding(authority, identity):
    """A TLS server that wants to see a certificate of this authority."""
    context = identity("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("files", [("client.pem", "client.key"), ("both.pem", "")])
@pytest.mark.parametrize("guarded", [False, True])
async def test_a_client_certificate(serve, client, demanding, ca_file, *, files, guarded):
    """A server that demands one gets it; the same server refuses whoever shows none, or is reached another way."""
    outbound = Outbound(egress=Egress(loopback=True))
    server = await serve(keeps_alive, demanding)
    certificate, key = [str(client / name) if name else "" for name in files]
    shown = Via(ca_file=ca_file, guarded=guarded, client_cert=certificate, client_key=key)
    assert (await outbound.send(Question(url=server.origin), via=shown)).body == b"ok"
    error = await failure(outbound, server.origin, via=Via(ca_file=ca_file, guarded=guarded))
    assert error.code in ("tls", "protocol")  # TLS 1.3: the server's no comes after our request has left
    assert len(server.asked) == 1
    await outbound.aclose()


@pytest.mark.parametrize("wrong", ["missing", "nonsense", "key of another", "locked"])
async def test_a_client_certificate_that_is_none(outbound, authority, client, wrong):
    """A file that is missing, nonsense, of another certificate or locked is named; nobody is asked for a password."""
    certificate, key = client / "client.pem", client / "client.key"
    match wrong:
        case "missing":
            certificate.unlink()
        case "nonsense":
            key.write_text("nonsense")
        case "key of another":
            authority.issue_cert("b@example.org").private_key_pem.write_to_path(str(key))
        case "locked":
            loaded = serialization.load_pem_private_key(key.read_bytes(), None)
            lock = serialization.BestAvailableEncryption(b"hush")
            pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
            key.write_bytes(loaded.private_bytes(pem, form, lock))
    error = await failure(outbound, "https://127.0.0.1:1", via=Via(client_cert=str(certificate), client_key=str(key)))
    assert error.code == "tls"
    assert str(certificate) in error.message


async def test_a_proxy_is_not_shown_the_client_certificate(outbound, serve, client, demanding, ca_file):
    """Who we are is the receiver's business: a proxy that we speak TLS to may not learn it, even if it asks."""
    proxy = await serve(keeps_alive, demanding)
    via = Via(ca_file=ca_file, proxy=proxy.origin, client_cert=str(client / "both.pem"))
    error = await failure(outbound, "https://vendor.example", via=via)
    assert error.code != "timeout"
    assert proxy.asked == []


async def test_an_answer_comes_as_it_was(outbound, serve):
    """Status, headers by lower-case name, repeated ones joined, and the raw body."""
    server = await serve(says(b"HTTP/1.1 418 I'm a teapot\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\n\xff\x00\n"))
    answer = await outbound.send(Question(url=f"{server.origin}/a"))
    assert (answer.status, answer.body) == (418, b"\xff\x00\n")
    assert answer.headers == {"x-a": "1, 2", "content-length": "3"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", b"ok"),
        (b"\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    ],
)
@pytest.mark.parametrize("cut", [1, 20, 100_000])
async def test_every_way_to_say_where_a_body_ends(outbound, serve, raw, expected, cut):
    """By its length, in chunks, with the connection, or there is none; in however small pieces it comes."""

    async def treat(server, reader, writer):
        await server.request(reader)
        for start in range(0, len(raw), cut):
            writer.write(raw[start : start + cut])
            await asyncio.sleep(0)
        writer.close()

    server = await serve(treat)
    assert (await outbound.send(Question(url=server.origin), timeout_s=5)).body == expected


@pytest.mark.parametrize("raw", [OK, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"])
@pytest.mark.parametrize("more", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"])
async def test_what_nobody_asked_for_answers_nothing(outbound, serve, raw, more):
    """A second answer that came with the first is no answer to the next request."""

    async def treat(server, reader, writer):
        while True:
            await server.request(reader)
            writer.write(raw + more)

    server = await serve(treat)
    answers = [(await outbound.send(Question(url=server.origin))).body for _ in range(3)]
    assert answers == [b"ok"] * 3
    assert server.connections == (3 if more else 1)


async def test_a_long_request_arrives_whole(outbound, serve):
    """Piece by piece, however slowly it is taken."""
    server = await serve(keeps_alive)
    content = bytes(range(256)) * 20_000
    await outbound.send(Question(method="POST", url=server.origin, body=content))
    assert server.asked[0].endswith(content)
    assert (await outbound.send(Question(url=server.origin))).body == b"ok"
    assert server.connections == 1


async def test_an_answer_before_the_request_has_left(outbound, serve):
    """A server that refuses a long body after its head is heard, and its connection is not used again."""

    async def refuses(server, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.Event().wait()

    server = await serve(refuses)
    answer = await outbound.send(Question(method="POST", url=server.origin, body=bytes(64 * MIB)), timeout_s=10)
    assert answer.status == 413
    await outbound.send(Question(method="POST", url=server.origin, body=b""))
    assert server.connections == 2


async def test_a_prepared_request_goes_out_again_and_again(outbound, serve):
    """It is checked and spelled once, and what arrives is the same each time."""
    server = await serve(keeps_alive)
    prepared = outbound.prepare(Question(method="POST", url=f"{server.origin}/a", headers={"x-key": "k"}, body=b"{}"))
    for _ in range(3):
        assert (await outbound.carry(prepared)).body == b"ok"
    assert len(set(server.asked)) == 1
    assert server.connections == 1


async def test_a_request_goes_out_as_it_is(outbound, serve):
    """Method, path, query, headers and body arrive byte for byte, with our name and nothing else."""
    server = await serve(keeps_alive)
    ask = Question(
        method="POST", url=f"{server.origin}/a%2Fb/%7E?q=%20x", headers={"x-key": "k"}, body='{"ö": 1}'.encode()
    )
    await outbound.send(ask)
    head, _, sent = server.asked[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    assert line == "POST /a%2Fb/%7E?q=%20x HTTP/1.1"
    assert sent == ask.body
    assert {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)} == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": f"ringback/{__version__}",
        "accept-encoding": "identity",
        "x-key": "k",
        "content-length": "9",
    }


async def test_our_name_can_be_replaced(outbound, serve):
    """An account's own User-Agent wins over ours."""
    server = await serve(keeps_alive)
    await outbound.send(Question(url=server.origin, headers={"User-Agent": "team-video"}))
    assert server.asked[0].lower().count(b"user-agent: ") == 1
    assert b"team-video" in server.asked[0]


async def test_a_redirect_is_an_answer(outbound, serve):
    """A redirect is handed back, not followed: a credential goes where it was allowed to go and nowhere else."""
    other = await serve(keeps_alive)
    server = await serve(says(f"HTTP/1.1 302 Found\r\nlocation: {other.origin}\r\ncontent-length: 0\r\n\r\n".encode()))
    answer = await outbound.send(Question(url=server.origin))
    assert (answer.status, answer.headers["location"]) == (302, other.origin)
    assert other.connections == 0


async def test_cookies_are_not_kept(outbound, serve):
    """What one answer sets no later request carries."""
    server = await serve(says(body(b"ok", set_cookie="session=1")))
    await outbound.send(Question(url=server.origin))
    await outbound.send(Question(url=server.origin))
    assert b"cookie" not in b"".join(server.asked).lower()


async def test_the_environment_chooses_no_way(serve, monkeypatch):
    """Proxies and CA files of the environment are for others."""
    proxy, server = await serve(says(b"")), await serve(keeps_alive)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    outbound = Outbound()
    assert (await outbound.send(Question(url=server.origin))).body == b"ok"
    await outbound.aclose()
    assert proxy.connections == 0


async def test_a_connection_is_used_again(outbound, serve):
    """Requests one after the other share a connection, and closing ends it."""
    server = await serve(keeps_alive)
    for _ in range(5):
        await outbound.send(Question(url=server.origin))
    assert (len(server.asked), server.connections) == (5, 1)
    await outbound.aclose()
    await asyncio.gather(*server._tasks)
    assert server.open == 0


def ends(transport):
    transport.close()


def resets(transport):
    transport.abort()


def good_for(answers, ended):
    """As a server that ends an idle connection at the moment when the next request is under way to it."""

    async def treat(server, reader, writer):
        for _ in range(answers):
            await server.request(reader)
            writer.write(OK)
        await server.request(reader)
        ended(writer.transport)

    return treat


@pytest.mark.parametrize("ended", [ends, resets])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_question_that_meets_the_end_of_a_kept_connection_is_asked_on_a_new_one(outbound, serve, ended, method):
    """Many servers close after as many seconds as lie between two polls."""
    server = await serve(good_for(1, ended))
    question = outbound.prepare(Question(method=method, url=server.origin))
    for _ in range(3):
        assert (await outbound.carry(question)).body == b"ok"
    assert server.connections == 3
    server.treat = good_for(0, ended)
    with pytest.raises(OutboundError, match="broke off"):
        await outbound.carry(question)
    assert server.connections == 4  # only once


async def test_what_is_no_question_is_not_sent_again(outbound, serve):
    """It may have been taken: whoever sent it decides, and says so to the receiver by its id."""
    server = await serve(good_for(1, ends))
    await outbound.send(Question(url=server.origin))
    assert (await failure(outbound, server.origin)).code == "protocol"
    assert server.connections == 1


async def test_an_answer_that_breaks_off_is_not_asked_for_again(outbound, serve):
    """A kept connection that ends within an answer has been heard."""

    async def treat(server, reader, writer):
        await server.request(reader)
        writer.write(OK)
        await server.request(reader)
        writer.write(OK[:20])
        await writer.drain()

    server = await serve(treat)
    question = outbound.prepare(Question(url=server.origin))
    await outbound.carry(question)
    with pytest.raises(OutboundError, match="broke off"):
        await outbound.carry(question)
    assert server.connections == 1


async def test_of_too_many_idle_connections_the_one_used_longest_ago_is_closed(outbound, serve, monkeypatch):
    """Whoever is asked often keeps its own."""
    monkeypatch.setattr("ringback.carrier.IDLE", 2)
    first, second, busy = [await serve(keeps_alive) for _ in range(3)]
    for server in (first, second, busy, busy, busy, second, first):
        await outbound.send(Question(url=server.origin))
    assert (first.connections, second.connections, busy.connections) == (2, 1, 1)


async def test_a_certificate_authority_that_was_renewed_is_taken_up(outbound, serve, tmp_path):
    """With the next configuration: files keep their names when what is in them does not."""
    file = tmp_path / "ca.pem"
    for authority in (trustme.CA(), trustme.CA()):
        authority.cert_pem.write_to_path(str(file))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server = await serve(keeps_alive, context)
        outbound.renew(Egress())
        assert (await outbound.send(Question(url=server.origin), via=Via(ca_file=str(file)))).body == b"ok"


DONE = b'{"status": "done"}'
ENCODED = {
    "two members": (gzip.compress(DONE[:7]) + gzip.compress(DONE[7:]), "gzip"),
    "zeros after it": (gzip.compress(DONE) + bytes(8), "gzip"),
    "twice": (gzip.compress(gzip.compress(DONE)), "gzip, gzip"),
    "once, said as two": (gzip.compress(DONE), "identity, gzip"),
    "zlib": (zlib.compress(DONE), "deflate"),
    "bare deflate": (zlib.compress(DONE, wbits=-15), "deflate"),
    "a charset": (DONE, "UTF-8"),
    "none": (DONE, "none"),
    "of the transfer": (DONE, "aws-chunked"),
    "nothing after a comma": (DONE, "identity,"),
}


@pytest.mark.parametrize("encoded", ENCODED)
async def test_whatever_gateways_call_it_the_body_is_read(outbound, serve, encoded):
    """Several members, bare deflate, and words that are no way of packing."""
    packed, encoding = ENCODED[encoded]
    server = await serve(says(body(packed, content_encoding=encoding)))
    assert (await outbound.send(Question(url=server.origin))).body == DONE


@pytest.mark.parametrize("members", [100, 101])
async def test_members_without_end_are_no_body(outbound, serve, members):
    """What follows each is copied, so very many would hold up the loop. Nothing is read of a body that is not whole."""
    server = await serve(says(body(gzip.compress(b"x") * members, content_encoding="gzip")))
    if members > MEMBERS:
        assert (await failure(outbound, server.origin)).code == "protocol"
    else:
        assert (await outbound.send(Question(url=server.origin))).body == b"x" * members


async def test_codings_upon_codings_are_no_body(outbound, serve):
    """A body may unpack to itself: as often as its header says would take as long as somebody likes."""
    packed = DONE
    for _ in range(4):
        packed = gzip.compress(packed)
    server = await serve(says(body(packed, content_encoding=", ".join(["gzip"] * 4))))
    assert (await failure(outbound, server.origin)).code == "protocol"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (body(b"x" * 5000), b"x" * 1024),
        (body(gzip.compress(b"x" * 5000), content_encoding="gzip"), b"x" * 1024),
        (body(gzip.compress(b"\0" * 64 * MIB), content_encoding="gzip"), b"\0" * 1024),
        (body(b"plain", content_encoding="gzip"), b""),
        (body(b"\x1b\x03\x00", content_encoding="br"), b""),
        (body(b"short"), b"short"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 5000, b"x" * 1024),
    ],
)
async def test_an_excerpt_is_enough(outbound, serve, raw, expected):
    """With `truncate` the start of the body is the answer, whatever its size and encoding."""
    server = await serve(says(raw))
    answer = await outbound.send(Question(url=server.origin), body_limit=1024, truncate=True)
    assert (answer.status, answer.body) == (200, expected)


@pytest.mark.parametrize("size", [0, 1, 1023, 1024])
@pytest.mark.parametrize(
    ("encoding", "pack"), [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_a_body_up_to_the_limit_is_whole(outbound, serve, size, encoding, pack):
    """Exactly the limit still fits, packed or not; a body that was unpacked no longer claims to be packed."""
    server = await serve(says(body(pack(b"x" * size), content_encoding=encoding)))
    answer = await outbound.send(Question(url=server.origin), body_limit=1024)
    assert answer.body == b"x" * size
    assert ("content-encoding" in answer.headers) == (encoding == "identity")


async def test_a_bomb_costs_what_its_limit_allows(outbound, serve):
    """Unpacking stops at the limit: 64 MiB of zeros never stand in memory."""
    server = await serve(says(body(gzip.compress(b"\0" * 64 * MIB), content_encoding="gzip")))
    tracemalloc.start()
    try:
        await failure(outbound, server.origin, body_limit=MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


async def test_a_longer_body_than_announced_is_cut_where_it_was_announced(outbound, serve):
    """Bytes after the announced length are in no answer; at most one more request breaks on them."""
    answers = iter([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more", OK, OK])

    async def treat(server, reader, writer):
        while True:
            await server.request(reader)
            writer.write(next(answers))

    async def outcome():
        try:
            return (await outbound.send(Question(url=server.origin))).body
        except OutboundError as error:
            return error.code

    server = await serve(treat)
    first, second, third = [await outcome() for _ in range(3)]
    assert (first, third) == (b"ok", b"ok")
    assert second in (b"ok", "protocol")


async def test_a_proxy_carries_http(outbound, serve):
    """Plain HTTP goes through the proxy as an absolute request, and to nobody else."""
    proxy = await serve(keeps_alive)
    await outbound.send(Question(url="http://vendor.example/a?b=c"), via=Via(proxy=f"http://127.0.0.1:{proxy.port}"))
    assert proxy.asked[0].startswith(b"GET http://vendor.example/a?b=c HTTP/1.1\r\n")


async def _tunnels(server, reader, writer, says=b"HTTP/1.1 200 Connection established"):
    """A real, tiny CONNECT proxy."""
    head = await server.request(reader)
    host, port = head.split(b" ")[1].decode().rsplit(":", 1)
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(says + b"\r\n\r\n")

    async def pump(source, target):
        while chunk := await source.read(65536):
            target.write(chunk)

    pumps = [asyncio.create_task(pump(reader, far_writer)), asyncio.create_task(pump(far_reader, writer))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in pumps:
            task.cancel()
        far_writer.transport.abort()


async def test_a_proxy_tunnels_https(outbound, serve, identity, ca_file):
    """TLS goes through the proxy unread, to the server whose certificate is checked."""
    server, proxy = await serve(keeps_alive, identity("127.0.0.1")), await serve(_tunnels)
    via = Via(ca_file=ca_file, proxy=f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
    assert (await outbound.send(Question(url=f"{server.origin}/{SECRET}"), via=via)).body == b"ok"
    assert proxy.asked[0].startswith(f"CONNECT 127.0.0.1:{server.port} ".encode())
    assert b"proxy-authorization: basic" in proxy.asked[0].lower()
    assert SECRET.encode() not in proxy.asked[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_behind_tls(outbound, serve, identity, ca_file, scheme):
    """What goes through it is the same, within TLS to the proxy: a plain request, or TLS with the server in it."""
    server = await serve(keeps_alive, identity("127.0.0.1"))
    proxy = await serve(_tunnels if scheme == "https" else keeps_alive, identity("127.0.0.1"))
    via = Via(ca_file=ca_file, proxy=proxy.origin)
    answer = await outbound.send(Question(url=server.origin.replace("https", scheme)), via=via)
    assert answer.body == b"ok"
    if scheme == "https":
        assert (len(proxy.asked), len(server.asked)) == (1, 1)
    else:
        assert proxy.asked[0].startswith(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\n".encode())


async def test_a_proxy_that_refuses(outbound, serve):
    """A proxy that says no makes the server unreachable; its password is not told."""
    proxy = await serve(says(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"))
    via = Via(proxy=f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
    assert (await failure(outbound, "https://vendor.example", via=via)).code == "unreachable"
    await proxy.stop()
    for scheme in ("https", "http"):
        error = await failure(outbound, f"{scheme}://vendor.example", via=via)
        assert error.code == "unreachable"
        assert "the proxy refused, or is not there" in error.message


@pytest.mark.parametrize("status", [b"200 Connected", b"201 Created", b"204 No Content"])
async def test_any_good_answer_of_a_proxy_opens_the_tunnel(outbound, serve, identity, ca_file, status):
    """RFC 9110, 9.3.6."""
    server = await serve(keeps_alive, identity("127.0.0.1"))

    proxy = await serve(functools.partial(_tunnels, says=b"HTTP/1.1 " + status))
    answer = await outbound.send(Question(url=server.origin), via=Via(ca_file=ca_file, proxy=proxy.origin))
    assert answer.body == b"ok"


@given(st.text("abz09-_~.%/?=&;:@!é \\", max_size=30))
@settings(max_examples=300)
def test_a_path_is_spelled_as_httpx_spells_it(text):
    """The short way for plain paths leads where the long one does."""
    url = f"https://vendor.example/{text}"
    found = _target(url)
    assert found is None or found[1] == httpx.URL(url).raw_path


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "/relative",
        "ftp://vendor.example/",
        "http://",
        "http://[::1/",
        f"http://user:{SECRET}@127.0.0.1/",
        "http://127.0.0.1:99999/",
        f"http://127.0.0.1\\@evil.example/{SECRET}",
        f"http://127.0.0.1/{SECRET}\r\nx-evil: 1",
        f"http://127.0.0.1/{SECRET}?" + "x" * 100_000,
    ],
)
async def test_a_url_that_cannot_be_asked(outbound, url):
    """A URL that two readers could read differently is not asked, and not quoted."""
    with pytest.raises(OutboundError) as caught:
        await outbound.send(Question(url=url))
    assert caught.value.code == "protocol"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("wrong", ["\r\nx-evil: 1", "\n", "\0", "ö", "\ud800"], ids=ascii)
async def test_a_key_that_is_no_header(outbound, serve, wrong):
    """A key with a newline in it neither goes out nor gets into a message."""
    server = await serve(keeps_alive)
    with pytest.raises(OutboundError) as caught:
        await outbound.send(Question(url=server.origin, headers={"authorization": SECRET + wrong}))
    assert caught.value.code == "protocol"
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert server.connections == 0


async def test_a_slow_origin_takes_no_more_than_its_share(serve):
    """Requests to one origin wait for its slots; another origin is answered meanwhile."""
    begun = asyncio.Event()
    under_way = 0

    async def fills(server, reader, writer):
        nonlocal under_way
        await server.request(reader)
        under_way += 1
        if under_way == 3:
            begun.set()
        await asyncio.Event().wait()

    outbound = Outbound(per_origin=3)
    slow, quick = await serve(fills), await serve(keeps_alive)
    waiting = [asyncio.create_task(outbound.send(Question(url=slow.origin))) for _ in range(10)]
    await begun.wait()
    assert (await outbound.send(Question(url=quick.origin))).body == b"ok"
    assert slow.connections == 3
    for task in waiting:
        task.cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    assert (outbound._slots.users, outbound._slots.waiting) == ({}, {})
    await outbound.aclose()


async def test_waiting_for_a_slot_counts(serve):
    """The deadline holds for a request that never got its turn, too."""
    outbound = Outbound(per_origin=1)
    server = await serve(hangs)
    first = asyncio.create_task(outbound.send(Question(url=server.origin)))
    error = await failure(outbound, server.origin, timeout_s=0.1)
    assert error.code == "timeout"
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await outbound.aclose()


async def test_the_transport_is_a_seam():
    """Whatever carries requests can be exchanged, one a way; its faults are read the same."""
    opened, closed, renewed = [], [], []

    class Carrier:
        async def exchange(self, request, limit, until, *, truncate=False, again=False):
            if request.path == b"/bad":
                raise httpx.ReadError("foreign words")
            return Reply(200, [], b"carried")

        async def aclose(self):
            closed.append(self)

        def renew(self):
            renewed.append(self)

    def carrier(via, addresses):
        opened.append(via)
        return Carrier()

    outbound = Outbound(carrier)
    for _ in range(2):
        assert (await outbound.send(Question(url="http://a.example"))).body == b"carried"
    await outbound.send(Question(url="http://a.example"), via=Via(proxy="http://p.example"))
    assert opened == [Via(), Via(proxy="http://p.example")]
    with pytest.raises(OutboundError, match=r"^http://a\.example broke off") as caught:
        await outbound.send(Question(url="http://a.example/bad"))
    assert caught.value.code == "protocol"
    await outbound.send(Question(url="http://a.example"), via=Via(guarded=True))
    outbound.renew(Egress())
    assert len(renewed) == 3
    await outbound.send(Question(url="http://a.example"))
    await outbound.aclose()
    assert (len(opened), len(closed)) == (4, 1)
