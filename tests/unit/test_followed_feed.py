"""What every followed source shares: nothing is lost while storage is away, nothing is kept without the lead."""

from collections.abc import Sequence
from typing import Any

import pytest

from qsuite.domain.errors import Unavailable
from qsuite.domain.market import Tick
from qsuite.services.feeds.followed import FollowedFeed
from qsuite.settings import ExchangeSettings
from tests.support.market import trade


class Storage:
    """A market and its tickers, which may be away."""

    def __init__(self) -> None:
        self.away = False
        self.published: list[Tick] = []
        self.known: set[str] = set()

    def ticker(self, symbol: str) -> str | None:
        return symbol if symbol in self.known else None

    async def ensure_ticker(self, symbol: str, fields: Any) -> None:
        if self.away:
            raise Unavailable("the database is away")
        self.known.add(symbol)

    async def publish(self, ticks: Sequence[Tick]) -> None:
        self.published += ticks

    def now(self) -> int:
        return 1


class OneByOne(FollowedFeed):
    """A source that gives one trade a session."""

    def __init__(self, storage: Any) -> None:
        self.leads = True
        self.number = 0
        super().__init__(
            patience=ExchangeSettings(),
            market=storage,
            reference=storage,
            leading=lambda: self.leads,
            uniform=lambda: 0.5,
        )

    async def _session(self) -> None:
        self.number += 1
        await self._publish([trade(self.number)])

    def _forget(self) -> None:
        self.number = 100


async def test_what_was_taken_over_while_storage_was_away_is_published_before_what_follows() -> None:
    storage = Storage()
    feed = OneByOne(storage)
    storage.away = True
    with pytest.raises(Unavailable):
        await feed.run_once(0)
    storage.away = False
    await feed.run_once(0)
    assert [tick.ts_ns for tick in storage.published] == [1, 2]
    assert feed.counts.ticks == 2


async def test_what_was_not_published_when_the_lead_was_lost_is_left_to_who_has_it() -> None:
    storage = Storage()
    feed = OneByOne(storage)
    storage.away = True
    with pytest.raises(Unavailable):
        await feed.run_once(0)
    storage.away, feed.leads = False, False
    await feed.run_once(0)
    feed.leads = True
    await feed.run_once(0)
    assert [tick.ts_ns for tick in storage.published] == [101]
