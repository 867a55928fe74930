"""Play the past to a trader, and say what came of it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from qsuite.domain.backtests.asks import Ask, Asks, Refused
from qsuite.domain.backtests.desk import Desk
from qsuite.domain.backtests.engine import Engine
from qsuite.domain.backtests.feeds import Period
from qsuite.domain.backtests.history import History
from qsuite.domain.backtests.terms import Finish, Terms
from qsuite.domain.backtests.traders import Trader
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.order import Execution, Order


class Mark(NamedTuple):
    """What the account was worth at a period's close, and what of that was in the market, long and short."""

    ts_ns: int
    equity: Decimal
    cash: Decimal
    long_value: Decimal
    short_value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run. ``marks`` are one a period; ``positions`` are what is left at the end.

    ``closes`` are each symbol's newest at each mark, None before its first.
    """

    terms: Terms
    executions: tuple[Execution, ...]
    marks: tuple[Mark, ...]
    asked: tuple[Ask, ...]
    refused: tuple[Refused, ...]
    positions: tuple[Position, ...]
    closes: Mapping[str, tuple[Decimal | None, ...]]


def run(terms: Terms, periods: Iterable[Period], trader: Trader) -> Result:
    """Play periods to a trader. ValueError for periods that overlap, or of a symbol without a ticker."""
    play = _Play(terms, trader)
    for period, is_last in _with_last(periods):
        play.period(period, is_last=is_last)
    return play.result()


class _Play:
    """A run under way."""

    def __init__(self, terms: Terms, trader: Trader) -> None:
        self._terms = terms
        self._trader = trader
        self._engine = Engine(terms)
        self._asks = Asks(self._engine)
        self._histories = {symbol: History() for symbol in terms.tickers}
        self._desk = Desk(self._engine, self._asks, self._histories)
        self._marks: list[Mark] = []
        self._closes: dict[str, list[Decimal | None]] = {symbol: [] for symbol in terms.tickers}

    def period(self, period: Period, *, is_last: bool) -> None:
        """Play one period, then let the trader decide on what is known after it."""
        engine, finish = self._engine, self._terms.finish
        engine.move_to(period.start_ns)
        engine.mark(orders=bool(engine.state.orders))  # a new day begins with what the last one left
        self._asks.rest()
        opened = self._open_and_close if is_last and finish is Finish.LAST_OPEN else self._asks.place
        period.play(engine, opened)
        if is_last and finish is not Finish.LEAVE:
            self._close(self._histories)  # also what had no print in the last period
        engine.mark(orders=False)  # before the day's end, which is the next one's beginning
        engine.move_to(period.end_ns)
        for bar in period.bars:
            self._histories[bar.symbol].add(bar)
        for symbol, bars in self._histories.items():
            self._closes[symbol].append(bars[-1].close if len(bars) else None)
        value = engine.value()
        self._marks.append(Mark(period.end_ns, value.equity, value.cash, value.long_value, value.short_value))
        self._desk.closed = tuple(bar.symbol for bar in period.bars)
        self._trader.on_bar(self._desk)

    def result(self) -> Result:
        """Return what came of it."""
        rejected = [self._refused(order) for order in self._engine.rejected]
        return Result(
            terms=self._terms,
            executions=tuple(self._engine.executions),
            marks=tuple(self._marks),
            asked=tuple(self._asks.made.values()),
            refused=tuple(sorted([*self._asks.refused, *rejected], key=lambda each: each.ts)),
            positions=tuple(self._engine.positions()),
            closes={symbol: tuple(closes) for symbol, closes in self._closes.items()},
        )

    def _open_and_close(self, symbols: Iterable[str]) -> None:
        names = tuple(symbols)
        self._asks.place(names)
        self._close(names)

    def _close(self, symbols: Iterable[str]) -> None:
        """Cancel what rests in these symbols, and close what is held of them at the market as it is."""
        for symbol in symbols:
            self._desk.cancel(symbol=symbol)
            if self._engine.position(symbol).quantity:
                self._desk.close(symbol, tag="finish")
                self._asks.place((symbol,))

    def _refused(self, order: Order) -> Refused:
        assert order.reject is not None
        return Refused(
            ts=order.updated_at,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            code=order.reject["code"],
            detail=order.reject["detail"],
            tag=self._desk.tag_of(order),
        )


def _with_last(periods: Iterable[Period]) -> Iterator[tuple[Period, bool]]:
    ahead = iter(periods)
    held = next(ahead, None)
    while held is not None:
        following = next(ahead, None)
        yield held, following is None
        held = following
