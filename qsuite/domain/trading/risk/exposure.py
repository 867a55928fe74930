"""What accounts and strategies stand to win or lose, kept as it changes: every total is there when it is asked for.

A holder's *line* in a symbol counts what it could come to: ``max(|q + working buys|, |q - working sells|) x mark``.
Two books of such lines, one of accounts and one of strategies; each line carries the totals of its holder, and of its
book, with it when it changes.

    changed(position)    a position or its working quantities changed: O(1)
    know(symbol, price)  a price was seen: what changes from now on is valued at it: O(1)
    remark(price_of)     value every line at the market: about once a second, O(lines)

Invariant: a total is the sum of its lines. A line whose symbol has shown no price is valued at its average cost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from qsuite.domain.money import ZERO
from qsuite.domain.trading.account import Account, Position


@dataclass(slots=True)
class Line:
    """One holder's stake in one symbol: what it holds, what works, and what it adds to the totals."""

    quantity: Decimal = ZERO
    working_buys: Decimal = ZERO
    working_sells: Decimal = ZERO
    mark: Decimal = ZERO
    worst: Decimal = ZERO
    value: Decimal = ZERO

    def revalue(self) -> None:
        """Compute what it adds from what it holds."""
        self.worst = worst_quantity(self.quantity, self.working_buys, self.working_sells) * self.mark
        self.value = self.quantity * self.mark


@dataclass(slots=True)
class Totals:
    """Sums over lines: ``gross`` counts the worst case, the others what is held; ``short_value`` is above zero."""

    gross: Decimal = ZERO
    long_value: Decimal = ZERO
    short_value: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """Return what is held, long less short."""
        return self.long_value - self.short_value

    def add(self, worst: Decimal, value: Decimal, sign: int) -> None:
        """Add a line's part, or with a sign of -1 take it out."""
        self.gross += sign * worst
        if value >= ZERO:
            self.long_value += sign * value
        else:
            self.short_value -= sign * value


def worst_quantity(quantity: Decimal, working_buys: Decimal, working_sells: Decimal) -> Decimal:
    """Return the largest size a position can come to when the working orders of one side fill."""
    return max(abs(quantity + working_buys), abs(quantity - working_sells))


NOTHING = Totals()


class ExposureBook:
    """The lines of one kind of holder, by holder and symbol."""

    def __init__(self, marks: dict[str, Decimal]) -> None:
        self.total = Totals()
        self._marks = marks
        self._lines: dict[UUID, dict[str, Line]] = {}
        self._totals: dict[UUID, Totals] = {}

    def of(self, holder: UUID) -> Totals:
        """Return a holder's totals; of one that never held anything, nothing."""
        return self._totals.get(holder, NOTHING)

    def worst(self, holder: UUID, symbol: str) -> Decimal:
        """Return what a holder's line in a symbol adds to its gross exposure."""
        line = self._lines.get(holder, {}).get(symbol)
        return ZERO if line is None else line.worst

    def lines(self, holder: UUID) -> dict[str, Line]:
        """Return a holder's lines by symbol, to look at."""
        return self._lines.get(holder, {})

    def holders(self) -> list[UUID]:
        """Return all who hold or work anything."""
        return list(self._lines)

    def symbols(self) -> set[str]:
        """Return every symbol that anybody holds or works."""
        return {symbol for lines in self._lines.values() for symbol in lines}

    def changed(self, position: Position) -> None:
        """Take over what a position holds and works now."""
        lines = self._lines.setdefault(position.account, {})
        line = lines.get(position.symbol)
        if line is None:
            line = lines[position.symbol] = Line()
        totals = self._totals.get(position.account)
        if totals is None:
            totals = self._totals[position.account] = Totals()
        self._take_out(line, totals)
        line.quantity = position.quantity
        line.working_buys, line.working_sells = position.working_buys, position.working_sells
        mark = self._marks.get(position.symbol)
        if mark is None:
            cost = position.avg_cost
            mark = line.mark if cost is None else cost
        line.mark = mark
        if line.quantity or line.working_buys or line.working_sells:
            self._put_in(line, totals)
        else:
            self._forget(position.account, position.symbol)

    def remark(self) -> None:
        """Value every line at the marks."""
        for holder, lines in self._lines.items():
            totals = self._totals[holder]
            for symbol, line in lines.items():
                mark = self._marks.get(symbol)
                if mark is not None and mark != line.mark:
                    self._take_out(line, totals)
                    line.mark = mark
                    self._put_in(line, totals)

    def _take_out(self, line: Line, totals: Totals) -> None:
        totals.add(line.worst, line.value, -1)
        self.total.add(line.worst, line.value, -1)

    def _put_in(self, line: Line, totals: Totals) -> None:
        line.revalue()
        totals.add(line.worst, line.value, 1)
        self.total.add(line.worst, line.value, 1)

    def _forget(self, holder: UUID, symbol: str) -> None:
        lines = self._lines[holder]
        del lines[symbol]
        if not lines:
            del self._lines[holder]
            del self._totals[holder]


class Exposures:
    """The accounts' book and the strategies', valued at the same marks."""

    def __init__(self) -> None:
        self.marks: dict[str, Decimal] = {}
        self.accounts = ExposureBook(self.marks)
        self.strategies = ExposureBook(self.marks)
        self.largest_limit = ZERO
        """The gross limit in money of the account that has the largest, as of the last ``MarkAccounts``."""

    def changed(self, position: Position) -> None:
        """Take over what an account's position holds and works now."""
        self.accounts.changed(position)

    def strategy_changed(self, position: Position) -> None:
        """Take over what a strategy's position (``account`` is the strategy) holds and works now."""
        self.strategies.changed(position)

    def know(self, symbol: str, price: Decimal) -> None:
        """Value what changes from now on in a symbol at this price."""
        self.marks[symbol] = price

    def remark(self, price_of: Callable[[str], Decimal | None]) -> None:
        """Ask for the price of every symbol known here, and value every line at it."""
        symbols = self.accounts.symbols() | self.strategies.symbols()
        for symbol in set(self.marks) - symbols:
            del self.marks[symbol]
        for symbol in symbols:
            price = price_of(symbol)
            if price is not None:
                self.marks[symbol] = price
        self.accounts.remark()
        self.strategies.remark()

    def equity(self, account: Account) -> Decimal:
        """Return what an account is worth: its cash and what it holds, shorts being owed."""
        return account.cash + self.accounts.of(account.id).net

    def day_pnl(self, account: Account, day: int) -> Decimal:
        """Return what an account made since its day began; nothing on a day that has not begun for it."""
        return self.equity(account) - account.day_open_equity if account.day == day else ZERO
