"""What can be traded, and where its prices come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

ALWAYS_OPEN = "24/7"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """A provider of prices; ``code`` is unique."""

    id: UUID
    name: str
    code: str
    url: str = ""
    is_active: bool = True
    created_at: int = 0
    updated_at: int = 0
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticker:
    """A tradable symbol. Prices lie on multiples of ``tick_size``, quantities on multiples of ``lot_size``.

    ``commission`` and ``fill`` are what it changes of the configured commission (``domain.trading.commission``) and
    fill rules (``domain.trading.paper.rules``); ``calendar`` names the trading sessions it follows. One that
    is ``restricted`` is known and priced, but may not be traded here.
    """

    id: UUID
    symbol: str
    name: str
    description: str = ""
    currency: str = "USD"
    data_source: UUID | None = None
    is_active: bool = True
    restricted: bool = False
    tick_size: Decimal = Decimal("0.01")
    lot_size: Decimal = Decimal(1)
    execution_mode: str = "paper"
    calendar: str = ALWAYS_OPEN
    commission: Mapping[str, Any] | None = None
    fill: Mapping[str, Any] | None = None
    created_at: int = 0
    updated_at: int = 0
    version: int = 1
