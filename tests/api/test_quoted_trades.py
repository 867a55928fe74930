"""Trades with the quotes they met, against pandas' own as-of join over real trades and quotes."""

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.times import DAY_NS, format_rfc3339
from qsuite.services import tick_slices
from tests.api.test_client import away, client_of
from tests.api.test_downloads import ARROW, CSV, NDJSON, T0_NS, TICKS, download, new_symbol, rows_of, store
from tests.support.market import quote, trade
from tests.support.running_app import Api

SECOND_NS = 1_000_000_000
WEEK_NS = 7 * DAY_NS
# From ten minutes before the opening of 2013-10-07 on, 13:20 to 14:20 UTC.
FIRST_MS, LAST_MS = 1_381_152_000_000, 1_381_155_600_000


def of_file(path: Path) -> pd.DataFrame:
    with gzip.open(path) as file:
        rows = pd.read_csv(file, dtype=str)
    at = rows["ts_utc_ms"].astype("int64")
    rows = rows[(at >= FIRST_MS) & (at < LAST_MS)].copy()
    rows["ts"] = rows["ts_utc_ms"].astype("int64") * 1_000_000
    rows["seq"] = rows.groupby("ts").cumcount()
    return rows.where(rows.notna(), None)


def decimal(text: Any) -> Decimal | None:
    return Decimal(text) if isinstance(text, str) else None


def ticks_of(symbol: str, trades: pd.DataFrame, quotes: pd.DataFrame) -> list[Tick]:
    found: list[Tick] = [
        Trade(symbol, row.ts, Decimal(row.price), Decimal(row.size), row.seq) for row in trades.itertuples()
    ]
    for row in quotes.itertuples():
        sides = decimal(row.bid), decimal(row.ask), decimal(row.bid_size), decimal(row.ask_size)
        found.append(Quote(symbol, row.ts, *sides, seq=row.seq))
    return found


def figures(row: Any) -> tuple[Any, ...]:
    names = ("price", "size", "bid", "ask", "bid_size", "ask_size")
    return tuple(None if row.get(name) in (None, "") else str(row[name]) for name in names)


async def test_real_trades_meet_the_quotes_that_pandas_gives_them(
    api: Api, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    symbol = await new_symbol(api)
    trades = of_file(shared_data / "ticks/ibm_trades_20131007_11.csv.gz")
    quotes = of_file(shared_data / "ticks/ibm_nbbo_20131007_11.csv.gz")
    assert min(len(trades), len(quotes)) > 2_000
    assert trades["ts"].isin(quotes["ts"]).sum() > 20  # where the two rules part
    await store(api, iter(ticks_of(symbol, trades, quotes)))
    monkeypatch.setattr(tick_slices, "BATCH_TICKS", 501)
    monkeypatch.setattr(tick_slices, "SLICE_TICKS", 5_003)
    for asof, media in (("quote", CSV), ("earlier_quote", NDJSON)):
        wanted = of_pandas(trades, quotes, exact=asof == "quote")
        assert list(map(figures, rows_of(await download(api, TICKS, media, symbol=symbol, asof=asof)))) == [
            figures({name: None if pd.isna(value) else value for name, value in row.items()})
            for row in wanted.to_dict("records")
        ]
        table = await away(client_of(api).table, "ticks", symbol=symbol, asof=asof)
        assert [None if at is None else at.value for at in table.column("quote_ts").to_pylist()] == [
            None if pd.isna(at) else int(at) for at in wanted["quote_ts"]
        ]


def of_pandas(trades: pd.DataFrame, quotes: pd.DataFrame, *, exact: bool) -> pd.DataFrame:
    return pd.merge_asof(
        trades[["ts", "price", "size"]],
        quotes[["ts", "bid", "ask", "bid_size", "ask_size"]].assign(quote_ts=quotes["ts"]),
        on="ts",
        allow_exact_matches=exact,
        tolerance=WEEK_NS,
    )


async def pages(api: Api, page_size: int, **query: str) -> list[dict[str, Any]]:
    answer = await api.viewer.get(TICKS, query={"page_size": page_size, "cursor": "", **query})
    found = []
    while True:
        assert (answer.status, answer.json["count"]) == (200, None), answer
        found += answer.json["results"]
        if answer.json["next"] is None:
            return found
        answer = await api.viewer.get(answer.json["next"])


async def a_small_market(api: Api) -> str:
    symbol = await new_symbol(api)
    await store(
        api,
        iter(
            [
                trade(T0_NS, "10", seq=0, symbol=symbol),  # before any quote
                quote(T0_NS + 1, "9", "11", seq=1, symbol=symbol),
                trade(T0_NS + 2, "10", seq=2, symbol=symbol),
                trade(T0_NS + 3, "10", seq=3, symbol=symbol),
                quote(T0_NS + 3, "8", None, seq=4, symbol=symbol),  # at the trade's own instant, after it
                trade(T0_NS + 3, "10", seq=5, symbol=symbol),
                trade(T0_NS + 3 + WEEK_NS, "10", seq=6, symbol=symbol),
                trade(T0_NS + 4 + WEEK_NS, "10", seq=7, symbol=symbol),  # the quote is too old by a nanosecond
            ]
        ),
    )
    return symbol


@pytest.mark.parametrize(
    ("asof", "bids"),
    [("quote", [None, "9", "8", "8", "8", None]), ("earlier_quote", [None, "9", "9", "9", "8", None])],
)
@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_pages_hold_each_trade_once_with_the_last_quote_at_or_before_it(
    api: Api, asof: str, bids: list[str | None], page_size: int
) -> None:
    found = await pages(api, page_size, symbol=await a_small_market(api), asof=asof)
    assert [row["seq"] for row in found] == [0, 2, 3, 5, 6, 7]
    assert [row["bid"] for row in found] == bids
    assert found[1] == {
        "symbol": found[1]["symbol"], "ts": format_rfc3339(T0_NS + 2), "kind": "trade", "price": "10", "size": "100",
        "seq": 2, "bid": "9", "ask": "11", "bid_size": "300", "ask_size": "300",
        "quote_ts": format_rfc3339(T0_NS + 1), "quote_seq": 1,
    }  # fmt: skip
    assert (found[4]["ask"], found[5]["quote_ts"]) == (None, None)


async def test_the_quote_from_before_the_range_still_prevails(api: Api) -> None:
    symbol = await new_symbol(api)
    gap_ns = 65 * 3_600 * SECOND_NS  # over a weekend
    await store(
        api,
        iter(
            [
                quote(T0_NS - 1, "7", "8", seq=1, symbol=symbol),
                quote(T0_NS, "9", "11", seq=2, symbol=symbol),
                trade(T0_NS + gap_ns, "10", seq=3, symbol=symbol),
            ]
        ),
    )
    for media in (NDJSON, ARROW):
        query = {"symbol": symbol, "asof": "quote", "start": format_rfc3339(T0_NS + gap_ns)}
        assert [row["bid"] for row in rows_of(await download(api, TICKS, media, **query))] == ["9"]
    assert [row["quote_seq"] for row in await pages(api, 10, **query)] == [2]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"asof": "trade"}, "asof"),
        ({"asof": "quote", "kind": "quote"}, "asof"),
        ({"asof": "quote", "page": "2"}, "page"),
    ],
)
async def test_a_wrong_question_is_refused_with_the_parameter(api: Api, query: dict[str, str], field: str) -> None:
    answer = await api.viewer.get(TICKS, query={"symbol": await new_symbol(api), **query})
    assert (answer.status, list(answer.json["errors"])) == (422, [field])
