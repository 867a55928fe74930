"""Every collection of the database, gathered from the repo modules that own them."""

from qsuite.repos import (
    accounts,
    audit,
    data_sources,
    engine_store,
    executions,
    halts,
    imports,
    market_data,
    orders,
    positions,
    tickers,
    ticks,
)
from qsuite.repos.schema import CollectionSpec

COLLECTIONS: tuple[CollectionSpec, ...] = (
    accounts.SPEC,
    audit.SPEC,
    data_sources.SPEC,
    engine_store.SPEC,
    executions.SPEC,
    halts.SPEC,
    imports.SPEC,
    market_data.SPEC,
    orders.SPEC,
    positions.SPEC,
    tickers.SPEC,
    ticks.SPEC,
)
