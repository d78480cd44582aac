"""The borders of the house: imports run downward, the clock and the dice are handed down. All are crossed here."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ringback"
BIN = Path(sys.executable).parent
CONTRACTS = {
    contract["name"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}
RIVER = "the river flows downward"


def _layers():
    """The layers from top to bottom: (the modules of one that are there, whether they may know one another)."""
    for layer in CONTRACTS[RIVER]["layers"]:
        names = [name.strip(" ()").removeprefix("ringback.") for name in re.split("[|:]", layer)]
        there = [name for name in names if any(SOURCE.glob(name)) or any(SOURCE.glob(f"{name}.py"))]
        yield there, ":" in layer


def _plants():
    """(contract, file, line, what the linter says of it): one for every pair that a contract forbids."""
    layers = [(names, open_to_each_other) for names, open_to_each_other in _layers() if names]
    forbidden = [(low, up) for (above, _), (below, _) in itertools.pairwise(layers) for low in below for up in above]
    for names, open_to_each_other in layers:
        forbidden += [] if open_to_each_other else itertools.pairwise(names)
    for lower, upper in forbidden:
        yield RIVER, lower, f"import ringback.{upper}", f"ringback.{lower} is not allowed to import ringback.{upper}"
    for name, contract in CONTRACTS.items():
        pairs = itertools.product(contract.get("source_modules", ()), contract.get("forbidden_modules", ()))
        for source, target in pairs:
            module = source.removeprefix("ringback.") if source != "ringback" else "app"
            yield name, module, f"import {target}", f"{source} is not allowed to import {target}"


@pytest.fixture
def tree(tmp_path):
    """A copy of the source in which to misbehave."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _lint_imports(tree):
    environ = {**os.environ, "PYTHONPATH": str(tree / "src"), "COLUMNS": "200"}
    command = [BIN / "lint-imports", "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=tree, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, " ".join(done.stdout.split()), done.stdout


def _ruff(tree, *files):
    command = [BIN / "ruff", "check", "--no-cache", "--output-format=concise", *files]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _plant(tree, module, line):
    path = tree / "src" / "ringback" / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    path.write_text(path.read_text() + f"\n{line}\n")


def test_every_border_stands(tree):
    """The tree as it is keeps every contract."""
    code, _, report = _lint_imports(tree)
    assert code == 0, report
    assert all(f"{name} KEPT" in report for name in CONTRACTS), report


def test_every_contract_is_tried():
    """A contract that nobody tries to break may be one that cannot break."""
    assert {contract for contract, *_ in _plants()} == set(CONTRACTS)


def test_nothing_stands_beside_the_river():
    """Every module and every package has its place in the layers."""
    there = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__"} == {name for names, _ in _layers() for name in names}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_planted_import_breaks_its_contract(tree, contract):
    """Every import that a contract forbids is caught, and named."""
    plants = [plant for plant in _plants() if plant[0] == contract]
    for _, module, line, _ in plants:
        _plant(tree, module, line)
    code, words, report = _lint_imports(tree)
    assert code != 0
    assert f"{contract} BROKEN" in words
    assert [said for *_, said in plants if said not in words] == [], report


@pytest.mark.parametrize(
    ("line", "banned"),
    [
        ("import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)", "datetime.datetime.now"),
        ("from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)", "datetime.datetime.now"),
        ("from datetime import datetime\n\nNOW = datetime.utcnow()", "datetime.datetime.utcnow"),
        ("import time\n\nNOW = time.time()", "time.time"),
        ("from time import time\n\nNOW = time()", "time.time"),
        ("import datetime\n\nNOW = datetime.date.today()", "datetime.date.today"),
        ("from datetime import datetime\n\nNOW = datetime.today()", "datetime.datetime.today"),
        ("import time\n\nNOW = time.time_ns()", "time.time_ns"),
        ("import random", "random"),
        ("from random import uniform", "random"),
    ],
)
def test_the_clock_and_the_dice_are_handed_down(tree, line, banned):
    """Whoever reads the clock or throws dice is caught by name, but for the two files that hand both down."""
    planted = tree / "src" / "ringback" / "planted.py"
    planted.write_text(f'"""Planted."""\n\n{line}\n')
    assert f"TID251 `{banned}` is banned" in _ruff(tree, planted)
    for allowed in ("app.py", "scheduler.py"):
        shutil.copy(planted, tree / "src" / "ringback" / allowed)
        assert "TID251" not in _ruff(tree, f"src/ringback/{allowed}")
