"""Fixtures of the tests of failures:

    figures     the table that a test writes its measured figures into (``figures.at_most``, ``figures.note``)

Each module makes a stack of its own, ``ops.stack.running_stack``, of the parts it needs: ``stacks.stack_or_skip``.
"""

import os
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
        load, processors = os.getloadavg()[0], os.cpu_count()
        terminalreporter.write_line(f"on {processors} processors, for which {load:.0f} processes were waiting")
        for line in FIGURES.table():
            terminalreporter.write_line(line)
