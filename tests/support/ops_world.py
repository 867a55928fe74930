"""A QSuite with a bit of everything that operators ask about: fills, refusals, a book's trades, ticks, jobs, logins."""

import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from qsuite.domain.jobs import Job, JobState
from qsuite.domain.market import Quote, Tick, Trade
from qsuite.domain.roles import Caller, Role
from qsuite.domain.times import DAY_NS, NS_PER_S
from qsuite.repos.accounts import AccountsRepo
from qsuite.repos.market_data import MarketDataRepo
from qsuite.repos.past_prices import PastPrices
from qsuite.repos.statements import StatementsRepo
from qsuite.repos.ticks import TicksRepo
from qsuite.services.reports.statements import DailyStatements
from tests.support.analytics import after_a_fall
from tests.support.bars import symbol_with
from tests.support.client import Answer, ApiClient
from tests.support.running_app import PASSWORD, Api
from tests.support.waiting import eventually

D = Decimal
ORDERS = "/api/v1/orders/"
ENDED = (JobState.DONE.value, JobState.FAILED.value)


@dataclass
class World:
    """Who is in it, and what they did."""

    api: Api
    traders: list[ApiClient] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    pause: tuple[int, int] = (0, 0)
    """Between which times, in nanoseconds, no tick of IBM came."""
    bracket: str = ""
    strategy: str = ""

    async def fill(self, note: Path) -> None:
        """Let all of it happen. A job runs until the file ``note`` is gone."""
        await self._market()
        for _ in ("anna", "ben"):
            client = await self.api.new_client(Role.TRADER)
            self.traders.append(client)
            self.accounts.append((await client.get("/api/v1/account/")).json["id"])
        await self._paper()
        await self._book()
        await self._refusals()
        await self._strategy()
        await self._jobs(note)
        await self._logins()
        await self.api.app.engine.settled()
        await self.api.services.market.stored()
        await self._day()

    async def _market(self) -> None:
        for symbol in ("IBM", "MSFT", "HALTME", "PIT", "MUTE"):
            mode = "book" if symbol == "PIT" else "paper"
            await self.api.services.reference.ensure_ticker(symbol, {"name": symbol, "execution_mode": mode})
        now = time.time_ns()
        before = [now - seconds * NS_PER_S for seconds in (900, 899, 600, 599)]
        self.pause = (before[1], before[2])
        past: list[Tick] = [Trade("IBM", ts, D("100.00"), D(10)) for ts in before]
        await self.api.services.market.publish(past)
        await self.quote()

    async def quote(self) -> None:
        """Let a fresh quote come of each symbol that has one."""
        now, size = time.time_ns(), D(1_000_000)
        sides = [("IBM", "99.98", "100.02"), ("MSFT", "49.99", "50.01"), ("HALTME", "9.99", "10.01")]
        await self.api.services.market.publish([Quote(one, now, D(bid), D(ask), size, size) for one, bid, ask in sides])

    async def place(self, client: ApiClient, status: int = 201, **asked: Any) -> Answer:
        """Place an order, a limit order where there is a price, and see that it is answered so."""
        kind = "LIMIT" if "price" in asked else "MARKET"
        answer = await client.post(ORDERS, {"symbol": "IBM", "side": "BUY", "order_type": kind} | asked)
        assert answer.status == status, answer
        return answer

    async def _paper(self) -> None:
        anna, ben = self.traders
        await self.place(anna, quantity=300, client_order_id="story-1")
        await self.place(anna, quantity=100, symbol="MSFT")
        await self.place(anna, quantity=50, side="SELL")
        await self.place(ben, quantity=40, symbol="MSFT")
        await self.place(anna, quantity=10, price="95.00", time_in_force="GTC")
        await self.place(ben, quantity=20, price="96.00", time_in_force="GTC")
        stop = {"order_type": "STOP", "side": "SELL", "quantity": 5, "stop_price": "90.00", "time_in_force": "GTC"}
        await self.place(anna, **stop)
        legs = {"take_profit": {"price": "120.00"}, "stop_loss": {"stop_price": "80.00"}, "time_in_force": "GTC"}
        self.bracket = (await self.place(anna, quantity=7, price="97.00", **legs)).json["id"]

    async def _book(self) -> None:
        anna, ben = self.traders
        await self.place(ben, symbol="PIT", side="SELL", quantity=30, price="20.00", time_in_force="GTC")
        await self.place(anna, symbol="PIT", quantity=12, price="20.00")

    async def _refusals(self) -> None:
        anna, ben = self.traders
        for quantity in (900_000, 900_001):
            await self.place(ben, 422, quantity=quantity, price="99.00")
        switch = {"scope": "ticker", "id": "HALTME", "reason": "bad prints"}
        limits = {"scope": "account", "id": self.accounts[0], "limits": {"max_quantity": "5000"}, "reason": "new"}
        desk = self.api.risk_manager
        assert (await desk.put("/api/v1/risk/limits/", limits)).status == 200
        assert (await desk.post("/api/v1/risk/kill-switch/", switch)).status in (200, 201)
        await self.place(anna, 422, symbol="HALTME", quantity=1)
        lifted = {"scope": "ticker", "id": "MSFT"}
        assert (await desk.post("/api/v1/risk/kill-switch/", lifted | {"reason": "by mistake"})).status in (200, 201)
        lift = await self.api.admin.delete("/api/v1/risk/kill-switch/", query=lifted)
        assert lift.status == 200, lift
        await self.place(anna, 422, quantity=5001)

    async def _strategy(self) -> None:
        symbol = await symbol_with(self.api, after_a_fall())
        await self.api.services.market.publish([Quote(symbol, time.time_ns(), D("99.98"), D("100.02"))])
        given = {"name": "crossing", "risk_limit": "50000", "symbols": [symbol], "parameters": {"quantity": 10}}
        made = await self.traders[0].post("/api/v1/strategies/", given)
        assert made.status == 201, made
        self.strategy = made.json["id"]
        run = await self.traders[0].post(f"/api/v1/strategies/{self.strategy}/run/")
        assert run.status == 200, run

    async def _jobs(self, note: Path) -> None:
        caller = Caller(UUID(self.traders[0].user["id"]), self.traders[0].user["username"], Role.TRADER)
        jobs = self.api.services.jobs

        async def submit(kind: str, priority: int = 0, **given: Any) -> Job:
            return await jobs.submit(caller, kind, given, priority=priority)

        ended = [await submit("add", left=1, right=2), await submit("refuse")]

        async def all_ended() -> bool:
            answers = [await self.api.admin.get(f"/api/v1/jobs/{job.id}/") for job in ended]
            return all(answer.json["state"] in ENDED for answer in answers)

        await eventually(all_ended, timeout_s=60)
        await submit("wait", note=str(note))
        await eventually(lambda: note.exists() and note.read_text(), timeout_s=60)
        await submit("add", left=3, right=4)
        await submit("add", priority=5, left=5, right=6)

    async def _logins(self) -> None:
        wrong = {"username": self.traders[0].user["username"], "password": f"not {PASSWORD}"}
        assert (await self.api.anonymous.post("/api/auth/login/", wrong)).status == 401
        assert (await self.api.viewer.get("/api/v1/audit/verify/")).status == 403

        async def recorded() -> bool:
            kinds = {"login.failed", "request.refused"}
            return kinds <= set(await self.api.database.collection("audit_access").distinct("kind"))

        await eventually(recorded)

    async def _day(self) -> None:
        """Sample what the accounts are worth, and close the day before its end."""
        now = time.time_ns()
        await self.api.services.account_history.run_once(now + 60 * NS_PER_S)
        database = self.api.database
        daily = DailyStatements(
            database=database,
            accounts=AccountsRepo(database),
            statements=StatementsRepo(database),
            prices=PastPrices(TicksRepo(database), MarketDataRepo(database)),
            engine=self.api.app.engine,
        )
        await daily.run_once((now // DAY_NS + 1) * DAY_NS + 61 * NS_PER_S)
