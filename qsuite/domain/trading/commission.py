"""What trading costs: a commission for each order, charged fill by fill, never rounded.

    model        what the schedule goes by: ``per_share``, ``percent`` or ``tiered``
    per_share    an amount for each unit
    percent      per cent of the value traded: ``0.1`` takes 1 of 1,000
    tiers        amounts for each unit, by how much of the *order* has traded: up to 1,000 at one, what is beyond at the
                 next; the last has no end
    minimum      the least an order that trades at all pays
    maximum      the most an order pays

Invariant: an order pays C(all it traded), however it was sliced. A fill is charged C(after) - C(before), so a minimum
is paid by the first fill, and fills after the maximum is reached cost nothing. C never falls as more trades, so a part
never costs more than the whole: what is reserved for the whole is enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from qsuite.domain.money import ZERO, parse_decimal
from qsuite.domain.trading.order import Order

PER_CENT = Decimal("0.01")


class Model(StrEnum):
    """What a commission goes by."""

    PER_SHARE = "per_share"
    PERCENT = "percent"
    TIERED = "tiered"


class Tier(NamedTuple):
    """What each unit costs until the order has traded ``up_to`` units; None is without end."""

    up_to: Decimal | None
    per_share: Decimal


@dataclass(frozen=True, kw_only=True)
class Commission:
    """A schedule of charges; ``commission_from`` makes one of what was configured, and checks it."""

    model: Model = Model.PER_SHARE
    per_share: Decimal = Decimal("0.005")
    percent: Decimal = ZERO
    tiers: tuple[Tier, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None

    def total(self, quantity: Decimal, value: Decimal) -> Decimal:
        """Return C: what an order pays that has traded this quantity, worth this value, so far."""
        if quantity <= ZERO:
            return ZERO
        charge = self._bare(quantity, value)
        if self.minimum is not None and charge < self.minimum:
            charge = self.minimum
        if self.maximum is not None and charge > self.maximum:
            charge = self.maximum
        return charge

    @cached_property
    def shown(self) -> Mapping[str, Any]:
        """The schedule as a document, with decimals; ``commission_from`` reads it back. Not to be changed."""
        shown: dict[str, Any] = {"model": self.model.value}
        if self.model is Model.PER_SHARE:
            shown["per_share"] = self.per_share
        elif self.model is Model.PERCENT:
            shown["percent"] = self.percent
        else:
            shown["tiers"] = [
                {"per_share": tier.per_share} | ({} if tier.up_to is None else {"up_to": tier.up_to})
                for tier in self.tiers
            ]
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        return shown | {name: bound for name, bound in bounds.items() if bound is not None}

    def _bare(self, quantity: Decimal, value: Decimal) -> Decimal:
        if self.model is Model.PER_SHARE:
            return quantity * self.per_share
        if self.model is Model.PERCENT:
            return value * self.percent * PER_CENT
        charge, begin = ZERO, ZERO
        for up_to, per_share in self.tiers:
            end = quantity if up_to is None or up_to > quantity else up_to
            charge += (end - begin) * per_share
            if end == quantity:
                break
            begin = end
        return charge


def commission_of(order: Order, quantity: Decimal, price: Decimal, model: Commission) -> Decimal:
    """Compute what a fill costs, by what the order has traded before it: call it before the fill is booked."""
    return charge(model, order.filled_quantity, order.filled_value, quantity, price)


def worst_commission(order: Order, quantity: Decimal, price: Decimal, model: Commission) -> Decimal:
    """Return the most that trading up to this much more can cost, in any slices, at prices up to the one given.

    C never falls as more trades or prices rise, so the most is what the whole costs at that price.
    """
    return commission_of(order, quantity, price, model)


def charge(
    model: Commission, filled_quantity: Decimal, filled_value: Decimal, quantity: Decimal, price: Decimal
) -> Decimal:
    """Compute what a fill adds to the commission of an order that had traded this quantity, worth this value."""
    before = model.total(filled_quantity, filled_value)
    return model.total(filled_quantity + quantity, filled_value + quantity * price) - before


def commission_basis(order: Order, model: Commission) -> dict[str, Any]:
    """Return what a fill's basis keeps so that its commission can be computed again; see ``paper``'s vocabulary."""
    return {
        "commission": model.shown,
        "filled_before": order.filled_quantity,
        "value_before": order.filled_value,
    }


def commission_from(raw: Mapping[str, Any]) -> Commission:
    """Read a schedule from a document; amounts as decimals or their text. ValueError says what is wrong with it."""
    unknown = set(raw) - {"model", "per_share", "percent", "tiers", "minimum", "maximum"}
    if unknown:
        raise ValueError(f"no such part of a commission: {', '.join(sorted(map(str, unknown)))}")
    try:
        model = Model(raw.get("model", Model.PER_SHARE))
    except ValueError:
        raise ValueError(f"the model is one of {', '.join(Model)}") from None
    needed = {Model.PER_SHARE: "per_share", Model.PERCENT: "percent", Model.TIERED: "tiers"}
    for name in needed.values():
        if (raw.get(name) is not None) != (name == needed[model]):
            raise ValueError(f"the model {model} needs {needed[model]} and takes no other rate")
    minimum, maximum = (_amount(raw, name) for name in ("minimum", "maximum"))
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError("the minimum is above the maximum")
    return Commission(
        model=model,
        per_share=_amount(raw, "per_share") or ZERO,
        percent=_amount(raw, "percent") or ZERO,
        tiers=_tiers(raw["tiers"]) if model is Model.TIERED else (),
        minimum=minimum,
        maximum=maximum,
    )


def _tiers(raw: Any) -> tuple[Tier, ...]:
    tiers = []
    begin = ZERO
    if not isinstance(raw, Sequence) or not all(isinstance(each, Mapping) for each in raw):
        raise ValueError("tiers are a list of {up_to, per_share}")
    for number, each in enumerate(raw, start=1):
        up_to, per_share = _amount(each, "up_to"), _amount(each, "per_share")
        if per_share is None:
            raise ValueError("a tier needs per_share")
        if (up_to is None) != (number == len(raw)):
            raise ValueError("each tier but the last needs up_to, and the last has none")
        if up_to is not None and up_to <= begin:
            raise ValueError("tiers go from small to large")
        tiers.append(Tier(up_to, per_share))
        begin = up_to or begin
    if not tiers:
        raise ValueError("there is no tier")
    return tuple(tiers)


def _amount(raw: Mapping[str, Any], name: str) -> Decimal | None:
    value = raw.get(name)
    if value is None:
        return None
    amount = parse_decimal(value)
    if amount < ZERO:
        raise ValueError(f"{name} is below zero")
    return amount
