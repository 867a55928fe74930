"""A thousand random changes to the audit record, of a thousand found: in a database and in an exported file.

The chains are made once, by what writes them; each try changes one thing, has the chains verified, and puts it back.
"""

import io
import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern
from tornado.ioloop import IOLoop

from qsuite.composition.operations import record_state
from qsuite.domain.audit_proof import ACCESS, CHAINS, TRADING, ChainShape
from qsuite.domain.trading.audit import Chain
from qsuite.repos.audit import entry_document
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.audit_rows import AuditRows
from qsuite.repos.database import CODEC, DURABLE, Database, connect
from qsuite.services.audit_heads import AuditHeads
from qsuite.services.audit_keys import AuditSigner
from qsuite.services.audit_proof import export_chains, verify_chain, verify_chains, verify_file
from qsuite.services.audit_trail import AuditTrail
from qsuite.services.health import Record
from tests.support.auth import SECRET

TRIES = 1_000
CUTS = 1_000
ENTRIES = 12
SEED = 20261122
NOW = 1_763_800_000_123_000_000


class Made:
    """A database with both chains, its signed heads, and its export."""

    def __init__(self, database: Database, heads: AuditHeads, exported: bytes) -> None:
        self.database = database
        self.heads = heads
        self.signer = heads.signer
        self.exported = exported
        self.rows = AuditRows(database)
        self.originals = {
            chain.name: {row["_id"]: row for row in database.sync[chain.collection].find().sort("_id", 1)}
            for chain in CHAINS
        }

    def raw(self, chain: ChainShape) -> Any:
        """The collection, its documents as bytes."""
        return self.database.sync.get_collection(
            chain.collection, CODEC.with_options(document_class=RawBSONDocument), write_concern=WriteConcern(w=1)
        )

    def reason(self, chain: ChainShape) -> str | None:
        """What the verifier says of one chain."""
        return verify_chain(self.rows, chain, self.heads.path, self.signer.checker).reason

    def reasons(self) -> dict[str, str | None]:
        """What the verifier says of each chain."""
        found = verify_chains(self.rows, self.heads.path, self.signer.checker)
        return {verdict.chain: verdict.reason for verdict in found}


@pytest.fixture(scope="module")
def made(mongod: str, io_loop: IOLoop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    database = connect(mongod, "test_audit_tampering", pool_size=4)
    heads = AuditHeads(
        database,
        AuditSigner([SECRET]),
        tmp_path_factory.mktemp("heads") / "audit-heads.jsonl",
        interval_s=60,
        alarm=lambda chain, seq: None,
    )

    async def fill() -> bytes:
        trail, chain = AuditTrail(AuditAccessRepo(database), clock=lambda: NOW), Chain()
        trading = [
            chain.add(
                NOW, "order.filled", "engine", f"0199-{n}", "0199-a", {"price": "181.52", "n": n, "b": n % 2 == 0}
            )
            for n in range(ENTRIES)
        ]
        await database.collection("audit_log").insert_many([entry_document(entry) for entry in trading])
        await database.collection("engine_state").insert_one(
            {"_id": "engine", "audit_seq": chain.seq, "audit_hash": chain.head}
        )
        for n in range(ENTRIES):
            await trail.record(
                "user.changed",
                actor_name="änna",
                subject=n,
                facts={"fields": ["role"], "n": n, "much": 2**40 + n, "none": None},
                request_id=f"r-{n}",
                address="192.0.2.7",
            )
        await heads.run_once(NOW)
        file = io.BytesIO()
        await database.in_thread(export_chains, AuditRows(database), heads.signer, file, clock=lambda: NOW)
        return file.getvalue()

    yield Made(database, heads, io_loop.run_sync(fill))
    database.sync_client.drop_database(database.name)
    database.close()


def test_chains_that_nobody_touched_are_found_whole(made: Made, tmp_path: Path) -> None:
    assert made.reasons() == {"trading": None, "access": None}
    path = tmp_path / "export.ndjson"
    path.write_bytes(made.exported)
    verdicts = verify_file(path, made.heads.path, made.signer.checker)
    assert [(one.chain, one.entries, one.signed, one.reason) for one in verdicts] == [
        ("trading", ENTRIES, 2, None),
        ("access", ENTRIES, 2, None),
    ]


def test_any_one_byte_changed_in_the_database_is_found(made: Made) -> None:
    chance, unreadable, found = random.Random(SEED), 0, 0
    for _ in range(TRIES):
        chain = chance.choice(CHAINS)
        original = made.originals[chain.name][chance.randint(1, ENTRIES)]
        while True:
            changed = flipped(chance, bson.encode(original, codec_options=CODEC))
            if storable(changed):
                break
            unreadable += 1  # mongod keeps no such document
        put_back = put_in(made, chain, original, changed)
        found += made.reason(chain) is not None
        put_back()
    report(f"{found} of {TRIES} one-byte changes in the database found ({unreadable} more were no documents)")
    assert found == TRIES
    replace_all(made, TRADING, list(made.originals["trading"].values()))
    replace_all(made, ACCESS, list(made.originals["access"].values()))
    assert made.reasons() == {"trading": None, "access": None}


def test_any_one_byte_changed_in_an_exported_file_is_found(made: Made, tmp_path: Path) -> None:
    chance, found, path = random.Random(SEED), 0, tmp_path / "export.ndjson"
    path.write_bytes(made.exported)
    with path.open("rb+", buffering=0) as file:
        for _ in range(TRIES):
            position = chance.randrange(len(made.exported))
            os.pwrite(file.fileno(), bytes([made.exported[position] ^ chance.randint(1, 255)]), position)
            found += any(one.reason for one in verify_file(path, None, made.signer.checker))
            os.pwrite(file.fileno(), made.exported[position : position + 1], position)
        assert not any(one.reason for one in verify_file(path, None, made.signer.checker))
    report(f"{found} of {TRIES} one-byte changes in an exported file found")
    assert found == TRIES


def test_any_tail_cut_off_an_exported_file_is_found(made: Made, tmp_path: Path) -> None:
    chance, found, path = random.Random(SEED), 0, tmp_path / "export.ndjson"
    cuts = chance.sample(range(len(made.exported)), CUTS)
    for cut in cuts:
        path.write_bytes(made.exported[:cut])
        found += any(one.reason for one in verify_file(path, None, made.signer.checker))
    assert found == CUTS


def cut_tail(documents: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    return documents[: chance.randrange(len(documents))]


def delete_one(documents: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    gone = chance.randrange(len(documents))
    return documents[:gone] + documents[gone + 1 :]


def swap_two(documents: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    one, other = chance.sample(range(len(documents)), 2)
    first, second = documents[one], documents[other]
    documents[one], documents[other] = {**second, "_id": first["_id"]}, {**first, "_id": second["_id"]}
    return documents


def insert_at_the_end(documents: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    last = documents[-1]
    return [*documents, {**last, "_id": last["_id"] + 1, "prev_hash": last["hash"]}]


def insert_out_of_order(documents: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    return [*documents, {**chance.choice(documents), "_id": chance.choice([-1, 0, 2.5, "7", None])}]


@pytest.mark.parametrize("change", [cut_tail, delete_one, swap_two, insert_at_the_end, insert_out_of_order])
@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.name)
def test_entries_taken_out_swapped_or_put_in_are_found(
    made: Made, chain: ChainShape, change: Callable[[list[dict[str, Any]], random.Random], list[dict[str, Any]]]
) -> None:
    originals, chance = list(made.originals[chain.name].values()), random.Random(SEED)
    for _ in range(10):
        replace_all(made, chain, change(list(originals), chance))
        assert made.reason(chain) is not None
    replace_all(made, chain, originals)
    assert made.reason(chain) is None


@pytest.mark.parametrize("keep_head", [True, False], ids=["head kept", "head rewritten too"])
def test_a_chain_hashed_anew_after_a_change_contradicts_its_signed_head(made: Made, keep_head: bool) -> None:
    documents, state = list(made.originals["trading"].values()), made.database.sync.engine_state
    chain, forged = Chain(), []
    for document in documents:
        facts = {**document["facts"], "price": "999.99"} if document["_id"] == 7 else document["facts"]
        entry = chain.add(NOW, document["kind"], document["actor"], document["subject"], document["account"], facts)
        forged.append(entry_document(entry))
    replace_all(made, TRADING, forged)
    kept = state.find_one({"_id": "engine"})
    if not keep_head:
        state.update_one({"_id": "engine"}, {"$set": {"audit_hash": chain.head}})
    assert made.reasons()["trading"] is not None
    state.replace_one({"_id": "engine"}, kept)
    replace_all(made, TRADING, documents)
    assert made.reasons()["trading"] is None


def test_the_entry_that_was_changed_is_named(made: Made) -> None:
    documents = list(made.originals["access"].values())
    replace_all(made, ACCESS, [one if one["_id"] != 5 else {**one, "address": "192.0.2.8"} for one in documents])
    (verdict,) = [one for one in verify_chains(made.rows, made.heads.path, made.signer.checker) if one.reason]
    assert (verdict.chain, verdict.bad_seq, verdict.entries) == ("access", 5, 4)
    replace_all(made, ACCESS, documents)


def test_a_head_of_another_key_or_with_another_signature_is_refused(made: Made, tmp_path: Path) -> None:
    chance, original, path = random.Random(SEED), made.heads.path.read_bytes(), tmp_path / "heads.jsonl"
    for _ in range(50):
        position = chance.randrange(len(original) - 1)  # the last byte ends the line
        path.write_bytes(
            original[:position] + bytes([original[position] ^ chance.randint(1, 255)]) + original[position + 1 :]
        )
        found = verify_chains(made.rows, path, made.signer.checker)
        assert any(one.reason for one in found), path.read_bytes()
    others = AuditSigner(["another-secret-of-more-than-32-characters"])
    assert all(one.reason for one in verify_chains(made.rows, made.heads.path, others.checker))


async def test_the_loop_raises_the_alarm_when_the_chain_is_not_what_it_signed(made: Made) -> None:
    told: list[tuple[str, int]] = []
    heads = AuditHeads(
        made.database, made.signer, made.heads.path, interval_s=60, alarm=lambda chain, seq: told.append((chain, seq))
    )
    documents = list(made.originals["access"].values())
    await heads.run_once(NOW)
    replace_all(made, ACCESS, documents[:-3])
    before = made.heads.path.read_bytes()
    await heads.run_once(NOW)
    await heads.run_once(NOW)
    assert told == [("access", ENTRIES)]
    assert heads.broken == {"access"}
    assert record_state(heads) is Record.BROKEN
    assert made.heads.path.read_bytes() == before  # no new signature for what was changed
    replace_all(made, ACCESS, documents)
    await heads.run_once(NOW)
    assert heads.broken == set()
    assert record_state(heads) is Record.OK


def report(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def flipped(chance: random.Random, whole: bytes) -> bytes:
    """One byte of it another one."""
    position = chance.randrange(len(whole))
    return whole[:position] + bytes([whole[position] ^ chance.randint(1, 255)]) + whole[position + 1 :]


def storable(raw: bytes) -> bool:
    """Whether a database could hold these bytes as a document."""
    try:
        document = bson.decode(raw, CODEC)
    except (bson.errors.BSONError, ValueError, OverflowError):
        return False
    return "_id" in document and not isinstance(document["_id"], (bson.regex.Regex, list))


def put_in(made: Made, chain: ChainShape, original: dict[str, Any], changed: bytes) -> Callable[[], object]:
    """Store a changed entry in the place of its original; return what undoes it."""
    collection, own, identity = made.raw(chain), original["_id"], RawBSONDocument(changed)["_id"]
    if type(identity) is type(own) and identity == own:
        durable(collection).replace_one({"_id": own}, RawBSONDocument(changed))
        return lambda: collection.replace_one({"_id": own}, original)
    # Its number is another one now, maybe another entry's, whose place it takes then.
    there = [one for key, one in made.originals[chain.name].items() if key in (own, identity)]
    collection.delete_many({"_id": {"$in": [own, identity]}})
    durable(collection).insert_one(RawBSONDocument(changed))  # or a majority would still read what was there

    def put_back() -> None:
        collection.delete_one({"_id": identity})
        collection.insert_many(there)

    return put_back


def replace_all(made: Made, chain: ChainShape, documents: list[dict[str, Any]]) -> None:
    made.raw(chain).delete_many({})
    if documents:
        durable(made.raw(chain)).insert_many(documents)


def durable(collection: Any) -> Any:
    return collection.with_options(write_concern=DURABLE)
