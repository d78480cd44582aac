"""The command line against a real daemon, a simulated vendor and a receiver, each in a process of its own."""

import json
import re
import signal
from dataclasses import dataclass

import pytest

from ringback.cli.client import Daemon, segment
from ringback.instance import CALLBACK_SECRET_FILE, new_secret
from tests.faces.terminal import URL, Running, ringback, running, serving

TOKEN = "rb_a-token-for-tests"
KEY = "a-key-for-tests"
SECRET = new_secret()
PROVIDER = "302ai-browser"

CONFIGURATION = """\
[server]
listen = "127.0.0.1:0"
[tokens.ci]
secret = "{token}"
[store]
url = "json:{store}"
[polling]
interval = "1s"
[accounts.302ai]
base_url = "{upstream}"
api_key = "{key}"
[accounts.slow]
vendor = "302ai"
base_url = "{upstream}"
api_key = "{key}"
rate = "1/s"
[accounts.dead]
vendor = "302ai"
base_url = "http://127.0.0.1:9"
api_key = "{key}"
[destinations.team]
type = "webhook"
url = "{receiver}/team"
secret = "{secret}"
[callbacks]
secret = "{secret}"
"""


@dataclass(frozen=True)
class World:
    """A daemon with its surroundings."""

    url: str
    receiver: str
    heard: Running
    config: object
    store: object

    def ringback(self, *args, **more):
        """A command that talks to this daemon."""
        return ringback(*args, **{"RINGBACK_URL": self.url, "RINGBACK_TOKEN": TOKEN} | more)

    def over(self, id):
        """The watch, once it is final."""
        watch = {"sequence": 0, "finished_at": None}
        while watch["finished_at"] is None:
            daemon = Daemon(self.url, TOKEN)
            watch = json.loads(daemon.get(f"/v1/watches/{segment(id)}", wait="20s", after=watch["sequence"]))
        return watch


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    with (
        running("simulate", "--port", "0", "--duration", "2s", "--key", KEY) as upstream,
        running("listen", "--port", "0", "--secret", SECRET) as receiver,
    ):
        config, store = folder / "ringback.toml", folder / "data"
        heard = receiver.awaited(URL)[0]
        config.write_text(
            CONFIGURATION.format(
                token=TOKEN, store=store, upstream=upstream.awaited(URL)[0], key=KEY, receiver=heard, secret=SECRET
            )
        )
        with serving("--config", config) as (_, url):
            yield World(url, heard, receiver, config, store)


@pytest.fixture(scope="module")
def watched(world):
    """A task that is over, with its callback: the watch's id, and what `watch` said."""
    said = world.ringback(
        "watch", PROVIDER, "first", "--callback-url", world.receiver, "--meta", "team=映像", "--every", "1s"
    )
    assert (said.code, said.err) == (0, "")
    id = said.out.split()[0]
    world.over(id)
    world.heard.awaited(f"task.succeeded  {PROVIDER} first  running -> succeeded  #[0-9]  signature valid -> 200")
    return id, said.out


# ---------------------------------------------------------------------- registering


def test_a_task_is_watched_once(world, watched):
    """A new watch is said to be created; the same task again is said to be watched already, with its state."""
    id, out = watched
    assert re.fullmatch(rf"{id}  created          pending    first\n", out)
    again = world.ringback("watch", PROVIDER, "first")
    assert again.out == f"{id}  already watched  succeeded  first\n"


def test_ids_are_read_from_standard_input(world):
    """`-` takes any number of ids, one a line; each is answered with a line, in order."""
    ids = [f"piped-{number}" for number in range(1050)]
    said = world.ringback("watch", PROVIDER, "-", "--account", "slow", stdin="\n".join([*ids, "", "  "]))
    assert (said.code, said.err) == (0, "")
    assert [line.split()[-1] for line in said.out.splitlines()] == ids
    assert {line.split()[1] for line in said.out.splitlines()} == {"created"}


def test_a_refused_one_is_named_and_hinders_no_other(world):
    """When some of several are refused, stderr says which and why, the others are watched, and it exits 2."""
    said = world.ringback("watch", PROVIDER, "good", "bad\x07id", "--account", "slow")
    assert said.code == 2
    assert said.out.split()[1:] == ["created", "pending", "good"]
    assert said.sentence == "badid: refused: task_id: holds control characters"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["302ai-brwser", "1"], "there is no provider '302ai-brwser'. Did you mean '302ai-browser'?"),
        ([PROVIDER, "1", "--account", "nobody"], "add [accounts.nobody] with its vendor and api_key to the"),
        ([PROVIDER, "1", "--to", "taem"], "there is no destination 'taem'. Did you mean 'team'?"),
        ([PROVIDER, "1", "--event", "task.done"], "events: 'task.done' names no event"),
        ([PROVIDER, "1", "--deadline", "soon"], "deadline: 'soon' is not a duration"),
        ([PROVIDER, "1", "--every", "1ms"], "interval: '1ms' is below polling.min_interval"),
        ([PROVIDER, "1", "--param", "region=eu"], "params.region: 302ai-browser has no such param"),
        ([PROVIDER, "1", "--callback-url", "ftp://x"], "callback_url"),
        ([PROVIDER, ""], "task_id: is empty"),
    ],
)
def test_what_cannot_be_watched_is_said_in_one_sentence(world, args, sentence):
    """A wrong name or value is refused with what to do; exit 2."""
    said = world.ringback("watch", *args)
    assert said.code == 2
    assert sentence in said.sentence


# ---------------------------------------------------------------------- reading


def test_show_tells_all_of_a_watch(world, watched):
    """`show` has the watch, its events and its deliveries; with a delivery's id, its attempts."""
    id, _ = watched
    shown = world.ringback("show", id)
    assert shown.err == ""
    for text in (
        id,
        "succeeded, sequence 3",
        "team=映像",
        "四十二",
        "task.queued",
        "task.succeeded",
        "team",
        "callback:",
    ):
        assert text in shown.out
    delivery = re.search(r"dlv_[0-9a-f]+", shown.out)[0]
    attempts = world.ringback("show", delivery)
    assert re.search(r"ATTEMPT .*\n1 .*delivered +200", attempts.out)
    assert json.loads(world.ringback("show", delivery, "--json").out)["attempts"][0]["status"] == 200


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (["list", "--state", "succeeded"], "/v1/watches?state=succeeded&limit=100"),
        (["list", "--provider", PROVIDER, "--limit", "1", "--state", "succeeded"], None),
        (["deliveries", "--state", "delivered", "--destination", "team", "--limit", "2"], None),
        (["events", "--type", "task.succeeded"], None),
    ],
)
def test_json_is_the_apis_own(world, watched, args, path):
    """`--json` prints what the API answers, byte for byte."""
    printed = world.ringback(*args, "--json").out
    if path:
        assert printed.encode() == Daemon(world.url, TOKEN).get(path) + b"\n"
    page = json.loads(printed)
    assert page["items"]
    assert set(page) == {"items", "next"}


def test_tables_and_lines(world, watched):
    """Without --json the same is a table or lines for people, ids whole, newest first; an empty one says so."""
    id, _ = watched
    listed = world.ringback("list", "--state", "succeeded").out
    owed = world.ringback("deliveries", "--watch", id).out
    assert re.search(rf"^{id}  {PROVIDER}  first +succeeded", listed, re.MULTILINE)
    assert re.search(r"^dlv_[0-9a-f]{32}  task.succeeded", owed, re.MULTILINE)
    assert re.search(rf"task.succeeded +{PROVIDER} first", world.ringback("events", "--watch", id).out)
    empty = world.ringback("list", "--state", "cancelled")
    assert (empty.code, empty.out, empty.err) == (0, "", "There are none.\n")


def test_a_long_list_goes_on_with_its_cursor(world, watched):
    """A list that is longer than its limit names the cursor, and the cursor gives what follows."""
    test_ids = world.ringback("watch", PROVIDER, "page-1", "page-2", "--account", "slow")
    assert test_ids.code == 0
    first = world.ringback("list", "--limit", "1")
    cursor = re.fullmatch(r"There are more: --cursor (\S+)\n", first.err)[1]
    second = world.ringback("list", "--limit", "1", "--cursor", cursor)
    assert first.out.splitlines()[1].split()[0] != second.out.splitlines()[1].split()[0]


def test_events_are_followed(world, watched):
    """`events --follow` prints what was and then what happens; Ctrl-C ends it quietly with 130."""
    with running("events", "--follow", "--url", world.url, "--token", TOKEN) as followed:
        followed.awaited(rf"task\.succeeded +{PROVIDER} first")
        world.ringback("watch", PROVIDER, "followed")
        followed.awaited(rf"task\.succeeded +{PROVIDER} followed")
        assert followed.end(signal.SIGINT) == 130
    assert "Traceback" not in "".join(followed.seen)


# ---------------------------------------------------------------------- acting


def test_a_watch_is_polled_soon_and_abandoned(world):
    """`poll` hastens an open watch, `abandon` ends it; a final one cannot be polled (exit 2)."""
    said = world.ringback("watch", PROVIDER, "left", "--account", "dead")
    id = said.out.split()[0]
    assert world.ringback("poll", id).out == f"{id} is polled next.\n"
    assert world.ringback("abandon", id).out == f"{id} is abandoned.\n"
    refused = world.ringback("poll", id)
    assert refused.code == 2
    assert "is abandoned" in refused.sentence


def test_an_unknown_id_is_said(world):
    """A watch or delivery that does not exist is one sentence; exit 2."""
    for args in (["show", "w_0"], ["show", "dlv_0"], ["show", "../../healthz"], ["poll", "w_0"], ["abandon", "w_0"]):
        said = world.ringback(*args)
        assert said.code == 2
        assert "there is no" in said.sentence


def test_a_wrong_token_is_said(world):
    """Without the token, or with a wrong one, the sentence names what to send; exit 2."""
    none = world.ringback("list", RINGBACK_TOKEN="")
    wrong = world.ringback("list", "--token", "rb_other")
    assert (none.code, wrong.code) == (2, 2)
    assert "does not take a request without token" in none.sentence
    assert "does not take this token" in wrong.sentence


# ---------------------------------------------------------------------- beside a running daemon


def test_what_the_daemon_has_learned_is_told_with_the_provider(world, watched):
    """`providers ID` says how long its tasks take, where a daemon answers that lets us ask."""
    said = world.ringback("providers", PROVIDER)
    line = r"^learned   account 302ai: [0-9]+ tasks?, half of them within [0-9.]+ s, 95 % within [0-9.]+ s$"
    assert re.search(line, said.out, re.MULTILINE)
    assert re.search(r"^ +[0-9.]+ s  #+ +[0-9]+%$", said.out, re.MULTILINE)
    known = json.loads(world.ringback("providers", PROVIDER, "--json").out)["learned"]
    assert "302ai" in [one["account"] for one in known]
    assert 1 < known[0]["median_s"] < 30
    stranger = world.ringback("providers", PROVIDER, RINGBACK_TOKEN="another")
    assert (stranger.code, stranger.err) == (0, "")
    assert "learned" not in stranger.out


def test_a_second_daemon_on_the_store_is_refused(world):
    """Two daemons cannot have one store: exit 6, and the sentence names the store and --wait-lock."""
    said = ringback("serve", "--config", world.config)
    assert said.code == 6
    assert f"has the store {world.store}" in said.sentence
    assert "--wait-lock" in said.sentence


def test_the_store_of_a_running_daemon_is_left_alone(world):
    """`store` needs a stopped daemon: exit 6, and the sentence says who has it: they do not wait."""
    for command in ("verify", "stats", "export", "repair"):
        said = ringback("store", command, world.store)
        assert said.code == 6
        assert "another ringback (pid " in said.sentence
        assert said.sentence.endswith(": stop it first")


def test_check_can_be_asked_while_the_daemon_runs(world):
    """Before a reload the configuration is checked; what the daemon itself uses is no problem."""
    said = ringback("check", "--config", world.config)
    assert said.code == 0
    assert "A daemon is running on this store" in said.sentence
    assert "team (webhook)" in said.out
    for secret in (TOKEN, KEY, SECRET):
        assert secret not in said.out + said.err


def test_the_secret_of_the_instance_is_the_configured_one(world):
    """`secret --instance` prints what callbacks are signed with."""
    assert ringback("secret", "--instance", "--config", world.config).out == f"{SECRET}\n"
    assert not (world.store / CALLBACK_SECRET_FILE).exists()
