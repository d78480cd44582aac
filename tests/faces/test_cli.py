"""The command line where no daemon is needed: the first page, errors in one sentence, commands that work alone."""

import fcntl
import inspect
import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import termios
import threading
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from standardwebhooks import Webhook

import ringback as package
from ringback.cli import exits, main, show
from ringback.cli.client import Daemon
from ringback.core import errors
from ringback.providers import shelf
from tests.faces.terminal import RINGBACK, URL, environ, ringback, running

SHIPPED = shelf.CATALOGUE / "302ai-browser.toml"


@contextmanager
def stranger(status, kind, body, port=0):
    """Something that answers on a port, and is no ringback daemon (or one that says what it is told)."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def every_command(app, names):
    """(name, command), those below another one included."""
    for name in names:
        yield name, app[name]
        yield from every_command(app[name], [below for below in app[name] if not below.startswith("-")])


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


# ---------------------------------------------------------------------- the first page


def test_the_first_page_names_every_command():
    """`ringback`, `ringback --help` and `-h` are the same page: every command with what it does."""
    shown = ringback("--help")
    assert (shown.code, shown.err) == (0, "")
    assert ringback().out == ringback("-h").out == shown.out
    for name in main.NAMES:
        assert f"\n  {name} " in shown.out


def test_every_command_explains_itself_with_an_example():
    """`--help` of each command is one line, an example, and every flag with what it means."""
    for name, command in every_command(main.app(), main.NAMES):
        assert re.search("Example: `.*ringback .*`", command.help), name
        arguments = command.assemble_argument_collection() if command.default_command else ()
        for argument in arguments:
            assert argument.parameter.help or not argument.show, f"{name} {argument.name} says nothing of itself"


def test_the_version():
    """`--version` says which ringback this is."""
    assert ringback("--version").out == f"ringback {package.__version__}\n"


@pytest.mark.parametrize(
    ("args", "heavy"),
    [
        ([["--help"]], ["cyclopts", "rich", "httpx", "fastapi", "pydantic", "apscheduler", "msgspec"]),
        ([["list", "--url", "http://127.0.0.1:1"]], ["rich", "httpx", "fastapi", "pydantic", "apscheduler"]),
    ],
    ids=["help", "list"],
)
def test_what_is_heavy_is_imported_only_where_it_is_needed(args, heavy):
    """The first page and the plain commands answer at once: nothing of the daemon is loaded for them."""
    code = f"import sys; from ringback.cli.main import main; main(*{args}); print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environ(), text=True, check=True)
    assert not set(heavy) & set(done.stdout.splitlines()[-1].split())


# ---------------------------------------------------------------------- errors in one sentence


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["lst"], "There is no command 'lst'.*Did you mean 'list'?"),
        (["--jsno"], "There is no option '--jsno'"),
        (["list", "--statee", "running"], "Unknown option: --statee. Did you mean --state? `ringback list --help`"),
        (["list", "--state", "runing"], 'Did you mean "running"?'),
        (["list", "--limit", "many"], 'unable to convert "many" into int'),
        (["serve", "now"], "There is no place for 'now'. `ringback serve --help` says how."),
        (["providers", "try", "302ai-browser"], "FILE requires an argument. `ringback providers try --help` says how."),
        (["store", "verfy", "x"], 'Did you mean "verify"?'),
        (["show"], "ID requires an argument. `ringback show --help` says how."),
        (["watch", "302ai-browser"], "302ai-browser needs a TASK_ID: the id that it answered with"),
        (["watch", "302ai-browser", "1", "--reopn"], "Unknown option: --reopn. Did you mean --reopen?"),
        (["watch", "302ai-browser", "1", "--meta", "team"], "--meta 'team' is no pair: write it as KEY=VALUE"),
        (["watch", "302ai-browser", "1", "--meta", "=b"], "--meta '=b' is no pair: write it as KEY=VALUE"),
        (["providers", "try", "http", "x"], "http has no preset: put the [ask] and [read] that you have in mind into"),
        (["simulate", "--preset", "http"], "http has no preset: put the [ask] and [read] that you have in mind into"),
        (["providers", "try", "302ai-browser", "x", "--http-status", "0"], 'Invalid value "0" for --http-status'),
        (["providers", "try", "302ai-browser", "x", "--http-status", "99999"], 'Invalid value "99999" for --http-'),
        (["watch", "302ai-browser", "1", "-"], "`-` stands alone"),
        (["watch", "302ai-browser", "-"], "no task id came in on standard input"),
        (["resend"], "Say which deliveries: either their ids, or --state, --destination and --since."),
        (["resend", "dlv_1", "--since", "2h"], "Say which deliveries: either their ids, or"),
        (["resend", "--state", "pending"], 'Invalid value "pending" for --state'),
        (["destinations", "tset", "team"], "There is no place for 'tset'. Did you mean 'test'? `ringback destinations"),
        (["destinations", "pause"], "NAME requires an argument. `ringback destinations pause --help` says how."),
        (["listen", "--fail", "503,5o3"], "--fail: '5o3' is no HTTP status from 200 to 599: write e.g. 503,503,200"),
        (["listen", "--fail", "100"], "--fail: '100' is no HTTP status"),
        (["listen", "--fail", "503,"], "--fail: '' is no HTTP status"),
        (["route", "--event", "task.faild"], "--event 'task.faild' is no type of event. Did you mean 'task.failed'?"),
        (["route", "--event", "done"], "is no type of event. There are task.queued, task.running"),
        (["route", "--event", "task.failed"], "--provider is missing: whose task is task.failed about?"),
        (["route", "--event", "task.failed", "--provider", "302ai-brwser"], "Did you mean '302ai-browser'?"),
        (["route", "--event", "task.failed", "--provider", "302ai-browser", "--meta", "x"], "--meta 'x' is no pair"),
        (["route", "--event", "provider.degraded", "--config", "no.toml"], "no.toml: cannot be read"),
        (["list", "--url", "127.0.0.1:8302"], "--url '127.0.0.1:8302' is no address: it looks like http://"),
        (["list", "--url", "http://[::1"], "is no address"),
        (["list", "--token", "new\nline"], "--token holds characters that no token has"),
        (["providers", "302ai-brwser"], "there is no provider '302ai-brwser'. Did you mean '302ai-browser'?"),
        (["providers", "try", "302ai-browser", "no.json"], "no.json cannot be read (No such file or directory)"),
        (["providers", "try", "302ai-browser", "-", "--header", "x"], "--header 'x' is no header"),
    ],
)
def test_a_slip_is_one_sentence_and_exit_2(args, sentence, tmp_path):
    """Usage errors say what to do, name the nearest word, and exit 2; nothing is on stdout."""
    ended = ringback(*args, cwd=tmp_path)
    assert ended.code == exits.USAGE
    assert ended.out == ""
    first, _, second = sentence.partition(".*")
    assert first in ended.sentence
    assert second in ended.sentence


def test_no_daemon_is_said_with_what_to_do():
    """When nothing listens, the sentence names the address, `ringback serve` and --url; exit 2."""
    url = f"http://127.0.0.1:{free_port()}"
    ended = ringback("list", RINGBACK_URL=url)
    assert ended.code == exits.USAGE
    assert ended.sentence == (
        f"No ringback daemon answers at {url}: start one with `ringback serve`, or name it with --url."
    )


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<h1>welcome</h1>"),
        (404, "text/html", b"no such page"),
        (301, "text/html", b""),
        (500, "application/json", b"{}"),
        (404, "application/problem+json", b"[not json"),
    ],
)
def test_a_wrong_url_is_said(status, kind, body):
    """Something else that answers at --url is told apart from a daemon; exit 2."""
    with stranger(status, kind, body) as url:
        ended = ringback("list", "--url", url)
    assert ended.code == exits.USAGE
    assert f"What answers at {url} is no ringback daemon (HTTP {status}, {kind})" in ended.sentence


def test_something_that_is_not_http_is_said():
    """A port that speaks another protocol is no daemon either."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def greet():
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"220 mail.example.org ESMTP\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        ended = ringback("list", "--url", url)
        thread.join()
    assert ended.code == exits.USAGE
    assert "is no ringback daemon (something that is not HTTP)" in ended.sentence


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, errors.Forbidden),
        (403, errors.Forbidden),
        (404, errors.UnknownName),
        (409, errors.Conflict),
        (422, errors.BadInput),
        (503, errors.SetupError),
    ],
)
def test_what_the_daemon_refuses_keeps_its_sentence_and_code(status, error):
    """A problem of the API is an exception of the tree, with the API's own sentence and code."""
    body = json.dumps({"detail": "do this instead", "code": "some_code"}).encode()
    with stranger(status, "application/problem+json", body) as url, pytest.raises(error) as raised:
        Daemon(url).get("/v1/watches")
    assert "do this instead" in raised.value.message
    assert raised.value.code == "some_code"


def test_following_outlives_a_restart_of_the_daemon():
    """`events --follow` says once that nobody answers, and goes on when somebody does."""

    def feed(task_id):
        data = {"provider": "302ai-browser", "task_id": task_id}
        event = {"timestamp": "2026-11-22T05:33:00.123Z", "type": "task.queued", "data": data}
        return 200, "application/json", json.dumps({"items": [event], "next": task_id}).encode()

    with ExitStack() as open_end:
        with stranger(*feed("before")) as url:
            followed = open_end.enter_context(running("events", "--follow", "--url", url))
            followed.awaited("task.queued .*before")
        followed.awaited(f"No ringback daemon answers at {url}.* Trying again until it does.")
        with stranger(*feed("after"), port=int(url.rpartition(":")[2])):
            followed.awaited("task.queued .*after")


def test_every_exception_has_an_exit_code():
    """Each class of the tree has the documented code; what is not of the tree is a mistake of ours, 70."""
    tree = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    codes = {kind.__name__: exits.code_of(kind("x")) for kind in tree if kind is not errors.RingbackError}
    assert codes == {
        "BadInput": 2,
        "UnknownName": 2,
        "Forbidden": 2,
        "Conflict": 2,
        "Stale": 2,
        "SettingsError": 2,
        "PresetError": 2,
        "Unreachable": 2,
        "SetupError": 6,
        "StoreError": 6,
        "StoreLocked": 6,
        "StoreFull": 6,
        "StoreBroken": 6,
        "StoreDamaged": 5,
    }
    assert exits.code_of(KeyError("x")) == 70


def test_a_mistake_of_ours_is_one_line_unless_debugging(monkeypatch, capsys):
    """An exception nobody foresaw exits 70 with a line that asks for a report; RINGBACK_DEBUG=1 adds where it was."""

    def breaks(_):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(main, "run", breaks)
    assert main.main([]) == 70
    said = capsys.readouterr().err
    assert "please report it (ZeroDivisionError: oops)" in said
    assert len(said.splitlines()) == 1
    monkeypatch.setenv("RINGBACK_DEBUG", "1")
    assert main.main([]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error():
    """`ringback ... | head -1` ends without a word."""
    command = f"{sys.executable} -m ringback.cli.main providers --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, env=environ(), check=True)
    assert done.stderr == b""
    assert int(done.stdout) == exits.PIPE


# ---------------------------------------------------------------------- what others say


def test_texts_of_others_cannot_drive_the_terminal():
    """Control characters of a provider's text never reach a terminal; long ones are cut in tables only."""
    assert show.clean("a\x1b]0;title\x07b\r\nc\u009bd") == "a]0;titleb cd"
    assert show.clean("x" * 200, at_most=10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (None, ""),
        ({"value": 3, "total": None, "fraction": None, "text": None}, "3"),
        ({"value": 3, "total": 10, "fraction": 0.3, "text": "opening\nthe page"}, "3/10: opening the page"),
        ({"value": None, "total": None, "fraction": 0.256, "text": None}, "26%"),
        ({"value": 0, "total": None, "fraction": None, "text": "begins"}, "begins"),
    ],
)
def test_progress_is_as_much_as_is_known(progress, shown):
    """A count, a share, a text: whatever the provider gives."""
    assert show.progress(progress) == shown


LONG = "x" * 90
PAGES = {
    "list": {
        **dict.fromkeys(("last_polled_at", "error", "problem", "result", "progress")),
        "id": f"w_{LONG}",
        "provider": "302ai-browser",
        "task_id": LONG,
        "state": "running",
    },
    "deliveries": {
        "id": f"dlv_{LONG}",
        "event_type": "task.succeeded",
        "destination": f"callback:{LONG}",
        "state": "discarded",
        "attempt_count": 13,
        "next_attempt_at": None,
    },
    "destinations": {
        **dict.fromkeys(("oldest_pending_at", "reason", "since")),
        "name": LONG,
        "type": "webhook",
        "state": "active",
        "pending": 0,
    },
}


@pytest.mark.parametrize("command", PAGES)
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_what_is_to_be_copied_is_whole(command, terminal):
    """On a terminal of 20 columns and through a pipe, one row is one line, and no id or name in it is cut."""
    body = json.dumps({"items": [PAGES[command]], "next": None}).encode()
    with stranger(200, "application/json", body) as url:
        out = _on_a_terminal(command, "--url", url) if terminal else ringback(command, "--url", url, COLUMNS="20").out
    row = re.sub(r"\x1b\[[0-9;]*m", "", out.splitlines()[1])
    whole = [text for text in PAGES[command].values() if isinstance(text, str) and LONG in text]
    assert whole
    assert all(text in row.split() for text in whole)


def _on_a_terminal(*args):
    """What a command writes to a terminal of 20 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
    env = environ(TERM="xterm")
    del env["COLUMNS"]
    with subprocess.Popen([*RINGBACK, *args], stdout=theirs, stdin=theirs, env=env) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while piece := os.read(ours, 4096):
                said += piece
        os.close(ours)
        assert process.wait(60) == 0
    return said.decode()


# ---------------------------------------------------------------------- commands that work alone


def test_listening_answers_as_it_is_told(tmp_path):
    """`listen --fail` gives the scripted answers to the first events, one after another, and then 200."""
    with running("listen", "--port", "0", "--fail", "503, 410,204", cwd=tmp_path) as receiver:
        url = receiver.awaited(URL)[0]
        answers = [httpx.post(url, json={"type": "task.failed"}, trust_env=False).status_code for _ in range(5)]
        assert answers == [503, 410, 204, 200, 200]
        assert httpx.post(url, content=b"no event", trust_env=False).status_code == 400
        receiver.awaited("task.failed .* -> 503")


def test_the_catalogue_is_listed_and_explained():
    """`providers` lists every preset, `providers ID` says how it is asked and read, --json has the API's shape."""
    assert "302ai-browser" in ringback("providers").out
    nobody = f"http://127.0.0.1:{free_port()}"
    explained = ringback("providers", "302ai-browser", "--url", nobody)
    assert "https://api.302.ai/302/browser/tasks/{task_id}" in explained.out
    assert explained.err == ""
    listed = json.loads(ringback("providers", "--json").out)
    one = json.loads(ringback("providers", "302ai-browser", "--json", "--url", nobody).out)
    assert one in listed["items"]
    assert listed["next"] is None


def test_a_stranger_in_the_daemons_place_does_not_matter_to_the_catalogue(tmp_path):
    """One who never answers, and one who says something else: what was learned is left out, and nothing goes wrong."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        running("listen", "--port", "0", cwd=tmp_path) as stranger,
    ):
        for url in (f"http://127.0.0.1:{silent.getsockname()[1]}", stranger.awaited(URL)[0]):
            said = ringback("providers", "302ai-browser", "--url", url)
            assert (said.code, said.err) == (0, "")
            assert "api.302.ai" in said.out
            assert "learned" not in said.out
    slip = ringback("providers", "302ai-browser", "--url", "nowhere")
    assert slip.sentence.startswith("--url 'nowhere' is no address")


def test_a_saved_answer_is_read():
    """`providers try` prints what the daemon would make of an answer, from a file or standard input."""
    answer = json.dumps({"task_id": "1", "status": "finished", "is_successful": False, "result": "見つからない"})
    said = json.loads(ringback("providers", "try", "302ai-browser", "-", stdin=answer).out)
    assert said["state"] == "failed"
    assert said["error"]["code"] == "unsuccessful"
    assert said["result"] == "見つからない"
    assert said["problem"] is None


def test_an_answer_that_says_nothing_is_a_problem(tmp_path):
    """A refused key and a vendor's error are problems, never states."""
    file = tmp_path / "answer"
    file.write_text('{"error": {"err_code": -10001, "message": "bad key", "type": "auth"}}')
    said = json.loads(ringback("providers", "try", "302ai-browser", file, "--http-status", "401").out)
    assert said["state"] is None
    assert said["problem"]["code"] == "unauthorized"


def test_a_limit_that_the_provider_sets_is_read_from_headers(tmp_path):
    """`--header` is part of the answer."""
    file = tmp_path / "answer"
    file.write_text("{}")
    args = ("providers", "try", "302ai-browser", file, "--http-status", "429", "--header", "Retry-After: 7")
    assert json.loads(ringback(*args).out)["problem"]["code"] == "rate_limited"


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n",
        "HTTP/2 429\nretry-after: 7\n\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 7\r\n\r\n",
        "HTTP/1.1 429\n\n",
    ],
)
def test_a_saved_head_is_read_too(head):
    """As `curl -i` prints it, or as an editor leaves it."""
    said = json.loads(ringback("providers", "try", "302ai-browser", "-", stdin=head + "{}").out)
    assert said["problem"]["code"] == "rate_limited"
    assert said["retry_after"] == ("7s" if "etry" in head else None)


def test_own_presets_are_checked(tmp_path):
    """`providers check` says of every file that it is good, or what is wrong with it; exit 1 on any."""
    good = ringback("providers", "check", SHIPPED)
    assert (good.code, good.err) == (0, "")
    bad = tmp_path / "mine.toml"
    bad.write_text('id = "mine"\ntitel = "x"\n')
    both = ringback("providers", "check", SHIPPED, bad)
    assert both.code == exits.FOUND
    assert "good: 302ai-browser" in both.out
    assert "titel" in both.err


def test_a_new_secret_signs():
    """`secret` prints a fresh Standard Webhooks secret each time."""
    first, second = ringback("secret").out.strip(), ringback("secret").out.strip()
    assert first != second
    Webhook(first)
