"""Is docs/reference/ what the code says today?"""

import re

import pytest

from docs.derive import PAGES, page, written


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    assert written(name) == page(name), "run `make docs`"


@pytest.mark.parametrize("name", PAGES)
def test_every_row_of_a_page_says_what_it_is_about(name: str) -> None:
    rows = [row for row in page(name).splitlines() if row.startswith("| `")]
    for row in rows:
        said = re.split(r"(?<!\\)\|", row)[1:-1]
        assert said[0].strip(), row
        assert any(cell.strip() for cell in said[1:]), row
