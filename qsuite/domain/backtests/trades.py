"""Trades of a backtest: its fills gathered into round trips, exact to the last digit.

    round trip    from flat over any number of fills back to flat in one symbol, as in ``domain.performance``; a fill
                  that turns a position over ends one and begins the next, its commission shared by quantity

Invariant: what the closed trades made, and what the open ones paid and took in so far, is together what the fills did
to cash.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from qsuite.domain.money import MONEY, ZERO, share_of
from qsuite.domain.trading.order import Side


class Filled(Protocol):
    """What is asked of a fill; an ``Execution`` has it."""

    @property
    def symbol(self) -> str: ...
    @property
    def side(self) -> Side: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def price(self) -> Decimal: ...
    @property
    def commission(self) -> Decimal: ...
    @property
    def execution_time(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """A round trip that closed. ``side`` is its entry's, ``quantity`` all that was entered.

    Prices are means by quantity of the fills that entered and of those that left, rounded to 34 digits where they must
    be; ``pnl`` is exact, after ``commission``, which is that of both ways. Times in nanoseconds: of the first fill, and
    of the last.
    """

    symbol: str
    side: Side
    quantity: Decimal
    entry_ts: int
    entry_price: Decimal
    exit_ts: int
    exit_price: Decimal
    pnl: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTrade:
    """A round trip still under way: ``held`` is what is left of the ``quantity`` entered, negative when short.

    ``cash`` is what its fills paid (below zero) and took in so far, after ``commission``.
    """

    symbol: str
    side: Side
    quantity: Decimal
    held: Decimal
    entry_ts: int
    entry_price: Decimal
    commission: Decimal
    cash: Decimal


class Trades(NamedTuple):
    """Round trips: those that closed, in the order they did, and those open at the end, by symbol."""

    closed: tuple[ClosedTrade, ...]
    open: tuple[OpenTrade, ...]


class _Trip:
    """A round trip being gathered."""

    def __init__(self, fill: Filled) -> None:
        self.symbol, self.side, self.entry_ts = fill.symbol, fill.side, fill.execution_time
        self.entered = self.left = self.paid = self.got = self.commission = ZERO

    @property
    def held(self) -> Decimal:
        return self.entered - self.left

    def add(self, side: Side, quantity: Decimal, price: Decimal, commission: Decimal) -> None:
        self.commission += commission
        if side is self.side:
            self.entered += quantity
            self.paid += quantity * price
        else:
            self.left += quantity
            self.got += quantity * price

    @property
    def cash(self) -> Decimal:
        made = self.got - self.paid if self.side is Side.BUY else self.paid - self.got
        return made - self.commission

    def closed(self, exit_ts: int) -> ClosedTrade:
        return ClosedTrade(
            symbol=self.symbol,
            side=self.side,
            quantity=self.entered,
            entry_ts=self.entry_ts,
            entry_price=MONEY.divide(self.paid, self.entered),
            exit_ts=exit_ts,
            exit_price=MONEY.divide(self.got, self.left),
            pnl=self.cash,
            commission=self.commission or ZERO,
        )

    def still_open(self) -> OpenTrade:
        return OpenTrade(
            symbol=self.symbol,
            side=self.side,
            quantity=self.entered,
            held=self.held if self.side is Side.BUY else -self.held,
            entry_ts=self.entry_ts,
            entry_price=MONEY.divide(self.paid, self.entered),
            commission=self.commission,
            cash=self.cash,
        )


def trades_of(fills: Iterable[Filled]) -> Trades:
    """Gather one account's fills, in order of time, into round trips."""
    closed: list[ClosedTrade] = []
    under_way: dict[str, _Trip] = {}
    for fill in fills:
        trip = under_way.get(fill.symbol)
        if trip is None:
            trip = under_way[fill.symbol] = _Trip(fill)
        leaves = fill.quantity if fill.side is trip.side else min(fill.quantity, trip.held)
        fee = share_of(fill.commission, leaves, fill.quantity)
        trip.add(fill.side, leaves, fill.price, fee)
        if trip.held > ZERO:
            continue
        closed.append(trip.closed(fill.execution_time))
        del under_way[fill.symbol]
        if leaves < fill.quantity:
            trip = under_way[fill.symbol] = _Trip(fill)
            trip.add(fill.side, fill.quantity - leaves, fill.price, fill.commission - fee)
    return Trades(tuple(closed), tuple(under_way[symbol].still_open() for symbol in sorted(under_way)))
