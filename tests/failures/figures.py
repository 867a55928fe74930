"""What was measured beside what is required, one line a failure; printed when the tests are over.

A time is never asserted, since the machine under test runs much else: what falls short is printed as SHORT.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table."""

    failure: str
    what: str
    required: str
    measured: str
    met: bool


class Figures:
    """The lines that a run has gathered."""

    def __init__(self) -> None:
        self.lines: list[Figure] = []

    def at_most(self, failure: str, what: str, required: float, measured: Sequence[float], unit: str = "s") -> None:
        """Write down the largest of what was measured, and how many there are."""
        worst = max(measured)
        shown = f"{worst:.3g} {unit}" + (f" (largest of {len(measured)})" if len(measured) > 1 else " (n 1)")
        self.lines.append(Figure(failure, what, f"<= {required:g} {unit}", shown, worst <= required))

    def note(self, failure: str, what: str, required: str, measured: str, *, met: bool = True) -> None:
        """Write down what is no number, such as "one order" beside "1 of 50 requests made one"."""
        self.lines.append(Figure(failure, what, required, measured, met))

    def table(self) -> list[str]:
        """Return the lines as a table."""
        rows = [
            ("failure", "what", "required", "measured", ""),
            *((*one[:4], "" if one.met else "SHORT") for one in self.lines),
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
            for row in rows
        ]
