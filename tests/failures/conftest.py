"""Fixtures of the tests of failures:

    figures     the table that a test writes its measured figures into (``figures.at_most``, ``figures.note``)

Each module makes a stack of its own, ``ops.stack.running_stack``, of the parts it needs: ``stacks.stack_or_skip``.
"""

from typing import Any

import pytest

from tests.failures.figures import Figures

FIGURES = Figures()


@pytest.fixture(scope="session")
def figures() -> Figures:
    return FIGURES


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table once, at the end."""
    if FIGURES.lines:
        terminalreporter.section("required and measured")
        for line in FIGURES.table():
            terminalreporter.write_line(line)
