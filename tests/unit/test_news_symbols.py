"""Which symbols a headline is about, where nobody says so."""

import uuid

import pytest

from qsuite.domain.reference import Ticker
from qsuite.services.news_symbols import SymbolFinder

NAMES = {
    "AAPL": "Apple Inc.",
    "IBM": "IBM",
    "JNJ": "Johnson & Johnson",
    "GOOG": "Alphabet Inc. Class C",
    "GOOGL": "Alphabet Inc. Class A",
    "F": "Ford Motor Company",
    "BRK.B": "Berkshire Hathaway Inc.",
    "GE": "GE Co",
}
FINDER = SymbolFinder(Ticker(id=uuid.uuid4(), symbol=symbol, name=name) for symbol, name in NAMES.items())


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("$AAPL and $IBM rise", ("AAPL", "IBM")),
        ("Apple raises its dividend", ("AAPL",)),
        ("Apple's new phone; $BRK.B holds", ("AAPL", "BRK.B")),
        ("apple prices fall", ()),
        ("$ZZZZ and US$AAPL and $aapl", ()),
        ("Alphabet beats forecasts", ("GOOG", "GOOGL")),
        ("Ford Motor recalls cars, Ford says", ("F",)),
        ("Johnson & Johnson settles", ("JNJ",)),
        ("GE and IBM agree", ()),
        ("", ()),
    ],
)
def test_symbols_are_found_by_cashtag_and_by_full_name_alone(text: str, symbols: tuple[str, ...]) -> None:
    assert FINDER.find(text) == symbols
