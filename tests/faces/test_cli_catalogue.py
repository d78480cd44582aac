"""The catalogue on the command line: found, explained, tried, extended, and APIs that are in none."""

import asyncio
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from ringback.providers.shelf import shipped
from ringback.receiver import Receiver
from ringback.simulator import Options, Reply, Simulator
from tests.faces.terminal import ringback, running, serving

ACME = Path(__file__).parents[2] / "config" / "providers" / "acme-render.toml"
JOB = {"code": 0, "job": {"status": "done", "file": {"url": "https://cdn.test/f.mp4"}, "frames": 3, "frames_done": 3}}

STATES = "expected one of queued, running, succeeded, failed, cancelled, got 'suceeded'. Did you mean 'succeeded'?"


@pytest.fixture
def home(tmp_path):
    """A folder with a configuration and a preset of one's own beside it."""
    (tmp_path / "providers").mkdir()
    (tmp_path / "providers" / "acme-render.toml").write_text(ACME.read_text())
    (tmp_path / "ringback.toml").write_text('[accounts.acme]\napi_key = "k"\n')
    return tmp_path


# ---------------------------------------------------------------------- found and explained


def test_every_provider_is_listed_by_vendor_with_its_menu_name_and_confidence():
    """What is only likely is shown as such."""
    rows = ringback("providers").out.splitlines()
    text = "\n".join(rows)
    assert all(preset.about.id in text for preset in shipped().presets())
    midjourney = next(row for row in rows if "302ai-midjourney " in row)
    assert "Midjourney" in midjourney
    assert "confirmed" in midjourney
    assert "likely" in next(row for row in rows if " pika-fal " in row)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("browser task", {"302ai-browser"}),
        ("リモートブラウザ v2", {"browser-use-v2"}),
        ("anthropic", {"anthropic-batch"}),
    ],
)
def test_providers_are_found_by_words_of_id_title_vendor_and_menu(words, found):
    listed = json.loads(ringback("providers", "--search", words, "--json").out)["items"]
    assert {item["id"] for item in listed} == found


def test_words_that_find_nothing_are_said():
    ended = ringback("providers", "--search", "no such vendor")
    assert (ended.out, ended.sentence) == (
        "",
        "No provider has 'no such vendor' in its id, title, vendor or menu entry.",
    )


def test_help_does_not_load_the_catalogue():
    """`ringback --help` answers in a blink."""
    code = "from ringback.cli.main import main; main(['--help']); import sys; sys.exit('jmespath' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


# ---------------------------------------------------------------------- presets of one's own


def test_a_preset_is_tried_by_its_file_before_it_is_in_its_place(tmp_path):
    answer = tmp_path / "answer.json"
    answer.write_text(json.dumps(JOB))
    assert json.loads(ringback("providers", "try", ACME, answer).out)["state"] == "succeeded"
    assert ringback("providers", ACME).out.startswith("acme-render: ")
    gone = ringback("providers", "try", tmp_path / "gone.toml", answer)
    assert (gone.code, gone.sentence) == (2, f"{tmp_path / 'gone.toml'}: cannot be read: No such file or directory")


def test_an_answer_about_another_task_and_one_to_a_submission_are_tried_too(tmp_path):
    """The id, and what must be remembered, as `watch --from-response` takes them."""
    answer = tmp_path / "answer.json"
    answer.write_text('{"task_id": "t-1", "status": "running"}')
    said = json.loads(ringback("providers", "try", "302ai-browser", answer, "--task-id", "t-2").out)
    assert said["problem"]["code"] == "wrong_task"
    answer.write_text('{"id": 7, "project_id": 9}')
    said = json.loads(ringback("providers", "try", "gitlab-pipeline", answer, "--submitted").out)
    assert said == {"task_id": "7", "params": {"project_id": "9"}}
    mistaken = ringback("providers", "try", "gitlab-pipeline", answer)
    assert json.loads(mistaken.out)["problem"]["code"] == "unreadable"
    assert mistaken.err == "This looks like the answer to a submission: --submitted takes the task's id out of it.\n"
    answer.write_text('{"error": "no such pipeline"}')
    assert not ringback("providers", "try", "gitlab-pipeline", answer).err


@pytest.mark.parametrize(
    ("id", "answer", "remark"),
    [
        ("302ai-browser", {"status": "finished", "output": "42"},
         "Nothing stands at result, where read.result looks for the result.\n"),
        ("302ai-browser", {"status": "finished", "result": "42"}, ""),
        ("302ai-browser", {"status": "running"}, ""),
        ("302ai-browser", {"status": "fail", "why": "x"},
         "Nothing stands at result, where read.error.message looks for the reason.\n"),
        ("302ai-browser", {"status": "fail", "result": "x"}, ""),
        ("luma", {"state": "failed"},
         "Nothing stands at failure_reason, where read.error.message looks for the reason.\n"),
    ],
)  # fmt: skip
def test_what_a_preset_looks_for_and_does_not_find_is_said_beside_what_was_read(id, answer, remark):
    """A path with a slip in it is seen before the first task is over: on stderr, stdout is the same JSON."""
    tried = ringback("providers", "try", id, "-", stdin=json.dumps(answer))
    assert (json.loads(tried.out)["problem"], tried.err) == (None, remark)


def test_a_param_that_a_submission_s_answer_does_not_bring_is_said(tmp_path):
    answer = tmp_path / "answer.json"
    answer.write_text('{"id": 7}')
    tried = ringback("providers", "try", "gitlab-pipeline", answer, "--submitted")
    assert json.loads(tried.out) == {"task_id": "7", "params": {}}
    assert tried.err == "Nothing stands at project_id, where submit.remember looks for project_id.\n"
    answer.write_text('{"id": 7, "project_id": 9}')
    assert not ringback("providers", "try", "gitlab-pipeline", answer, "--submitted").err


def test_a_preset_beside_the_configuration_is_one_like_all_others(home):
    """Listed, explained, tried and accepted by the check."""
    answer = home / "answer.json"
    answer.write_text(json.dumps(JOB))
    assert "Acme render farm" in ringback("providers", cwd=home).out
    assert "key goes  to api.acme.example" in ringback("providers", "acme-render", cwd=home).out
    said = json.loads(ringback("providers", "try", "acme-render", answer, cwd=home).out)
    assert (said["state"], said["result"], said["progress"]["fraction"]) == ("succeeded", "https://cdn.test/f.mp4", 1.0)
    assert ringback("check", cwd=home).code == 0


def test_presets_are_found_where_the_configuration_says(tmp_path):
    """Files and folders; the environment, too."""
    (tmp_path / "ringback.toml").write_text(f'[providers]\npaths = ["{ACME}"]\n')
    assert "Acme" in ringback("providers", "acme-render", cwd=tmp_path).out
    elsewhere = ringback("providers", "acme-render", cwd="/", RINGBACK_PROVIDERS__PATHS=json.dumps([str(ACME.parent)]))
    assert "Acme" in elsewhere.out


def test_a_preset_of_ones_own_replaces_a_shipped_one(home):
    (home / "providers" / "302ai-browser.toml").write_text(
        ACME.read_text().replace('id = "acme-render"', 'id = "302ai-browser"').replace("Acme render farm", "Mine")
    )
    assert "Mine" in ringback("providers", "302ai-browser", cwd=home).out


def test_what_is_wrong_with_a_preset_is_said_with_file_key_and_what_was_expected(home):
    """By `providers check`, by `check`, and by a daemon that then does not start."""
    broken = home / "providers" / "acme-render.toml"
    broken.write_text(
        ACME.read_text().replace('"succeeded"', '"suceeded"').replace('vendor = "acme"', 'vendro = "acme"')
    )
    said = ringback("providers", "check", broken, cwd=home)
    assert said.code == 1
    assert said.err.splitlines() == [
        f"{broken}: vendro: there is no such key. Did you mean 'vendor'?",
        f"{broken}: vendor: is missing; expected text",
        f"{broken}: read.states.done: {STATES}",
        f"{broken}: read.rules[0].of: {STATES}",
    ]
    assert ringback("check", cwd=home).code == 1
    served = ringback("serve", cwd=home)
    assert served.code == 2
    assert "vendro" in served.err


async def test_a_task_of_ones_own_preset_is_followed_and_a_reload_takes_a_new_one(home):
    """Against the simulator that speaks the same file, through a daemon that started before the preset was there."""
    preset = home / "providers" / "acme-render.toml"
    text = preset.read_text()
    preset.unlink()
    with running("simulate", "--preset", ACME, "--port", "0", "--duration", "300ms") as upstream:
        url = upstream.awaited(r"at (http://\S+)\. ")[1]
        (home / "ringback.toml").write_text(
            f'[server]\nlisten = "127.0.0.1:0"\n[store]\nurl = "json:{home}/data"\n'
            f'[polling]\ninterval = "200ms"\nmin_interval = "100ms"\n'
            f'[accounts.acme]\napi_key = "k"\nbase_url = "{url}"\n'
        )
        with serving(cwd=home) as (daemon, at):
            asked = ("watch", "acme-render", "4711", "--param", "project=fox", "--every", "200ms", "--url", at)
            refused = await asyncio.to_thread(ringback, *asked)
            assert "there is no provider 'acme-render'" in refused.err
            preset.write_text(text)
            daemon.process.send_signal(1)
            daemon.awaited("configuration.reloaded")
            id = (await asyncio.to_thread(ringback, *asked)).out.split()[0]
            daemon.awaited("task.succeeded")
            shown = json.loads((await asyncio.to_thread(ringback, "show", id, "--json", "--url", at)).out)
            assert shown["result"].startswith("https://files.example.test/4711")
            assert shown["params"] == {"project": "fox"}


UNMADE = "avg(frames) > `3` && avg(frames) < `2`"
NO_FILE = "!(job.file.url)"


def test_what_the_simulator_cannot_make_up_is_said_when_it_starts(tmp_path):
    """An end on stderr, beside the address; a preset without a success it can say is refused, by its name."""
    preset = tmp_path / "acme-render.toml"
    preset.write_text(ACME.read_text().replace(NO_FILE, UNMADE))
    with running("simulate", "--preset", preset, "--port", "0", "--unsuccessful", "1") as upstream:
        upstream.awaited(re.escape(f"acme-render: no answer could be made up where {UNMADE} holds"))
    preset.write_text(ACME.read_text().replace(NO_FILE, "job"))
    refused = ringback("simulate", "--preset", preset, "--port", "0")
    assert refused.code == 2
    assert refused.sentence.startswith(
        "acme-render cannot be simulated: no answer could be made up that says succeeded"
    )


# ---------------------------------------------------------------------- a saved answer to the submission


CURL = "HTTP/2 200 \r\ncontent-type: application/json\r\n\r\n"


@pytest.mark.parametrize(
    ("provider", "saved", "watch"),
    [
        (
            "kling",
            '{"code": 0, "data": {"task_id": "800000000000000001"}}',
            ("800000000000000001", {"endpoint": "text2video"}),
        ),
        ("302ai-suno", '{"code": 200, "data": "su-1"}', ("su-1", {})),
        ("302ai-image-translate", '{"msg": "success", "body": 1935639178641400001}', ("1935639178641400001", {})),
        ("deepl-document", '{"document_id": "D1", "document_key": "s3cret"}', ("D1", {})),
        (
            "bfl-flux",
            '{"id": "f-1", "polling_url": "https://api.us1.bfl.ai/v1/get_result?id=f-1"}',
            ("f-1", {"polling_url": "https://api.us1.bfl.ai/v1/get_result?id=f-1"}),
        ),
        (
            "azure-operation-location",
            CURL.replace("\r\n\r\n", "\r\nOperation-Location: http://127.0.0.1:9/operations/7\r\n\r\n"),
            ("http://127.0.0.1:9/operations/7", {}),
        ),
    ],
)
def test_the_id_and_what_must_be_remembered_come_out_of_a_saved_answer(tmp_path, provider, saved, watch):
    """As a body, as `curl -i` prints it, and from standard input; a secret of it is kept and never shown."""
    vendor = shipped().about(provider).vendor
    keys = "".join(f'{name} = "k"\n' for name in shipped().about(provider).credentials)
    (tmp_path / "ringback.toml").write_text(
        f'[server]\nlisten = "127.0.0.1:0"\n[accounts.{vendor}]\nbase_url = "http://127.0.0.1:9"\n{keys}'
    )
    file = tmp_path / "answer"
    file.write_text(saved)
    with serving(cwd=tmp_path) as (_, at):
        first = ringback("watch", provider, "--from-response", file, "--url", at)
        again = ringback("watch", provider, "--from-response", "-", "--url", at, stdin=saved)
        assert (first.code, again.code) == (0, 0), first.err
        assert "already watched" in again.out
        shown = json.loads(ringback("show", first.out.split()[0], "--json", "--url", at).out)
        assert (shown["task_id"], shown["params"]) == watch
        assert "s3cret" not in json.dumps(shown)


@pytest.mark.parametrize(
    ("args", "saved", "sentence"),
    [
        ((), '{"code": 1102, "message": "Account balance not enough"}',
         "no task id: the submission was refused; it says: Account balance not enough (1102)"),
        ((), "<html>", "no task id: the answer is not JSON: <html>"),
        (("7",), "{}", "--from-response gives the task's id: leave TASK_ID out"),
    ],
)  # fmt: skip
def test_an_answer_without_an_id_is_one_sentence(tmp_path, args, saved, sentence):
    (tmp_path / "answer").write_text(saved)
    ended = ringback("watch", "kling", *args, "--from-response", tmp_path / "answer", cwd=tmp_path)
    assert (ended.code, ended.sentence) == (2, sentence)


# ---------------------------------------------------------------------- no preset at all


@pytest.fixture
async def vendor():
    async with Simulator(Options()) as upstream:
        yield upstream


def _says(status, **more):
    return Reply(body={"task_id": "t", "status": status, **more})


@pytest.mark.parametrize(
    ("last", "code", "out"),
    [
        ({"status": "finished", "result": "42"}, 0, "42\n"),
        ({"status": "error", "why": "no luck"}, 1, ""),
        ({"status": "stopped"}, 3, ""),
    ],
)
async def test_wait_follows_an_api_that_is_described_on_the_command_line(vendor, last, code, out):
    """Its words, its result, its reason; the caller's own header is sent, and any other word is running."""
    vendor.script("t", [_says("brand-new"), Reply(body=last)])
    ended = await asyncio.to_thread(
        ringback, "wait", "http", "--url", f"{vendor.url}/302/browser/tasks/t", "--state", "status",
        "--succeeded", "finished,done", "--failed", "fail, error", "--cancelled", "stopped", "--result", "result",
        "--error", "why", "--header", "Authorization: Bearer mine", "--every", "1s",
    )  # fmt: skip
    assert (ended.code, ended.out) == (code, out), ended.err
    assert {request.headers["authorization"] for request in vendor.requests} == {"Bearer mine"}
    if code == 1:
        assert "error: no luck" in ended.err


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (
            ("http", "--state", "s"),
            "http has no preset: say how to ask and read with at least --url, --state and --succ",
        ),
        (
            ("302ai-browser", "1", "--state", "s"),
            "--state is for `http`, the provider without a preset: 302ai-browser has",
        ),
        (
            ("http", "--url", "https://x.test", "--state", "s", "--succeeded", "d, done", "--failed", "done"),
            "--succeeded and --failed both have 'done': a word means one state",
        ),
        (("http", "--url", "ftp://x", "--state", "s", "--succeeded", "d"), "ask.url: expected a URL such as"),
        (("http", "--url", "http://10.0.0.1/x", "--state", "s", "--succeeded", "d"), "egress.allow"),
        (("http", "--url", "https://x.test", "--state", "s.", "--succeeded", "d"), "read.state: expected a JMESPath"),
        (
            ("http", "--url", "https://x.test/{task_id}", "--state", "s", "--succeeded", "d"),
            "task_id: is missing, and ask has {task_id} in it",
        ),
        (("302ai-browser",), "task_id: is missing; give the id that the provider answered with"),
    ],
)
def test_a_description_that_cannot_be_used_is_one_sentence(tmp_path, args, sentence):
    ended = ringback("wait", *args, cwd=tmp_path)
    assert ended.code == 2
    assert sentence in ended.sentence


def test_a_url_that_waits_for_an_id_does_not_stand_for_the_task(tmp_path):
    """`watch http` without one asks nobody: the URL with the id in it is the only thing that could stand for it."""
    asked = ("--ask-url", "https://x.test/{+task_id}", "--state", "s", "--succeeded", "d")
    ended = ringback("watch", "http", *asked, cwd=tmp_path)
    assert (ended.code, "http needs a TASK_ID" in ended.sentence) == (2, True)


async def test_a_daemon_follows_an_api_that_came_with_the_registration(vendor, tmp_path):
    """By `watch http`, by the API and by `[[watches]]`; nothing of how to ask is shown."""
    for task in ("t", "u", "v"):
        vendor.script(task, [_says("running", task_id=task), _says("finished", task_id=task, result=f"{task} is done")])
    read = {"state": "status", "states": {"running": "running", "finished": "succeeded"}, "result": "result"}
    headers = '{ "X-Key" = "hunter2" }'
    (tmp_path / "ringback.toml").write_text(
        f'[server]\nlisten = "127.0.0.1:0"\n[polling]\ninterval = "200ms"\nmin_interval = "100ms"\n'
        f'[[watches]]\nprovider = "http"\ntask_id = "v"\n'
        f'ask = {{ url = "{vendor.url}/302/browser/tasks/{{task_id}}", headers = {headers} }}\n'
        'read = { state = "status", states = { finished = "succeeded" }, result = "result" }\n'
    )
    async with Receiver(None, now=lambda: datetime.now(UTC)) as receiver:
        with serving(cwd=tmp_path) as (daemon, at):
            ended = await asyncio.to_thread(
                ringback, "watch", "http", "t", "--ask-url", f"{vendor.url}/302/browser/tasks/{{task_id}}",
                "--state", "status", "--succeeded", "finished", "--result", "result", "--header", "X-Key: hunter2",
                "--callback-url", f"{receiver.url}/t", "--url", at,
            )  # fmt: skip
            assert ended.code == 0, ended.err
            async with httpx.AsyncClient(base_url=at, trust_env=False) as api:
                ask = {"url": f"{vendor.url}/302/browser/tasks/u", "headers": {"X-Key": "hunter2"}}
                made = await api.post("/v1/watches", json={"provider": "http", "ask": ask, "read": read})
                assert made.status_code == 201, made.text
                assert made.json()["task_id"] == ask["url"]
                [callback] = await receiver.wait_for(1)
                watches = (await api.get("/v1/watches")).text
            assert callback.data["result"] == "t is done"
            assert callback.data["provider"] == "http"
            assert "hunter2" not in watches + callback.body.decode() + "".join(daemon.seen)
    assert {request.headers["x-key"] for request in vendor.requests} == {"hunter2"}
