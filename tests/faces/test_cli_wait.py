"""`ringback wait`: one task followed without a daemon, against a vendor that says what the test wants."""

import asyncio
import json
import signal

import pytest
from given import envelope, shown

from ringback.cli import exits, wait
from ringback.core.model import FINAL_STATES
from ringback.providers.shelf import shipped
from ringback.simulator import Options, Reply, Simulator
from tests.faces.terminal import ringback, running

KEY = "a-key-for-tests"
TASK = "26cbe8e5"
HARD = '見つけました \U0001f600 "quoted"\n\ttwo lines, and a lot: ' + "あ" * 2000


@pytest.fixture
async def vendor():
    async with Simulator(Options(key=KEY, strict=True)) as simulated:
        yield simulated


async def waited(vendor, replies, *args, key=KEY, **env):
    """What `wait` does when the vendor answers so."""
    vendor.script(TASK, replies)
    env |= {"RINGBACK_ACCOUNTS__302AI__BASE_URL": vendor.url, "RINGBACK_ACCOUNTS__302AI__API_KEY": key}
    return await asyncio.to_thread(ringback, "wait", "302ai-browser", TASK, "--every", "1s", *args, **env)


async def test_a_task_that_succeeds(vendor):
    """Its result is all of stdout, intact; every change is a line on stderr; exit 0."""
    replies = [
        shown(TASK, "queue"),
        shown(TASK, "running", step=1),
        shown(TASK, "finished", step=1, result=HARD, is_successful=True),
    ]
    ended = await waited(vendor, replies)
    assert ended.code == 0
    assert ended.out == HARD + "\n"
    told = [line.split(" s  ")[1] for line in ended.err.splitlines()]
    assert told == ["pending", "queued", "running  1: Open result 1 and read it", "succeeded"]


async def test_a_task_that_fails(vendor):
    """Exit 1; stderr says why."""
    ended = await waited(vendor, [shown(TASK, "fail", result="a captcha")])
    assert ended.code == 1
    assert ended.err.splitlines()[-1].endswith("failed: fail: a captcha")


async def test_a_task_that_finishes_without_success(vendor):
    """It failed too, and what it found is still printed."""
    ended = await waited(vendor, [shown(TASK, "finished", result="not found", is_successful=False)])
    assert (ended.code, ended.out) == (1, "not found\n")


async def test_a_task_that_takes_too_long(vendor):
    """Past --deadline: exit 4."""
    ended = await waited(vendor, [shown(TASK, "running", step=1)], "--deadline", "1s")
    assert ended.code == 4
    assert ended.err.splitlines()[-1].endswith("expired")


async def test_the_whole_watch_as_json(vendor):
    """--json prints the watch in the shape of the API, whatever became of it."""
    ended = await waited(vendor, [shown(TASK, "fail", result="a captcha")], "--json")
    watch = json.loads(ended.out)
    assert (watch["task_id"], watch["state"], watch["error"]["message"]) == (TASK, "failed", "a captcha")


async def test_troubles_are_told_and_outlived(vendor):
    """A body that is not JSON and a server in trouble are lines; the task goes on, exit 0."""
    replies = [b"<html>", Reply(status=502), shown(TASK, "finished", result="ok", is_successful=True)]
    ended = await waited(vendor, replies)
    assert (ended.code, ended.out) == (0, "ok\n")
    assert "unreadable: " in ended.err
    assert "unavailable: " in ended.err


async def test_a_wrong_key_is_said_at_once(vendor):
    """Waiting does not mend a key: one sentence that names where to set it, exit 2."""
    ended = await waited(vendor, [shown(TASK, "queue")], key="another")
    assert ended.code == 2
    assert ended.out == ""
    last = ended.err.splitlines()[-1]
    assert "302ai-browser does not take the key of account '302ai'" in last
    assert "RINGBACK_ACCOUNTS__302AI__API_KEY" in last
    assert vendor.polls(TASK) == 1


async def test_a_key_that_is_ones_own_is_said_to_be_so(vendor):
    """Provider http has no account: whoever gave the header is told of it."""
    asked = ("--url", f"{vendor.url}/302/browser/tasks/{TASK}", "--state", "status", "--succeeded", "finished")
    ended = await asyncio.to_thread(ringback, "wait", "http", *asked, "--header", "Authorization: Bearer another")
    assert ended.code == 2
    assert "the API does not take the key: The key is missing or not correct. Give the right one with" in ended.err
    assert "account" not in ended.err


async def test_a_wrong_address_of_ones_own_is_said_to_be_so():
    """There is no account whose base_url could be wrong."""
    asked = ("--url", "http://127.0.0.1:9/", "--state", "s", "--succeeded", "d", "--deadline", "1s")
    ended = await asyncio.to_thread(ringback, "wait", "http", *asked)
    assert "if that is wrong, give another --url" in ended.err


async def test_a_refusal_of_what_is_asked_without_a_key_names_none():
    """There is no credential that could be set; a header may be what is missing."""
    async with Simulator(Options(), presets=[shipped().get("skyreels")]) as vendor:
        vendor.script("1", [Reply(status=401, body={})])
        place = {"RINGBACK_ACCOUNTS__SKYREELS__BASE_URL": vendor.url}
        ended = await asyncio.to_thread(ringback, "wait", "skyreels", "1", **place)
    assert ended.code == 2
    assert "skyreels is asked without a key, and refuses that: " in ended.err
    assert ended.err.endswith("If it needs one, set headers in [accounts.skyreels].\n")


def test_what_could_not_be_signed_was_not_refused(tmp_path):
    """The credentials are called as the preset calls them."""
    ended = ringback("wait", "kling", "1", cwd=tmp_path, RINGBACK_ACCOUNTS__KLING__ACCESS_KEY="a")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        "kling was not asked: the account has no secret_key: set it in its configuration. Set access_key and "
        "secret_key in [accounts.kling], or RINGBACK_ACCOUNTS__KLING__ACCESS_KEY and "
        "RINGBACK_ACCOUNTS__KLING__SECRET_KEY."
    )


async def test_a_key_that_is_refused_later_is_waited_for(vendor):
    """Once the task was seen, a refusal may pass: it is a line, not the end. (It is asked again after five minutes.)"""
    refused = Reply(status=401, body=envelope(-10002, "not now"))
    ended = await waited(vendor, [shown(TASK, "running", step=1), refused], "--deadline", "3s")
    assert ended.code == 4
    assert "unauthorized: not now" in ended.err


async def test_what_others_configured_is_left_alone(vendor, tmp_path):
    """The watches and destinations of a configuration are the daemon's, not ours."""
    (tmp_path / "ringback.toml").write_text(
        """
        [[watches]]
        provider = "302ai-browser"
        task_id = "of-the-daemon"
        [destinations.team]
        type = "webhook"
        url = "http://127.0.0.1:9/"
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        """
    )
    done = [shown(TASK, "finished", result="ok", is_successful=True)]
    assert (await waited(vendor, done, "--config", tmp_path / "ringback.toml")).out == "ok\n"
    assert vendor.polls("of-the-daemon") == 0


async def test_ctrl_c_leaves_the_task_alone(vendor):
    """Ctrl-C exits 130 and says that the task goes on."""
    vendor.script(TASK, [shown(TASK, "running", step=1)])
    env = {"RINGBACK_ACCOUNTS__302AI__BASE_URL": vendor.url, "RINGBACK_ACCOUNTS__302AI__API_KEY": KEY}

    def interrupted():
        with running("wait", "302ai-browser", TASK, **env) as waiting:
            waiting.awaited("running")
            code = waiting.end(signal.SIGINT)
            waiting.awaited("the task goes on at the provider")
            return code, "".join(waiting.seen)

    code, said = await asyncio.to_thread(interrupted)
    assert code == exits.INTERRUPTED
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["302ai-brwser", "1"], "there is no provider '302ai-brwser'. Did you mean '302ai-browser'?"),
        (["providers/acme.toml", "1"], "'providers/acme.toml' is a file, and a provider is named by its id: put the"),
        (["x/acme.toml", "1"], "into the folder `providers` beside the configuration, and name 'acme'"),
        (["302ai-browser", "1"], "no account '302ai' is configured: add [accounts.302ai] with its api_key"),
        (["302ai-browser", ""], "task_id: is empty"),
        (["302ai-browser", ".."], "the id and params make a path segment of only dots"),
        (["302ai-browser", "1", "--every", "often"], "'often' is not a duration"),
        (["302ai-browser", "1", "--config", "no.toml"], "no.toml: cannot be read"),
    ],
)
def test_a_set_up_that_is_not_there_is_said(args, sentence, tmp_path):
    """Before anything is asked: one sentence, exit 2."""
    env = {} if "no account" in sentence else {"RINGBACK_ACCOUNTS__302AI__API_KEY": KEY}
    ended = ringback("wait", *args, cwd=tmp_path, **env)
    assert ended.code == 2
    assert sentence in ended.sentence


def test_every_end_has_an_exit_code():
    """Succeeded 0, failed 1, cancelled 3, expired and vanished 4; no final state is without one."""
    assert set(wait.EXITS) == FINAL_STATES
    assert {state.value: code for state, code in wait.EXITS.items()} == {
        "succeeded": 0,
        "failed": 1,
        "cancelled": 3,
        "expired": 4,
        "vanished": 4,
        "abandoned": 4,
    }
