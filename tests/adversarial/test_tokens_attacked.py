"""Every route, every method, every role and nobody, times every way in which a token can be wrong: nobody gets in."""

from collections.abc import Iterator

import pytest

from qsuite.domain.roles import Role
from tests.adversarial.forging import Defect, Good, bearer, change, defects, ended_tokens, log_in
from tests.adversarial.pipe import Pipe, Reply, side_by_side
from tests.adversarial.tally import SCALE, watched
from tests.adversarial.targets import Target, every_target
from tests.support.running_app import Api

pytestmark = pytest.mark.timeout(600 * SCALE)

NOBODY = Defect("no token", b"")
BODY = b"Content-Type: application/json\r\n"
Attack = tuple[Target, Role | None, Defect]


async def send(pipe: Pipe, target: Target, defect: Defect) -> Reply:
    """Send what a defect says to a target, with an empty object where there may be a body."""
    body = b"{}" if target.method in ("POST", "PUT", "PATCH") else None
    return await pipe.ask(target.method, target.path + defect.query, defect.lines + BODY, body)


async def defects_of(api: Api, role: Role, other: Good) -> dict[str, list[Defect]]:
    """Return the defects of a role's token by their kind."""
    found: dict[str, list[Defect]] = {}
    good = await log_in(api, role)
    for defect in defects(good, other, await ended_tokens(api, role)):
        found.setdefault(defect.kind, []).append(defect)
    return found


def attacks(by_role: dict[Role, dict[str, list[Defect]]]) -> Iterator[Attack]:
    """Give every combination; at TEST_SCALE 1 one variant of each kind, and one kind where no login is needed."""
    turn = 0
    for target in every_target():
        yield target, None, NOBODY
        for role, kinds in by_role.items():
            if SCALE > 1:
                yield from ((target, role, defect) for variants in kinds.values() for defect in variants)
                continue
            turn += 1
            names = list(kinds) if target.guarded and target.method != "HEAD" else [list(kinds)[turn % len(kinds)]]
            for place, name in enumerate(names):
                yield target, role, kinds[name][(turn + place) % len(kinds[name])]


async def test_no_wrong_token_gets_anybody_in_anywhere(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    other = await log_in(api, Role.ADMIN)
    by_role = {role: await defects_of(api, role, other) for role in Role}
    plain: dict[tuple[str, str], int] = {}

    async def attack(pipe: Pipe, piece: Attack) -> None:
        target, role, defect = piece
        reply = await send(pipe, target, defect)
        what = f"{target} by {role} with {defect}: {reply}"
        tally.count(reply.status, what)
        if target.guarded and reply.status != 401:
            tally.deny(what)
        elif not target.guarded and defect is NOBODY:
            plain[target.method, target.path] = reply.status
        # What is open to nobody in particular is not opened further: a bad token gets what none gets, or less.
        elif not target.guarded and reply.status not in (plain[target.method, target.path], 400, 401, 422):
            tally.deny(what)

    every = list(attacks(by_role))
    with watched("wrong tokens", capsys) as tally:
        await side_by_side(api.port, (piece for piece in every if piece[2] is NOBODY), attack)
        await side_by_side(api.port, (piece for piece in every if piece[2] is not NOBODY), attack)
    kinds = {defect.kind for _, _, defect in every}
    assert len(kinds) >= 15, kinds
    assert tally.sent.total() == len(every) > 10_000
    for client in api.clients.values():
        assert (await client.get("/api/auth/me/")).status == 200, "and nobody lost their session over it"


async def test_a_role_that_was_changed_may_what_the_new_one_may_and_nothing_else(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """The token was good before; what it may now, if anything, is for the user's new role to say."""
    changed: list[tuple[Role, Role, Defect]] = []
    for role in Role:
        now = Role.AUDITOR if role is Role.VIEWER else Role.VIEWER
        client = await api.new_client(role)
        assert (await client.get("/api/auth/me/")).json["role"] == role.value
        await change(api, client, {"role": now.value})
        changed.append((role, now, Defect("role changed", bearer(str(client.token)))))

    async def attack(pipe: Pipe, piece: tuple[Target, tuple[Role, Role, Defect]]) -> None:
        target, (was, now, defect) = piece
        reply = await send(pipe, target, defect)
        what = f"{target} by {was}, {now} now: {reply}"
        tally.count(reply.status, what)
        if target.guarded and now not in target.roles and reply.status not in (401, 403):
            tally.deny(what)

    with watched("changed roles", capsys) as tally:
        await side_by_side(api.port, ((target, who) for target in every_target() for who in changed), attack)


async def test_a_good_token_opens_what_is_declared_for_its_role_alone(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {role: bearer(str((await api.new_client(role)).token)) for role in Role}

    async def attack(pipe: Pipe, piece: tuple[Target, Role]) -> None:
        target, role = piece
        reply = await send(pipe, target, Defect("none", good[role]))
        tally.count(reply.status, f"{target} by {role}: {reply}")
        if reply.status != 403:
            tally.deny(f"{target} by {role}: {reply}")

    work = [(target, role) for target in every_target() for role in Role if target.guarded and role not in target.roles]
    with watched("roles that may not", capsys) as tally:
        await side_by_side(api.port, work, attack)
    assert tally.sent.total() == len(work) > 100
