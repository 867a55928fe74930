"""What a client asks for, as the command the engine decides."""

from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any
from uuid import UUID

from qsuite.domain.trading.commands import PlaceOrder
from qsuite.domain.trading.order import StopLoss, TakeProfit, TimeInForce


def place_command(asked: Mapping[str, Any], *, id_: UUID, account: UUID, user: UUID) -> PlaceOrder:
    """Return the command that places what is asked, a body that the schema has read."""
    client_order_id = asked.get("client_order_id")
    takes, stops = asked.get("take_profit"), asked.get("stop_loss")
    return PlaceOrder(
        id=id_,
        account=account,
        user=user,
        symbol=asked["symbol"],
        side=asked["side"],
        order_type=asked["order_type"],
        quantity=asked["quantity"],
        price=asked.get("price"),
        stop_price=asked.get("stop_price"),
        trail_percent=asked.get("trail_percent"),
        trail_price=asked.get("trail_price"),
        reduce_only=asked.get("reduce_only", False),
        take_profit=None if takes is None else TakeProfit(takes["price"]),
        stop_loss=None if stops is None else StopLoss(stops["stop_price"], stops.get("price")),
        expires_at=asked.get("expires_at"),
        time_in_force=asked.get("time_in_force", TimeInForce.DAY),
        client_order_id=client_order_id,
        strategy=asked.get("strategy"),
        hold=asked.get("hold", False),
        request_hash="" if client_order_id is None else fingerprint(asked),
    )


def fingerprint(asked: Mapping[str, Any]) -> str:
    """Return a digest of what an order asks for; ``10`` and ``10.0`` ask for the same.

    A field that a later version adds counts only where it is used: what was asked before the upgrade is known after it.
    """
    parts = [
        f"{name}={value.normalize() if isinstance(value, Decimal) else value}"
        for name, value in asked.items()
        if value is not None and (value is not False or name == "hold")
    ]
    parts.sort()
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
