"""Reports read from storage: each a generator of batches of rows, for threads; memory holds one batch.

Invariant: nothing is rounded, and nothing of it is looked up in a process' memory, so that a report is the same
whoever makes it: a server, one that stands by, or the command line.
"""

from collections.abc import Generator, Iterable, Iterator
from decimal import Decimal
from itertools import groupby, islice
from typing import TypeVar
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.reports.ledger import Entry, Holding, Tally
from qsuite.domain.reports.profit import Profits
from qsuite.domain.reports.quality import Quality, shown_bps, slippage_bps, vwap
from qsuite.domain.reports.rows import ExecutionRow, OrderCountRow, OrderRow, PnlRow, PositionRow, TradeRow
from qsuite.domain.reports.statement import Statement
from qsuite.domain.times import DAY_NS, NS_PER_MS
from qsuite.domain.trading.order import Order
from qsuite.repos.past_prices import PastPrices
from qsuite.repos.report_reads import Range, ReportReads, Terms
from qsuite.repos.statements import StatementsRepo, date_of
from qsuite.repos.ticks import TickQuery, TicksRepo

T = TypeVar("T")
Group = tuple[str | None, UUID | None]
"""A symbol and a strategy, None where they do not matter."""

ROWS_TOGETHER = 500


class ReportReader:
    """Make rows of each report, account by account."""

    def __init__(self, *, reads: ReportReads, statements: StatementsRepo, prices: PastPrices, ticks: TicksRepo) -> None:
        self._reads = reads
        self._statements = statements
        self._prices = prices
        self._ticks = ticks

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

    # -- what was held, and made --------------------------------------------------------------------------------------

    def positions(self, asked: Range, at_ns: int) -> Generator[list[PositionRow], None, None]:
        """Yield what was held just before an instant, at its prices."""
        return batched(self._positions(asked, at_ns))

    def _positions(self, asked: Range, at_ns: int) -> Iterator[PositionRow]:
        for account in self._reads.accounts(asked.accounts):
            start_ns, held = self._opened(account, at_ns)
            for entries in self._reads.fills(account, start_ns, at_ns, asked.symbol):
                for entry in entries:
                    holding = held.setdefault(entry.symbol, Holding())
                    holding.quantity += entry.signed
                    holding.cost += entry.postings["position"]
            for symbol, holding in sorted(held.items()):
                if holding.quantity and asked.symbol in (None, symbol):
                    yield self._position(account, symbol, holding, at_ns)

    def _position(self, account: UUID, symbol: str, held: Holding, at_ns: int) -> PositionRow:
        closing = self._prices.at(symbol, held.quantity, at_ns)
        value = None if closing is None else held.quantity * closing.price
        return PositionRow(
            account=account,
            symbol=symbol,
            quantity=held.quantity,
            avg_cost=held.cost / held.quantity,
            cost=held.cost,
            market_price=None if closing is None else closing.price,
            price_source=None if closing is None else closing.source,
            price_time=None if closing is None else closing.ts_ns,
            market_value=value,
            unrealized_pnl=None if value is None else value - held.cost,
        )

    def _opened(self, account: UUID, at_ns: int) -> tuple[int | None, dict[str, Holding]]:
        """Return from when on fills are to be followed, and what was held then: at the last statement before."""
        last = self._statements.last(account, at_ns // DAY_NS)
        if last is None:
            return None, {}
        return last.end_ns, last.books().holdings

    def pnl(self, asked: Range, to_ns: int, by: str) -> Generator[list[PnlRow], None, None]:
        """Yield profit by account, or by its symbols, strategies or days."""
        return batched(self._by_day(asked, to_ns) if by == "day" else self._by_group(asked, to_ns, by))

    def _by_group(self, asked: Range, to_ns: int, by: str) -> Iterator[PnlRow]:
        for account in self._reads.accounts(asked.accounts):
            profits: Profits[Group] = Profits()
            start_ns = None
            if asked.from_ns is not None and by != "strategy" and asked.strategy is None:
                start_ns, held = self._opened(account, asked.from_ns)
                for symbol, holding in held.items():
                    if asked.symbol in (None, symbol):
                        profits.carry((symbol if by == "symbol" else None, None), symbol, holding)
            before: dict[Group, Decimal] | None = None
            for strategy, entry in self._entries(account, asked, start_ns, to_ns, named=by == "strategy"):
                counted = asked.from_ns is None or entry.time_ns >= asked.from_ns
                if counted and before is None:
                    before = self._unrealized(profits, asked.from_ns)
                group = (entry.symbol if by == "symbol" else None, strategy if by == "strategy" else None)
                profits.book(group, entry, counted=counted)
            if before is None:
                before = self._unrealized(profits, asked.from_ns)
            after = self._unrealized(profits, to_ns)
            yield from _pnl_rows(account, profits, before, after)

    def _by_day(self, asked: Range, to_ns: int) -> Iterator[PnlRow]:
        """Yield a row for each UTC day on which something was held or traded, the range's first and last in part."""
        for account in self._reads.accounts(asked.accounts):
            profits: Profits[None] = Profits()
            start_ns = None
            if asked.from_ns is not None and asked.strategy is None:
                start_ns, held = self._opened(account, asked.from_ns)
                for symbol, holding in held.items():
                    if asked.symbol in (None, symbol):
                        profits.carry(None, symbol, holding)
            entries = self._entries(account, asked, start_ns, to_ns, named=False)
            entry = next(entries, (None, None))[1]
            while entry is not None and asked.from_ns is not None and entry.time_ns < asked.from_ns:
                profits.book(None, entry, counted=False)
                entry = next(entries, (None, None))[1]
            at_ns = asked.from_ns if asked.from_ns is not None else entry.time_ns if entry is not None else to_ns
            worth = self._unrealized(profits, at_ns).get(None)
            while at_ns < to_ns:
                day = at_ns // DAY_NS
                end_ns = min((day + 1) * DAY_NS, to_ns)
                while entry is not None and entry.time_ns < end_ns:
                    profits.book(None, entry, counted=True)
                    entry = next(entries, (None, None))[1]
                tally = profits.tallies.pop(None, None)
                if tally is not None or worth is not None:
                    after = self._unrealized(profits, end_ns).get(None)
                    change = (after or ZERO) - (worth or ZERO)
                    yield _pnl(account, (None, None), date_of(day), tally or Tally(), change)
                    worth = after
                at_ns = end_ns

    def _entries(
        self, account: UUID, asked: Range, start_ns: int | None, to_ns: int, *, named: bool
    ) -> Iterator[tuple[UUID | None, Entry]]:
        """Yield fills with their strategy, which is looked up only where it matters."""
        for entries in self._reads.fills(account, start_ns, to_ns, asked.symbol):
            if not named and asked.strategy is None:
                yield from ((None, entry) for entry in entries)
                continue
            terms = self._reads.terms(entries)
            for entry in entries:
                strategy = terms[entry.order].strategy
                if asked.strategy in (None, strategy):
                    yield strategy, entry

    def _unrealized(self, profits: "Profits[T]", at_ns: int | None) -> "dict[T, Decimal]":  # type: ignore[type-var]
        if at_ns is None:
            return {}

        def price_of(symbol: str, quantity: Decimal) -> Decimal | None:
            closing = self._prices.at(symbol, quantity, at_ns)
            return None if closing is None else closing.price

        return profits.unrealized(price_of)

    # -- best execution -----------------------------------------------------------------------------------------------

    def execution(self, asked: Range, by: str) -> Generator[list[ExecutionRow], None, None]:
        """Yield how well the orders placed in the range were filled: each, or by symbol or strategy."""
        return batched(self._execution(asked, by))

    def _execution(self, asked: Range, by: str) -> Iterator[ExecutionRow]:
        for account in self._reads.accounts(asked.accounts):
            groups: dict[Group, Quality] = {}
            for order, fills in self._filled(account, asked):
                if by == "order":
                    quality = Quality()
                    self._judge(quality, order, fills)
                    yield _quality(account, (order.symbol, order.strategy), order.id, quality)
                    continue
                group = (order.symbol if by == "symbol" else None, order.strategy if by == "strategy" else None)
                self._judge(groups.setdefault(group, Quality()), order, fills)
            for group, quality in sorted(groups.items(), key=lambda each: (each[0][0] or "", str(each[0][1] or ""))):
                yield _quality(account, group, None, quality)

    def _filled(self, account: UUID, asked: Range) -> Iterator[tuple[Order, list[Entry]]]:
        for orders in self._reads.orders(account, asked.from_ns, asked.to_ns, asked.symbol):
            filled = [
                each
                for each in orders
                if each.filled_quantity and (asked.strategy is None or each.strategy == asked.strategy)
            ]
            fills = self._reads.fills_of(each.id for each in filled)
            yield from ((each, fills[each.id]) for each in filled)

    def _judge(self, quality: Quality, order: Order, fills: list[Entry]) -> None:
        average = order.filled_value / order.filled_quantity
        # The last fill's millisecond, to its end: stored times are cut to milliseconds.
        since = TickQuery(order.symbol, order.created_at, fills[-1].time_ns + NS_PER_MS, "trade")
        quality.orders += 1
        quality.executions += len(fills)
        quality.quantity += order.filled_quantity
        quality.value += order.filled_value
        quality.commission += order.commission
        side = order.side.value
        quality.arrival.add(slippage_bps(side, average, order.arrival_price), order.filled_quantity)
        market = vwap(self._ticks.iterate(since))
        quality.vwap.add(slippage_bps(side, average, market), order.filled_quantity)

    # -- statements ---------------------------------------------------------------------------------------------------

    def statements(self, asked: Range) -> Generator[list[Statement], None, None]:
        """Yield the statements of the days that begin in the range."""
        first = None if asked.from_ns is None else -(-asked.from_ns // DAY_NS)
        end = None if asked.to_ns is None else -(-asked.to_ns // DAY_NS)
        return batched(
            made
            for account in self._reads.accounts(asked.accounts)
            for made in self._statements.iterate(account, first, end)
        )


def batched(rows: Iterable[T]) -> Generator[list[T], None, None]:
    """Yield rows in lists that are not empty."""
    left = iter(rows)
    while batch := list(islice(left, ROWS_TOGETHER)):
        yield batch


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


def _pnl_rows(
    account: UUID, profits: Profits[Group], before: dict[Group, Decimal], after: dict[Group, Decimal]
) -> Iterator[PnlRow]:
    groups = profits.tallies.keys() | before.keys() | after.keys()
    for group in sorted(groups, key=lambda each: (each[0] or "", str(each[1] or ""))):
        change = after.get(group, ZERO) - before.get(group, ZERO)
        yield _pnl(account, group, None, profits.tallies.get(group, Tally()), change)


def _pnl(account: UUID, group: Group, day: str | None, tally: Tally, change: Decimal) -> PnlRow:
    symbol, strategy = group
    return PnlRow(
        account=account,
        symbol=symbol,
        strategy=strategy,
        day=day,
        executions=tally.executions,
        bought=tally.bought,
        sold=tally.sold,
        realized_pnl=tally.realized_pnl,
        unrealized_change=change,
        commission=tally.commission,
        net_pnl=tally.realized_pnl + change - tally.commission,
    )


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
