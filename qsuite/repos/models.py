"""Trained models, without their files.

{ _id: UUID("0199…"), name: "headlines", kind: "sentiment", algorithm: "tfidf_logistic_v1",
  created_by: UUID("0198…"), created_at: ISODate("2026-11-22T09:00:00.000Z"),
  trained_on: { description: "headlines.csv", rows: 2695, sha256: "9f2c…" },
  parameters: { seed: 1, c: 4.0 },
  scores: { macro_f1: { value: 0.71, low: 0.67, high: 0.75 }, accuracy: { value: 0.77, low: 0.74, high: 0.8 } },
  baselines: { lexicon: { macro_f1: { value: 0.49, low: 0.45, high: 0.53 } }, majority: { … } },
  usable: true, reason: "its macro-F1 is above the lexicon's", sha256: "51aa…", size_bytes: 812345 }

The file is in ``model_files`` under the model's id. A model never changes.
"""

from typing import Any
from uuid import UUID

from pymongo import DESCENDING, IndexModel

from qsuite.domain.errors import NotFound
from qsuite.domain.models import Model, ModelKind, Score, Scores, TrainedOn
from qsuite.domain.times import datetime_to_ns, ns_to_datetime
from qsuite.repos.database import Database, Document, Session, translated
from qsuite.repos.documents import DocumentRepo
from qsuite.repos.listing import instant, plain
from qsuite.repos.schema import CollectionSpec, schema

NAME = "models"

WHOLE = {"bsonType": ["int", "long"], "minimum": 0}

SPEC = CollectionSpec(
    NAME,
    schema(
        "_id name kind algorithm created_by created_at trained_on parameters scores baselines usable reason sha256 "
        "size_bytes",
        {
            "_id": {"bsonType": "binData"},
            "name": {"bsonType": "string", "minLength": 1},
            "kind": {"enum": [kind.value for kind in ModelKind]},
            "algorithm": {"bsonType": "string"},
            "created_by": {"bsonType": "binData"},
            "created_at": {"bsonType": "date"},
            "trained_on": schema(
                "description rows sha256",
                {"description": {"bsonType": "string"}, "rows": WHOLE, "sha256": {"bsonType": "string"}},
            ),
            "parameters": {"bsonType": "object"},
            "scores": {"bsonType": "object"},
            "baselines": {"bsonType": "object"},
            "usable": {"bsonType": "bool"},
            "reason": {"bsonType": "string"},
            "sha256": {"bsonType": "string", "minLength": 64, "maxLength": 64},
            "size_bytes": WHOLE,
        },
    ),
    (
        IndexModel([("kind", 1), ("usable", 1), ("created_at", -1), ("_id", -1)], name="newest_usable"),
        IndexModel([("name", 1), ("created_at", -1), ("_id", -1)], name="of_a_name"),
        IndexModel([("created_at", -1), ("_id", -1)], name="newest"),
    ),
)

FIELDS = {
    "id": plain("_id"),
    "name": plain("name"),
    "kind": plain("kind"),
    "algorithm": plain("algorithm"),
    "usable": plain("usable"),
    "created_by": plain("created_by"),
    "created_at": instant("created_at"),
}


class ModelsRepo(DocumentRepo[Model]):
    """Keep what is known of models; there is no saving of a changed one."""

    def __init__(self, database: Database) -> None:
        super().__init__(
            database,
            NAME,
            "model",
            to_document=to_document,
            to_domain=to_domain,
            fields=FIELDS,
            search_fields=("name",),
        )

    async def newest_usable(self, kind: ModelKind, name: str | None = None) -> Model | None:
        """Return the newest model of a kind, and of a name where one is given, that may be used; or None."""
        condition: Document = {"kind": kind.value, "usable": True}
        if name is not None:
            condition["name"] = name
        return await self._newest(condition)

    async def newest(self, kind: ModelKind, name: str) -> Model | None:
        """Return the newest model of a kind and name, whether it may be used or not; or None."""
        return await self._newest({"kind": kind.value, "name": name})

    async def newest_of_market(self, algorithm: str, symbol: str, interval: str) -> Model | None:
        """Return the newest usable model of the market, made so, that learned from a symbol's bars; or None."""
        condition = {"kind": ModelKind.MARKET.value, "usable": True, "algorithm": algorithm}
        return await self._newest(condition | {"parameters.symbols": symbol, "parameters.interval": interval})

    async def _newest(self, condition: Document) -> Model | None:
        with translated(self.what):
            found = await self.collection.find_one(condition, sort=[("created_at", DESCENDING), ("_id", DESCENDING)])
        return None if found is None else to_domain(found)

    async def remove(self, identity: UUID, session: Session = None) -> None:
        """Remove one. NotFound if there is none."""
        with translated(self.what):
            result = await self.collection.delete_one({"_id": identity}, session=session)
        if not result.deleted_count:
            raise NotFound(f"no model {identity}")


def to_document(model: Model) -> Document:
    """Write a model as it is stored."""
    trained_on = model.trained_on
    return {
        "_id": model.id,
        "name": model.name,
        "kind": model.kind.value,
        "algorithm": model.algorithm,
        "created_by": model.created_by,
        "created_at": ns_to_datetime(model.created_at),
        "trained_on": {
            "description": trained_on.description,
            "rows": trained_on.rows,
            "sha256": trained_on.sha256,
        },
        "parameters": dict(model.parameters),
        "scores": _scores_document(model.scores),
        "baselines": {name: _scores_document(scores) for name, scores in model.baselines.items()},
        "usable": model.usable,
        "reason": model.reason,
        "sha256": model.sha256,
        "size_bytes": model.size_bytes,
    }


def to_domain(document: dict[str, Any]) -> Model:
    """Read a stored model."""
    return Model(
        id=document["_id"],
        name=document["name"],
        kind=ModelKind(document["kind"]),
        algorithm=document["algorithm"],
        created_by=document["created_by"],
        created_at=datetime_to_ns(document["created_at"]),
        trained_on=TrainedOn(**{name: document["trained_on"][name] for name in ("description", "rows", "sha256")}),
        parameters=document["parameters"],
        scores=_scores(document["scores"]),
        baselines={name: _scores(scores) for name, scores in document["baselines"].items()},
        usable=document["usable"],
        reason=document["reason"],
        sha256=document["sha256"],
        size_bytes=document["size_bytes"],
    )


def _scores_document(scores: Scores) -> Document:
    return {name: {"value": each.value, "low": each.low, "high": each.high} for name, each in scores.items()}


def _scores(stored: dict[str, Any]) -> dict[str, Score]:
    return {name: Score(each["value"], each["low"], each["high"]) for name, each in stored.items()}
