"""A statement as one page of HTML, to look at and to print: no script, nothing fetched, its style in it.

Invariant: whatever stood in the statement is escaped; only what is written here is markup. Money is shown with two
places, half-even, or with all it has where the reader must be able to check it: the double entries.
"""

import base64
import hashlib
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from html import escape

from qsuite.domain.money import ZERO, show
from qsuite.domain.reports.statement import KINDS, WRITTEN_OFF, Statement, StatementPosition, date_of
from qsuite.domain.times import format_rfc3339
from qsuite.services.backtest_report import STYLE as REPORT_STYLE

CENT = Decimal("0.01")
LABELS = {"deposit": "Deposits", "withdrawal": "Withdrawals", "reset": "Reset", WRITTEN_OFF: "Written off by a reset"}
STYLE = (
    REPORT_STYLE
    + """
table.sums{width:auto;min-width:24rem}table.sums td:first-child{text-align:left}
tr.total td{border-top:2px solid var(--ink);font-weight:600}.fine{color:var(--soft);font-size:.8rem}
@page{margin:18mm 14mm}
@media print{:root{--page:#fff;--ink:#000;--soft:#444;--rule:#bbb;--tile:#fff}dl.tiles div{border:1px solid var(--rule)}
h2{break-after:avoid}}
"""
)
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The content policy to serve it with: its own style, and nothing else."""


def statement_page(made: Statement) -> str:
    """Return the page of a statement."""
    title = f"Statement of {made.name}, {date_of(made.day)}"
    parts = (_about(made, title), _tiles(made), _cash(made), _equity(made), _positions(made), _check(made))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _about(made: Statement, title: str) -> str:
    words = f"Account {made.account} · {made.currency} · the UTC day {date_of(made.day)}"
    return f'<h1>{escape(title)}</h1><p class="about">{escape(words)}</p>'


def _tiles(made: Statement) -> str:
    change = made.closing_equity - made.opening_equity
    tiles = (
        ("Closing equity", _money(made.closing_equity)),
        ("Change", _money(change)),
        ("Closing cash", _money(made.closing_cash)),
        ("Realised", _money(made.realized_pnl)),
        ("Unrealised", _money(made.closing_unrealized)),
        ("Commission", _money(made.commission)),
        ("Executions", f"{made.executions:,}"),
    )
    shown = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in tiles)
    return f'<section><dl class="tiles">{shown}</dl></section>'


def _cash(made: Statement) -> str:
    rows = [
        ("Opening cash", made.opening_cash),
        *((LABELS[kind], made.movements[kind]) for kind in KINDS if made.movements[kind]),
        ("Bought", -made.bought),
        ("Sold", made.sold),
        ("Commission", -made.commission),
    ]
    return _sums("Cash", rows, ("Closing cash", made.closing_cash))


def _equity(made: Statement) -> str:
    rows = [
        ("Opening equity", made.opening_equity),
        *((LABELS[kind], amount) for kind, amount in made.movements.items() if amount),
        ("Realised profit", made.realized_pnl),
        ("Change of unrealised profit", made.unrealized_change),
        ("Commission", -made.commission),
    ]
    return _sums("Equity", rows, ("Closing equity", made.closing_equity))


def _sums(title: str, rows: Iterable[tuple[str, Decimal]], total: tuple[str, Decimal]) -> str:
    body = "".join(f"<tr><td>{escape(label)}</td><td>{_money(amount)}</td></tr>" for label, amount in rows)
    last = f'<tr class="total"><td>{escape(total[0])}</td><td>{_money(total[1])}</td></tr>'
    return f'<section><h2>{title}</h2><table class="sums"><tbody>{body}{last}</tbody></table></section>'


def _positions(made: Statement) -> str:
    if not made.positions:
        return '<section><h2>Positions</h2><p class="none">Nothing is held, and nothing was traded.</p></section>'
    names = ["Quantity", "Average cost", "Closing price", "Value", "Unrealised", "Realised", "Commission"]
    head = '<th class="word">Symbol</th>' + "".join(f"<th>{name}</th>" for name in names)
    body = "".join(map(_position, made.positions))
    sources = ", ".join(_source(each) for each in made.positions if each.closing is not None)
    return (
        f'<section class="long"><h2>Positions</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="fine">{escape(sources)}</p></section>'
    )


def _position(each: StatementPosition) -> str:
    cells = (
        show(each.quantity),
        "" if each.avg_cost is None else _price(each.avg_cost),
        "at cost"
        if each.closing is None and each.quantity
        else ""
        if each.closing is None
        else _price(each.closing[0]),
        _money(each.market_value),
        _money(each.unrealized_pnl),
        _money(each.realized_pnl),
        _money(each.commission),
    )
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><td class="word">{escape(each.symbol)}</td>{shown}</tr>'


def _source(each: StatementPosition) -> str:
    assert each.closing is not None
    return f"{each.symbol}: {each.closing.source} of {format_rfc3339(each.closing.ts_ns)}"


def _check(made: Statement) -> str:
    """Show the sums of the double entries, every digit of them."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{show(amount)}</td></tr>" for name, amount in made.postings.items())
    total = sum(made.postings.values(), ZERO)
    return (
        f"<section><h2>Double entries of {made.executions:,} executions</h2>"
        f'<table class="sums"><tbody>{rows}<tr class="total"><td>Sum</td><td>{show(total)}</td></tr></tbody></table>'
        '<p class="fine">Cash, positions and profit were compared with the books to the last digit before this was '
        "stored.</p></section>"
    )


def _money(value: Decimal) -> str:
    rounded = value.quantize(CENT, ROUND_HALF_EVEN)
    return f"{rounded + 0 if rounded else ZERO:,.2f}"


def _price(value: Decimal) -> str:
    """Show a price with the places it has, a mean with eight at most."""
    text = show(value)
    return text if len(text.partition(".")[2]) <= 8 else f"{value:.8f}".rstrip("0")
