"""What reports are asked with, and what they answer: the schemas of their rows are made from the rows' own fields."""

from typing import Any, NamedTuple

from marshmallow import Schema, fields, validate

from qsuite.domain.reports.rows import ExecutionRow, OrderCountRow, OrderRow, PnlRow, PositionRow, TradeRow
from qsuite.domain.reports.statement import FIGURES
from qsuite.handlers.fields import DecimalField, InstantField
from qsuite.handlers.market_fields import SYMBOL, EdgeField
from qsuite.handlers.report_tables import IDS, kind_of
from qsuite.handlers.row_formats import Kind
from qsuite.services.reports.service import GROUPS

FORMATS = ("json", "csv", "parquet", "ndjson", "arrow")


class ReportQuerySchema(Schema):
    """Whose, of what, from when until before when, and in which form. ``format`` and ``Accept`` must not disagree."""

    account = fields.UUID()
    symbol = fields.String(validate=SYMBOL)
    strategy = fields.UUID()
    from_ = EdgeField(data_key="from")
    to = EdgeField()
    format = fields.String(validate=validate.OneOf(FORMATS))


class PositionsQuerySchema(Schema):
    """Whose, of what, and just before which instant (``to``; now without it). ``from`` changes nothing."""

    account = fields.UUID()
    symbol = fields.String(validate=SYMBOL)
    from_ = EdgeField(data_key="from")
    to = EdgeField()
    format = fields.String(validate=validate.OneOf(FORMATS))


class DailyQuerySchema(Schema):
    """Whose, of the days that begin from when until before when, and in which form."""

    account = fields.UUID()
    from_ = EdgeField(data_key="from")
    to = EdgeField()
    format = fields.String(validate=validate.OneOf(FORMATS))


class StatementQuerySchema(Schema):
    """In which form: JSON, or a page to print."""

    format = fields.String(validate=validate.OneOf(("json", "html")))


class PnlQuerySchema(ReportQuerySchema):
    """As of any report, and by what profit is grouped."""

    group_by = fields.String(validate=validate.OneOf(GROUPS["pnl"]))


class OrdersReportQuerySchema(ReportQuerySchema):
    """As of any report; ``code`` counts orders by how they ended and which control refused them."""

    group_by = fields.String(validate=validate.OneOf(GROUPS["orders"]))


class ExecutionQuerySchema(ReportQuerySchema):
    """As of any report, and by what executions are grouped."""

    group_by = fields.String(validate=validate.OneOf(GROUPS["execution"]))


def row_schema(row: type[NamedTuple]) -> type[Schema]:
    """Make the schema of a kind of row from its fields."""
    made: dict[str, Any] = {name: _field(name) for name in row._fields}
    schema = type(f"{row.__name__}Schema", (Schema,), made | {"__doc__": row.__doc__})
    assert issubclass(schema, Schema)
    return schema


def _field(name: str) -> fields.Field[Any]:
    kind = kind_of(name)
    if name in IDS:
        return fields.UUID(required=True, allow_none=True)
    if kind is Kind.INSTANT:
        return InstantField(required=True, allow_none=True)
    if kind is Kind.WHOLE:
        return fields.Integer(required=True)
    return (fields.String if kind is Kind.TEXT else DecimalField)(required=True, allow_none=True)


def report_schema(name: str, *rows: type[Schema]) -> Schema:
    """Make the schema of a report's document; of rows of several kinds, each result is one of them."""
    document = {
        "results": fields.List(fields.Nested(rows[0]) if len(rows) == 1 else fields.Dict(), required=True),
        "count": fields.Integer(required=True),
        "next": fields.String(required=True, allow_none=True),
        "previous": fields.String(required=True, allow_none=True),
    }
    text = "All rows of a report, in one document: ``next`` and ``previous`` are null."
    made: Schema = type(f"{name}Schema", (Schema,), document | {"__doc__": text})()
    return made


class StatementPositionSchema(Schema):
    """One symbol at the day's end; without a closing price it counts at its cost."""

    symbol = fields.String(required=True)
    quantity = DecimalField(required=True)
    avg_cost = DecimalField(required=True, allow_none=True)
    cost = DecimalField(required=True)
    closing_price = DecimalField(required=True, allow_none=True)
    price_source = fields.String(required=True, allow_none=True)
    price_time = InstantField(required=True, allow_none=True)
    market_value = DecimalField(required=True)
    unrealized_pnl = DecimalField(required=True)
    realized_pnl = DecimalField(required=True)
    commission = DecimalField(required=True)


_STATEMENT: dict[str, Any] = {
    "id": fields.String(required=True),
    "account": fields.UUID(required=True),
    "user": fields.UUID(required=True),
    "name": fields.String(required=True),
    "currency": fields.String(required=True),
    "date": fields.Date(required=True),
    "executions": fields.Integer(required=True),
    **{name: DecimalField(required=True) for name in FIGURES},
    "movements": fields.Dict(keys=fields.String(), values=DecimalField(), required=True),
    "postings": fields.Dict(keys=fields.String(), values=DecimalField(), required=True),
    "positions": fields.List(fields.Nested(StatementPositionSchema), required=True),
    "__doc__": "One account's UTC day: how it opened, what happened, how it closed, and its double entries' sums.",
}
StatementSchema: type[Schema] = type("StatementSchema", (Schema,), _STATEMENT)

TRADES = report_schema("TradesReport", row_schema(TradeRow))
POSITIONS = report_schema("PositionsReport", row_schema(PositionRow))
PNL = report_schema("PnlReport", row_schema(PnlRow))
EXECUTION = report_schema("ExecutionReport", row_schema(ExecutionRow))
ORDERS = report_schema("OrdersReport", row_schema(OrderRow), row_schema(OrderCountRow))
DAILY = report_schema("DailyReport", StatementSchema)
