"""OpenAPI 3.1, derived from the routes and their declared operations; nothing of it is written by hand beside them.

A schema that is used for requests and for answers gives two components, because a decimal may come in as a number but
always goes out as a string: ``Ticker`` and ``TickerInput``.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_cls
from marshmallow import Schema, fields

from qsuite import __version__
from qsuite.domain.scopes import NO_SCOPE
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.fields import DecimalField, InstantField
from qsuite.handlers.keyed import KEY_MAX
from qsuite.handlers.listing import MAX_IN, MAX_PAGE, MAX_PAGE_SIZE, MAX_SEARCH, PAGE_SIZE, ListingSpec
from qsuite.handlers.operations import JSON, Operation
from qsuite.handlers.routes import Route
from qsuite.handlers.scopes import scopes_of

Json = dict[str, Any]

VERSION = "3.1.0"
PROBLEM_JSON = "application/problem+json"
DECIMAL_IN = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
DECIMAL_OUT = r"^-?[0-9]+(\.[0-9]+)?$"

ALWAYS = (400, 404, 405, 422, 429, 500, 503)
WITH_LOGIN = (401, 403)
WITH_BODY = (413, 415)

PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457. `code` is stable and meant for programs; /api/docs/errors/ lists them.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "object",
            "description": "Messages by field",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}


class Describer:
    """Turn marshmallow schemas into JSON Schema for one direction, gathering the components they make."""

    def __init__(self, *, incoming: bool) -> None:
        self._incoming = incoming
        self._suffix = "Input" if incoming else ""
        plugin: Any = MarshmallowPlugin(schema_name_resolver=self._name)  # its converter is hardly typed
        self._spec = APISpec("", "", VERSION, plugins=[plugin])
        self.converter = plugin.converter
        for kind in (DecimalField, InstantField):
            self.converter.map_to_openapi_type(kind, "string", None)

        def describe_own(converter: Any, field: "fields.Field[Any]", **_: Any) -> Json:
            return self._describe_field(field)

        self.converter.add_attribute_function(describe_own)

    def _name(self, schema: Any) -> str:
        kind = resolve_schema_cls(schema)
        name = str(getattr(kind, "__name__", kind)).removesuffix("Schema").removesuffix("Input")
        partial = isinstance(schema, Schema) and bool(schema.partial)
        return f"{name}{'Change' if partial else ''}{self._suffix}"

    def _describe_field(self, field: "fields.Field[Any]") -> Json:
        """Describe QSuite's own fields, which apispec does not know."""
        nullable = ["null"] if field.allow_none else []
        if isinstance(field, DecimalField):
            kinds = ["string", "number"] if self._incoming else ["string"]
            return {
                "type": [*kinds, *nullable] if len(kinds) + len(nullable) > 1 else "string",
                "pattern": DECIMAL_IN if self._incoming else DECIMAL_OUT,
                "description": str(field.metadata.get("description") or bounds_of(field)),
            }
        if isinstance(field, InstantField):
            return {"type": ["string", *nullable] if nullable else "string", "format": "date-time"}
        return {}

    def describe(self, schema: Schema) -> Json:
        """Return a reference to the schema's component; an array of them for ``many``."""
        return dict(self.converter.resolve_nested_schema(schema))

    def parameters(self, schema: Schema) -> list[Json]:
        """Return a schema's fields as query parameters."""
        return [dict(parameter) for parameter in self.converter.schema2parameters(schema, location="query")]

    def value(self, field: "fields.Field[Any]") -> Json:
        """Describe one value on its own."""
        described = dict(self.converter.field2property(field))
        described.pop("readOnly", None)
        return described

    @property
    def components(self) -> Json:
        """Return what was gathered. Bodies take no fields beyond those named; answers may gain some later."""
        found = self._spec.to_dict()["components"].get("schemas", {})
        return {name: _tidied(dict(each), closed=self._incoming) for name, each in found.items()}


def _tidied(component: Json, *, closed: bool) -> Json:
    """Open or close an object to further fields, and spell Python's patterns as JSON Schema's."""
    component.pop("additionalProperties", None)
    if closed:
        component["additionalProperties"] = False
    for described in component.get("properties", {}).values():
        pattern = described.get("pattern", "")
        if pattern.endswith(r"\Z"):  # marshmallow matches from the start, JSON Schema anywhere
            described["pattern"] = "^" + pattern.removeprefix("^").removesuffix(r"\Z") + "$"
    return component


def bounds_of(field: DecimalField) -> str:
    """Say in words what JSON Schema cannot say of a decimal in a string."""
    bounds = []
    if field.above is not None:
        bounds.append(f"above {field.above}")
    if field.least is not None:
        bounds.append(f"of at least {field.least}")
    if field.most is not None:
        bounds.append(f"at most {field.most}" if bounds else f"of at most {field.most}")
    return f"A decimal {', '.join(bounds)}" if bounds else "A decimal"


def document(routes: Iterable[Route]) -> Json:
    """Build the whole document."""
    incoming, outgoing = Describer(incoming=True), Describer(incoming=False)
    paths: Json = {}
    for route in routes:
        if not (isinstance(route.handler, type) and issubclass(route.handler, ApiHandler)):
            continue
        operations = route.handler.operations
        if operations:
            paths[route.template] = _path_item(route, operations, incoming, outgoing)
    return {
        "openapi": VERSION,
        "info": {
            "title": "QSuite",
            "version": __version__,
            "description": (
                "Money, prices and quantities are decimals: strings on output, strings or numbers on input, exact both "
                "ways. Times are RFC 3339 in UTC. Errors are problems (RFC 9457). A trailing slash is optional. "
                "Answers say how many requests may follow (RateLimit-Policy, RateLimit); x-limit says its kind."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Problem": PROBLEM, **outgoing.components, **incoming.components},
            "responses": {
                "Problem": _problem_response("What went wrong"),
                "TooMany": _problem_response("Too many for now; Retry-After says when to come again") | _TIMES,
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An access token or an API key"}
            },
        },
    }


def _path_item(route: Route, operations: Mapping[str, Operation], incoming: Describer, outgoing: Describer) -> Json:
    names = re.findall(r"{(\w+)}", route.template)
    item: Json = {
        method.lower(): _operation(route, method, declared, incoming, outgoing)
        for method, declared in operations.items()
    }
    if names:
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    return item


def _operation(route: Route, method: str, declared: Operation, incoming: Describer, outgoing: Describer) -> Json:
    parts = [part for part in route.template.split("/") if part and not part.startswith("{")]
    found: Json = {
        "operationId": f"{method.lower()}_{re.sub(r'[^A-Za-z0-9]+', '_', route.template).strip('_') or 'root'}",
        "summary": declared.summary,
        "tags": [declared.tag or _tag(parts)],
        "responses": _responses(method, declared, outgoing),
        "x-roles": sorted(role.value for role in declared.roles),
        "x-limit": declared.scope.value,
        "x-scopes": sorted(scopes_of(route.template, method) or NO_SCOPE) if declared.roles else [],
        "security": [{"bearer": []}] if declared.roles else [],
    }
    parameters = incoming.parameters(declared.query) if declared.query is not None else []
    if declared.listing is not None:
        parameters += _list_parameters(declared.listing, incoming)
    if method == "POST" and declared.roles:
        parameters.append(_KEY)
    if parameters:
        found["parameters"] = parameters
    if declared.reads_body:
        schema = incoming.describe(declared.body) if declared.body is not None else {}
        content = {media: ({"schema": schema} if media == JSON and schema else {}) for media in declared.media}
        found["requestBody"] = {"required": not declared.body_optional, "content": content}
    return found


def _tag(parts: list[str]) -> str:
    """Group by the first part of the path that says something."""
    return next((part for part in parts if part not in ("api", "v1")), "operations")


def _responses(method: str, declared: Operation, outgoing: Describer) -> Json:
    found: Json = {
        str(status): _response(status, schema, declared, outgoing) for status, schema in declared.returns.items()
    }
    statuses = {*ALWAYS, *declared.raises}
    statuses |= set(WITH_LOGIN) if declared.roles else set()
    statuses |= set(WITH_BODY) if declared.reads_body else set()
    statuses |= {409} if method == "POST" and declared.roles else set()
    statuses |= {406} if len(declared.shows) > 1 else set()
    for status in sorted(statuses):
        named = "TooMany" if status == 429 else "Problem"
        found.setdefault(str(status), {"$ref": f"#/components/responses/{named}"})
    return dict(sorted(found.items()))


def _response(status: int, schema: Schema | str | None, declared: Operation, outgoing: Describer) -> Json:
    found: Json = {"description": HTTPStatus(status).phrase}
    if isinstance(schema, str):
        found["content"] = {schema: {}}
    elif schema is not None:
        described = outgoing.describe(schema)
        if declared.listing is not None and status == 200:
            described = envelope(described)
        found["content"] = {JSON: {"schema": described}}
        if status == 200:
            # One row of the list a line or record; the formats themselves say what is in them.
            found["content"] |= {media: {} for media in declared.shows if media != JSON}
    return found


def envelope(item: Json) -> Json:
    """Describe the list around its items."""
    link = {"type": ["string", "null"], "format": "uri"}
    return {
        "type": "object",
        "required": ["count", "next", "previous", "results"],
        "properties": {
            "count": {"type": ["integer", "null"], "description": "All that match; null when paging by cursor"},
            "next": link,
            "previous": link,
            "results": {"type": "array", "items": item},
        },
    }


def _problem_response(text: str) -> Json:
    return {
        "description": text,
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _list_parameters(listing: ListingSpec, incoming: Describer) -> list[Json]:
    number = {"type": "integer", "minimum": 1}
    found = [
        _parameter("page", {**number, "maximum": MAX_PAGE, "default": 1}, "Which page, from 1"),
        _parameter("page_size", {**number, "maximum": MAX_PAGE_SIZE, "default": PAGE_SIZE}, "Items on a page"),
    ]
    if listing.cursor:
        found.append(
            _parameter(
                "cursor", {"type": "string"}, "Empty for the first page, then as `next` gives it; not with `page`"
            )
        )
    if listing.search:
        found.append(_parameter("search", {"type": "string", "maxLength": MAX_SEARCH}, "Find text, whatever its case"))
    if listing.orderings:
        text = f"By {', '.join(listing.orderings)}, several with commas; - in front for descending"
        default = ",".join(listing.default_order)
        found.append(_parameter("ordering", {"type": "string", **({"default": default} if default else {})}, text))
    for name, (field, operators) in listing.filters.items():
        schema = incoming.value(field)
        for operator in operators:
            if operator == "in":
                found.append(_parameter(f"{name}__in", {"type": "string"}, f"Up to {MAX_IN} values with commas"))
            else:
                suffix = "" if operator == "eq" else f"__{operator}"
                found.append(_parameter(f"{name}{suffix}", schema, ""))
    return found


_TIMES: Json = {
    "headers": {
        "Retry-After": {"schema": {"type": "integer", "minimum": 1}, "description": "Seconds"},
        "RateLimit-Policy": {"schema": {"type": "string"}, "description": "Each limit: q requests in w seconds"},
        "RateLimit": {"schema": {"type": "string"}, "description": "Of each: r are left, and t seconds until the next"},
    }
}

_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_MAX},
    "description": "The same request again under the same key, for a day, gets the first answer again",
}


def _parameter(name: str, schema: Json, text: str) -> Json:
    described = {"name": name, "in": "query", "required": False, "schema": schema}
    return {**described, "description": text} if text else described
