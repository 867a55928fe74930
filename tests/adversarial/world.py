"""Something worth stealing: two traders with orders, holdings and strategies, and reference data for all to read.

One of them attacks; nothing of the other's may show up in any answer to the first.
"""

import time
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Any

from qsuite.domain.market import Quote
from qsuite.domain.roles import Role
from tests.adversarial.forging import bearer
from tests.adversarial.pipe import Pipe, Reply
from tests.adversarial.targets import ID, Target, targets
from tests.support.client import ApiClient
from tests.support.running_app import Api

SYMBOL = "IBM"


@dataclass
class World:
    """Who attacks in which role, and what of the other trader's must stay unseen."""

    api: Api
    lines: dict[Role, bytes] = field(default_factory=dict)
    users: dict[Role, ApiClient] = field(default_factory=dict)
    secrets: frozenset[bytes] = frozenset()
    theirs: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the other trader's, by the collection they are in."""
    known: dict[str, str] = field(default_factory=dict)
    """An id in each collection, for those who must change or read something that is there."""

    def role_for(self, target: Target) -> Role | None:
        """Return as whom a target is attacked: the trader where that is allowed."""
        return Role.TRADER if Role.TRADER in target.roles else min(target.roles, default=None)

    def path(self, target: Target) -> str:
        """Return a target's path, with the id of something that is there, if anything is."""
        known = self.known.get(target.template.partition("{")[0])
        return target.path if known is None else target.path.replace(ID, known)

    async def ask(
        self, pipe: Pipe, target: Target, path: str, headers: bytes = b"", body: bytes | None = None
    ) -> Reply:
        """Send a request in the right role; one that ends its session gets one of its own."""
        role = self.role_for(target)
        line = b"" if role is None else self.lines[role]
        if role is not None and target.template == "/api/auth/logout/":
            line = await self.another_session(role)
        return await pipe.ask(target.method, path, line + headers, body)

    def leak(self, target: Target, reply: Reply) -> str:
        """Say what an answer gives away, if anything."""
        if b"$argon2" in reply.body or b'"password_hash":' in reply.body:
            return "a password's hash"
        if self.role_for(target) in (Role.TRADER, None):
            found = [secret for secret in self.secrets if secret in reply.body or secret in reply.head]
            return f"the other trader's {found}" if found else ""
        return ""

    async def join(self, role: Role) -> ApiClient:
        """Attack as a new user of this role from now on."""
        client = self.users[role] = await self.api.new_client(role)
        self.lines[role] = bearer(str(client.token))
        return client

    async def another_session(self, role: Role) -> bytes:
        """Log a role's user in once more; return the line of its token."""
        given = {name: self.users[role].user[name] for name in ("username", "password")}
        answer = await self.api.anonymous.post("/api/auth/login/", given)
        return bearer(answer.json["access"])


async def make_world(api: Api) -> World:
    """Fill the application, and log the attackers in."""
    world = World(api)
    await api.services.reference.ensure_ticker(SYMBOL, {"name": SYMBOL})
    await api.services.market.publish([Quote(SYMBOL, time.time_ns(), Decimal("99.98"), Decimal("100.02"))])
    for role in Role:
        client = await world.join(role)
        if role is Role.TRADER:
            await _trade(client)
            await _learn_ids(world, client)
        elif role is Role.ADMIN:
            await _learn_ids(world, client)
    other = await api.new_client(Role.TRADER)
    await _trade(other)
    for listed in ("orders", "executions", "strategies", "accounts"):
        rows = (await other.get(f"/api/v1/{listed}/")).json["results"]
        assert rows, listed
        world.theirs[listed] = [row["id"] for row in rows]
    names = [other.user["id"], other.user["username"], *chain.from_iterable(world.theirs.values())]
    world.secrets = frozenset(name.encode() for name in names)
    victim = await api.new_client(Role.VIEWER)  # whose user may be changed without harm to another test
    world.known["/api/v1/users/"] = victim.user["id"]
    return world


async def _trade(client: ApiClient) -> None:
    order: dict[str, Any] = {"symbol": SYMBOL, "side": "BUY", "order_type": "MARKET", "quantity": 1}
    assert (await client.post("/api/v1/orders/", order)).status == 201
    resting = {**order, "order_type": "LIMIT", "price": "90", "client_order_id": "mine"}
    assert (await client.post("/api/v1/orders/", resting)).status == 201
    assert (await client.post("/api/v1/strategies/", {"name": "mine", "risk_limit": "1000"})).status == 201


async def _learn_ids(world: World, client: ApiClient) -> None:
    """Take the first id of every list that this user may read."""
    for path in sorted({target.template.partition("{")[0] for target in targets() if "{" in target.template}):
        answer = await client.get(path)
        rows = answer.json.get("results") if answer.status == 200 and answer.body.startswith(b"{") else None
        if rows and "id" in rows[0]:
            world.known.setdefault(path, rows[0]["id"])
