"""`route`: what the configuration says of an event, without a daemon."""

import json

import pytest

from tests.faces.terminal import ringback

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DESTINATION = '[destinations.{name}]\ntype = "webhook"\nurl = "https://x.test/{name}"\nsecret = "{secret}"\n'
ROUTES = """\
[[routes]]
events = ["task.failed", "task.expired"]
providers = ["302ai-*"]
metadata = { team = "video" }
to = ["team", "oncall"]
[[routes]]
events = ["task.failed"]
providers = ["acme-*"]
to = ["builds"]
[[routes]]
events = ["provider.*"]
to = ["oncall"]
[[routes]]
providers = ["302ai-*"]
to = ["builds"]
"""


@pytest.fixture
def configured(tmp_path):
    """Three destinations, with these routes: a configuration's path."""

    def write(routes, **events):
        texts = []
        for name in ("builds", "team", "oncall"):
            texts.append(DESTINATION.format(name=name, secret=SECRET))
            if name in events:
                texts.append(f"events = {json.dumps(events[name])}\n")
        path = tmp_path / "ringback.toml"
        path.write_text("".join([*texts, routes]))
        return path

    return write


def _reached(config, event, *args):
    if event.startswith("task."):
        args = ("--provider", "302ai-browser", *args)
    said = ringback("route", "--event", event, "--config", config, "--json", *args)
    assert said.code == 0, said.err
    page = json.loads(said.out)
    assert page["next"] is None
    return [item["name"] for item in page["items"]]


@pytest.mark.parametrize(
    ("event", "args", "reached"),
    [
        ("task.failed", [], ["builds"]),
        ("task.failed", ["--meta", "team=video"], ["team", "oncall", "builds"]),
        ("task.failed", ["--meta", "job=1", "--meta", "team=video"], ["team", "oncall", "builds"]),
        ("task.failed", ["--meta", "team=audio"], ["builds"]),
        ("task.expired", ["--meta", "team=video"], ["team", "oncall", "builds"]),
        ("task.succeeded", ["--meta", "team=video"], ["builds"]),
        ("task.progressed", [], []),
        ("provider.degraded", [], ["oncall"]),
        ("destination.paused", [], []),
    ],
)
def test_routes_say_who_gets_it(configured, event, args, reached):
    """Event, provider and metadata decide; about ourselves only who names it."""
    assert _reached(configured(ROUTES), event, *args) == reached


def test_without_routes_the_defaults_say_it(configured):
    """Each destination gets what it wants by itself; progress only where it is asked for."""
    config = configured("", team=["task.*"], oncall=["provider.*", "task.failed"])
    assert _reached(config, "task.queued") == ["builds", "team"]
    assert _reached(config, "task.failed") == ["builds", "team", "oncall"]
    assert _reached(config, "task.progressed") == ["team"]
    assert _reached(config, "provider.degraded") == ["oncall"]
    assert _reached(config, "destination.paused") == []


def test_a_person_gets_a_table(configured):
    """Name and type of each; nobody is said on stderr, and is no error."""
    config = configured(ROUTES)
    said = ringback("route", "--provider", "302ai-browser", "--event", "task.failed", "--config", config)
    assert [line.split() for line in said.out.splitlines()] == [["DESTINATION", "TYPE"], ["builds", "webhook"]]
    nobody = ringback("route", "--event", "destination.paused", "--config", config)
    assert (nobody.code, nobody.out, nobody.err) == (0, "", "No destination gets it.\n")


def test_a_provider_says_nothing_about_ourselves(configured):
    """Events about ourselves have neither provider nor metadata: who gives one is told so."""
    args = ("--event", "provider.degraded", "--provider", "302ai-browser", "--config", configured(ROUTES))
    said = ringback("route", *args)
    assert (said.code, "oncall" in said.out) == (0, True)
    assert said.sentence == "provider.degraded has no provider and no metadata: a route that asks for one passes it by."


def test_a_bad_configuration_is_said(configured):
    """As `check` says it: every problem with its key; exit 2."""
    said = ringback("route", "--event", "provider.degraded", "--config", configured('[[routes]]\nto = ["taem"]\n'))
    assert said.code == 2
    assert "there is no [destinations.taem]. Did you mean 'team'?" in said.sentence
