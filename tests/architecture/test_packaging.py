"""Does what is installed hold what the checkout holds, pinned by hash and from nowhere in particular?"""

import ast
import configparser
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from qsuite import __version__

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("base", "run", "full", "test")
LAZY = ("tracing", "sentry")
"""Extras whose packages are imported inside functions, where they are configured."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that ``pip install .`` would install, built from a copy so that the checkout stays clean."""
    work = tmp_path_factory.mktemp("wheel")
    copy = work / "checkout"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    build = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", build, str(work)], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = work.glob("*.whl")
    return zipfile.ZipFile(built)


def test_every_module_and_data_file_of_the_package_is_installed(wheel: zipfile.ZipFile) -> None:
    unshipped = {".pyc", ".md"}
    mine = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "qsuite").rglob("*")
        if path.is_file() and path.suffix not in unshipped
    }
    assert mine - set(wheel.namelist()) == set()


def test_the_profiles_are_installed_beside_the_package_under_a_name_of_their_own(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {f"qsuite_config/{name}.toml" for name in ("default", "local", "test", "production")} <= names
    assert {name.split("/")[0] for name in names} == {
        "qsuite",
        "qsuite_config",
        f"qsuite-{__version__}.dist-info",
    }, "nothing else of the checkout may land in site-packages"


def test_the_installed_command_is_qsuite(wheel: zipfile.ZipFile) -> None:
    scripts = wheel.read(f"qsuite-{__version__}.dist-info/entry_points.txt").decode()
    assert "qsuite = qsuite.cli:main" in scripts


def test_the_licence_is_apache_and_travels_with_the_package(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(f"qsuite-{__version__}.dist-info/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    licence = wheel.read(f"qsuite-{__version__}.dist-info/licenses/LICENSE").decode()
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_requirement_has_a_version_and_a_hash(name: str) -> None:
    entries = _entries(name)
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==[^ ]+ ", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_names_no_host_and_no_local_path(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    assert not re.search(r"https?:|file:|index-url|find-links| @ |/", text)


def test_the_smaller_locks_are_part_of_the_test_lock() -> None:
    base, run, full, test = ({entry.split(" ")[0] for entry in _entries(name)} for name in LOCKS)
    assert base <= run <= test
    assert base <= full <= test


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("base", []),
        ("run", ["embedded", "demo"]),
        ("full", ["dask", "models"]),
        ("test", ["embedded", "demo", "test", "bench"]),
    ],
)
def test_what_setup_cfg_requires_is_locked(name: str, extras: list[str]) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].split("\n")
    for extra in extras:
        wanted += setup["options.extras_require"][extra].split("\n")
    locked = {_normal(entry.split("==")[0]) for entry in _entries(name)}
    assert _names(wanted) - locked == set(), "run `make lock`"


def test_every_package_that_qsuite_imports_is_declared_not_just_there_by_chance() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    declared = _names(setup["options"]["install_requires"].split("\n"))
    optional = _names([line for extra in LAZY for line in setup["options.extras_require"][extra].split("\n")])
    providers = metadata.packages_distributions()
    for module in sorted(_imported(ROOT / "qsuite") - sys.stdlib_module_names - {"qsuite"}):
        by = {_normal(name) for name in providers[module]}
        assert by & (declared | optional), f"{module} is not in install_requires"
    for module in sorted(_imported(ROOT / "qsuite", at_start=True) - sys.stdlib_module_names - {"qsuite"}):
        by = {_normal(name) for name in providers[module]}
        assert by & declared, f"{module} is an extra's: import it where it is needed"


def _imported(folder: Path, *, at_start: bool = False) -> set[str]:
    """Name the packages that are imported; ``at_start``: with their modules, and not later inside a function."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in tree.body if at_start else ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    return found


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[<>=!~;]", line)[0]) for line in requirements if line and not line.startswith("#")}


def _entries(name: str) -> list[str]:
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    return [re.sub(r"\s*\\\n\s*", " ", entry) for entry in re.split(r"\n(?=\S)", text.strip())]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
