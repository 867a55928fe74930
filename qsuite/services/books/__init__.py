"""Verify the books: orders, executions, positions, cash and the audit chain tell one story.

    order.py   each order against its own executions and its own audit entries
    ledger.py  each account and position against all executions
    chain.py   the audit chain against its own hashes, and profit against the fills in the order they happened
    resets.py  accounts that began anew, as the audit log tells it
    check.py   all of it, in three passes over one snapshot

Written from CONTRACT and the meaning of the words, with arithmetic of its own: nothing here calls what the engine
decides with, so that a fault there cannot hide itself.
"""

from qsuite.services.books.check import Disagreement, check_books

__all__ = ["Disagreement", "check_books"]
