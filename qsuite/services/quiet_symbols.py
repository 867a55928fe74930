"""Follows the prices of symbols without a live feed: what a command beside the server imports, or bars sent over HTTP.

Live ticks come in by ``MarketDataService.publish`` and make the market at once. What others write into the database
does not; here it is seen within a second where few symbols are quiet, and in turn where many are.
"""

from qsuite.services.market_data import MarketDataService

SYMBOLS_A_ROUND = 20


class QuietSymbols:
    """A loop that looks a few of them up in storage each second, in turn."""

    name = "quiet-symbols"
    interval_s = 1.0

    def __init__(self, market: MarketDataService) -> None:
        self._market = market
        self._from = 0

    async def run_once(self, now: int) -> None:
        """Look up the next few."""
        quiet = self._market.quiet()
        if self._from >= len(quiet):
            self._from = 0
        some = quiet[self._from : self._from + SYMBOLS_A_ROUND]
        self._from += SYMBOLS_A_ROUND
        if some:
            await self._market.load_prices(some)
