"""The tables [limits] and [params.NAME]: how often, how long, how much, and what must be known beside the id."""

from __future__ import annotations

from datetime import timedelta

import pytest

MIB = 1024 * 1024


def test_everything_that_is_documented_is_known(preset_with):
    limits = {"interval": "10s", "rate": "20/s", "deadline": "26h", "results": "24h", "body": "16MiB"}
    preset = preset_with(limits=limits)
    about = preset.about
    assert (about.interval, about.deadline) == (timedelta(seconds=10), timedelta(hours=26))
    assert (about.rate, about.body_limit) == (20, 16 * MIB)
    assert preset.spec.limits.results_live == timedelta(hours=24)


def test_what_is_not_documented_is_not_made_up(preset_with):
    """But an answer has a limit always."""
    preset = preset_with()
    about = preset.about
    assert (about.interval, about.deadline, about.rate, preset.spec.limits.results_live) == (None, None, None, None)
    assert about.body_limit == 4 * MIB


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("interval", "200ms", timedelta(milliseconds=200)),
        ("interval", "1.5s", timedelta(seconds=1.5)),
        ("deadline", "10m", timedelta(minutes=10)),
        ("deadline", "7d", timedelta(days=7)),
        ("rate", "20/s", 20),
        ("rate", "0.5/s", 0.5),
        ("rate", "300/m", 5),
        ("rate", "3600/h", 1),
        ("body_limit", "1KiB", 1024),
        ("body_limit", "512 KiB", 512 * 1024),
        ("body_limit", "64MiB", 64 * MIB),
    ],
)
def test_each_form(preset_with, key, text, value):
    about = preset_with(limits={key.removesuffix("_limit"): text}).about
    assert getattr(about, key) == value


LENGTH = "expected a length of time such as 5s, 10m or 24h"
RATE = "expected a rate such as 20/s or 300/m"
SIZE = "expected a size such as 16MiB, at most 64MiB"


@pytest.mark.parametrize(
    ("key", "text", "problem"),
    [
        ("interval", "5", f"{LENGTH}, got '5'"),
        ("interval", "5 seconds", f"{LENGTH}, got '5 seconds'"),
        ("deadline", "-5s", f"{LENGTH}, got '-5s'"),
        ("results", "9999999d", f"{LENGTH}, got '9999999d'"),
        ("interval", 5, 'expected text such as "5s", got a whole number'),
        ("rate", "20", f"{RATE}, got '20'"),
        ("rate", "20/d", f"{RATE}, got '20/d'"),
        ("rate", "0/s", f"{RATE}, got '0/s'"),
        ("rate", "0.000/m", f"{RATE}, got '0.000/m'"),
        ("rate", "-1/s", f"{RATE}, got '-1/s'"),
        ("rate", "unlimited", f"{RATE}, got 'unlimited'"),
        ("body", "16MB", f"{SIZE}, got '16MB'"),
        ("body", "65MiB", f"{SIZE}, got '65MiB'"),
        ("body", "0KiB", f"{SIZE}, got '0KiB'"),
        ("body", "16", f"{SIZE}, got '16'"),
        ("body", "1GiB", f"{SIZE}, got '1GiB'"),
    ],
)
def test_what_is_none_is_told_with_its_key(problems_with, key, text, problem):
    assert problems_with(limits={key: text}) == [f"limits.{key}: {problem}"]


def test_an_unknown_limit_is_told(problems_with):
    assert problems_with(limits={"intervall": "5s"}) == [
        "limits.intervall: there is no such key. Did you mean 'interval'?"
    ]


# ---------------------------------------------------------------------- params


NOWHERE = ": {{params.{}}} stands in neither ask, result, batch nor base_url."
ASK = {"path": "/{params.a}/{params.b}/{params.c}/{params.d}/{task_id}"}
PARAMS = {
    "a": {"about": "which"},
    "b": {"default": "bee", "identity": False},
    "c": {"secret": True},
    "d": {"default": "", "about": "the rest"},
}


def test_what_is_said_of_a_param_is_known(preset_with):
    """One that is not described is asked for and tells equal ids apart; a secret is neither shown nor part of that."""
    about = preset_with(ask={"path": f"{ASK['path']}/{{params.e}}"}, params=PARAMS).about
    assert about.params == ("a", "b", "c", "d", "e")
    assert about.defaults == {"b": "bee", "d": ""}
    assert about.identity == ("a", "d", "e")
    assert about.secrets == ("c",)


def test_what_is_given_goes_before_the_default(preset_with):
    preset = preset_with(ask={"path": "/{params.b}/{task_id}"}, params={"b": {"default": "bee"}})
    assert preset.ask("t", {}, "").url.endswith("/bee/t")
    assert preset.ask("t", {"b": "wasp"}, "").url.endswith("/wasp/t")


@pytest.mark.parametrize(
    ("params", "more", "problem"),
    [
        ({"x": {}}, {}, "params.x: nothing asks with it" + NOWHERE.format("x")),
        ({"aa": {}}, {}, "params.aa: nothing asks with it" + NOWHERE.format("aa") + " Did you mean 'a'?"),
        ({"a": {"abuot": "x"}}, {}, "params.a.abuot: there is no such key. Did you mean 'about'?"),
        ({"a": {"default": 7}}, {}, "params.a.default: expected text, got a whole number"),
        ({"a": {"identity": "no"}}, {}, "params.a.identity: expected true or false, got 'no'"),
        ({"a": {"secret": 1}}, {}, "params.a.secret: expected true or false, got a whole number"),
        ({"a": "which"}, {}, "params.a: expected a table, got 'which'"),
        ({}, {"learn_by": "z"}, "learn_by: expected the name of a param."),
        ({}, {"learn_by": "aa"}, "learn_by: expected the name of a param. Did you mean 'a'?"),
    ],
)
def test_what_is_wrong_with_a_param_is_told(problems_with, params, more, problem):
    assert problems_with(ask=ASK, params=params, **more) == [problem]


def test_a_param_of_a_submission_alone_is_none_of_a_registration(preset_with, problems_with):
    """Nobody is asked for it, so nobody can be told what it is."""
    submit = {"method": "POST", "path": "/{params.model}", "id": "id"}
    assert preset_with(submit=submit).about.params == ()
    assert problems_with(submit=submit, params={"model": {}}) == [
        "params.model: nothing asks with it" + NOWHERE.format("model")
    ]


def test_durations_may_be_learned_by_a_param(preset_with):
    assert preset_with(ask=ASK, learn_by="b").about.learn_by == "b"
