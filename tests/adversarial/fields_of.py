"""Every field of every body, from the OpenAPI document, and a good body around it for a payload to be put into."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from marshmallow import fields

from qsuite.handlers.openapi import document
from qsuite.handlers.operations import JSON
from qsuite.handlers.routes import all_routes
from tests.adversarial.targets import Target, targets
from tests.support.bad_input import inputs, valid_object, valid_value

Json = dict[str, Any]
Place = tuple[str | int, ...]
MARK = "@@here@@"


class Field(NamedTuple):
    """One field of a body: where it stands, the JSON types it may have (none: any), and a body to put it in."""

    target: Target
    place: Place
    types: frozenset[str]
    around: Any

    def body(self, raw: str) -> bytes:
        """Return the body with raw JSON in this field's place."""
        return json.dumps(put(copy.deepcopy(self.around), self.place, MARK)).replace(f'"{MARK}"', raw).encode()

    def __str__(self) -> str:
        return f"{self.target} {'.'.join(map(str, self.place))}"


DOCUMENT = document(all_routes())


def body_fields() -> Iterator[Field]:
    """Give each field of each JSON body; nested ones and those of lists' items too."""
    for target in targets():
        declared = target.declared
        operation = DOCUMENT["paths"].get(target.template, {}).get(target.method.lower())
        if operation is None or declared is None or declared.body is None:
            continue
        whole: Any = valid_object(declared.body)
        schema = resolve(operation["requestBody"]["content"][JSON]["schema"])
        start: Place = ()
        if declared.body.many:
            whole, start, schema = [whole], (0,), resolve(schema.get("items", schema))
        examples = {name: _example(kind) for name, kind in inputs(declared.body).items()}
        for place, described in _walk(schema, start):
            yield Field(target, place, _types(described), _with_parents(whole, place, examples))


def query_names() -> Iterator[tuple[Target, str]]:
    """Give each query parameter of each method."""
    for target in targets():
        operation = DOCUMENT["paths"].get(target.template, {}).get(target.method.lower(), {})
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query":
                yield target, parameter["name"]


def resolve(schema: Mapping[str, Any]) -> Json:
    """Follow references, and the one schema behind a list of alternatives that has fields."""
    while True:
        choices = [each for each in (*schema.get("allOf", ()), *schema.get("anyOf", ())) if each.get("type") != "null"]
        if "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        elif len(choices) == 1 and "properties" not in schema:
            schema = choices[0]
        else:
            return dict(schema)


def _walk(schema: Json, place: Place, depth: int = 0) -> Iterator[tuple[Place, Json]]:
    if depth > 6:
        return
    for name, each in schema.get("properties", {}).items():
        found = resolve(each)
        yield (*place, name), {**found, "nullable": _nullable(each)}
        yield from _walk(found, (*place, name), depth + 1)
        if "items" in found:
            item = resolve(found["items"])
            yield (*place, name, 0), item
            yield from _walk(item, (*place, name, 0), depth + 1)


def _nullable(schema: Json) -> bool:
    return any(each.get("type") == "null" for each in (*schema.get("allOf", ()), *schema.get("anyOf", ())))


def _types(described: Json) -> frozenset[str]:
    types = described.get("type", ["object"] if "properties" in described else [])
    found = {types} if isinstance(types, str) else set(types)
    return frozenset(found | ({"null"} if described.get("nullable") else set()))


def _example(kind: "fields.Field[Any]") -> Any:
    return valid_value(kind)


def _with_parents(whole: Any, place: Place, examples: Mapping[str, Any]) -> Any:
    """Return the body with whatever must be there for the place to be."""
    top = next((part for part in place if isinstance(part, str)), None)
    found = copy.deepcopy(whole)
    inner = found[0] if isinstance(found, list) else found
    if top is not None and top not in inner and len(place) > 1 and top in examples:
        inner[top] = examples[top]
    return found


def put(whole: Any, place: Place, value: Any) -> Any:
    """Put a value into a nested place; what is missing on the way is made."""
    at = whole
    for part, following in zip(place, (*place[1:], None), strict=True):
        if following is None:
            child = value
        elif isinstance(part, int):
            child = at[part] if part < len(at) else ([] if isinstance(following, int) else {})
        else:
            child = at.get(part)
            if not isinstance(child, (dict, list)):
                child = [] if isinstance(following, int) else {}
        if isinstance(part, int) and part >= len(at):
            at.append(child)
        else:
            at[part] = child
        at = child
    return whole
