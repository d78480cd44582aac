"""Destinations and resending from the command line, against a real daemon and receivers that refuse as told."""

import json
import re
from dataclasses import dataclass

import pytest

from ringback.cli.client import Daemon
from ringback.instance import new_secret
from tests.faces.terminal import URL, Running, ringback, running, serving

TOKEN = "rb_a-token-for-tests"
OWN = "rb_own-token-for-tests"
SECRET = new_secret()
PROVIDER = "302ai-browser"

DESTINATION = """\
[destinations.{name}]
type = "webhook"
url = "{url}"
secret = "{secret}"
events = ["{event}"]
"""
CONFIGURATION = """\
[server]
listen = "127.0.0.1:0"
[tokens.ci]
secret = "{token}"
[tokens.limited]
secret = "{own}"
scope = "own"
[store]
url = "json:{store}"
[polling]
interval = "1s"
[accounts.302ai]
base_url = "{upstream}"
api_key = "a-key"
"""


@dataclass(frozen=True)
class World:
    """A daemon with three destinations: one refuses the first two events, one takes all, one is not there."""

    url: str
    picky: Running
    usual: Running

    def ringback(self, *args, **more):
        """A command that talks to this daemon."""
        return ringback(*args, **{"RINGBACK_URL": self.url, "RINGBACK_TOKEN": TOKEN} | more)

    def get(self, path, **query):
        """The API's own bytes."""
        return Daemon(self.url, TOKEN).get(path, **query)

    def deliveries(self, state, *, count):
        """The ids of the picky one's deliveries in this state, as soon as there are so many."""
        ids = []
        while len(ids) < count:
            page = json.loads(self.get("/v1/deliveries", destination="picky", state=state))
            ids = [delivery["id"] for delivery in page["items"]]
        return ids


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("destinations")
    with (
        running("simulate", "--port", "0", "--duration", "1s") as upstream,
        running("listen", "--port", "0", "--secret", SECRET, "--fail", "413,415") as picky,
        running("listen", "--port", "0", "--secret", SECRET) as usual,
    ):
        urls = {"picky": picky.awaited(URL)[0], "usual": usual.awaited(URL)[0], "dead": "http://127.0.0.1:9/"}
        events = {"picky": "task.succeeded", "usual": "task.expired", "dead": "task.expired"}
        surroundings = CONFIGURATION.format(
            token=TOKEN, own=OWN, store=folder / "data", upstream=upstream.awaited(URL)[0]
        )
        destinations = (
            DESTINATION.format(name=name, url=url, secret=SECRET, event=events[name]) for name, url in urls.items()
        )
        config = folder / "ringback.toml"
        config.write_text("".join([surroundings, *destinations]))
        with serving("--config", config) as (_, url):
            yield World(url, picky, usual)


# ---------------------------------------------------------------------- resending


def test_what_was_discarded_is_sent_again(world):
    """One by its id, the rest by what they have in common; each arrives under the id it had."""
    assert world.ringback("watch", PROVIDER, "one", "two", "--every", "1s").code == 0
    first, second = world.deliveries("discarded", count=2)
    assert "never take this event" in world.ringback("deliveries", "--state", "discarded").out
    again = world.ringback("resend", first)
    assert (again.code, again.out, again.err) == (0, f"{first} is owed to picky again.\n", "")
    world.picky.awaited("task.succeeded .*again, number 2  signature valid -> 200")
    assert world.deliveries("delivered", count=1) == [first]
    wishes = ("--state", "discarded", "--destination", "picky", "--since", "1h")
    rest = world.ringback("resend", *wishes)
    assert (rest.code, rest.out, rest.err) == (0, "1 delivery is owed again.\n", "")
    world.picky.awaited("task.succeeded .*again, number 2  signature valid -> 200")
    assert set(world.deliveries("delivered", count=2)) == {first, second}
    assert world.ringback("resend", *wishes).out == "0 deliveries are owed again.\n"
    assert world.ringback("resend", *wishes, "--json").out == '{"resent":0}\n'
    both = world.ringback("resend", first, "dlv_0", second, "--json")
    assert both.code == 2
    assert both.sentence.startswith("dlv_0: refused: there is no delivery 'dlv_0'")
    assert [json.loads(line)["id"] for line in both.out.splitlines()] == [first, second]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--since", "soon"], "since: 'soon' is not a duration"),
        (["--since", "2026-11-22T05:33:00"], "or a time with its zone, such as 2026-11-22T05:33:00Z"),
        (["--destination", ""], "destination: is empty"),
        (["dlv_0"], "dlv_0: refused: there is no delivery 'dlv_0'"),
        (["../../healthz"], "../../healthz: refused: there is no"),
    ],
)
def test_what_cannot_be_sent_again_is_said(world, args, sentence):
    """A slip is one sentence and exit 2, and sends nothing."""
    said = world.ringback("resend", *args)
    assert (said.code, said.out) == (2, "")
    assert sentence in said.sentence


# ---------------------------------------------------------------------- destinations


def test_the_destinations_are_listed(world):
    """A table for people, the API's own bytes with --json."""
    said = world.ringback("destinations")
    assert (said.code, said.err) == (0, "")
    assert [line.split()[:2] for line in said.out.splitlines()] == [
        ["NAME", "TYPE"],
        ["dead", "webhook"],
        ["picky", "webhook"],
        ["usual", "webhook"],
    ]
    listed = world.ringback("destinations", "--json").out
    assert listed.encode() == world.get("/v1/destinations") + b"\n"


def test_a_test_event_says_what_came_back(world):
    """The receiver gets a signed event; what it answered is printed, and exit 0 says that it was delivered."""
    said = world.ringback("destinations", "test", "usual")
    assert (said.code, said.err) == (0, "")
    found = dict(line.split(maxsplit=1) for line in said.out.splitlines())
    assert (found["destination"], found["outcome"], found["status"]) == ("usual", "delivered", "200")
    assert re.fullmatch("[0-9]+ ms", found["took"])
    world.usual.awaited("task.succeeded .*signature valid -> 200")
    told = json.loads(world.ringback("destinations", "test", "usual", "--json").out)
    assert list(told) == ["outcome", "status", "latency_ms", "message", "excerpt"]


def test_a_test_that_is_not_delivered_exits_1(world):
    """What went wrong is printed all the same."""
    said = world.ringback("destinations", "test", "dead")
    assert (said.code, said.err) == (1, "")
    assert re.search("^outcome +failed$", said.out, re.MULTILINE)
    assert re.search(r"^message +.*127\.0\.0\.1:9", said.out, re.MULTILINE)
    as_json = world.ringback("destinations", "test", "dead", "--json")
    assert (as_json.code, json.loads(as_json.out)["outcome"]) == (1, "failed")


def test_a_destination_is_paused_and_resumed(world):
    """Each says what is so afterwards, and once more changes nothing; the list says who paused it."""
    first, again = (world.ringback("destinations", "pause", "dead") for _ in range(2))
    assert (first.code, first.err) == (0, "")
    assert re.fullmatch(
        r"dead is paused since 20[0-9: -]+ \(paused by hand \(token 'ci'\)\); 0 deliveries are kept\.\n", first.out
    )
    assert again.out == first.out
    assert re.search(r"^dead .* paused .* paused by hand", world.ringback("destinations").out, re.MULTILINE)
    paused = json.loads(world.ringback("destinations", "pause", "dead", "--json").out)
    assert (paused["name"], paused["state"]) == ("dead", "paused")
    for _ in range(2):
        assert world.ringback("destinations", "resume", "dead").out == "dead is active; 0 deliveries are sent now.\n"
    assert json.loads(world.ringback("destinations", "resume", "dead", "--json").out)["state"] == "active"


@pytest.mark.parametrize("verb", ["test", "pause", "resume"])
def test_an_unknown_destination_is_said(world, verb):
    """The nearest one is named; exit 2."""
    said = world.ringback("destinations", verb, "usuall")
    assert said.code == 2
    assert "there is no destination 'usuall'" in said.sentence
    assert "'usual'" in said.sentence


def test_who_sees_only_its_own_is_refused(world):
    """Destinations are everybody's: the sentence says which token is needed; exit 2."""
    for args in (["destinations"], ["destinations", "pause", "usual"], ["destinations", "test", "usual"]):
        said = world.ringback(*args, RINGBACK_TOKEN=OWN)
        assert said.code == 2
        assert "use a token whose scope is admin" in said.sentence
