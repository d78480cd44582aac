"""How much sooner `learned` sees an end than `fixed`, and than a back-off: `make bench-cadence` prints it.

Simulated, not timed, and seeded: the figures are the same on every machine. The tables stand in
docs/explanation/how-it-works.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).parents[1]))

from simulated import DURATIONS, BackOff, Followed, Limits, Quantile, law_of, measured

LAWS = 10
TASKS = 2000
DEFAULTS = Limits()
BACK_OFF = BackOff(timedelta(seconds=1))
CASES = {
    "after 200": (200, 1.0),
    "after 50": (50, 1.0),
    "law of tasks half as long": (200, 0.5),
    "law of tasks twice as long": (200, 2.0),
}
INTERVALS = (Limits(1, 0.2), Limits(2, 0.5), DEFAULTS, Limits(15), Limits(30))


def after(durations: Quantile, count: int, scale: float, limits: Limits) -> tuple[float, float]:
    """Delay at equal polls and polls, against the fixed interval: the means of several laws."""
    fixed = measured(durations, limits.pace(), TASKS)
    each = [_with_a_law(durations, count, scale, limits, seed) for seed in range(LAWS)]
    return fmean(one.against(fixed) for one in each), fmean(one.polls for one in each) / fixed.polls


def _with_a_law(durations: Quantile, count: int, scale: float, limits: Limits, seed: int) -> Followed:
    law = law_of(durations, count, limits, seed=seed, scale=scale)
    return measured(durations, limits.pace(law), TASKS, seed=seed)


def _row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _table(first: str, rest: Iterable[str]) -> None:
    head = (first, *rest)
    _row(*head)
    print("|---" * len(head) + "|")


def main() -> None:
    """Both tables."""
    print(
        f"Interval {DEFAULTS.interval} s, limits {DEFAULTS.least} s and {DEFAULTS.most} s; {LAWS} laws and {TASKS}"
        " tasks a cell. Mean delay of `learned` as a part of `fixed`'s, with polls made equal (delay x polls); in"
        " brackets its polls as they were counted. The back-off begins with 1 s and has no limit (capped: 60 s).\n"
    )
    _table("durations", ("fixed: delay, polls", *CASES, "back-off x1.5", "capped", "after 200 : back-off", "capped"))
    for name, durations in DURATIONS.items():
        fixed = measured(durations, DEFAULTS.pace(), TASKS)
        found = [after(durations, count, scale, DEFAULTS) for count, scale in CASES.values()]
        backs = [measured(durations, limits.of(BACK_OFF), TASKS) for limits in (Limits(most=10**6), DEFAULTS)]
        against = [back.against(fixed) for back in backs]
        _row(
            name,
            f"{fixed.delay_s:.2f} s, {fixed.polls:.1f}",
            *(f"{delay:.2f} ({polls:.2f})" for delay, polls in found),
            *(f"{back:.2f}" for back in against),
            *(f"{found[0][0] / back:.2f}" for back in against),
        )
    print("\nAfter 200 completions, by interval (and limits):\n")
    _table("durations", (f"{one.interval:g} s ({one.least:g} s, {one.most:g} s)" for one in INTERVALS))
    for name, durations in DURATIONS.items():
        _row(name, *(f"{after(durations, 200, 1.0, limits)[0]:.2f}" for limits in INTERVALS))


if __name__ == "__main__":
    main()
