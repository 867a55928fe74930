"""The console in a real browser: what a trader sees and does there, without an error in the browser's log.

Runs where Chromium and the extra ``browser`` are installed, and is skipped elsewhere.
"""

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from qsuite.domain.market import Quote, Trade
from tests.support.codes import totp_at
from tests.support.running_app import PASSWORD, Api

playwright = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
SYMBOL = "SEEN"


async def test_a_trader_logs_in_buys_asks_why_and_closes_again(api: Api) -> None:
    await api.services.reference.ensure_ticker(SYMBOL, {"name": "<b>seen</b> in a browser"})
    now, size = time.time_ns(), Decimal(10_000)
    quote = Quote(SYMBOL, now, Decimal("99.99"), Decimal("100.01"), size, size)
    await api.services.market.publish([quote, Trade(SYMBOL, now + 1, Decimal("100"), Decimal(100))])
    trader = await api.new_client("trader")
    await asyncio.to_thread(trade_in_a_browser, api.port, trader.user["username"])
    orders = (await trader.get("/api/v1/orders/?ordering=created_at")).json["results"]
    assert [(each["side"], each["status"]) for each in orders] == [
        ("BUY", "FILLED"),
        ("BUY", "REJECTED"),
        ("SELL", "FILLED"),
    ]


def trade_in_a_browser(port: int, username: str) -> None:
    with opened(f"http://127.0.0.1:{port}/") as (page, errors):
        page.fill("[name=username]", username)
        page.fill("[name=password]", "not the password")
        page.click("#login button")
        page.wait_for_selector("#login .bad >> text=wrong username or password")
        page.fill("[name=password]", PASSWORD)
        page.click("#login button")
        page.click(f"#watch tr[data-symbol={SYMBOL}]:has-text('100.01')")

        page.click("#ticket [name=place]")
        page.wait_for_selector("#ticket .good >> text=FILLED: 10 at 100.01")
        page.click("#ticket [name=check]")
        page.wait_for_selector("#ticket .good >> text=Passes every control.")
        page.fill("#ticket [name=quantity]", "1000000")
        page.click("#ticket [name=check]")
        page.wait_for_selector("#ticket .bad >> text=Would be refused: risk.max_quantity")
        page.click("#ticket [name=place]")
        page.wait_for_selector("#ticket .bad >> text=/^risk.max_quantity/")
        page.wait_for_selector("#books td >> text=REJECTED risk.max_quantity")

        page.click("[data-sheet=executions]")
        page.click("#books button >> text=Why?")
        page.wait_for_selector("#told pre >> text=100.01")
        page.click("#told button")

        page.reload()
        page.wait_for_selector("#account dd >> nth=0 >> text=/^1 000 000|^999 999/")
        page.click("[data-sheet=positions]")
        page.click("#books button >> text=Close")
        page.wait_for_selector("#books p >> text=Nothing is held.")
        page.click("#logout")
        page.wait_for_selector("#login button")
        # What the server refused, the browser tells of as well; nothing else may go wrong.
        assert [error for error in errors if "status of 4" not in error] == []


@contextmanager
def opened(address: str) -> Iterator[tuple[Any, list[str]]]:
    """Open an address; what goes wrong on the page gathers in the list."""
    errors: list[str] = []
    with playwright.sync_playwright() as starter:
        browser = starter.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.set_default_timeout(15_000)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
            page.goto(address)
            yield page, errors
        finally:
            browser.close()


async def test_the_login_asks_for_a_code_where_a_second_factor_is_on(api: Api) -> None:
    viewer = await api.new_client("viewer")
    made = await viewer.post("/api/auth/totp/", {"password": PASSWORD})
    code = totp_at(made.json["secret"], time.time())
    recovery = (await viewer.post("/api/auth/totp/confirm/", {"code": code})).json["recovery_codes"]
    await asyncio.to_thread(log_in_with_a_code, api.port, viewer.user["username"], code, recovery[0])


def log_in_with_a_code(port: int, username: str, used: str, good: str) -> None:
    with opened(f"http://127.0.0.1:{port}/") as (page, errors):
        page.fill("[name=username]", username)
        page.fill("[name=password]", "not the password")
        page.click("#login button")
        page.wait_for_selector("#login .bad >> text=wrong username or password")
        assert not page.is_visible("[name=code]"), "who does not know the password is not told of the code"
        page.fill("[name=password]", PASSWORD)
        page.click("#login button")
        page.wait_for_selector("#login .bad >> text=a code of the second factor is required")
        page.fill("[name=code]", used)
        page.click("#login button")
        page.wait_for_selector("#login .bad >> text=was used before")
        assert page.input_value("[name=code]") == ""
        page.fill("[name=code]", good)
        page.click("#login button")
        page.wait_for_selector("#logout")
        assert [error for error in errors if "status of 4" not in error] == []
