"""The Python client against the running server: DataFrames and Tables of whole ranges."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pytest

from qsuite.client import ApiError, Client
from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Quote, Trade
from qsuite.repos.ticks import TicksRepo
from tests.api.test_downloads import T0_NS, a_trade, new_symbol, real_quotes, store
from tests.support.running_app import Api

T = TypeVar("T")
FX = "ticks/eurusd_fxcm_ticks_20140501_15.csv.gz"


def client_of(api: Api) -> Client:
    return Client(f"http://127.0.0.1:{api.port}/", api.viewer.token)


async def away(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run what waits for sockets in a thread: the server answers on this loop."""
    return await asyncio.to_thread(work, *args, **kwargs)


async def test_a_frame_holds_the_nearest_float_to_each_price_of_the_file(api: Api, shared_data: Path) -> None:
    symbol = await new_symbol(api)
    cells, ticks = real_quotes(shared_data / FX, symbol, 3_000)
    await store(api, iter(ticks))
    frame = await away(client_of(api).frame, "ticks", symbol=symbol, kind="quote")
    assert frame["ts"].astype("int64").tolist() == [int(row["ts_utc_ms"]) * 1_000_000 for row in cells]
    assert frame["bid"].tolist() == [float(row["bid"]) for row in cells]
    assert frame["ask"].tolist() == [float(row["ask"]) for row in cells]
    assert frame["bid_size"].isna().all()
    assert str(frame["ts"].dtype) == "datetime64[ns, UTC]"


async def test_a_table_holds_exact_decimals(api: Api) -> None:
    symbol = await new_symbol(api)
    trade = Trade(symbol, T0_NS, Decimal("181.52"), Decimal("0.0038217599999999996"), 1)
    wide = Quote(symbol, T0_NS + 1, None, Decimal("1234567890123456789012345.5"), None, None, 2)
    fine = Quote(symbol, T0_NS + 2, None, Decimal("0.12345678901234567890123"), None, None, 3)
    await store(api, iter([trade, wide, fine]))
    table = await away(client_of(api).table, "ticks", symbol=symbol)
    assert table.schema.field("price").type == pa.decimal128(38, 2)
    assert table.schema.field("ask").type == pa.decimal256(76, 23)
    first, second, third = table.to_pylist()
    assert (first["price"], first["size"], first["ask"]) == (trade.price, trade.size, None)
    assert (second["ask"], second["bid"], second["ts"].value) == (wide.ask, None, T0_NS + 1)
    assert third["ask"] == fine.ask


async def test_a_range_is_bounded_by_text_or_datetimes(api: Api) -> None:
    symbol = await new_symbol(api)
    await store(api, iter([a_trade(symbol, number) for number in range(10)]))
    start, end = datetime(2013, 10, 7, 13, 30, 2, tzinfo=UTC), "2013-10-07T13:30:05Z"
    table = await away(client_of(api).table, "ticks", symbol=symbol, start=start, end=end)
    assert table.column("seq").to_pylist() == [2, 3, 4]
    bars = await away(client_of(api).frame, "bars", symbol=symbol, interval="1m", end=None)
    # Ten trades of 100 from 181.52 upwards by one, begun anew with the eighth.
    assert bars[["open", "high", "low", "close", "volume", "trades"]].values.tolist() == [
        [181.52, 187.52, 181.52, 183.52, 1000.0, 10]
    ]
    with pytest.raises(ValueError, match="zone"):
        client_of(api).table("ticks", symbol=symbol, start=datetime(2013, 10, 7))  # noqa: DTZ001


async def test_no_rows_are_an_empty_table(api: Api) -> None:
    table = await away(client_of(api).table, "ticks", symbol=await new_symbol(api))
    assert (table.num_rows, "price" in table.column_names) == (0, True)


async def test_logging_in_gives_a_client(api: Api) -> None:
    user, url = api.viewer.user, f"http://127.0.0.1:{api.port}"
    client = await away(Client.login, url, user["username"], user["password"])
    assert (await away(client.table, "market-data", symbol="NONE")).num_rows == 0
    with pytest.raises(ApiError) as refused:
        await away(Client.login, url, user["username"], "not the password at all")
    assert refused.value.status == 401


async def test_what_the_server_refuses_is_raised_with_its_code(api: Api) -> None:
    with pytest.raises(ApiError) as refused:
        await away(client_of(api).table, "ticks", symbol="NOBODY")
    assert (refused.value.status, refused.value.code) == (404, "ticker.unknown")


async def test_an_answer_that_was_cut_short_raises(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    symbol = await new_symbol(api)
    await store(api, iter([a_trade(symbol, number) for number in range(20)]))
    columns = TicksRepo.columns

    def failing(repo: TicksRepo, *args: Any, **kwargs: Any) -> Any:
        yield from columns(repo, *args, **kwargs)
        raise Unavailable("the database is away")

    monkeypatch.setattr(TicksRepo, "columns", failing)
    with pytest.raises(IncompleteRead):
        await away(client_of(api).table, "ticks", symbol=symbol)


def test_only_addresses_of_servers_are_taken() -> None:
    with pytest.raises(ValueError, match="address"):
        Client("file:///etc/passwd", "token")
