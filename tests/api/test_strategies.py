"""Strategies as a client sees them: their life, what their runs order, and how they did."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from qsuite.domain.analytics.signals import BarSeries
from qsuite.domain.errors import Unavailable
from qsuite.domain.listing import Condition, Listing
from qsuite.domain.market import Quote
from qsuite.domain.roles import Caller, Role
from qsuite.domain.signals import Fate
from qsuite.domain.times import NS_PER_S
from qsuite.repos.signals import SignalsRepo
from qsuite.services.strategy_runs import StrategyRuns
from tests.support.analytics import after_a_fall, after_a_rise, rising_by_steps
from tests.support.bars import symbol_with
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually
from tests.support.ws import WsClient

STRATEGIES = "/api/v1/strategies/"
D = Decimal


async def quoted(api: Api, series: BarSeries, bid: str = "99.98", ask: str = "100.02") -> str:
    """Make a symbol with a past and a quote; return it."""
    symbol = await symbol_with(api, series)
    await api.services.market.publish([Quote(symbol, time.time_ns(), D(bid), D(ask))])
    return symbol


async def made(client: ApiClient, *symbols: str, **changed: Any) -> dict[str, Any]:
    given = {"name": "mine", "risk_limit": "50000", "symbols": list(symbols), "parameters": {"quantity": 10}}
    answer = await client.post(STRATEGIES, given | changed)
    assert answer.status == 201, answer
    return dict(answer.json)


async def run(client: ApiClient, strategy: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await client.post(f"{STRATEGIES}{strategy['id']}/run/")
    assert answer.status == 200, answer
    assert answer.json["missed"] == []
    return list(answer.json["results"])


async def orders_of(client: ApiClient, strategy: dict[str, Any]) -> list[dict[str, Any]]:
    return list((await client.get("/api/v1/orders/", query={"strategy": strategy["id"]})).json["results"])


async def performance(client: ApiClient, strategy: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(f"{STRATEGIES}{strategy['id']}/performance/")
    assert answer.status == 200, answer
    return dict(answer.json)


# -- their life -----------------------------------------------------------------------------------------------------


async def test_a_strategy_has_the_whole_life(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, rising_by_steps())
    body = {"name": "Cross", "description": "of means", "is_active": True, "risk_limit": "1000.50", "symbols": [symbol]}
    parameters = {"fast": 5, "slow": 20, "order_value": "250.50", "every_s": 60}
    created = await trader.post(STRATEGIES, body | {"algorithm": "sma_cross", "parameters": parameters})
    assert created.status == 201
    strategy = created.json
    path = f"{STRATEGIES}{strategy['id']}/"
    assert created.headers["Location"] == path
    assert (strategy["risk_limit"], strategy["created_by"], strategy["version"]) == ("1000.50", trader.user["id"], 1)
    assert (strategy["parameters"], strategy["running"], strategy["interval"]) == (parameters, False, "1d")
    shown = await trader.get(path)
    assert shown.json == strategy
    assert (await trader.get(path, headers={"If-None-Match": shown.headers["ETag"]})).status == 304
    changed = await trader.patch(path, {"risk_limit": "99"}, headers={"If-Match": shown.headers["ETag"]})
    assert (changed.json["risk_limit"], changed.json["version"], changed.json["name"]) == ("99", 2, "Cross")
    late = await trader.patch(path, {"risk_limit": "98"}, headers={"If-Match": shown.headers["ETag"]})
    assert (late.status, late.code) == (412, "precondition_failed")
    replaced = await trader.put(path, {"name": "Plain", "risk_limit": "5"})
    assert (replaced.json["algorithm"], replaced.json["symbols"]) == ("technical_indicators_v1", [])
    assert replaced.json["parameters"] == {}
    listed = await trader.get(STRATEGIES, query={"search": "plai", "is_active": "true"})
    assert [each["id"] for each in listed.json["results"]] == [strategy["id"]]
    assert (await trader.delete(path)).status == 204
    assert (await trader.get(path)).status == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"risk_limit": -1}, "risk_limit"),
        ({"risk_limit": None}, "risk_limit"),
        ({"algorithm": "astrology"}, "algorithm"),
        ({"symbols": ["NOSUCH"]}, "symbols"),
        ({"parameters": {"quantity": 0}}, "parameters.quantity"),
        ({"parameters": {"fast": 5}}, "parameters.fast"),
        ({"parameters": []}, "parameters"),
        ({"interval": "7m"}, "interval"),
        ({"running": True}, "running"),
        ({"created_by": str(uuid.uuid4())}, "created_by"),
    ],
)
async def test_wrong_fields_are_named(api: Api, wrong: dict[str, Any], field: str) -> None:
    answer = await api.trader.post(STRATEGIES, {"name": "x", "risk_limit": "1"} | wrong)
    assert (answer.status, answer.code, list(answer.json["errors"])) == (422, "validation", [field])


async def test_parameters_must_fit_an_algorithm_that_is_changed_alone(api: Api) -> None:
    strategy = await made(api.trader, algorithm="sma_cross", parameters={"fast": 5})
    answer = await api.trader.patch(f"{STRATEGIES}{strategy['id']}/", {"algorithm": "technical_indicators_v1"})
    assert (answer.status, list(answer.json["errors"])) == (422, ["parameters.fast"])


async def test_other_peoples_strategies_are_not_there_but_for_readers(api: Api) -> None:
    mine, other = await api.new_client("trader"), await api.new_client("trader")
    strategy = await made(mine)
    path = f"{STRATEGIES}{strategy['id']}/"
    for answer in (
        await other.get(path),
        await other.patch(path, {"name": "yours"}),
        await other.delete(path),
        await other.post(f"{path}run/"),
        await other.post(f"{path}start/"),
        await other.post(f"{path}stop/"),
        await other.get(f"{path}performance/"),
        await other.post(STRATEGIES, {"name": "x", "risk_limit": "1", "account": strategy["account"]}),
        await mine.get(f"{STRATEGIES}nonsense/"),
    ):
        assert answer.status == 404, answer
    assert (await other.get(STRATEGIES)).json["count"] == 0
    assert (await api.auditor.get(path)).json == strategy
    assert (await api.risk_manager.get(f"{path}performance/")).status == 200


async def test_a_strategy_that_runs_or_has_open_orders_is_not_deleted(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, rising_by_steps())
    strategy = await made(trader, symbol)
    path = f"{STRATEGIES}{strategy['id']}/"
    assert (await trader.post(f"{path}start/")).json["running"] is True
    refused = await trader.delete(path)
    assert (refused.status, refused.code) == (409, "strategy.running")
    await trader.post(f"{path}stop/")
    order = {"symbol": symbol, "side": "BUY", "order_type": "LIMIT", "quantity": 1, "price": "99.00"}
    placed = await trader.post("/api/v1/orders/", order | {"strategy": strategy["id"]})
    assert placed.status == 201, placed
    refused = await trader.delete(path)
    assert (refused.status, refused.code) == (409, "strategy.open_orders")
    await trader.delete(f"/api/v1/orders/{placed.json['id']}/")
    assert (await trader.delete(path)).status == 204


async def test_switching_a_strategy_off_stops_it_and_it_cannot_be_started(api: Api) -> None:
    trader = await api.new_client("trader")
    strategy = await made(trader)
    path = f"{STRATEGIES}{strategy['id']}/"
    await trader.post(f"{path}start/")
    switched = await trader.patch(path, {"is_active": False})
    assert (switched.json["is_active"], switched.json["running"]) == (False, False)
    for action in ("start", "run"):
        refused = await trader.post(f"{path}{action}/")
        assert (refused.status, refused.code) == (409, "strategy.inactive")
    await trader.patch(path, {"is_active": True})
    assert (await trader.post(f"{path}start/")).json["version"] == 5
    assert (await trader.post(f"{path}start/")).json["version"] == 5
    assert (await api.risk_manager.post(f"{path}stop/")).json["running"] is False


async def test_a_change_reaches_what_the_controls_read_and_other_processes_within_a_round(api: Api) -> None:
    strategy = await made(api.trader)
    identity = UUID(strategy["id"])
    known = api.services.strategies.strategy(identity)
    assert known is not None
    assert (known.risk_limit, str(known.created_by), known.is_active) == (50_000, api.trader.user["id"], True)
    elsewhere = replace(known, risk_limit=D(7), version=2, updated_at=known.updated_at + 1_000_000)
    await api.services.strategies._repo.save(elsewhere)

    def heard() -> bool:
        found = api.services.strategies.strategy(identity)
        return found is not None and found.risk_limit == 7

    await eventually(heard)
    await api.services.strategies._repo.delete(identity, 2)
    await eventually(lambda: api.services.strategies.strategy(identity) is None)


async def test_a_strategy_that_goes_elsewhere_as_another_comes_is_missed_within_a_round(api: Api) -> None:
    service, gone = api.services.strategies, await made(api.trader)
    counted = await service._repo.count()
    await service._repo.delete(UUID(gone["id"]), 1)
    await made(api.trader)
    assert await service._repo.count() == counted, "the count does not tell"
    await eventually(lambda: service.strategy(UUID(gone["id"])) is None)


# -- runs -----------------------------------------------------------------------------------------------------------


async def test_a_sure_signal_becomes_one_order_however_often_the_strategy_runs(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    strategy = await made(trader, symbol)
    (signal,) = await run(trader, strategy)
    assert (signal["signal"], signal["confidence"], signal["status"]) == ("BUY", 0.72, "ordered")
    assert signal["strategy"] == strategy["id"]
    again = await asyncio.gather(*(run(trader, strategy) for _ in range(10)))
    assert all(results == [signal] for results in again)
    (order,) = await orders_of(trader, strategy)
    assert (order["id"], order["status"], order["filled_quantity"]) == (signal["order"], "FILLED", "10")
    assert order["client_order_id"] == f"signal-{signal['id']}"
    assert (order["side"], order["order_type"], order["created_by"]) == ("BUY", "MARKET", trader.user["id"])


async def test_a_hold_or_an_unsure_signal_is_stored_and_orders_nothing(api: Api) -> None:
    trader = await api.new_client("trader")
    hold, unsure = await quoted(api, rising_by_steps()), await quoted(api, after_a_fall(volume_factor=1.0))
    strategy = await made(trader, hold, unsure)
    found = await run(trader, strategy)
    assert [(each["signal"], each["confidence"], each["status"]) for each in found] == [
        ("HOLD", 0.7, "noted"),
        ("BUY", 0.6, "noted"),
    ]
    assert await orders_of(trader, strategy) == []
    flat = await symbol_with(api, BarSeries(after_a_fall().closes[:60], after_a_fall().volumes[:60]))
    (sure,) = await run(trader, await made(trader, flat, algorithm="sma_cross"))
    assert (sure["signal"], sure["confidence"], sure["status"]) == ("HOLD", 1.0, "noted")


async def test_an_order_that_a_control_refuses_is_marked_with_its_code(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    strategy = await made(trader, symbol, parameters={"quantity": 20_000})
    (signal,) = await run(trader, strategy)
    assert (signal["status"], signal["reason"]) == ("refused", "risk.max_quantity")
    (order,) = await orders_of(trader, strategy)
    assert (order["status"], order["id"]) == ("REJECTED", signal["order"])
    assert await run(trader, strategy) == [signal]


async def test_a_strategy_sells_what_it_holds_and_not_what_its_owner_holds_besides(api: Api) -> None:
    trader = await api.new_client("trader")
    up, down = await quoted(api, after_a_fall()), await quoted(api, after_a_rise())
    buy = {"symbol": down, "side": "BUY", "order_type": "MARKET", "quantity": 50}
    assert (await trader.post("/api/v1/orders/", buy)).status == 201
    strategy = await made(trader, up, down)
    bought, nothing = await run(trader, strategy)
    assert (bought["status"], nothing["signal"]) == ("ordered", "SELL")
    assert (nothing["status"], nothing["reason"], nothing["order"]) == ("skipped", "strategy.nothing_held", None)
    other = await made(trader, down, parameters={"quantity": 5})
    own = await trader.post("/api/v1/orders/", buy | {"quantity": 3, "strategy": other["id"]})
    assert own.status == 201, own
    (sold,) = await run(trader, other)
    assert (sold["status"], sold["signal"]) == ("ordered", "SELL")
    sells = [order for order in await orders_of(trader, other) if order["side"] == "SELL"]
    assert [(order["quantity"], order["filled_quantity"]) for order in sells] == [("3", "3")]


async def test_without_a_size_a_symbol_gets_an_even_share_of_the_limit_as_the_controls_reckon(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    strategy = await made(trader, symbol, risk_limit="10500", parameters={})
    (signal,) = await run(trader, strategy)
    # At worst 100.02 and 5 % more, 105.021: 99 of them are 10,397.08, a hundred 10,502.10.
    (order,) = await orders_of(trader, strategy)
    assert (signal["status"], order["quantity"]) == ("ordered", "99")


async def test_a_share_of_equity_sizes_an_order(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    strategy = await made(trader, symbol, parameters={"equity_fraction": "0.01"})
    await run(trader, strategy)
    # 10,000 of 1,000,000 at 105.021
    assert [order["quantity"] for order in await orders_of(trader, strategy)] == ["95"]


async def test_a_run_says_for_which_symbols_there_is_no_signal(api: Api) -> None:
    trader = await api.new_client("trader")
    symbol = await quoted(api, BarSeries(after_a_fall().closes[-40:], after_a_fall().volumes[-40:]))
    strategy = await made(trader, symbol)
    answer = await trader.post(f"{STRATEGIES}{strategy['id']}/run/")
    assert (answer.json["count"], answer.json["missed"][0]["code"]) == (0, "signal.too_few_bars")
    assert (await trader.post(f"{STRATEGIES}{(await made(trader))['id']}/run/")).json["results"] == []


async def test_a_strategys_signals_are_its_owners_alone(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    assert api.viewer.token is not None
    async with await WsClient.open(api.port, token=api.viewer.token) as stream:
        await stream.send({"action": "subscribe", "channels": [f"signals:{symbol}"]})
        await stream.receive_type("snapshot")
        (signal,) = await run(trader, await made(trader, symbol))
        (public,) = (await api.trader.post("/api/v1/signals/generate/", {"symbols": [symbol]})).json["results"]
        assert (await stream.receive_type("signal"))["id"] == public["id"]

    async def seen(client: ApiClient) -> set[str]:
        found = await client.get("/api/v1/signals/", query={"symbol": symbol})
        return {each["id"] for each in found.json["results"]}

    assert await seen(trader) == await seen(api.auditor) == {signal["id"], public["id"]}
    assert await seen(await api.new_client("trader")) == await seen(api.viewer) == {public["id"]}


async def test_a_kill_switch_over_the_account_keeps_its_strategies_from_running(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    strategy = await made(trader, symbol)
    switch = {"scope": "account", "id": strategy["account"], "reason": "enough"}
    assert (await api.risk_manager.post("/api/v1/risk/kill-switch/", switch)).status == 200
    refused = await trader.post(f"{STRATEGIES}{strategy['id']}/run/")
    assert (refused.status, refused.code) == (409, "strategy.halted")
    await api.admin.delete(f"/api/v1/risk/kill-switch/?scope=account&id={strategy['account']}")
    assert [signal["status"] for signal in await run(trader, strategy)] == ["ordered"]


# -- by themselves --------------------------------------------------------------------------------------------------


async def test_a_started_strategy_runs_by_itself_and_a_broken_one_beside_it_stops_nobody(api: Api) -> None:
    trader = await api.new_client("trader")
    broken, sound = await quoted(api, after_a_fall()), await quoted(api, after_a_fall())
    first, second = await made(trader, broken), await made(trader, sound)
    # What no client can do: a symbol that went away, so that each run of the first one fails.
    known = api.services.strategies.strategy(UUID(first["id"]))
    assert known is not None
    algorithm = replace(known, algorithm="gone", version=2, updated_at=known.updated_at + 1)
    await api.services.strategies._repo.save(algorithm)
    await eventually(
        lambda: api.services.strategies.strategy(known.id) == replace(algorithm, updated_at=known.updated_at)
    )
    for strategy in (first, second):
        assert (await trader.post(f"{STRATEGIES}{strategy['id']}/start/")).json["running"] is True

    async def ordered() -> list[dict[str, Any]]:
        return await orders_of(trader, second)

    (order,) = await eventually(ordered)
    assert order["symbol"] == sound
    failed = await eventually(lambda: api.services.strategy_runs.last_runs.get(known.id))
    assert failed.error == "internal"

    async def last_run() -> Any:
        return (await performance(trader, second))["last_run"]

    assert (await eventually(last_run))["error"] is None
    for strategy in (first, second):
        await trader.post(f"{STRATEGIES}{strategy['id']}/stop/")


class Unwatched(StrategyRuns):
    """A second loop over the same services, whose rounds a test takes one by one."""


def rounds(api: Api, **changed: Any) -> StrategyRuns:
    """Return a loop like the application's with parts of it changed."""
    copied = Unwatched.__new__(Unwatched)
    copied.__dict__ |= api.services.strategy_runs.__dict__ | {"_periods": {}, "_locks": {}, "last_runs": {}} | changed
    return copied


@asynccontextmanager
async def started(api: Api, client: ApiClient, *symbols: str, **changed: Any) -> AsyncIterator[dict[str, Any]]:
    """Make a strategy that runs, and stop it again."""
    strategy = await made(client, *symbols, **changed)
    await client.post(f"{STRATEGIES}{strategy['id']}/start/")
    yield strategy
    await client.post(f"{STRATEGIES}{strategy['id']}/stop/")


async def test_a_process_without_the_engine_runs_nothing(api: Api) -> None:
    trader = await api.new_client("trader")
    async with started(api, trader) as strategy:
        idle = rounds(api, _is_active=lambda: False)
        await idle.run_once(time.time_ns())
        assert idle.last_runs == {}
        owner = Caller(UUID(trader.user["id"]), "", Role.TRADER, (UUID(strategy["account"]),))
        with pytest.raises(Unavailable):
            await idle.run(owner, UUID(strategy["id"]))


async def test_a_strategy_runs_once_in_each_of_its_periods_and_at_once_after_a_restart(api: Api) -> None:
    trader, noon = await api.new_client("trader"), 1_900_000_000 * NS_PER_S
    ran: list[UUID] = []

    async def noted(strategy: Any) -> None:
        ran.append(strategy.id)

    async with started(api, trader, parameters={"every_s": 20}) as strategy:
        loop = rounds(api, _run=noted)
        for second in (0, 1, 19, 20, 39, 40):
            await loop.run_once(noon + second * NS_PER_S)
        assert ran.count(UUID(strategy["id"])) == 3
        await rounds(api, _run=noted).run_once(noon + 41 * NS_PER_S)
        assert ran.count(UUID(strategy["id"])) == 4
        await rounds(api, _run=noted, _halted=lambda strategy: True).run_once(noon)
        assert ran.count(UUID(strategy["id"])) == 4


async def test_a_run_that_storage_kept_from_its_end_is_tried_again_in_the_same_period(api: Api) -> None:
    trader, tries = await api.new_client("trader"), []

    async def away(strategy: Any) -> None:
        tries.append(strategy.id)
        raise Unavailable("storage is away")

    async with started(api, trader) as strategy:
        loop = rounds(api, _run=away)
        for _ in range(2):
            await loop.run_once(time.time_ns())
        assert tries.count(UUID(strategy["id"])) == 2


# -- what a crash leaves --------------------------------------------------------------------------------------------


def only(signal: dict[str, Any]) -> Listing:
    """Ask for one signal."""
    return Listing((Condition("id", "eq", UUID(signal["id"])),))


async def left_pending(api: Api, trader: ApiClient) -> tuple[dict[str, Any], UUID]:
    """Run a strategy up to where its signal is stored and nothing is placed, as a crash would leave it."""
    symbol = await quoted(api, after_a_fall())
    strategy = await made(trader, symbol)

    async def dies(signal: Any) -> Any:
        raise Unavailable("killed here")

    owner = Caller(UUID(trader.user["id"]), "", Role.TRADER, (UUID(strategy["account"]),))
    with pytest.raises(Unavailable):
        await rounds(api, _settle=dies).run(owner, UUID(strategy["id"]))
    stored = api.database.sync.signals.find_one({"strategy": UUID(strategy["id"])})
    assert stored is not None
    return strategy, stored["_id"]


async def fate_of(api: Api, signal: UUID) -> dict[str, Any]:
    async def known() -> dict[str, Any] | None:
        found = api.database.sync.signals.find_one({"_id": signal})
        return None if found is None or found["status"] == "pending" else dict(found)

    return await eventually(known)


async def test_a_signal_left_before_its_order_is_placed_by_the_next_round(api: Api) -> None:
    trader = await api.new_client("trader")
    strategy, signal = await left_pending(api, trader)
    settled = await fate_of(api, signal)
    (order,) = await orders_of(trader, strategy)
    assert (settled["status"], str(settled["order"])) == ("ordered", order["id"])


async def test_a_signal_left_after_its_order_finds_that_order_again(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    strategy = await made(trader, symbol)
    (signal,) = await run(trader, strategy)
    forgotten = {"$set": {"status": "pending", "order": None}}
    api.database.sync.signals.update_one({"_id": UUID(signal["id"])}, forgotten)
    settled = await fate_of(api, UUID(signal["id"]))
    (order,) = await orders_of(trader, strategy)
    assert (settled["status"], str(settled["order"])) == ("ordered", order["id"])


async def test_a_signal_too_old_to_trade_on_lapses_unless_its_order_was_placed(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    strategy = await made(trader, symbol)
    (signal,) = await run(trader, strategy)
    repo = SignalsRepo(api.database)
    (found,) = (await repo.page(only(signal), None)).items
    late = rounds(api, _clock=lambda: found.lapses_at)
    pending = replace(found, status=Fate.PENDING, order=None)
    assert (await late._settle(pending)).order == found.order
    unplaced = replace(pending, id=uuid.uuid4())
    assert (await late._settle(unplaced)).status is Fate.LAPSED
    early = rounds(api, _clock=lambda: found.lapses_at - 1)
    assert (await early._settle(pending)).status is Fate.ORDERED
    assert len(await orders_of(trader, strategy)) == 1


async def test_nothing_is_ordered_for_an_owner_who_may_no_longer_trade_or_a_strategy_switched_off(api: Api) -> None:
    for change, reason in (("owner", "strategy.owner"), ("strategy", "strategy.inactive")):
        trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
        strategy = await made(trader, symbol)
        (signal,) = await run(trader, strategy)
        (found,) = (await SignalsRepo(api.database).page(only(signal), None)).items
        if change == "owner":
            assert (await api.admin.patch(f"/api/v1/users/{trader.user['id']}/", {"is_active": False})).status == 200
        else:
            await trader.patch(f"{STRATEGIES}{strategy['id']}/", {"is_active": False})
        pending = replace(found, id=uuid.uuid4(), status=Fate.PENDING, order=None)
        settled = await api.services.strategy_runs._settle(pending)
        assert (settled.status, settled.reason) == (Fate.SKIPPED, reason)
        # What had been placed before all the same keeps its order.
        again = await api.services.strategy_runs._settle(replace(found, status=Fate.PENDING, order=None))
        assert (again.status, again.order) == (Fate.ORDERED, found.order)


# -- how they did ---------------------------------------------------------------------------------------------------


async def test_performance_is_what_the_orders_and_fills_amount_to(api: Api) -> None:
    trader, symbol = await api.new_client("trader"), await quoted(api, after_a_fall())
    strategy = await made(trader, symbol)
    empty = await performance(trader, strategy)
    assert (empty["total_orders"], empty["round_trips"], empty["success_rate"], empty["positions"]) == (0, 0, None, [])

    async def trade(side: str, quantity: int, bid: str, ask: str, status: int = 201) -> None:
        await api.services.market.publish([Quote(symbol, time.time_ns(), D(bid), D(ask))])
        order = {"symbol": symbol, "side": side, "order_type": "MARKET", "quantity": quantity}
        answer = await trader.post("/api/v1/orders/", order | {"strategy": strategy["id"]})
        assert answer.status == status, answer

    await trade("BUY", 10, "99.98", "100.00")
    await trade("SELL", 10, "101.00", "101.02")  # 10.00 made, 0.10 paid
    await trade("BUY", 10, "99.98", "100.00")
    await trade("SELL", 10, "99.50", "99.52")  # 5.00 lost
    await trade("BUY", 20_000, "99.98", "100.00", 422)
    await trade("BUY", 4, "99.98", "100.00")
    found = await performance(trader, strategy)
    assert (found["total_orders"], found["filled_orders"], found["rejected_orders"], found["open_orders"]) == (
        6,
        5,
        1,
        0,
    )
    assert (found["executions"], D(found["total_volume"])) == (5, 44)
    assert D(found["total_value"]) == 1000 + 1010 + 1000 + 995 + 400
    assert (found["round_trips"], found["winning"], found["losing"], found["success_rate"]) == (2, 1, 1, 0.5)
    assert (D(found["realized_pnl"]), D(found["unrealized_pnl"])) == (D("5.00"), D("-0.08"))
    assert D(found["commission"]) == D("0.22")
    assert D(found["net_pnl"]) == D("5.00") - D("0.08") - D("0.22")
    assert (D(found["gross_exposure"]), D(found["net_exposure"])) == (D("399.92"), D("399.92"))
    (position,) = found["positions"]
    assert (position["symbol"], position["quantity"], D(position["avg_cost"])) == (symbol, "4", 100)
