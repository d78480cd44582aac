"""A table of the configuration: what all of them have in common.

Secret: how a secret that is given by file comes to stand under its own key.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from ringback.settings.forms import InFile, unpacked


class Section(BaseModel):
    """A table of the file. What `secret_keys` names may also be given by file, as `<key>_file`.

    Where there are `commands`, a program may print it, too: `<key>_command`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    secret_keys: ClassVar[frozenset[str]] = frozenset()
    commands: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _read(cls, table: Any) -> Any:
        return cls._with_files(table) if isinstance(table, dict) else table

    @classmethod
    def _with_files(cls, table: dict[str, Any]) -> dict[str, Any]:
        """Every `<key>_file` under its key, so that a problem with the file is told with the key."""
        filled = {key: value for key, value in table.items() if not cls._names_a_file(key)}
        for key in (key for key in table if key not in filled):
            name = key.removesuffix("_file")
            path, twice = unpacked(table[key]), table.get(name, "") != ""
            filled[name] = [InFile(each, twice) for each in path] if isinstance(path, list) else InFile(path, twice)
        return filled

    @classmethod
    def _names_a_file(cls, key: str) -> bool:
        return key.endswith("_file") and key.removesuffix("_file") in cls.secret_keys
