"""What strategies and signals look like over HTTP."""

from marshmallow import Schema, ValidationError, fields, validate

from qsuite.domain.analytics.algorithms import DEFAULT
from qsuite.domain.analytics.known import KNOWN
from qsuite.domain.analytics.signals import Advice
from qsuite.domain.signals import Fate
from qsuite.handlers.fields import DecimalField, FlagField, InstantField
from qsuite.handlers.market_fields import SYMBOL, IntervalField

MAX_SYMBOLS = 100
ALGORITHM = validate.OneOf(tuple(KNOWN))


def _unique(symbols: list[str]) -> None:
    if len(set(symbols)) < len(symbols):
        raise ValidationError("a symbol is given twice")


def symbols_field(least: int, **kwargs: object) -> "fields.List[str]":
    one = fields.String(validate=SYMBOL)
    return fields.List(one, validate=[validate.Length(least, MAX_SYMBOLS), _unique], **kwargs)  # type: ignore[arg-type]


class StrategyInputSchema(Schema):
    """A strategy as it is sent; ``parameters`` are its algorithm's own, and how its orders are sized."""

    name = fields.String(required=True, validate=validate.Length(1, 200))
    description = fields.String(load_default="", validate=validate.Length(0, 2_000))
    is_active = FlagField(load_default=True)
    risk_limit = DecimalField(required=True, least=0)
    algorithm = fields.String(load_default=DEFAULT, validate=ALGORITHM)
    symbols = symbols_field(0, load_default=list)
    parameters = fields.Dict(keys=fields.String(validate=validate.Length(1, 64)), load_default=dict)
    interval = IntervalField(load_default="1d")
    account = fields.UUID()


class StrategySchema(Schema):
    """A strategy."""

    id = fields.UUID(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    is_active = fields.Boolean(required=True)
    risk_limit = DecimalField(required=True)
    algorithm = fields.String(required=True)
    symbols = fields.List(fields.String(), required=True)
    parameters = fields.Dict(keys=fields.String(), required=True)
    interval = fields.String(required=True)
    account = fields.UUID(required=True)
    running = fields.Boolean(required=True)
    created_by = fields.UUID(required=True)
    created_at = InstantField(required=True)
    updated_at = InstantField(required=True)
    version = fields.Integer(required=True)


class SignalSchema(Schema):
    """A signal; ``status`` says what became of it, ``reason`` the code where that was nothing."""

    id = fields.UUID(required=True)
    symbol = fields.String(required=True)
    interval = fields.String(required=True)
    bar = InstantField(required=True)
    signal = fields.Enum(Advice, required=True, by_value=fields.String)
    confidence = fields.Float(required=True)
    algorithm = fields.String(required=True)
    features = fields.Dict(keys=fields.String(), values=fields.Float(), required=True)
    model = fields.UUID(required=True, allow_none=True)
    price = DecimalField(required=True)
    created_at = InstantField(required=True)
    strategy = fields.UUID(required=True, allow_none=True)
    status = fields.Enum(Fate, required=True, by_value=fields.String)
    order = fields.UUID(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)


class MissedSignalSchema(Schema):
    """A symbol without a signal, and why."""

    symbol = fields.String(required=True)
    code = fields.String(required=True)
    detail = fields.String(required=True)


class GenerateSignalsSchema(Schema):
    """For which symbols, and by which rules."""

    symbols = symbols_field(1, required=True)
    algorithm = fields.String(load_default=DEFAULT, validate=ALGORITHM)
    interval = IntervalField(load_default="1d")


class GeneratedSignalsSchema(Schema):
    """The signals at each symbol's newest closed bar, and the symbols that have none."""

    count = fields.Integer(required=True)
    results = fields.List(fields.Nested(SignalSchema), required=True)
    missed = fields.List(fields.Nested(MissedSignalSchema), required=True)


class StrategyPositionSchema(Schema):
    """What a strategy holds of a symbol."""

    symbol = fields.String(required=True)
    quantity = DecimalField(required=True)
    avg_cost = DecimalField(required=True)
    market_price = DecimalField(required=True, allow_none=True)
    market_value = DecimalField(required=True, allow_none=True)
    realized_pnl = DecimalField(required=True)
    unrealized_pnl = DecimalField(required=True, allow_none=True)


class LastRunSchema(Schema):
    """When a strategy last ran in this process, and what went wrong."""

    at = InstantField(required=True)
    error = fields.String(required=True, allow_none=True)


class StrategyPerformanceSchema(Schema):
    """How a strategy did."""

    strategy = fields.UUID(required=True)
    total_orders = fields.Integer(required=True)
    open_orders = fields.Integer(required=True)
    filled_orders = fields.Integer(required=True)
    rejected_orders = fields.Integer(required=True)
    executions = fields.Integer(required=True)
    total_volume = DecimalField(required=True)
    total_value = DecimalField(required=True)
    realized_pnl = DecimalField(required=True)
    unrealized_pnl = DecimalField(required=True)
    commission = DecimalField(required=True)
    net_pnl = DecimalField(required=True)
    round_trips = fields.Integer(required=True)
    winning = fields.Integer(required=True)
    losing = fields.Integer(required=True)
    success_rate = fields.Float(required=True, allow_none=True)
    gross_exposure = DecimalField(required=True)
    net_exposure = DecimalField(required=True)
    risk_limit = DecimalField(required=True)
    positions = fields.List(fields.Nested(StrategyPositionSchema), required=True)
    last_run = fields.Nested(LastRunSchema, required=True, allow_none=True)
