"""Equity over time as it is stored: written once, read by interval."""

from decimal import Decimal
from uuid import UUID

import pytest

from qsuite.domain.account_history import EquitySample
from qsuite.domain.times import parse_rfc3339
from qsuite.repos.account_history import SPEC, AccountHistoryRepo
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate

ACCOUNT, OTHER = UUID(int=1), UUID(int=2)


def sample(ts: str, equity: int, account: UUID = ACCOUNT) -> EquitySample:
    zero = Decimal(0)
    return EquitySample(
        account=account, ts=parse_rfc3339(ts), cash=Decimal(equity), equity=Decimal(equity), long_value=zero,
        short_value=zero, realized_pnl=zero, unrealized_pnl=zero, day_pnl=None,
    )  # fmt: skip


SAMPLES = [
    sample("2026-01-31T23:58:00Z", 1),
    sample("2026-01-31T23:59:00Z", 2),
    sample("2026-01-31T23:59:59.999Z", 3),
    sample("2026-02-01T00:00:00Z", 4),
    sample("2026-02-01T00:04:00Z", 5),
    sample("2026-02-01T00:05:00Z", 6),
    sample("2026-02-03T12:00:00Z", 7),
]


@pytest.mark.parametrize("kind", ["database", "memory_database"])
async def test_the_last_sample_of_each_interval_counts(kind: str, request: pytest.FixtureRequest) -> None:
    database: Database = request.getfixturevalue(kind)
    await migrate(database, (SPEC,))
    repo = AccountHistoryRepo(database)
    await repo.add_new([*SAMPLES, sample("2026-02-01T00:00:00Z", 99, OTHER)])
    await repo.add_new([sample("2026-02-01T00:00:00Z", 1_000), sample("2026-02-04T00:00:00Z", 8)])  # one is there

    async def equities(interval: str, start: str | None = None, end: str | None = None, limit: int = 100) -> list[int]:
        edges = [None if edge is None else parse_rfc3339(edge) for edge in (start, end)]
        return [int(one.equity) for one in await repo.read(ACCOUNT, interval, *edges, limit)]

    assert await equities("1m") == [1, 3, 4, 5, 6, 7, 8]
    assert await equities("5m") == [3, 5, 6, 7, 8]
    assert await equities("1h") == [3, 6, 7, 8]
    assert await equities("1d") == [3, 6, 7, 8]
    assert await equities("1mo") == [3, 8]
    assert await equities("1d", limit=2) == [7, 8]
    assert await equities("1m", limit=2) == [7, 8]
    for interval in ("1m", "1d"):
        assert await equities(interval, "2026-02-01T00:00:00Z", "2026-02-01T00:04:00Z") == [4]
    assert await repo.read(OTHER, "1m", None, None, 5) == [sample("2026-02-01T00:00:00Z", 99, OTHER)]
