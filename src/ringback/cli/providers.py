"""`providers`: the catalogue, an answer read by a preset, and presets of one's own checked. No daemon needed.

Secret: none of its own; providers/explain.py has the words. A daemon that is there is asked what it has learned.
"""
# ruff: noqa: PLC0415 - presets are read only by the commands that need them

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ringback.cli import exits
from ringback.cli.client import LOCAL, Daemon, segment
from ringback.cli.read import Json
from ringback.cli.show import learned, note, raw, table
from ringback.core.errors import BadInput, PresetError

if TYPE_CHECKING:
    from ringback.providers.base import About
    from ringback.providers.spec import Preset
    from ringback.web.learned import Learned

app = App(name="providers", version_flags=())

ANSWER_AT_MOST = 64 * 1024 * 1024
"""What any preset may allow an answer to be."""

PresetId = Annotated[str, Parameter(help="a preset's id: `ringback providers` lists them")]


@app.default
def providers(
    id: Annotated[str | None, Parameter(help="a preset's id: says how that API is asked and read")] = None,
    /,
    *,
    daemon: Daemon = LOCAL,
    as_json: Json = False,
) -> None:
    """List the APIs that can be followed, or explain one.

    With an id, and a daemon that answers at --url, it also says how long the tasks take, as far as that was learned.

    Example: `ringback providers 302ai-browser`
    """
    from ringback.providers import shelf

    shipped = shelf.shipped()
    if id:
        return _one(shipped.get(id), daemon, as_json=as_json)
    abouts = [preset.about for preset in shipped.all()]
    if as_json:
        return _page(abouts)
    return table(
        ("ID", "TITLE", "ACCOUNT", "NEEDS", "FACTS"),
        ((a.id, a.title, a.vendor, ", ".join((*a.credentials, *a.params)), a.confidence) for a in abouts),
    )


@app.command(name="try")
def try_(
    id: PresetId,
    file: Annotated[Path, Parameter(help="a saved answer of the API; `-` is standard input")],
    /,
    *,
    http_status: Annotated[int, Parameter(help="the HTTP status it came with")] = 200,
    header: Annotated[list[str] | None, Parameter(help="K:V, a header it came with; repeatable")] = None,
) -> None:
    """Read a saved answer as the daemon would, and print what it says.

    Example: `ringback providers try 302ai-browser answer.json`
    """
    from ringback.core.model import Answer
    from ringback.providers import explain, shelf

    preset = shelf.shipped().get(id)
    answer = Answer(status=http_status, headers=_headers(header or ()), body=_read(file))
    print(json.dumps(explain.try_answer(preset, answer, None), ensure_ascii=False, indent=2))


@app.command
def check(files: Annotated[list[Path], Parameter(name="FILE", help="a preset of your own")], /) -> int:
    """Validate presets of your own and say every problem.

    Example: `ringback providers check my-video.toml`
    """
    from ringback.providers import spec

    code = exits.DONE
    for file in files:
        try:
            preset = spec.load(file)
        except PresetError as error:
            note(error.message)
            code = exits.FOUND
        else:
            print(f"{file}: good: {preset.about.id}, {preset.about.title}")
    return code


def _one(preset: Preset, daemon: Daemon, *, as_json: bool) -> None:
    """All about one provider. What was learned only a daemon knows; without one nothing is said of it."""
    import msgspec

    from ringback.providers import explain
    from ringback.web import shapes

    known = _learned(daemon, preset.about.id)
    if as_json:
        shown = shapes.provider_with_laws(preset.about, msgspec.UNSET if known is None else known)
        raw(msgspec.json.encode(shown))
    else:
        print(explain.explain(preset))
        for kind in known or ():
            print()
            learned(kind)


def _page(abouts: Iterable[About]) -> None:
    import msgspec

    from ringback.web import shapes

    raw(msgspec.json.encode(shapes.ProviderPage([shapes.provider(about) for about in abouts], None)))


def _learned(daemon: Daemon, id: str) -> list[Learned] | None:
    import msgspec

    from ringback.web.learned import Learned

    body = daemon.glimpse(f"/v1/providers/{segment(id)}")
    try:
        return msgspec.convert(json.loads(body or b"{}")["learned"], list[Learned])
    except (LookupError, TypeError, ValueError, msgspec.MsgspecError):  # a stranger, or a daemon of another version
        return None


def _headers(given: Iterable[str]) -> dict[str, str]:
    split = [header.partition(":") for header in given]
    for name, colon, _ in split:
        if not (name.strip() and colon):
            raise BadInput(f"--header '{name}' is no header: write it as NAME:VALUE")
    return {name.strip().lower(): value.strip() for name, _, value in split}


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(ANSWER_AT_MOST)
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}): name a file with the answer's body") from error
