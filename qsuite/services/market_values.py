"""Positions and accounts at what the market pays for them now."""

import time
from collections.abc import Callable, Iterable
from decimal import Decimal

from qsuite.domain.money import ZERO
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.account import Account, Position
from qsuite.services.market_data import MarketDataService
from qsuite.services.views import Shown, show_account, show_position


class MarketValues:
    """Value and show them."""

    def __init__(self, market: MarketDataService, clock: Callable[[], int] = time.time_ns) -> None:
        self._market = market
        self._clock = clock

    def price(self, position: Position) -> Decimal | None:
        """Return what a unit held would bring, or one sold short would cost: bid or ask, else the last trade."""
        snapshot = self._market.snapshot(position.symbol)
        if snapshot.quote is not None:
            side = snapshot.quote.bid if position.quantity >= ZERO else snapshot.quote.ask
            if side is not None:
                return side
        return None if snapshot.trade is None else snapshot.trade.price

    def show_position(self, position: Position) -> Shown:
        """Show a position at the market."""
        return show_position(position, self.price(position))

    def show_account(self, account: Account, held: Iterable[Position]) -> Shown:
        """Show an account with what it holds at the market."""
        valued = [(position, self.price(position)) for position in held]
        return show_account(account, valued, self._clock() // DAY_NS)
