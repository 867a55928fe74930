"""Equity over time: one document for each account and minute, and one for each end of a day.

    {
      "_id": "0199…:2026-11-21T14:30:00.000Z", "account": UUID("0199…"), "ts": ISODate("2026-11-21T14:30:00Z"),
      "cash": Decimal128("981849.500"), "equity": Decimal128("1000120.500"), "long_value": Decimal128("18271.00"),
      "short_value": Decimal128("0"), "realized_pnl": Decimal128("0"), "unrealized_pnl": Decimal128("119.00"),
      "day_pnl": Decimal128("120.50")
    }

Invariant: a sample is written once and never changed; writing it again, by whatever process, is without effect.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any
from uuid import UUID

from pymongo import ASCENDING, IndexModel
from pymongo.errors import BulkWriteError

from qsuite.domain.account_history import EquitySample
from qsuite.domain.intervals import HOUR_NS, Interval, bucket_start, parse_interval
from qsuite.domain.times import NS_PER_MS, datetime_to_ns, format_rfc3339, ns_to_datetime
from qsuite.repos.database import Database, Document, translated
from qsuite.repos.decimals import decode_decimal, decode_optional, encode_decimal, encode_optional
from qsuite.repos.schema import CollectionSpec, money, schema

DUPLICATE_KEY = 11000
FIGURES = ("cash", "equity", "long_value", "short_value", "realized_pnl", "unrealized_pnl")

SPEC = CollectionSpec(
    "account_history",
    schema(
        "account ts cash equity long_value short_value realized_pnl unrealized_pnl day_pnl",
        {
            "_id": {"bsonType": "string"},
            "account": {"bsonType": "binData"},
            "ts": {"bsonType": "date"},
            **{name: money() for name in FIGURES},
            "day_pnl": money(nullable=True),
        },
    ),
    (IndexModel([("account", ASCENDING), ("ts", ASCENDING)], name="of_an_account", unique=True),),
)


class AccountHistoryRepo:
    """Keep equity samples."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._samples = database.collection(SPEC.name)

    async def add_new(self, samples: Sequence[EquitySample]) -> None:
        """Store samples; those of an account and instant that are there already are left as they are."""
        if not samples:
            return
        with translated("account history"):
            try:
                await self._samples.insert_many([sample_document(sample) for sample in samples], ordered=False)
            except BulkWriteError as error:
                faults = error.details.get("writeErrors") or []
                if not faults or any(fault["code"] != DUPLICATE_KEY for fault in faults):
                    raise

    async def read(
        self, account: UUID, interval: str, from_ns: int | None, to_ns: int | None, limit: int
    ) -> list[EquitySample]:
        """Return the last sample of each bucket of the interval, oldest first, the newest ``limit`` of them.

        ``from_ns`` is included, ``to_ns`` is not.
        """
        return await self._database.in_reader(self._read, account, interval, from_ns, to_ns, limit)

    def _read(
        self, account: UUID, interval: str, from_ns: int | None, to_ns: int | None, limit: int
    ) -> list[EquitySample]:
        width = parse_interval(interval)
        samples = self._each if width.width_ns is not None and width.width_ns < HOUR_NS else self._hop
        found: list[EquitySample] = []
        bucket: int | None = None
        with translated("account history"):
            for sample in samples(account, width, from_ns, to_ns):
                start = bucket_start(sample.ts, width)
                if start != bucket:  # newest first: the first of each bucket is its last
                    if len(found) == limit:
                        break
                    bucket = start
                    found.append(sample)
        return found[::-1]

    def _each(self, account: UUID, width: Interval, from_ns: int | None, to_ns: int | None) -> Iterator[EquitySample]:
        """Yield every sample, newest first: short buckets hold few."""
        with closing(self._find(account, from_ns, to_ns)) as documents:
            yield from map(sample_from, documents)

    def _hop(self, account: UUID, width: Interval, from_ns: int | None, to_ns: int | None) -> Iterator[EquitySample]:
        """Yield the newest sample of each bucket, from bucket to bucket by the index."""
        while True:
            with closing(self._find(account, from_ns, to_ns).limit(1)) as documents:
                document = next(documents, None)
            if document is None:
                return
            sample = sample_from(document)
            yield sample
            to_ns = bucket_start(sample.ts, width)

    def _find(self, account: UUID, from_ns: int | None, to_ns: int | None) -> Any:
        condition: Document = {"account": account}
        times: dict[str, Any] = {}
        if from_ns is not None:
            times["$gte"] = ns_to_datetime(_ceil_ms(from_ns))
        if to_ns is not None:
            times["$lt"] = ns_to_datetime(_ceil_ms(to_ns))
        if times:
            condition["ts"] = times
        return self._database.sync[SPEC.name].find(condition).sort("ts", -1)


def _ceil_ms(ts_ns: int) -> int:
    return -(-ts_ns // NS_PER_MS) * NS_PER_MS


def sample_document(sample: EquitySample) -> Document:
    """Write a sample as a document."""
    return {
        "_id": f"{sample.account}:{format_rfc3339(sample.ts)}",
        "account": sample.account,
        "ts": ns_to_datetime(sample.ts),
        **{name: encode_decimal(getattr(sample, name)) for name in FIGURES},
        "day_pnl": encode_optional(sample.day_pnl),
    }


def sample_from(document: Document) -> EquitySample:
    """Read a sample back."""
    return EquitySample(
        account=document["account"],
        ts=datetime_to_ns(document["ts"]),
        day_pnl=decode_optional(document["day_pnl"]),
        **{name: decode_decimal(document[name]) for name in FIGURES},
    )
