"""A model with its file, made up for tests of the store."""

import hashlib
import uuid
from typing import Any

from uuid_utils.compat import uuid7

from qsuite.domain.models import Model, ModelKind, Score, TrainedOn
from qsuite.domain.times import NS_PER_S

FILE = b"what it learnt"


def a_model(data: bytes = FILE, **changed: Any) -> Model:
    """Return a usable model whose file is ``data``."""
    values: dict[str, Any] = {
        "id": uuid7(),
        "name": "headlines",
        "kind": ModelKind.SENTIMENT,
        "algorithm": "tfidf_logistic_v1",
        "created_by": uuid.UUID(int=1),
        "created_at": 1_700_000_000 * NS_PER_S,
        "trained_on": TrainedOn(description="headlines.csv", rows=3, sha256="0" * 64),
        "parameters": {"seed": 1, "c": 4.0, "columns": ["text", "label"]},
        "scores": {"macro_f1": Score(0.7, 0.65, 0.75), "rows": Score(40.0)},
        "baselines": {"majority": {"macro_f1": Score(0.2, 0.19, 0.21)}},
        "usable": True,
        "reason": "it beats its baselines",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
    }
    return Model(**values | changed)
