"""A server that follows a source: what its clients, its health and its figures show."""

from dataclasses import replace
from pathlib import Path

from qsuite.domain.times import format_rfc3339
from qsuite.repos.database import Database
from qsuite.settings import FeedSettings, Settings, SourceSettings
from tests.support.bad_source import BadSource
from tests.support.running_app import Api, running_api
from tests.support.waiting import eventually

AT = format_rfc3339(1_795_000_000 * 10**9)
FEED = FeedSettings(kind="websocket", symbols=("FEED1",))


async def test_a_server_shows_the_ticks_of_its_source_and_how_it_is_doing(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    async with BadSource({}, 1).listening() as source:
        settings = replace(settings, feed=FEED, source=SourceSettings(url=f"ws://{source.url}/stream", reorder_s=0.01))
        async with running_api(settings, database, tmp_path) as api:
            assert (await api.anonymous.get("/health")).json["services"]["feed"] == "starting"
            await source.connected()
            await source.say("FEED1", {"type": "trade", "ts": AT, "price": "17.25", "size": "3"})
            await source.say("FEED1", {"type": "trade", "ts": AT, "price": "x", "size": "3"})
            await eventually(lambda: api.services.market.snapshot("FEED1").trade)
            latest = await api.viewer.get("/api/v1/tickers/FEED1/latest_price/")
            assert latest.json["price"] == "17.25"
            assert (await api.anonymous.get("/health")).json["services"]["feed"] == "up"
            figures = (await api.anonymous.get("/metrics")).body.decode()
            for shown in ("connected 1.0", "alarm 0.0", "breaker_open 0.0", "ticks_total 1.0", "lost_total 0.0"):
                assert f"\nqsuite_feed_{shown}\n" in figures
    assert not source.sockets


async def test_one_server_follows_another(api: Api, database: Database, settings: Settings, tmp_path: Path) -> None:
    await api.admin.post("/api/v1/tickers/", {"symbol": "FEED1", "name": "Followed"})
    source = SourceSettings(
        url=f"ws://127.0.0.1:{api.port}/ws/v1/stream",
        authorization=f"Bearer {api.viewer.token}",
        subscribe='{"action": "subscribe", "channels": ["trades:FEED1", "quotes:FEED1"]}',
        reorder_s=0.01,
    )
    ticks = [
        {"symbol": "FEED1", "ts": AT, "kind": "quote", "bid": "9.50", "ask": "9.60", "bid_size": "1", "ask_size": "2"},
        *({"symbol": "FEED1", "ts": AT, "kind": "trade", "price": f"9.{n}", "size": "1"} for n in range(50, 60)),
    ]
    async with running_api(replace(settings, feed=FEED, source=source), database, tmp_path) as follower:
        await eventually(lambda: api.services.stream.clients)
        await eventually(lambda: api.services.stream.wanted("quotes:FEED1"))
        for tick in ticks:
            assert (await api.admin.post("/api/v1/ticks/", tick)).json["accepted"] == 1

        async def same() -> bool:
            path = "/api/v1/ticks/?symbol=FEED1&kind=trade"
            shown = [(await each.viewer.get(path)).json["results"] for each in (api, follower)]
            told = [[(tick["ts"], tick["price"], tick["size"]) for tick in each] for each in shown]
            return len(told[0]) == 10 and told[0] == told[1]

        await eventually(same)
        quote = follower.services.market.snapshot("FEED1").quote
        assert quote is not None
        assert (str(quote.bid), str(quote.ask)) == ("9.50", "9.60")
