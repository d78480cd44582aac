"""What can be said of each type of destination, what is refused, and what a configuration of them comes to."""

import sys
from datetime import timedelta

import pytest
import trustme

from ringback.config import Rate, Settings, keys, load
from ringback.core.advance import Rules
from ringback.core.errors import SettingsError
from ringback.core.model import EventType
from ringback.core.routing import targets, targets_about_ourselves
from ringback.credentials import Secret
from ringback.outbound import Outbound
from ringback.plan import callback_via, egress_of, plan, routes_of
from ringback.sinks.apprise import SCHEMES, AppriseSink
from ringback.sinks.email import EmailSink
from ringback.sinks.slack import SlackSink
from ringback.sinks.webhook import WebhookSink
from tests.given import watch

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""One of Apprise's services imports a package that does."""

WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WHSK = "whsk_" + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
HOOK = "https://hooks.slack.com/services/T0/B0/secret"
WEBHOOK = f'type = "webhook"\nurl = "https://a.example"\nsecret = "{WHSEC}"\n'
BY_WEBHOOK = f'type = "slack"\nwebhook_url = "{HOOK}"\n'
BY_BOT = 'type = "slack"\nbot_token = "xoxb-1"\nchannel = "#team"\n'
MAIL = 'type = "email"\nto = ["a@b.example"]\nfrom = "r@b.example"\n'
SERVER = 'smtp = "smtp+starttls://b.example"\n'
SERVICE = 'type = "apprise"\nurl = "ntfy://topic"\n'


@pytest.fixture
def read(tmp_path):
    """The settings of a text and of variables."""

    def settings(text="", **variables):
        path = tmp_path / "ringback.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, {f"RINGBACK_{name}": value for name, value in variables.items()})

    return settings


@pytest.fixture
def problems(read):
    """What is wrong with the table of a destination `d`."""

    def told(text, **variables):
        with pytest.raises(SettingsError) as caught:
            read(f"[destinations.d]\n{text}", **variables)
        return list(caught.value.problems)

    return told


# ---------------------------------------------------------------------- what may be said


def test_a_webhook_says_how_it_is_written_and_shown(read, tmp_path):
    """Format or template, rate, a client certificate, and secrets of both kinds."""
    pair = tmp_path / "client.pem"
    trustme.CA().issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(pair))
    to = read(
        f"""
        [destinations.one]
        type = "webhook"
        url = "https://a.example"
        secrets = ["{WHSK}", "{WHSEC}"]
        format = "cloudevents"
        rate = "10/m"
        client_cert = "{pair}"
        [destinations.two]
        {WEBHOOK}
        client_cert = "{pair}"
        client_key = "{pair}"
        template = {{ job = "{{data.task_id}}", tags = ["a", 1] }}
        """
    ).destinations
    assert [secret.reveal() for secret in to["one"].signing_secrets] == [WHSK, WHSEC]
    assert (to["one"].format, to["one"].rate, to["one"].concurrency) == ("cloudevents", Rate(1 / 6), 8)
    assert (to["one"].client_cert, to["one"].client_key) == (str(pair), "")
    assert (to["two"].format, to["two"].rate, to["two"].client_key) == ("standard", Rate(None), str(pair))
    assert to["two"].template == {"job": "{data.task_id}", "tags": ["a", 1]}


def test_slack_is_reached_in_one_of_two_ways(read, tmp_path):
    """An incoming webhook, or a bot and its channel; both secrets also by file."""
    hook, token = tmp_path / "hook", tmp_path / "token"
    hook.write_text(HOOK)
    token.write_text("xoxb-2")
    to = read(
        f"""
        [destinations.one]
        type = "slack"
        webhook_url_file = "{hook}"
        [destinations.two]
        type = "slack"
        bot_token_file = "{token}"
        channel = "C012"
        api_url = "http://127.0.0.1:9/api/"
        final = "edit"
        result = "none"
        rate = "unlimited"
        """
    ).destinations
    one, two = to["one"], to["two"]
    assert (one.webhook_url.reveal(), one.bot_token, one.channel) == (HOOK, None, None)
    assert (one.rate, one.final, one.result, one.api_url) == (Rate(1.0), "reply", "excerpt", "https://slack.com/api/")
    assert (two.webhook_url, two.bot_token.reveal(), two.channel) == (None, "xoxb-2", "C012")
    assert (two.api_url, two.final, two.result, two.rate) == ("http://127.0.0.1:9/api", "edit", "none", Rate(None))


def test_mail_has_addresses_and_a_server(read, tmp_path):
    """One mail to all; the password also by file."""
    password = tmp_path / "smtp"
    password.write_text("pass")
    to = read(
        f"""
        [destinations.one]
        {MAIL}
        smtp = "smtp://b.example"
        [destinations.two]
        type = "email"
        to = ["a@b.example", "Team <c@b.example>"]
        from = "ringback <r@b.example>"
        smtp = "smtps://user@b.example:465"
        smtp_password_file = "{password}"
        result = "full"
        digest = "15m"
        rate = "1/m"
        """
    ).destinations
    assert (to["one"].to, to["one"].sender) == (("a@b.example",), "r@b.example")
    assert (to["one"].smtp_password, to["one"].digest, str(to["one"].rate)) == (None, None, "20/m")
    assert (to["two"].smtp_password.reveal(), to["two"].digest) == ("pass", timedelta(minutes=15))
    assert (len(to["two"].to), to["two"].result) == (2, "full")


def test_apprise_has_a_url_of_an_allowed_kind(read, tmp_path):
    """By value or by file; the kinds that are allowed can be named."""
    file = tmp_path / "url"
    file.write_text("json://localhost/x")
    to = read(
        f"""
        [destinations.one]
        {SERVICE}
        [destinations.two]
        type = "apprise"
        url_file = "{file}"
        schemes = ["json", "jsons"]
        """
    ).destinations
    assert (to["one"].url.reveal(), to["one"].schemes) == ("ntfy://topic", SCHEMES)
    assert (to["two"].url.reveal(), to["two"].schemes) == ("json://localhost/x", ("json", "jsons"))


def test_a_destination_can_stand_in_the_environment(read):
    """Every key of every type."""
    to = read(
        DESTINATIONS__T__TYPE="slack",
        DESTINATIONS__T__WEBHOOK_URL=HOOK,
        DESTINATIONS__M__TYPE="email",
        DESTINATIONS__M__TO='["a@b.example"]',
        DESTINATIONS__M__FROM="r@b.example",
        DESTINATIONS__M__SMTP="smtps://b.example",
        DESTINATIONS__W__TYPE="webhook",
        DESTINATIONS__W__URL="https://a.example",
        DESTINATIONS__W__SECRET=WHSEC,
        DESTINATIONS__W__TEMPLATE='{"id": "{id}"}',
    ).destinations
    assert {name: each.type for name, each in to.items()} == {"t": "slack", "m": "email", "w": "webhook"}
    assert to["w"].template == {"id": "{id}"}


def test_all_keys_of_all_types_are_known():
    """Who asks which keys there are is told those of every type, each once."""
    known = list(keys(Settings))
    assert len(known) == len(set(known))
    expected = {"type", "url", "template", "webhook_url_file", "bot_token", "from", "smtp_password_file", "schemes"}
    assert {f"destinations.*.{key}" for key in expected} <= set(known)
    assert not any("[" in key for key in known)


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('type = "pager"', "destinations.d.type: must be 'webhook', 'slack', 'email' or 'apprise'"),
        ("type = 5", "destinations.d.type: must be 'webhook', 'slack', 'email' or 'apprise'"),
        ("", "destinations.d.type: is missing: it must be 'webhook', 'slack', 'email' or 'apprise'"),
        (f'{WEBHOOK}channel = "x"', "destinations.d.channel: unknown key."),
        (f'{WEBHOOK}uri = "x"', "destinations.d.uri: unknown key. Did you mean 'destinations.d.url'?"),
        (f'{BY_WEBHOOK}webhook_uri = "x"', "destinations.d.webhook_uri: unknown key. Did you mean 'destinations.d.web"),
        (f'{BY_WEBHOOK}secret = "x"', "destinations.d.secret: unknown key."),
        (f"{MAIL}{SERVER}digests = 5", "destinations.d.digests: unknown key. Did you mean 'destinations.d.digest'?"),
        (f'{MAIL}{SERVER}sender = "x"', "destinations.d.sender: unknown key."),
        (f"{SERVICE}scheme = 5", "destinations.d.scheme: unknown key. Did you mean 'destinations.d.schemes'?"),
        (
            f'{WEBHOOK}format = "cloudevents"\ntemplate = {{ id = "{{id}}" }}',
            "destinations.d.template: says how the body is written, and so does format",
        ),
        (
            f'{WEBHOOK}template = {{ a = "{{data.stat}}" }}',
            "destinations.d.template: template.a: {data.stat} names nothing that an event has. Did you mean 'state'?",
        ),
        (f'{WEBHOOK}template = "x"', "destinations.d.template: must be a table"),
        (f'{WEBHOOK}client_key = "ringback.toml"', "destinations.d.client_key: stands alone: give its certificate"),
        (f'{WEBHOOK}client_cert = "/no/such"', "destinations.d.client_cert: the file /no/such cannot be read (No such"),
        (f'{WEBHOOK}client_cert = "ringback.toml"', "destinations.d.client_key: ringback.toml holds no key (PEM"),
        ('type = "slack"', "destinations.d.bot_token: is missing: give `webhook_url`, or `bot_token` and `channel`"),
        ('type = "slack"\nchannel = "x"', "destinations.d.bot_token: is missing: give `webhook_url`, or"),
        ('type = "slack"\nbot_token = "x"', "destinations.d.bot_token: its `channel` is missing: give `webhook_url`"),
        (f'{BY_BOT}webhook_url = "{HOOK}"', "destinations.d.bot_token: or `channel` stands beside `webhook_url`"),
        (f'{BY_WEBHOOK}channel = "x"', "destinations.d.bot_token: or `channel` stands beside `webhook_url`"),
        ('type = "slack"\nwebhook_url = "hooks.slack.com"', "destinations.d.webhook_url: is no URL like https://host"),
        (f'{BY_BOT}api_url = "slack.com"', "destinations.d.api_url: is no URL like"),
        (f'{BY_BOT}final = "both"', "destinations.d.final: must be 'reply' or 'edit'"),
        (f'{BY_BOT}result = "all"', "destinations.d.result: must be 'excerpt', 'full' or 'none'"),
        (f"{BY_BOT}rate = 1", "destinations.d.rate: '1' is not a rate"),
        (f'{MAIL}smtp = "mail.example"', "destinations.d.smtp: must be smtp+starttls://"),
        (f'{MAIL}smtp = "smtp://user@b.example"', "destinations.d.smtp: would send a login unprotected"),
        (f'{MAIL}smtp = "smtps://u:p@b.example"', "destinations.d.smtp: must not hold a password"),
        (
            f'{MAIL}smtp = "smtp://b.example"\nsmtp_password = "x"',
            "destinations.d.smtp_password: would be readable on its way: write smtp+starttls:// or smtps:// in `smtp`",
        ),
        (f'{MAIL}{SERVER}smtp_password = "x"', "destinations.d.smtp_password: belongs to nobody"),
        (f'{MAIL}smtp = "smtps://u@b.example"', "destinations.d.smtp_password: is missing: `smtp` names a user"),
        (f'{MAIL}{SERVER}digest = "0s"', "destinations.d.digest: must be longer than nothing"),
        (
            f'type = "email"\nfrom = "r@b.example"\nto = ["a@b.example", "x"]\n{SERVER}',
            "destinations.d.to: 'x' is no address like oncall@example.org",
        ),
        (
            f'type = "email"\nfrom = "r@b.example"\nto = ["a@b.example\\nBcc: x@y.example"]\n{SERVER}',
            "destinations.d.to: 'a@b.example\\nBcc: x@y.example' is no address",
        ),
        (f'type = "email"\nfrom = "x"\nto = ["a@b.example"]\n{SERVER}', "destinations.d.from: 'x' is no address"),
        (f'type = "email"\nto = ["a@b.example"]\n{SERVER}', "destinations.d.from: is missing"),
        (f'type = "email"\nfrom = "r@b.example"\nto = []\n{SERVER}', "destinations.d.to: must not be empty"),
        (
            f'type = "email"\nfrom = "r@b.example"\nto = {["a@b.example"] * 51}\n{SERVER}',
            "destinations.d.to: must not have more than 50 items",
        ),
        ('type = "apprise"\nurl = "json://host"', "destinations.d.url: json:// is not among the `schemes` that are"),
        ('type = "apprise"\nurl = "topic"', "destinations.d.url: is no Apprise URL like ntfy://topic"),
        (f'{SERVICE}schemes = ["ntfy://"]', "destinations.d.schemes: 'ntfy://' is no scheme; write e.g. ntfy"),
        (f"{SERVICE}schemes = []", "destinations.d.schemes: must not be empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(problems, monkeypatch, tmp_path, text, problem):
    """Each type has keys of its own, and a sentence for what each must be."""
    monkeypatch.chdir(tmp_path)
    found = problems(text)
    assert any(each.startswith(problem) for each in found), found
    assert len(found) == 1


def test_a_slip_is_told_as_the_variable_it_is(problems):
    """A key of a type that came from the environment is suggested as a variable."""
    (slip,) = problems(BY_WEBHOOK, DESTINATIONS__D__RESULTS="full")
    assert slip.startswith(
        "destinations.d.results (RINGBACK_DESTINATIONS__D__RESULTS): unknown key. Did you mean 'RING"
    )
    assert slip.endswith("'RINGBACK_DESTINATIONS__D__RESULT'?")
    assert problems("", DESTINATIONS__D__TYPE="pager") == [
        "destinations.d.type (RINGBACK_DESTINATIONS__D__TYPE): must be 'webhook', 'slack', 'email' or 'apprise'"
    ]


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("10.1.2.3/16", "10.1.0.0/16"),
        ("10.0.0.0/40", "is no network"),
        ("http://ci.internal", ""),
        ("ci internal", "is neither a network like 10.0.0.0/8 nor a host like ci.internal:8443"),
        ("ci.internal:99999", "is neither a network"),
    ],
)
def test_a_way_out_is_a_network_or_a_host(read, way, says):
    """What could be read in two ways opens nothing."""
    with pytest.raises(SettingsError) as caught:
        read(f'[egress]\nallow = ["ci.internal", "{way}"]')
    (problem,) = caught.value.problems
    assert problem.startswith("egress.allow: ")
    assert says in problem


def test_no_secret_of_a_destination_is_shown(read):
    """Neither printing nor dumping gives away a token, a URL that is a secret, or a password."""
    made = read(
        f"""
        [destinations.a]
        {BY_WEBHOOK}
        [destinations.b]
        type = "slack"
        bot_token = "tiger-lily"
        channel = "C012"
        [destinations.c]
        {MAIL}
        smtp = "smtps://tiger-lily@b.example"
        smtp_password = "tiger-lily"
        [destinations.d]
        type = "apprise"
        url = "tgram://tiger-lily/1"
        [destinations.e]
        {WEBHOOK}
        template = {{ key = "tiger-lily" }}
        [egress]
        proxy = "http://user:tiger-lily@proxy.example:1"
        """
    )
    shown = "".join([repr(made), str(made), str(made.model_dump()), made.model_dump_json()])
    assert "tiger-lily" not in shown
    assert "B0/secret" not in shown
    assert made.destinations["d"].url == Secret("tgram://tiger-lily/1")


# ---------------------------------------------------------------------- what it comes to


ALL = f"""
    [server]
    public_url = "https://ringback.example"
    [destinations.builds]
    {WEBHOOK}
    rate = "10/s"
    concurrency = 3
    [destinations.team]
    {BY_BOT}
    [destinations.oncall]
    {MAIL}{SERVER}
    digest = "15m"
    retry = ["5s"]
    [destinations.phone]
    {SERVICE}
    [egress]
    allow = ["10.1.0.0/16"]
    proxy = "http://proxy.example:3128"
    """


async def test_every_destination_becomes_a_channel(read):
    """Each with the sink of its type, and how much and how often it takes."""
    outbound = Outbound()
    agreed = plan(read(ALL), outbound)
    await outbound.aclose()
    channels = agreed.channels
    kinds = {"builds": WebhookSink, "team": SlackSink, "oncall": EmailSink, "phone": AppriseSink}
    assert {name: type(channel.sink) for name, channel in channels.items()} == kinds
    assert [channel.kind for channel in channels.values()] == ["webhook", "slack", "email", "apprise"]
    assert [channel.per_second for channel in channels.values()] == [10, 1, pytest.approx(1 / 3), 1]
    assert [channel.concurrency for channel in channels.values()] == [3, 2, 2, 2]
    assert [channel.gathers for channel in channels.values()] == [False, False, True, False]
    assert [channel.digest for channel in channels.values()] == [None, None, timedelta(minutes=15), None]
    assert channels["oncall"].policy.retry == (timedelta(seconds=5),)
    assert isinstance(agreed.polling.rules, Rules)
    assert agreed.intake.routes.delays == {"oncall": timedelta(minutes=15)}


def test_people_and_programs_want_different_events(read):
    """By default a webhook gets every change of state; people the end of it, and what is wrong with ourselves."""
    routes = routes_of(read(ALL))
    people = {"team", "oncall", "phone"}

    def of_task(event):
        return {target.destination for target in targets(event, watch(), routes)}

    def about_ourselves(event):
        return {target.destination for target in targets_about_ourselves(event, routes)}

    assert of_task(EventType.TASK_RUNNING) == {"builds"}
    assert of_task(EventType.TASK_SUCCEEDED) == {"builds", *people}
    assert of_task(EventType.TASK_PROGRESSED) == of_task(EventType.TASK_STALLED) == set()
    assert about_ourselves(EventType.PROVIDER_DEGRADED) == about_ourselves(EventType.DESTINATION_PAUSED) == people


def test_callbacks_go_out_guarded_and_through_the_proxy(read):
    """A URL that came from outside is checked, whoever carries it; what is allowed is what the settings say."""
    settings = read(ALL)
    way = callback_via(settings)
    assert (way.guarded, way.proxy) == (True, "http://proxy.example:3128")
    egress = egress_of(settings)
    assert egress.judge("http://10.1.2.3/done") is None
    assert "egress.allow" in egress.judge("http://10.2.2.3/done")
    assert egress.judge("http://127.0.0.1/done") is None
    beyond = egress_of(read('[server]\nlisten = "0.0.0.0:8302"'))
    assert beyond.judge("http://127.0.0.1/done") is not None


async def test_without_the_extra_the_destination_is_named(read, monkeypatch):
    """Who configures Apprise without having it is told which destination, and what to install."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    outbound = Outbound()
    with pytest.raises(SettingsError) as caught:
        plan(read(ALL), outbound)
    await outbound.aclose()
    assert caught.value.problems == (
        "destinations.phone: needs Apprise, which is an extra: pip install 'ringback[apprise]'",
    )
