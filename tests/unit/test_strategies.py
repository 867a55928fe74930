"""What a strategy may be told, when it runs, and what its signals amount to as orders."""

import uuid
from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.analytics.signals import Advice
from qsuite.domain.errors import Invalid
from qsuite.domain.intervals import HOUR_NS
from qsuite.domain.signals import Intent, Signal
from qsuite.domain.strategies import Strategy, period_of, read_parameters
from qsuite.domain.strategy_orders import Desk, intent_of
from qsuite.domain.times import DAY_NS, NS_PER_S, parse_rfc3339
from qsuite.domain.trading.order import Side

D = Decimal
V1 = "technical_indicators_v1"


def strategy(**changed: Any) -> Strategy:
    given: dict[str, Any] = {"risk_limit": D(10_000), "symbols": ("AAPL", "IBM")}
    return Strategy(id=uuid.uuid4(), name="s", account=uuid.uuid4(), created_by=uuid.uuid4(), **(given | changed))


def desk(**changed: str) -> Desk:
    given = {"held": "0", "working_buys": "0", "working_sells": "0", "price": "100", "lot_size": "1", "equity": "0"}
    return Desk(**{name: D(value) for name, value in (given | changed).items()})


# -- parameters -----------------------------------------------------------------------------------------------------


def test_parameters_are_read_exactly_and_defaults_are_left_out() -> None:
    raw = {"fast": 5, "quantity": "10.50", "allow_short": True, "every_s": 30}
    assert read_parameters("sma_cross", raw) == {"fast": 5, "quantity": D("10.50"), "allow_short": True, "every_s": 30}
    assert read_parameters(V1, {}) == {}


@pytest.mark.parametrize("sent", [2, D("2.0"), "2", 2.0])
def test_a_parameter_that_is_no_whole_number_is_read_from_any_way_to_write_it(sent: object) -> None:
    read = read_parameters("mean_reversion", {"band_percent": sent, "length": 30})
    assert (read, type(read["band_percent"])) == ({"band_percent": 2.0, "length": 30}, float)


@pytest.mark.parametrize(
    ("algorithm", "raw", "wrong"),
    [
        (V1, {"fast": 5}, "parameters.fast"),
        (V1, {"quantitiy": 5}, "parameters.quantitiy"),
        (V1, {"quantity": 0}, "parameters.quantity"),
        (V1, {"quantity": -1}, "parameters.quantity"),
        (V1, {"quantity": True}, "parameters.quantity"),
        (V1, {"quantity": "NaN"}, "parameters.quantity"),
        (V1, {"quantity": None}, "parameters.quantity"),
        (V1, {"equity_fraction": "1.01"}, "parameters.equity_fraction"),
        (V1, {"allow_short": 1}, "parameters.allow_short"),
        (V1, {"every_s": 0}, "parameters.every_s"),
        (V1, {"every_s": True}, "parameters.every_s"),
        (V1, {"quantity": 1, "order_value": 1}, "parameters"),
        ("sma_cross", {"fast": 1}, "parameters.fast"),
        ("sma_cross", {"fast": D("5.5")}, "parameters.fast"),
        ("sma_cross", {"fast": 50}, "parameters"),
        ("sma_cross", {"slow": 401}, "parameters.slow"),
        ("mean_reversion", {"band_percent": 0}, "parameters.band_percent"),
        ("mean_reversion", {"band_percent": "fifty"}, "parameters.band_percent"),
        ("mean_reversion", {"band_percent": True}, "parameters.band_percent"),
        ("mean_reversion", {"band_percent": float("nan")}, "parameters.band_percent"),
        ("mean_reversion", {"length": D("20.5")}, "parameters.length"),
        ("rsi_reversal", {"low": 70, "high": 30}, "parameters"),
        ("breakout", {"length": 1}, "parameters.length"),
    ],
)
def test_wrong_parameters_are_named(algorithm: str, raw: dict[str, Any], wrong: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_parameters(algorithm, raw)
    assert list(caught.value.errors) == [wrong]


# -- when -----------------------------------------------------------------------------------------------------------


def test_a_strategy_is_due_once_for_each_bar_shortly_after_its_end() -> None:
    noon = parse_rfc3339("2026-03-02T12:00:00Z")
    hourly = strategy(interval="1h")
    assert period_of(hourly, noon + NS_PER_S) == noon - HOUR_NS
    assert period_of(hourly, noon + 2 * NS_PER_S) == noon
    assert period_of(hourly, noon + 59 * 60 * NS_PER_S) == noon


def test_a_strategy_with_a_pace_of_its_own_is_due_at_that_pace() -> None:
    noon = parse_rfc3339("2026-03-02T12:00:00Z")
    paced = strategy(interval="1d", parameters={"every_s": 30})
    assert [period_of(paced, noon + second * NS_PER_S) - noon for second in (0, 29, 30, 61)] == [
        0, 0, 30 * NS_PER_S, 60 * NS_PER_S,
    ]  # fmt: skip


@pytest.mark.parametrize(("interval", "life_s"), [("1m", 600), ("15m", 900), ("1d", 86_400), ("1mo", 28 * 86_400)])
def test_a_signal_is_fresh_for_the_length_of_its_bar_but_not_within_ten_minutes(interval: str, life_s: int) -> None:
    signal = Signal(
        id=uuid.uuid4(), symbol="IBM", interval=interval, bar=0, algorithm=V1, signal=Advice.BUY, confidence=D(1),
        features={}, price=D(1), created_at=DAY_NS,
    )  # fmt: skip
    assert signal.lapses_at == DAY_NS + life_s * NS_PER_S
    assert len(signal.client_order_id) <= 64


# -- how much -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "at", "quantity"),
    [
        ({"quantity": D(7)}, {}, 7),
        ({"quantity": D("7.9")}, {}, 7),
        ({"quantity": D("0.5")}, {"lot_size": "0.1"}, D("0.5")),
        ({"order_value": D(1_050)}, {"price": "105"}, 10),
        ({"order_value": D(1_049)}, {"price": "105"}, 9),
        ({"equity_fraction": D("0.1")}, {"equity": "50000", "price": "52.50"}, 95),
        ({"equity_fraction": D("0.1")}, {"equity": "50000", "price": "52.50", "held": "90"}, 5),
        ({"equity_fraction": D("0.1")}, {"equity": "50000", "price": "52.50", "held": "-7", "working_buys": "2"}, 100),
        ({"order_value": D(1_050)}, {"price": "105", "held": "30"}, 10),
        ({"order_value": D(1_050)}, {"price": "105", "held": "-30"}, 40),
        # 10,000 for two symbols: 5,000 each, at 100.
        ({}, {}, 50),
        ({}, {"held": "20", "working_buys": "10"}, 20),
    ],
)
def test_what_a_buy_amounts_to(parameters: dict[str, Any], at: dict[str, str], quantity: Any) -> None:
    assert intent_of(strategy(parameters=parameters), Advice.BUY, desk(**at)) == Intent(Side.BUY, D(quantity))


@pytest.mark.parametrize(
    ("parameters", "at", "expected"),
    [
        ({"quantity": D(7)}, {}, "strategy.nothing_held"),
        ({"quantity": D(7)}, {"held": "5"}, 5),
        ({"quantity": D(7)}, {"held": "50"}, 7),
        ({"quantity": D(7)}, {"held": "10", "working_sells": "6"}, 4),
        ({"quantity": D(7)}, {"held": "10", "working_sells": "10"}, "strategy.nothing_held"),
        ({"quantity": D(7)}, {"held": "-5"}, "strategy.nothing_held"),
        ({"quantity": D(7), "allow_short": True}, {}, 7),
        ({}, {"held": "80"}, 80),
        # Bought dearer, or when the equity was more: all of it goes all the same.
        ({"equity_fraction": D("0.1")}, {"held": "80", "equity": "5000"}, 80),
        ({"order_value": D(1_000)}, {"held": "80"}, 80),
        ({"order_value": D(1_000)}, {"held": "80", "working_sells": "30"}, 50),
        ({"order_value": D(1_000), "allow_short": True}, {"held": "80"}, 90),
        ({"equity_fraction": D("0.1"), "allow_short": True}, {"held": "80", "equity": "10000"}, 90),
        ({}, {"held": "0.5"}, "strategy.size_below_lot"),
        ({"allow_short": True}, {"held": "10"}, 60),
        ({"allow_short": True}, {"held": "-30", "working_sells": "5"}, 15),
    ],
)
def test_a_sell_is_of_what_the_strategy_holds_unless_it_may_be_short(
    parameters: dict[str, Any], at: dict[str, str], expected: Any
) -> None:
    found = intent_of(strategy(parameters=parameters), Advice.SELL, desk(**at))
    assert found == (expected if isinstance(expected, str) else Intent(Side.SELL, D(expected)))


@pytest.mark.parametrize(
    ("parameters", "at", "reason"),
    [
        ({"order_value": D(99)}, {}, "strategy.size_below_lot"),
        ({}, {"held": "50"}, "strategy.no_room"),
        ({}, {"price": "5001"}, "strategy.size_below_lot"),
        ({"equity_fraction": D(1)}, {"equity": "0"}, "strategy.no_room"),
        ({"equity_fraction": D(1)}, {"equity": "9999.5", "held": "99"}, "strategy.no_room"),
    ],
)
def test_where_no_whole_lot_fits_the_reason_is_kept(
    parameters: dict[str, Any], at: dict[str, str], reason: str
) -> None:
    assert intent_of(strategy(parameters=parameters), Advice.BUY, desk(**at)) == reason


def test_no_limit_leaves_no_room() -> None:
    assert intent_of(strategy(risk_limit=D(0)), Advice.BUY, desk()) == "strategy.no_room"


def test_a_hold_cannot_even_be_asked_for() -> None:
    with pytest.raises(AssertionError, match="HOLD"):
        intent_of(strategy(), Advice.HOLD, desk())
