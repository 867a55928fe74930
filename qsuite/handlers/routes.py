"""Every route of the HTTP API, gathered from the handler modules, and the application that finds them.

A handler module ends in ``routes = [(pattern, Handler), …]``; being in this package is all it takes to be served.

Invariant: a literal address wins over a pattern (``orders/bulk/`` is never an order's id), so the order of modules and
lines decides nothing; two handlers for one address stop the start.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler, _HandlerDelegate

import qsuite.handlers as package
from qsuite.domain.scopes import NO_SCOPE, Scopes
from qsuite.handlers.limits import UnknownRoute
from qsuite.handlers.places import NOT_SAID, Entry, entry_of
from qsuite.handlers.scopes import scopes_of
from qsuite.handlers.wire import DefaultHeaders
from qsuite.services.container import Services
from qsuite.services.forwarding.forwarder import Forwarder

LogFunction = Callable[[RequestHandler], None]

_GROUP = re.compile(r"\((?:\?P<(?P<name>\w+)>)?(?:\[[^\]]*\]|[^()\[\]])*\)")
_OPTIONAL_SLASH = "/?"
_SIGNS = frozenset("()[]*+?|\\^$")


class Route(NamedTuple):
    """One address: a regular expression, its handler, and arguments of the handler's ``initialize``."""

    pattern: str
    handler: type[RequestHandler]
    kwargs: dict[str, Any] = {}  # noqa: RUF012  never changed

    @property
    def template(self) -> str:
        """Return the address as documents show it."""
        return route_template(self.pattern)


def route_template(pattern: str) -> str:
    """Turn ``/api/v1/orders/([^/]+)/?`` into ``/api/v1/orders/{id}/``; named groups keep their name."""
    path = pattern.removesuffix("$")
    slash = "/" if path.endswith(_OPTIONAL_SLASH) else ""
    return _GROUP.sub(lambda match: "{%s}" % (match["name"] or "id"), path.removesuffix(_OPTIONAL_SLASH)) + slash


def all_routes() -> list[Route]:
    """Return what the modules of this package declare, in the order of their names."""
    return list(_gather())


def _gather() -> Iterator[Route]:
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        for route in getattr(module, "routes", ()):
            yield Route(*route)


class ApiApplication(Application):
    """Tornado's application, with routes found by a lookup instead of one expression after the other."""

    forward: Forwarder | None = None
    """Sends commands to the process with the engine, where several may share a database."""

    def __init__(self, routes: Iterable[Route], **settings: Any) -> None:
        super().__init__([], default_handler_class=UnknownRoute, **settings)
        self._places: dict[tuple[type[RequestHandler], str], Entry] = {}
        self.routes = list(routes)
        self._literal: dict[str, Route] = {}
        self._patterns: dict[int, list[tuple[re.Pattern[str], Route]]] = {}
        self._deep: list[tuple[re.Pattern[str], Route]] = []
        self._scopes: dict[tuple[type[RequestHandler], str], Scopes] = {}
        for route in self.routes:
            self._add(route)
            self._note_scopes(route)
            self._note_places(route)

    def entry_of(self, handler: type[RequestHandler], method: str) -> Entry:
        """Return where a handler's method is carried out."""
        return self._places.get((handler, "GET" if method == "HEAD" else method), NOT_SAID)

    def _note_places(self, route: Route) -> None:
        for method in getattr(route.handler, "operations", ()):
            self._places[route.handler, method] = entry_of(method, route.template)

    def sufficient(self, handler: type[RequestHandler], method: str) -> Scopes:
        """Return the scopes each of which lets an API key call a handler's method; none where none was named."""
        return self._scopes.get((handler, "GET" if method == "HEAD" else method), NO_SCOPE)

    def _note_scopes(self, route: Route) -> None:
        """Keep a route's scopes by its handler. One that serves several addresses takes what suffices for each."""
        for method in getattr(route.handler, "operations", ()):
            found, key = scopes_of(route.template, method) or NO_SCOPE, (route.handler, method)
            self._scopes[key] = self._scopes.get(key, found) & found

    def _add(self, route: Route) -> None:
        bare = route.pattern.removesuffix("$").removesuffix(_OPTIONAL_SLASH)
        if _SIGNS.isdisjoint(bare):
            variants = [bare, f"{bare}/"] if route.pattern.rstrip("$").endswith(_OPTIONAL_SLASH) else [bare]
            for path in variants:
                if path in self._literal:
                    raise ValueError(f"{path} is claimed by {self._literal[path].handler} and {route.handler}")
                self._literal[path] = route
            return
        compiled = re.compile(route.pattern)
        if ".*" in bare or ".+" in bare:
            self._deep.append((compiled, route))
        else:
            self._patterns.setdefault(_GROUP.sub("x", bare).count("/"), []).append((compiled, route))

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> _HandlerDelegate:
        """Find the handler of a request's path."""
        path = request.path
        literal = self._literal.get(path)
        if literal is not None:
            return self.get_handler_delegate(request, literal.handler, literal.kwargs)
        for compiled, route in (*self._patterns.get(path.rstrip("/").count("/"), ()), *self._deep):
            match = compiled.fullmatch(path)
            if match is not None:
                return self._delegate(request, route, match)
        return super().find_handler(request, **kwargs)

    def _delegate(self, request: HTTPServerRequest, route: Route, match: "re.Match[str]") -> _HandlerDelegate:
        """Hand on what the groups matched, still as bytes: the handler refuses what is not UTF-8."""
        named = {name: unquote_to_bytes(text) for name, text in match.groupdict().items()}
        unnamed = [] if named else [unquote_to_bytes(text) for text in match.groups()]
        return self.get_handler_delegate(request, route.handler, route.kwargs, unnamed, named)


def make_application(
    services: Services,
    *,
    routes: Iterable[Route] | None = None,
    log_function: LogFunction | None = None,
    forward: Forwarder | None = None,
) -> ApiApplication:
    """Build the application over the services; all routes unless some are given."""
    settings: dict[str, Any] = {
        "services": services,
        "default_headers": DefaultHeaders(services.settings.http),
        "log_function": log_function or (lambda handler: None),
    }
    application = ApiApplication(all_routes() if routes is None else routes, **settings)
    application.forward = forward
    return application
