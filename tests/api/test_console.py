"""The console's page: served to anybody, whole, and with a policy under which nothing foreign or inline runs."""

import re

from qsuite.handlers.console import ASSETS
from tests.support.running_app import Api


async def test_the_bare_address_is_the_console(api: Api) -> None:
    answer = await api.anonymous.get("/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy


async def test_everything_the_page_asks_for_is_there_and_nothing_else_is_kept(api: Api) -> None:
    page = (await api.anonymous.get("/")).body.decode()
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|https?://", page)
    asked = set(re.findall(r'(?:src|href)="/console/([^"]+)"', page))
    found: set[str] = set()
    while asked - found:
        name = (asked - found).pop()
        answer = await api.anonymous.get(f"/console/{name}")
        assert answer.status == 200, name
        found.add(name)
        asked |= set(re.findall(r'from "\./([^"]+)"', answer.body.decode()))
    assert found == set(ASSETS)


async def test_no_other_file_is_served(api: Api) -> None:
    for name in ("index.html", "swagger.html", "..%2Fswagger.js", "nothing.js"):
        assert (await api.anonymous.get(f"/console/{name}")).status == 404
