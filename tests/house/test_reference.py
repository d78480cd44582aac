"""The reference pages say what the program does: each is held to the code that it describes."""

import importlib
import json
import pkgutil
import re
import textwrap
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fastapi import APIRouter
from house import catalogue_page

from ringback import config, web
from ringback.cli import exits
from ringback.cli.main import COMMANDS, main
from ringback.core.health import News
from ringback.core.model import DeliveryState, EventType, WatchState
from ringback.providers import spec
from ringback.registration import Registration
from ringback.store.base import Stats
from ringback.telemetry import Telemetry
from ringback.web import openapi, problems, shapes
from ringback.web.metrics import Scrape

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def _page(name):
    return (REFERENCE / name).read_text(encoding="utf-8")


def _first_column(page, heading=""):
    """The first cells of the table under a heading, without back-ticks."""
    part = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0] if heading else page
    cells = re.findall(r"^\| ([^|]+?) \|", part, re.MULTILINE)
    return [cell.strip("`*") for cell in cells[1:]]


def test_every_event_type_is_described():
    """The table of events has every type, in the program's order, and no other."""
    assert _first_column(_page("events.md"), "Types") == [event.value for event in EventType]


@pytest.mark.parametrize(
    ("heading", "states"), [("States of a watch", WatchState), ("States of a delivery", DeliveryState)]
)
def test_every_state_is_described(heading, states):
    """The glossary has every state, in the program's order, and no other."""
    assert _first_column(_page("glossary.md"), heading) == [state.value for state in states]


def test_the_final_states_are_marked():
    """The glossary marks as final what is final."""
    marked = re.findall(r"^\| `(\w+)` \|[^|]*\| yes \|", _page("glossary.md"), re.MULTILINE)
    assert set(marked) == {state.value for state in WatchState if state.final}


def test_every_exit_code_is_described():
    """The table of exit codes has every code, and no other."""
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in _first_column(_page("exit-codes.md"))} == codes


def test_every_metric_is_described():
    """The table of metrics has every name as Prometheus sees it, and no other."""
    described = set(_first_column(_page("metrics.md"), "Metrics"))
    suffix = {"counter": "_total", "info": "_info"}
    scrape = Scrape(Telemetry().registry, Stats({}, 0, {}, {}), datetime(2026, 1, 1, tzinfo=UTC))
    assert described == {metric.name + suffix.get(metric.type, "") for metric in scrape.collect()}


def test_every_log_line_is_described():
    """The table of log lines has every name that can be written, and no other."""
    source = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src" / "ringback").rglob("*.py")}
    written_by = source[ROOT / "src" / "ringback" / "telemetry.py"]
    literal = re.findall(r'(?:_log\.\w+|line)\((?:\s*logging[^,]+,)?\s*"([a-z_.]+)"', written_by)
    told = next(found[1] for text in source.values() if (found := re.search(r"`fact` is one of ([^.]+)\.", text)))
    stores = [f"store.{fact}" for fact in re.findall(r"`(\w+)`", told)]
    written = {*literal, *stores, *(f"account.{news.value}" for news in News)}
    rows = " ".join(_first_column(_page("metrics.md"), "Log lines"))
    assert set(re.findall(r"[a-z]+\.[a-z_]+", rows)) == written


def test_every_request_is_described():
    """The table of requests has every method and path of the API, and no other."""
    modules = [importlib.import_module(f"ringback.web.{found.name}") for found in pkgutil.iter_modules(web.__path__)]
    served = {
        f"{method} {route.path}"
        for module in modules
        for route in getattr(module, "router", APIRouter()).routes
        if route.include_in_schema
        for method in route.methods
    }
    assert set(_first_column(_page("http-api.md"), "Requests")) == served


def test_every_field_of_a_registration_is_described():
    """The table of fields has every field that can be registered, and no other."""
    described = re.findall(r"\w+", " ".join(_first_column(_page("http-api.md"), "Registering")))
    assert sorted(described) == sorted(Registration.__struct_fields__)


def test_every_status_of_a_problem_is_described():
    """The table of errors has every HTTP status that a problem can have."""
    described = {int(code) for code in re.findall(r"\d+", " ".join(_first_column(_page("http-api.md"), "Errors")))}
    assert {int(status) for status in problems.STATUS.values()} <= described


def test_an_event_looks_as_described():
    """The example of an event has the fields that are sent, in their order."""
    example = json.loads(_page("events.md").partition("```json\n")[2].partition("```")[0])
    assert list(example["data"]) == list(openapi.TaskData.__struct_fields__)


def test_a_watch_looks_as_described():
    """The example of a watch has the fields that are shown, in their order."""
    example = _page("http-api.md").partition("## A watch")[2].partition("```json\n")[2].partition("```")[0]
    assert list(json.loads(example)) == list(shapes.Watch.__struct_fields__)


def _section(name):
    """A command's part of the page of commands."""
    parts = re.split(r"^#{2,3} ", _page("cli.md"), flags=re.MULTILINE)
    return next(part for part in parts if re.match(rf"`ringback {name}\b", part))


def _options(said):
    """The options that a command's help names, but for those that every command has that talks to a daemon."""
    found = set(re.findall(r"^  (--[a-z-]+)", said, re.MULTILINE))
    return found - {"--url", "--token"} if "--token" in found else found


def test_every_command_is_described():
    """The page of commands has a section for every command, in the order of `ringback --help`, and no other."""
    names = [name for _, commands in COMMANDS for name, *_ in commands]
    assert re.findall(r"^### `ringback (\w+)", _page("cli.md"), re.MULTILINE) == names


@pytest.mark.parametrize("name", [name for _, commands in COMMANDS for name, *_ in commands])
def test_every_option_is_described(name, capsys):
    """A command's section has the options of the command and of the commands below it, and no other."""
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    options = _options(said)
    for below in re.findall(r"^  (\w+): ", said.partition("Commands:")[2].partition("\n\n")[0], re.MULTILINE):
        main([name, below, "--help"])
        options |= _options(capsys.readouterr().out)
    assert {option.split()[0] for option in _first_column(_section(name)) if option.startswith("--")} == options


def test_the_units_of_a_duration_are_described():
    """The page of settings says how a duration is written."""
    assert "`200ms`, `5s`, `10m`, `2h`, `7d`" in _page("configuration.md")


def _configurations():
    """Every configuration that a page shows. The page about presets shows presets."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    for page in sorted(pages):
        if page.name != "add-a-preset.md":
            blocks = re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
            yield from (pytest.param(block, id=f"{page.stem} {place}") for place, block in enumerate(blocks, 1))


@pytest.mark.parametrize("text", list(_configurations()))
def test_every_configuration_that_is_shown_is_good(tmp_path, text):
    """Whoever copies a configuration from a page has one that works."""
    path, key = tmp_path / "ringback.toml", tmp_path / "key"
    key.write_text("a key\n")
    path.write_text(re.sub(r'(\w+_file) = "[^"]+"', rf'\1 = "{key}"', text))
    assert config.load(path, {}).source == path


def _fragments():
    """Every fragment of a preset that the page for authors shows."""
    page = (ROOT / "docs" / "how-to" / "add-a-preset.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^( *)```toml\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in blocks]


FRAGMENTS = _fragments()


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_every_part_of_a_preset_that_is_explained_is_good(fragment):
    """Whoever copies a fragment into a preset has one that loads: it is laid over one that is whole."""
    whole, part = tomllib.loads(FRAGMENTS[0]), tomllib.loads(fragment)
    whole["ask"]["query"] = {"region": "{params.region}", "project": "{params.project}"}
    whole = _laid_over(whole, part)
    if "ask" in part:
        whole.pop("submit", None)
    assert spec.of(whole, name="page").id.text == "acme-render"


def _laid_over(whole, part):
    merged = dict(whole)
    for key, value in part.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict) and key not in ("ask", "auth")
        merged[key] = _laid_over(merged[key], value) if both else value
    return merged


def test_the_table_of_providers_is_made_of_the_presets():
    """docs/reference/providers.md says what the presets say; `make reference` writes it."""
    assert catalogue_page.PAGE.read_text(encoding="utf-8") == catalogue_page.whole()
