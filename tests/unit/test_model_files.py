"""Estimators as bytes: what was dumped comes back, and nothing else is made of bytes."""

import hashlib
import io
import json
import sys
import zipfile
from typing import Any

import numpy as np
import pytest

from qsuite.domain.errors import TooLarge, Unavailable
from qsuite.services import model_files
from qsuite.services.model_files import dump, load, types_in

LOGISTIC = "sklearn.linear_model._logistic.LogisticRegression"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive_of(schema: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", schema)
    return packed.getvalue()


EMPTY = archive_of(b"{}")


@pytest.fixture(scope="module")
def fitted() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


def test_an_estimator_comes_back_with_what_it_learnt(fitted: Any) -> None:
    data = dump({"estimator": fitted, "scale": np.array([1.5])})
    loaded = load(data, digest(data), {LOGISTIC})
    assert loaded["scale"].tolist() == [1.5]
    assert np.array_equal(loaded["estimator"].coef_, fitted.coef_)


def test_a_type_that_is_not_named_is_not_loaded_although_skops_would(fitted: Any) -> None:
    data = dump(fitted)
    assert types_in(data) >= {LOGISTIC}
    with pytest.raises(Unavailable, match="LogisticRegression") as raised:
        load(data, digest(data), ())
    assert raised.value.code == "model.untrusted"


def test_a_file_that_calls_a_function_is_not_loaded() -> None:
    data = dump({"f": np.cos, "json": json.JSONDecoder})
    with pytest.raises(Unavailable, match=r"json\.decoder") as raised:
        load(data, digest(data), {LOGISTIC})
    assert raised.value.code == "model.untrusted"


def test_a_changed_byte_is_refused_before_anything_is_read(fitted: Any) -> None:
    data = dump(fitted)
    changed = data[:100] + bytes([data[100] ^ 1]) + data[101:]
    with pytest.raises(Unavailable) as raised:
        load(changed, digest(data), {LOGISTIC})
    assert raised.value.code == "model.damaged"


@pytest.mark.parametrize("data", [b"", b"no archive", b"\x80\x04N."], ids=["empty", "text", "pickle"])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(Unavailable) as raised:
        load(data, digest(data), {LOGISTIC})
    assert raised.value.code == "model.damaged"


def test_an_archive_that_would_unpack_beyond_the_bound_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "MAX_UNPACKED_BYTES", 1_000)
    data = archive_of(b" " * 1_001)
    with pytest.raises(TooLarge):
        load(data, digest(data), ())


@pytest.mark.parametrize("use", [lambda: dump([]), lambda: load(EMPTY, digest(EMPTY), ())], ids=["dump", "load"])
def test_without_the_libraries_it_is_said_what_to_install(use: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(Unavailable, match="extra 'models'") as raised:
        use()
    assert raised.value.code == "models.not_installed"
