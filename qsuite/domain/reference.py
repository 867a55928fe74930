"""What can be traded, and where its prices come from."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID


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
    """A tradable symbol. Prices lie on multiples of ``tick_size``, quantities on multiples of ``lot_size``."""

    id: UUID
    symbol: str
    name: str
    description: str = ""
    currency: str = "USD"
    data_source: UUID | None = None
    is_active: bool = True
    tick_size: Decimal = Decimal("0.01")
    lot_size: Decimal = Decimal(1)
    execution_mode: str = "paper"
    created_at: int = 0
    updated_at: int = 0
    version: int = 1
