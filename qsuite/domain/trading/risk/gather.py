"""Fill in a ``Review`` from the engine's memory."""

from decimal import Decimal
from typing import TYPE_CHECKING

from qsuite.domain.money import ZERO
from qsuite.domain.reference import Ticker
from qsuite.domain.trading.account import Position
from qsuite.domain.trading.commands import Scope, TradingHalt, TradingMode
from qsuite.domain.trading.order import AT_ONCE, Order
from qsuite.domain.trading.risk.review import Origin, Review

if TYPE_CHECKING:
    from qsuite.domain.trading.state import TradingState


def review_of(
    state: "TradingState",
    order: Order,
    now: int,
    *,
    replacing: Order | None = None,
    dry: bool = False,
    trigger: bool = False,
) -> Review:
    """Gather what the controls look at for an order that would be sent now; ``dry`` only looks, ``trigger`` is ours.

    Of an order that is replaced, released or triggered, what it reserved, counts as working, and its place among the
    open orders must be taken out before (``state.without``): it is looked at as if it came new.

    Reads of the state: accounts, position_or_flat(), strategy_positions, ticker(), market(), reference(), strategy(),
    sessions, limits, rules, halts, exposures, rates, open (counts, the other leg). Changes nothing.
    """
    ticker, strategy = state.ticker(order.symbol), order.strategy
    takes_a_place = order.time_in_force not in AT_ONCE
    return Review(
        order=order,
        account=state.accounts.get(order.account),
        position=state.position_or_flat(order.account, order.symbol),
        ticker=ticker,
        market=state.market(order.symbol),
        reference=state.reference(order.symbol),
        limits=state.limits.effective(order.account, strategy, order.symbol),
        rules=state.rules if ticker is None else state.rules.for_ticker(ticker),
        exposures=state.exposures,
        rates=state.rates,
        now=now,
        origin=Origin.CHECK if dry else Origin.ENGINE if trigger else Origin.MESSAGE,
        halt=halt_over(state, order),
        is_open=ticker is not None and _is_open(state, ticker, now),
        strategy=None if strategy is None else state.strategy(strategy),
        strategy_position=_strategy_position(state, order),
        open_orders=state.open.count_of(order.account) if takes_a_place else None,
        open_in_ticker=state.open.count_in(order.account, order.symbol) if takes_a_place else None,
        replacing=None if replacing is None else replacing.id,
        other_leg=_other_leg(state, order),
    )


def halt_over(state: "TradingState", order: Order) -> TradingHalt | None:
    """Return what covers an order: the widest that halts, else the widest that lets only reduce, else None."""
    if not state.halts:
        return None
    keys = (
        (Scope.GLOBAL, None),
        (Scope.ACCOUNT, str(order.account)),
        (Scope.STRATEGY, None if order.strategy is None else str(order.strategy)),
        (Scope.TICKER, order.symbol),
    )
    found = [state.halts[key] for key in keys if key in state.halts]
    return next((halt for halt in found if halt.mode is TradingMode.HALTED), found[0] if found else None)


def _other_leg(state: "TradingState", order: Order) -> Decimal:
    """Return what the position counts of the order that this one would cancel."""
    other = None if order.oco is None else state.orders.get(order.oco)
    return ZERO if other is None else other.counted


def _is_open(state: "TradingState", ticker: Ticker, now: int) -> bool:
    try:
        return state.sessions.is_open(ticker.calendar, now)
    except LookupError:  # its hours are not known, and what is not known is not guessed
        return False


def _strategy_position(state: "TradingState", order: Order) -> Position | None:
    if order.strategy is None:
        return None
    held = state.strategy_positions.get(order.strategy, {}).get(order.symbol)
    return held or Position(account=order.strategy, symbol=order.symbol)
