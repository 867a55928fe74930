"""The store of models: figures and files come back as they were, or not at all."""

import pytest
from pymongo.errors import WriteError
from uuid_utils.compat import uuid7

from qsuite.composition.models import make_models
from qsuite.domain.errors import NotFound, TooLarge, Unavailable
from qsuite.domain.models import ModelKind
from qsuite.repos import model_files
from qsuite.repos.audit_access import AuditAccessRepo
from qsuite.repos.database import Database
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.repos.models import SPEC, to_document
from qsuite.repos.schema import migrate
from qsuite.services.audit_trail import AuditTrail
from tests.support.models import FILE, a_model


async def test_a_model_comes_back_as_it_was_with_its_file(database: Database) -> None:
    await migrate(database, (SPEC, model_files.SPEC))
    store, model = make_models(database), a_model()
    await store.save(model, FILE)
    assert await store.get(model.id) == model
    assert await store.file(model) == FILE


async def test_saving_a_model_again_keeps_the_first(database: Database) -> None:
    store, model = make_models(database), a_model()
    await store.save(model, FILE)
    await store.save(a_model(b"other", id=model.id), b"other")
    assert await store.get(model.id) == model
    assert await store.file(model) == FILE


async def test_a_model_that_lacks_a_figure_is_refused_by_the_database(database: Database) -> None:
    await migrate(database, (SPEC,))
    document = to_document(a_model())
    del document["reason"]
    with pytest.raises(WriteError):
        database.sync.models.insert_one(document)


async def test_the_newest_usable_model_is_the_one_in_use(database: Database) -> None:
    store, day = make_models(database), a_model().created_at
    old, new = a_model(name="a"), a_model(name="b", created_at=day + 10**9)
    worse = a_model(usable=False, created_at=day + 2 * 10**9)
    for model in (new, old, worse):
        await store.save(model, FILE)
    assert await store.newest_usable(ModelKind.SENTIMENT) == new
    assert await store.newest_usable(ModelKind.SENTIMENT, "a") == old
    assert await store.newest_usable(ModelKind.MARKET) is None


async def test_a_deleted_model_leaves_no_file(database: Database) -> None:
    store, model, trail = make_models(database), a_model(), AuditTrail(AuditAccessRepo(database))
    await store.save(model, FILE)
    await store.delete(model.id, trail)
    assert await store.find(model.id) is None
    assert database.sync.model_files.count_documents({}) == 0
    with pytest.raises(NotFound):
        await store.delete(model.id, trail)


async def test_a_file_of_several_parts_is_put_together_in_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "PART_BYTES", 3)
    files, name = ModelFilesRepo(database), uuid7()
    for data in (b"0123456789", b"abcdef", b""):  # each in place of the one before
        digest = await files.save(name, data, now=0)
        assert await files.read(name, digest) == data
    assert database.sync.model_files.count_documents({}) == 1


async def test_a_changed_byte_and_a_lost_part_are_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "PART_BYTES", 3)
    files, name = ModelFilesRepo(database), uuid7()
    digest = await files.save(name, b"0123456789", now=0)
    database.sync.model_files.update_one({"file": name, "part": 1}, {"$set": {"data": b"34x"}})
    with pytest.raises(Unavailable) as changed:
        await files.read(name, digest)
    database.sync.model_files.delete_one({"file": name, "part": 1})
    with pytest.raises(Unavailable) as short:
        await files.read(name, digest)
    assert changed.value.code == short.value.code == "model.damaged"


async def test_a_file_beyond_the_bound_is_not_stored(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "MAX_BYTES", 3)
    with pytest.raises(TooLarge):
        await ModelFilesRepo(database).save(uuid7(), b"0123", now=0)
    assert database.sync.model_files.count_documents({}) == 0
