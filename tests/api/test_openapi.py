"""The API's document: true to the routes, valid, served with its viewers from here, and kept by every answer."""

import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tornado.httputil import HTTPHeaders

from qsuite.handlers.base import ApiHandler
from qsuite.handlers.docs import ASSETS
from qsuite.handlers.error_codes import error_codes
from qsuite.handlers.openapi import document
from qsuite.handlers.routes import all_routes
from tests.support.client import Answer
from tests.support.contract import Contract
from tests.support.running_app import Api

ROUTES = all_routes()
DOCUMENT = document(ROUTES)


def test_the_document_is_valid_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_route_and_method_is_in_the_document_and_nothing_else() -> None:
    served = {
        (route.template, method.lower())
        for route in ROUTES
        for method in route.handler.operations  # type: ignore[attr-defined]
    }
    described = {
        (path, method) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"
    }
    assert described == served
    assert len(served) > 40
    assert all(issubclass(route.handler, ApiHandler) for route in ROUTES)


def test_every_operation_says_who_may_call_it_and_has_a_name_of_its_own() -> None:
    operations = [each for item in DOCUMENT["paths"].values() for name, each in item.items() if name != "parameters"]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert bool(operation["x-roles"]) == bool(operation["security"])
        assert operation["summary"]
        if operation["x-roles"]:
            assert {"401", "403"} <= operation["responses"].keys()


def test_no_two_schemas_share_a_name() -> None:
    # apispec would call the second one Ticker1.
    assert not [name for name in DOCUMENT["components"]["schemas"] if re.search(r"\d$", name)]


def test_a_decimal_goes_out_as_a_string_and_comes_in_as_either() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Order"]["properties"]["quantity"]["type"] == "string"
    assert schemas["PlaceOrderInput"]["properties"]["quantity"]["type"] == ["string", "number"]
    assert schemas["Order"]["properties"]["created_at"] == {"type": "string", "format": "date-time"}


async def test_the_document_and_its_viewers_are_served_without_a_login(api: Api) -> None:
    assert (await api.anonymous.get("/api/schema/")).json == DOCUMENT
    for path in ("/api/docs/", "/api/redoc/"):
        page = await api.anonymous.get(path)
        assert page.status == 200
        text = page.body.decode()
        assert "http" not in text.replace("http-equiv", ""), "a page fetches from elsewhere"
        assert "<script>" not in text, "the content policy allows no inline script"
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe-eval" not in policy
        for address in re.findall(r'(?:src|href)="(/[^"]+)"', text):
            asset = await api.anonymous.get(address)
            assert asset.status == 200, address
            assert asset.body
            assert asset.headers["Cache-Control"].startswith("public")


async def test_only_the_listed_assets_are_served(api: Api) -> None:
    for name in ("../swagger/LICENSE", "%2e%2e%2fLICENSE", "standalone_docs.py", ".", "..%00", "LICENSE"):
        assert (await api.anonymous.get(f"/api/docs/assets/{name}")).status in (400, 404)
    for name in ASSETS:
        assert (await api.anonymous.get(f"/api/docs/assets/{name}")).status == 200


async def test_the_type_of_every_problem_leads_to_its_meaning(api: Api) -> None:
    page = (await api.anonymous.get("/api/docs/errors/")).body.decode()
    for error in error_codes():
        assert f'id="{error.code}"' in page
    for answer in (
        await api.anonymous.get("/api/auth/me/"),
        await api.anonymous.get("/nothing/"),
        await api.anonymous.post("/api/auth/login/", body=b"{"),
        await api.trader.post("/api/v1/orders/", {}),
        await api.anonymous.delete("/api/auth/login/"),
    ):
        address, _, anchor = answer.json["type"].partition("#")
        assert address == "/api/docs/errors/"
        assert f'id="{anchor}"' in page, answer


def json_answer(method: str, path: str, status: int, body: bytes, media: str = "application/json") -> Answer:
    return Answer(method, path, status, HTTPHeaders({"Content-Type": media}), body)


@pytest.mark.parametrize(
    "answer",
    [
        json_answer("GET", "/api/auth/me/", 200, b'{"username": "x"}'),
        json_answer("GET", "/health/live", 200, b'{"status": "live", "more": 1}'),
        json_answer("GET", "/health/live", 200, b'{"status": 1}'),
        json_answer("GET", "/health/live", 201, b'{"status": "live"}'),
        json_answer("GET", "/health/live", 200, b"live", "text/plain"),
        json_answer("GET", "/health/live", 404, b'{"code": "x"}', "application/problem+json"),
        json_answer("GET", "/nothing/", 200, b"{}"),
        json_answer("POST", "/api/auth/logout/", 204, b"{}"),
    ],
)
def test_an_answer_that_departs_from_its_declaration_is_noticed(answer: Answer) -> None:
    with pytest.raises(AssertionError):
        Contract(ROUTES).check(answer)
