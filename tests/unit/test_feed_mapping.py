"""Messages of sources read by configuration; the examples have the shapes of exchanges' public documentation."""

import json
from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.errors import SetupError
from qsuite.domain.market import Quote, Trade
from qsuite.services.feeds.mapping import FieldMap, Message
from qsuite.services.files.rows import RowError
from qsuite.settings import SourceSettings, load_settings

D = Decimal
AT = 1672515782136 * 1_000_000  # 2022-12-31T19:43:02.136Z

BINANCE_TRADE = SourceSettings(
    fields=("kind=e", "key=s", "seq=t", "symbol=s", "ts=T", "price=p", "size=q"),
    items="data",
    time_unit="ms",
    rename=("BNBBTC=BNB/BTC",),
)
NAMELESS = SourceSettings(
    fields=("symbol=result.3", "ts=result.1.2", "price=result.1.0", "size=result.1.1"),
    time_unit="s",
    rename=("XBT/USD=BTC/USD",),
)
OWN = SourceSettings()


def read(settings: SourceSettings, frame: Any, *symbols: str) -> list[Message | None]:
    fields = FieldMap(settings, symbols or ("A",))
    return [
        fields.read(item) for item in fields.read_frame(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))
    ]


def test_a_trade_in_the_shape_of_a_combined_stream() -> None:
    payload = {
        "e": "trade",
        "E": 1672515782136,
        "s": "BNBBTC",
        "t": 12345,
        "p": "0.001",
        "q": "100",
        "T": 1672515782136,
    }
    (message,) = read(BINANCE_TRADE, {"stream": "bnbbtc@trade", "data": payload}, "BNB/BTC")
    assert message == Message("BNBBTC", 12345, AT, Trade("BNB/BTC", AT, D("0.001"), D(100)))


def test_a_trade_in_an_array_without_names_or_numbers() -> None:
    frame = '{"result": [0, ["5541.20000", "0.15850568", "1534614057.321597"], "trade", "XBT/USD"]}'
    at = 1534614057_321597000
    (message,) = read(NAMELESS, frame, "BTC/USD")
    assert message == Message("", None, at, Trade("BTC/USD", at, D("5541.20000"), D("0.15850568")))


def test_the_defaults_read_the_stream_of_another_qsuite() -> None:
    frame = [
        {"type": "welcome"},
        {"type": "trade", "channel": "trades:A", "seq": 7, "ts": "2022-12-31T19:43:02.136Z", "symbol": "A"}
        | {"price": "150.25", "size": "100"},
        {"type": "quote", "channel": "quotes:A", "seq": 9, "ts": "2022-12-31T19:43:02.136000001Z", "symbol": "A"}
        | {"bid": "150.20", "ask": None, "bid_size": "3", "ask_size": None},
        {"type": "heartbeat", "ts": "2022-12-31T19:43:02.136Z"},
    ]
    assert read(OWN, frame) == [
        None,
        Message("trades:A", 7, AT, Trade("A", AT, D("150.25"), D(100))),
        Message("quotes:A", 9, AT + 1, Quote("A", AT + 1, D("150.20"), None, D(3), None)),
        None,
    ]


def test_numbers_are_read_from_their_text() -> None:
    frame = (
        '{"type":"trade","symbol":"A","ts":"2022-12-31T19:43:02.136Z","price":0.1000000000000000000000001,"size":1e3}'
    )
    (message,) = read(OWN, frame)
    assert message is not None
    assert message.tick == Trade("A", AT, D("0.1000000000000000000000001"), D(1000))


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("s", "1672515782.136"),
        ("ms", 1672515782136),
        ("us", "1672515782136000"),
        ("ns", AT),
        ("rfc3339", "2022-12-31T19:43:02.136Z"),
    ],
)
def test_times_are_read_in_every_unit(unit: str, written: Any) -> None:
    item = {"type": "trade", "symbol": "A", "ts": written, "price": 1, "size": 1}
    (message,) = read(SourceSettings(time_unit=unit), item)
    assert message is not None
    assert message.ts_ns == AT


def test_without_a_kind_the_fields_tell_trades_from_quotes() -> None:
    fields = ("symbol=s", "ts=t", "price=p", "size=q", "bid=b", "ask=a")
    settings = SourceSettings(fields=fields, time_unit="ns")
    frame = [{"s": "A", "t": 1, "p": 2, "q": 3}, {"s": "A", "t": 1, "b": 2, "a": 3}, {"s": "A", "t": 1}]
    kinds = [message and type(message.tick) for message in read(settings, frame)]
    assert kinds == [Trade, Quote, None]


def test_what_was_not_asked_for_keeps_its_place_in_the_sequence() -> None:
    other = {
        "type": "trade",
        "channel": "x",
        "seq": 4,
        "symbol": "B",
        "ts": "2022-12-31T19:43:02Z",
        "price": 1,
        "size": 1,
    }
    assert read(OWN, [other, {"type": "bar", "channel": "x", "seq": 5}]) == [
        Message("x", 4, 0, None),
        Message("x", 5, 0, None),
    ]


GOOD = {
    "type": "trade",
    "channel": "A",
    "seq": 1,
    "symbol": "A",
    "ts": "2022-12-31T19:43:02Z",
    "price": "1",
    "size": "1",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": True}, {"price": "-1"}, {"price": "0"}, {"price": "1e999999"}, {"price": [1]}, {"price": None},
        {"size": "NaN"}, {"size": None}, {"size": {}}, {"ts": 5}, {"ts": None}, {"ts": "yesterday"}, {"seq": True},
        {"seq": -1}, {"seq": 1.5}, {"seq": 10**30}, {"seq": "x"}, {"symbol": None}, {"symbol": "A B"},
        {"channel": ["A"]}, {"channel": "x" * 10_000},
        {"type": "quote"}, {"type": "quote", "bid": "x"}, {"type": "quote", "bid": "1", "bid_size": "-1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_field_is_a_wrong_message(wrong: dict[str, Any]) -> None:
    item = {**GOOD, **wrong}
    fields = FieldMap(OWN, ("A",))
    with pytest.raises(RowError):
        fields.read(
            {name: str(v) if isinstance(v, (int, float)) and not isinstance(v, bool) else v for name, v in item.items()}
        )


@pytest.mark.parametrize(
    "frame", ["", "x", b"\xff\xfe", "[" * 100_000, "[1e5, NaN]", '{"a": Infinity}', '{"a":' * 9_999]
)
def test_what_is_not_json_is_a_wrong_frame(frame: str | bytes) -> None:
    with pytest.raises(RowError):
        FieldMap(OWN, ("A",)).read_frame(frame)


@pytest.mark.parametrize("frame", ["17", '["x", null]', "true"])
def test_json_that_is_no_message_is_a_wrong_item(frame: str) -> None:
    fields = FieldMap(OWN, ("A",))
    for item in fields.read_frame(frame):
        with pytest.raises(RowError):
            fields.read(item)


def test_a_mapping_is_written_in_one_variable() -> None:
    found = load_settings({"QSUITE_SOURCE__FIELDS": "symbol=s, price=data.0.p"}, dotenv=None)
    assert found.source.fields == ("symbol=s", "price=data.0.p")
    with pytest.raises(SetupError, match=r"source\.fields"):
        FieldMap(SourceSettings(fields=("a=",)), ())
    with pytest.raises(SetupError, match="QSUITE_SOURCE__URL"):
        load_settings({"QSUITE_FEED__KIND": "websocket", "QSUITE_FEED__SYMBOLS": "A"}, dotenv=None)
