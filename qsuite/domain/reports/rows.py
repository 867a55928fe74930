"""The rows of reports. Every figure is exact; what nothing was known of is None."""

from decimal import Decimal
from typing import NamedTuple
from uuid import UUID


class TradeRow(NamedTuple):
    """One fill with its order. ``slippage_bps`` is how much worse than ``arrival_price`` it was, below zero better."""

    account: UUID
    id: UUID
    order: UUID
    execution_time: int
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    value: Decimal
    commission: Decimal
    realized_pnl: Decimal | None
    strategy: UUID | None
    order_type: str
    client_order_id: str | None
    arrival_time: int
    arrival_price: Decimal | None
    slippage_bps: Decimal | None


class PositionRow(NamedTuple):
    """What an account held of a symbol at an instant; without a price its value is unknown."""

    account: UUID
    symbol: str
    quantity: Decimal
    avg_cost: Decimal
    cost: Decimal
    market_price: Decimal | None
    price_source: str | None
    price_time: int | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None


class PnlRow(NamedTuple):
    """Profit of an account, or of one symbol, strategy or day of it; ``net_pnl`` is after commission."""

    account: UUID
    symbol: str | None
    strategy: UUID | None
    day: str | None
    executions: int
    bought: Decimal
    sold: Decimal
    realized_pnl: Decimal
    unrealized_change: Decimal
    commission: Decimal
    net_pnl: Decimal


class OrderRow(NamedTuple):
    """One order and what became of it; ``reject_code`` and ``reject_detail`` of one that a control refused."""

    account: UUID
    id: UUID
    created_at: int
    symbol: str
    side: str
    order_type: str
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    time_in_force: str
    status: str
    filled_quantity: Decimal
    avg_fill_price: Decimal | None
    commission: Decimal
    strategy: UUID | None
    client_order_id: str | None
    reject_code: str | None
    reject_detail: str | None
    updated_at: int


class OrderCountRow(NamedTuple):
    """How many orders of an account ended in a way, refusals by their code."""

    account: UUID
    status: str
    reject_code: str | None
    orders: int
    quantity: Decimal
    filled_quantity: Decimal


class ExecutionRow(NamedTuple):
    """How well orders were filled: one of them, or those of a symbol or strategy.

    Slippage is in basis points of what it is held against, weighted by quantity, and below zero where the fills were
    better: the market when the order came (``arrival``), and the mean price of all trades in the market from then until
    its last fill, weighted by size (``vwap``). The quantities say how much could be compared.
    """

    account: UUID
    symbol: str | None
    strategy: UUID | None
    order: UUID | None
    orders: int
    executions: int
    quantity: Decimal
    value: Decimal
    commission: Decimal
    arrival_quantity: Decimal
    arrival_slippage_bps: Decimal | None
    vwap_quantity: Decimal
    vwap_slippage_bps: Decimal | None
