"""The catalogue: each preset is loaded when it is asked for, and a user's own wins over a shipped one."""

import subprocess
import sys

import pytest

from ringback.core.errors import PresetError, UnknownName
from ringback.providers import spec
from ringback.providers.shelf import CATALOGUE, Shelf, shipped

BROWSER = CATALOGUE / "302ai-browser.toml"


def test_an_unknown_id_names_the_nearest_and_what_lists_all():
    with pytest.raises(UnknownName) as unknown:
        shipped().get("302ai-browsr")
    assert unknown.value.message == (
        "there is no provider '302ai-browsr'. Did you mean '302ai-browser'? `ringback providers` lists all"
    )


@pytest.mark.parametrize("id", ["", "../../etc/passwd", "x" * 10_000, "302ai-browser.toml", "\x00"])
def test_an_id_is_no_path(id):
    with pytest.raises(UnknownName) as unknown:
        shipped().get(id)
    assert len(unknown.value.message) < 250


def test_a_preset_is_loaded_when_asked_for_and_once(monkeypatch):
    loaded = []
    load = spec.load
    monkeypatch.setattr(spec, "load", lambda file: loaded.append(file) or load(file))
    shelf = shipped()
    assert loaded == []
    assert shelf.get("302ai-browser") is shelf.get("302ai-browser")
    assert loaded == [BROWSER]


def test_all_are_sorted_by_vendor_and_id(tmp_path):
    for id, vendor in (("b-1", "zeta"), ("a-2", "zeta"), ("c-3", "alpha")):
        text = (
            BROWSER.read_text()
            .replace('"302ai-browser"', f'"{id}"')
            .replace('vendor = "302ai"', f'vendor = "{vendor}"')
        )
        (tmp_path / f"{id}.toml").write_text(text)
    mine = Shelf({file.stem: file for file in tmp_path.iterdir()})
    assert [preset.about.id for preset in mine.presets()] == ["c-3", "a-2", "b-1"]


def test_a_preset_of_ones_own_wins_over_the_shipped_one(tmp_path):
    (tmp_path / "302ai-browser.toml").write_text(BROWSER.read_text().replace("Browser task", "Mine"))
    assert shipped([tmp_path]).get("302ai-browser").about.title == "Mine"
    assert shipped([tmp_path / "302ai-browser.toml"]).get("302ai-browser").about.title == "Mine"
    assert shipped().get("302ai-browser").about.title == "Browser task"


def test_a_path_that_does_not_exist_is_told(tmp_path):
    with pytest.raises(PresetError, match="does not exist"):
        shipped([tmp_path / "nowhere"])


def test_making_the_catalogue_loads_no_preset_and_a_broken_one_hurts_nobody_else(tmp_path):
    (tmp_path / "broken.toml").write_text("id =")
    shelf = shipped([tmp_path])
    assert shelf.get("302ai-browser").about.id == "302ai-browser"
    with pytest.raises(PresetError, match=r"broken\.toml: is not TOML"):
        shelf.get("broken")


def test_the_seam_alone_imports_neither_presets_nor_jmespath():
    """What only names the port (the loops, the web) does not pay for the language."""
    code = "import sys, ringback.providers.base; sys.exit('jmespath' in sys.modules or 'tomllib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
