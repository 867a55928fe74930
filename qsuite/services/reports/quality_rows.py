"""Best execution, read from orders, their fills and the market's own trades between. For threads."""

from collections.abc import Generator, Iterator
from contextlib import closing
from decimal import Decimal
from uuid import UUID

from qsuite.domain.reports.ledger import Entry
from qsuite.domain.reports.quality import Quality, Span, shown_bps, slippage_bps, together, vwaps
from qsuite.domain.reports.rows import ExecutionRow
from qsuite.domain.times import NS_PER_MS, NS_PER_S
from qsuite.domain.trading.order import Order
from qsuite.repos.report_reads import Range, ReportReads
from qsuite.repos.ticks import TickQuery, TicksRepo
from qsuite.services.reports.batches import Group, batched

NEAR_NS = NS_PER_S
"""Spans so near each other are read as one: reading a second of a busy market takes less than asking once more."""


class QualityRows:
    """Make rows of how well orders were filled."""

    def __init__(self, reads: ReportReads, ticks: TicksRepo) -> None:
        self._reads = reads
        self._ticks = ticks

    def execution(self, asked: Range, by: str) -> Generator[list[ExecutionRow], None, None]:
        """Yield how well the orders placed in the range were filled: each, or by symbol or strategy."""
        return batched(self._execution(asked, by))

    def _execution(self, asked: Range, by: str) -> Iterator[ExecutionRow]:
        for account in self._reads.accounts(asked.accounts):
            groups: dict[Group, Quality] = {}
            for order, fills, market in self._filled(account, asked):
                if by == "order":
                    quality = Quality()
                    _judge(quality, order, fills, market)
                    yield _quality(account, (order.symbol, order.strategy), order.id, quality)
                    continue
                group = (order.symbol if by == "symbol" else None, order.strategy if by == "strategy" else None)
                _judge(groups.setdefault(group, Quality()), order, fills, market)
            for group, quality in sorted(groups.items(), key=lambda each: (each[0][0] or "", str(each[0][1] or ""))):
                yield _quality(account, group, None, quality)

    def _filled(self, account: UUID, asked: Range) -> Iterator[tuple[Order, list[Entry], Decimal | None]]:
        """Yield filled orders with their fills, and the market's mean price while they worked."""
        for orders in self._reads.orders(account, asked.from_ns, asked.to_ns, asked.symbol):
            filled = [
                each
                for each in orders
                if each.filled_quantity and (asked.strategy is None or each.strategy == asked.strategy)
            ]
            fills = self._reads.fills_of(each.id for each in filled)
            means = self._means(filled, fills)
            yield from ((each, fills[each.id], means[each.id]) for each in filled)

    def _means(self, filled: list[Order], fills: dict[UUID, list[Entry]]) -> dict[UUID, Decimal | None]:
        spans: dict[str, list[Span]] = {}
        for order in filled:
            # The last fill's millisecond, to its end: stored times are cut to milliseconds.
            span = Span(order.created_at, fills[order.id][-1].time_ns + NS_PER_MS, order.id)
            spans.setdefault(order.symbol, []).append(span)
        means: dict[UUID, Decimal | None] = {}
        for symbol, of_symbol in spans.items():
            for group in together(of_symbol, NEAR_NS):
                query = TickQuery(symbol, group[0].start_ns, max(span.end_ns for span in group), "trade")
                with closing(self._ticks.iterate(query)) as ticks:
                    means |= vwaps(group, ticks)
        return means


def _judge(quality: Quality, order: Order, fills: list[Entry], market: Decimal | None) -> None:
    average = order.filled_value / order.filled_quantity
    side, quantity = order.side.value, order.filled_quantity
    quality.orders += 1
    quality.executions += len(fills)
    quality.quantity += quantity
    quality.value += order.filled_value
    quality.commission += order.commission
    quality.arrival.add(slippage_bps(side, average, order.arrival_price), quantity)
    quality.vwap.add(slippage_bps(side, average, market), quantity)


def _quality(account: UUID, group: Group, order: UUID | None, quality: Quality) -> ExecutionRow:
    symbol, strategy = group
    return ExecutionRow(
        account=account,
        symbol=symbol,
        strategy=strategy,
        order=order,
        orders=quality.orders,
        executions=quality.executions,
        quantity=quality.quantity,
        value=quality.value,
        commission=quality.commission,
        arrival_quantity=quality.arrival.quantity,
        arrival_slippage_bps=shown_bps(quality.arrival.value),
        vwap_quantity=quality.vwap.quantity,
        vwap_slippage_bps=shown_bps(quality.vwap.value),
    )
