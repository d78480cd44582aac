"""`providers`: the catalogue, an answer read by a preset, and presets of one's own checked. No daemon needed.

Secret: none of its own; providers/explain.py has the words. A daemon that is there is asked what it has learned.
"""
# ruff: noqa: PLC0415 - presets are read only by the commands that need them

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, validators

from ringback.cli import exits, saved
from ringback.cli.client import LOCAL, Daemon, segment
from ringback.cli.dialect import HTTP, headers
from ringback.cli.read import Json
from ringback.cli.serve import ConfigFile
from ringback.cli.show import learned, note, raw, table
from ringback.core.errors import BadInput, PresetError

if TYPE_CHECKING:
    from ringback.core.model import Answer
    from ringback.providers.base import About
    from ringback.providers.preset import Preset
    from ringback.providers.shelf import Shelf
    from ringback.web.learned import Learned

app = App(name="providers", version_flags=())

PresetId = Annotated[str, Parameter(help="a preset's id (`ringback providers` lists them), or its file")]


@app.default
def providers(
    id: Annotated[str | None, Parameter(help="a preset's id, or its file: says how that API is asked and read")] = None,
    /,
    *,
    search: Annotated[
        str | None, Parameter(help="only those whose id, title, vendor or menu entry has all these words")
    ] = None,
    config: ConfigFile = None,
    daemon: Daemon = LOCAL,
    as_json: Json = False,
) -> None:
    """List the APIs that can be followed, by vendor, or explain one.

    With an id, and a daemon that answers at --url, it also says how long the tasks take, as far as that was learned.

    Example: `ringback providers --search video`
    """
    shelf = shelf_of(config)
    if id is not None:
        return _one(shelf, id, daemon, as_json=as_json)
    found = [about for about in shelf.abouts() if _has(about, search or "")]
    if as_json:
        return _page(found)
    if not found:
        return note(f"No provider has '{search}' in its id, title, vendor or menu entry.")
    return table(
        ("ACCOUNT", "ID", "TITLE", "MENU", "NEEDS", "FACTS"),
        ((a.vendor, a.id, a.title, a.menu or "", ", ".join(_needs(a)), a.confidence) for a in found),
    )


@app.command(name="try")
def try_(
    id: PresetId,
    file: Annotated[str, Parameter(help="a saved answer of the API (`curl -i` keeps its headers); `-` is stdin")],
    /,
    *,
    http_status: Annotated[
        int | None,
        Parameter(
            help="the HTTP status it came with; 200 when nothing says it", validator=validators.Number(gte=100, lte=599)
        ),
    ] = None,
    header: Annotated[list[str] | None, Parameter(help="K:V, a header it came with; repeatable")] = None,
    task_id: Annotated[str | None, Parameter(help="the task that it should be about; default: any")] = None,
    submitted: Annotated[
        bool, Parameter(help="it is the answer to the submission: print the task's id and what is remembered")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Read a saved answer as the daemon would, and print what it says.

    Example: `ringback providers try 302ai-browser answer.json`
    """
    from ringback.providers import explain
    from ringback.providers.base import UNREADABLE
    from ringback.scheduler import SteadyClock

    preset = preset_of(shelf_of(config), id)
    answer = saved.answer(file, http_status, headers(header or ()), SteadyClock().now())
    if submitted:
        found = preset.submitted(answer)
        said = {"task_id": found.task_id, "params": found.params}
        remarks = explain.unremembered(preset, found.params)
    else:
        said = explain.try_answer(preset, answer, task_id)
        remarks = explain.unfound(preset, said)
        problem = said["problem"]
        if isinstance(problem, dict) and problem["code"] == UNREADABLE and _is_a_submissions(preset, answer):
            note("This looks like the answer to a submission: --submitted takes the task's id out of it.")
    for remark in remarks:
        note(remark)
    print(json.dumps(said, ensure_ascii=False, indent=2))


@app.command
def check(files: Annotated[list[Path], Parameter(name="FILE", help="a preset of your own")], /) -> int:
    """Validate presets of your own and say every problem.

    Example: `ringback providers check my-video.toml`
    """
    from ringback.providers import spec
    from ringback.providers.preset import Preset

    code = exits.DONE
    for file in files:
        try:
            preset = Preset(spec.load(file))
        except PresetError as error:
            note(error.message)
            code = exits.FOUND
        else:
            print(f"{file}: good: {preset.about.id}, {preset.about.title}")
    return code


def shelf_of(config: Path | None) -> Shelf:
    """The shipped presets and the user's own."""
    from ringback.config import preset_places
    from ringback.providers.shelf import shipped

    return shipped(preset_places(config, os.environ))


def preset_of(shelf: Shelf, named: str) -> Preset:
    """A preset by its id, or by its file, which need not be in its place yet.

    Raises UnknownName, PresetError, and BadInput for the provider that has none.
    """
    from ringback.providers import spec
    from ringback.providers.preset import Preset

    if named == HTTP:
        raise BadInput("http has no preset: put the [ask] and [read] that you have in mind into a file, and name that")
    return Preset(spec.load(Path(named))) if named.endswith(".toml") else shelf.get(named)


def _is_a_submissions(preset: Preset, answer: Answer) -> bool:
    try:
        preset.submitted(answer)
    except BadInput:
        return False
    return True


def _has(about: About, words: str) -> bool:
    text = " ".join((about.id, about.title, about.vendor, about.menu or "")).casefold()
    return all(word in text for word in words.casefold().split())


def _needs(about: About) -> tuple[str, ...]:
    """What must be given: the account's settings, then the params."""
    place = () if about.base_url or not about.needs_account else ("base_url",)
    return (*about.credentials, *place, *(name for name in about.params if name not in about.defaults))


def _one(shelf: Shelf, id: str, daemon: Daemon, *, as_json: bool) -> None:
    """All about one provider. What was learned only a daemon knows; without one nothing is said of it."""
    import msgspec

    from ringback.providers import described, explain
    from ringback.web import shapes

    preset = preset_of(shelf, id) if id != HTTP else None
    about = preset.about if preset is not None else shelf.about(id)
    known = _learned(daemon, about.id)
    if as_json:
        shown = shapes.provider_with_laws(about, msgspec.UNSET if known is None else known)
        return raw(msgspec.json.encode(shown))
    print(explain.explain(preset) if preset is not None else described.EXPLAINED)
    for kind in known or ():
        print()
        learned(kind)
    return None


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
