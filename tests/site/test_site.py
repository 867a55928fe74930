"""Does the site build without a warning, whole, and ask nobody else for anything?"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from qsuite.domain.channels import ACCOUNT_CHANNELS, MARKET_KINDS, USER_CHANNELS
from qsuite.domain.trading.risk.controls import CONTROLS
from qsuite.handlers.stream_session import StreamSession
from tests.support.server import CHECKOUT

pytest.importorskip("sphinx", reason="the extra `docs` is not installed")

FETCHED = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["']([^"']+)["']""", re.IGNORECASE)
STYLED = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
BUILD_S = 300.0
pytestmark = pytest.mark.timeout(BUILD_S + 60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as ``make site`` builds it; a warning would have ended it."""
    folder = tmp_path_factory.mktemp("site")
    command = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [sys.executable, *command, str(CHECKOUT / "docs"), str(folder / "html")],
        capture_output=True, text=True, cwd=CHECKOUT, timeout=BUILD_S,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder / "html"


def test_every_page_is_on_the_site(site: Path) -> None:
    docs = CHECKOUT / "docs"
    written = {path.relative_to(docs).with_suffix(".html") for path in docs.rglob("*.md")}
    assert written - {path.relative_to(site) for path in site.rglob("*.html")} == set()


def test_a_reader_without_a_network_sees_all_of_it(site: Path) -> None:
    for page in site.rglob("*.html"):
        for address in FETCHED.findall(page.read_text(encoding="utf-8")):
            target = urlsplit(address)
            assert (target.scheme, target.netloc) in (("", ""), ("data", "")), f"{page.name} fetches {address}"
            if target.path and not target.scheme:
                assert (page.parent / unquote(target.path)).exists(), f"{page.name} lacks {address}"
    for style in site.rglob("*.css"):
        for address in map("".join, STYLED.findall(style.read_text(encoding="utf-8"))):
            assert not address.startswith(("http:", "https:", "//")), f"{style.name} fetches {address}"


def test_the_page_of_the_stream_names_every_action_and_every_kind_of_channel() -> None:
    page = (CHECKOUT / "docs" / "reference" / "stream.md").read_text(encoding="utf-8")
    asked, channels, _ = page.split("\n## ")[1:4]
    assert set(re.findall(r"^\| `(\w+)` \|", asked, re.MULTILINE)) == set(StreamSession._actions)
    kinds = MARKET_KINDS | ACCOUNT_CHANNELS | USER_CHANNELS | {"bars"}
    assert {name for name in kinds if f"`{name}" not in channels} == set()


@pytest.mark.parametrize("name", ["architecture/order.md", "how-to/limits.md", "pictures/order.svg"])
def test_the_controls_are_counted_as_the_code_has_them(name: str) -> None:
    text = (CHECKOUT / "docs" / name).read_text(encoding="utf-8")
    assert re.findall(r"(\d+) controls", text) == [str(len(CONTROLS))]


def test_python_is_documented_from_its_docstrings(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("client.Client.login", "client.Client.frame", "research.LocalTicks.runs", "research.LiveIndicators"):
        assert f'id="qsuite.{name}"' in page
