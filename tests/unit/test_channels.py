"""Names of channels, and who may listen."""

from uuid import UUID

import pytest

from qsuite.domain.channels import RISK_DESK, ChannelName, may_subscribe, parse_channel, private_keys
from qsuite.domain.roles import Caller, Role

USER, FIRST, SECOND = UUID(int=1), UUID(int=2), UUID(int=3)


@pytest.mark.parametrize(
    ("name", "kind", "symbol"),
    [
        ("trades:AAPL", "trades", "AAPL"),
        ("quotes:BTC/USD", "quotes", "BTC/USD"),
        ("depth:X:EURUSD", "depth", "X:EURUSD"),
        ("signals:^GSPC", "signals", "^GSPC"),
        ("bars:1m:IBM", "bars:1m", "IBM"),
        ("bars:1mo:IBM", "bars:1mo", "IBM"),
        ("bars:1m:X:EURUSD", "bars:1m", "X:EURUSD"),
        ("trades:*", "trades", "*"),
        ("bars:5m:*", "bars:5m", "*"),
        ("orders", "orders", ""),
        ("jobs", "jobs", ""),
    ],
)
def test_a_name_is_a_kind_and_a_symbol(name: str, kind: str, symbol: str) -> None:
    assert parse_channel(name) == ChannelName(name, kind, symbol)


@pytest.mark.parametrize(
    "name",
    [
        "", "trades", "trades:", "trades:A B", "trades:A*", "trades:**", "trades:" + "A" * 65, "trades:Ä", "trades:A\n",
        "trades:A\x00", "news:AAPL", "Trades:AAPL", "bars:AAPL", "bars:1m", "bars:1m:", "bars:60s:AAPL", "bars:7m:AAPL",
        "bars:*:AAPL", "orders:*", "orders:00000000-0000-0000-0000-000000000002", "orders ", "*", ":", "trades:\ud800",
    ],
)  # fmt: skip
def test_what_has_no_such_form_is_no_channel(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the text is for nobody
        parse_channel(name)


def test_a_wildcard_stands_for_every_symbol_of_its_kind() -> None:
    assert parse_channel("bars:1m:IBM").wildcard == "bars:1m:*"
    assert parse_channel("bars:1m:*").is_wildcard
    assert not parse_channel("bars:1m:IBM").is_wildcard


@pytest.mark.parametrize("role", list(Role))
def test_every_role_may_listen_to_markets_and_its_own_jobs(role: Role) -> None:
    caller = Caller(USER, "who", role)
    assert may_subscribe(caller, parse_channel("trades:IBM"))
    assert may_subscribe(caller, parse_channel("quotes:*"))
    assert may_subscribe(caller, parse_channel("jobs"))


@pytest.mark.parametrize("channel", ["orders", "executions", "positions", "account", "risk"])
def test_trading_is_for_those_with_an_account_and_a_role_that_sees_it(channel: str) -> None:
    name = parse_channel(channel)
    assert may_subscribe(Caller(USER, "who", Role.TRADER, (FIRST,)), name)
    assert not may_subscribe(Caller(USER, "who", Role.TRADER), name)
    assert may_subscribe(Caller(USER, "who", Role.ADMIN), name) == (channel == "risk")
    assert not may_subscribe(Caller(USER, "who", Role.VIEWER, (FIRST,)), name), "a trader's key of a lesser role"


def test_the_default_account_has_the_bare_name_and_further_ones_their_own() -> None:
    caller = Caller(USER, "who", Role.TRADER, (FIRST, SECOND))
    assert private_keys(caller, "orders") == [(FIRST, "orders"), (SECOND, f"orders:{SECOND}")]


def test_whoever_reads_all_trading_hears_all_risk_events_on_one_stream() -> None:
    assert private_keys(Caller(USER, "who", Role.RISK_MANAGER), "risk") == [(RISK_DESK, "risk")]
    assert private_keys(Caller(USER, "who", Role.TRADER, (FIRST,)), "risk") == [(FIRST, "risk")]


def test_jobs_belong_to_the_user_not_to_an_account() -> None:
    assert private_keys(Caller(USER, "who", Role.TRADER, (FIRST,)), "jobs") == [(USER, "jobs")]


def test_accounts_that_are_only_shown_have_their_streams_after_ones_own() -> None:
    caller = Caller(USER, "who", Role.TRADER, (FIRST,), views=(SECOND,))
    assert private_keys(caller, "orders") == [(FIRST, "orders"), (SECOND, f"orders:{SECOND}")]
    assert may_subscribe(caller, parse_channel("orders"))
