"""Run a measurement and its peer in turn, several rounds, and report the ratio of each pair: median and spread.

Machines drift; two figures taken one after the other drift together, so the ratio of a pair means something where the
figures alone do not.
"""

import json
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what was measured, beside what, and how the ratios of the pairs were spread."""

    name: str
    unit: str
    value: float
    peer: str
    peer_value: float
    ratio: float
    ratio_min: float
    ratio_max: float
    n: int
    first_bar: str
    aim: str


def in_pairs(
    name: str,
    *,
    unit: str,
    measure: Callable[[], float],
    peer: str,
    measure_peer: Callable[[], float],
    first_bar: str,
    aim: str,
    rounds: int = ROUNDS,
) -> Figure:
    """Measure both in turn, ``rounds`` times, and summarise."""
    pairs = []
    for number in range(rounds):
        # Whoever goes second finds warmer caches: take turns.
        if number % 2:
            other = measure_peer()
            mine = measure()
        else:
            mine = measure()
            other = measure_peer()
        pairs.append((mine, other))
    ratios = sorted(mine / other for mine, other in pairs)
    return Figure(
        name=name,
        unit=unit,
        value=statistics.median(mine for mine, _ in pairs),
        peer=peer,
        peer_value=statistics.median(other for _, other in pairs),
        ratio=statistics.median(ratios),
        ratio_min=ratios[0],
        ratio_max=ratios[-1],
        n=rounds,
        first_bar=first_bar,
        aim=aim,
    )


def alone(name: str, *, unit: str, measure: Callable[[], float], first_bar: str, aim: str) -> Figure:
    """Measure what has no peer but the bar itself, given in the unit."""
    values = sorted(measure() for _ in range(ROUNDS))
    middle = statistics.median(values)
    return Figure(name, unit, middle, "-", 1.0, middle, values[0], values[-1], ROUNDS, first_bar, aim)


def show(figures: list[Figure]) -> str:
    """Lay the figures out as a table."""
    head = f"{'what':52} {'value':>12} {'peer':>12} {'ratio':>8} {'min-max':>15} {'n':>2}  bar / aim"
    lines = [head, "-" * len(head)]
    for row in figures:
        spread = f"{row.ratio_min:.3g}-{row.ratio_max:.3g}"
        peer = "-" if row.peer == "-" else f"{row.peer_value:,.4g}"
        lines.append(
            f"{row.name + ' [' + row.unit + ']':52} {row.value:>12,.4g} {peer:>12} {row.ratio:>8.3g} {spread:>15} "
            f"{row.n:>2}  {row.first_bar} / {row.aim}" + ("" if row.peer == "-" else f"   peer: {row.peer}")
        )
    return "\n".join(lines)


def save(figures: list[Figure], path: Path) -> None:
    """Write the figures as JSON."""
    machine = {"python": platform.python_version(), "system": platform.platform()}
    path.write_text(json.dumps({"machine": machine, "figures": [asdict(row) for row in figures]}, indent=2) + "\n")
