"""Every collection of the database, gathered from the repo modules that own them."""

from qsuite.repos import (
    accounts,
    api_keys,
    audit,
    data_sources,
    engine_store,
    executions,
    halts,
    imports,
    market_data,
    orders,
    positions,
    refresh_tokens,
    tickers,
    ticks,
    users,
)
from qsuite.repos.schema import CollectionSpec

COLLECTIONS: tuple[CollectionSpec, ...] = (
    accounts.SPEC,
    api_keys.SPEC,
    audit.SPEC,
    data_sources.SPEC,
    engine_store.SPEC,
    executions.SPEC,
    halts.SPEC,
    imports.SPEC,
    market_data.SPEC,
    orders.SPEC,
    positions.SPEC,
    refresh_tokens.SPEC,
    tickers.SPEC,
    ticks.SPEC,
    users.SPEC,
)
