"""The configuration: where it comes from, who wins, what is told when it is wrong, and what is never told."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from pydantic import ValidationError

from ringback import config
from ringback.config import Rate, Settings, load
from ringback.credentials import Secret

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
HIDDEN = "tiger-lily"


@pytest.fixture
def write(tmp_path):
    """Write a configuration file and give its path."""

    def put(text, name="ringback.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture
def settings(write):
    """The settings of a text and of variables (without their prefix)."""

    def read(text="", **variables):
        return load(write(text), {f"RINGBACK_{name}": value for name, value in variables.items()})

    return read


# ---------------------------------------------------------------------- where it comes from


def test_without_anything_there_are_the_defaults(tmp_path, monkeypatch):
    """No file and no variable: what contract and reference name as defaults, and it runs."""
    monkeypatch.chdir(tmp_path)
    made = load(None, {})
    assert made.source is None
    assert (made.server.host, made.server.port, made.server.loopback) == ("127.0.0.1", 8302, True)
    assert (made.server.public_url, made.server.shutdown_grace) == ("", timedelta(seconds=20))
    assert made.store.directory == Path("ringback-data")
    assert (made.store.retain, made.store.retain_max) == (timedelta(hours=48), 50_000)
    assert dict(made.polling) == {
        "cadence": "learned",
        "interval": timedelta(seconds=5),
        "min_interval": timedelta(seconds=1),
        "max_interval": timedelta(seconds=60),
        "concurrency": 256,
        "deadline": timedelta(hours=24),
        "stalled_after": timedelta(minutes=30),
    }
    assert (made.tokens, made.accounts, made.destinations, made.routes, made.watches) == ({}, {}, {}, (), ())
    assert made.callbacks.secret is None
    assert (made.egress.allow, made.egress.proxy) == ((), "")


def test_the_first_file_that_is_there_is_read(write, tmp_path, monkeypatch):
    """The file that is named, else RINGBACK_CONFIG, else ./ringback.toml, else the one in /etc, else none."""
    monkeypatch.chdir(tmp_path)
    etc = tmp_path / "etc" / "ringback.toml"
    monkeypatch.setattr(config, "PLACES", (config.PLACES[0], etc))
    assert config.find(None, {}) is None
    etc.parent.mkdir()
    etc.write_text("")
    assert config.find(None, {}) == etc
    write("")
    assert config.find(None, {}) == Path("ringback.toml")
    assert config.find(None, {"RINGBACK_CONFIG": ""}) == Path("ringback.toml")
    assert config.find(None, {"RINGBACK_CONFIG": "named.toml"}) == Path("named.toml")
    assert config.find(Path("asked.toml"), {"RINGBACK_CONFIG": "named.toml"}) == Path("asked.toml")
    named = write('[server]\nlisten = "127.0.0.1:1"', "named.toml")
    made = load(None, {"RINGBACK_CONFIG": str(named)})
    assert (made.source, made.server.port) == (named, 1)


def test_the_places_are_those_of_the_manual():
    """Where a file is looked for is a promise to packagers."""
    assert (Path("ringback.toml"), Path("/etc/ringback/ringback.toml")) == config.PLACES


def test_the_environment_is_only_what_is_handed_in(monkeypatch, settings):
    """What stands in the process's own environment is not read behind anybody's back."""
    monkeypatch.setenv("RINGBACK_SERVER__LISTEN", "127.0.0.1:1")
    monkeypatch.setenv("SERVER", "nonsense")
    monkeypatch.setenv("server__listen", "127.0.0.1:2")
    assert settings().server.port == 8302
    assert Settings().server.port == 8302


def test_the_environment_wins_key_by_key(settings):
    """A variable replaces its key and leaves all others of the file as they are."""
    made = settings(
        f"""
        [polling]
        interval = "7s"
        concurrency = 3
        [accounts.302ai]
        api_key = "of the file"
        rate = "1/s"
        [accounts.other]
        api_key = "kept"
        [destinations.builds]
        type = "webhook"
        url = "https://a.example"
        secret = "{WHSEC}"
        """,
        POLLING__INTERVAL="9s",
        ACCOUNTS__302AI__API_KEY="of the environment",
        ACCOUNTS__NEW__API_KEY="12345",
        DESTINATIONS__BUILDS__CONCURRENCY="2",
        TOKENS__CI__SECRET="token",
    )
    assert (made.polling.interval, made.polling.concurrency) == (timedelta(seconds=9), 3)
    keys = {name: account.credentials["api_key"].reveal() for name, account in made.accounts.items()}
    assert keys == {"302ai": "of the environment", "other": "kept", "new": "12345"}
    assert made.accounts["302ai"].rate == Rate(1.0)
    assert (made.destinations["builds"].url, made.destinations["builds"].concurrency) == ("https://a.example", 2)
    assert made.tokens["ci"].secret.reveal() == "token"


def test_lists_and_tables_are_json_in_the_environment(settings):
    """Every key can be set by a variable, also those that are no plain text."""
    made = settings(
        DESTINATIONS__A__TYPE="webhook",
        DESTINATIONS__A__URL="https://a.example",
        DESTINATIONS__A__SECRETS=json.dumps([WHSEC, OTHER]),
        DESTINATIONS__A__HEADERS='{"X-Team": "video"}',
        DESTINATIONS__A__RETRY='["5s", "1m"]',
        DESTINATIONS__A__EVENTS='["task.*"]',
        ACCOUNTS__302AI__PARAMS__REGION="eu",
        ACCOUNTS__302AI__API_KEY='{"like": "json"}',
        ROUTES='[{"to": ["a"], "metadata": {"team": "video"}}]',
        WATCHES='[{"provider": "302ai-browser", "task_id": 5, "to": ["a"], "reopen": true}]',
    )
    to = made.destinations["a"]
    assert [secret.reveal() for secret in to.signing_secrets] == [WHSEC, OTHER]
    assert (to.headers, to.retry, to.events) == (
        {"X-Team": "video"},
        (timedelta(seconds=5), timedelta(minutes=1)),
        ("task.*",),
    )
    assert made.accounts["302ai"].params == {"region": "eu"}
    assert made.accounts["302ai"].credentials["api_key"].reveal() == '{"like": "json"}'
    assert (made.routes[0].to, made.routes[0].metadata) == (("a",), {"team": "video"})
    assert (made.watches[0].task_id, made.watches[0].reopen) == (5, True)


def test_variables_that_are_no_settings_are_left_alone(settings):
    """What the command line reads, and what Kubernetes puts beside a Service named ringback, is no unknown key."""
    assert settings(
        CONFIG="x",
        URL="http://127.0.0.1:8302",
        TOKEN="x",
        DEBUG="1",
        SERVICE_HOST="10.0.0.1",
        SERVICE_PORT="8302",
        SERVICE_PORT_HTTP="8302",
        PORT="tcp://10.0.0.1:8302",
        PORT_8302_TCP="tcp://10.0.0.1:8302",
        PORT_8302_TCP_ADDR="10.0.0.1",
        PORT_8302_TCP_PROTO="tcp",
        DASHBOARD_SERVICE_HOST="10.0.0.2",
        DASHBOARD_PORT="tcp://10.0.0.2:80",
    )


# ---------------------------------------------------------------------- what it may say


def test_everything_can_be_said(settings, tmp_path):
    """All that the contract shows of the parts that are there is read into its value."""
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    made = settings(
        f"""
        [server]
        listen = "[::1]:9000"
        public_url = "https://ringback.example.org/"
        shutdown_grace = "0s"
        [tokens.ci]
        secret = "rb_x"
        scope = "own"
        accounts = ["302ai"]
        [store]
        url = "json:/var/lib/ringback"
        retain = "0s"
        retain_max = 0
        [polling]
        cadence = "fixed"
        interval = "200ms"
        min_interval = "100ms"
        max_interval = "200ms"
        concurrency = 1
        deadline = "7d"
        stalled_after = "1m"
        [accounts.302ai]
        access_key = "a"
        secret_key = "s"
        app_key = "k"
        token = "t"
        base_url = "https://gateway.example/302/"
        rate = "unlimited"
        headers = {{ "X-Team" = "video" }}
        params = {{ region = "eu" }}
        ca_file = "{authority}"
        proxy = "http://user:password@proxy.example:3128"
        [accounts.second]
        vendor = "302ai"
        rate = "30/m"
        [destinations.builds]
        type = "webhook"
        url = "https://ci.example.org/hooks/ringback?x=1"
        secret = "{WHSEC}"
        format = "standard"
        retry = []
        events = ["task.*", "destination.paused"]
        concurrency = 1
        [[routes]]
        to = ["builds"]
        events = ["*"]
        providers = ["302ai-*"]
        metadata = {{ team = "video" }}
        [[watches]]
        provider = "302ai-browser"
        task_id = "1"
        account = "second"
        params = {{ region = "eu" }}
        callback_url = "https://app.example/done"
        callback_secret = "{OTHER}"
        to = []
        events = ["task.failed"]
        metadata = {{ a = "b" }}
        deadline = "2h"
        interval = "10s"
        [callbacks]
        secret = "{OTHER}"
        [egress]
        allow = ["10.1.0.0/16", "fd00::/8", "ci.internal", "ci.internal:8443", "10.2.3.4:80", "[fd00::1]:80"]
        proxy = "http://user:password@proxy.example:3128"
        """
    )
    assert len(made.egress.allow) == 6
    assert made.egress.proxy == "http://user:password@proxy.example:3128"
    assert (made.server.host, made.server.port, made.server.loopback) == ("::1", 9000, True)
    assert made.server.public_url == "https://ringback.example.org"
    assert (made.tokens["ci"].scope, made.tokens["ci"].accounts) == ("own", ("302ai",))
    assert made.store.directory == Path("/var/lib/ringback")
    assert (made.store.retain, made.store.retain_max) == (timedelta(), 0)
    account = made.accounts["302ai"]
    assert {name: secret.reveal() for name, secret in account.credentials.items()} == {
        "access_key": "a",
        "secret_key": "s",
        "app_key": "k",
        "token": "t",
    }
    assert (account.vendor, account.base_url, account.rate) == (None, "https://gateway.example/302", Rate(None))
    assert (account.params, account.ca_file) == ({"region": "eu"}, str(authority))
    assert account.proxy == "http://user:password@proxy.example:3128"
    assert (made.accounts["second"].vendor, made.accounts["second"].rate) == ("302ai", Rate(0.5))
    assert made.destinations["builds"].retry == ()
    assert made.routes[0].events == ("*",)
    watch = made.watches[0]
    assert (watch.to, watch.deadline, watch.interval) == ((), timedelta(hours=2), timedelta(seconds=10))
    assert watch.callback_secret.reveal() == made.callbacks.secret.reveal() == OTHER


@pytest.mark.parametrize(
    ("listen", "loopback"),
    [
        ("127.0.0.1:0", True),
        ("127.9.9.9:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.168.1.1:1", False),
        ("ringback:1", False),
    ],
)
def test_loopback_is_what_nobody_else_reaches(settings, listen, loopback):
    """Only loopback needs no token, so what is loopback is read strictly."""
    assert settings(f'[server]\nlisten = "{listen}"').server.loopback == loopback


@pytest.mark.parametrize(("text", "per_second"), [("50/s", 50), ("10/m", 1 / 6), ("36/h", 0.01), ("0.5/s", 0.5)])
def test_a_rate_is_so_many_in_a_while(settings, text, per_second):
    """Rates are given by second, minute or hour."""
    assert settings(f'[accounts.a]\nrate = "{text}"').accounts["a"].rate == Rate(pytest.approx(per_second))


def test_settings_stay_as_they_are(settings):
    """Nobody changes a setting behind the others' backs."""
    made = settings()
    for section, key in ((made, "polling"), (made.server, "listen")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, None)


# ---------------------------------------------------------------------- secrets


def test_every_secret_can_stand_in_a_file(settings, tmp_path):
    """Each `<key>_file` is read, and read again when it changes; `secrets_file` is a list of them."""
    files = {name: tmp_path / name for name in ("token", "key", "extra", "hook", "new", "old", "callback", "watch")}
    for name, file in files.items():
        file.write_text(f"{name}\n" if name in ("token", "key", "extra") else f"{WHSEC}\n")
    made = settings(
        f"""
        [tokens.ci]
        secret_file = "{files["token"]}"
        [accounts.302ai]
        api_key_file = "{files["key"]}"
        secret_key_file = "{files["extra"]}"
        [destinations.one]
        type = "webhook"
        url = "https://a.example"
        secret_file = "{files["hook"]}"
        [destinations.two]
        type = "webhook"
        url = "https://a.example"
        secrets_file = ["{files["new"]}", "{files["old"]}"]
        [[watches]]
        provider = "p"
        task_id = "1"
        callback_url = "https://a.example"
        callback_secret_file = "{files["watch"]}"
        """,
        CALLBACKS__SECRET_FILE=str(files["callback"]),
    )
    assert made.tokens["ci"].secret.reveal() == "token"
    keys = made.accounts["302ai"].credentials
    assert {name: secret.reveal() for name, secret in keys.items()} == {"api_key": "key", "secret_key": "extra"}
    files["key"].write_text("rotated")
    assert keys["api_key"].reveal() == "rotated"
    assert [secret.file for secret in made.destinations["one"].signing_secrets] == [str(files["hook"])]
    both = [secret.file for secret in made.destinations["two"].signing_secrets]
    assert both == [str(files["new"]), str(files["old"])]
    assert made.callbacks.secret.file == str(files["callback"])
    assert made.watches[0].callback_secret.reveal() == WHSEC


def test_a_secret_of_the_environment_replaces_the_file_s_in_every_form(settings, tmp_path):
    """By value or by file, one or several: what the environment gives is the secret."""
    file = tmp_path / "key"
    file.write_text("by file")
    text = f"""
        [accounts.one]
        api_key = "by value"
        [accounts.two]
        api_key_file = "/nonexistent"
        [destinations.d]
        type = "webhook"
        url = "https://a.example"
        secrets = ["{OTHER}"]
        """
    made = settings(
        text, ACCOUNTS__ONE__API_KEY_FILE=str(file), ACCOUNTS__TWO__API_KEY="of", DESTINATIONS__D__SECRET=WHSEC
    )
    assert made.accounts["one"].credentials["api_key"].reveal() == "by file"
    assert made.accounts["two"].credentials["api_key"].reveal() == "of"
    assert [secret.reveal() for secret in made.destinations["d"].signing_secrets] == [WHSEC]


def test_no_secret_is_ever_shown(settings):
    """Neither printing nor dumping settings gives away a key, a password, a header or the path of a URL."""
    made = settings(
        f"""
        [tokens.ci]
        secret = "{HIDDEN}"
        [accounts.302ai]
        api_key = "{HIDDEN}"
        secret_key = "{HIDDEN}"
        headers = {{ "X-Key" = "{HIDDEN}" }}
        params = {{ key = "{HIDDEN}" }}
        proxy = "http://user:{HIDDEN}@proxy.example:1"
        [destinations.d]
        type = "webhook"
        url = "https://a.example/{HIDDEN}"
        secret = "{WHSEC}"
        headers = {{ "X-Key" = "{HIDDEN}" }}
        [[watches]]
        provider = "p"
        task_id = "1"
        callback_url = "https://a.example/{HIDDEN}"
        callback_secret = "{WHSEC}"
        [callbacks]
        secret = "{OTHER}"
        """
    )
    shown = "".join([repr(made), str(made), str(made.model_dump()), made.model_dump_json(), repr(dict(made))])
    for hidden in (HIDDEN, WHSEC, OTHER):
        assert hidden not in shown
    assert "'***'" in shown


def test_a_secret_in_settings_is_a_secret():
    """Settings hand on the Secret, not its value, so that a file is read when it is needed."""
    made = Settings(accounts={"a": {"api_key": "x"}})
    assert made.accounts["a"].credentials == {"api_key": Secret("x")}
