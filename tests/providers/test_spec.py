"""A preset file: everything that is wrong with it is told at once, with file, key and what was expected."""

import msgspec
import pytest

from ringback.core.errors import PresetError
from ringback.core.model import Answer, Error, WatchState
from ringback.providers import spec
from ringback.providers.preset import Preset
from ringback.providers.shelf import CATALOGUE

GOOD = """
id = "acme-video"
title = "Acme video"
vendor = "acme"
base_url = "https://api.acme.example/v1/"
source = "the manual"
confidence = "likely"

[ask]
path = "/projects/{params.project}/jobs/{task_id}"

[auth]
type = "bearer"

[read]
state = "job.state"
details = ["job.cost"]

[read.states]
"in line" = "queued"
1 = "running"
true = "succeeded"
"""


def _problems(text, **more):
    with pytest.raises(PresetError) as refused:
        spec.parse(text.encode() if isinstance(text, str) else text, name="acme-video.toml", **more)
    assert refused.value.code == "bad_preset"
    return refused.value.message.removeprefix("acme-video.toml: ").split("\nacme-video.toml: ")


def test_a_small_preset_is_enough():
    about = Preset(spec.parse(GOOD.encode(), name="acme-video.toml", id="acme-video")).about
    assert (about.id, about.vendor, about.base_url) == ("acme-video", "acme", "https://api.acme.example/v1")
    assert (about.params, about.credentials, about.confidence) == (("project",), ("api_key",), "likely")
    assert about.states == {"in line": "queued", "1": "running", "true": "succeeded"}


STATES = "expected one of queued, running, succeeded, failed, cancelled"
BAD_PATH = "expected a path that begins with / and has no query; its placeholders are {task_id} and {params.name}"
BAD_BASE = "base_url: expected a base URL such as 'https://api.example.com/v1', without user, query or fragment"
OVERRIDE = '[[read.rules]]\nof = "queued"\nbecomes = "failed"\n[read.states]'
TITLE = 'title = "Acme video"'


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        (TITLE, "", "title: is missing; expected text"),
        (TITLE, "title = 3", "title: expected text, got a whole number"),
        (TITLE, 'title = " "', "title: expected text, got ' '"),
        (TITLE, "title = 1979-05-27", "title: expected text, got a date"),
        (TITLE, 'titel = "x"\ntitle = "y"', "titel: there is no such key. Did you mean 'title'?"),
        (TITLE, '"a b" = 1\ntitle = "y"', '"a b": there is no such key.'),
        ('"likely"', '"sure"', "confidence: expected one of confirmed, likely, got 'sure'"),
        ('"likely"', '"likly"', "confidence: expected one of confirmed, likely, got 'likly'. Did you mean 'likely'?"),
        ('"acme"', '"Acme!"', "vendor: expected the name of an account ([a-z0-9_]+), such as 'acme', got 'Acme!'"),
        ("https://", "ftp://", BAD_BASE),
        ("[ask]", "[aks]\n[ask]", "aks: there is no such key. Did you mean 'ask'?"),
        ("{task_id}", "{id}", f"ask.path: {BAD_PATH}, got '/projects/{{params.project}}/jobs/{{id}}'"),
        ("[ask]", '[ask]\nmethod = "PATCH"', "ask.method: expected one of GET, POST, got 'PATCH'"),
        ('type = "bearer"', "", "auth.type: expected one of bearer"),
        ('"job.state"', "[]", "read.state: expected text, or a list that is not empty"),
        ('"job.state"', '["a", 1]', "read.state[1]: expected text, got a whole number"),
        (
            '"job.state"',
            '"job."',
            "read.state: expected a JMESPath expression, got 'job.' (something is wrong at character 5)",
        ),
        (
            '"job.state"',
            '"lenght(a)"',
            "read.state: expected an expression of JMESPath's functions, got lenght(). Did you mean 'length'?",
        ),
        ('["job.cost"]', '"job.cost"', "read.details: expected a list, got 'job.cost'"),
        ('["job.cost"]', '["a.x", "b.x"]', "read.details: expected every field to end in another name"),
        ('"queued"', '"queue"', f"read.states.\"in line\": {STATES}, got 'queue'. Did you mean 'queued'?"),
        ('"queued"', "7", f'read.states."in line": {STATES}, got a whole number'),
        ('"succeeded"', '"failed"', "read.states: expected a word that means succeeded"),
        ("[read.states]", OVERRIDE, "read.rules[0].when: is missing; expected text"),
        ("[read.states]", "rules = 1\n[read.states]", "read.rules: expected a list, got a whole number"),
        ("[read.states]", "progress = 1.5\n[read.states]", "read.progress: expected a table, got a number"),
    ],
)
def test_a_problem_names_the_key_and_what_was_expected(before, after, problem):
    assert before in GOOD
    assert _problems(GOOD.replace(before, after)) == [problem]


def test_all_problems_are_told_at_once():
    text = GOOD.replace('title = "Acme video"', "").replace("[read]", "[read]\nstat = 1").replace("likely", "sure")
    assert len(_problems(text)) == 3


def test_the_id_is_the_name_of_the_file():
    assert _problems(GOOD, id="acme") == ["id: expected 'acme', which is the file's name, got 'acme-video'"]


@pytest.mark.parametrize("text", ["id = ", "\ufeff[", b"\xff", b"a = " + b"[" * 5000])
def test_what_is_no_toml_is_told_with_its_place(text):
    assert _problems(text)[0].startswith("is not TOML: ")


def test_a_preset_has_a_limit():
    assert _problems("#" * (spec.PRESET_LIMIT + 1)) == ["expected at most 256 KiB"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(PresetError, match=r"gone\.toml: cannot be read: No such file"):
        spec.load(tmp_path / "gone.toml")


def test_paths_in_order_and_states_from_them():
    text = GOOD.replace('"job.state"', '["job.state", "length(job.parts)"]')
    preset = Preset(spec.parse(text.encode(), name="acme-video.toml"))
    assert preset.spec.read.state.text == "job.state, else length(job.parts)"


def test_every_shipped_file_loads():
    files = sorted(CATALOGUE.glob("*.toml"))
    assert files
    for file in files:
        assert spec.load(file).id.text == file.stem


def test_overrides_never_make_a_word_final_that_nobody_listed():
    """Also where the preset says that running is over when an expression holds."""
    override = '[[read.rules]]\nof = "running"\nwhen = "done"\nbecomes = "succeeded"\n[read.states]'
    preset = Preset(spec.parse(GOOD.replace("[read.states]", override).encode(), name="acme-video.toml"))
    listed, unlisted = (
        preset.read(Answer(status=200, body=f'{{"job": {{"state": {word}}}, "done": true}}'.encode()), "t")
        for word in (1, 2)
    )
    assert (listed.state, listed.unknown_word) == (WatchState.SUCCEEDED, None)
    assert (unlisted.state, unlisted.unknown_word) == (WatchState.RUNNING, "2")


def test_the_first_override_that_holds_counts_and_may_bring_its_own_message():
    override = """
[[read.rules]]
of = "succeeded"
when = "job.stopped"
becomes = "cancelled"

[[read.rules]]
of = "succeeded"
when = "job.flaws"
becomes = "failed"
message = "job.flaws[0]"

[read.error]
code = "job.code"
message = "job.reason"

[read.states]"""
    preset = Preset(spec.parse(GOOD.replace("[read.states]", override).encode(), name="acme-video.toml"))

    def read(**job):
        body = msgspec.json.encode({"job": {"state": True, **job}})
        seen = preset.read(Answer(status=200, body=body), "t")
        return seen.state.value, seen.error

    assert read(stopped=1, flaws=["a"]) == ("cancelled", None)
    assert read(flaws=["a"], code=7, reason="r") == ("failed", Error("7", "a"))
    assert read(flaws=[""], reason="r") == ("failed", Error("true", "r"))
    assert read() == ("succeeded", None)
