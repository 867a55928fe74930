"""The page of a backtest: everything in it, nothing from elsewhere, and whatever it is told only ever text."""

import re
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from qsuite.services.backtest_report import POLICY, STYLE, html_report
from qsuite.services.report_charts import WIDTH, Line, chart, dates, thinned, ticks

VOID = {"meta", "link", "br"}
DAY_NS = 86_400 * 10**9


class Page(HTMLParser):
    """Reads a page: which elements it has, with which attributes, and the text of table cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements end in the order they began"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def a_result(**other: Any) -> dict[str, Any]:
    # A bar's close is at the midnight after its day.
    days = [date(2023, 12, 1) + timedelta(days=number + 1) for number in range(62)]
    curve = [{"ts": f"{day}T00:00:00Z", "equity": str(10_000 + 10 * place)} for place, day in enumerate(days)]
    trade = {
        "symbol": "IBM",
        "side": "BUY",
        "quantity": "10",
        "entry_ts": "2023-12-05T00:00:00Z",
        "entry_price": "100.5",
        "exit_ts": "2023-12-20T00:00:00Z",
        "exit_price": "99.1",
        "pnl": "-14",
    }
    figures = {"total_return": 0.061, "sharpe_ratio": None, "max_drawdown": -0.25, "total_trades": 1, "costs": "12.5"}
    return {"strategy": "crossing", "symbols": ["IBM"], "equity_curve": curve, "trades": [trade]} | figures | other


def test_a_page_is_well_formed_and_asks_for_nothing_from_elsewhere() -> None:
    result = a_result()
    prices = [{"ts": row["ts"], "close": "100"} for row in result["equity_curve"]]
    page = html_report(result, benchmark=result["equity_curve"], prices=prices)
    read = Page(page)
    assert read.open == []
    assert sum(tag == "svg" for tag, _ in read.seen) == 3
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in read.seen}
    assert not {"src", "href", "style", "onload"} & {name for _, attrs in read.seen for name in attrs}
    assert "url(" not in page
    assert "http" not in page


def test_its_own_style_is_the_only_one_its_policy_allows() -> None:
    import base64
    import hashlib

    (style,) = re.findall(r"<style>(.*?)</style>", html_report(a_result()), re.DOTALL)
    assert style == STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in POLICY
    assert POLICY.startswith("default-src 'none';")


def test_whatever_a_result_says_is_text() -> None:
    evil = '"><script>alert(1)</script>'
    result = a_result(strategy=evil, symbols=[evil], algorithm=evil, parameters={evil: evil}, interval=evil)
    result["trades"] = [result["trades"][0] | {"symbol": evil, "side": evil, "quantity": evil}]
    prices = [{"ts": row["ts"], "close": "100"} for row in result["equity_curve"]]
    page = html_report(result, prices=prices)
    assert "<script" not in page
    assert not {"script"} & {tag for tag, _ in Page(page).seen}


def test_months_return_what_their_last_days_are_above_those_of_the_month_before() -> None:
    rows = {row[0]: row for row in Page(html_report(a_result())).rows if row}
    # 31 days of December from 10,000 at its first close, then January, then one day of ... by hand.
    assert rows["2023"][12] == f"{100 * (10_300 / 10_000 - 1):.1f}"
    assert rows["2024"][1] == f"{100 * (10_610 / 10_300 - 1):.1f}"
    assert rows["2024"][13] == rows["2024"][1]


def test_figures_are_shown_and_what_was_not_measured_is_a_dash() -> None:
    page = html_report(a_result())
    for label, value in (
        ("Total return", "6.10 %"),
        ("Sharpe ratio", "–"),
        ("Max. drawdown", "-25.00 %"),
        ("Trades", "1"),
        ("Costs", "12.50"),
    ):
        assert f"<dt>{label}</dt><dd>{value}</dd>" in page
    (trade,) = [row for row in Page(page).rows if row[:2] == ["IBM", "BUY"]]
    assert trade == ["IBM", "BUY", "10", "2023-12-05 00:00", "100.5", "2023-12-20 00:00", "99.1", "-14.00"]


def test_nothing_traded_and_nothing_to_draw_is_a_page_too() -> None:
    read = Page(html_report(a_result(equity_curve=[], trades=[])))
    assert read.open == []
    assert not any(tag == "svg" for tag, _ in read.seen)


def test_a_long_table_of_trades_is_cut_and_says_so() -> None:
    result = a_result()
    page = html_report(result | {"trades": result["trades"] * 2_500})
    assert "The first 2,000 of 2,500." in page


# -- charts -----------------------------------------------------------------------------------------------------------


def test_a_long_line_is_thinned_and_keeps_its_extremes() -> None:
    points = [(place, 1.0) for place in range(1_000_000)]
    points[123_456], points[777_777] = (123_456, -50.0), (777_777, 90.0)
    kept = list(thinned(points))
    assert len(kept) <= 4 * WIDTH
    assert {points[0], points[123_456], points[777_777], points[-1]} <= set(kept)
    assert kept == sorted(kept)


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [1e-12, 2e-12], [-3.0, -3.0], [1e12, -1e12]])
def test_any_values_can_be_drawn_and_stay_in_the_picture(values: list[float]) -> None:
    drawn = chart("values", [Line("values", "own", list(enumerate(values)))], height=200)
    (path,) = re.findall(r'<path class="line own" d="M([^"]*)"', drawn)
    places = [tuple(map(float, place.split())) for place in path.split("L")]
    assert all(0 <= x <= WIDTH and 0 <= y <= 200 for x, y in places)


def test_ticks_are_round_numbers_inside() -> None:
    assert ticks(9_000, 52_000) == [10_000, 20_000, 30_000, 40_000, 50_000]
    assert ticks(-0.48, 0.0) == pytest.approx([-0.4, -0.3, -0.2, -0.1, 0.0])


@pytest.mark.parametrize(("days", "first"), [(20 * 365, "2020"), (300, "Feb 2020"), (5, "15 Jan")])
def test_dates_are_beginnings_of_years_months_or_days(days: int, first: str) -> None:
    begin = 18_276 * DAY_NS - (days > 3_000) * 20 * DAY_NS  # 2020-01-15; 2019-12-26
    found = list(dates(begin, begin + days * DAY_NS))
    assert found[0][1] == first
    assert 3 <= len(found) <= 13
    assert all(begin <= ts_ns <= begin + days * DAY_NS for ts_ns, _ in found)
