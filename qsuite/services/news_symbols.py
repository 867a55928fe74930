"""Which symbols a headline is about, where whoever sent it did not say: by cashtag, or by a ticker's full name.

    "$AAPL up 3 %"            AAPL, if there is such a ticker
    "Apple raises dividend"   AAPL, if its name is "Apple Inc."
    "apple prices fall"       none: a name counts as it is written

Nothing is guessed beyond that. A name that several tickers have gives all of them.
"""

import re
from collections.abc import Iterable, Mapping

from qsuite.domain.reference import Ticker

CASHTAG = re.compile(r"(?<![\w$])\$([A-Z][A-Z0-9]{0,9}(?:\.[A-Z]{1,2})?)\b")
WORD = re.compile(r"\w+(?:[&.-]\w+)*")
_FORMS = (
    "inc incorporated corp corporation co company companies ltd limited llc lp plc sa ag nv se oyj ab asa spa "
    "group holding holdings common stock class a b c the"
)
FORMS = frozenset(_FORMS.split())
"""What stands beside a name and is left out when people speak of a company."""
LEAST_LETTERS = 4
"""A shorter name is too often another word."""
MOST_WORDS = 5


class SymbolFinder:
    """Find symbols in texts, by the tickers there are."""

    def __init__(self, tickers: Iterable[Ticker]) -> None:
        self._symbols: set[str] = set()
        names: dict[tuple[str, ...], set[str]] = {}
        for ticker in tickers:
            self._symbols.add(ticker.symbol)
            words = name_words(ticker)
            if words:
                names.setdefault(words, set()).add(ticker.symbol)
        self._names: Mapping[tuple[str, ...], set[str]] = names
        self._first_words = frozenset(words[0] for words in names)

    def find(self, text: str) -> tuple[str, ...]:
        """Return the symbols in alphabetical order."""
        found = {symbol for symbol in CASHTAG.findall(text) if symbol in self._symbols}
        words = WORD.findall(text)
        for start in (place for place, word in enumerate(words) if word in self._first_words):
            for end in range(start + 1, min(start + MOST_WORDS, len(words)) + 1):
                found |= self._names.get(tuple(words[start:end]), set())
        return tuple(sorted(found))


def name_words(ticker: Ticker) -> tuple[str, ...]:
    """Return the words people call a company by; none where that could be anything."""
    words = [word for word in WORD.findall(ticker.name) if word.lower() not in FORMS]
    if sum(map(len, words)) < LEAST_LETTERS or len(words) > MOST_WORDS or words == [ticker.symbol]:
        return ()
    return tuple(words)
