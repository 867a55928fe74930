"""A whole QSuite with one running strategy that kills itself on a signal's way to an order.

    python -m tests.crash.strategy_victim POINT HITS

Points: ``signals.add``, ``trading.place`` and ``signals.settle``, each ``:before`` or ``:after``; ``store.commit`` as
well, which has the order in the database while nobody has been told. ``never`` kills nothing. Prints the port when it
listens. Each life finds a symbol more than the one before it, so that there is always something to signal.
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from qsuite.app import App, build
from qsuite.domain.market import Quote
from qsuite.domain.market_record import MarketRecord
from qsuite.domain.roles import Caller, Role
from qsuite.domain.times import DAY_NS, floor_ms
from qsuite.domain.users import User
from qsuite.repos.database import Database
from qsuite.repos.market_data import MarketDataRepo
from tests.crash.trap import PASSWORD, Trap, begin, serve
from tests.support.analytics import after_a_fall
from tests.support.bars import bars_of

USERNAME = "strategist"
SYMBOLS_EACH_LIFE = 3


class SignalTrap(Trap):
    """A trap around methods of objects that are there already."""

    def around(self, owner: Any, method: str, name: str) -> None:
        """Let a coroutine method of an object pass the trap before and after."""
        real: Callable[..., Any] = getattr(owner, method)

        async def trapped(*args: Any, **kwargs: Any) -> Any:
            self.hit(f"{name}:before")
            result = await real(*args, **kwargs)
            self.hit(f"{name}:after")
            return result

        setattr(owner, method, trapped)

    def around_commit(self, store: Any) -> None:
        """The same for the engine's commit, which is no coroutine: it runs in a thread."""
        real = store.commit

        def trapped(batch: Any) -> Any:
            self.hit("store.commit:before")
            result = real(batch)
            self.hit("store.commit:after")
            return result

        store.commit = trapped


async def prepare(app: App, database: Database) -> None:
    """Make the owner, their strategy and this life's symbols, and let the strategy run."""
    services = app.services
    user = await services.users.find_by_username(USERNAME)
    if user is None:
        user = await services.users.create(USERNAME, PASSWORD, Role.TRADER, Decimal(10_000_000))
    known = database.sync.tickers.count_documents({})
    symbols = [f"CRASH{known + number}" for number in range(SYMBOLS_EACH_LIFE)]
    for symbol in symbols:
        await new_symbol(app, database, symbol)
    now = time.time_ns()
    every = sorted(ticker.symbol for ticker in services.reference.tickers())
    quotes = [Quote(symbol, now, Decimal("99.98"), Decimal("100.02")) for symbol in every]
    await services.market.publish(quotes)
    await give_work(app, user, every)


async def new_symbol(app: App, database: Database, symbol: str) -> None:
    ticker = await app.services.reference.ensure_ticker(symbol, {"name": symbol})
    now = floor_ms(time.time_ns())
    bars = bars_of(symbol, after_a_fall(), now // DAY_NS * DAY_NS - DAY_NS)
    records = [MarketRecord(id=uuid.uuid4(), ticker=ticker.id, bar=bar, created_at=now, updated_at=now) for bar in bars]
    await MarketDataRepo(database).add_new(records)


async def give_work(app: App, user: User, symbols: list[str]) -> None:
    caller = Caller(user.id, user.username, user.role, user.accounts)
    strategies = app.services.strategies
    known = [each for each in strategies.running() if each.created_by == user.id]
    if known:
        await strategies.change(caller, known[0].id, {"symbols": symbols})
        return
    values = {"name": "crashing", "risk_limit": Decimal(5_000_000), "algorithm": "technical_indicators_v1"}
    parameters = {"quantity": Decimal(2), "every_s": 1}
    made = await strategies.create(caller, values | {"symbols": symbols, "parameters": parameters})
    await strategies.set_running(caller, UUID(str(made.id)), running=True)


async def main(point: str, hits: int) -> None:
    settings, database = begin()
    app = await build(settings, database)
    trap, services = SignalTrap(point, hits), app.services
    repo = services.strategy_runs._repo
    trap.around(repo, "add", "signals.add")
    trap.around(repo, "settle", "signals.settle")
    trap.around(services.trading, "place", "trading.place")
    trap.around_commit(app.engine._storage.store)
    await app.start()
    await prepare(app, database)
    await serve(app)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
