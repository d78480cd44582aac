"""`check` before people rely on it: which destinations each type of event would reach, and what is wrong with them."""

import pytest

from tests.faces.terminal import ringback


@pytest.fixture
def check(tmp_path):
    """What `check` says of a text."""

    def run(text):
        file = tmp_path / "ringback.toml"
        start = f'[server]\nlisten = "127.0.0.1:0"\n[store]\nurl = "json:{tmp_path / "data"}"\n'
        file.write_text(start + text)
        return ringback("check", "--config", file)

    return run


def rows(said):
    """(event, of what) -> who gets it."""
    lines = said.out.partition("EVENT")[2].splitlines()[1:]
    cells = ([cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines)
    return {(event, about): names for event, about, names in cells}


TEAM = """
    [destinations.builds]
    type = "webhook"
    url = "https://a.example/tiger-lily"
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    [destinations.team]
    type = "slack"
    webhook_url = "https://hooks.slack.com/services/tiger-lily"
    [destinations.oncall]
    type = "email"
    to = ["a@b.example"]
    from = "r@b.example"
    smtp = "smtps://user@b.example"
    smtp_password = "tiger-lily"
    """


def test_without_routes_everybody_gets_what_its_type_gets(check):
    """Programs every change, people the end and what is wrong with ourselves; secrets are not shown."""
    said = check(TEAM)
    assert (said.code, said.err) == (0, "")
    assert "builds (webhook), team (slack), oncall (email)" in said.out
    assert "tiger-lily" not in said.out
    found = rows(said)
    assert found["task.running", "any task"] == "builds"
    assert found["task.failed", "any task"] == "builds, team, oncall"
    assert found["task.stalled", "any task"] == "nobody"
    assert found["provider.degraded", "ringback itself"] == "team, oncall"
    assert len(found) == 13


def test_every_kind_of_task_that_a_route_asks_for_is_an_example(check):
    """Who reads it sees where a task of each provider and metadata goes."""
    found = rows(
        check(
            TEAM
            + """
    [[routes]]
    providers = ["302ai-br*", "other-*"]
    events = ["task.failed"]
    to = ["oncall"]
    [[routes]]
    metadata = { team = "video" }
    to = ["team"]
    """
        )
    )
    assert found["task.failed", "302ai-browser"] == found["task.failed", "other-*"] == "oncall"
    assert found["task.succeeded", "team=video"] == "team"
    assert found["task.failed", "any task"] == found["provider.degraded", "ringback itself"] == "nobody"


def test_without_destinations_there_is_nothing_to_show(check):
    """A daemon that only rings callbacks has no table."""
    said = check("")
    assert said.code == 0
    assert "EVENT" not in said.out


def test_what_is_wrong_with_a_destination_is_said(check):
    """A secret file that cannot be read, a way too many, a login in the clear: one line each, exit 1."""
    said = check(
        """
    [destinations.team]
    type = "slack"
    webhook_url_file = "/no/such"
    [destinations.both]
    type = "slack"
    webhook_url = "https://hooks.slack.com/services/tiger-lily"
    bot_token = "xoxb-tiger-lily"
    [destinations.oncall]
    type = "email"
    to = ["a@b.example"]
    from = "r@b.example"
    smtp = "smtp://user@b.example"
    """
    )
    assert said.code == 1
    assert "tiger-lily" not in said.err
    assert [line.split(":")[0] for line in said.err.splitlines()] == [
        "destinations.team.webhook_url",
        "destinations.both.bot_token",
        "destinations.oncall.smtp",
    ]
