"""The columns of reports: the fields of their rows, in their order, under their names."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from qsuite.domain.money import show
from qsuite.domain.reports.rows import ExecutionRow, OrderCountRow, OrderRow, PnlRow, PositionRow, TradeRow
from qsuite.domain.reports.statement import FIGURES, KINDS, WRITTEN_OFF, Statement, StatementPosition, date_of
from qsuite.domain.times import format_rfc3339
from qsuite.handlers.row_formats import Column, Kind, RowTable

IDS = ("account", "id", "order", "strategy", "user")
INSTANTS = ("execution_time", "arrival_time", "price_time", "created_at", "updated_at")
WHOLES = ("executions", "orders")
WORDS = ("symbol", "side", "order_type", "time_in_force", "status", "price_source", "day", "currency")
TEXTS = ("client_order_id", "reject_code", "reject_detail", "name")

Shown = dict[str, Any]


def kind_of(name: str) -> Kind:
    """Return what a field holds; what is nothing else is a decimal."""
    if name in INSTANTS:
        return Kind.INSTANT
    if name in WHOLES:
        return Kind.WHOLE
    # Words may be missing here, which the type of a column of words does not provide for.
    return Kind.TEXT if name in IDS + WORDS + TEXTS else Kind.DECIMAL


def _column(name: str) -> Column[Any]:
    of = attrgetter(name)
    return Column(name, kind_of(name), _text(of) if name in IDS else of)


def _text(of: Callable[[Any], Any]) -> Callable[[Any], str | None]:
    def text(row: Any) -> str | None:
        value = of(row)
        return None if value is None else str(value)

    return text


_SHOW: dict[Kind, Callable[[Any], Any]] = {Kind.DECIMAL: show, Kind.INSTANT: format_rfc3339}


def table_of(row: type[NamedTuple]) -> RowTable[Any]:
    """Return the columns of a kind of row, and the row as JSON: decimals as text, times in UTC."""
    columns = tuple(_column(name) for name in row._fields)
    cells = [(column.name, column.of, _SHOW.get(column.kind, _as_it_is)) for column in columns]

    def shown(each: Any) -> Shown:
        values = ((name, of(each), make) for name, of, make in cells)
        return {name: None if value is None else make(value) for name, value, make in values}

    return RowTable(columns, shown)


def _as_it_is(value: Any) -> Any:
    return value


def _moved(kind: str) -> Callable[[Statement], Any]:
    return lambda made: made.movements[kind]


STATEMENTS: RowTable[Statement] = RowTable(
    (
        Column("account", Kind.TEXT, lambda made: str(made.account)),
        Column("date", Kind.TEXT, lambda made: date_of(made.day)),
        Column("name", Kind.TEXT, attrgetter("name")),
        Column("currency", Kind.TEXT, attrgetter("currency")),
        *(Column(f"{kind}s", Kind.DECIMAL, _moved(kind)) for kind in KINDS),
        Column(WRITTEN_OFF, Kind.DECIMAL, _moved(WRITTEN_OFF)),
        Column("executions", Kind.WHOLE, attrgetter("executions")),
        *(Column(name, Kind.DECIMAL, attrgetter(name)) for name in FIGURES),
    ),
    lambda made: show_statement(made),
)


def show_statement(made: Statement) -> Shown:
    """Show a statement whole: its figures, its own check, what was held and at which prices."""
    return {
        "id": f"{made.account}:{date_of(made.day)}",
        "account": str(made.account),
        "user": str(made.user),
        "name": made.name,
        "currency": made.currency,
        "date": date_of(made.day),
        "executions": made.executions,
        **{name: show(getattr(made, name)) for name in FIGURES},
        "movements": {kind: show(amount) for kind, amount in made.movements.items()},
        "postings": {name: show(amount) for name, amount in made.postings.items()},
        "positions": [_show_position(each) for each in made.positions],
    }


def _show_position(each: StatementPosition) -> Shown:
    closing = each.closing
    return {
        "symbol": each.symbol,
        "quantity": show(each.quantity),
        "avg_cost": None if each.avg_cost is None else show(each.avg_cost),
        "cost": show(each.cost),
        "closing_price": None if closing is None else show(closing.price),
        "price_source": None if closing is None else closing.source,
        "price_time": None if closing is None else format_rfc3339(closing.ts_ns),
        "market_value": show(each.market_value),
        "unrealized_pnl": show(each.unrealized_pnl),
        "realized_pnl": show(each.realized_pnl),
        "commission": show(each.commission),
    }


TABLES: dict[tuple[str, str], RowTable[Any]] = {
    ("trades", ""): table_of(TradeRow),
    ("positions", ""): table_of(PositionRow),
    **{("pnl", by): table_of(PnlRow) for by in ("symbol", "strategy", "day", "account")},
    ("orders", "order"): table_of(OrderRow),
    ("orders", "code"): table_of(OrderCountRow),
    **{("execution", by): table_of(ExecutionRow) for by in ("symbol", "strategy", "order")},
    ("daily", ""): STATEMENTS,
}
"""The columns of each report, by what it is grouped by."""
