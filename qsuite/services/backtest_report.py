"""A backtest as one page of HTML: what came of it in figures, charts and tables, to look at, print or send on.

It stands alone: styles and charts are in it, nothing is fetched and no script runs, which ``POLICY`` lets a browser
hold it to. Invariant: whatever stood in the result is escaped; only what is written here is markup.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from html import escape
from typing import Any

from qsuite.domain.times import ns_to_datetime, parse_rfc3339
from qsuite.services.report_charts import Line, Mark, Point, chart, legend

MOST_TRADES = 2_000
"""Rows of trades on the page; a longer table is cut, and says so."""
MOST_MARKS = 400
Result = Mapping[str, Any]

STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#1c2430;--soft:#5d6878;--rule:#d9dee6;--tile:#f4f6f9;--own:#1f6fd1;
--other:#98a2b0;--bad:#c23b3b;--good:#1c8a4e}
@media(prefers-color-scheme:dark){:root{--page:#12161c;--ink:#e4e8ee;--soft:#98a3b3;--rule:#2b333e;--tile:#1a2029;
--own:#64a8ff;--other:#7b8696;--bad:#f07a7a;--good:#5bc98b}}
*{box-sizing:border-box}
body{margin:2rem auto;max-width:62rem;padding:0 1rem;background:var(--page);color:var(--ink);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .5rem}
.about{color:var(--soft);margin:.2rem 0 1.2rem}
dl.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.4rem,1fr));gap:.5rem;margin:0}
dl.tiles div{background:var(--tile);border-radius:6px;padding:.5rem .7rem}
dl.tiles dt{color:var(--soft);font-size:.8rem}dl.tiles dd{margin:0;font-size:1.1rem;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.85rem}
th,td{padding:.25rem .5rem;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--soft);font-weight:600}td.word,th.word{text-align:left}
.bad{color:var(--bad)}.good{color:var(--good)}.none{color:var(--soft)}
svg.chart{display:block;width:100%;height:auto}
.grid{stroke:var(--rule);stroke-width:1;fill:none}.axis{fill:var(--soft);font-size:11px}
.line{fill:none;stroke-width:1.5;stroke-linejoin:round}.line.own{stroke:var(--own)}.line.other{stroke:var(--other)}
.line.fall{stroke:var(--bad)}.area.fall{fill:var(--bad);opacity:.25}
.mark.buy{fill:var(--good)}.mark.sell{fill:var(--bad)}
.legend{margin:.2rem 0;font-size:.85rem;color:var(--soft)}.key{margin-right:1.2rem}
.key::before{content:"";display:inline-block;width:1.1em;height:3px;margin-right:.4em;vertical-align:middle;
background:var(--other)}.key.own::before{background:var(--own)}
@media print{body{margin:0;max-width:none;font-size:11px}section{break-inside:avoid}section.long{break-inside:auto}
thead{display:table-header-group}tr{break-inside:avoid}}
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The content policy to serve it with: its own style, and nothing else."""

PERCENT, RATIO, DAYS, COUNT, MONEY = "percent", "ratio", "days", "count", "money"
FIGURES = (
    ("total_return", "Total return", PERCENT),
    ("benchmark_return", "Buy and hold", PERCENT),
    ("cagr", "CAGR", PERCENT),
    ("volatility", "Volatility", PERCENT),
    ("sharpe_ratio", "Sharpe ratio", RATIO),
    ("sortino_ratio", "Sortino ratio", RATIO),
    ("calmar_ratio", "Calmar ratio", RATIO),
    ("max_drawdown", "Max. drawdown", PERCENT),
    ("max_drawdown_days", "Its length", DAYS),
    ("longest_drawdown_days", "Longest drawdown", DAYS),
    ("total_trades", "Trades", COUNT),
    ("win_rate", "Win rate", PERCENT),
    ("profit_factor", "Profit factor", RATIO),
    ("exposure", "Exposure", PERCENT),
    ("turnover", "Turnover", RATIO),
    ("costs", "Costs", MONEY),
)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def html_report(
    result: Result, *, benchmark: Sequence[Mapping[str, Any]] = (), prices: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return the page of a result as the API shows it: its input, figures, ``equity_curve`` and ``trades``.

    ``benchmark`` holds ``{ts, equity}`` of buying and holding from the same cash; ``prices`` ``{ts, close}`` of the
    only symbol. Without them their lines are left out.
    """
    curve = _points(result["equity_curve"], "equity")
    title = f"Backtest of {result.get('strategy') or result.get('algorithm') or 'a strategy'}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _about(result, curve),
        _tiles(result),
        _equity(curve, _points(benchmark, "equity")),
        _drawdown(curve),
        _monthly(result["equity_curve"]),
        _on_price(result["trades"], _points(prices, "close")),
        _trades(result["trades"]),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


# -- figures ----------------------------------------------------------------------------------------------------------


def _about(result: Result, curve: Sequence[Point]) -> str:
    words = [", ".join(map(str, result.get("symbols", ())))]
    for name in ("algorithm", "interval"):
        words.append(str(result.get(name) or ""))
    if curve:
        first, last = (_day(result["equity_curve"][place]) for place in (0, -1))
        words.append(f"{first} to {last}")
    if result.get("initial_cash") is not None:
        words.append(f"from {_money(result['initial_cash'])}")
    words += [f"{name} {value}" for name, value in (result.get("parameters") or {}).items()]
    return f'<p class="about">{escape(" · ".join(word for word in words if word))}</p>'


def _tiles(result: Result) -> str:
    tiles = (
        f"<div><dt>{label}</dt><dd>{escape(_shown(result.get(name), kind))}</dd></div>" for name, label, kind in FIGURES
    )
    return f'<section><dl class="tiles">{"".join(tiles)}</dl></section>'


def _shown(value: Any, kind: str) -> str:
    if value is None:
        return "–"
    if kind == PERCENT:
        return f"{100 * float(value):.2f} %"
    if kind == MONEY:
        return _money(value)
    if kind == DAYS:
        return f"{float(value):,.0f} days"
    return f"{float(value):.2f}" if kind == RATIO else f"{float(value):,.0f}"


def _money(value: Any) -> str:
    return f"{Decimal(str(value)):,.2f}"


# -- charts -----------------------------------------------------------------------------------------------------------


def _equity(curve: Sequence[Point], benchmark: Sequence[Point]) -> str:
    lines = [Line("Buy and hold", "other", benchmark), Line("Equity", "own", curve)]
    return f"<section><h2>Equity</h2>{legend(lines)}{chart('Equity over time', lines)}</section>"


def _drawdown(curve: Sequence[Point]) -> str:
    below: list[Point] = []
    peak = float("-inf")
    for ts_ns, value in curve:
        peak = max(peak, value)
        below.append((ts_ns, 100.0 * (value / peak - 1.0) if peak > 0.0 else 0.0))
    line = Line("Drawdown", "fall", below, filled=True)
    drawn = chart("Per cent below the highest equity so far", [line], unit=" %", height=160)
    return f"<section><h2>Drawdown</h2>{drawn}</section>"


def _on_price(trades: Sequence[Mapping[str, Any]], prices: Sequence[Point]) -> str:
    if not prices:
        return ""
    marks = [mark for trade in trades[:MOST_MARKS] for mark in _marks(trade)]
    cut = f" The first {MOST_MARKS} of {len(trades):,}." if len(trades) > MOST_MARKS else ""
    drawn = chart("Trades on the price", [Line("Close", "other", prices)], marks=marks)
    note = f'<p class="legend">Upwards: bought. Downwards: sold.{cut}</p>'
    return f"<section><h2>Trades on the price</h2>{note}{drawn}</section>"


def _marks(trade: Mapping[str, Any]) -> Iterable[Mark]:
    long = str(trade["side"]).upper() == "BUY"
    for way, buys in (("entry", long), ("exit", not long)):
        if trade.get(f"{way}_ts") is None:
            continue
        price = trade[f"{way}_price"]
        text = f"{'bought' if buys else 'sold'} {trade['quantity']} at {price}, {str(trade[f'{way}_ts'])[:10]}"
        at = (parse_rfc3339(str(trade[f"{way}_ts"])), float(price))
        yield Mark(at, buys, "buy" if buys else "sell", text)


def _day(row: Mapping[str, Any]) -> date:
    """Return the day a bar's close belongs to: a day that ends at midnight is the one before."""
    return ns_to_datetime(parse_rfc3339(str(row["ts"])) - 1).date()


def _points(rows: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    return [(parse_rfc3339(str(row["ts"])), float(row[name])) for row in rows]


# -- tables -----------------------------------------------------------------------------------------------------------


def _monthly(curve: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of each month's return, from the last equity of the month before."""
    if not curve:
        return ""
    lasts: dict[tuple[int, int], float] = {}
    for row in curve:
        day = _day(row)
        lasts[day.year, day.month] = float(row["equity"])
    before = start = float(curve[0]["equity"])
    returns: dict[tuple[int, int], float | None] = {}
    years: dict[int, float | None] = {}
    for (year, month), last in lasts.items():
        returns[year, month] = last / before - 1.0 if before > 0.0 else None
        start = start if year in years else before
        years[year] = last / start - 1.0 if start > 0.0 else None
        before = last
    head = "".join(f"<th>{name}</th>" for name in ("Year", *MONTHS, "All"))
    rows = ([*(returns.get((year, month)) for month in range(1, 13)), years[year]] for year in years)
    body = "".join(f"<tr><th>{year}</th>{''.join(map(_cell, row))}</tr>" for year, row in zip(years, rows, strict=True))
    return (
        "<section><h2>Monthly returns, per cent</h2>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>'
    )


def _cell(part: float | None) -> str:
    if part is None:
        return "<td></td>"
    shown = f"{round(100.0 * part, 1) + 0.0:.1f}"  # and never minus zero
    tone = "" if shown == "0.0" else ' class="bad"' if part < 0.0 else ' class="good"'
    return f"<td{tone}>{shown}</td>"


def _trades(trades: Sequence[Mapping[str, Any]]) -> str:
    if not trades:
        return '<section><h2>Trades</h2><p class="none">No round trip was closed.</p></section>'
    names = ("Symbol", "Side", "Quantity", "Entry", "at", "Exit", "at", "Profit")
    head = "".join(f"<th{_word(place)}>{name}</th>" for place, name in enumerate(names))
    body = "".join(_trade(trade) for trade in trades[:MOST_TRADES])
    cut = ""
    if len(trades) > MOST_TRADES:
        cut = f'<p class="none">The first {MOST_TRADES:,} of {len(trades):,}.</p>'
    return (
        f'<section class="long"><h2>Trades</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{cut}</section>"
    )


def _trade(trade: Mapping[str, Any]) -> str:
    cells = [trade["symbol"], trade["side"], trade["quantity"]]
    for way in ("entry", "exit"):
        cells += [str(trade.get(f"{way}_ts") or "")[:16].replace("T", " "), _price(trade.get(f"{way}_price"))]
    shown = "".join(f"<td{_word(place)}>{escape(str(cell))}</td>" for place, cell in enumerate(cells))
    profit = Decimal(str(trade["pnl"]))
    return f'<tr>{shown}<td class="{"bad" if profit < 0 else "good"}">{escape(_money(profit))}</td></tr>'


def _price(value: Any) -> str:
    """Show a price with the places it has, a mean of several fills with eight at most."""
    if value is None:
        return ""
    shown = Decimal(str(value))
    return f"{shown:f}" if len(f"{shown:f}".partition(".")[2]) <= 8 else f"{shown:.8f}".rstrip("0")


def _word(place: int) -> str:
    return ' class="word"' if place < 2 else ""
