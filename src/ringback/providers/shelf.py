"""The catalogue: presets by id, each loaded when it is first asked for.

Secret: where preset files are, and that a file's name is its preset's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ringback.core.errors import PresetError, UnknownName, nearest
from ringback.providers import described, spec
from ringback.providers.base import HTTP, About
from ringback.providers.preset import Preset

CATALOGUE = Path(__file__).parent / "catalogue"


class Shelf:
    """A Catalogue of files, and beside them `http`, which every watch describes for itself."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = dict(files)
        self._loaded: dict[str, Preset] = {}

    def get(self, id: str) -> Preset:
        """One preset. Raises UnknownName with the nearest id, PresetError when its file is wrong."""
        if id not in self._files:
            if id.endswith(".toml"):
                raise UnknownName(
                    f"'{id[:200]}' is a file, and a provider is named by its id: put the file into the folder "
                    f"`providers` beside the configuration, and name '{Path(id).stem[:80]}'",
                    provider=id[:80],
                )
            raise UnknownName(
                f"there is no provider '{id[:80]}'.{nearest(id[:80], self._files)} `ringback providers` lists all",
                provider=id[:80],
            )
        if id not in self._loaded:
            self._loaded[id] = Preset(spec.load(self._files[id]))
        return self._loaded[id]

    def presets(self) -> list[Preset]:
        """Every preset, by vendor and id. Raises PresetError for the first file that is wrong."""
        return sorted(map(self.get, self._files), key=lambda preset: (preset.about.vendor, preset.about.id))

    def about(self, id: str) -> About:
        """What one provider is. Raises UnknownName, PresetError."""
        return described.ABOUT if id == HTTP else self.get(id).about

    def abouts(self) -> list[About]:
        """What all are, by vendor and id."""
        return [*(preset.about for preset in self.presets()), described.ABOUT]

    def of(self, id: str, dialect: str = "") -> Preset:
        """What asks and reads: the provider's preset, or the description that came along."""
        return described.preset(dialect) if id == HTTP else self.get(id)


def shipped(extra_paths: Iterable[Path] = ()) -> Shelf:
    """The presets that come with ringback, and those of a user: folders or files, a later one wins over an equal id.

    Raises PresetError for a path that does not exist.
    """
    files = files_of(CATALOGUE)
    for path in extra_paths:
        files.update(files_of(path))
    return Shelf(files)


def places(configuration: Path | None, paths: Iterable[str]) -> list[Path]:
    """Where a user's own presets are: in the folder `providers` beside the configuration, and where it says."""
    beside = [configuration.parent / "providers"] if configuration is not None else []
    return [*(folder for folder in beside if folder.is_dir()), *map(Path, paths)]


def files_of(path: Path) -> dict[str, Path]:
    """The preset files of a folder, or the one that is named, by id. Raises PresetError where there is nothing."""
    if path.is_dir():
        return {file.stem: file for file in sorted(path.glob("*.toml"))}
    if path.is_file():
        return {path.stem: path}
    raise PresetError(f"{path}: there are no presets here: it does not exist", file=str(path))
