"""Data sources over HTTP."""

from marshmallow import fields

from qsuite.domain.roles import ADMINS, EVERY_ROLE
from qsuite.handlers.auth import uuid_of
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import InstantField
from qsuite.handlers.listing import COMPARISONS, EQUALITY, ListingSpec
from qsuite.handlers.operations import operation
from qsuite.handlers.reference_schemas import DataSourceInputSchema, DataSourceSchema, shown_data_source

ABSENT = "no such data source"

DATA_SOURCES = ListingSpec(
    filters={
        "name": (fields.String(), EQUALITY),
        "code": (fields.String(), EQUALITY),
        "is_active": (fields.Boolean(), ("eq",)),
        "created_at": (InstantField(), COMPARISONS),
    },
    search=True,
    orderings=("code", "name", "created_at"),
    default_order=("code",),
)


class DataSourcesHandler(ApiHandler):
    """All data sources."""

    @operation("List data sources", roles=EVERY_ROLE, listing=DATA_SOURCES, returns={200: DataSourceSchema()})
    async def get(self) -> None:
        """List them."""
        page = await self.services.reference.list_data_sources(self.listing())
        self.answer_page(page, [shown_data_source(source) for source in page.items])

    @operation(
        "Add a data source",
        roles=ADMINS,
        body=DataSourceInputSchema(),
        returns={201: DataSourceSchema()},
        raises=(409,),
    )
    async def post(self) -> None:
        """Add one."""
        source = await self.services.reference.create_data_source(self.body)
        self.set_header("Location", f"/api/v1/data-sources/{source.id}/")
        self.answer_resource(shown_data_source(source), source.version, 201)


class DataSourceHandler(ApiHandler):
    """One data source."""

    @operation("Show a data source", roles=EVERY_ROLE, returns={200: DataSourceSchema()})
    async def get(self, source_id: str) -> None:
        """Show it."""
        source = await self.services.reference.data_source(uuid_of(source_id, ABSENT))
        self.answer_resource(shown_data_source(source), source.version)

    @operation(
        "Replace a data source",
        roles=ADMINS,
        body=DataSourceInputSchema(),
        returns={200: DataSourceSchema()},
        raises=(409, 412),
    )
    async def put(self, source_id: str) -> None:
        """Replace it."""
        await self._change(source_id)

    @operation(
        "Change fields of a data source",
        roles=ADMINS,
        body=DataSourceInputSchema(partial=True),
        returns={200: DataSourceSchema()},
        raises=(409, 412),
    )
    async def patch(self, source_id: str) -> None:
        """Change it."""
        await self._change(source_id)

    @operation("Delete a data source that no ticker refers to", roles=ADMINS, returns={204: None}, raises=(409, 412))
    async def delete(self, source_id: str) -> None:
        """Delete it."""
        found = uuid_of(source_id, ABSENT)
        await self.services.reference.delete_data_source(found, self.expected_version(found))
        self.answer_nothing()

    async def _change(self, source_id: str) -> None:
        found = uuid_of(source_id, ABSENT)
        source = await self.services.reference.change_data_source(found, self.body, self.expected_version(found))
        self.answer_resource(shown_data_source(source), source.version)


routes = [
    (r"/api/v1/data-sources/?", DataSourcesHandler),
    (r"/api/v1/data-sources/([^/]+)/?", DataSourceHandler),
]
