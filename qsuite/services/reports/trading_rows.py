"""Fills, orders and stored statements, row by row. For threads."""

from collections.abc import Generator, Iterator
from decimal import Decimal
from itertools import groupby

from qsuite.domain.money import ZERO
from qsuite.domain.reports.ledger import Entry
from qsuite.domain.reports.quality import shown_bps, slippage_bps
from qsuite.domain.reports.rows import OrderCountRow, OrderRow, TradeRow
from qsuite.domain.reports.statement import Statement
from qsuite.domain.times import DAY_NS
from qsuite.domain.trading.order import Order
from qsuite.repos.report_reads import Range, ReportReads, Terms
from qsuite.repos.statements import StatementsRepo
from qsuite.services.reports.batches import batched


class TradingRows:
    """Make rows of fills, orders and statements."""

    def __init__(self, reads: ReportReads, statements: StatementsRepo) -> None:
        self._reads = reads
        self._statements = statements

    def trades(self, asked: Range) -> Generator[list[TradeRow], None, None]:
        """Yield every fill by time, with its order."""
        return batched(self._trades(asked))

    def _trades(self, asked: Range) -> Iterator[TradeRow]:
        for account in self._reads.accounts(asked.accounts):
            for entries in self._reads.fills(account, asked.from_ns, asked.to_ns, asked.symbol):
                terms = self._reads.terms(entries)
                for entry in entries:
                    order = terms[entry.order]
                    if asked.strategy is None or order.strategy == asked.strategy:
                        yield _trade(entry, order)

    def orders(self, asked: Range) -> Generator[list[OrderRow], None, None]:
        """Yield every order by when it was placed, refused ones with their code."""
        return batched(_order(order) for order in self._placed(asked))

    def order_counts(self, asked: Range) -> Generator[list[OrderCountRow], None, None]:
        """Yield how many orders ended in each way, and were refused by each control."""
        return batched(self._order_counts(asked))

    def _order_counts(self, asked: Range) -> Iterator[OrderCountRow]:
        for account, orders in groupby(self._placed(asked), key=lambda order: order.account):
            counts: dict[tuple[str, str], tuple[int, Decimal, Decimal]] = {}
            for order in orders:
                key = (order.status.value, "" if order.reject is None else str(order.reject["code"]))
                count, quantity, filled = counts.get(key, (0, ZERO, ZERO))
                counts[key] = (count + 1, quantity + order.quantity, filled + order.filled_quantity)
            for (status, code), figures in sorted(counts.items()):
                yield OrderCountRow(account, status, code or None, *figures)

    def _placed(self, asked: Range) -> Iterator[Order]:
        for account in self._reads.accounts(asked.accounts):
            for orders in self._reads.orders(account, asked.from_ns, asked.to_ns, asked.symbol):
                yield from (each for each in orders if asked.strategy is None or each.strategy == asked.strategy)

    def statements(self, asked: Range) -> Generator[list[Statement], None, None]:
        """Yield the statements of the days that begin in the range."""
        first = None if asked.from_ns is None else -(-asked.from_ns // DAY_NS)
        end = None if asked.to_ns is None else -(-asked.to_ns // DAY_NS)
        return batched(
            made
            for account in self._reads.accounts(asked.accounts)
            for made in self._statements.iterate(account, first, end)
        )


def _trade(entry: Entry, order: Terms) -> TradeRow:
    side, profit = "BUY" if entry.signed > ZERO else "SELL", entry.postings.get("realized_pnl")
    return TradeRow(
        account=entry.account,
        id=entry.id,
        order=entry.order,
        execution_time=entry.time_ns,
        symbol=entry.symbol,
        side=side,
        quantity=abs(entry.signed),
        price=entry.price,
        value=abs(entry.signed) * entry.price,
        commission=entry.commission,
        realized_pnl=None if profit is None else -profit,
        strategy=order.strategy,
        order_type=order.order_type,
        client_order_id=order.client_order_id,
        arrival_time=order.created_at,
        arrival_price=order.arrival_price,
        slippage_bps=shown_bps(slippage_bps(side, entry.price, order.arrival_price)),
    )


def _order(order: Order) -> OrderRow:
    reject = order.reject or {}
    return OrderRow(
        account=order.account,
        id=order.id,
        created_at=order.created_at,
        symbol=order.symbol,
        side=order.side.value,
        order_type=order.order_type.value,
        quantity=order.quantity,
        price=order.price,
        stop_price=order.stop_price,
        time_in_force=order.time_in_force.value,
        status=order.status.value,
        filled_quantity=order.filled_quantity,
        avg_fill_price=order.avg_fill_price,
        commission=order.commission,
        strategy=order.strategy,
        client_order_id=order.client_order_id,
        reject_code=reject.get("code"),
        reject_detail=reject.get("detail"),
        updated_at=order.updated_at,
    )
