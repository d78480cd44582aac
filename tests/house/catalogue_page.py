"""The table of docs/reference/providers.md, made of the presets. `make reference` writes it, a test holds it."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from ringback.durations import spelled
from ringback.providers.shelf import shipped

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "providers.md"
BEGIN = "<!-- begin: generated from the presets by `make reference` -->"
END = "<!-- end -->"
HEAD = "| id | is | states | calls back | asked every | facts |"
HEAD = "| id | is | states | calls back | asked every | facts |"


def whole():
    """The page as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def table():
    """One table a vendor."""
    presets = shipped().presets()
    lines = [f"\n{len(presets)} presets."]
    for vendor, group in groupby(presets, key=lambda preset: preset.about.vendor):
        lines += [
            "",
            f"## Account `{vendor}`",
            "",
            HEAD,
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(preset) for preset in group]
    return "\n".join(lines)


def _row(preset):
    about = preset.about
    every = spelled(about.interval) if about.interval is not None else ""
    cells = (
        f"`{about.id}`",
        _plain(about.title),
        _states(preset),
        _plain(about.native_callback or ""),
        every,
        f"{about.confidence}: {_plain(about.source)}",
    )
    return f"| {' | '.join(cells)} |"


def _states(preset):
    """The vendor's words by what they mean; what is said without a word is in the preset."""
    words = {}
    for word, state in preset.about.states.items():
        words.setdefault(state, []).append(f"`{word}`" if "`" not in word else word)
    for statuses, meaning in preset.spec.read.http.items():
        words.setdefault(meaning, []).append(f"HTTP {statuses}")
    told = [f"{state}: {', '.join(words[state])}" for state in words]
    return _plain("; ".join(told)) or "by rules"


def _plain(text):
    return " ".join(text.replace("|", "\\|").split())


if __name__ == "__main__":
    PAGE.write_text(whole(), encoding="utf-8")
