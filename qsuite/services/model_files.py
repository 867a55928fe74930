"""Turn trained estimators into bytes and back, without ever running what the bytes say.

    estimator ──dump──> bytes, kept with their sha256 ──load──> estimator
                                                        │ digest, size, then every type in the file
                                                        └──> model.damaged, model.untrusted

Invariants: nothing is unpickled; no type is made that its model's own list does not name, whatever skops would trust by
itself; both are settled before the first object is made. That a type is known does not make its content harmless (an
index in a tree is believed), so only files that this installation wrote itself are read: their digest is in ``models``.
Slow to import (seconds) and to run: for workers and tasks, never the event loop.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from importlib import import_module
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

from qsuite.domain.errors import TooLarge, Unavailable

MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
"""A file says how long it is unpacked; one that claims more is not touched."""

PLAIN = frozenset(
    {f"builtins.{name}" for name in ("NoneType", "bool", "dict", "float", "int", "list", "str", "tuple")}
    | {f"numpy.{name}" for name in ("dtype", "float32", "float64", "int32", "int64", "ndarray", "uint8", "uint32")}
)
"""Values and arrays of numbers, which every model is made of."""


def dump(estimator: Any) -> bytes:
    """Write an estimator, or a mapping or list of estimators and arrays, as bytes.

    The bytes of two equal estimators may differ, by times and by addresses they had in memory. Unavailable without the
    extra ``models``.
    """
    data: bytes = _skops().dumps(estimator, compression=ZIP_DEFLATED)
    return data


def load(data: bytes, sha256: str, trusted: Collection[str]) -> Any:
    """Return what ``dump`` wrote. ``trusted`` names, in full, every type it may hold beside ``PLAIN``.

    Unavailable for other bytes than were digested, for a type not named, and without the extra ``models``.
    """
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Unavailable("the model's file is not the one that was saved: train again", code="model.damaged")
    unnamed = types_in(data) - PLAIN - set(trusted)
    if unnamed:
        raise Unavailable(
            f"the model's file holds what is not loaded: {', '.join(sorted(unnamed))}", code="model.untrusted"
        )
    return _skops().loads(data, trusted=sorted(trusted))


def types_in(data: bytes) -> set[str]:
    """Return the full names of all types that a file of ``dump`` holds, making none of them.

    Unavailable for what is no such file, TooLarge for one that would unpack to more than ``MAX_UNPACKED_BYTES``.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise TooLarge(f"a model may take {MAX_UNPACKED_BYTES:,} bytes unpacked")
            return set(_types(json.loads(archive.read("schema.json"))))
    except (BadZipFile, KeyError, ValueError) as error:
        raise Unavailable("the model's file cannot be read: train again", code="model.damaged") from error


def _types(described: Any) -> Iterator[str]:
    """Yield the types of a description and of all within it."""
    waiting = [described]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "__class__" in each:
                yield f"{each.get('__module__')}.{each['__class__']}"
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _skops() -> Any:
    try:
        return import_module("skops.io")
    except ImportError:
        raise Unavailable(
            "models need scikit-learn and skops: install QSuite with its extra 'models'", code="models.not_installed"
        ) from None
