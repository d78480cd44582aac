"""The catalogue: each preset is loaded when it is asked for, and a user's own wins over a shipped one."""

import subprocess
import sys

import pytest

from ringback.core.errors import PresetError, UnknownName
from ringback.providers import described, spec
from ringback.providers.shelf import CATALOGUE, Shelf, files_of, places, shipped

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


# ---------------------------------------------------------------------- presets of one's own


def _own(folder, id, title="Mine"):
    folder.mkdir(exist_ok=True)
    file = folder / f"{id}.toml"
    text = BROWSER.read_text().replace('"302ai-browser"', f'"{id}"').replace("Browser task", title)
    file.write_text(text)
    return file


def test_presets_of_ones_own_stand_beside_the_configuration_or_where_it_says(tmp_path):
    configuration = tmp_path / "ringback.toml"
    assert places(configuration, []) == []
    _own(tmp_path / "providers", "acme-one")
    elsewhere = _own(tmp_path / "elsewhere", "acme-two")
    assert places(configuration, []) == [tmp_path / "providers"]
    assert places(configuration, [str(elsewhere)]) == [tmp_path / "providers", elsewhere]
    assert places(None, [str(elsewhere.parent)]) == [elsewhere.parent]
    assert places(None, []) == []
    shelf = shipped(places(configuration, [str(elsewhere)]))
    assert [shelf.get(id).about.id for id in ("acme-one", "acme-two", "302ai-browser")] == [
        "acme-one", "acme-two", "302ai-browser",
    ]  # fmt: skip


def test_a_file_called_providers_is_no_folder_of_presets(tmp_path):
    (tmp_path / "providers").write_text("")
    assert places(tmp_path / "ringback.toml", []) == []


def test_of_equal_ids_the_later_place_wins(tmp_path):
    first, second = _own(tmp_path / "a", "acme", "First"), _own(tmp_path / "b", "acme", "Second")
    assert shipped([first.parent, second.parent]).get("acme").about.title == "Second"
    assert shipped([second.parent, first]).get("acme").about.title == "First"


def test_a_preset_is_named_by_its_file(tmp_path):
    _own(tmp_path, "acme-one").rename(tmp_path / "acme-two.toml")
    with pytest.raises(PresetError, match="id: expected 'acme-two', which is the file's name, got 'acme-one'"):
        shipped([tmp_path]).get("acme-two")


def test_what_is_no_preset_in_a_folder_is_left_alone(tmp_path):
    _own(tmp_path, "acme-one")
    (tmp_path / "README.md").write_text("notes")
    (tmp_path / "acme-two.toml.bak").write_text("id =")
    assert set(files_of(tmp_path)) == {"acme-one"}
    assert files_of(tmp_path / "acme-one.toml") == {"acme-one": tmp_path / "acme-one.toml"}


# ---------------------------------------------------------------------- a watch and its provider


READ = {"state": "s", "states": {"done": "succeeded"}}


def test_a_watch_has_the_dialect_of_its_preset_or_its_own():
    shelf = shipped()
    assert shelf.of("302ai-browser") is shelf.get("302ai-browser")
    kept = described.dialect({"url": "https://a.example/1"}, READ)
    assert shelf.of("http", kept).ask("t", {}, "").url == "https://a.example/1"
    with pytest.raises(UnknownName, match="there is no provider 'gone'"):
        shelf.of("gone")


def test_http_is_no_preset_but_told_with_all_others():
    """A preset cannot take its place: nobody's key goes with a description."""
    shelf = shipped()
    assert shelf.about("http") is described.ABOUT
    assert shelf.abouts()[-1] is described.ABOUT
    assert [about.id for about in shelf.abouts()[:-1]] == [preset.about.id for preset in shelf.presets()]
    assert shelf.about("302ai-browser") is shelf.get("302ai-browser").about
    with pytest.raises(UnknownName):
        shelf.get("http")


def test_a_preset_called_http_is_never_used(tmp_path):
    _own(tmp_path, "http")
    shelf = shipped([tmp_path])
    kept = described.dialect({"url": "https://a.example/1"}, READ)
    assert shelf.about("http") is described.ABOUT
    assert shelf.of("http", kept).about.credentials == ()
