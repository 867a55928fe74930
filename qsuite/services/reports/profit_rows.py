"""What was held and what it made, read from the ledger: positions at an instant, profit over a range.

Following begins at the last statement before where it can: what was held then is in it. For threads.
"""

from collections.abc import Generator, Hashable, Iterator
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.reports.ledger import Entry, Holding, Tally
from qsuite.domain.reports.profit import Profits
from qsuite.domain.reports.rows import PnlRow, PositionRow
from qsuite.domain.reports.statement import date_of
from qsuite.domain.times import DAY_NS
from qsuite.repos.past_prices import PastPrices
from qsuite.repos.report_reads import Range, ReportReads
from qsuite.repos.statements import StatementsRepo
from qsuite.services.reports.batches import Group, batched

Key = TypeVar("Key", bound=Hashable)


class ProfitRows:
    """Make rows of positions and profit."""

    def __init__(self, reads: ReportReads, prices: PastPrices, statements: StatementsRepo) -> None:
        self._reads = reads
        self._prices = prices
        self._statements = statements

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

    def _unrealized(self, profits: Profits[Key], at_ns: int | None) -> dict[Key, Decimal]:
        if at_ns is None:
            return {}

        def price_of(symbol: str, quantity: Decimal) -> Decimal | None:
            closing = self._prices.at(symbol, quantity, at_ns)
            return None if closing is None else closing.price

        return profits.unrealized(price_of)


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
