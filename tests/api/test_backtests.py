"""Backtests over HTTP: run as jobs in worker processes, kept with their course, and shown to whom they belong."""

import uuid
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.errors import Invalid
from qsuite.domain.market import Tick, Trade
from qsuite.domain.times import NS_PER_S, ns_to_datetime
from qsuite.handlers.backtest_schemas import BacktestInputSchema
from qsuite.repos.backtests import BacktestsRepo
from qsuite.repos.database import Database
from qsuite.repos.decimals import encode_decimal
from qsuite.repos.market_data import BarQuery, MarketDataRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.tasks.backtest import backtest
from tests.support.bars import new_symbol, symbol_with
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually

BACKTESTS = "/api/v1/backtests/"
D = Decimal
FALL_AND_RISE = BarSeries(np.array([100.0] * 20 + [90, 99, 110, 108, 107]), np.full(25, 1000.0))
"""Twenty bars at 100; then 90 lies below the band around the mean, and 110 above it. Each bar has one price."""
FREE = {"model": "percent", "percent": "0"}


def asked(symbol: str, **changed: Any) -> dict[str, Any]:
    return {
        "strategy": "mean_reversion",
        "symbols": [symbol],
        "initial_cash": "10000",
        "parameters": {"length": 20, "quantity": 10},
        "commission": {"model": "per_share", "per_share": "0.1"},
        "slippage_bps": 0,
        "seed": 7,
    } | changed


async def done(client: ApiClient, body: dict[str, Any]) -> Any:
    """Ask for a backtest and return its job once it ended."""
    answer = await client.post(BACKTESTS, body)
    assert answer.status == 202, answer
    address = answer.headers["Location"]
    assert address == f"/api/v1/jobs/{answer.json['id']}/"

    async def ended() -> Any:
        job = (await client.get(address)).json
        return job if job["state"] in ("done", "failed") else None

    return await eventually(ended, timeout_s=60)


class Work:
    """A job under way, without a runner."""

    def __init__(self, database: Database) -> None:
        self.job, self.owner, self.database = uuid.uuid4(), uuid.uuid4(), database
        self.parts: list[float] = []

    def progress(self, part: float) -> None:
        self.parts.append(part)


async def test_a_backtest_runs_as_a_job_and_is_kept_with_its_course(api: Api) -> None:
    symbol = await symbol_with(api, FALL_AND_RISE)
    job = await done(api.trader, asked(symbol))
    assert (job["state"], job["kind"], job["error"]) == ("done", "backtest", None)
    assert job["result"]["backtest"] == job["id"]
    shown = (await api.trader.get(f"{BACKTESTS}{job['id']}/")).json
    # Bought at the bar after the fall, sold at the one after the rise; a tenth each way for each of ten shares.
    (trade,) = shown["trades"]
    assert (trade["symbol"], trade["side"], trade["quantity"]) == (symbol, "BUY", "10")
    assert [D(trade[name]) for name in ("entry_price", "exit_price", "pnl", "commission")] == [99, 108, 88, 2]
    assert D(shown["final_equity"]) == 10_088
    assert shown["total_return"] == job["result"]["total_return"] == pytest.approx(0.0088)
    assert (shown["win_rate"], shown["total_trades"], D(shown["costs"])) == (1.0, 1, 2)
    assert shown["benchmark_return"] == pytest.approx(0.07)
    assert (shown["bars"], len(shown["equity_curve"]), shown["open_trades"], shown["refused"]) == (25, 25, [], [])
    equity = {point["ts"]: D(point["equity"]) for point in shown["equity_curve"]}
    # Valued at 99 as it was bought, at 110 at the next close.
    assert list(equity.values())[-4:] == [D(9999), 9999 + 110, 10_088, 10_088]
    assert trade["entry_ts"] in equity  # its open is the end of the day before
    assert shown["parameters"] == {"length": 20, "quantity": "10"}
    assert (shown["seed"], shown["source"], shown["finish"]) == (7, "bars", "leave")


async def test_backtests_belong_to_whom_asked_for_them(api: Api) -> None:
    symbol = await symbol_with(api, FALL_AND_RISE)
    plan = api.services.backtests.plan(plain(asked(symbol))).plain()
    mine, anothers = Work(api.database), Work(api.database)
    mine.owner = UUID(api.trader.user["id"])
    for work in (mine, anothers):
        await backtest(work, plan)
    seen = [(await api.trader.get(f"{BACKTESTS}{work.job}/")).status for work in (mine, anothers)]
    assert seen == [200, 404]
    assert (await api.auditor.get(f"{BACKTESTS}{anothers.job}/")).status == 200
    listed = (await api.trader.get(BACKTESTS, query={"symbol": symbol})).json["results"]
    assert [each["id"] for each in listed] == [str(mine.job)]
    assert not listed[0].keys() & {"equity_curve", "trades", "refused"}
    everybodys = (await api.auditor.get(BACKTESTS, query={"symbol": symbol})).json["results"]
    assert [each["id"] for each in everybodys] == [str(anothers.job), str(mine.job)]
    for order in ("sharpe_ratio", "-sharpe_ratio"):
        query = {"symbol": symbol, "ordering": order, "cursor": "", "page_size": "1"}
        page = (await api.auditor.get(BACKTESTS, query=query)).json
        assert len(page["results"]) == 1
        rest = (await api.auditor.get(page["next"])).json
        assert {page["results"][0]["id"], rest["results"][0]["id"]} == {str(mine.job), str(anothers.job)}
    assert (await api.viewer.get(BACKTESTS)).status == 403
    assert (await api.auditor.post(BACKTESTS, asked(symbol))).status == 403


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"strategy": "wishes"}, "strategy"),
        ({"symbols": []}, "symbols"),
        ({"symbols": ["NOSUCH"]}, "symbols"),
        ({"interval": "7m"}, "interval"),
        ({"start": "2020-01-02T00:00:00Z", "end": "2020-01-02T00:00:00Z"}, "end"),
        ({"initial_cash": "0"}, "initial_cash"),
        ({"parameters": {"length": 1}}, "parameters.length"),
        ({"parameters": {"every_s": 60}}, "parameters.every_s"),
        ({"parameters": {"wish": 1}}, "parameters.wish"),
        ({"commission": {"model": "free"}}, "commission"),
        ({"slippage_bps": "-1"}, "slippage_bps"),
        ({"participation": "1.5"}, "participation"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"finish": "somehow"}, "finish"),
        ({"source": "rumours"}, "source"),
        ({"leverage": 2}, "leverage"),
    ],
)
async def test_what_makes_no_sense_is_refused(api: Api, changed: dict[str, Any], field: str) -> None:
    known = (await api.services.reference.ensure_ticker("KNOWN", {"name": "KNOWN"})).symbol
    answer = await api.trader.post(BACKTESTS, asked(known, **changed))
    assert (answer.status, answer.json["code"]) == (422, "validation")
    assert field in answer.json["errors"]


async def test_without_prices_the_job_says_so(api: Api) -> None:
    symbol = (await api.services.reference.ensure_ticker(new_symbol(), {"name": "empty"})).symbol
    for source in ("bars", "ticks"):
        plan = api.services.backtests.plan(plain(asked(symbol, source=source)))
        with pytest.raises(Invalid) as refused:
            await backtest(Work(api.database), plan.plain())
        assert refused.value.code == "backtest.no_prices"


async def test_a_task_that_runs_twice_stores_one(api: Api) -> None:
    symbol = await symbol_with(api, FALL_AND_RISE)
    work = Work(api.database)
    plan = api.services.backtests.plan(plain(asked(symbol))).plain()
    first = await backtest(work, plan)
    stored = await BacktestsRepo(api.database).get(work.job)
    assert await backtest(work, plan) == first
    assert await BacktestsRepo(api.database).get(work.job) == stored
    assert work.parts[0] == 0.0
    assert stored.plan.plain() == plan


async def test_what_is_left_open_is_as_on_paper(api: Api) -> None:
    symbol = await symbol_with(api, FALL_AND_RISE)
    bare = api.services.backtests.plan({"strategy": "breakout", "symbols": [symbol], "interval": "1d"})
    rules = api.services.settings.trading
    assert bare.slippage_bps == rules.slippage_max_bps
    assert bare.commission == {"model": "per_share", "per_share": rules.commission_per_share}
    assert (bare.participation, bare.initial_cash) == (None, 100_000)


async def test_ticks_are_played_themselves(api: Api) -> None:
    symbol = (await api.services.reference.ensure_ticker(new_symbol(), {"name": "ticks"})).symbol
    begin = 1_700_000_000 // 60 * 60 * NS_PER_S
    prices = [100.0] * 20 + [90, 99, 110, 108, 107]
    ticks: list[Tick] = [
        Trade(symbol, begin + minute * 60 * NS_PER_S + second * NS_PER_S, D(str(price)), D(30))
        for minute, price in enumerate(prices)
        for second in (1, 2)
    ]
    await TicksRepo(api.database).add(ticks)
    body = asked(symbol, source="ticks", interval="1m", participation="0.1", commission=FREE)
    work = Work(api.database)
    await backtest(work, api.services.backtests.plan(plain(body)).plain())
    stored = await BacktestsRepo(api.database).get(work.job)
    # A tenth of 30 of each tick: twice 3 within the minute, the rest at the next one's 110; then out in as many steps.
    (trade,) = stored.trades
    assert (trade.quantity, trade.entry_price) == (10, (6 * D(99) + 4 * D(110)) / 10)
    assert trade.exit_price == (6 * D(108) + 4 * D(107)) / 10
    assert stored.bars == 25


async def test_adjusted_prices_are_played_unless_asked_otherwise(api: Api) -> None:
    """A split of ten to one, after which ten shares are what one was."""
    series = BarSeries(np.array([100.0] * 22 + [10.0] * 5), np.full(27, 1000.0))
    symbol = await symbol_with(api, series)
    await split(api, symbol, before=22, by=D(10))
    equity = {}
    for adjusted in (True, False):
        work = Work(api.database)
        body = asked(symbol, adjusted=adjusted, commission=FREE, parameters={"length": 20, "equity_fraction": "0.5"})
        await backtest(work, api.services.backtests.plan(plain(body)).plain())
        stored = await BacktestsRepo(api.database).get(work.job)
        equity[adjusted] = stored.trades + stored.open_trades
    assert equity[True] == ()  # nothing ever moved
    assert equity[False] != ()  # a fall by nine tenths, as it looks


async def split(api: Api, symbol: str, *, before: int, by: Decimal) -> None:
    """Let a split be known that came after so many bars."""
    bars = await MarketDataRepo(api.database).read(BarQuery(symbol, "1d"), before)
    for bar in bars:
        await api.database.collection("market_data").update_one(
            {"symbol": symbol, "timestamp": ns_to_datetime(bar.ts_ns)},
            {"$set": {"adjusted_close": encode_decimal(bar.close / by)}},
        )


def plain(body: dict[str, Any]) -> dict[str, Any]:
    loaded: dict[str, Any] = BacktestInputSchema().load(body)
    return loaded
