"""Codes of a second factor on a real database: right by RFC 6238, right once, and sealed."""

import asyncio
import base64
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from qsuite.domain.errors import Conflict
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.database import Database
from qsuite.repos.schema import migrate
from qsuite.repos.second_factors import SPEC, SecondFactorsRepo
from qsuite.repos.signing_keys import SigningKeysRepo
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.keyring import Keyring
from qsuite.services.seals import Seals
from qsuite.services.second_factors import SecondFactors
from qsuite.services.secrets import Secrets
from tests.support.codes import totp_at

S = 1_000_000_000
OLD, NEW = "an old secret of more than 32 characters", "a new secret of more than 32 characters!"
# RFC 6238, appendix B, the column of SHA-1: the last six of its eight digits.
VECTORS = [
    (59, "94287082"),
    (1_111_111_109, "07081804"),
    (1_111_111_111, "14050471"),
    (1_234_567_890, "89005924"),
    (2_000_000_000, "69279037"),
    (20_000_000_000, "65353130"),
]
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000_000_000

    def __call__(self) -> int:
        return self.now_s * S


class Phone:
    """A user, their phone and the server's side."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        self.repo = SecondFactorsRepo(database)
        self.keys = SigningKeysRepo(database)
        self.trail = AuditTrail(AuditAccessRepo(database), clock=self.clock)
        self.user = uuid4()

    async def ring(self, *secrets: str) -> Keyring:
        """Return the keys of a server that was given these secrets, the current one first."""
        given = Secrets(secrets[0], secrets[1:])
        ring = Keyring(secrets=given, repo=self.keys, trail=self.trail, token_s=60, clock=self.clock)
        await ring.start()
        return ring

    def server(self, ring: Keyring) -> SecondFactors:
        return SecondFactors(repo=self.repo, seals=Seals(ring), clock=self.clock)

    async def start(self) -> None:
        self.codes = self.server(await self.ring(OLD))

    async def enrol(self) -> tuple[str, ...]:
        self.secret = await self.codes.begin(self.user, "maria")
        recovery = await self.codes.confirm(await self.factor(), self.code())
        assert recovery is not None
        self.clock.now_s += 60
        return recovery

    async def factor(self):
        factor = await self.repo.find(self.user)
        assert factor is not None
        return factor

    def code(self, ahead_s: int = 0) -> str:
        return totp_at(self.secret, self.clock.now_s + ahead_s)

    async def lets_in(self, code: str, codes: SecondFactors | None = None) -> bool:
        return await (codes or self.codes).use(await self.factor(), code)


@pytest.fixture
def phone(database: Database, io_loop) -> Phone:
    phone = Phone(database)

    async def start() -> None:
        await migrate(database, (SPEC,))
        await phone.start()

    io_loop.run_sync(start)
    return phone


async def test_the_codes_are_those_of_rfc_6238(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyotp.random_base32", lambda: RFC_SECRET)
    phone.clock.now_s = 0
    await phone.codes.begin(phone.user, "maria")
    assert await phone.codes.confirm(await phone.factor(), totp_at(RFC_SECRET, 0)) is not None
    for at, eight in VECTORS:
        assert totp_at(RFC_SECRET, at, digits=8) == eight
        phone.clock.now_s = at
        assert not await phone.lets_in(f"{(int(eight) + 1) % 10**6:06d}")
        assert await phone.lets_in(eight[2:])
        assert not await phone.lets_in(eight[2:])


async def test_a_phones_clock_may_be_one_step_off_and_no_more(phone: Phone) -> None:
    await phone.enrol()
    for off, right in ((-60, False), (-30, True), (0, True), (30, True), (60, False)):
        phone.clock.now_s += 300
        assert await phone.lets_in(phone.code(off)) == right


async def test_what_was_used_or_came_before_it_never_lets_in(phone: Phone) -> None:
    await phone.enrol()
    ahead = phone.code(30)
    assert await phone.lets_in(ahead)
    for used in (ahead, phone.code(), phone.code(-30)):
        assert not await phone.lets_in(used)
    phone.clock.now_s += 30
    assert not await phone.lets_in(ahead)
    phone.clock.now_s += 30
    assert await phone.lets_in(phone.code())


async def test_of_many_who_come_with_one_code_at_once_one_gets_in(phone: Phone) -> None:
    recovery = await phone.enrol()
    for code in (phone.code(), recovery[0]):
        assert sum(await asyncio.gather(*(phone.lets_in(code) for _ in range(50)))) == 1


async def test_each_recovery_code_lets_in_once_however_it_is_typed(phone: Phone) -> None:
    recovery = await phone.enrol()
    assert len(set(recovery)) == 10
    assert all(len(code.replace("-", "")) == 16 for code in recovery)
    for code in (recovery[0], recovery[1].lower(), recovery[2].replace("-", " ")):
        assert await phone.lets_in(code)
        assert not await phone.lets_in(code)
    assert len((await phone.factor()).recovery) == 7
    renewed = await phone.codes.renew_recovery(phone.user)
    assert renewed is not None
    assert not await phone.lets_in(recovery[3])
    assert await phone.lets_in(renewed[0])


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", "0" * 16, "A" * 17, "$ne"]
)
async def test_what_is_no_code_lets_nobody_in(phone: Phone, code: str) -> None:
    await phone.enrol()
    assert not await phone.lets_in(code)


async def test_a_pending_secret_lets_nobody_in_and_gives_way_to_another_and_a_confirmed_one_does_not(
    phone: Phone,
) -> None:
    phone.secret = first = await phone.codes.begin(phone.user, "maria")
    assert not await phone.lets_in(phone.code())
    stale = await phone.factor()
    phone.secret = await phone.codes.begin(phone.user, "maria")
    assert await phone.codes.confirm(stale, totp_at(first, phone.clock.now_s)) is None
    assert await phone.codes.confirm(await phone.factor(), phone.code()) is not None
    with pytest.raises(Conflict):
        await phone.codes.begin(phone.user, "maria")
    assert await phone.codes.confirm(await phone.factor(), phone.code(30)) is None


async def test_whoever_reads_the_database_reads_no_secret_and_no_code(phone: Phone, database: Database) -> None:
    recovery = await phone.enrol()
    stored = str(await database.collection("second_factors").find_one({"_id": phone.user}))
    for secret in (phone.secret, base64.b32decode(phone.secret).hex(), *recovery, recovery[0].replace("-", "")):
        assert secret not in stored


async def test_a_secret_moved_to_another_user_or_changed_does_not_open(phone: Phone) -> None:
    ring = await phone.ring(OLD)
    seals = Seals(ring)
    sealed = seals.seal(b"a secret", phone.user)
    assert seals.open(sealed, phone.user) == b"a secret"
    assert seals.seal(b"a secret", phone.user) != sealed
    head, _, text = sealed.rpartition(".")
    flipped = "A" if text[20] != "A" else "B"
    changed = [
        f"{head}.{text[:20]}{flipped}{text[21:]}",
        f"{head}.{text[:-4]}",
        f"{head}.!",
        "",
        "1.",
        f"2{sealed[1:]}",
    ]
    for broken in changed:
        with pytest.raises(ValueError, match="sealed"):
            seals.open(broken, phone.user)
    with pytest.raises(ValueError, match="another's"):
        seals.open(sealed, UUID(int=1))
    await ring.rotate(0)
    assert seals.outdated(sealed)
    assert not seals.outdated(seals.seal(b"a secret", phone.user))
    assert seals.open(sealed, phone.user) == b"a secret"
    with pytest.raises(ValueError, match="does not have"):
        Seals(await phone.ring(NEW)).open(sealed, phone.user)


async def test_after_a_change_of_the_servers_secret_old_ones_open_and_are_sealed_anew_when_used(phone: Phone) -> None:
    await phone.enrol()
    before = (await phone.factor()).sealed
    ring = await phone.ring(NEW, OLD)
    await ring.rotate(0)
    both, new = phone.server(ring), phone.server(await phone.ring(NEW))
    assert not await phone.lets_in(phone.code(), new)
    assert await phone.lets_in(phone.code(), both)
    assert (await phone.factor()).sealed != before
    phone.clock.now_s += 60
    assert await phone.lets_in(phone.code(), new)
    # Who read it before it was sealed anew does not bring the old one back.
    stale = replace(await phone.factor(), sealed=before)
    phone.clock.now_s += 60
    assert not await both.use(stale, phone.code())
