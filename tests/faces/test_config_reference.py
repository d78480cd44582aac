"""config/ringback.toml and the examples, held to the code both ways."""

import re
import tomllib
from pathlib import Path

import pytest
import trustme

from ringback.config import (
    Account,
    AppriseDestination,
    EmailDestination,
    Settings,
    SlackDestination,
    Token,
    WebhookDestination,
    keys,
    load,
)
from ringback.settings.complaints import PREFIX

ROOT = Path(__file__).parents[2] / "config"
REFERENCE = ROOT / "ringback.toml"
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
SECRETS = "/run/secrets/"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEPT = {
    "slack-url": "https://hooks.slack.com/services/T0000000/B0000000/a-webhook",
    "apprise-url": "ntfys://ntfy.example.org/a-topic",
}
"""Secrets that have a form."""

TYPES = {
    "webhook": WebhookDestination,
    "slack": SlackDestination,
    "email": EmailDestination,
    "apprise": AppriseDestination,
}
FREE = {"accounts.*.access_key", "accounts.*.secret_key_file"}
"""Keys that only some vendor's presets ask for."""


def uncommented(text):
    """The text with its example lines in force: those that begin with # and a key or a table."""
    return re.sub(r"^#(?=[a-z_0-9\[])", "", text, flags=re.MULTILINE)


def said(tree, before=""):
    """The keys of a file, with `*` for names and for places in a list."""
    for name, value in tree.items():
        known = {key.split(".")[before.count(".")] for key in keys(Settings) if key.startswith(before)} | {"*"}
        star = "*" if name not in known else name
        if isinstance(value, dict) and any(key.startswith(f"{before}{star}.") for key in keys(Settings)):
            yield from said(value, f"{before}{star}.")
        elif isinstance(value, list) and any(key.startswith(f"{before}{star}.*.") for key in keys(Settings)):
            for entry in value:
                yield from said(entry, f"{before}{star}.*.")
        else:
            yield f"{before}{name}"


@pytest.fixture
def at_home(tmp_path):
    """A copy of a text whose secret files are there."""

    def move(text):
        for name in re.findall(rf"{SECRETS}([a-z0-9-]+(?:\.pem)?)", text):
            path = tmp_path / name
            if name.endswith(".pem"):
                trustme.CA().issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(path))
            else:
                path.write_text(WHSEC if "webhook" in name else KEPT.get(name, f"the secret of {name}\n"))
        copy = tmp_path / "ringback.toml"
        copy.write_text(text.replace(SECRETS, f"{tmp_path}/"))
        return copy

    return move


def test_the_reference_as_it_is_changes_nothing(tmp_path, monkeypatch):
    """What stands uncommented in config/ringback.toml are the built-in defaults."""
    monkeypatch.chdir(tmp_path)
    assert dict(load(REFERENCE, {})) == dict(load(None, {}))


def test_the_reference_says_every_default():
    """Every key of a section that needs no name stands in the file with its default, not only as an example."""
    written = set(said(tomllib.loads(REFERENCE.read_text())))
    plain = {key for key in keys(Settings) if "*" not in key and not key.endswith("_file")}
    assert written == plain


def test_the_reference_has_every_key_and_no_other():
    """Every key of the code stands in the file, as a default or as an example; and the file has no key of its own."""
    tree = tomllib.loads(uncommented(REFERENCE.read_text()))
    assert set(said(tree)) - FREE == set(keys(Settings))
    assert set(said(tree)) >= FREE


def test_the_examples_of_the_reference_can_be_used(at_home):
    """With every example uncommented the file is a good configuration, and each value is where it belongs."""
    made = load(at_home(uncommented(REFERENCE.read_text())), {})
    assert set(made.accounts) == {"302ai", "302ai_team", "google"}
    assert set(made.accounts["302ai_team"].credentials) == {"api_key", "access_key", "secret_key"}
    to = made.destinations
    assert {type: [name for name in to if to[name].type == type] for type in TYPES} == {
        "webhook": ["builds", "archive", "audit", "mirror"],
        "slack": ["team", "incidents", "renders", "previews"],
        "email": ["oncall", "archive_mail"],
        "apprise": ["phone", "pager"],
    }
    assert [len(to[name].signing_secrets) for name in ("builds", "archive", "audit", "mirror")] == [1, 2, 1, 2]
    assert [to[name].webhook_url is None for name in ("team", "incidents", "renders", "previews")] == [0, 0, 1, 1]
    assert to["pager"].url.reveal() == KEPT["apprise-url"]
    assert (len(made.routes), len(made.watches), len(made.tokens)) == (2, 3, 2)
    assert made.callbacks.secret.reveal() == WHSEC


def commented():
    """Where a comment says what a default is: (the section's class, key, the default as it is said)."""
    text = REFERENCE.read_text()
    types = {name: TYPES[to["type"]] for name, to in tomllib.loads(uncommented(text))["destinations"].items()}
    section = None
    for line in text.splitlines():
        table = re.match(r"#?\[+([a-z]+)(?:\.(\w+))?\]+", line)
        if table:
            section = (
                types[table[2]] if table[1] == "destinations" else {"accounts": Account, "tokens": Token}.get(table[1])
            )
        said = re.match(r'#(\w+) = .*# default: ("[^"]*"|\{\}|[0-9]+)$', line)
        if said:
            yield section, said[1], said[2]


def test_the_defaults_in_comments_are_the_defaults():
    """Where a comment of the reference says what an example's default is, the code says so too."""
    found = list(commented())
    assert len(found) > 20
    for section, key, said in found:
        default = section.model_fields[key].default
        assert said == (f"{default}" if isinstance(default, int | dict) else f'"{default}"'), (section, key)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_can_be_used(at_home, path):
    """Each example is a good configuration once its secrets are there."""
    environ = {}
    if "secret" not in path.read_text().partition("[")[2]:
        environ = {f"{PREFIX}ACCOUNTS__302AI__API_KEY": "x", f"{PREFIX}DESTINATIONS__BUILDS__SECRET": WHSEC}
    made = load(at_home(path.read_text()), environ)
    assert "302ai" in made.accounts


def test_there_are_examples():
    """The examples above were found."""
    assert len(EXAMPLES) >= 4
