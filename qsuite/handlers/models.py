"""Trained models over HTTP: what they learnt from, and how they do on what they never saw."""

from marshmallow import fields

from qsuite.domain.errors import Forbidden
from qsuite.domain.models import ModelKind
from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.auth import uuid_of
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.job_schemas import JobSchema
from qsuite.handlers.jobs import WORKERS_EMPLOYERS, answer_job
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.model_schemas import ModelSchema
from qsuite.handlers.operations import operation
from qsuite.handlers.training_schemas import TrainModelSchema
from qsuite.services.models import show_model

ABSENT = "no such model"
UNCHANGING = 1
"""The version of what never changes."""

MODELS = ListingSpec(
    filters={
        "name": (fields.String(), EQUALITY),
        "kind": (fields.Enum(ModelKind, by_value=fields.String), EQUALITY),
        "algorithm": (fields.String(), EQUALITY),
        "usable": (fields.Boolean(), ("eq",)),
        "created_by": (fields.UUID(), EQUALITY),
        "created_at": (InstantField(), COMPARISONS),
    },
    search=True,
    orderings=("created_at", "name"),
    default_order=("-created_at",),
)


class ModelsHandler(ApiHandler):
    """All models."""

    @operation("List trained models, newest first", roles=EVERY_ROLE, listing=MODELS, returns={200: ModelSchema()})
    async def get(self) -> None:
        """List them."""
        page = await self.services.models.page(self.listing())
        self.answer_page(page, [show_model(model) for model in page.items])

    @operation(
        "Train a model by a job; it is kept whatever it is worth, and used only where it beats its baselines",
        roles=WORKERS_EMPLOYERS,
        body=TrainModelSchema(),
        returns={202: JobSchema()},
        bulk=True,
        scope=ThrottleScope.ANALYTICS,
    )
    async def post(self) -> None:
        """Queue the training. What texts are judged by from then on is everybody's, so an admin trains it."""
        asked = self.body
        if asked["kind"] is ModelKind.MARKET:
            job = await self.services.market_training.train(self.caller, asked)
        elif self.caller.role not in ADMINS:
            raise Forbidden("only an admin trains what everybody's texts are judged by")
        else:
            training = self.services.model_training
            job = await training.train_sentiment(self.caller, asked["name"], asked["description"], asked["rows"])
        answer_job(self, job)


class ModelHandler(ApiHandler):
    """One model."""

    @operation("Show a model and its scores", roles=EVERY_ROLE, returns={200: ModelSchema()})
    async def get(self, model_id: str) -> None:
        """Show it."""
        model = await self.services.models.get(uuid_of(model_id, ABSENT))
        self.answer_resource(show_model(model), UNCHANGING)

    @operation("Delete a model and its file", roles=ADMINS, returns={204: None})
    async def delete(self, model_id: str) -> None:
        """Delete it."""
        await self.services.models.delete(uuid_of(model_id, ABSENT), self.services.audit)
        self.answer_nothing()


routes = [
    (r"/api/v1/models/?", ModelsHandler),
    (r"/api/v1/models/([^/]+)/?", ModelHandler),
]
