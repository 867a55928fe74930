"""The API's own documentation, served from here alone: the OpenAPI document, Swagger UI, ReDoc, and the error codes.

The third-party scripts come from an installed package that carries them: ``fastapi-standalone-docs``, whose ReDoc is
the published one but for a logo that it would fetch from elsewhere. Only files are taken of it, none of its code runs.
No page holds an inline script, so the content policy allows none.
"""

import asyncio
from functools import cache
from html import escape
from importlib import resources, util
from pathlib import Path
from typing import NamedTuple

from qsuite.domain.errors import NotFound
from qsuite.domain.roles import ANYONE
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.answers import JSON_TYPE
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.error_codes import error_codes
from qsuite.handlers.openapi import document
from qsuite.handlers.operations import JSON, operation
from qsuite.handlers.payloads import encode

TAG = "documentation"
CARRIER = "fastapi_standalone_docs"
HTML = "text/html"
HTML_TYPE = "text/html; charset=utf-8"
# Both viewers write styles into the page and draw small images from data; ReDoc searches in a worker made of a blob.
VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " font-src 'self' data:; connect-src 'self'; worker-src blob:; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'none'"
)
PAGE_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
CACHED = "public, max-age=86400"


class Asset(NamedTuple):
    """A file pages ask for: its type, and where it is in the carrier, or here under ``pages`` where it is ours."""

    content_type: str
    path: str
    ours: bool = False


ASSETS = {
    "swagger-ui.css": Asset("text/css; charset=utf-8", "static/swagger/swagger-ui.css"),
    "swagger-ui-bundle.js": Asset("text/javascript; charset=utf-8", "static/swagger/swagger-ui-bundle.js"),
    "redoc.standalone.js": Asset("text/javascript; charset=utf-8", "static/redoc/redoc.standalone.js"),
    "logo-mini.svg": Asset("image/svg+xml", "static/redoc/logo-mini.svg"),
    "swagger.js": Asset("text/javascript; charset=utf-8", "swagger.js", ours=True),
    "redoc.js": Asset("text/javascript; charset=utf-8", "redoc.js", ours=True),
    "errors.css": Asset("text/css; charset=utf-8", "errors.css", ours=True),
}


class SchemaHandler(ApiHandler):
    """``/api/schema/``."""

    @operation(
        "This API as an OpenAPI 3.1 document",
        roles=ANYONE,
        returns={200: JSON},
        tag=TAG,
        scope=ThrottleScope.FREE,
    )
    async def get(self) -> None:
        settings = self.settings
        if "openapi" not in settings:
            routes = self.application.routes
            settings["openapi"] = await asyncio.to_thread(lambda: encode(document(routes)))
        self.answer_bytes(JSON_TYPE, settings["openapi"])


class SwaggerHandler(ApiHandler):
    """``/api/docs/``."""

    @operation(
        "This API in Swagger UI, to read and try",
        roles=ANYONE,
        returns={200: HTML},
        tag=TAG,
        scope=ThrottleScope.FREE,
    )
    def get(self) -> None:
        self.set_header("Content-Security-Policy", VIEWER_POLICY)
        self.answer_bytes(HTML_TYPE, page("swagger.html"))


class RedocHandler(ApiHandler):
    """``/api/redoc/``."""

    @operation("This API in ReDoc, to read", roles=ANYONE, returns={200: HTML}, tag=TAG, scope=ThrottleScope.FREE)
    def get(self) -> None:
        self.set_header("Content-Security-Policy", VIEWER_POLICY)
        self.answer_bytes(HTML_TYPE, page("redoc.html"))


class AssetHandler(ApiHandler):
    """``/api/docs/assets/{name}``."""

    @operation(
        "A script, style or image of the documentation",
        roles=ANYONE,
        returns={200: "*/*"},
        tag=TAG,
        scope=ThrottleScope.FREE,
    )
    async def get(self, name: str) -> None:
        asset = ASSETS.get(name)
        if asset is None:
            raise NotFound(f"no file {name[:100]}")
        self.set_header("Cache-Control", CACHED)
        self.answer_bytes(asset.content_type, await asyncio.to_thread(read_asset, asset))


class ErrorsHandler(ApiHandler):
    """``/api/docs/errors/``, where the ``type`` of every problem leads."""

    @operation(
        "Every error code, its status and its meaning",
        roles=ANYONE,
        returns={200: HTML},
        tag=TAG,
        scope=ThrottleScope.FREE,
    )
    async def get(self) -> None:
        self.set_header("Content-Security-Policy", PAGE_POLICY)
        self.answer_bytes(HTML_TYPE, await asyncio.to_thread(errors_page))


def page(name: str) -> bytes:
    """Return one of our own files."""
    return (resources.files("qsuite.handlers") / "pages" / name).read_bytes()


@cache
def read_asset(asset: Asset) -> bytes:
    """Read a file that pages ask for, once."""
    if asset.ours:
        return page(asset.path)
    return (carrier_folder() / asset.path).read_bytes()


def carrier_folder() -> Path:
    """Find the carrier's folder without importing it."""
    found = util.find_spec(CARRIER)
    if found is None or found.origin is None:
        raise NotFound("the documentation's scripts are not installed")
    return Path(found.origin).parent


@cache
def errors_page() -> bytes:
    """Write the page of error codes; each code is the anchor its problems point to."""
    rows = "\n".join(
        f'<tr id="{escape(each.code)}"><td><code>{escape(each.code)}</code></td><td>{each.status}</td>'
        f"<td>{escape(each.meaning)}</td></tr>"
        for each in error_codes()
    )
    return page("errors.html").replace(b"<!--rows-->", rows.encode())


routes = [
    (r"/api/schema/?", SchemaHandler),
    (r"/api/docs/?", SwaggerHandler),
    (r"/api/docs/errors/?", ErrorsHandler),
    (r"/api/docs/assets/(?P<name>[^/]+)", AssetHandler),
    (r"/api/redoc/?", RedocHandler),
    (r"/api/redoc/(?P<name>logo-mini\.svg)", AssetHandler),
]
