"""The shell scripts for operators keep to the collections there are, and say how they are called."""

import re
from pathlib import Path

import pytest

from qsuite.repos.collections import COLLECTIONS

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "ops" / "mongosh").glob("*.js"))
NAMES = {spec.name for spec in COLLECTIONS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_reads_collections_that_exist_and_changes_nothing(script: Path) -> None:
    text = script.read_text()
    assert set(re.findall(r"\bbooks\.(\w+)\.", text)) <= NAMES
    writes = "insert|update|delete|replaceOne|findOneAnd|findAndModify|drop|remove|bulkWrite"
    assert not re.search(rf"\.({writes})|\$out|\$merge", text)


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.stem != "shared"], ids=lambda path: path.stem)
def test_a_script_opens_with_what_it_shows_and_how_it_is_called(script: Path) -> None:
    lines = script.read_text().splitlines()
    assert lines[0].startswith("// ")
    assert any(
        line.endswith(f'mongosh "$URI" ops/mongosh/{script.name}') or f"/{script.name} " in line for line in lines
    )
    assert "load(`${__dirname}/shared.js`);" in lines
