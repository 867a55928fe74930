"""Read the ledger of one account for reports: its fills in the order they happened, its money from outside.

Invariant: fills are found and sorted by the index ``of_an_account``, read in reverse, batch by batch; a history of any
length takes the memory of one batch. Everything here is for threads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID

from pymongo.client_session import ClientSession

from qsuite.domain.money import ZERO
from qsuite.domain.reports.ledger import Books, Entry, Holding, Movement
from qsuite.domain.times import NS_PER_MS, datetime_to_ns, ns_to_datetime
from qsuite.domain.trading.reset import RESET
from qsuite.repos import accounts, audit, executions, positions
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal

BATCH = 1_000
STORED = ("order", "account", "symbol", "side", "quantity", "price", "commission", "execution_time", "postings")
FIELDS = dict.fromkeys(STORED, 1)


class LedgerReads:
    """The ledger at one instant; ``open_ledger`` makes one."""

    def __init__(self, database: Database, session: ClientSession | None) -> None:
        self._db = database.sync
        self._session = session

    def entries(self, account: UUID, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[Entry]:
        """Yield an account's fills by time, ``to_ns`` not included."""
        found = self._db[executions.SPEC.name].find(
            {"account": account} | between("execution_time", from_ns, to_ns), FIELDS, session=self._session
        )
        with translated("executions"):
            for document in found.sort([("execution_time", 1), ("_id", 1)]).batch_size(BATCH):
                yield entry_from(document)

    def movements(self, account: UUID) -> list[Movement]:
        """Return what changed the account other than by trading: what it was opened with, and its resets, by time."""
        document = self._account(account)
        resets = self.resets(account)
        if resets:
            resets[-1] = resets[-1]._replace(mark=document.get("reset_mark"))
        # What counts as deposited now is what the last reset left of it.
        first = decode_decimal(document["deposited"]) - sum((each.deposited for each in resets), ZERO)
        return [Movement("deposit", datetime_to_ns(document["created_at"]), first, first), *resets]

    def resets(self, account: UUID) -> list[Movement]:
        """Return an account's resets, as the engine's audit log tells them."""
        condition = {"subject": str(account), "kind": RESET}
        with translated("audit log"):
            found = self._db[audit.SPEC.name].find(condition, session=self._session).sort("_id", 1)
            return [_reset(document) for document in found]

    def kept(self, account: UUID) -> Books:
        """Return an account's books as the engine keeps them."""
        document = self._account(account)
        with translated("positions"):
            held = list(self._db[positions.SPEC.name].find({"account": account}, session=self._session))
        return Books(
            cash=decode_decimal(document["cash"]),
            deposited=decode_decimal(document["deposited"]),
            realized_pnl=decode_decimal(document["realized_pnl"]),
            commission=decode_decimal(document["commission"]),
            holdings={
                each["symbol"]: Holding(decode_decimal(each["quantity"]), decode_decimal(each["cost"])) for each in held
            },
        )

    def _account(self, account: UUID) -> Document:
        with translated("accounts"):
            found = self._db[accounts.SPEC.name].find_one({"_id": account}, session=self._session)
        assert found is not None, "accounts are never deleted"
        return found


@contextmanager
def open_ledger(database: Database) -> Iterator[LedgerReads]:
    """Open the ledger as it is now; the in-memory database has no snapshots and is read as it is."""
    if not database.transactions:
        yield LedgerReads(database, None)
        return
    with database.sync_client.start_session(snapshot=True) as session:
        yield LedgerReads(database, session)


def entry_from(document: Document) -> Entry:
    """Read an execution as an entry."""
    quantity = decode_decimal(document["quantity"])
    return Entry(
        id=document["_id"],
        order=document["order"],
        account=document["account"],
        symbol=document["symbol"],
        signed=quantity if document["side"] == "BUY" else -quantity,
        price=decode_decimal(document["price"]),
        commission=decode_decimal(document["commission"]),
        time_ns=datetime_to_ns(document["execution_time"]),
        postings={name: decode_decimal(value) for name, value in document.get("postings", {}).items()},
    )


def _reset(document: Document) -> Movement:
    facts = document["facts"]
    posted = {name: Decimal(amount) for name, amount in facts["postings"].items()}
    return Movement(
        kind="reset",
        time_ns=datetime_to_ns(document["ts"]),
        cash=posted["cash"],
        deposited=-posted["deposited"],
        position=posted["position"],
        realized_pnl=posted["realized_pnl"],
        commission=posted["commission"],
        written_off={
            each["symbol"]: Holding(Decimal(each["quantity"]), Decimal(each["cost"])) for each in facts["positions"]
        },
    )


def between(path: str, from_ns: int | None, to_ns: int | None) -> Document:
    """Return the condition of a range. Stored times are whole milliseconds: rounding up keeps what is not before."""
    times: Document = {}
    if from_ns is not None:
        times["$gte"] = ns_to_datetime(-(-from_ns // NS_PER_MS) * NS_PER_MS)
    if to_ns is not None:
        times["$lt"] = ns_to_datetime(-(-to_ns // NS_PER_MS) * NS_PER_MS)
    return {path: times} if times else {}
