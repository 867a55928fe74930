"""The accounts of many sets at once: the n-th order of every set is sized, checked and filled in one pass.

What the event-driven run does with an order at a bar's open, in its terms (``sizes``, ``trading.risk.money``,
``paper``), over arrays with one place a set:

    size      a quantity, or what a value, a part of the equity or a share of a limit pays for, in whole lots
    control   cash behind what opens a position: a buy's value, half a short's, and commission; shorts hold 1.5 x;
              what an order closes first backs the rest
    fill      the open, slipped on to the next tick; commission; cash and position

Invariant: a position is a whole number of lots, so flat is exactly zero. Cash is a double: it stays within a millionth
of a cent of the exact one up to ten million, and a decision that hangs on less than ``NEAR`` falls to the even side.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qsuite.domain.analytics.series import Flags, Series
from qsuite.domain.backtests.panel import Panel
from qsuite.domain.backtests.swept_costs import NEAR, Charges, floored, slipped
from qsuite.domain.backtests.swept_orders import Orders, Places
from qsuite.domain.backtests.swept_tallies import Done, Tallies, tally
from qsuite.domain.backtests.terms import Finish, Terms
from qsuite.domain.trading.risk.money import SHORT_COLLATERAL
from qsuite.domain.trading.risk.review import SHORT_MARGIN

TOLD_EVERY = 256


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What a panel costs to trade on these terms: prices by row and column, lots by column."""

    panel: Panel
    terms: Terms
    charges: Charges
    buys: Series
    sells: Series
    worst: Series
    """What an order is valued at before it is let through."""
    least: Series
    """What a sale that closes is sure to bring."""
    lots: Series


class Sizes(NamedTuple):
    """How each set sizes: orders of a ``quantity`` or for an amount of ``money``, positions of ``fraction x equity``.

    ``shorts`` says that a sale may go beyond what is held. What is held the other way is closed first, as
    ``strategy_orders`` says.
    """

    quantity: Series
    money: Series
    fraction: Series
    shorts: Flags

    def of(self, sets: "Places | slice") -> "Sizes":
        """Return those of some sets."""
        return Sizes(self.quantity[sets], self.money[sets], self.fraction[sets], self.shorts[sets])


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """All fills of a block, one row a step, one column a set; ``lots`` zero where none was, ``cash`` after each."""

    periods: Places
    columns: Places
    lots: Series
    cash: Series
    tallies: Tallies


def market_of(panel: Panel, terms: Terms) -> Market:
    """Price a panel."""
    tickers = [terms.tickers[symbol] for symbol in panel.symbols]
    rules = [terms.rules().for_ticker(ticker) for ticker in tickers]
    buys, sells, worst, least = (np.empty_like(panel.shown) for _ in range(4))
    for column, (ticker, own) in enumerate(zip(tickers, rules, strict=True)):
        shown = panel.shown[:, column]
        buys[:, column] = slipped(shown, own.slippage_max_bps, ticker.tick_size, buy=True)
        sells[:, column] = slipped(shown, own.slippage_max_bps, ticker.tick_size, buy=False)
        worst[:, column] = shown * (1.0 + float(own.cushion))
        least[:, column] = shown * (1.0 - float(own.cushion))
    lots = np.array([float(ticker.lot_size) for ticker in tickers])
    return Market(panel, terms, Charges([own.commission for own in rules]), buys, sells, worst, least, lots)


def traded(
    market: Market, orders: Sequence[Orders], sizes: Sizes, told: Callable[[float], None] = lambda part: None
) -> Fills:
    """Let every set trade its orders; sets in the order given. ``told`` hears how much is done, and may end it."""
    accounts = _Accounts(market, orders, sizes)
    accounts.trade(told)
    return accounts.fills()


class _Accounts:
    """A block of accounts under way. Those with the most orders come first, so that a step is a slice."""

    def __init__(self, market: Market, orders: Sequence[Orders], sizes: Sizes) -> None:
        self._market = market
        counts = np.array([len(each.periods) for each in orders], dtype=np.int64)
        self._rank = np.argsort(-counts, kind="stable")
        self._counts = counts[self._rank]
        self._sizes = sizes.of(self._rank)
        sets, symbols = len(orders), len(market.panel.symbols)
        closing = symbols if market.terms.finish is not Finish.LEAVE else 0
        self._most = int(counts.max(initial=0))
        steps = self._most + closing
        self._periods, self._columns = np.zeros((steps, sets), dtype=np.int64), np.zeros((steps, sets), dtype=np.int64)
        self._buys = np.zeros((steps, sets), dtype=np.bool_)
        for place, number in enumerate(self._rank):
            own, count = orders[number], counts[number]
            self._periods[:count, place] = own.periods
            self._columns[:count, place] = own.columns
            self._buys[:count, place] = own.buys
        shape = (steps, sets)
        self._lots, self._cash_after, self._prices = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._shown, self._fees = np.zeros(shape), np.zeros(shape)
        self._cash = np.full(sets, float(market.terms.cash))
        self._held = np.zeros((sets, symbols))
        self._any_short = bool(self._sizes.shorts.any())
        self._ask_equity = bool((self._sizes.fraction > 0.0).any()) or not market.charges.is_linear

    def trade(self, told: Callable[[float], None]) -> None:
        """Take the steps one after the other, then close what is to be closed at the end."""
        for step in range(self._most):
            if step % TOLD_EVERY == 0:
                told(step / self._most)
            live = int(np.searchsorted(-self._counts, -step, side="left"))
            columns, periods = self._columns[step, :live], self._periods[step, :live]
            buys = self._buys[step, :live]
            lots = self._let_through(periods, columns, buys, self._sized(periods, columns, buys))
            market = self._market
            prices = np.where(buys, market.buys[periods, columns], market.sells[periods, columns])
            self._fill(step, lots, prices, market.panel.shown[periods, columns], buys)
        if self._market.terms.finish is not Finish.LEAVE:
            self._close()

    def fills(self) -> Fills:
        """Return what was done, sets in the order they came."""
        back = np.argsort(self._rank, kind="stable")
        lots = self._lots[:, back]
        sets, steps = np.nonzero(lots.T)
        ranks = back[sets]
        columns = self._columns[steps, ranks]
        done = Done(
            sets=sets,
            columns=columns,
            periods=self._periods[steps, ranks],
            lots=lots[steps, sets],
            lot=self._market.lots[columns],
            price=self._prices[steps, ranks],
            shown=self._shown[steps, ranks],
            commission=self._fees[steps, ranks],
        )
        tallies = tally(done, len(back), len(self._market.panel.starts_ns))
        return Fills(self._periods[:, back], self._columns[:, back], lots, self._cash_after[:, back], tallies)

    # -- one step -----------------------------------------------------------------------------------------------------

    def _sized(self, periods: Places, columns: Places, buys: Flags) -> Series:
        """Return what is ordered, in lots."""
        live, market = len(periods), self._market
        own = self._sizes.of(slice(live))
        held = self._held[np.arange(live), columns]
        lot, cost = market.lots[columns], market.buys[periods, columns]
        equity = self._equity(periods) if self._ask_equity else np.zeros(live)
        cost = cost + market.charges.of_one(columns, equity, cost)
        wanted = (own.money + own.fraction * equity) / cost / lot
        exposed = np.where(buys, held, -held)
        wanted = np.where(own.fraction > 0.0, wanted - exposed, wanted + np.maximum(-exposed, 0.0))
        fixed = own.quantity > 0.0
        wanted = np.where(fixed, own.quantity / lot, wanted)
        # Who may not be short sells all, or as much as was named.
        wanted = np.where(~buys & ~own.shorts, np.where(fixed, np.minimum(wanted, held), held), wanted)
        return np.maximum(floored(wanted), 0.0)

    def _let_through(self, periods: Places, columns: Places, buys: Flags, lots: Series) -> Series:
        """Return the lots of orders that have cash behind them, zero for the others."""
        live, market = len(periods), self._market
        held = self._held[np.arange(live), columns]
        to_close = np.maximum(np.where(buys, -held, held), 0.0)
        opens = lots > to_close
        quantity, closing = lots * market.lots[columns], np.minimum(lots, to_close) * market.lots[columns]
        most, least = market.worst[periods, columns], market.least[periods, columns]
        value = quantity * most
        bought = value - float(SHORT_COLLATERAL) * closing * market.panel.shown[periods, columns]
        takes = float(SHORT_MARGIN) * (quantity - closing) - closing
        needed = np.where(buys, bought, np.maximum(takes * most, takes * least))
        needed = needed + market.charges.total(columns, quantity, value)
        free = self._cash[:live]
        if self._any_short:
            owed = np.maximum(-self._held[:live], 0.0) * market.lots * market.panel.shown[periods]
            free = free - float(SHORT_COLLATERAL) * owed.sum(axis=1)
        lacking = needed - free > NEAR * np.maximum(value, np.abs(free))
        return np.where(opens & lacking, 0.0, lots)

    def _fill(self, step: int, lots: Series, prices: Series, shown: Series, buys: Flags) -> None:
        """Book fills at these prices."""
        live = len(lots)
        columns, quantity = self._columns[step, :live], lots * self._market.lots[self._columns[step, :live]]
        value = quantity * prices
        fees = np.where(lots > 0.0, self._market.charges.total(columns, quantity, value), 0.0)
        signed = np.where(buys, lots, -lots)
        self._cash[:live] -= np.where(buys, value, -value) + fees
        self._held[np.arange(live), columns] += signed
        self._lots[step, :live], self._cash_after[step, :live] = signed, self._cash[:live]
        self._prices[step, :live], self._shown[step, :live], self._fees[step, :live] = prices, shown, fees

    def _equity(self, periods: Places) -> Series:
        market = self._market
        worth = self._held[: len(periods)] * market.lots * market.panel.shown[periods]
        found: Series = self._cash[: len(periods)] + worth.sum(axis=1)
        return found

    def _close(self) -> None:
        """Close every position in the last period, at its open or at its close."""
        market, last = self._market, len(self._market.panel.starts_ns) - 1
        panel, terms = market.panel, market.terms
        for column, symbol in enumerate(panel.symbols):
            step = self._most + column
            self._periods[step], self._columns[step] = last, column
            at_open = terms.finish is Finish.LAST_OPEN and bool(panel.traded[last, column])
            shown = (panel.shown if at_open else panel.closes)[last : last + 1, column]
            ticker = terms.tickers[symbol]
            bps = terms.rules().for_ticker(ticker).slippage_max_bps
            up, down = (slipped(shown, bps, ticker.tick_size, buy=buy)[0] for buy in (True, False))
            held = self._held[:, column].copy()
            self._fill(step, np.abs(held), np.where(held < 0.0, up, down), np.repeat(shown, len(held)), held < 0.0)
