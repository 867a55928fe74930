"""Cut a release, and tell its notes.

    python -m docs.release cut 0.2.0      write the version, and date what CHANGELOG.md has under Unreleased
    python -m docs.release notes 0.2.0    print what that version brought; fails where the code is of another version

``make release VERSION=0.2.0`` does the first, commits and tags; the tag, pushed, does the rest on GitHub.
"""

import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = "CHANGELOG.md"
PACKAGE = "qsuite/__init__.py"
UNRELEASED = "## Unreleased"
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
LINE = re.compile(r'^__version__ = "(.*)"$', re.MULTILINE)


class ReleaseError(Exception):
    """Why this cannot be released, in one line."""


def cut(root: Path, version: str, today: datetime.date) -> None:
    """Make what is unreleased ``version``, which must be above the last one and have brought something."""
    changes = (root / CHANGELOG).read_text()
    released = re.findall(r"^## (\d+\.\d+\.\d+) ", changes, re.MULTILINE)
    if any(numbers(version) <= numbers(each) for each in released):
        raise ReleaseError(f"{version} is not above {max(released, key=numbers)}, which CHANGELOG.md has")
    if not section(changes, UNRELEASED):
        raise ReleaseError("nothing is under Unreleased in CHANGELOG.md")
    heading = f"{UNRELEASED}\n\n## {version} - {today.isoformat()}\n"
    (root / CHANGELOG).write_text(changes.replace(f"{UNRELEASED}\n", heading, 1))
    code = (root / PACKAGE).read_text()
    (root / PACKAGE).write_text(LINE.sub(f'__version__ = "{version}"', code, count=1))


def notes(root: Path, version: str) -> str:
    """Return the changes of ``version``, which the code must say it is."""
    found = LINE.search((root / PACKAGE).read_text())
    if found is None or found[1] != version:
        raise ReleaseError(f"the code is version {found[1] if found else 'unknown'}, not {version}")
    numbers(version)
    changes = (root / CHANGELOG).read_text()
    heading = re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE)
    if heading is None:
        raise ReleaseError(f"CHANGELOG.md has no section {version}")
    return section(changes, heading[0])


def section(changes: str, heading: str) -> str:
    """Return what stands under ``heading`` up to the next of its rank."""
    _, _, rest = changes.partition(f"{heading}\n")
    return rest.partition("\n## ")[0].strip()


def numbers(version: str) -> tuple[int, ...]:
    """Return a version's three numbers, by which versions compare."""
    if VERSION.fullmatch(version) is None:
        raise ReleaseError(f"{version!r} is not a version such as 1.2.3")
    return tuple(map(int, version.split(".")))


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    try:
        match arguments:
            case ["cut", version]:
                cut(ROOT, version, datetime.datetime.now(datetime.UTC).date())
            case ["notes", version]:
                print(notes(ROOT, version))
            case _:
                raise ReleaseError("say cut VERSION or notes VERSION")
    except ReleaseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
