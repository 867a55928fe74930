"""Accounts and their history, as their owners, risk managers and admins see them."""

import asyncio
import time
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from qsuite.domain.account_history import due_at
from qsuite.domain.market import Quote
from qsuite.domain.roles import Role
from qsuite.domain.times import DAY_NS, format_rfc3339
from qsuite.domain.trading.commands import ChangeAccount
from qsuite.repos.books import open_books
from qsuite.services.books import Disagreement, check_books
from tests.support.client import ApiClient
from tests.support.running_app import Api
from tests.support.waiting import eventually

ACCOUNTS = "/api/v1/accounts/"
HISTORY = "/api/v1/account/history/"
MINUTE_NS = 60_000_000_000


@pytest.fixture(autouse=True, scope="module")
def market(api: Api, io_loop: Any) -> None:
    async def quoted() -> None:
        await api.services.reference.ensure_ticker("IBM", {"name": "IBM"})
        now = time.time_ns()
        await api.services.market.publish([Quote("IBM", now, Decimal("99.98"), Decimal("100.02"))])

    io_loop.run_sync(quoted)


async def buy(client: ApiClient, account: str | None = None, quantity: int = 10) -> Any:
    order = {"symbol": "IBM", "side": "BUY", "order_type": "MARKET", "quantity": quantity}
    return await client.post("/api/v1/orders/", order | ({"account": account} if account else {}))


async def open_second(api: Api, trader: ApiClient, cash: str = "5000.50") -> Any:
    answer = await api.admin.post(ACCOUNTS, {"user": trader.user["id"], "cash": cash})
    assert answer.status == 201, answer
    return answer.json


async def test_an_admin_opens_a_further_account_and_its_trader_trades_on_it(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    second = await open_second(api, trader)
    assert (second["cash"], second["equity"], second["user"]) == ("5000.50", "5000.50", trader.user["id"])
    listed = (await trader.get(ACCOUNTS)).json
    assert listed["count"] == 2
    assert listed["results"][1] == (await trader.get(f"{ACCOUNTS}{second['id']}/")).json
    default = (await trader.get("/api/v1/account/")).json
    assert listed["results"][0]["id"] == default["id"]
    assert (await buy(trader, second["id"])).status == 201
    shown = (await trader.get(f"{ACCOUNTS}{second['id']}/")).json
    # 10 bought at 100.02 for 0.05, worth 99.98 now.
    assert Decimal(shown["equity"]) == Decimal("5000.50") - Decimal("0.40") - Decimal("0.05")
    assert Decimal((await trader.get("/api/v1/account/")).json["cash"]) == Decimal(default["cash"])


async def test_only_a_trader_has_accounts(api: Api) -> None:
    viewer = await api.new_client(Role.VIEWER)
    for user, message in ((viewer.user["id"], "only a trader has accounts"), (str(uuid4()), "there is no such user")):
        answer = await api.admin.post(ACCOUNTS, {"user": user, "cash": "1"})
        assert (answer.status, answer.json["errors"]) == (422, {"user": [message]})
    answer = await api.admin.post(ACCOUNTS, {"user": viewer.user["id"], "cash": "-1"})
    assert "cash" in answer.json["errors"]


async def test_others_accounts_are_not_there_but_for_those_who_read_all(api: Api) -> None:
    trader, other = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    account = (await trader.get("/api/v1/account/")).json["id"]
    assert (await other.get(f"{ACCOUNTS}{account}/")).status == 404
    assert (await other.get(HISTORY, query={"account": account})).status == 404
    for reader in (api.risk_manager, api.auditor, api.admin):
        found = (await reader.get(ACCOUNTS, query={"user": trader.user["id"]})).json
        assert [one["id"] for one in found["results"]] == [account]


async def test_an_account_switched_off_takes_no_order_and_its_open_ones_are_cancelled(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = (await trader.get("/api/v1/account/")).json["id"]
    resting = {"symbol": "IBM", "side": "BUY", "order_type": "LIMIT", "price": "99", "quantity": 1}
    placed = (await trader.post("/api/v1/orders/", resting)).json
    answer = await api.risk_manager.patch(f"{ACCOUNTS}{account}/", {"is_active": False})
    assert (answer.status, answer.json["is_active"]) == (200, False)
    assert (await trader.get(f"/api/v1/orders/{placed['id']}/")).json["status"] == "CANCELLED"
    assert (await buy(trader)).code == "account.disabled"
    assert (await trader.patch(f"{ACCOUNTS}{account}/", {"is_active": True})).status == 403
    assert (await api.admin.patch(f"{ACCOUNTS}{account}/", {"is_active": True})).json["is_active"] is True
    assert (await buy(trader)).status == 201


async def test_a_switch_made_against_an_older_version_is_refused(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = (await trader.get("/api/v1/account/")).json["id"]
    tag = (await api.risk_manager.get(f"{ACCOUNTS}{account}/")).headers["ETag"]
    assert (await buy(trader)).status == 201
    path = f"{ACCOUNTS}{account}/"
    stale = await api.risk_manager.patch(path, {"is_active": False}, headers={"If-Match": tag})
    assert stale.status == 412

    async def switched() -> bool:  # its day may begin between the two, which makes a version too
        tag = (await api.risk_manager.get(path)).headers["ETag"]
        answer = await api.risk_manager.patch(path, {"is_active": False}, headers={"If-Match": tag})
        return answer.status == 200

    await eventually(switched)
    missing = await api.risk_manager.patch(f"{ACCOUNTS}{uuid4()}/", {"is_active": False})
    assert missing.status == 404


async def test_equity_is_written_down_once_a_minute_and_read_by_interval(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = (await trader.get("/api/v1/account/")).json["id"]
    assert (await trader.get(HISTORY)).json["results"] == []
    assert (await buy(trader)).status == 201
    history = api.services.account_history
    start = due_at(time.time_ns()) // DAY_NS * DAY_NS + 400 * DAY_NS  # ahead of whatever the real loop writes
    for minute in range(3):
        await history.run_once(start + minute * MINUTE_NS + 5)
        await history.run_once(start + minute * MINUTE_NS + 6)
    await history.run_once(start)  # the clock was set back: nothing is written over
    query = {"from": format_rfc3339(start), "to": format_rfc3339(start + DAY_NS)}
    found = (await trader.get(HISTORY, query=query)).json
    assert (found["account"], found["interval"], found["count"]) == (account, "1m", 3)
    assert [sample["ts"] for sample in found["results"]] == [
        format_rfc3339(start + minute * MINUTE_NS) for minute in range(3)
    ]
    sample = found["results"][-1]
    assert Decimal(sample["equity"]) == Decimal(1_000_000) - Decimal("0.45")
    assert Decimal(sample["cash"]) + Decimal(sample["long_value"]) == Decimal(sample["equity"])
    assert (sample["short_value"], sample["day_pnl"]) == ("0", None)
    daily = (await trader.get(HISTORY, query=query | {"interval": "1d"})).json["results"]
    assert [one["ts"] for one in daily] == [found["results"][-1]["ts"]]
    assert (await api.auditor.get(HISTORY, query=query | {"account": account})).json["count"] == 3


async def test_a_second_process_writes_no_sample_twice(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = UUID((await trader.get("/api/v1/account/")).json["id"])
    assert (await buy(trader)).status == 201
    history = api.services.account_history
    start = due_at(time.time_ns()) // DAY_NS * DAY_NS + 500 * DAY_NS
    await history.run_once(start)
    before = await history.read(account, "1m", start, None)
    history._done_at = 0  # as in a process that knows nothing of it
    assert (await buy(trader, quantity=500)).status == 201
    await history.run_once(start)
    assert await history.read(account, "1m", start, None) == before


@pytest.mark.parametrize(
    ("query", "field"),
    [({"interval": "30s"}, "interval"), ({"interval": "7m"}, "interval"), ({"from": "yesterday"}, "from")],
)
async def test_a_range_that_is_none_is_refused(api: Api, query: dict[str, str], field: str) -> None:
    answer = await api.trader.get(HISTORY, query=query)
    assert (answer.status, list(answer.json["errors"])) == (422, [field])
    assert (await api.auditor.get(HISTORY)).json["errors"].keys() == {"account"}


async def test_an_account_in_another_currency_trades_only_tickers_of_it(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    opened = {"user": trader.user["id"], "cash": "5000", "name": "in euros", "currency": "EUR"}
    account = (await api.admin.post(ACCOUNTS, opened)).json
    assert account["currency"] == "EUR"
    refused = await buy(trader, account["id"])
    assert (refused.status, refused.code, refused.json["order"]["status"]) == (422, "account.currency", "REJECTED")
    check = {"symbol": "IBM", "side": "BUY", "order_type": "MARKET", "quantity": 1, "account": account["id"]}
    assert (await trader.post("/api/v1/risk/check/", check)).json["reject"]["code"] == "account.currency"
    assert (
        await api.admin.post("/api/v1/tickers/", {"symbol": "SAP6", "name": "SAP", "currency": "EUR"})
    ).status == 201
    order = {"symbol": "SAP6", "side": "BUY", "order_type": "LIMIT", "price": "10", "quantity": 1}
    placed = await trader.post("/api/v1/orders/", order | {"account": account["id"]})
    assert placed.status == 201
    assert (await trader.post("/api/v1/orders/", order)).code == "account.currency"
    for wrong in ("eur", "E", "€UR", "EURO EURO EURO", 7):
        answer = await api.admin.post(ACCOUNTS, opened | {"currency": wrong})
        assert (answer.status, list(answer.json["errors"])) == (422, ["currency"])


async def test_permissions_are_taken_and_given_and_count_for_the_next_order(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = (await trader.get("/api/v1/account/")).json
    assert account["permissions"] == ["market_orders", "open", "short", "strategies"]
    path = f"{ACCOUNTS}{account['id']}/"
    changed = (await api.risk_manager.patch(path, {"permissions": ["open"]})).json
    assert (changed["permissions"], changed["is_active"]) == (["open"], True)
    assert (await buy(trader)).code == "not_permitted"
    assert (await trader.get("/api/v1/account/")).json["permissions"] == ["open"]
    assert (await trader.patch(path, {"permissions": account["permissions"]})).status == 403
    assert (await api.admin.patch(path, {"permissions": account["permissions"]})).status == 200
    assert (await buy(trader)).status == 201
    for wrong in (["fly"], "open", None, [None]):
        answer = await api.admin.patch(path, {"permissions": wrong})
        assert (answer.status, [name.partition(".")[0] for name in answer.json["errors"]]) == (422, ["permissions"])


async def test_a_reset_account_begins_anew_and_its_figures_count_from_then_on(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    account = (await trader.get("/api/v1/account/")).json["id"]
    assert (await buy(trader, quantity=10)).status == 201
    resting = {"symbol": "IBM", "side": "BUY", "order_type": "LIMIT", "price": "99", "quantity": 1}
    placed = (await trader.post("/api/v1/orders/", resting)).json
    path = f"{ACCOUNTS}{account}/reset/"
    for forbidden in (trader, api.auditor, api.viewer):
        assert (await forbidden.post(path, {})).status == 403
    answer = await api.risk_manager.post(path, {"cash": "5000"})
    shown = answer.json
    assert answer.status == 200
    assert [Decimal(shown[name]) for name in ("cash", "equity", "buying_power")] == [5000, 5000, 5000]
    assert [Decimal(shown[name]) for name in ("realized_pnl", "commission", "day_pnl", "reserved")] == [0, 0, 0, 0]
    assert shown["reset_at"] is not None
    assert (await trader.get("/api/v1/positions/")).json["results"] == []
    assert (await trader.get(f"/api/v1/orders/{placed['id']}/")).json["status"] == "CANCELLED"
    metrics = (await trader.get("/api/v1/orders/performance_metrics/")).json
    assert (metrics["total_orders"], metrics["executions"], metrics["round_trips"]) == (0, 0, 0)
    assert (await buy(trader, quantity=2)).status == 201
    assert (await trader.delete("/api/v1/positions/IBM/")).status == 201
    metrics = (await trader.get("/api/v1/orders/performance_metrics/")).json
    # 2 bought at 100.02 and sold at 99.98, each for 0.01: the 10 of before are no part of it
    assert (metrics["executions"], metrics["round_trips"], metrics["losing"]) == (2, 1, 1)
    assert (Decimal(metrics["realized_pnl"]), Decimal(metrics["commission"])) == (Decimal("-0.08"), Decimal("0.02"))
    assert Decimal((await trader.get("/api/v1/account/")).json["cash"]) == Decimal("4999.90")
    assert (await trader.get("/api/v1/executions/")).json["count"] == 3  # what was, is not forgotten
    again = (await api.admin.post(path, {})).json
    assert again["cash"] == "5000"
    assert (await api.admin.post(f"{ACCOUNTS}{uuid4()}/reset/", {})).status == 404
    wrong = await api.admin.post(path, {"cash": "-1"})
    assert (wrong.status, list(wrong.json["errors"])) == (422, ["cash"])


async def test_a_reset_against_an_older_version_is_refused(api: Api) -> None:
    trader = await api.new_client(Role.TRADER)
    path = f"{ACCOUNTS}{(await trader.get('/api/v1/account/')).json['id']}/"
    tag = (await api.admin.get(path)).headers["ETag"]
    assert (await buy(trader)).status == 201
    assert (await api.admin.post(f"{path}reset/", {}, headers={"If-Match": tag})).status == 412


async def test_an_account_that_holds_what_it_bought_of_another_is_not_reset(api: Api) -> None:
    await api.services.reference.ensure_ticker("BOOK6", {"name": "of users", "execution_mode": "book"})
    buyer, seller = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    account = (await seller.get("/api/v1/account/")).json["id"]
    await api.risk_manager.put(
        "/api/v1/risk/limits/", {"scope": "ticker", "id": "BOOK6", "limits": {"short_sale": True}, "reason": "a test"}
    )
    order = {"symbol": "BOOK6", "order_type": "LIMIT", "price": "10", "quantity": 5}
    assert (await seller.post("/api/v1/orders/", order | {"side": "SELL"})).status == 201
    assert (await buyer.post("/api/v1/orders/", order | {"side": "BUY"})).status == 201
    refused = await api.admin.post(f"{ACCOUNTS}{account}/reset/", {})
    assert (refused.status, refused.code) == (409, "account.book_positions")
    assert (await seller.get("/api/v1/positions/BOOK6/")).json["quantity"] == "-5"


async def test_the_books_agree_with_trading_before_and_after_resets(api: Api) -> None:
    found: list[Disagreement] = []

    def check() -> None:
        with open_books(api.database) as books:
            check_books(books, found.append)

    await asyncio.to_thread(check)
    assert found == []


def member(client: ApiClient, access: str) -> dict[str, str]:
    return {"user": client.user["id"], "access": access}


async def test_members_look_at_an_account_or_trade_on_it_and_no_longer_when_that_ends(api: Api) -> None:
    owner, trader, viewer, stranger = [await api.new_client(Role.TRADER) for _ in range(4)]
    account = (await owner.get("/api/v1/account/")).json["id"]
    path = f"{ACCOUNTS}{account}/"
    members = [member(trader, "trade"), member(viewer, "view")]
    changed = (await api.risk_manager.patch(path, {"members": members})).json
    assert sorted(changed["members"], key=str) == sorted(members, key=str)
    assert (await viewer.get("/api/auth/me/")).json["shared"] == [{"account": account, "access": "view"}]

    resting = {"symbol": "IBM", "side": "BUY", "order_type": "LIMIT", "price": "99", "quantity": 1, "account": account}
    placed = await trader.post("/api/v1/orders/", resting | {"client_order_id": "shared"})
    assert (placed.status, placed.json["account"], placed.json["created_by"]) == (201, account, trader.user["id"])
    order = f"/api/v1/orders/{placed.json['id']}/"
    for reader, status in ((owner, 200), (trader, 200), (viewer, 200), (stranger, 404)):
        assert (await reader.get(order)).status == status
        assert (await reader.get(path)).status == status
        assert (await reader.get(HISTORY, query={"account": account})).status == status
        assert (await reader.get("/api/v1/account/", query={"account": account})).status == status
    for other, status in ((viewer, 403), (stranger, 404)):
        assert (await other.post("/api/v1/orders/", resting)).status == status
        assert (await other.patch(order, {"quantity": 2})).status == status
        assert (await other.delete(order)).status == status
        assert (await other.post("/api/v1/orders/cancel_all/", {"account": account})).status == status
    listed = {one["id"] for one in (await viewer.get(ACCOUNTS)).json["results"]}
    assert listed == {account, (await viewer.get("/api/v1/account/")).json["id"]}
    assert (await viewer.get("/api/v1/account/")).json["id"] != account
    assert (await trader.post("/api/v1/orders/", resting | {"account": None})).status == 422

    assert (await api.admin.patch(path, {"members": [member(trader, "view")]})).status == 200
    assert (await trader.post("/api/v1/orders/", resting)).status == 403
    assert (await trader.delete(order)).status == 403
    assert (await viewer.get(order)).status == 404
    assert (await owner.delete(order)).status == 200
    assert (await api.admin.patch(path, {"members": []})).json["members"] == []
    assert (await trader.get(order)).status == 404
    assert (await trader.get("/api/auth/me/")).json["shared"] == []


async def test_a_member_is_another_trader_once(api: Api) -> None:
    owner, trader = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    account = (await owner.get("/api/v1/account/")).json["id"]
    path = f"{ACCOUNTS}{account}/"
    for wrong in (
        [member(owner, "view")],
        [member(api.viewer, "view")],
        [{"user": str(uuid4()), "access": "trade"}],
        [member(trader, "view"), member(trader, "trade")],
        [member(trader, "own")],
        [{"user": trader.user["id"]}],
        {"user": trader.user["id"], "access": "view"},
    ):
        answer = await api.admin.patch(path, {"members": wrong})
        assert (answer.status, [name.partition(".")[0] for name in answer.json["errors"]]) == (422, ["members"]), wrong
    assert (await owner.patch(path, {"members": [member(trader, "view")]})).status == 403
    assert (await api.admin.get(path)).json["members"] == []


async def test_the_engine_refuses_whom_an_account_was_taken_from_though_nobody_told_their_process(api: Api) -> None:
    owner, trader = await api.new_client(Role.TRADER), await api.new_client(Role.TRADER)
    account = (await owner.get("/api/v1/account/")).json["id"]
    await api.admin.patch(f"{ACCOUNTS}{account}/", {"members": [member(trader, "trade")]})
    await api.services.accounts._engine.submit(ChangeAccount(account=UUID(account), user=uuid4(), members={}))
    refused = await buy(trader, account)
    assert (refused.status, refused.code) == (422, "not_permitted")
