"""What backtests look like over HTTP."""

from marshmallow import Schema, fields, validate

from qsuite.domain.backtests.plan import Source
from qsuite.domain.backtests.terms import Finish
from qsuite.domain.trading.order import Side
from qsuite.handlers.fields import DecimalField, FlagField, InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.market_fields import EdgeField, IntervalField
from qsuite.handlers.strategy_schemas import ALGORITHM, symbols_field
from qsuite.services.backtests import MOST_BPS

MOST_CASH = 10**15
MOST_SEED = 2**53 - 1
NAME = fields.String(validate=validate.Length(1, 64))


class BacktestInputSchema(Schema):
    """What to run: an algorithm over the bars, or the ticks, of some symbols.

    ``parameters`` are its own, how its orders are sized, and ``allow_short``, as for a strategy. ``commission``,
    ``slippage_bps``: as paper trading has them where they are not given. ``participation``: the part of a bar's volume
    that an order may take; not given, volume bounds nothing. ``finish`` says what becomes of positions at the end.
    """

    strategy = fields.String(required=True, validate=ALGORITHM)
    symbols = symbols_field(1, required=True)
    interval = IntervalField(load_default="1d")
    start = EdgeField(allow_none=True)
    end = EdgeField(allow_none=True)
    initial_cash = DecimalField(above=0, most=MOST_CASH)
    parameters = fields.Dict(keys=NAME, load_default=dict)
    commission = fields.Dict(keys=NAME, allow_none=True)
    slippage_bps = DecimalField(least=0, most=MOST_BPS, allow_none=True)
    participation = DecimalField(above=0, most=1, allow_none=True)
    seed = fields.Integer(strict=True, validate=validate.Range(0, MOST_SEED))
    source = fields.Enum(Source, by_value=fields.String)
    adjusted = FlagField()
    finish = fields.Enum(Finish, by_value=fields.String)


class PointSchema(Schema):
    """What the account was worth at a bar's close."""

    ts = InstantField(required=True)
    equity = DecimalField(required=True)


class BacktestTradeSchema(Schema):
    """A round trip: from flat back to flat in one symbol. ``pnl`` is after ``commission``."""

    symbol = fields.String(required=True)
    side = fields.Enum(Side, required=True, by_value=fields.String)
    quantity = DecimalField(required=True)
    entry_ts = InstantField(required=True)
    entry_price = DecimalField(required=True)
    exit_ts = InstantField(required=True)
    exit_price = DecimalField(required=True)
    pnl = DecimalField(required=True)
    commission = DecimalField(required=True)


class OpenTradeSchema(Schema):
    """A round trip still under way at the end; ``cash`` is what it paid (below zero) and took in so far."""

    symbol = fields.String(required=True)
    side = fields.Enum(Side, required=True, by_value=fields.String)
    quantity = DecimalField(required=True)
    held = DecimalField(required=True)
    entry_ts = InstantField(required=True)
    entry_price = DecimalField(required=True)
    commission = DecimalField(required=True)
    cash = DecimalField(required=True)


class RefusedSchema(Schema):
    """An order that no control let through, or that none could be made of."""

    ts = InstantField(required=True)
    symbol = fields.String(required=True)
    side = fields.Enum(Side, required=True, by_value=fields.String, allow_none=True)
    quantity = DecimalField(required=True, allow_none=True)
    code = fields.String(required=True)
    detail = fields.String(required=True)
    tag = fields.String(required=True)


def _figure() -> "fields.Float":
    return fields.Float(required=True, allow_none=True)


class BacktestPlanSchema(Schema):
    """What was asked, with what a request left open."""

    strategy = fields.String(required=True)
    symbols = fields.List(fields.String(), required=True)
    interval = fields.String(required=True)
    start = InstantField(required=True, allow_none=True)
    end = InstantField(required=True, allow_none=True)
    initial_cash = DecimalField(required=True)
    parameters = fields.Dict(keys=fields.String(), required=True)
    commission = fields.Dict(keys=fields.String(), required=True)
    commissions = fields.Dict(keys=fields.String(), required=True)
    slippage_bps = DecimalField(required=True)
    participation = DecimalField(required=True, allow_none=True)
    seed = fields.Integer(required=True)
    source = fields.Enum(Source, required=True, by_value=fields.String)
    adjusted = fields.Boolean(required=True)
    finish = fields.Enum(Finish, required=True, by_value=fields.String)


class BacktestSummarySchema(BacktestPlanSchema):
    """A backtest in figures: what was asked, and what came of it; null is what nothing was measured of."""

    id = fields.UUID(required=True)
    owner = fields.UUID(required=True)
    total_return = _figure()
    cagr = _figure()
    volatility = _figure()
    sharpe_ratio = _figure()
    sortino_ratio = _figure()
    calmar_ratio = _figure()
    max_drawdown = _figure()
    max_drawdown_days = _figure()
    longest_drawdown_days = _figure()
    win_rate = _figure()
    profit_factor = _figure()
    total_trades = fields.Integer(required=True)
    exposure = _figure()
    turnover = _figure()
    costs = DecimalField(required=True)
    benchmark_return = _figure()
    skewness = _figure()
    kurtosis = _figure()
    final_equity = DecimalField(required=True)
    bars = fields.Integer(required=True)
    orders_refused = fields.Integer(required=True)
    created_at = InstantField(required=True)


class BacktestSchema(BacktestSummarySchema):
    """A backtest with its course. Long curves are thinned to 5,000 points, trades end at 20,000, refusals at 100."""

    equity_curve = fields.List(fields.Nested(PointSchema), required=True)
    trades = fields.List(fields.Nested(BacktestTradeSchema), required=True)
    open_trades = fields.List(fields.Nested(OpenTradeSchema), required=True)
    refused = fields.List(fields.Nested(RefusedSchema), required=True)


def listing_of_runs(*orderings: str) -> ListingSpec:
    """Return how backtests and sweeps are listed: newest first, by whose and of what they are."""
    return ListingSpec(
        filters={
            "strategy": (fields.String(), EQUALITY),
            "symbol": (fields.String(), EQUALITY),
            "interval": (IntervalField(), EQUALITY),
            "owner": (fields.UUID(), EQUALITY),
            "created_at": (InstantField(), COMPARISONS),
        },
        orderings=orderings,
        default_order=("-created_at",),
        cursor=True,
    )
