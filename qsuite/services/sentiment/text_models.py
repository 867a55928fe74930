"""Text models as files: names and numbers in JSON, so that reading one can run nothing.

{"format": "qsuite.text_model/1", "terms": ["profit", "not_good", …], "idf": […], "weights": [[…], …],
 "lexicon": [[…], …], "bias": […], "temperature": 1.1}
"""

import hashlib
from collections import OrderedDict

import numpy as np
import orjson

from qsuite.domain.analytics.text_model import Floats, TextModel
from qsuite.domain.errors import Unavailable

FORMAT = "qsuite.text_model/1"
DIGITS = 6
"""Weights are of the order of one; what is beyond this changes no label and fills the file."""
CACHED = 4


def write_model(model: TextModel) -> bytes:
    """Write a model as a file; equal models give equal files."""
    arrays = {
        "idf": model.idf,
        "weights": model.weights,
        "lexicon": model.lexicon,
        "bias": model.bias,
    }
    lists = {name: np.round(array, DIGITS).tolist() for name, array in arrays.items()}
    return orjson.dumps(
        {"format": FORMAT, "terms": list(model.terms), **lists, "temperature": round(model.temperature, DIGITS)}
    )


def read_model(data: bytes, sha256: str) -> TextModel:
    """Read a model. Unavailable for other bytes than were digested, and for what is no model."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Unavailable("the model's file is not the one that was saved: train again", code="model.damaged")
    try:
        found = orjson.loads(data)
        if found["format"] != FORMAT or not all(isinstance(term, str) for term in found["terms"]):
            raise ValueError("another format")
        arrays = {name: _array(found[name]) for name in ("idf", "weights", "lexicon", "bias")}
        return TextModel(terms=found["terms"], **arrays, temperature=float(found["temperature"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Unavailable("the model's file is no text model: train again", code="model.damaged") from error


def _array(values: object) -> Floats:
    return np.asarray(values, dtype=np.float64)


class ModelCache:
    """The models that this process used last, by the digest of their files."""

    def __init__(self) -> None:
        self._models: OrderedDict[str, TextModel] = OrderedDict()

    def get(self, sha256: str, data: bytes | None) -> TextModel | None:
        """Return a model, read from ``data`` where it is not known yet; None where that is not given either."""
        known = self._models.get(sha256)
        if known is None:
            if data is None:
                return None
            known = self._models[sha256] = read_model(data, sha256)
        self._models.move_to_end(sha256)
        while len(self._models) > CACHED:
            self._models.popitem(last=False)
        return known
