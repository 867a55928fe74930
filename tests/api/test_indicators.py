"""Indicators as a client sees them: exact figures of closed bars wherever a range begins, null before there are any."""

from pathlib import Path

import numpy as np
import pytest

from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.times import NS_PER_S, format_rfc3339, parse_rfc3339
from tests.support.analytics import column, rows_of
from tests.support.bars import new_symbol, symbol_with
from tests.support.running_app import Api

NAMES = "sma_20,ema_20,rsi_14,macd,bbands_20_2,atr_14,adx_14,stoch_14_3_3,cci_20,mfi_14,roc_10,obv"
TALIB = {
    "sma_20": "sma_20", "ema_20": "ema_20", "rsi_14": "rsi_14", "macd": "macd_12_26_9", "macd.signal": "macd_signal",
    "macd.histogram": "macd_hist", "bbands_20_2.upper": "bb_upper_20_2", "bbands_20_2.lower": "bb_lower_20_2",
    "atr_14": "atr_14", "adx_14": "adx_14", "stoch_14_3_3.k": "stoch_slowk_14_3_3", "cci_20": "cci_20",
    "mfi_14": "mfi_14", "roc_10": "roc_10",
}  # fmt: skip
FROM = 1_500
"""The bar at which ranges of the tests begin, in the middle of the data."""


@pytest.fixture(scope="module")
def prices(shared_data: Path) -> list[dict[str, str]]:
    rows = rows_of(shared_data / "daily/us_equities_wiki_daily.csv.gz")
    return [row for row in rows if row["symbol"] == "IBM"]


async def stored(api: Api, prices: list[dict[str, str]], symbol: str) -> None:
    await api.admin.post("/api/v1/tickers/", {"symbol": symbol, "name": symbol})
    lines = ["symbol,interval,timestamp,open,high,low,close,volume"]
    names = ("open", "high", "low", "close", "volume")
    lines += [",".join([symbol, "1d", f"{row['date']}T00:00:00Z", *(row[name] for name in names)]) for row in prices]
    answer = await api.admin.post(
        "/api/v1/market-data/bulk_create/", body="\n".join(lines).encode(), headers={"Content-Type": "text/csv"}
    )
    assert answer.json["created"] == len(prices), answer


async def asked(api: Api, symbol: str, status: int = 200, **query: object) -> dict[str, object]:
    answer = await api.viewer.get(f"/api/v1/indicators/{symbol}/", query={k: str(v) for k, v in query.items()})
    assert answer.status == status, answer
    return answer.json  # type: ignore[no-any-return]


async def test_real_prices_give_talibs_figures_wherever_the_range_begins(
    api: Api, prices: list[dict[str, str]], shared_data: Path
) -> None:
    await stored(api, prices, "IND.IBM")
    reference = rows_of(shared_data / "reference/talib/talib_ibm_daily.csv.gz")
    start = f"{prices[FROM]['date']}T00:00:00.000Z"
    found = await asked(api, "IND.IBM", names=NAMES, start=start, limit=700)
    values = found["values"]
    assert isinstance(values, dict)
    assert found["timestamps"] == [f"{row['date']}T00:00:00.000Z" for row in prices[FROM : FROM + 700]]
    assert found["next"] == f"{prices[FROM + 700]['date']}T00:00:00.000Z"
    for ours, theirs in TALIB.items():
        expected = column(reference, theirs)[FROM : FROM + 700]
        assert np.abs(np.array(values[ours]) - expected).max() <= 1e-8, ours
    assert values["obv"][0] == float(prices[FROM]["volume"]), "a sum over the bars shown"


async def test_without_a_start_it_is_the_newest_bars_that_are_shown(api: Api, prices: list[dict[str, str]]) -> None:
    await stored(api, prices[:400], "IND.NEW")
    whole = await asked(api, "IND.NEW", names="ema_20,vwap", limit=1_000)
    newest = await asked(api, "IND.NEW", names="ema_20,vwap", limit=3)
    until = await asked(api, "IND.NEW", names="ema_20,vwap", limit=3, end=f"{prices[300]['date']}T00:00:00Z")
    assert len(whole["timestamps"]) == 400  # type: ignore[arg-type]
    assert whole["values"]["ema_20"][:19] == [None] * 19  # type: ignore[index]
    for name in ("ema_20", "vwap"):
        series = whole["values"][name]  # type: ignore[index]
        assert newest["values"][name] == pytest.approx(series[-3:])  # type: ignore[index]
        assert until["values"][name] == pytest.approx(series[297:300])  # type: ignore[index]
    assert newest["next"] is None


async def test_the_next_answer_goes_on_where_the_last_one_ended(api: Api, prices: list[dict[str, str]]) -> None:
    await stored(api, prices[:300], "IND.PAGES")
    whole = await asked(api, "IND.PAGES", names="rsi_14,keltner", limit=1_000)
    start, stamps, values = f"{prices[0]['date']}T00:00:00Z", [], []
    while start is not None:
        page = await asked(api, "IND.PAGES", names="rsi_14,keltner", start=start, limit=70)
        stamps += page["timestamps"]  # type: ignore[operator]
        values += page["values"]["keltner.upper"]  # type: ignore[index,operator]
        start = page["next"]  # type: ignore[assignment]
    assert stamps == whole["timestamps"]
    assert values[20:] == pytest.approx(whole["values"]["keltner.upper"][20:])  # type: ignore[index]
    assert values[:19] == [None] * 19


async def test_bars_made_of_ticks_count_once_they_are_closed(api: Api) -> None:
    symbol = new_symbol()
    await api.admin.post("/api/v1/tickers/", {"symbol": symbol, "name": symbol})
    minute = parse_rfc3339("2024-03-04T10:00:00Z")
    closes = [10, 11, 13, 12]
    ticks = [
        {"symbol": symbol, "kind": "trade", "price": str(close), "size": "5",
         "ts": format_rfc3339(minute + place * 60 * NS_PER_S + 7)}
        for place, close in enumerate(closes)
    ]  # fmt: skip
    assert (await api.admin.post("/api/v1/ticks/", ticks)).json["accepted"] == 4
    found = await asked(api, symbol, names="sma_2", interval="1m", start="2024-03-04T10:00:00Z")
    # Where the market stands the last minute is not over: nobody knows what comes.
    assert found["values"] == {"sma_2": [None, 10.5, 12.0]}
    assert found["timestamps"] == [f"2024-03-04T10:0{number}:00.000Z" for number in range(3)]


async def test_splits_do_not_show_in_adjusted_figures(api: Api) -> None:
    symbol = new_symbol()
    ticker = await api.admin.post("/api/v1/tickers/", {"symbol": symbol, "name": symbol})
    rows = [("2020-08-27", "500", "125"), ("2020-08-28", "500", "125"), ("2020-08-31", "125", "125")]
    for date, close, adjusted in rows:
        bar = {"ticker": ticker.json["id"], "interval": "1d", "timestamp": f"{date}T00:00:00Z", "open": close,
               "high": close, "low": close, "close": close, "volume": "1", "adjusted_close": adjusted}  # fmt: skip
        assert (await api.admin.post("/api/v1/market-data/", bar)).status == 201
    assert (await asked(api, symbol, names="sma_3"))["values"] == {"sma_3": [None, None, 375.0]}
    assert (await asked(api, symbol, names="sma_3", adjusted="true"))["values"] == {"sma_3": [None, None, 125.0]}


async def test_no_bars_give_empty_lists(api: Api) -> None:
    symbol = await symbol_with(api, BarSeries(np.empty(0), np.empty(0)))
    found = await asked(api, symbol, names="macd")
    assert found["timestamps"] == []
    assert found["values"] == {"macd": [], "macd.signal": [], "macd.histogram": []}


async def test_what_is_no_indicator_is_explained(api: Api) -> None:
    symbol = await symbol_with(api, BarSeries(np.ones(3), np.ones(3)))
    answer = await asked(api, symbol, 422, names="sma_20,typo_7")
    assert answer["errors"]["names"][0].startswith("no indicator 'typo_7'; there are adx, ")  # type: ignore[index]
    assert (await asked(api, symbol, 422, names=",".join(f"sma_{n}" for n in range(2, 40))))["code"] == "validation"
    assert (await asked(api, symbol, 422))["code"] == "validation"
    assert (await asked(api, "NOSUCH", 404, names="sma_20"))["code"]
