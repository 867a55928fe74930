"""The fields of what is said over the WebSocket: each read and checked, or refused with its name."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from qsuite.domain.errors import Invalid

MAX_ID = 128
MAX_NUMBER = 2**53
MAX_ORDERS = 1_000


def read_id(raw: object) -> str | int:
    """Return the id that an answer is to carry."""
    if isinstance(raw, str) and len(raw) <= MAX_ID:
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) <= MAX_NUMBER:
        return raw
    raise Invalid("an id is a short string or a number", errors={"id": ["a short string or a number"]})


def require_id(reply: Mapping[str, Any]) -> None:
    """Refuse what nobody could tell the answer of."""
    if "id" not in reply:
        raise Invalid("an id is required, for the answer", errors={"id": ["a string or a number"]})


def read_order_id(asked: Mapping[str, Any]) -> str:
    """Return which order is meant."""
    order_id = asked.get("order_id")
    if not isinstance(order_id, str):
        raise Invalid("an order_id is required", errors={"order_id": ["a string"]})
    return order_id


def read_orders(asked: Mapping[str, Any]) -> list[UUID]:
    """Return the orders that were placed before and are meant as well."""
    orders = asked.get("orders", [])
    try:
        if isinstance(orders, list) and len(orders) <= MAX_ORDERS:
            return [UUID(order) for order in orders]
    except (ValueError, AttributeError, TypeError):
        pass
    raise Invalid("orders names orders", errors={"orders": [f"a list of at most {MAX_ORDERS} ids"]})


def read_channels(asked: Mapping[str, Any]) -> list[str]:
    """Return the names of channels."""
    channels = asked.get("channels")
    if not isinstance(channels, list) or not channels or not all(isinstance(name, str) for name in channels):
        raise Invalid("channels are required", errors={"channels": ["a list of names"]})
    return channels


def read_since(asked: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers that were seen last, by channel."""
    since = asked.get("since")
    if since is None:
        return {}
    if not isinstance(since, dict) or not all(type(seq) is int and 0 <= seq <= MAX_NUMBER for seq in since.values()):
        raise Invalid("since names numbers", errors={"since": ["an object of channel: seq"]})
    return since
