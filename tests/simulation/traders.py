"""Clients as they are: they place, cancel, release, send the same thing twice, lose answers, and ask again.

A client that does not know what became of an order asks again under the same client id, with a new order id each time,
as the HTTP layer makes one for each request.
"""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from qsuite.domain.errors import OutcomeUnknown, Unavailable
from qsuite.domain.trading.account import Account
from qsuite.domain.trading.commands import (
    CancelAll,
    CancelOrder,
    ChangeAccount,
    Command,
    Halt,
    Outcome,
    PlaceOrder,
    ReleaseOrder,
    ReplaceOrder,
    ResetAccount,
    Resume,
    Scope,
)
from qsuite.domain.trading.order import OrderType, Side, StopLoss, TakeProfit, TimeInForce
from qsuite.services.order_requests import fingerprint
from tests.simulation.state import PAPER, SYMBOLS

if TYPE_CHECKING:
    from tests.simulation.world import World

STEPS = 10
TRIES = 6
STRANGER = UUID(int=999)


@dataclass(slots=True)
class Intent:
    """One order somebody wants: all the requests made for it, and what is known of them."""

    asked: dict[str, Any]
    client_order_id: str | None
    ids: list[UUID] = field(default_factory=list)
    perhaps: bool = False  # a request was made whose outcome nobody knows
    answers: list[Outcome] = field(default_factory=list)


class Trader:
    """One client with one account."""

    def __init__(self, world: "World", account: Account, number: int) -> None:
        self.world = world
        self.random = world.random
        self.account = account
        self.number = number
        self.intents: list[Intent] = []

    async def trade(self) -> None:
        """Do a number of things, one after the other."""
        actions = (
            (self.place, 50), (self.place_twice, 8), (self.place_again, 8), (self.reuse_id, 4), (self.cancel, 14),
            (self.release, 8), (self.cancel_all, 3), (self.trespass, 2), (self.halt, 1), (self.resume, 2),
            (self.replace, 12), (self.switch_off, 1),
        )  # fmt: skip
        names, weights = zip(*actions, strict=True)
        for _ in range(STEPS):
            await asyncio.sleep(self.random.choice((0.0, 0.001, 0.01, 0.2)))
            await self.random.choices(names, weights)[0]()

    # -- orders -------------------------------------------------------------------------------------------------

    async def place(self) -> None:
        await self._insist(self._new_intent())

    async def place_twice(self) -> None:
        """Send the same order several times at once."""
        intent = self._new_intent(named=True)
        await asyncio.gather(*(self._insist(intent) for _ in range(self.random.randint(2, 4))))

    async def place_again(self) -> None:
        """Ask again for an order that was answered."""
        known = [intent for intent in self.intents if intent.answers and intent.client_order_id]
        if known:
            await self._insist(self.random.choice(known))

    async def reuse_id(self) -> None:
        """Use a known id for another order: it must be refused, or be answered with what was asked first."""
        known = [intent for intent in self.intents if intent.answers and intent.client_order_id]
        if not known:
            return
        intent = self.random.choice(known)
        other = self._command(intent.asked | {"quantity": intent.asked["quantity"] + 1}, intent.client_order_id)
        outcome, _ = await self._ask(other)
        if outcome is not None:
            assert outcome.error == "order.duplicate_id", f"{other.client_order_id} was taken for another order"

    async def ask_again(self) -> None:
        """Ask again for everything that has an id, and get the same answers."""
        for intent in self.intents:
            if intent.client_order_id is not None:
                await self._insist(intent)
                assert intent.answers, f"no answer for {intent.client_order_id} in fair weather"

    def _new_intent(self, *, named: bool = False) -> Intent:
        random = self.random
        symbol = random.choice(SYMBOLS)
        asked: dict[str, Any] = {
            "account": self.account.id,
            "symbol": symbol,
            "side": random.choice(tuple(Side)),
            "quantity": Decimal(random.choice((1, 5, 10, 40, 150, 250))),
            "time_in_force": random.choice(tuple(TimeInForce)),
            "hold": random.random() < 0.15,
        }
        asked |= self._kind(asked["side"], self._last(symbol))
        name = f"{self.number}-{len(self.intents)}" if named or random.random() < 0.7 else None
        intent = Intent(asked, name)
        self.intents.append(intent)
        self.world.judge.wanted(intent)
        return intent

    def _last(self, symbol: str) -> Decimal:
        last = self.world.market[symbol].trade
        assert last is not None
        return last.price

    def _kind(self, side: Side, last: Decimal) -> dict[str, Any]:
        """Draw an order type with its prices, some of them foolish."""
        random, sign = self.random, 1 if side is Side.BUY else -1
        cents = [Decimal(random.randint(1, 150)) / 100 for _ in range(3)]
        near = last + random.choice((1, -1, -1)) * sign * cents[0]
        stop = last + sign * cents[1]
        kind = random.choices(tuple(OrderType), (25, 40, 10, 8, 8))[0]
        if kind is OrderType.MARKET:
            return {"order_type": kind}
        if kind is OrderType.STOP:
            return {"order_type": kind, "stop_price": stop}
        if kind is OrderType.STOP_LIMIT:
            return {"order_type": kind, "stop_price": stop, "price": stop + sign * cents[2]}
        if kind is OrderType.TRAILING_STOP:
            return {"order_type": kind, random.choice(("trail_price", "trail_percent")): cents[0]}
        limit: dict[str, Any] = {"order_type": kind, "price": near, "reduce_only": random.random() < 0.1}
        if random.random() < 0.25:
            limit["take_profit"] = TakeProfit(near + sign * cents[1])
        if random.random() < 0.25:
            limit["stop_loss"] = StopLoss(near - sign * cents[2])
        return limit

    def _command(self, asked: dict[str, Any], client_order_id: str | None) -> PlaceOrder:
        digest = "" if client_order_id is None else fingerprint(asked)
        return PlaceOrder(
            id=self.world.new_id(),
            user=self.account.user,
            client_order_id=client_order_id,
            request_hash=digest,
            **asked,
        )

    async def _insist(self, intent: Intent) -> None:
        """Ask until there is an answer; without a client id only as long as surely nothing was done."""
        for _ in range(TRIES):
            command = self._command(intent.asked, intent.client_order_id)
            intent.ids.append(command.id)
            self.world.judge.asked(command.id, intent)
            outcome, done = await self._ask(command)
            intent.perhaps = intent.perhaps or done
            if outcome is not None:
                self.world.judge.placed(intent, outcome)
                return
            if done and intent.client_order_id is None:
                return
            await asyncio.sleep(self.random.uniform(0.01, 0.5))

    # -- everything else ----------------------------------------------------------------------------------------

    async def cancel(self) -> None:
        order = self._some_order()
        if order is None:
            return
        command = CancelOrder(order=order, user=self.account.user, accounts=(self.account.id,))
        for _ in range(self.random.randint(1, 2)):
            outcome, _ = await self._ask(command)
            if outcome is not None:
                self.world.judge.cancelled(order, outcome)

    async def replace(self) -> None:
        """Change an order; what is refused must leave it as it was."""
        order = self._some_order()
        if order is None:
            return
        quantity = self.random.choice((None, 2, 8, 30, 120))
        price = None if self.random.random() < 0.6 else self._last(PAPER[0]) + self.random.randint(-1, 1)
        whose: dict[str, Any] = {"order": order, "user": self.account.user, "accounts": (self.account.id,)}
        wanted = None if quantity is None else Decimal(quantity)
        outcome, done = await self._ask(ReplaceOrder(**whose, quantity=wanted, price=price))
        if outcome is not None or done:
            self.world.judge.replaced(order)

    async def switch_off(self) -> None:
        """Have the account disabled, which cancels what is open, and enabled again; some begin anew."""
        for is_active in (False, True):
            for _ in range(TRIES):
                command = ChangeAccount(account=self.account.id, user=STRANGER, is_active=is_active)
                if (await self._ask(command))[0] is not None:
                    break
        if self.number % 2:
            await self.begin_anew()

    async def begin_anew(self) -> None:
        """Have the account reset, which an account with positions in the book cannot be."""
        cash = self.random.choice((None, Decimal(30_000)))
        outcome, _ = await self._ask(ResetAccount(account=self.account.id, user=STRANGER, cash=cash))
        if outcome is not None:
            assert outcome.error in (None, "account.book_positions")
            self.world.counts["resets" if outcome.error is None else "resets refused"] += 1

    async def release(self) -> None:
        held = [each.answers[0].order for each in self.intents if each.answers and each.asked["hold"]]
        if held and (order := self.random.choice(held)) is not None:
            command = ReleaseOrder(order=order.id, user=self.account.user, accounts=(self.account.id,))
            outcome, done = await self._ask(command)
            self.world.judge.released(order.id, outcome, done)

    async def cancel_all(self) -> None:
        symbol = self.random.choice((None, *SYMBOLS))
        await self._ask(CancelAll(account=self.account.id, user=self.account.user, symbol=symbol))

    async def trespass(self) -> None:
        """Cancel somebody else's order: it must not be found."""
        order = self._some_order()
        if order is not None:
            outcome, _ = await self._ask(CancelOrder(order=order, user=STRANGER, accounts=(STRANGER,)))
            assert outcome is None or outcome.error == "not_found"

    async def halt(self) -> None:
        target = self.random.choice(SYMBOLS)
        await self._ask(Halt(scope=Scope.TICKER, target=target, user=self.account.user, reason="drill"))

    async def resume(self) -> None:
        for symbol in SYMBOLS:
            await self._ask(Resume(scope=Scope.TICKER, target=symbol, user=STRANGER))

    def _some_order(self) -> UUID | None:
        known = [order for each in self.intents for answer in each.answers if (order := answer.order) is not None]
        return self.random.choice(known).id if known else None

    async def _ask(self, command: Command) -> tuple[Outcome | None, bool]:
        """Ask a server. Return the outcome, None if it is not known, and whether anything may have been done."""
        world = self.world
        await world.keep_alive()
        process = world.pick()
        what = f"trader {self.number} {type(command).__name__} {getattr(command, 'client_order_id', None)}"
        if process is None:
            return None, False
        try:
            outcome = await process.ask(command)
        except OutcomeUnknown:
            world.counts["unknown"] += 1
            world.note(f"{what} at {process}: outcome unknown")
            return None, True
        except Unavailable as error:
            world.note(f"{what} at {process}: {error.code}")
            world.judge.declined(command)
            return None, False
        if outcome is None:
            world.note(f"{what} at {process}: no answer")
            return None, True
        order = outcome.order
        shown = None if order is None else f"{order.id.hex[-6:]} {order.status.value} v{order.version}"
        world.note(f"{what} at {process}: {outcome.error} {shown} {len(outcome.orders)}")
        world.judge.answered(process, outcome)
        world.counts["answers"] += 1
        if self.random.random() < world.weather.deaf:
            return None, True
        return outcome, True
