"""The catalogue: presets by id, each loaded when it is first asked for.

Secret: where preset files are, and that a file's name is its preset's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ringback.core.errors import PresetError, UnknownName, nearest
from ringback.providers import spec
from ringback.providers.spec import Preset

CATALOGUE = Path(__file__).parent / "catalogue"


class Shelf:
    """A Catalogue of files."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = dict(files)
        self._loaded: dict[str, Preset] = {}

    def get(self, id: str) -> Preset:
        """One preset. Raises UnknownName with the nearest id, PresetError when its file is wrong."""
        if id not in self._files:
            raise UnknownName(
                f"there is no provider '{id[:80]}'.{nearest(id[:80], self._files)} `ringback providers` lists all",
                provider=id[:80],
            )
        if id not in self._loaded:
            self._loaded[id] = spec.load(self._files[id])
        return self._loaded[id]

    def all(self) -> list[Preset]:
        """Every preset, by vendor and id. Raises PresetError for the first file that is wrong."""
        return sorted((self.get(id) for id in self._files), key=lambda preset: (preset.about.vendor, preset.about.id))


def shipped(extra_paths: Iterable[Path] = ()) -> Shelf:
    """The presets that come with ringback, and those of a user: folders or files, a later one wins over an equal id.

    Raises PresetError for a path that does not exist.
    """
    files = _files_of(CATALOGUE)
    for path in extra_paths:
        files.update(_files_of(path))
    return Shelf(files)


def _files_of(path: Path) -> dict[str, Path]:
    if path.is_dir():
        return {file.stem: file for file in sorted(path.glob("*.toml"))}
    if path.is_file():
        return {path.stem: path}
    raise PresetError(f"{path}: there are no presets here: it does not exist", file=str(path))
