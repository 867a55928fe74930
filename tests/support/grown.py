"""A database of the size one asks for: so many documents in each collection that grows, and a fixed number of accounts,
symbols, open orders and unfinished jobs.

The newest are of now, the oldest of as many tenths of a second ago, and their ids tell so.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from bson import Decimal128
from pymongo.database import Database

Document = dict[str, Any]
ACCOUNTS = [UUID(int=(7 << 76) | (2 << 62) | number) for number in range(1, 41)]
SYMBOLS = [f"SYM{number}" for number in range(10)]
ADMIN = UUID(int=(7 << 76) | (2 << 62) | 999)
GAP_MS = 100
AT_ONCE = 5_000
CODES = ("risk.max_value", "risk.halted", "order.insufficient_funds")
OF_TRADING = ("orders", "executions", "audit_log", "ticks")
PLENTY = 100_000
NOTHING = Decimal128("0")
HUNDRED = Decimal128("100")


class Grown:
    """What makes the documents; ``number`` counts from the oldest."""

    def __init__(self, db: Database[Any], size: int) -> None:
        self._db = db
        self._size = size
        self._now = int(time.time() * 1000)
        self._random = random.Random(size)

    def fill(self) -> None:
        """Store all of it."""
        self._fixed()
        with ThreadPoolExecutor(max_workers=4) as threads:
            list(threads.map(self._store, self._makers()))

    def _store(self, name: str) -> None:
        make = self._makers()[name]
        made = (make(number) for number in range(self._first(name), self._size))
        while batch := list(islice(made, AT_ONCE)):
            self._db[name].insert_many(batch, ordered=False, bypass_document_validation=True)

    def _first(self, name: str) -> int:
        """Of what trading does not make itself there is a part, where that is plenty."""
        return 0 if name in OF_TRADING or self._size < PLENTY else self._size - self._size // 50

    def _makers(self) -> dict[str, Callable[[int], Document]]:
        return {
            "orders": self._order,
            "executions": self._execution,
            "audit_log": self._entry,
            "audit_access": self._access,
            "risk_events": self._risk_event,
            "account_history": self._sample,
            "statements": self._statement,
            "market_data": self._bar,
            "ticks": self._tick,
            "tick_blocks": self._block,
            "jobs": self._job,
            "signals": self._signal,
            "refresh_tokens": self._session,
        }

    def _ms(self, number: int) -> int:
        return self._now - (self._size - number) * GAP_MS

    def _at(self, number: int) -> datetime:
        return datetime.fromtimestamp(self._ms(number) / 1000, UTC)

    def _id(self, number: int) -> UUID:
        return UUID(int=self._ms(number) << 80 | 7 << 76 | 2 << 62 | self._random.getrandbits(62))

    def _fixed(self) -> None:
        users = [{"_id": ADMIN, "username": "admin", "username_key": "admin"}]
        money = {"cash": Decimal128("1000"), "deposited": Decimal128("1000"), "reserved": NOTHING}
        accounts = [
            {"_id": each, "user": ADMIN, "name": f"account {number}", "currency": "USD", **money}
            for number, each in enumerate(ACCOUNTS)
        ]
        tickers = [{"_id": symbol, "symbol": symbol, "is_active": True} for symbol in SYMBOLS]
        held = [
            {"_id": f"{account}:{symbol}", "account": account, "symbol": symbol, "quantity": HUNDRED, "cost": HUNDRED}
            for account in ACCOUNTS
            for symbol in SYMBOLS
        ]
        strategies = [{"_id": ACCOUNTS[0], "account": ACCOUNTS[0], "name": "one", "updated_at": self._at(0)}]
        state = {"_id": "engine", "owner": {"host": "here", "pid": 1}, "epoch": 1, "batch": self._size}
        state |= {"audit_seq": self._size, "audit_hash": f"{self._size:064x}", "lease_until": self._at(self._size)}
        halts = [{"_id": "halt:ticker:SYM1", "scope": "ticker", "target": "SYM1", "user": ADMIN, "state": "HALTED"}]
        for name, documents in (
            ("users", users),
            ("accounts", accounts),
            ("tickers", tickers),
            ("positions", held),
            ("strategies", strategies),
            ("engine_state", [state | {"signed": self._at(self._size)}]),
            ("risk_limits", halts),
            ("orders", [self._open_order(number) for number in range(50)]),
            ("jobs", [self._job(self._size) | {"state": state} for state in ("queued", "running") for _ in range(20)]),
        ):
            self._db[name].insert_many(documents, bypass_document_validation=True)

    def _order(self, number: int) -> Document:
        refused = number % 5 == 0
        reject = {"reject": {"code": CODES[number % 3], "detail": "no"}} if refused else {}
        return {
            "_id": self._id(number),
            "account": ACCOUNTS[number % len(ACCOUNTS)],
            "symbol": SYMBOLS[number % len(SYMBOLS)],
            "side": "BUY",
            "order_type": "LIMIT",
            "quantity": HUNDRED,
            "price": HUNDRED,
            "client_order_id": f"mine-{number}",
            "status": "REJECTED" if refused else "FILLED",
            "reserved": NOTHING,
            "created_at": self._at(number),
            **reject,
        }

    def _open_order(self, number: int) -> Document:
        opened = {"status": "PENDING", "order_type": "STOP" if number % 5 else "LIMIT", "stop_price": HUNDRED}
        return self._order(self._size - number) | opened | {"client_order_id": f"open-{number}"}

    def _execution(self, number: int) -> Document:
        postings = {"cash": NOTHING, "position": NOTHING, "realized_pnl": NOTHING, "commission": NOTHING}
        return {
            "_id": self._id(number),
            "order": UUID(int=number),
            "account": ACCOUNTS[number % len(ACCOUNTS)],
            "symbol": SYMBOLS[number % len(SYMBOLS)],
            "side": "BUY",
            "quantity": HUNDRED,
            "price": HUNDRED,
            "commission": NOTHING,
            "execution_time": self._at(number),
            "basis": {"rule": "book", "liquidity": "taker", "maker": str(UUID(int=number))},
            "postings": postings,
        }

    def _entry(self, number: int) -> Document:
        kind, subject = ("order.placed", str(UUID(int=number))) if number % 50 else ("risk.halted", "SYM1")
        said = {"kind": kind, "actor": str(ADMIN), "subject": subject, "account": "", "facts": {"scope": "ticker"}}
        return {"_id": number + 1, "ts": self._at(number), **said, "prev_hash": "", "hash": f"{number + 1:064x}"}

    def _access(self, number: int) -> Document:
        said = {"kind": "login.failed", "actor": "", "actor_name": "", "subject": "", "facts": {}, "request_id": ""}
        seq = number + 1 - self._first("audit_access")
        return {"_id": seq, "ts": self._at(number), **said, "address": f"192.0.2.{number % 200}", "hash": ""}

    def _risk_event(self, number: int) -> Document:
        event = {"code": "risk.halted", "severity": "warning" if number % 10 else "critical", "scope": "ticker"}
        where = {"target": "SYM1", "account": ACCOUNTS[number % len(ACCOUNTS)], "symbol": "SYM1", "order": None}
        return {"_id": self._id(number), "ts": self._at(number), **event, **where, "actor": ADMIN, "detail": "x"}

    def _sample(self, number: int) -> Document:
        figures = dict.fromkeys(("cash", "equity", "long_value", "short_value", "unrealized_pnl", "day_pnl"), HUNDRED)
        account = ACCOUNTS[number % len(ACCOUNTS)]
        return {"_id": f"{account}:{number}", "account": account, "ts": self._at(number), **figures}

    def _statement(self, number: int) -> Document:
        account, ago = ACCOUNTS[number % len(ACCOUNTS)], (self._size - number) // len(ACCOUNTS)
        day = self._now // 86_400_000 - ago
        figures = ("realized_pnl", "unrealized_change", "commission", "closing_equity", "opening_equity")
        moved = dict.fromkeys(("deposit", "withdrawal", "reset"), NOTHING)
        known = {"account": account, "day": day, "date": str(day), "executions": 1, "movements": moved}
        return {"_id": f"{account}:{day}:{number}", **known, **dict.fromkeys(figures, HUNDRED)}

    def _bar(self, number: int) -> Document:
        symbol = SYMBOLS[number % len(SYMBOLS)]
        return {
            "_id": self._id(number),
            "symbol": symbol,
            "interval": "1m",
            "timestamp": self._at(number),
            "close": HUNDRED,
        }

    def _tick(self, number: int) -> Document:
        said = {
            "kind": "trade",
            "price": HUNDRED,
            "size": HUNDRED,
            "seq": number,
            "ts_ns": self._ms(number) * 1_000_000,
        }
        return {"ts": self._at(number), "symbol": SYMBOLS[number % len(SYMBOLS)], **said}

    def _block(self, number: int) -> Document:
        last = self._at(number)
        first = last - timedelta(milliseconds=GAP_MS)
        ns = {"first_ns": (self._ms(number) - GAP_MS) * 1_000_000, "last_ns": self._ms(number) * 1_000_000}
        counts = {"count": 1, "trades": 1, "quotes": 0, "in_series": True}
        return {
            "symbol": SYMBOLS[number % len(SYMBOLS)],
            "first": first,
            "last": last,
            **ns,
            **counts,
            "data": b"x" * 100,
        }

    def _job(self, number: int) -> Document:
        times = dict.fromkeys(("created_at", "started_at", "finished_at", "changed_at", "renewed_at"), self._at(number))
        state = "failed" if number % 10 == 0 else "done"
        return {"_id": self._id(number), "kind": "backtest", "owner": ADMIN, "state": state, "priority": 0, **times}

    def _signal(self, number: int) -> Document:
        key = {"strategy": ACCOUNTS[0], "algorithm": "a", "symbol": "SYM1", "interval": "1m", "bar": self._at(number)}
        return {"_id": self._id(number), **key, "signal": "BUY", "status": "done", "created_at": self._at(number)}

    def _session(self, number: int) -> Document:
        later = self._at(self._size) + timedelta(days=1)
        ends = {"expires_at": later, "kept_until": later, "ended_at": None if number % 2 else later}
        return {"_id": self._id(number), "user": ADMIN, "username": "admin", "handle_hash": f"{number:064x}", **ends}
