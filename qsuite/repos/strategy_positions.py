"""Positions that each strategy's own orders built up, whatever else its account holds; written by the engine's commit.

The documents of ``positions``, with the ``strategy`` in the place of the account: in the domain, too, they are the same
``Position``, whose ``account`` is the strategy's id.
"""

from qsuite.domain.trading.account import Position
from qsuite.repos import positions
from qsuite.repos.database import Document

HOLDER = "strategy"

SPEC = positions.spec("strategy_positions", HOLDER)


def position_document(position: Position) -> Document:
    """Write a strategy's position as a whole document."""
    return positions.position_document(position, HOLDER)


def position_from(document: Document) -> Position:
    """Read a strategy's position back."""
    return positions.position_from(document, HOLDER)
