"""What somebody meets first: README, CHANGELOG, the version, the links between pages, the Makefile's refusals."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import ringback

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def _read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def _anchors(page):
    """The anchors that a page's headings make, as GitHub makes them."""
    headings = HEADING.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_tutorial_shows_what_the_simulator_says():
    """As many APIs as there are presets."""
    presets = len(list((ROOT / "src/ringback/providers/catalogue").glob("*.toml")))
    assert f"\nSimulates {presets} APIs at http://127.0.0.1:8304. Ctrl-C ends it." in _read("docs/tutorial.md")


def dead_links(page):
    """The links of a page to files or headings that are not there."""
    dead = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            dead.append(link)
    return dead


def test_the_first_screen_says_what_it_is_and_how_to_see_it():
    """The first screen of the README has the one sentence and the command that shows it working."""
    first = "\n".join(_read("README.md").splitlines()[:40])
    assert ringback.__doc__.strip() in first
    assert "make demo" in first


def test_two_commands_are_all():
    """README names both commands, and the Makefile has them."""
    readme, makefile = _read("README.md"), _read("Makefile")
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_version_stands_once():
    """`src/ringback/__init__.py` has the version; the build reads it there and nothing repeats it."""
    assert 'dynamic = ["version"]' in _read("pyproject.toml")
    repeats = [
        path.relative_to(ROOT).as_posix()
        for folder in ("src", "deploy", "config")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".toml", ".md", ".service"} and f'"{ringback.__version__}"' in path.read_text()
    ]
    assert repeats == ["src/ringback/__init__.py"]


def test_the_changelog_has_a_place_for_what_is_new():
    """Users find what changed since the last release under Unreleased, after Keep a Changelog."""
    assert re.search(r"^## \[?Unreleased\]?$\n+### Added\n+- ", _read("CHANGELOG.md"), re.MULTILINE)


def test_no_link_is_dead():
    """Every link between the pages leads somewhere."""
    assert {page.name: dead for page in PAGES if (dead := dead_links(page))} == {}


def test_a_dead_link_is_caught(tmp_path):
    """A missing file or heading is named; addresses, code and what exists are not."""
    (tmp_path / "b.md").write_text("# Here it *is*\n")
    page = tmp_path / "a.md"
    page.write_text(
        "[1](b.md) [2](b.md#here-it-is) [3](c.md) [4](b.md#there) [5](https://x.test)\n```\n[6](d.md)\n```\n"
    )
    assert dead_links(page) == ["c.md", "b.md#there"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        (None, "was not found: install Python 3.11 or later"),
        ("exit 1", "is older than Python 3.11: name a newer one"),
        ('case "$2" in *ensurepip*) exit 1; esac', "has no venv module: install it first"),
    ],
    ids=["none", "old", "without venv"],
)
def test_make_says_what_it_needs(tmp_path, script, sentence):
    """Without a fitting Python, `make` ends at once with one sentence that says what to do."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    python = tmp_path / "python"
    if script:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    command = ["make", "--no-print-directory", "demo", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert done.returncode != 0
    assert len(said) == 1
    assert sentence in said[0]
    assert not (tmp_path / ".venv").exists()
