"""What is told when the configuration is wrong: everything, with its key, and never a secret."""

import os
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import config
from ringback.config import Settings, load
from ringback.core.errors import SettingsError

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
HIDDEN = "tiger-lily"
NO_URL = "{}: is no URL like https://host[:port][/path] (without user, password, spaces and #fragment)"
RATE = "ACCOUNTS__302AI__RATE"
WEBHOOK = f'type = "webhook"\nurl = "https://a.example"\nsecret = "{WHSEC}"\n'


@pytest.fixture
def problems(tmp_path):
    """Everything that is wrong with a text and with variables (without their prefix)."""

    def read(text="", **variables):
        path = tmp_path / "ringback.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError) as caught:
            load(path, {f"RINGBACK_{name}": value for name, value in variables.items()})
        assert caught.value.message == "\n".join(caught.value.problems)
        assert HIDDEN not in "".join(traceback.format_exception(caught.value))
        return list(caught.value.problems)

    return read


def test_all_problems_are_told_at_once(problems):
    """Every problem of file and environment, each with its key, in one go; none hides another."""
    found = problems(
        """
        [server]
        listen = "8302"
        [polling]
        intervall = "5s"
        interval = "2m"
        deadline = 5
        concurrency = "many"
        [accounts.302ai]
        rate = "fast"
        [accounts.Bad-Name]
        [destinations.builds]
        type = "pager"
        url = "ci.example.org"
        [destinations.hooks]
        type = "webhook"
        url = "ci.example.org"
        [[routes]]
        to = ["build"]
        [[watches]]
        provider = "302ai-browser"
        to = ["nobody"]
        account = "302a"
        """,
        POLING__INTERVAL="1s",
        STORE__RETAIN="for ever",
    )
    assert found == [
        "server.listen: '8302' is not host:port; write e.g. 127.0.0.1:8302, [::1]:8302 or 0.0.0.0:8302",
        "store.retain (RINGBACK_STORE__RETAIN): 'for ever' is not a duration; write e.g. 200ms, 5s, 10m, 2h or 7d",
        "polling.interval: 120s is above polling.max_interval (60s)",
        "polling.concurrency: must be a whole number",
        'polling.deadline: 5 is not a duration; write e.g. "5s"',
        "polling.intervall: unknown key. Did you mean 'polling.interval'?",
        'accounts.302ai.rate: \'fast\' is not a rate; write e.g. "50/s", "10/m" or "unlimited"',
        "accounts.Bad-Name: 'Bad-Name' is not a name; use a to z, 0 to 9 and _",
        "destinations.builds.type: must be 'webhook', 'slack', 'email' or 'apprise'",
        NO_URL.format("destinations.hooks.url"),
        "destinations.hooks.secret: is missing: `ringback secret` makes one; give it to the receiver too",
        "watches[0].task_id: is missing",
        "poling (RINGBACK_POLING__INTERVAL): unknown key. Did you mean 'RINGBACK_POLLING__INTERVAL'?",
        "routes[0].to: there is no [destinations.build]. Did you mean 'builds'?",
        "watches[0].to: there is no [destinations.nobody].",
        "watches[0].account: there is no [accounts.302a]. Did you mean '302ai'?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[poling]\ninterval = "5s"', "poling: unknown key. Did you mean 'polling'?"),
        ('interval = "5s"', "interval: unknown key. Did you mean 'polling.interval'?"),
        ("[server]\nlissten = 1", "server.lissten: unknown key. Did you mean 'server.listen'?"),
        ("[server]\nqqq = 1", "server.qqq: unknown key. Known here: listen, public_url, shutdown_grace"),
        ('[accounts.a]\nbaseurl = "x"', "accounts.a.baseurl: unknown key. Did you mean 'accounts.a.base_url'?"),
        ('[accounts.a]\napikey = "x"', "accounts.a.apikey: unknown key. Did you mean 'accounts.a.api_key'?"),
        ('[accounts.a]\napi-key = "x"', "accounts.a.api-key: unknown key. Did you mean 'accounts.a.api_key'?"),
        ('[accounts.a]\napi_kye_file = "x"', "accounts.a.api_kye: unknown key. Did you mean 'accounts.a.api_key'?"),
        ('[accounts.a]\nrates = "1/s"', "accounts.a.rates: unknown key. Did you mean 'accounts.a.rate'?"),
        ("[callbacks]\nqqq = 5", "callbacks.qqq: unknown key. Known here: secret, secret_file"),
        ("[accounts.a.headrs]\nx = 'y'", "accounts.a.headrs: unknown key. Did you mean 'accounts.a.headers'?"),
        ("[[routes]]\nto = []\nevent = 1", "routes[0].event: unknown key. Did you mean 'routes[0].events'?"),
    ],
)
def test_an_unknown_key_is_told_the_nearest(problems, text, problem):
    """A slip of the pen is not passed over; the key that was meant is named, if one is near."""
    assert problem in problems(text)


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        (
            "SERVER__LISTN",
            "server.listn (RINGBACK_SERVER__LISTN): unknown key. Did you mean 'RINGBACK_SERVER__LISTEN'?",
        ),
        ("SERVR__LISTEN", "servr (RINGBACK_SERVR__LISTEN): unknown key. Did you mean 'RINGBACK_SERVER__LISTEN'?"),
        (
            "POLLING_INTERVAL",
            "polling_interval (RINGBACK_POLLING_INTERVAL): unknown key. Did you mean 'RINGBACK_POLLING__INTERVAL'?",
        ),
        (
            f"{RATE}S",
            f"accounts.302ai.rates (RINGBACK_{RATE}S): unknown key. Did you mean 'RINGBACK_{RATE}'?",
        ),
        ("XYZZY", "xyzzy (RINGBACK_XYZZY): unknown key."),
        ("SERVER_PORT", "server_port (RINGBACK_SERVER_PORT): unknown key. Did you mean 'RINGBACK_SERVER'?"),
        ("SERVER", "server (RINGBACK_SERVER): must be a table"),
        ("ROUTES", 'routes (RINGBACK_ROUTES): must be a list, e.g. ["one", "two"]'),
    ],
)
def test_a_variable_is_told_by_its_name(problems, variable, problem):
    """What came from the environment is told as the variable that it came from."""
    assert problems("", **{variable: "x"}) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[server]\nlisten = ":8302"', "server.listen: ':8302' is not host:port"),
        ('[server]\nlisten = "::1:8302"', "server.listen: '::1:8302' is not host:port"),
        ('[server]\nlisten = "127.0.0.1:99999"', "server.listen: '127.0.0.1:99999' is not host:port"),
        ("[server]\nlisten = 8302", "server.listen: must be text in quotes"),
        ('[server]\nshutdown_grace = "-5s"', "server.shutdown_grace: '-5s' is not a duration"),
        ('[server]\npublic_url = "ringback"', "server.public_url: is no URL"),
        ("server = 5", "server: must be a table"),
        ("tokens = []", "tokens: must be a table"),
        ("[tokens.ci]", "tokens.ci.secret: is missing"),
        (
            '[accounts.a]\napi_key_command = "nosuch x"',
            "accounts.a.api_key_command: there is no program nosuch",
        ),
        (
            '[accounts.a]\napi_key = "k"\napi_key_command = "true"',
            "accounts.a.api_key: is given twice, by command",
        ),
        ('[tokens.ci]\nsecret = " "', "tokens.ci.secret: is empty: give the secret, or leave the key out"),
        ("[tokens.ci]\nsecret = 5", "tokens.ci.secret: must be text in quotes"),
        ('[tokens.ci]\nsecret = "a"\nscope = "read"', "tokens.ci.scope: must be 'admin' or 'own'"),
        ('[tokens.ci]\nsecret = "a"\naccounts = ["x"]', "tokens.ci.accounts: there is no [accounts.x]."),
        ('[tokens.a]\nsecret = "x"\n[tokens.b]\nsecret = "x"', "tokens.b.secret: is that of [tokens.a] too"),
        ('[tokens.a]\nsecret_file = ""', "tokens.a.secret: its file must be a path in quotes"),
        ("[tokens.a]\nsecret_file = 5", "tokens.a.secret: its file must be a path in quotes"),
        ('[tokens.a]\nsecret_file = "/no/such"', "tokens.a.secret: the secret file /no/such cannot be read"),
        ('[tokens.a]\nsecret = "a"\nsecret_file = "/no"', "tokens.a.secret: is given twice, by value and by file"),
        ('[store]\nurl = "postgresql://x"', "store.url: is no store; write json:DIRECTORY"),
        ('[store]\nurl = "json:"', "store.url: is no store; write json:DIRECTORY"),
        ("[store]\nretain_max = -1", "store.retain_max: must be at least 0"),
        ("[store]\nretain_max = 1.5", "store.retain_max: must be a whole number"),
        ('[store]\nretain = "4000d"', "store.retain: '4000d' is too long; the longest duration is 3650d"),
        ('[polling]\ncadence = "backoff"', "polling.cadence: must be 'learned' or 'fixed'"),
        ('[polling]\ninterval = "500ms"', "polling.interval: 0.5s is below polling.min_interval (1s)"),
        ('[polling]\nmin_interval = "10s"', "polling.interval: 5s is below polling.min_interval (10s)"),
        ('[polling]\nmax_interval = "2s"', "polling.interval: 5s is above polling.max_interval (2s)"),
        ('[polling]\nmin_interval = "0s"', "polling.min_interval: must be longer than nothing"),
        ("[polling]\nconcurrency = 0", "polling.concurrency: must be at least 1"),
        ("[polling]\nconcurrency = 100000", "polling.concurrency: must be at most 10000"),
        ('[accounts.a]\nvendor = "A B"', "accounts.a.vendor: 'A B' is not a name"),
        ('[accounts.a]\nbase_url = "api.example"', "accounts.a.base_url: is no URL"),
        ('[accounts.a]\nbase_url = "https://a.example/?x"', "accounts.a.base_url: must have neither ?query nor .."),
        ('[accounts.a]\nbase_url = "https://a.example/../x"', "accounts.a.base_url: must have neither ?query nor .."),
        ('[accounts.a]\nrate = "0/s"', "accounts.a.rate: must be above 0 and at most 10000/s"),
        ('[accounts.a]\nrate = "10001/s"', "accounts.a.rate: must be above 0 and at most 10000/s"),
        ("[accounts.a]\nrate = 5", "accounts.a.rate: '5' is not a rate"),
        ('[accounts.a]\nheaders = "x"', "accounts.a.headers: must be a table"),
        ("[accounts.a.headers]\nx = 5", "accounts.a.headers.x: must be text in quotes"),
        ('[accounts.a.headers]\nhost = "x"', "accounts.a.headers: the header host is set by ringback itself"),
        ('[accounts.a.headers]\nx = "a\\nb"', "accounts.a.headers: the value of the header x cannot be sent"),
        ("[accounts.a.params]\nx = 5", "accounts.a.params.x: must be text in quotes"),
        ('[accounts.a]\nca_file = "/no/such"', "accounts.a.ca_file: the CA file /no/such cannot be used (No such file"),
        ('[accounts.a]\nca_file = "ringback.toml"', "accounts.a.ca_file: the CA file ringback.toml cannot be used"),
        ('[accounts.a]\nproxy = "socks5://a.example:1"', "accounts.a.proxy: is no proxy like http://"),
        ('[accounts.a]\nproxy = "http://a.example/x"', "accounts.a.proxy: is no proxy like http://"),
        ("[accounts]\na = 5", "accounts.a: must be a table"),
        (f"[destinations.d]\nurl = 'https://a.example'\nsecret = '{WHSEC}'", "destinations.d.type: is missing"),
        (
            f"[destinations.d]\n{WEBHOOK}headers = {{ webhook-id = 'x' }}",
            "destinations.d.headers: the header webhook-id",
        ),
        (f"[destinations.d]\n{WEBHOOK}format = 'xml'", "destinations.d.format: must be 'standard' or 'cloudevents'"),
        (f"[destinations.d]\n{WEBHOOK}events = []", "destinations.d.events: must not be empty"),
        (f"[destinations.d]\n{WEBHOOK}events = 'task.*'", "destinations.d.events: must be a list"),
        (
            f"[destinations.d]\n{WEBHOOK}events = ['task.fail']",
            "destinations.d.events: 'task.fail' names no event. Did you mean 'task.failed'?",
        ),
        (f"[destinations.d]\n{WEBHOOK}retry = ['5s', 'x']", "destinations.d.retry[1]: 'x' is not a duration"),
        (f"[destinations.d]\n{WEBHOOK}retry = {['1s'] * 65}", "destinations.d.retry: must not have more than 64 items"),
        (f"[destinations.d]\n{WEBHOOK}concurrency = true", "destinations.d.concurrency: must be"),
        (f"[destinations.d]\n{WEBHOOK}secrets = ['{OTHER}']", "destinations.d.secret: stands beside `secrets`"),
        (f"[destinations.d]\n{WEBHOOK}rate = 5", "destinations.d.rate: '5' is not a rate"),
        ("[egress]\nallow = '10.0.0.0/8'", "egress.allow: must be a list"),
        ("[egress]\nproxy = 'socks5://a.example:1'", "egress.proxy: is no proxy like http://"),
        (
            "[destinations.d]\ntype='webhook'\nurl='https://a.example'\nsecret='x'",
            "destinations.d.secret: a signing secret",
        ),
        (
            "[destinations.d]\ntype='webhook'\nurl='https://a.example'\nsecret='whsec_c2hvcnQ='",
            "destinations.d.secret: a signing secret holds 24 to 64 random bytes, not 5",
        ),
        (
            "[destinations.d]\ntype='webhook'\nurl='https://a.example'\nsecrets=[]",
            "destinations.d.secret: is missing: `ringback secret` makes one",
        ),
        (
            "[destinations.d]\ntype='webhook'\nurl='https://a.example'\nsecrets_file=['/no/such']",
            "destinations.d.secrets[0]: the secret file /no/such cannot be read",
        ),
        ("[[routes]]\nto = []", "routes[0].to: must not be empty"),
        ("[[routes]]\nto = 'x'", "routes[0].to: must be a list"),
        ("[routes]\nto = ['x']", "routes: must be a list"),
        ("[[routes]]\nto = ['a', 'b']", "routes[0].to: there is no [destinations.b]."),
        ("[[watches]]\nprovider = 'p'\ntask_id = ''", "watches[0].task_id: must be the id that the provider answered"),
        (
            "[[watches]]\nprovider = 'p'\ntask_id = true",
            "watches[0].task_id: must be the id that the provider answered",
        ),
        ("[[watches]]\nprovider = ''\ntask_id = '1'", "watches[0].provider: must not be empty"),
        ("[[watches]]\nprovider = 'p'\ntask_id = '1'\nreopen = 'x'", "watches[0].reopen: must be true or false"),
        ("[callbacks]\nsecret = 'x'", "callbacks.secret: a signing secret starts with whsec_"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(problems, text, problem, monkeypatch, tmp_path):
    """Each kind of value has a sentence that says what it must be."""
    monkeypatch.chdir(tmp_path)
    assert any(found.startswith(problem) for found in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[server\n", "is not TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
        (b'[server]\nlisten = "a"\nlisten = "b"\n', "is not TOML: Cannot overwrite a value (at line 3, column 13)"),
        (b"[server]\nlisten = \xff\n", "is not UTF-8 text at byte 18"),
        (b"x = " + b"[" * 20_000, "is not TOML: "),
        (None, "cannot be read (No such file or directory); name another file with --config"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_where(tmp_path, content, sentence):
    """Syntax is told by line and column, everything else by what it is."""
    path = tmp_path / "ringback.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load(path, {})
    assert caught.value.message.startswith(f"{path}: {sentence}")


def test_a_byte_order_mark_and_foreign_newlines_are_forgiven(tmp_path):
    """What editors on other systems put into a file is no error."""
    path = tmp_path / "ringback.toml"
    path.write_bytes(b'\xef\xbb\xbf[server]\r\nlisten = "127.0.0.1:1"\r\n')
    assert load(path, {}).server.port == 1


_NAMES = [part for key in config.keys(Settings) for part in key.split(".") if part != "*"]
_KEYS = st.sampled_from([*_NAMES, "a", "302ai", "", "x_file", "É"])
_TEXTS = st.text() | st.sampled_from(
    ["5s", WHSEC, "webhook", "slack", "email", "apprise", "ntfy://a", "a@b.example", "a"]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


def _problems_of(make):
    """What is wrong, nothing when all is well. Any other exception is a defect."""
    try:
        make()
    except SettingsError as error:
        return error.problems
    return ["none: all is well"]


@given(st.dictionaries(st.sampled_from(sorted(Settings.model_fields)) | _KEYS, _VALUES, max_size=4))
def test_whatever_it_says_is_settings_or_problems(tree):
    """No configuration ends in anything but settings, or in problems with their keys."""
    found = _problems_of(lambda: Settings(**tree))
    assert found
    assert all(": " in problem for problem in found)


@given(st.dictionaries(st.text(alphabet="SERVERLISTENP_", max_size=20).map("RINGBACK_{}".format), st.text(max_size=8)))
def test_whatever_the_environment_says_is_settings_or_problems(environ):
    """No environment does either."""
    assert _problems_of(lambda: load(Path(os.devnull), environ))


WRONG_WITH_SECRETS = f"""
    [server]
    public_url = "https://user:{HIDDEN}@a.example"
    [tokens.ci]
    secret = ["{HIDDEN}"]
    scope = "every"
    [tokens.one]
    secret = "{HIDDEN}"
    [tokens.two]
    secret = "{HIDDEN}"
    [accounts.302ai]
    api_kye = "{HIDDEN}"
    api_key = {{ value = "{HIDDEN}" }}
    secret_key = ["{HIDDEN}"]
    base_url = "https://a.example/?key={HIDDEN}"
    proxy = "socks5://user:{HIDDEN}@proxy.example"
    headers = {{ "X-Key" = "{HIDDEN}ö" }}
    [destinations.d]
    type = "webhook"
    url = "https://user:{HIDDEN}@a.example/{HIDDEN}"
    secret = "{HIDDEN}"
    secrets = ["{HIDDEN}", 5]
    [destinations.team]
    type = "slack"
    webhook_url = "hooks.slack.com/{HIDDEN}"
    bot_token = ["{HIDDEN}"]
    [destinations.oncall]
    type = "email"
    to = []
    from = "x"
    smtp = "smtp://user:{HIDDEN}@a.example"
    smtp_password = 5
    [destinations.phone]
    type = "apprise"
    url = "json://{HIDDEN}"
    [egress]
    proxy = "{HIDDEN}"
    [[watches]]
    provider = "p"
    task_id = "1"
    callback_url = "ftp://a.example/{HIDDEN}"
    callback_secret = "whsec_{HIDDEN}"
    [callbacks]
    secret = "whsec_{HIDDEN}"
    """


def test_no_problem_tells_a_secret(problems):
    """However wrong the place that a secret stands in, neither the problem nor a traceback repeats it."""
    assert len(problems(WRONG_WITH_SECRETS)) > 19
    assert problems(
        WRONG_WITH_SECRETS,
        CALLBACKS__SECRETS=HIDDEN,
        ACCOUNTS__302AI__API_KEY__X=HIDDEN,
        DESTINATIONS__E__URL=HIDDEN,
        ROUTES=HIDDEN,
        WATCHES=f'["{HIDDEN}"]',
    )
    assert problems(WRONG_WITH_SECRETS, TOKENS=HIDDEN, ACCOUNTS=HIDDEN)
