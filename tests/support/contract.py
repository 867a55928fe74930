"""Does an answer fit what the API's own document says of it? Asked of every answer the suite's clients get.

Stricter than the document in one point: a field that is not declared fails here, where clients must tolerate it.
"""

import copy
import json
import re
from collections.abc import Iterable
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from qsuite.handlers.openapi import document
from qsuite.handlers.routes import Route
from tests.support.client import Answer

JSON_TYPES = ("application/json", "application/problem+json")


class Contract:
    """Check answers against the document of these routes. ``seen`` counts what was checked."""

    def __init__(self, routes: Iterable[Route]) -> None:
        routes = list(routes)
        self.document = close(copy.deepcopy(document(routes)))
        # Templates without a parameter first, as the router prefers them.
        self._routes = sorted(routes, key=lambda route: "{" in route.template)
        # References are to the whole document, which stands under this address.
        resource = Resource(contents=self.document, specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("/", resource)
        self._validators: dict[str, Draft202012Validator] = {}
        self.seen: set[tuple[str, str, int]] = set()

    def check(self, answer: Answer) -> None:
        """Fail with the first way in which an answer departs from its declaration."""
        path = answer.path.partition("?")[0]
        template = self.template_of(path)
        if template is None:
            assert answer.status == 404, f"{answer} comes from no declared route"
            return
        method = "get" if answer.method == "HEAD" else answer.method.lower()
        declared = self.document["paths"].get(template, {}).get(method)
        if declared is None:
            assert answer.status in (204, 400, 405), f"{answer} is not declared"
            return
        if answer.status == 304:
            return
        response = declared["responses"].get(str(answer.status))
        assert response is not None, f"{answer.method} {template} does not declare {answer.status}: {answer}"
        self.seen.add((method, template, answer.status))
        if answer.method != "HEAD":
            self._check_body(answer, self._resolve(response), f"{method} {template} {answer.status}")

    def template_of(self, path: str) -> str | None:
        """Return the template of the route that a path belongs to."""
        return next((route.template for route in self._routes if re.fullmatch(route.pattern, path)), None)

    def _resolve(self, response: dict[str, Any]) -> dict[str, Any]:
        reference = response.get("$ref")
        if reference is None:
            return response
        found: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        return dict(found)

    def _check_body(self, answer: Answer, response: dict[str, Any], what: str) -> None:
        content = response.get("content")
        if content is None:
            assert answer.body == b"", f"{what} declares no body: {answer}"
            return
        media = answer.headers["Content-Type"].partition(";")[0]
        declared = content.get(media) or content.get("*/*")
        assert media in content or "*/*" in content, f"{what} declares {list(content)}, not {media}"
        if declared and "schema" in declared:
            errors = sorted(self._validator(what, declared["schema"]).iter_errors(json.loads(answer.body)), key=str)
            assert not errors, f"{what}: {errors[0].json_path} {errors[0].message}\n{answer}"

    def _validator(self, what: str, schema: dict[str, Any]) -> Draft202012Validator:
        if what not in self._validators:
            absolute = json.loads(json.dumps(schema).replace('"#/', '"/#/'))
            self._validators[what] = Draft202012Validator(
                absolute, registry=self._registry, format_checker=FormatChecker()
            )
        return self._validators[what]


def close(described: Any) -> Any:
    """Forbid undeclared fields in every object that declares some, but for problems, which carry facts of their own."""
    if isinstance(described, dict):
        is_problem = "request_id" in described.get("properties", {}) and "instance" in described["properties"]
        if described.get("type") == "object" and "properties" in described and not is_problem:
            described.setdefault("additionalProperties", False)
        for value in described.values():
            close(value)
    elif isinstance(described, list):
        for value in described:
            close(value)
    return described
