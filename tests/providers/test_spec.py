"""A preset file: everything that is wrong with it is told at once, with file, key and what was expected."""

import pytest

from ringback.core.errors import PresetError
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
BAD_PATH = (
    "expected a path that begins with / and has no query; its placeholders are {task_id}, {params.name} and (in result)"
    " {answer.place}, with a + as in {+task_id} where slashes are kept;"
)
BAD_BASE = "base_url: expected a base URL such as 'https://api.example.com/v1', without user, query or fragment"
OVERRIDE = '[[read.rules]]\nof = "queued"\nbecomes = "failed"\n[read.states]'
TITLE = 'title = "Acme video"'
KINDS = "expected one of none, bearer, header, query, basic, kling_jwt, tc3, volcengine, sigv4"


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
        ("{task_id}", "{id}", f"ask.path: {BAD_PATH} got '/projects/{{params.project}}/jobs/{{id}}'"),
        ("[ask]", '[ask]\nmethod = "PATCH"', "ask.method: expected one of GET, POST, PUT, got 'PATCH'"),
        ('type = "bearer"', "", f"auth.type: {KINDS}"),
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
        (
            '"queued"',
            '["waiting"]',
            'read.states."in line": expected one line a word, such as "waiting" = "in line", got a list',
        ),
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


# ---------------------------------------------------------------------- what people are told


def test_everything_that_people_are_told_is_known(preset_with):
    about = preset_with(
        base_url="https://api.acme.example/v1/",
        hosts=["eu.acme.example", "api.*.acme.example"],
        menu="Video / Poll",
        notes="Slow on Mondays.",
        callback="webhook in the body",
    ).about
    assert (about.id, about.title, about.vendor, about.confidence) == ("acme-video", "Acme video", "acme", "likely")
    assert (about.base_url, about.trusted) == ("https://api.acme.example/v1", "https://api.acme.example/v1")
    assert about.hosts == ("eu.acme.example", "api.*.acme.example")
    assert (about.menu, about.notes, about.native_callback) == (
        "Video / Poll",
        "Slow on Mondays.",
        "webhook in the body",
    )
    assert about.source == "the manual"
    assert about.states == {"waiting": "queued", "busy": "running", "done": "succeeded", "bad": "failed"}


@pytest.mark.parametrize("id", ["a", "302ai-browser", "acme-video-2", "acme.video", "a" * 64, "7"])
def test_an_id_is_small_letters_digits_hyphens_and_dots(preset_with, id):
    assert preset_with(id=id).about.id == id


@pytest.mark.parametrize("id", ["A", "a_b", "-a", "a-", "a--b", "a b", "é", "a/b", "..", "a..b", "a" * 65, "a\n"])
def test_what_is_no_id_is_told(problems_with, id):
    assert problems_with(id=id) == [
        f"id: expected at most 64 lower-case letters, digits and hyphens, such as 'acme-video', got '{id}'"
    ]


@pytest.mark.parametrize("host", ["a.example", "eu.api.acme.example", "*.acme.example", "api.*.acme.example",
                                  "*-render.acme.example", "a-*-b.c.acme.example", "1.2.acme.example"])  # fmt: skip
def test_a_host_may_have_stars_but_not_in_its_last_two_labels(preset_with, host):
    assert preset_with(hosts=[host]).about.hosts == (host,)


@pytest.mark.parametrize(
    "host",
    ["*", "*.example", "acme.*", "a.*.*", "*acme.example", "localhost", "https://a.example", "a.example/",
     "a.example:443", "a.example.", ".a.example", "a..example", "A.example", "é.example", "u@a.example", "10.0.0.1",
     "[::1]", "a.example\n", "a b.example", "a_b.example"],
)  # fmt: skip
def test_what_is_no_host_is_told(problems_with, host):
    """A name: where it may go over https."""
    assert problems_with(hosts=[host]) == [
        f"hosts[0]: expected a host such as 'eu.example.com' or '*.api.example.com', got '{host}'"
    ]


# ---------------------------------------------------------------------- what cannot stand together


READ = {"state": "s", "states": {"done": "succeeded"}}
RULE = {"when": "done", "becomes": "succeeded"}
NO_STATE = "read.state: is missing; expected where the status word stands, or rules without one"
NO_WORDS = "read.states: is missing; expected the words that stand at state"
NO_PLACE = "read.state: is missing; expected where the words of read.states stand"
NO_SUCCESS = "read.states: expected a word that means succeeded"
NO_WHEN = "read.problem.when: is missing; expected an expression, or ok with the codes of no problem"
NO_CODE = "read.problem.code: is missing; expected where the code stands"


@pytest.mark.parametrize(
    ("read", "problems"),
    [
        ({}, [NO_STATE, NO_SUCCESS]),
        ({"otherwise": "succeeded"}, [NO_STATE]),
        ({"state": "s"}, [NO_WORDS, NO_SUCCESS]),
        ({"every": "s"}, [NO_STATE, NO_SUCCESS]),
        ({"every": "s", "rules": [RULE]}, [NO_STATE]),
        ({"states": {"done": "succeeded"}}, [NO_PLACE]),
        ({"rules": [RULE], "states": {"done": "succeeded"}}, [NO_PLACE]),
        ({"state": "s", "states": {"done": "running"}}, [NO_SUCCESS]),
        ({"rules": [{"when": "x", "becomes": "failed"}], "otherwise": "running"}, [NO_SUCCESS]),
        ({**READ, "problem": {}}, [NO_WHEN]),
        ({**READ, "problem": {"message": "m"}}, [NO_WHEN]),
        ({**READ, "problem": {"code": "c"}}, [NO_WHEN]),
        ({**READ, "problem": {"ok": ["0"]}}, [NO_CODE]),
        ({**READ, "problem": {"when": "x", "codes": {"1": "failed"}}}, [NO_CODE]),
        (
            {**READ, "ignore_case": True, "states": {"done": "succeeded", "Done": "failed", "DONE": "succeeded"}},
            ["read.states.Done: means failed, and 'done' something else: with ignore_case they are one word"],
        ),
        ({**READ, "details": ["a.x", "b", "c.x"]}, ["read.details: expected every field to end in another name"]),
    ],
)
def test_what_the_keys_of_read_cannot_be_together(problems_with, read, problems):
    assert problems_with(read=read) == problems


@pytest.mark.parametrize(
    "read",
    [
        {"rules": [RULE]},
        {"rules": [RULE], "otherwise": "running"},
        {"http": {"200": "succeeded"}},
        {"http": {"202": "running"}, "rules": [RULE]},
        {"state": "s", "states": {"x": "running"}, "rules": [RULE]},
        {"state": "s", "states": {"x": "running"}, "http": {"204": "succeeded"}},
        {"state": "s", "states": {"x": "running"}, "otherwise": "succeeded"},
        {"state": "s", "states": {"x": "running"}, "problem": {"code": "c", "codes": {"7": "succeeded"}}},
        {"every": "p", "state": "s", "states": {"done": "succeeded"}},
    ],
)
def test_success_may_be_said_in_several_ways(preset_with, read):
    """By a word, a rule, a status, a code, or by saying nothing else."""
    assert preset_with(read=read)


VERDICTS = (
    "expected one of queued, running, succeeded, failed, cancelled, not_found, unauthorized, rate_limited, unavailable,"
    " provider_error"
)
STATUS = "expected an HTTP status such as 202, or a range such as 500-599"
RULE_0 = "read.rules[0]"
BEFORE_A_PATH = "expected !(a.b) for what is not at a.b: JMESPath reads !a.b as (!a).b, where nothing ever is"
NO_PLACEHOLDER = "expected placeholders such as {task_id} and {params.name}"


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        ({"otherwise": "done"}, f"read.otherwise: {STATES}, got 'done'"),
        ({"ignore_case": "yes"}, "read.ignore_case: expected true or false, got 'yes'"),
        ({"json": "out"}, "read.json: expected a list, got 'out'"),
        ({"json": ["a[0]"]}, "read.json[0]: expected the plain path of a field, such as 'data.cost', got 'a[0]'"),
        ({"http": {"20": "failed"}}, f"read.http.20: {STATUS}, got '20'"),
        ({"http": {"599-500": "failed"}}, f"read.http.599-500: {STATUS}, got '599-500'"),
        ({"http": {"600": "failed"}}, f"read.http.600: {STATUS}, got '600'"),
        ({"http": {"404": "gone"}}, f"read.http.404: {VERDICTS}, body, got 'gone'"),
        ({"http": {"404": "boddy"}}, f"read.http.404: {VERDICTS}, body, got 'boddy'. Did you mean 'body'?"),
        ({"rules": [{"when": "x"}]}, f"{RULE_0}.becomes: is missing; {VERDICTS}"),
        ({"rules": [{"when": "x", "becomes": "body"}]}, f"{RULE_0}.becomes: {VERDICTS}, got 'body'"),
        ({"rules": [{"when": "x", "becomes": "failed", "of": "not_found"}]}, f"{RULE_0}.of: {STATES}, got 'not_found'"),
        ({"rules": [{"when": "!a.b", "becomes": "failed"}]}, f"{RULE_0}.when: {BEFORE_A_PATH}"),
        ({"problem": {"code": "c", "codes": {"1": "bad"}}}, f"read.problem.codes.1: {VERDICTS}, got 'bad'"),
        ({"problem": {"code": "c", "ok": [0]}}, "read.problem.ok[0]: expected text, got a whole number"),
        ({"progress": {"percentage": "p"}}, "read.progress.percentage: there is no such key. Did you mean 'percent'?"),
        ({"times": {"ended": "x"}}, "read.times.ended: there is no such key."),
        ({"error": {"mesage": "x"}}, "read.error.mesage: there is no such key. Did you mean 'message'?"),
        ({"stats": {}}, "read.stats: there is no such key. Did you mean 'states'?"),
    ],
)  # fmt: skip
def test_a_problem_of_read_names_the_key_and_what_was_expected(problems_with, read, problem):
    assert problems_with(read={**READ, **read}) == [
        problem.replace(f"is missing; {VERDICTS}", f"is missing; {VERDICTS}")
    ]


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        (
            {"base_url": "https://{params.region}.acme.example"},
            "hosts: is missing; expected where the base URL may lead, because a param chooses its host",
        ),
        ({"base_url": "https://{region}.acme.example"}, f"base_url: {NO_PLACEHOLDER}, got '{{region}}'"),
        ({"ask": None}, "ask: is missing; expected a table"),
        ({"read": None}, "read: is missing; expected a table"),
        ({"source": None}, "source: is missing; expected text"),
        ({"confidence": None}, "confidence: is missing; expected one of confirmed, likely"),
        ({"limts": {}}, "limts: there is no such key. Did you mean 'limits'?"),
    ],
)  # fmt: skip
def test_what_a_preset_cannot_be_without(problems_with, tables, problem):
    assert problems_with(**tables) == [problem]


def test_each_problem_stands_on_a_line_with_the_file(preset_with):
    with pytest.raises(PresetError) as refused:
        preset_with(title=None, confidence="sure")
    assert refused.value.message.splitlines() == [
        "acme-video.toml: title: is missing; expected text",
        "acme-video.toml: confidence: expected one of confirmed, likely, got 'sure'",
    ]
    assert refused.value.facts["file"] == "acme-video.toml"
