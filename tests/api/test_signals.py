"""Signals as a client sees them: made once for each closed bar, public, and told on the stream."""

import time
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.market import Trade
from qsuite.domain.times import DAY_NS, NS_PER_S, format_rfc3339
from tests.support.analytics import after_a_fall, rising_by_steps
from tests.support.bars import new_symbol, symbol_with
from tests.support.running_app import Api
from tests.support.ws import WsClient

SIGNALS = "/api/v1/signals/"
GENERATE = "/api/v1/signals/generate/"


async def test_a_signal_says_what_is_advised_how_surely_and_why(api: Api) -> None:
    symbol = await symbol_with(api, after_a_fall())
    answer = await api.trader.post(GENERATE, {"symbols": [symbol], "algorithm": "technical_indicators_v1"})
    assert (answer.status, answer.json["count"], answer.json["missed"]) == (200, 1, [])
    (signal,) = answer.json["results"]
    assert (signal["signal"], signal["confidence"], signal["price"]) == ("BUY", 0.72, "100.5900")
    assert (signal["symbol"], signal["interval"], signal["algorithm"]) == (symbol, "1d", "technical_indicators_v1")
    yesterday = time.time_ns() // DAY_NS * DAY_NS - DAY_NS
    assert signal["bar"] == format_rfc3339(yesterday)
    assert signal["features"]["close"] == 100.59
    assert signal["features"]["volume"] == 2_000.0
    assert signal["features"]["sma_20"] == pytest.approx(100.495)  # the mean of 100.40 to 100.59
    assert signal["features"]["sma_50"] == pytest.approx(100.345)
    assert signal["features"]["rsi_14"] < 1
    assert (signal["strategy"], signal["status"], signal["order"]) == (None, "noted", None)


async def test_asking_again_for_the_same_bar_shows_the_same_signal(api: Api) -> None:
    symbol = await symbol_with(api, rising_by_steps())
    first = await api.trader.post(GENERATE, {"symbols": [symbol]})
    again = await api.admin.post(GENERATE, {"symbols": [symbol]})
    assert first.json == again.json
    listed = await api.viewer.get(SIGNALS, query={"symbol": symbol})
    assert listed.json["results"] == first.json["results"]
    other = await api.trader.post(GENERATE, {"symbols": [symbol], "algorithm": "sma_cross"})
    assert other.json["results"][0]["signal"] == "HOLD"
    assert (await api.viewer.get(SIGNALS, query={"symbol": symbol})).json["count"] == 2


async def test_forty_nine_bars_give_no_signal_but_the_reason(api: Api) -> None:
    fallen = after_a_fall()
    closes, volumes = fallen.closes, fallen.volumes
    short = await symbol_with(api, BarSeries(closes[-49:], volumes[-49:]))
    enough = await symbol_with(api, BarSeries(closes[-50:], volumes[-50:]))
    empty = await symbol_with(api, BarSeries(np.empty(0), np.empty(0)))
    answer = await api.trader.post(GENERATE, {"symbols": [short, enough, empty]})
    assert [signal["symbol"] for signal in answer.json["results"]] == [enough]
    assert [(missed["symbol"], missed["code"]) for missed in answer.json["missed"]] == [
        (short, "signal.too_few_bars"),
        (empty, "signal.too_few_bars"),
    ]


async def test_a_bar_that_is_not_over_is_not_looked_at(api: Api) -> None:
    symbol = await symbol_with(api, after_a_fall(), days_ago=0)
    (signal,) = (await api.trader.post(GENERATE, {"symbols": [symbol]})).json["results"]
    assert signal["bar"] == format_rfc3339(time.time_ns() // DAY_NS * DAY_NS - DAY_NS)
    assert signal["features"]["volume"] == 1_000.0  # today's would be 2,000


async def test_bars_are_made_from_ticks_and_the_unfinished_one_of_a_recording_waits(api: Api) -> None:
    symbol = new_symbol()
    await api.services.reference.ensure_ticker(symbol, {"name": symbol})
    start = 1_380_000_000 * NS_PER_S  # a recording of 2013, a trade a minute
    trades = [Trade(symbol, start + minute * 60 * NS_PER_S, Decimal(100 + minute), Decimal(1)) for minute in range(60)]
    await api.services.market.publish(trades)
    await api.services.market.stored(60)
    (signal,) = (await api.trader.post(GENERATE, {"symbols": [symbol], "interval": "60s"})).json["results"]
    # The minute of the last trade may bring more of them; the one before it is over.
    assert (signal["interval"], signal["bar"]) == ("1m", format_rfc3339(start + 58 * 60 * NS_PER_S))
    assert signal["price"] == "158"


async def test_more_symbols_than_a_thread_takes_are_judged_in_another_process(api: Api) -> None:
    symbols = [await symbol_with(api, after_a_fall()) for _ in range(20)]
    answer = await api.trader.post(GENERATE, {"symbols": symbols})
    assert [(signal["symbol"], signal["confidence"]) for signal in answer.json["results"]] == [
        (symbol, 0.72) for symbol in symbols
    ]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"symbols": []}, "symbols"),
        ({"symbols": ["NOSUCH"]}, "symbols"),
        ({"symbols": ["SIG1", "SIG1"]}, "symbols"),
        ({"symbols": "SIG1"}, "symbols"),
        ({"algorithm": "astrology"}, "algorithm"),
        ({"interval": "7m"}, "interval"),
        ({"strategy": str(uuid.uuid4())}, "strategy"),
    ],
)
async def test_what_cannot_be_computed_is_refused_by_name(api: Api, wrong: dict[str, Any], field: str) -> None:
    symbol = await symbol_with(api, rising_by_steps())
    answer = await api.trader.post(GENERATE, {"symbols": [symbol]} | wrong)
    assert (answer.status, answer.code) == (422, "validation")
    assert any(name.split(".")[0] == field for name in answer.json["errors"]), answer


async def test_signals_are_listed_by_what_they_say_and_paged_without_gaps(api: Api) -> None:
    symbols = [await symbol_with(api, series) for series in (after_a_fall(), rising_by_steps(), after_a_fall())]
    made = (await api.trader.post(GENERATE, {"symbols": symbols})).json["results"]

    async def ids(**query: Any) -> list[str]:
        answer = await api.viewer.get(SIGNALS, query={"symbol__in": ",".join(symbols)} | query)
        assert answer.status == 200, answer
        return [signal["id"] for signal in answer.json["results"]]

    assert sorted(await ids(signal="BUY")) == sorted([made[0]["id"], made[2]["id"]])
    assert await ids(interval="1h") == []
    assert await ids(created_at__lt=made[0]["created_at"]) == []
    assert await ids(ordering="symbol") == [signal["id"] for signal in sorted(made, key=lambda each: each["symbol"])]
    seen: list[str] = []
    url: str | None = f"{SIGNALS}?symbol__in={','.join(symbols)}&page_size=2&cursor="
    while url:
        page = (await api.viewer.get(url)).json
        seen += [signal["id"] for signal in page["results"]]
        url = page["next"]
    assert sorted(seen) == sorted(signal["id"] for signal in made)
    assert (await api.viewer.get(SIGNALS, query={"colour": "red"})).status == 422


async def test_a_new_signal_is_told_once_to_those_who_listen(api: Api) -> None:
    symbol = await symbol_with(api, after_a_fall())
    assert api.viewer.token is not None
    async with await WsClient.open(api.port, token=api.viewer.token) as stream:
        await stream.send({"action": "subscribe", "channels": [f"signals:{symbol}"]})
        assert (await stream.receive_type("snapshot"))["data"] == []
        (made,) = (await api.trader.post(GENERATE, {"symbols": [symbol]})).json["results"]
        await api.trader.post(GENERATE, {"symbols": [symbol]})
        told = await stream.receive_type("signal")
        assert (told["channel"], told["id"], told["confidence"]) == (f"signals:{symbol}", made["id"], 0.72)
        await stream.send({"action": "ping"})
        assert (await stream.receive_type("pong"))["type"] == "pong"
    async with await WsClient.open(api.port, token=api.viewer.token) as stream:
        await stream.send({"action": "subscribe", "channels": [f"signals:{symbol}"]})
        snapshot = await stream.receive_type("snapshot")
    assert [signal["id"] for signal in snapshot["data"]] == [made["id"]]
