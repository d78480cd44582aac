"""What tests of providers start from: a small preset with only what matters said, and what it makes of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ringback.core.errors import PresetError
from ringback.core.model import Answer, Observation
from ringback.providers import spec
from ringback.providers.preset import Preset

SMALL: dict[str, Any] = {
    "id": "acme-video",
    "title": "Acme video",
    "vendor": "acme",
    "base_url": "https://api.acme.example/v1",
    "source": "the manual",
    "confidence": "likely",
    "ask": {"path": "/jobs/{task_id}"},
    "auth": {"type": "none"},
    "read": {
        "state": "state",
        "states": {"waiting": "queued", "busy": "running", "done": "succeeded", "bad": "failed"},
    },
}


@pytest.fixture(scope="session")
def preset_with() -> Callable[..., Preset]:
    """A preset with these tables and keys instead of the small one's; None leaves one out."""

    def preset(**tables: Any) -> Preset:
        raw = {name: value for name, value in {**SMALL, **tables}.items() if value is not None}
        return Preset(spec.of(raw, name="acme-video.toml"))

    return preset


@pytest.fixture(scope="session")
def problems_with(preset_with: Callable[..., Preset]) -> Callable[..., list[str]]:
    """What is wrong with a preset that has these tables and keys."""

    def problems(**tables: Any) -> list[str]:
        with pytest.raises(PresetError) as refused:
            preset_with(**tables)
        return list(refused.value.facts["problems"])

    return problems


@pytest.fixture(scope="session")
def seen_by() -> Callable[..., Observation]:
    """What a preset reads in a JSON document."""

    def seen(preset: Preset, document: Any, status: int = 200, **answer: Any) -> Observation:
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        return preset.read(Answer(status=status, body=body, **answer), "t-1")

    return seen
