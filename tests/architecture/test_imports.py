"""Imports point one way, the domain stays pure, and few files know the driver. Read from the source, so that an import
inside a function counts too."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import qsuite

PACKAGE = Path(qsuite.__file__).parent
LAYERS = ("domain", "repos", "services", "research", "handlers", "composition", "app", "cli")
"""From the bottom up; each may import those before it. ``settings`` stands beside the domain and imports only it."""

# The domain computes with these alone. What waits, reads a clock or throws dice is handed in.
PURE = {
    "abc", "array", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "decimal", "difflib",
    "enum", "functools", "hashlib", "heapq", "ipaddress", "itertools", "json", "math", "operator", "re", "statistics",
    "struct", "types", "typing", "unicodedata", "uuid", "zoneinfo",
}  # fmt: skip
NUMERIC = {"numpy", "talib"}
IMPURE_CALLS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("time", "time"), ("time", "time_ns"), ("uuid", "uuid1"), ("uuid", "uuid4"),
}  # fmt: skip
DRIVERS = {"motor", "pymongo", "bson", "mongomock", "mongomock_motor"}


class Import(NamedTuple):
    """One imported module, and where."""

    module: str
    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE.parent)}:{self.line} imports {self.module}"


def sources(folder: str = "") -> list[Path]:
    found = sorted((PACKAGE / folder).rglob("*.py")) if (PACKAGE / folder).is_dir() else [PACKAGE / f"{folder}.py"]
    assert found
    return found


def imports(path: Path) -> Iterator[Import]:
    """Give every import of a file, but for those that only type checkers see."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            hidden.update(inner for child in node.body for inner in ast.walk(child))
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, path, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            assert node.module is not None
            yield Import(node.module, path, node.lineno)
            if node.module == "qsuite":
                yield from (Import(f"qsuite.{alias.name}", path, node.lineno) for alias in node.names)


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_point_one_way() -> None:
    wrong = []
    for path in sources():
        layer = layer_of(path)
        above = set(LAYERS[LAYERS.index(layer) + 1 :]) if layer in LAYERS else {*LAYERS[1:]}
        if layer in ("__init__", "__main__"):  # the name of the package, and the door to the command line
            continue
        for found in imports(path):
            parts = found.module.split(".")
            if parts[0] == "qsuite" and len(parts) > 1 and parts[1] in above:
                wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_handlers_reach_storage_only_through_services() -> None:
    wrong = [
        str(found)
        for path in sources("handlers")
        for found in imports(path)
        if found.module.startswith("qsuite.repos") or found.module.split(".")[0] in DRIVERS
    ]
    assert not wrong, "\n".join(wrong)


def test_the_domain_imports_nothing_that_waits_reads_a_clock_or_throws_dice() -> None:
    wrong = []
    for path in sources("domain"):
        allowed = PURE | (NUMERIC if {"analytics", "backtests", "tick_columns"} & set(path.parts) else set())
        for found in imports(path):
            if found.module.split(".")[0] not in allowed and not found.module.startswith("qsuite.domain"):
                wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_the_domain_never_waits_nor_asks_for_the_time() -> None:
    for path in sources("domain"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not isinstance(node, (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)), path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in IMPURE_CALLS, f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("open", "print", "input", "eval", "exec"), f"{path}:{node.lineno}"


def test_only_two_files_name_motor() -> None:
    naming = {found.path.name for path in sources() for found in imports(path) if found.module.split(".")[0] == "motor"}
    assert len(naming) <= 2
    assert naming <= {"database.py", "deployment.py"}, naming


def test_only_repos_know_the_database() -> None:
    wrong = [
        str(found)
        for path in sources()
        for found in imports(path)
        if found.module.split(".")[0] in DRIVERS and layer_of(path) != "repos"
    ]
    assert not wrong, "\n".join(wrong)


def test_only_handlers_and_the_server_know_tornado() -> None:
    wrong = [
        str(found)
        for path in sources()
        for found in imports(path)
        if found.module.split(".")[0] == "tornado" and layer_of(path) in ("domain", "repos", "settings")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert len(docstring) > 10
    assert docstring.endswith((".", "!", "?", "```", "``", ")")) or "\n" in docstring
