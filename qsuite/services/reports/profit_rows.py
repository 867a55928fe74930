"""What was held and what it made, read from the ledger: positions at an instant, profit over a range.

Following begins at the last statement before where it can: what was held then is in it. For threads.
"""

from collections.abc import Callable, Generator, Hashable, Iterator
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.reports.ledger import Entry, Holding, Movement, Tally
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
            for _, event in self._events(account, asked, start_ns, at_ns, named=False):
                if isinstance(event, Movement):
                    held.clear()
                    continue
                holding = held.setdefault(event.symbol, Holding())
                holding.quantity += event.signed
                holding.cost += event.postings["position"]
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
            if by != "strategy":
                start_ns = self._carry(
                    account, asked, lambda symbol: (symbol if by == "symbol" else None, None), profits
                )
            before: dict[Group, Decimal] | None = None
            for strategy, event in self._events(account, asked, start_ns, to_ns, named=by == "strategy"):
                counted = asked.from_ns is None or event.time_ns >= asked.from_ns
                if counted and before is None:
                    before = self._unrealized(profits, asked.from_ns)
                symbol = event.symbol if by == "symbol" and isinstance(event, Entry) else None
                _follow(profits, (symbol, strategy if by == "strategy" else None), event, counted=counted)
            if before is None:
                before = self._unrealized(profits, asked.from_ns)
            yield from _pnl_rows(account, profits, before, self._unrealized(profits, to_ns))

    def _by_day(self, asked: Range, to_ns: int) -> Iterator[PnlRow]:
        """Yield a row for each UTC day on which something was held or traded, the range's first and last in part."""
        for account in self._reads.accounts(asked.accounts):
            profits: Profits[None] = Profits()
            start_ns = self._carry(account, asked, lambda symbol: None, profits)
            events = Ahead(event for _, event in self._events(account, asked, start_ns, to_ns, named=False))
            if asked.from_ns is not None:
                for event in events.before(asked.from_ns):
                    _follow(profits, None, event, counted=False)
            at_ns = events.next_at(to_ns) if asked.from_ns is None else asked.from_ns
            worth = self._unrealized(profits, at_ns).get(None)
            while at_ns < to_ns:
                end_ns = min((at_ns // DAY_NS + 1) * DAY_NS, to_ns)
                for event in events.before(end_ns):
                    _follow(profits, None, event, counted=True)
                tally = profits.tallies.pop(None, None)
                if tally is None and worth is None:  # nothing held, nothing done: on to where something is
                    at_ns = max(end_ns, events.next_at(to_ns) // DAY_NS * DAY_NS)
                    continue
                after = self._unrealized(profits, end_ns).get(None)
                change = (after or ZERO) - (worth or ZERO)
                yield _pnl(account, (None, None), date_of(at_ns // DAY_NS), tally or Tally(), change)
                worth, at_ns = after, end_ns

    def _carry(self, account: UUID, asked: Range, group_of: Callable[[str], Key], profits: Profits[Key]) -> int | None:
        """Begin with what was held at the last statement before the range; return from when on fills are followed.

        With a strategy asked for there is none to begin with: a statement does not tell strategies apart.
        """
        if asked.from_ns is None or asked.strategy is not None:
            return None
        start_ns, held = self._opened(account, asked.from_ns)
        for symbol, holding in held.items():
            if asked.symbol in (None, symbol):
                profits.carry(group_of(symbol), symbol, holding)
        return start_ns

    def _events(
        self, account: UUID, asked: Range, start_ns: int | None, to_ns: int, *, named: bool
    ) -> Iterator[tuple[UUID | None, Entry | Movement]]:
        """Yield fills with their strategy, which is looked up only where it matters, and resets between them."""
        resets = [
            each
            for each in self._reads.resets(account)
            if each.time_ns < to_ns and (start_ns is None or each.time_ns >= start_ns)
        ]
        for strategy, entry in self._entries(account, asked, start_ns, to_ns, named=named):
            while resets and resets[0].before(entry):
                yield None, resets.pop(0)
            if asked.strategy in (None, strategy):
                yield strategy, entry
        yield from ((None, reset) for reset in resets)

    def _entries(
        self, account: UUID, asked: Range, start_ns: int | None, to_ns: int, *, named: bool
    ) -> Iterator[tuple[UUID | None, Entry]]:
        for entries in self._reads.fills(account, start_ns, to_ns, asked.symbol):
            terms = self._reads.terms(entries) if named or asked.strategy is not None else None
            yield from ((None if terms is None else terms[entry.order].strategy, entry) for entry in entries)

    def _unrealized(self, profits: Profits[Key], at_ns: int | None) -> dict[Key, Decimal]:
        if at_ns is None:
            return {}

        def price_of(symbol: str, quantity: Decimal) -> Decimal | None:
            closing = self._prices.at(symbol, quantity, at_ns)
            return None if closing is None else closing.price

        return profits.unrealized(price_of)


class Ahead:
    """Events by time, taken up to an instant, then on from there."""

    def __init__(self, events: Iterator[Entry | Movement]) -> None:
        self._events = events
        self._next = next(events, None)

    def next_at(self, otherwise: int) -> int:
        """Return when the next one happened."""
        return otherwise if self._next is None else self._next.time_ns

    def before(self, ts_ns: int) -> Iterator[Entry | Movement]:
        """Yield those before an instant."""
        while self._next is not None and self._next.time_ns < ts_ns:
            event, self._next = self._next, next(self._events, None)
            yield event


def _follow(profits: Profits[Key], group: Key, event: Entry | Movement, *, counted: bool) -> None:
    if isinstance(event, Movement):
        profits.clear()
    else:
        profits.book(group, event, counted=counted)


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
