"""The real mongosh, running the scripts of ``ops/mongosh``, and what they print as tables.

It is what ``make test`` installs, ``MONGOSH`` names, or the PATH has. Starting it takes a second, so many scripts are
run by one.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "ops" / "mongosh"
INSTALLED = Path(sys.prefix) / "mongosh"
QUIETLY = ("--quiet", "--norc")
TIMEOUT_S = 100

Row = dict[str, str]


@dataclass
class Printed:
    """What one script printed: its tables in their order, and the other lines."""

    tables: list[list[Row]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the lines that are no table's."""
        return "\n".join(self.lines)


def find_mongosh() -> list[str]:
    """Return the command that starts it; skip the test where there is none."""
    script = INSTALLED / "node_modules" / "mongosh" / "bin" / "mongosh.js"
    node = shutil.which("node") or shutil.which("node", path=f"{sys.prefix}/bin")
    if named := os.environ.get("MONGOSH"):
        return [named]
    if script.is_file() and node is not None:
        return [node, str(script)]
    if found := shutil.which("mongosh"):
        return [found]
    why = INSTALLED / "why-not"
    pytest.skip(f"no mongosh: {why.read_text().strip() if why.is_file() else '`make test` installs it'}")


def run_all(uri: str, runs: list[tuple[str, str, Row]]) -> dict[str, Printed]:
    """Run scripts in one shell; each has a name, a script, and an environment."""
    given = [{"name": name, "script": script, "environment": extra} for name, script, extra in runs]
    told = json.dumps({"folder": str(SCRIPTS), "runs": given})
    done = _mongosh(uri, Path(__file__).with_name("run_scripts.js"), RUNS=told)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    parts = done.stdout.split("#### ")[1:]
    found = {part.partition("\n")[0]: read(part.partition("\n")[2]) for part in parts}
    assert list(found) == [name for name, _, _ in runs]
    return found


def start(uri: str, script: str, **environment: str) -> "subprocess.Popen[str]":
    """Start one script the way an operator does."""
    command = [*find_mongosh(), *QUIETLY, uri, str(SCRIPTS / f"{script}.js")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=_environment(environment), text=True, **pipes)  # type: ignore[call-overload]


def _mongosh(uri: str, script: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [*find_mongosh(), *QUIETLY, uri, str(script)]
    return subprocess.run(command, env=_environment(environment), capture_output=True, text=True, timeout=TIMEOUT_S)


def _environment(extra: Row) -> Row:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return kept | extra


def read(output: str) -> Printed:
    """Take apart what a script printed: under a line of dashes are the rows of a table, up to how many they are."""
    printed, lines = Printed(), output.splitlines()
    at = 0
    while at < len(lines):
        if at + 1 < len(lines) and lines[at + 1] and set(lines[at + 1]) == {"-", " "}:
            columns = _columns(lines[at + 1])
            end = next(number for number in range(at + 2, len(lines)) if lines[number].endswith(" found"))
            names = [lines[at][start:stop].strip() for start, stop in columns]
            rows = [[line[start:stop].strip() for start, stop in columns] for line in lines[at + 2 : end]]
            assert lines[end] == f"{len(rows)} found"
            printed.tables.append([dict(zip(names, row, strict=True)) for row in rows])
            at = end
        elif lines[at]:
            printed.lines.append(lines[at])
        at += 1
    return printed


def _columns(dashes: str) -> list[tuple[int, int | None]]:
    starts = [0] + [at + 2 for at in range(len(dashes)) if dashes.startswith("  ", at)]
    return [(start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True)]
