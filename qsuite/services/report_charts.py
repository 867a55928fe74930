"""Charts as SVG, drawn here: lines over time with a grid, areas below zero, marks. For the page of a backtest.

A chart is text made of numbers alone; words in it are escaped. Colours are classes, so that a page decides what they
are in light, in dark and on paper. Invariant: a line of any length becomes at most a few points a pixel, extremes
kept.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple

from qsuite.domain.times import NS_PER_S

WIDTH = 920
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 10, 22
TICKS = 5
DAY_S, YEAR_S = 86_400, 31_557_600
Point = tuple[int, float]
"""An instant in nanoseconds, and a value."""


class Line(NamedTuple):
    """Values over time, oldest first, drawn in a style; ``filled`` fills what lies between it and zero."""

    label: str
    style: str
    points: Sequence[Point]
    filled: bool = False


class Mark(NamedTuple):
    """Something that happened at an instant and a value; it points up, or down."""

    at: Point
    up: bool
    style: str
    text: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """From instants and values to places on a chart of a height."""

    first: int
    last: int
    low: float
    high: float
    height: int

    def x(self, ts_ns: int) -> float:
        return LEFT + (ts_ns - self.first) / max(1, self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (self.height - TOP - BOTTOM)


def chart(title: str, lines: Sequence[Line], *, unit: str = "", height: int = 260, marks: Sequence[Mark] = ()) -> str:
    """Draw lines over one time axis. ``unit`` follows the axis' numbers; ``title`` is for who cannot see it."""
    drawn = [line for line in lines if line.points]
    if not drawn:
        return f'<p class="none">{escape(title)}: nothing to draw.</p>'
    scale = _scale_of(drawn, marks, height)
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">',
        *_grid(scale, unit),
        *(_drawn(line, scale) for line in drawn),
        *(_marked(mark, scale) for mark in marks),
        "</svg>",
    ]
    return "".join(parts)


def legend(lines: Sequence[Line]) -> str:
    """Return the names of lines beside their colours."""
    names = (f'<span class="key {line.style}">{escape(line.label)}</span>' for line in lines if line.points)
    return f'<p class="legend">{"".join(names)}</p>'


def _scale_of(lines: Sequence[Line], marks: Sequence[Mark], height: int) -> _Scale:
    values = [value for line in lines for _, value in line.points] + [mark.at[1] for mark in marks]
    if any(line.filled for line in lines):
        values.append(0.0)
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - max(1.0, abs(low) * 0.01), high + max(1.0, abs(high) * 0.01)
    room = 0.04 * (high - low)
    high = high if high == 0.0 else high + room
    first = min(line.points[0][0] for line in lines)
    last = max(line.points[-1][0] for line in lines)
    return _Scale(first, last, low - room, high, height)


# -- lines and marks --------------------------------------------------------------------------------------------------


def _drawn(line: Line, scale: _Scale) -> str:
    places = [(scale.x(ts), scale.y(value)) for ts, value in thinned(line.points)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    drawn = f'<path class="line {line.style}" d="{path}"/>'
    if line.filled:
        floor = f"{scale.y(0.0):.1f}"
        closed = f"{path}L{places[-1][0]:.1f} {floor}L{places[0][0]:.1f} {floor}Z"
        drawn = f'<path class="area {line.style}" d="{closed}"/>{drawn}'
    return drawn


def thinned(points: Sequence[Point], most: int = WIDTH) -> Iterator[Point]:
    """Yield first, least, greatest and last of each of so many pieces, in their order."""
    if len(points) <= 4 * most:
        yield from points
        return
    size = math.ceil(len(points) / most)
    for start in range(0, len(points), size):
        piece = points[start : start + size]
        values = [value for _, value in piece]
        kept = {0, values.index(min(values)), values.index(max(values)), len(piece) - 1}
        yield from (piece[place] for place in sorted(kept))


def _marked(mark: Mark, scale: _Scale) -> str:
    x, y = scale.x(mark.at[0]), scale.y(mark.at[1])
    step = 7 if mark.up else -7
    triangle = f"M{x:.1f} {y:.1f}l-4 {step}h8Z"
    return f'<path class="mark {mark.style}" d="{triangle}"><title>{escape(mark.text)}</title></path>'


# -- axes -------------------------------------------------------------------------------------------------------------


def _grid(scale: _Scale, unit: str) -> Iterator[str]:
    for value in ticks(scale.low, scale.high):
        y, name = scale.y(value), escape(_short(value) + unit)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="axis" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
    for ts_ns, name in dates(scale.first, scale.last):
        x = scale.x(ts_ns)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{scale.height - BOTTOM}"/>'
        yield f'<text class="axis" x="{x:.1f}" y="{scale.height - 6}" text-anchor="middle">{name}</text>'


def ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Return round numbers in a range: multiples of 1, 2 or 5 times a power of ten, about ``count`` of them."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def dates(first_ns: int, last_ns: int) -> Iterable[tuple[int, str]]:
    """Return instants at which a year, a month or a day begins, with its name: at most a dozen, inside the range."""
    span_s = (last_ns - first_ns) / NS_PER_S
    if span_s > 3 * YEAR_S:
        every = max(1, math.ceil(span_s / YEAR_S / 12))
        found = _begins(first_ns, last_ns, months=12 * every)
        return [(ts_ns, f"{begin:%Y}") for ts_ns, begin in found]
    if span_s > 90 * DAY_S:
        every = max(1, math.ceil(span_s / YEAR_S))
        return [(ts_ns, f"{begin:%b %Y}") for ts_ns, begin in _begins(first_ns, last_ns, months=every)]
    step = max(1, math.ceil(span_s / DAY_S / 8)) * DAY_S * NS_PER_S
    days = range(-(-first_ns // step) * step, last_ns + 1, step)
    return [(day, f"{datetime.fromtimestamp(day / NS_PER_S, UTC):%d %b}") for day in days]


def _begins(first_ns: int, last_ns: int, *, months: int) -> Iterator[tuple[int, datetime]]:
    start = datetime.fromtimestamp(first_ns / NS_PER_S, UTC)
    number = -(-(start.year * 12 + start.month - 1) // months) * months
    while True:
        begin = datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)
        ts_ns = int(begin.timestamp()) * NS_PER_S
        if ts_ns > last_ns:
            return
        if ts_ns >= first_ns:
            yield ts_ns, begin
        number += months


def _short(value: float) -> str:
    size = abs(value)
    if size >= 1e9:
        return f"{value / 1e9:g}G"
    if size >= 1e6:
        return f"{value / 1e6:g}M"
    if size >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{round(value, 10):g}"
