"""The obligations of every provider (providers/base.py), for every preset that is shipped."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.core.model import Answer, WatchState
from ringback.providers import status
from ringback.providers.base import TROUBLE_CODES
from ringback.providers.explain import explain, try_answer
from ringback.providers.shelf import shipped
from ringback.simulator.planting import plant
from ringback.simulator.sayings import Sayings

PRESETS = shipped().presets()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENDS = {"queued", "running", "succeeded", "failed", "cancelled"}
every_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.about.id)

words = st.sampled_from(sorted({word for preset in PRESETS for word in preset.about.states})) | st.text(max_size=5)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | words
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
fields = ["status", "task_id", "result", "is_successful", "current_step", "steps", "error"]
alike = st.dictionaries(
    st.sampled_from(fields), json_values | words | st.lists(st.fixed_dictionaries({"next_goal": json_values}))
)
bodies = (
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | alike.map(lambda value: json.dumps(value).encode())
)
statuses = st.integers(-1, 1200) | st.sampled_from([200, 202, 401, 404, 429, 500])
headers = st.dictionaries(st.sampled_from(["retry-after", "content-type"]), st.text(max_size=30))
answers = st.builds(Answer, status=statuses, headers=headers, body=bodies, at=st.none() | st.just(NOW))


@every_preset
@given(answer=answers, task_id=st.text(min_size=1))
def test_reading_never_raises_and_says_exactly_one_thing(preset, answer, task_id):
    """Whatever a server sends: a state or a trouble, whose parts every receiver can parse."""
    seen = preset.read(answer, task_id)
    assert (seen.state is None) != (seen.trouble is None)
    if seen.trouble is not None:
        assert seen.trouble.code in TROUBLE_CODES
        assert 0 < len(seen.trouble.message) <= 500
        assert seen.trouble.message.isprintable()
    assert not (seen.unknown_word is not None and seen.state is not WatchState.RUNNING)
    assert (seen.error is not None) == (seen.state is WatchState.FAILED)
    json.loads(msgspec.json.encode(seen), parse_constant=pytest.fail)


@every_preset
@given(body=alike.map(lambda value: json.dumps(value).encode()), status=st.integers(300, 999))
def test_no_state_comes_out_of_a_status_that_is_no_success(preset, status, body):
    """But where the preset says that this status, or a code that comes with it, is one."""
    listed = any(status in given.statuses for given in preset.spec.read.http)
    codes = preset.spec.read.problem.codes if preset.spec.read.problem is not None else {}
    if not listed and not any(meaning in ENDS for meaning in codes.values()):
        assert preset.read(Answer(status=status, body=body), "t").state is None


@every_preset
def test_a_status_nobody_listed_is_running_and_told(preset):
    """Wherever the word stands."""
    read = preset.spec.read
    place = read.state or read.every
    if place is None:
        return
    document = plant(Sayings(preset).good({}), place.each[0].text, ["brand-new"] if read.every else "brand-new")
    seen = preset.read(Answer(status=200, body=msgspec.json.encode(document)), "t")
    assert (seen.state, seen.unknown_word) == (WatchState.RUNNING, "brand-new")


def _ask(preset):
    params = {name: f"https://{name}.test/x" if preset.spec.ask.url else "p-1" for name in preset.about.params}
    base_url = "" if preset.about.base_url else "https://mine.test"
    return preset.ask("https://mine.test/t-1" if preset.spec.ask.url else "t-1", params, base_url)


@every_preset
def test_the_same_task_is_asked_for_in_the_same_way_every_time(preset):
    """And the id, or what the submission brought in its place, is in the request."""
    first, second = _ask(preset), _ask(preset)
    assert first == second
    assert preset.spec.ask.url or "t-1" in f"{first.url} {first.body}"


@every_preset
def test_the_credential_comes_with_signing_alone(preset):
    """Nothing of it is in the request before; after, everything that a signature shows of it."""
    ask = _ask(preset)
    signed = preset.sign(ask, dict.fromkeys(preset.about.credentials, "hunter2"), NOW)
    assert "hunter2" not in str(ask)
    assert (signed != ask) is bool(preset.about.credentials)
    if set(preset.about.credentials) == {"api_key"}:
        assert "hunter2" in str(signed)


@every_preset
def test_it_is_explained_in_plain_words(preset):
    """Every word, place and setting is on the page."""
    page = explain(preset)
    assert all(word in page for word in preset.about.states)
    for part in (preset.about.id, preset.spec.ask.target, preset.about.confidence, *preset.about.credentials):
        assert part in page


@pytest.mark.parametrize(
    ("http", "code"),
    [(200, None), (204, None), (299, None), (101, "rejected"), (301, "rejected"), (304, "rejected"), (400, "rejected"),
     (401, "unauthorized"), (403, "unauthorized"), (404, "not_found"), (405, "rejected"), (408, "unavailable"),
     (409, "rejected"), (410, "rejected"), (422, "rejected"), (425, "unavailable"), (429, "rate_limited"),
     (500, "unavailable"), (524, "unavailable"), (999, "unavailable")],
)  # fmt: skip
def test_what_a_status_stands_for(http, code):
    assert status.trouble_code(http) == code
    if code is not None:
        assert "{" not in status.sentence(code, http)


def test_a_long_reason_is_cut_and_whole_in_the_result():
    reason = "理由" * 20_000
    body = json.dumps({"status": "fail", "result": reason}).encode()
    seen = try_answer(shipped().get("302ai-browser"), Answer(status=200, body=body), None)
    assert seen["result"] == reason
    assert len(seen["error"]["message"]) == 16_384
    assert seen["error"]["message"].endswith("…")


def test_a_saved_answer_may_be_about_any_task():
    answer = Answer(status=200, body=b'{"task_id": "x", "status": "running"}')
    preset = shipped().get("302ai-browser")
    assert try_answer(preset, answer, None)["state"] == "running"
    assert try_answer(preset, answer, "y")["problem"]["code"] == "wrong_task"


def test_without_a_time_nothing_is_waited_for():
    answer = Answer(status=503, headers={"retry-after": "5"})
    preset = shipped().get("302ai-browser")
    assert preset.read(answer, "t").trouble.retry_after is None
    assert preset.read(Answer(status=503, headers={"retry-after": "5"}, at=NOW), "t").trouble.retry_after == timedelta(
        seconds=5
    )
