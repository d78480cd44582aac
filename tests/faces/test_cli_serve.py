"""Starting, checking and stopping: what `serve`, `check`, `secret` and `store` say when something is in the way."""

import asyncio
import json
import re
import shutil
import signal
import socket

import given
import pytest

from ringback.cli.client import Daemon
from tests.faces.terminal import ringback, running, serving
from tests.store import steps
from tests.store.files import journal


@pytest.fixture
def config(tmp_path):
    """A configuration that runs, in a folder of its own."""
    file = tmp_path / "ringback.toml"
    file.write_text(f'[server]\nlisten = "127.0.0.1:0"\n[store]\nurl = "json:{tmp_path / "data"}"\n')
    return file


@pytest.fixture(scope="module")
def once_stopped(tmp_path_factory):
    """The store of a daemon that has kept two watches and was stopped."""
    folder = tmp_path_factory.mktemp("stopped")
    file = folder / "ringback.toml"
    file.write_text(
        f"""
        [server]
        listen = "127.0.0.1:0"
        [store]
        url = "json:{folder / "data"}"
        [accounts.302ai]
        base_url = "http://127.0.0.1:9"
        api_key = "k"
        """
    )
    with serving("--config", file) as (daemon, url):
        assert ringback("watch", "302ai-browser", "1", "2", "--url", url).code == 0
        assert daemon.end() == 0
    return folder / "data"


@pytest.fixture
def stopped(once_stopped, tmp_path):
    """A copy of it, where the configuration says."""
    return shutil.copytree(once_stopped, tmp_path / "data")


# ---------------------------------------------------------------------- serve


def test_sigterm_ends_it_with_0(config):
    """A daemon that is told to stop stops in order."""
    with serving("--config", config) as (daemon, url):
        assert json.loads(Daemon(url).get("/readyz"))
        assert daemon.end() == 0
    assert "Traceback" not in "".join(daemon.seen)


def test_a_port_in_use_is_said(config):
    """Exit 6, since starting again may help; the sentence names the address and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = ringback("serve", "--config", config, RINGBACK_SERVER__LISTEN=f"127.0.0.1:{port}")
    assert said.code == 6
    assert f"127.0.0.1:{port}" in said.sentence
    assert "server.listen" in said.sentence


def test_a_store_that_cannot_be_written_is_said(config, tmp_path):
    """Exit 6; the sentence names the directory and the setting. (A path below a file refuses root too.)"""
    (tmp_path / "file").write_text("")
    said = ringback("serve", "--config", config, RINGBACK_STORE__URL=f"json:{tmp_path}/file/data")
    assert said.code == 6
    assert f"{tmp_path}/file/data" in said.sentence


def test_a_damaged_store_is_said(stopped, config):
    """A flipped byte in the middle: exit 5, since starting again does not help; the sentence names file and byte."""
    bent = flipped(stopped)
    said = ringback("serve", "--config", config)
    assert said.code == 5
    assert str(bent) in said.sentence
    assert "byte" in said.sentence


def test_bad_settings_are_said_all_at_once(config):
    """Every problem with its key, each on a line; exit 2."""
    config.write_text('[servr]\nlisten = "x"\n[polling]\ninterval = "soon"\n')
    said = ringback("serve", "--config", config)
    assert said.code == 2
    assert "Traceback" not in said.err
    assert re.search(r"^servr: unknown key.*server", said.err, re.MULTILINE)
    assert re.search(r"^polling\.interval: ", said.err, re.MULTILINE)


def test_a_configuration_that_is_not_there_is_said(tmp_path):
    """A file that was named must be there; exit 2."""
    said = ringback("serve", "--config", tmp_path / "no.toml")
    assert said.code == 2
    assert "no.toml" in said.sentence


def test_a_bad_wait_is_said(config):
    """`--wait-lock` takes a duration."""
    said = ringback("serve", "--config", config, "--wait-lock", "soon")
    assert said.code == 2
    assert "'soon' is not a duration" in said.sentence


def test_the_next_daemon_waits_for_the_lock(config):
    """With --wait-lock a new daemon takes over as soon as the old one has ended."""
    with serving("--config", config) as (old, _), running("serve", "--config", config, "--wait-lock", "60s") as new:
        assert old.end() == 0
        new.awaited(r"ringback\.started")
        assert new.end() == 0


# ---------------------------------------------------------------------- check


def test_a_good_configuration_is_summed_up(config):
    """`check` says what is configured; exit 0, and nothing was made."""
    said = ringback("check", "--config", config, RINGBACK_ACCOUNTS__302AI__API_KEY="hidden-key")
    assert (said.code, said.err) == (0, "")
    assert f"{config} is good." in said.out
    assert "302ai" in said.out
    assert "hidden-key" not in said.out
    assert not (config.parent / "data").exists()


def test_every_problem_is_said(config, tmp_path):
    """Accounts, watches, the store and the port: one line each, exit 1."""
    (tmp_path / "file").write_text("")
    config.write_text(
        f"""
        [store]
        url = "json:{tmp_path}/file/data"
        [accounts.302a]
        api_key = "x"
        [accounts.empty]
        vendor = "302ai"
        [accounts.misspelt]
        vendor = "302ai"
        api_kee = "x"
        [accounts.http]
        api_key = "x"
        [[watches]]
        provider = "302ai-brwser"
        task_id = "1"
        """
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = ringback("check", "--config", config, RINGBACK_SERVER__LISTEN=f"127.0.0.1:{taken.getsockname()[1]}")
    assert said.code == 1
    assert said.out == ""
    for problem in (
        r"^accounts\.302a: no preset uses an account of '302a'.* Did you mean '302ai'\?",
        r"^accounts\.empty: its presets need api_key$",
        r"^accounts\.misspelt: its presets need api_key; it has api_kee$",
        r"^accounts\.http: provider http asks with no account's api_key: .*--header",
        r"^store\.url: .*/file is no directory that this user may write",
        r"^server\.listen: cannot listen on 127\.0\.0\.1",
        r"there is no provider '302ai-brwser'. Did you mean '302ai-browser'\?",
    ):
        assert re.search(problem, said.err, re.MULTILINE), problem


def test_bad_settings_fail_the_check(config):
    """What `serve` would refuse, `check` says too, secret files included; exit 1."""
    config.write_text(
        '[servr]\nlisten = "x"\n[polling]\ninterval = "soon"\n[accounts.302ai]\napi_key_file = "no-key"\n'
    )
    said = ringback("check", "--config", config)
    assert said.code == 1
    assert sorted(line.split(":")[0] for line in said.err.splitlines()) == [
        "accounts.302ai.api_key",
        "polling.interval",
        "servr",
    ]


def test_a_damaged_store_fails_the_check(stopped, config):
    """The journal is read through: file and byte are named."""
    bent = flipped(stopped)
    said = ringback("check", "--config", config)
    assert said.code == 1
    assert f"store.url: {bent}, byte " in said.err


def test_a_secret_that_was_lost_fails_the_check(stopped, config):
    """An empty file where the instance keeps its own secret would keep it from starting."""
    (stopped / "callback-secret").write_text("")
    said = ringback("check", "--config", config)
    assert said.code == 1
    assert said.sentence.startswith(f"callbacks.secret: {stopped / 'callback-secret'} is empty: delete it")


# ---------------------------------------------------------------------- store, secret


def test_the_journal_of_a_stopped_daemon_is_examined(stopped):
    """`verify` reads it all; `stats` counts it, as JSON too."""
    verified = ringback("store", "verify", stopped)
    assert verified.code == 0
    assert ": sound: " in verified.out
    assert re.search(r"^watches +2 \(2 pending\)$", ringback("store", "stats", stopped).out, re.MULTILINE)
    assert json.loads(ringback("store", "stats", stopped, "--json").out)["watches"] == {"pending": 2}


def test_damage_is_found(stopped):
    """`verify` names the file and the byte, and exits 1; `stats` cannot count and exits 5."""
    bent = flipped(stopped)
    verified = ringback("store", "verify", stopped)
    assert verified.code == 1
    assert re.match(rf"{bent}, byte [0-9]+: ", verified.err)
    assert ": damaged: " in verified.out
    assert ringback("store", "stats", stopped).code == 5


def test_a_damaged_journal_is_repaired(stopped):
    """What it cost is said; a daemon can start on it then."""
    bent = flipped(stopped)
    said = ringback("store", "repair", stopped)
    assert said.code == 0
    assert re.match(rf"{bent}, byte [0-9]+: the journal ends here now; [0-9]+ records from [0-9]+ on set as", said.err)
    assert said.out == f"{stopped}: repaired\n"
    assert ringback("store", "verify", stopped).code == 0
    assert ringback("store", "repair", stopped).out == f"{stopped}: nothing to repair\n"


def test_what_a_journal_says_is_printed_as_json(stopped):
    """One line a watch in the shapes of the API, and one about ringback itself."""
    said = ringback("store", "export", stopped)
    printed = [json.loads(line) for line in said.out.splitlines()]
    assert (said.code, said.err) == (0, "")
    assert [line["watch"] and line["watch"]["state"] for line in printed] == ["pending", "pending", None]
    assert all(list(line) == ["watch", "answer", "events", "deliveries"] for line in printed)


async def test_documents_that_are_gone_are_named(tmp_path):
    """They are left out of an export, and no repair brings them back; exit 1."""
    async with journal(tmp_path) as store:
        await steps.follow(store, "succeeded", result=given.document(steps.LARGE))
    (document,) = (tmp_path / "results").iterdir()
    document.unlink()
    for command, says in (("export", '"result":null'), ("repair", "nothing to repair")):
        said = await asyncio.to_thread(ringback, "store", command, tmp_path)
        assert said.code == 1
        assert says in said.out
        assert str(document) in said.err


def test_a_directory_without_a_journal_is_said(tmp_path):
    """Looking at the wrong place is one sentence; exit 2, because looking again does not help."""
    for command in ("verify", "stats", "export", "repair"):
        said = ringback("store", command, tmp_path)
        assert said.code == 2
        assert "holds no journal" in said.sentence


def test_the_secret_of_the_instance(stopped, config):
    """What a daemon made for itself at its first start is what `secret --instance` prints."""
    said = ringback("secret", "--instance", "--config", config)
    assert said.out == (stopped / "callback-secret").read_text()
    assert said.out.startswith("whsec_")


def test_an_instance_without_a_secret_says_so(config):
    """Before the first start there is none, and asking makes none; exit 2."""
    said = ringback("secret", "--instance", "--config", config)
    assert said.code == 2
    assert "run `ringback serve` once" in said.sentence
    assert not (config.parent / "data").exists()


# ---------------------------------------------------------------------- listen, simulate


@pytest.mark.parametrize("command", ["listen", "simulate"])
def test_a_local_server_ends_quietly(command, tmp_path):
    """Ctrl-C is how they end: 130, and no word."""
    with running(command, "--port", "0", cwd=tmp_path) as server:
        server.awaited("Ctrl-C ends it")
        assert server.end(signal.SIGINT) == 130
    assert "Traceback" not in "".join(server.seen)


@pytest.mark.parametrize("command", ["listen", "simulate"])
def test_a_local_server_whose_port_is_taken_says_so(command, tmp_path):
    """Exit 6 and one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = ringback(command, "--port", taken.getsockname()[1], cwd=tmp_path)
    assert said.code == 6
    assert "choose another" in said.sentence


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["simulate", "--fail", "2"], "fail is a share: give a number from 0 to 1"),
        (["simulate", "--duration", "long"], "'long' is not a duration"),
        (["simulate", "--port", "99999"], 'Invalid value "99999" for --port'),
        (["listen", "--secret", "abc"], "a signing secret starts with whsec_"),
    ],
)
def test_a_local_server_that_cannot_be_so_says_so(args, sentence, tmp_path):
    """What makes no sense is refused before anything listens; exit 2."""
    said = ringback(*args, cwd=tmp_path)
    assert said.code == 2
    assert sentence in said.sentence


def flipped(directory):
    """One byte of the first record after the header is another one; returns the file."""
    journal = min(directory.glob("journal-*.jsonl"))
    text = bytearray(journal.read_bytes())
    second = text.index(b"\n") + 1
    text[second + (text.index(b"\n", second) - second) // 2] ^= 1
    journal.write_bytes(text)
    return journal
