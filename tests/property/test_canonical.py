"""The fast writer of the audit chain writes the bytes of the plain one, whatever text an entry holds."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from qsuite.domain.trading.audit import canonical_json
from qsuite.services import canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FACT = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
FACTS = st.dictionaries(TEXT, st.recursive(FACT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)))


@given(st.lists(FACT | FACTS))
def test_both_write_the_same_bytes(entry: list[Any]) -> None:
    assert canonical.canonical_json(entry) == canonical_json(entry)
