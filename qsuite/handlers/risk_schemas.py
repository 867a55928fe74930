"""What risk routes take and show."""

from dataclasses import fields as fields_of
from typing import Any

from marshmallow import Schema, fields, validate

from qsuite.domain.analytics.var import VarMethod
from qsuite.domain.analytics.var_backtest import LEAST_DAYS, BacktestVerdict
from qsuite.domain.trading.commands import Scope, TradingMode
from qsuite.domain.trading.risk import Limits, Severity
from qsuite.domain.trading.risk.limits import SWITCHES
from qsuite.handlers.fields import DecimalField, FlagField, InstantField, StatisticField, WholeField
from qsuite.handlers.market_fields import SYMBOL
from qsuite.handlers.trading_schemas import RejectSchema

REASON = validate.Length(1, 500)
TARGET = validate.Length(1, 64)
NAMES = tuple(item.name for item in fields_of(Limits))


def _given(name: str) -> fields.Field[Any]:
    return FlagField(allow_none=True) if name in SWITCHES else DecimalField(allow_none=True)


class FigureField(fields.Field[Any]):
    """A limit's figure as it is shown: a decimal as text, true or false, ``off``, or null where it cannot be read."""


GivenLimitsSchema = Schema.from_dict({name: _given(name) for name in NAMES}, name="GivenLimitsSchema")
LimitFiguresSchema = Schema.from_dict({name: FigureField(allow_none=True) for name in NAMES}, name="LimitFiguresSchema")


class LimitsQuerySchema(Schema):
    """The order whose limits are asked for: its account, strategy and symbol."""

    account = fields.UUID()
    strategy = fields.UUID()
    symbol = fields.String(validate=SYMBOL)


class SetLimitsSchema(Schema):
    """Figures to set for a scope; a null takes the figure away, so that the wider scope's holds."""

    scope = fields.Enum(Scope, required=True, by_value=fields.String)
    id = fields.String(allow_none=True, validate=TARGET)
    limits = fields.Nested(GivenLimitsSchema, required=True)
    reason = fields.String(required=True, validate=REASON)


class ScopeLimitsSchema(Schema):
    """What a scope sets. ``etag`` is what ``If-Match`` takes; version 0 was never set."""

    scope = fields.Enum(Scope, required=True, by_value=fields.String)
    id = fields.String(required=True, allow_none=True)
    limits = fields.Nested(LimitFiguresSchema, required=True)
    version = fields.Integer(required=True)
    etag = fields.String(required=True)
    set_by = fields.UUID(required=True, allow_none=True)
    set_at = InstantField(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)


class AllLimitsSchema(Schema):
    """Every scope's limits, and those that count for the order asked about."""

    scopes = fields.List(fields.Nested(ScopeLimitsSchema), required=True)
    effective = fields.Nested(LimitFiguresSchema, required=True)


class LineSchema(Schema):
    """A stake in a symbol; ``worst_case`` is the value it can come to when one side's working orders fill."""

    symbol = fields.String(required=True)
    quantity = DecimalField(required=True)
    working_buys = DecimalField(required=True)
    working_sells = DecimalField(required=True)
    mark = DecimalField(required=True)
    value = DecimalField(required=True)
    worst_case = DecimalField(required=True)


class HolderExposureSchema(Schema):
    """A holder's exposure; ``gross`` is the sum of its worst cases."""

    id = fields.UUID(required=True)
    gross = DecimalField(required=True)
    long_value = DecimalField(required=True)
    short_value = DecimalField(required=True)
    symbols = fields.List(fields.Nested(LineSchema), required=True)


class AccountExposureSchema(HolderExposureSchema):
    """An account's exposure; ``leverage`` is gross over equity, ``limit`` what gross may come to (null: off)."""

    equity = DecimalField(required=True)
    leverage = fields.Float(required=True, allow_none=True)
    limit = DecimalField(required=True, allow_none=True)


class SystemExposureSchema(Schema):
    """All accounts together, and what their gross exposure may come to."""

    gross = DecimalField(required=True)
    long_value = DecimalField(required=True)
    short_value = DecimalField(required=True)
    limit = DecimalField(required=True, allow_none=True)


class ExposureSchema(Schema):
    """Exposure now, the largest first; system and strategies are null for traders."""

    accounts = fields.List(fields.Nested(AccountExposureSchema), required=True)
    system = fields.Nested(SystemExposureSchema, required=True, allow_none=True)
    strategies = fields.List(fields.Nested(HolderExposureSchema), required=True, allow_none=True)
    ts = InstantField(required=True)


class ExposureQuerySchema(Schema):
    """Of which account alone."""

    account = fields.UUID()


class VarQuerySchema(Schema):
    """Whose positions, how sure, over how many days, from how many daily returns."""

    account = fields.UUID()
    method = fields.Enum(VarMethod, by_value=fields.String, load_default=VarMethod.HISTORICAL)
    confidence = StatisticField(load_default=0.95, validate=validate.Range(0.8, 0.999))
    horizon_days = WholeField(load_default=1, validate=validate.Range(1, 250))
    window = WholeField(load_default=250, validate=validate.Range(1, 5_000))
    backtest = fields.Boolean(
        load_default=False,
        metadata={"description": "Also judge one-day estimates of these positions over past days (Kupiec's test)"},
    )
    backtest_days = WholeField(
        load_default=250, validate=validate.Range(LEAST_DAYS, 2_500), metadata={"description": "Over how many, at most"}
    )


class RatioSchema(Schema):
    """A likelihood ratio, and how likely one as large is where the model is right."""

    statistic = fields.Float(required=True)
    p_value = fields.Float(required=True)


class AcceptedBreachesSchema(Schema):
    """How many breaches would not be refused at 5 %."""

    least = fields.Integer(required=True)
    most = fields.Integer(required=True)


class BreachSchema(Schema):
    """A day that lost more than was estimated for it."""

    ts = InstantField(required=True)
    loss = DecimalField(required=True)
    value_at_risk = DecimalField(required=True)


class VarBacktestSchema(Schema):
    """How estimates from the days before did on each day; all null with a ``reason`` where there is too little history.

    ``kupiec``: do breaches come as often as they should; ``independence``: do they come alone (Christoffersen), null
    where none could follow another; ``coverage``: both.
    """

    reason = fields.String(required=True, allow_none=True)
    days = fields.Integer(required=True)
    from_ = InstantField(required=True, allow_none=True, data_key="from")
    to = InstantField(required=True, allow_none=True)
    expected = fields.Float(required=True, allow_none=True)
    breaches = fields.Integer(required=True)
    accepted = fields.Nested(AcceptedBreachesSchema, required=True, allow_none=True)
    verdict = fields.Enum(BacktestVerdict, required=True, allow_none=True, by_value=fields.String)
    kupiec = fields.Nested(RatioSchema, required=True, allow_none=True)
    independence = fields.Nested(RatioSchema, required=True, allow_none=True)
    coverage = fields.Nested(RatioSchema, required=True, allow_none=True)
    breached = fields.List(fields.Nested(BreachSchema), required=True)


class CorrelationQuerySchema(Schema):
    """Of which symbols, or whose positions; against which benchmark; from how many daily returns."""

    account = fields.UUID()
    symbols = fields.String(
        validate=validate.Length(1, 1_000),
        metadata={"description": "Comma-separated, at most 50; by default those held"},
    )
    benchmark = fields.String(validate=SYMBOL, metadata={"description": "Betas are against it"})
    window = WholeField(load_default=250, validate=validate.Range(1, 5_000))


class CorrelationSchema(Schema):
    """How symbols move together: a row and a column for each, null where one never moved; betas in the same order.

    ``beta_exposure`` is the sum of each position's value times its beta.
    """

    account = fields.UUID(required=True, allow_none=True)
    symbols = fields.List(fields.String(), required=True)
    benchmark = fields.String(required=True, allow_none=True)
    window = fields.Integer(required=True)
    observations = fields.Integer(required=True)
    from_ = InstantField(required=True, allow_none=True, data_key="from")
    to = InstantField(required=True, allow_none=True)
    correlations = fields.List(fields.List(fields.Float(allow_none=True)), required=True)
    betas = fields.List(fields.Float(allow_none=True), required=True)
    beta_exposure = DecimalField(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)


class VarPositionSchema(Schema):
    """One symbol's part: its own figure, as if nothing else were held."""

    symbol = fields.String(required=True)
    quantity = DecimalField(required=True)
    market_value = DecimalField(required=True, allow_none=True)
    value_at_risk = DecimalField(required=True, allow_none=True)


class VarSchema(Schema):
    """What may be lost. Both figures are null, with a ``reason``, where there is too little history."""

    account = fields.UUID(required=True, allow_none=True)
    method = fields.Enum(VarMethod, required=True, by_value=fields.String)
    confidence = fields.Float(required=True)
    horizon_days = fields.Integer(required=True)
    window = fields.Integer(required=True)
    observations = fields.Integer(required=True)
    from_ = InstantField(required=True, allow_none=True, data_key="from")
    to = InstantField(required=True, allow_none=True)
    value_at_risk = DecimalField(required=True, allow_none=True)
    expected_shortfall = DecimalField(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    positions = fields.List(fields.Nested(VarPositionSchema), required=True)
    backtest = fields.Nested(VarBacktestSchema, required=True, allow_none=True)


class RiskEventSchema(Schema):
    """A refusal by a risk control, a halt, a change of limits; ``actor`` is null where the engine acted by itself."""

    id = fields.UUID(required=True)
    ts = InstantField(required=True)
    code = fields.String(required=True)
    severity = fields.Enum(Severity, required=True, by_value=fields.String)
    scope = fields.Enum(Scope, required=True, by_value=fields.String)
    target = fields.String(required=True, allow_none=True)
    account = fields.UUID(required=True, allow_none=True)
    order = fields.UUID(required=True, allow_none=True)
    symbol = fields.String(required=True, allow_none=True)
    detail = fields.String(required=True)
    limit = DecimalField(required=True, allow_none=True)
    value = DecimalField(required=True, allow_none=True)
    actor = fields.UUID(required=True, allow_none=True)


class CheckSchema(Schema):
    """What an order would meet. ``order`` is the one placed before under the same client id, if there is one."""

    verdict = fields.String(required=True, validate=validate.OneOf(["accepted", "refused"]))
    reject = fields.Nested(RejectSchema, required=True, allow_none=True)
    worst_price = DecimalField(required=True, allow_none=True)
    reservation = DecimalField(required=True, allow_none=True)
    limits = fields.Nested(LimitFiguresSchema, required=True, allow_none=True)
    order = fields.UUID(required=True, allow_none=True)


class KillSwitchSchema(Schema):
    """What to stop, and why. HALTED stops everything, REDUCING what does not make a position smaller."""

    scope = fields.Enum(Scope, required=True, by_value=fields.String)
    id = fields.String(allow_none=True, validate=TARGET)
    state = fields.Enum(TradingMode, by_value=fields.String, load_default=TradingMode.HALTED)
    reason = fields.String(required=True, validate=REASON)


class KillSwitchQuerySchema(Schema):
    """Which kill switch to lift."""

    scope = fields.Enum(Scope, required=True, by_value=fields.String)
    id = fields.String(validate=TARGET)


class HaltSchema(Schema):
    """A thrown kill switch; ``user`` is null where the engine itself threw it."""

    scope = fields.Enum(Scope, required=True, by_value=fields.String)
    id = fields.String(required=True, allow_none=True)
    state = fields.Enum(TradingMode, required=True, by_value=fields.String)
    reason = fields.String(required=True)
    user = fields.UUID(required=True, allow_none=True)
    since = InstantField(required=True)


class HaltedSchema(Schema):
    """What is halted now, and how many orders this call cancelled."""

    halts = fields.List(fields.Nested(HaltSchema), required=True)
    cancelled = fields.Integer()
