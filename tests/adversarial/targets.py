"""What is attacked: every method of every route in the application's own table."""

from collections.abc import Iterator
from typing import NamedTuple

from qsuite.domain.roles import Role
from qsuite.handlers.base import METHODS, ApiHandler
from qsuite.handlers.operations import Operation
from qsuite.handlers.routes import Route, all_routes

ID = "01920000-0000-7000-8000-000000000001"
PLACES = {"{id}": ID, "{name}": "x", "{symbol}": "IBM"}
"""Examples of what a path may hold; any other place gets an id."""
EVERY_METHOD = (*(method.upper() for method in METHODS), "HEAD", "OPTIONS", "TRACE")
ENDLESS = "/api/v1/stream/"


class Target(NamedTuple):
    """One method of one route; ``declared`` is None for a method that the route does not have."""

    method: str
    template: str
    path: str
    declared: Operation | None

    @property
    def roles(self) -> frozenset[Role]:
        """Return who may; nobody in particular is empty."""
        return frozenset() if self.declared is None else self.declared.roles

    @property
    def guarded(self) -> bool:
        """Say whether it needs a login."""
        return bool(self.roles)

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def fill(template: str) -> str:
    """Put an example into each place of a path."""
    for place, example in PLACES.items():
        template = template.replace(place, example)
    while "{" in template:
        before, _, rest = template.partition("{")
        template = before + ID + rest.partition("}")[2]
    return template


def targets() -> Iterator[Target]:
    """Give every method that a route has."""
    return (each for each in every_target() if each.declared is not None)


def every_target() -> Iterator[Target]:
    """Give every method of every route, also those it does not have."""
    for route in all_routes():
        for method in EVERY_METHOD:
            yield Target(method, route.template, fill(route.template), _declared(route, method))


def _declared(route: Route, method: str) -> Operation | None:
    assert issubclass(route.handler, ApiHandler)
    return route.handler.operations.get("GET" if method == "HEAD" else method)
