"""The console: one page of our own at ``/``, which is a client of the API like any other.

It asks the same routes with the same tokens and follows the same stream, so it can do nothing its user may not. No
third-party script, none inline, nothing from another host: the content policy allows nothing else.
"""

import asyncio

from qsuite.domain.errors import NotFound
from qsuite.domain.roles import ANYONE
from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.base import ApiHandler
from qsuite.handlers.docs import HTML, HTML_TYPE, Asset, read_asset
from qsuite.handlers.operations import operation

TAG = "console"
# A report of a backtest opens as a page made of what was fetched, and brings its own styles.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
FRESH = "no-cache"
"""Scripts change with a release, and must fit the page: browsers ask each time whether they did."""

_SCRIPT = "text/javascript; charset=utf-8"
ASSETS = {
    name: Asset(_SCRIPT if name.endswith(".js") else "text/css; charset=utf-8", f"console/{name}", ours=True)
    for name in ("console.css", "main.js", "api.js", "stream.js", "chart.js", "books.js", "ticket.js", "show.js")
}
PAGE = Asset(HTML_TYPE, "console/index.html", ours=True)


class ConsoleHandler(ApiHandler):
    """``/``."""

    @operation(
        "The console: prices, a chart, orders and books",
        roles=ANYONE,
        returns={200: HTML},
        tag=TAG,
        scope=ThrottleScope.FREE,
    )
    async def get(self) -> None:
        """Show it."""
        self.set_header("Content-Security-Policy", POLICY)
        self.answer_bytes(HTML_TYPE, await asyncio.to_thread(read_asset, PAGE))


class ConsoleAssetHandler(ApiHandler):
    """``/console/{name}``."""

    @operation(
        "A script or style of the console",
        roles=ANYONE,
        returns={200: "*/*"},
        tag=TAG,
        scope=ThrottleScope.FREE,
    )
    async def get(self, name: str) -> None:
        """Show it."""
        asset = ASSETS.get(name)
        if asset is None:
            raise NotFound(f"no file {name[:100]}")
        self.set_header("Cache-Control", FRESH)
        self.answer_bytes(asset.content_type, await asyncio.to_thread(read_asset, asset))


routes = [(r"/", ConsoleHandler), (r"/console/(?P<name>[^/]+)", ConsoleAssetHandler)]
