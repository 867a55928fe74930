"""Every collection of the database, gathered from the repo modules that own them."""

from dataclasses import replace

from qsuite.repos import (
    account_history,
    accounts,
    api_keys,
    audit,
    audit_access,
    backtests,
    data_sources,
    engine_store,
    executions,
    feed_positions,
    idempotency_keys,
    imports,
    jobs,
    market_data,
    model_files,
    models,
    news,
    orders,
    positions,
    refresh_tokens,
    risk_events,
    risk_limits,
    second_factors,
    signals,
    signing_keys,
    statements,
    strategies,
    strategy_positions,
    sweep_parts,
    sweeps,
    tick_blocks,
    tick_feed,
    tick_seals,
    tickers,
    ticks,
    users,
)
from qsuite.repos.database import Database
from qsuite.repos.schema import CollectionSpec

COLLECTIONS: tuple[CollectionSpec, ...] = (
    account_history.SPEC,
    accounts.SPEC,
    api_keys.SPEC,
    audit.SPEC,
    audit_access.SPEC,
    backtests.SPEC,
    data_sources.SPEC,
    engine_store.SPEC,
    executions.SPEC,
    feed_positions.SPEC,
    idempotency_keys.SPEC,
    imports.SPEC,
    jobs.SPEC,
    market_data.SPEC,
    model_files.SPEC,
    models.SPEC,
    news.SPEC,
    orders.SPEC,
    positions.SPEC,
    refresh_tokens.SPEC,
    risk_events.SPEC,
    risk_limits.SPEC,
    second_factors.SPEC,
    signals.SPEC,
    signing_keys.SPEC,
    statements.SPEC,
    strategies.SPEC,
    strategy_positions.SPEC,
    sweep_parts.SPEC,
    sweeps.SPEC,
    tick_blocks.SPEC,
    tick_feed.SPEC,
    tick_seals.SPEC,
    tickers.SPEC,
    ticks.SPEC,
    users.SPEC,
)

GROWING = frozenset(
    module.SPEC.name
    for module in (account_history, audit, audit_access, executions, imports, market_data, orders, risk_events, ticks)
)


def collections_of(database: Database) -> tuple[CollectionSpec, ...]:
    """Return what a database gets.

    In memory a unique index is checked by comparing with every document, which takes minutes for the demo's prices; so
    there the collections that grow go without. What writes them looks first.
    """
    if database.transactions:
        return COLLECTIONS
    return tuple(replace(spec, indexes=()) if spec.name in GROWING else spec for spec in COLLECTIONS)
