"""The egress guard: real servers on loopback that must not be reached, and names that lead where their owner likes."""

import asyncio
import ipaddress
import re
import socket
import ssl

import hypothesis
import msgspec
import pytest
import trustme
from hypothesis import strategies as st

from ringback import egress as module
from ringback import fields
from ringback.core.errors import BadInput
from ringback.egress import INSIDE, Blocked, Egress, Way, resolve
from ringback.outbound import Outbound, OutboundError, Via
from ringback.sinks.webhook import WebhookSink
from tests.sinks.samples import NOW, SECRET, message

GUARDED = Via(guarded=True)
PUBLIC = "93.184.215.14"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    method: str = "POST"
    headers: dict[str, str] = {}
    body: bytes | None = b"hush"


class Listener:
    """Answers every request the same; counts who connects."""

    def __init__(self, answer=OK):
        self.answer = answer
        self.accepted = 0
        self.heads = []
        self._tasks = set()

    async def start(self, host="127.0.0.1", port=0, context=None):
        self._server = await asyncio.start_server(self._serve, host, port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self.accepted += 1
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(4)
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the other side has left
        finally:
            writer.transport.abort()
            self._tasks.discard(asyncio.current_task())

    async def stop(self):
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Names:
    """A name server: each look-up of a name gives the next of its answers, the last one for ever."""

    def __init__(self, **answers):
        self.answers = {name.replace("_", "."): list(told) for name, told in answers.items()}
        self.asked = []

    async def __call__(self, host, port):
        self.asked.append(host)
        told = self.answers.get(host)
        if told is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return told.pop(0) if len(told) > 1 else told[0]


@pytest.fixture
async def listen():
    listeners = []

    async def start(answer=OK, **where):
        listeners.append(await Listener(answer).start(**where))
        return listeners[-1]

    yield start
    for listener in listeners:
        await listener.stop()


@pytest.fixture
async def out():
    made = []

    def make(allow=(), *, loopback=False, names=None):
        made.append(Outbound(egress=Egress(allow, loopback=loopback, resolve=names or Names())))
        return made[-1]

    yield make
    for outbound in made:
        await outbound.aclose()


async def refused(outbound, url, via=GUARDED):
    with pytest.raises(OutboundError) as caught:
        await outbound.send(Question(url=url), via=via, timeout_s=5)
    return caught.value


# ---------------------------------------------------------------------- hostile spellings

SPELLINGS = {
    "plain": "127.0.0.1",
    "another loopback": "127.8.9.10",
    "short": "127.1",
    "three parts": "127.0.1",
    "hexadecimal": "0x7f000001",
    "hexadecimal parts": "0x7f.0.0.0x1",
    "decimal": "2130706433",
    "octal": "0177.0.0.1",
    "octal, long": "00000177.0.0.1",
    "this host": "0.0.0.0",
    "zero": "0",
    "mapped": "[::ffff:127.0.0.1]",
    "mapped in hexadecimal": "[0:0:0:0:0:ffff:7f00:1]",
    "IPv6": "[::1]",
    "IPv6, long": "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "IPv6, unspecified": "[::]",
    "compatible": "[::127.0.0.1]",
    "6to4": "[2002:7f00:1::]",
    "NAT64": "[64:ff9b::127.0.0.1]",
    "NAT64, local": "[64:ff9b:1::7f00:1]",
    "Teredo": "[2001:0:7f00:1::]",
    "with a zone": "[fe80::1%25lo]",
    "localhost": "localhost",
    "localhost in capitals": "LOCALHOST",
    "localhost with a dot": "localhost.",
    "below localhost": "x.localhost",
    "with a dot": "127.0.0.1.",
    "full-width digits": "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
    "circled digits": "①②⑦.⓪.⓪.①",
    "ideographic dots": "127。0。0。1",
    "a user": "user@127.0.0.1",
    "a public name as the user": "example.com@127.0.0.1",
    "a public name and a password": "example.com:80@127.0.0.1",
    "a backslash": "127.0.0.1\\@example.com",
    "a tab": "127.0.0.1\t",
    "a newline": "127.0.0.1\n",
    "percent-encoded": "%31%32%37.0.0.1",
    "cloud metadata": "169.254.169.254",
    "cloud metadata by IPv6": "[fd00:ec2::254]",
    "private": "10.0.0.1",
    "a carrier's": "100.64.0.1",
    "a name that leads to loopback": "loop.example",
    "a name that leads to mapped loopback": "mapped.example",
    "a name that leads both ways": "both.example",
    "a name that leads both ways, the other way round": "htob.example",
}


def _names():
    return Names(
        loop_example=[["127.0.0.1"]],
        mapped_example=[["::ffff:127.0.0.1"]],
        both_example=[[PUBLIC, "127.0.0.1"]],
        htob_example=[["::1", PUBLIC]],
    )


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_hostile_spelling_does_not_connect(listen, out, spelling):
    """Whatever way it is written: nothing is connected to, and the refusal says why and what would open it."""
    listener = await listen(host="0.0.0.0")
    error = await refused(out(names=_names()), f"http://{SPELLINGS[spelling]}:{listener.port}/hooks?token=hush")
    assert error.code == "blocked"
    assert "may not be called: " in error.message
    assert "egress.allow" in error.message
    assert "hush" not in error.message
    assert listener.accepted == 0


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_hostile_spelling_is_not_registered(spelling):
    """The same check answers at registration, and names the key."""
    url = f"http://{SPELLINGS[spelling]}:8080/hooks"
    egress = Egress(resolve=_names())
    assert "egress.allow" in await egress.examine(url)
    if not SPELLINGS[spelling].endswith(".example"):
        with pytest.raises(BadInput, match=r"^callback_url: ") as caught:
            fields.callback_of(url, None, "w_1", None, egress=egress)
        assert caught.value.code in ("egress_denied", "bad_url")
        assert "egress.allow" in caught.value.message or "user or password" in caught.value.message


def test_what_an_odd_spelling_means_is_said():
    """Whoever wrote it learns how to write it, and whether that would be let through."""
    assert Egress().judge("http://0x7f000001/") == (
        "0x7f000001 is an odd spelling of 127.0.0.1: write 127.0.0.1, and open it with egress.allow"
    )
    assert "odd spelling of 8.8.8.8: write 8.8.8.8 (egress.allow is not needed)" in Egress().judge("http://134744072/")


def test_a_registration_says_what_would_open_it():
    """The refusal has a code of its own and the entry to copy."""
    with pytest.raises(BadInput) as caught:
        fields.callback_of("http://10.1.2.3:8080/x", None, "w_1", None, egress=Egress())
    assert caught.value.code == "egress_denied"
    assert caught.value.message == (
        "callback_url: 10.1.2.3 is in 10.0.0.0/8 (private), closed to URLs of callers; "
        'egress.allow = ["10.1.2.3:8080"] would open it'
    )
    opened = Egress(["10.1.2.3:8080"])
    assert (
        fields.callback_of("http://10.1.2.3:8080/x", None, "w_1", None, egress=opened).url == "http://10.1.2.3:8080/x"
    )


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example", "http://", "a.example", "http://a.example/#x", "http://a_b..example", "http://a.example:0/"],
)
def test_what_cannot_be_sent_is_not_registered(url):
    """A URL that the way out would refuse is refused at once, with or without a guard."""
    for egress in (None, Egress(["0.0.0.0/0"])):
        with pytest.raises(BadInput, match=r"^callback_url: ") as caught:
            fields.callback_of(url, None, "w_1", None, egress=egress)
        assert caught.value.code == "bad_url"


# ---------------------------------------------------------------------- names


async def test_a_name_that_changes_after_its_check_does_not_connect(listen, out):
    """Public when it is registered, loopback when it is rung back: the connection is judged for itself."""
    listener, names = await listen(), Names(moves_example=[[PUBLIC], ["127.0.0.1"]])
    outbound, url = out(names=names), f"http://moves.example:{listener.port}/"
    assert await outbound.egress.examine(url) is None
    error = await refused(outbound, url)
    assert error.code == "blocked"
    assert error.message == (
        f"http://moves.example:{listener.port} may not be called: moves.example leads into 127.0.0.0/8 (loopback), "
        f'closed to URLs of callers; egress.allow = ["moves.example:{listener.port}"] would open it'
    )
    assert listener.accepted == 0


async def test_a_name_that_changes_between_check_and_connection_goes_nowhere_else(listen, out):
    """It is looked up once a connection, and what was judged is what is connected to."""
    good, bad = await listen(), None
    bad = await listen(host="127.0.0.2", port=good.port)
    names = Names(moves_example=[["127.0.0.1"], ["127.0.0.2"]])
    outbound = out(["127.0.0.1"], names=names)
    for _ in range(3):
        assert (await outbound.send(Question(url=f"http://moves.example:{good.port}/"), via=GUARDED)).body == b"ok"
    assert names.asked == ["moves.example"]
    assert (good.accepted, bad.accepted) == (1, 0)


async def test_no_address_inside_is_told(out):
    """A refusal names the network that a name leads into, not the address: whoever may register may not map ours."""
    error = await refused(out(names=Names(db_corp=[["10.20.30.40"]])), "http://db.corp/")
    assert "10.0.0.0/8 (private)" in error.message
    assert "10.20.30.40" not in error.message + repr(error.facts)


async def test_a_name_that_is_none(out):
    """No such name is a DNS failure as ever, and no reason to refuse a registration."""
    outbound = out()
    assert (await refused(outbound, "http://nobody.example/")).code == "dns"
    assert await outbound.egress.examine("http://nobody.example/") is None


async def test_a_name_without_addresses(out):
    """A look-up that finds nothing connects to nothing."""
    assert (await refused(out(names=Names(empty_example=[[]])), "http://empty.example/")).code == "dns"


async def test_a_look_up_without_end(out, monkeypatch):
    """A name server that does not answer takes its share of the time, at a connection and at a registration."""

    async def never(host, port):
        await asyncio.Event().wait()

    outbound = out(names=never)
    with pytest.raises(OutboundError) as caught:
        await outbound.send(Question(url="http://slow.example/"), via=GUARDED, timeout_s=0.05)
    assert caught.value.code == "timeout"
    monkeypatch.setattr(module, "EXAMINE_S", 0.01)
    assert await outbound.egress.examine("http://slow.example/") is None


async def test_one_address_after_the_other(listen, out):
    """When the first address refuses, the next one is taken; when all do, that is the failure."""
    listener = await listen()
    names = Names(two_example=[["127.0.0.3", "127.0.0.1"]], dead_example=[["127.0.0.3", "127.0.0.4"]])
    outbound = out(["127.0.0.0/8"], names=names)
    assert (await outbound.send(Question(url=f"http://two.example:{listener.port}"), via=GUARDED)).body == b"ok"
    assert (await refused(outbound, f"http://dead.example:{listener.port}")).code == "refused"


async def test_the_system_is_asked():
    """The real look-up gives every address once, and fails as the system fails."""
    assert set(await resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]
    with pytest.raises(socket.gaierror):
        await resolve("nonexistent.invalid", 80)
    with pytest.raises(Blocked):
        await Egress().addresses("localhost", 80)


# ---------------------------------------------------------------------- what is let through


async def test_the_host_keeps_its_name(listen, out, tmp_path):
    """The address is ours to choose; Host and the TLS name stay the receiver's."""
    authority = trustme.CA()
    contexts = {name: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for name in ("hooks.example", "other.example")}
    for name, context in contexts.items():
        authority.issue_cert(name).configure_cert(context)
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    good, wrong = [await listen(context=context) for context in contexts.values()]
    outbound = out(["hooks.example"], names=Names(hooks_example=[["127.0.0.1"]]))
    via = Via(ca_file=str(path), guarded=True)
    assert (await outbound.send(Question(url=f"https://hooks.example:{good.port}/"), via=via)).body == b"ok"
    assert f"host: hooks.example:{good.port}\r\n".encode() in good.heads[0].lower()
    assert (await refused(outbound, f"https://hooks.example:{wrong.port}/", via)).code == "tls"


@pytest.mark.parametrize("spelling", ["127.0.0.1", "localhost"])
async def test_loopback_is_let_through_where_only_loopback_may_ask(listen, out, spelling):
    """A daemon that listens on loopback rings back there; it opens nothing else."""
    listener, outbound = await listen(), out(loopback=True, names=resolve)
    assert (await outbound.send(Question(url=f"http://{spelling}:{listener.port}/"), via=GUARDED)).body == b"ok"
    for other in ("0.0.0.0", "[::]", "10.0.0.1", "169.254.169.254", "[64:ff9b::10.0.0.1]", "127.1"):
        assert (await refused(outbound, f"http://{other}:{listener.port}/")).code == "blocked"


async def test_a_redirect_into_the_inside_is_not_followed(listen, out):
    """A receiver outside cannot send us inside."""
    inside = await listen()
    answer = f"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:{inside.port}/\r\ncontent-length: 0\r\n\r\n"
    outside = await listen(answer.encode())
    outbound = out([f"127.0.0.1:{outside.port}"])
    assert (await outbound.send(Question(url=f"http://127.0.0.1:{outside.port}"), via=GUARDED)).status == 307
    assert inside.accepted == 0


async def test_what_the_operator_wrote_is_not_judged(listen, out):
    """Configured destinations and accounts may be anywhere, and pay nothing for the guard."""
    listener, names = await listen(), Names()
    assert (await out(names=names).send(Question(url=f"http://127.0.0.1:{listener.port}"))).body == b"ok"
    assert names.asked == []


async def test_a_new_guard_judges_from_then_on(listen, out):
    """A reload that closes a way closes it for the connections that are there."""
    listener = await listen()
    names = Names(hooks_example=[["127.0.0.1"]])
    outbound, url = out(["hooks.example"], names=names), f"http://hooks.example:{listener.port}"
    assert (await outbound.send(Question(url=url), via=GUARDED)).body == b"ok"
    outbound.renew(Egress(resolve=names))
    assert (await refused(outbound, url)).code == "blocked"
    assert listener.accepted == 1


async def test_through_a_proxy(listen, out):
    """The proxy looks names up, and may itself be inside; addresses are judged here all the same."""
    proxy, names = await listen(), Names()
    outbound, via = out(names=names), Via(proxy=f"http://127.0.0.1:{proxy.port}", guarded=True)
    assert (await outbound.send(Question(url="http://hooks.example/x"), via=via)).body == b"ok"
    assert proxy.heads[0].startswith(b"POST http://hooks.example/x ")
    for spelling in ("127.0.0.1", "localhost", "[::ffff:10.0.0.1]", "2130706433", "169.254.169.254"):
        assert (await refused(outbound, f"http://{spelling}/", via)).code == "blocked"
        assert (await refused(outbound, f"https://{spelling}/", via)).code == "blocked"
    assert (names.asked, len(proxy.heads)) == ([], 1)


async def test_a_blocked_callback_may_pass(listen, out):
    """To the pipeline it is a failure like any other: names move, and egress.allow can be changed before the end."""
    listener = await listen()
    sink = WebhookSink(
        out(), f"http://127.0.0.1:{listener.port}/hooks/s3cr3t-path", secrets=lambda: [SECRET], via=GUARDED
    )
    outcome = (await sink.send([message()], NOW)).outcome
    assert outcome.outcome.value == "failed"
    assert "egress.allow" in outcome.message
    assert "s3cr3t" not in outcome.message
    assert listener.accepted == 0


# ---------------------------------------------------------------------- the rules


@pytest.mark.parametrize("network", [network for network, _ in INSIDE], ids=str)
def test_a_network_inside_is_closed_to_its_last_address(network):
    """Every network that is listed, from its first address to its last, until it is allowed."""
    for address in (network[0], network[-1]):
        url = f"http://[{address}]/" if address.version == 6 else f"http://{address}/"
        assert str(network) in Egress().judge(url)
        behind = ["0.0.0.0/0"] if address.version == 6 else []
        assert Egress([str(network), *behind]).judge(url) is None


LISTED = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 ::/128 ::1/128 fc00::/7 fe80::/10
fec0::/10 ff00::/8 2001:db8::/32 3fff::/20 100::/64 2002::/16 64:ff9b::/96 64:ff9b:1::/48 5f00::/16
"""


def test_the_list_is_whole():
    """Not one network more or fewer than was agreed."""
    assert sorted(str(network) for network, _ in INSIDE) == sorted(LISTED.split())


OUTSIDE = [
    "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255",
    "169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0",
    "223.255.255.255 [2606:4700::1111] [2a00::1] [::ffff:8.8.8.8]",
]


@pytest.mark.parametrize("address", " ".join(OUTSIDE).split())
def test_the_internet_is_open(address):
    """Right beside what is closed."""
    assert Egress().judge(f"http://{address}/") is None


@hypothesis.given(st.ip_addresses(v=4))
def test_what_python_thinks_private_is_closed(address):
    """Whatever is not global to Python's own table, which forgives more, is closed in every spelling."""
    hypothesis.assume(not address.is_global)
    number = int(address)
    spellings = [
        str(address),
        f"[::ffff:{address}]",
        f"[{ipaddress.IPv6Address((0x2002 << 112) | (number << 80))}]",
        f"[{ipaddress.IPv6Address((0x64FF9B << 96) | number)}]",
    ]
    assert [spelling for spelling in spellings if Egress().judge(f"http://{spelling}/") is None] == []
    gateways = Egress(["2002::/16", "64:ff9b::/96"])
    assert [spelling for spelling in spellings if gateways.judge(f"http://{spelling}/") is None] == []


@pytest.mark.parametrize(
    ("entry", "opens", "leaves"),
    [
        ("10.0.0.0/8", ["10.9.8.7", "10.0.0.1:9", "[::ffff:10.0.0.1]"], ["192.168.0.1", "[64:ff9b::10.0.0.1]"]),
        ("10.1.2.3", ["10.1.2.3", "10.1.2.3:99"], ["10.1.2.4"]),
        ("10.1.2.3:8080", ["10.1.2.3:8080"], ["10.1.2.3", "10.1.2.3:8081"]),
        ("10.1.2.3:80", ["10.1.2.3"], ["10.1.2.3:8080"]),
        ("fd00::/8", ["[fd00::1]"], ["[fc00::1]", "10.0.0.1"]),
        ("fd00::1", ["[fd00::1]:99"], ["[fd00::2]"]),
        ("[fd00::1]", ["[fd00::1]:99"], ["[fd00::2]"]),
        ("[fd00::1]:8080", ["[fd00::1]:8080"], ["[fd00::1]"]),
        ("localhost:8080", ["localhost:8080", "LOCALHOST:8080"], ["localhost", "127.0.0.1:8080", "x.localhost:8080"]),
        ("LocalHost", ["localhost:1"], ["x.localhost"]),
        ("0.0.0.0/0", ["10.0.0.1", "127.0.0.1", "0.0.0.0"], ["[::1]", "127.1"]),
    ],
)
def test_an_entry_opens_what_it_says(entry, opens, leaves):
    """A network, an address or a host, on one port or all; and nothing beside it."""
    egress = Egress([entry])
    assert [host for host in opens if egress.judge(f"http://{host}/") is not None] == []
    assert [host for host in leaves if egress.judge(f"http://{host}/") is None] == []


@pytest.mark.parametrize("spelling", [each for name, each in SPELLINGS.items() if each[0] in "[1" or "local" in each])
def test_the_entry_that_a_refusal_names_works(spelling):
    """What the sentence says would let a callback through does."""
    why = Egress().judge(f"http://{spelling}:8080/")
    found = re.search(r'egress\.allow = \["(.*)"\]', why)
    if found is not None:
        assert Egress([found[1]]).judge(f"http://{spelling}:8080/") is None
        assert Egress([found[1]]).judge(f"http://{spelling}:8081/") is not None


async def test_an_entry_opens_a_name_wherever_it_leads():
    """The operator vouches for the name, on that port; an entry for the network vouches for every name into it."""
    names = Names(ci_corp=[["10.0.0.5", "fd00::5"]])
    assert await Egress(["ci.corp:8443"], resolve=names).addresses("ci.corp", 8443) == ["10.0.0.5", "fd00::5"]
    assert await Egress(["10.0.0.0/8", "fd00::/8"], resolve=names).addresses("ci.corp", 1) == ["10.0.0.5", "fd00::5"]
    for allow, port in ((["ci.corp:8443"], 443), (["10.0.0.0/8"], 8443), (["corp"], 8443), (["10.0.0.5"], 8443)):
        with pytest.raises(Blocked):
            await Egress(allow, resolve=names).addresses("ci.corp", port)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("", "neither a network"),
        ("10.0.0.1/8", "did you mean 10.0.0.0/8"),
        ("10.0.0.0/33", "how many bits"),
        ("10.0.0.0/8:80", "no network"),
        ("ci.corp/8", "no network"),
        ("http://ci.corp", "no network"),
        ("ci.corp:0", "neither"),
        ("ci.corp:99999", "neither"),
        ("ci.corp?x", "neither"),
        ("*.corp", "neither"),
        ("user@ci.corp", "neither"),
        ("0x7f000001", "neither"),
        ("127.1", "neither"),
        ("::ffff:10.0.0.0/104", "write it as an IPv4 network"),
        ("::ffff:10.0.0.1", "write it as an IPv4 network"),
    ],
)
def test_an_entry_that_is_none_is_told(entry, says):
    """A slip in egress.allow neither opens nor closes anything in silence."""
    with pytest.raises(BadInput, match=says):
        Way.of(entry)
    with pytest.raises(BadInput, match=says):
        Egress([entry])
