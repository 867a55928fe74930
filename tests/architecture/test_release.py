"""A release is cut once, in order, and its notes are what the changelog had under Unreleased."""

import datetime
from pathlib import Path

import pytest

from docs.release import ReleaseError, cut, notes

DAY = datetime.date(2026, 3, 9)
CHANGES = """# Changelog

## Unreleased

### Added
- Orders that wait.

## 0.9.1 - 2026-01-02

### Fixed
- A leak.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "qsuite").mkdir()
    (tmp_path / "qsuite/__init__.py").write_text('"""What it is."""\n\n__version__ = "0.9.1"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    return tmp_path


def test_what_was_unreleased_becomes_the_notes_of_the_version_and_the_rest_stays(checkout: Path) -> None:
    cut(checkout, "0.10.0", DAY)
    assert notes(checkout, "0.10.0") == "### Added\n- Orders that wait."
    changes = (checkout / "CHANGELOG.md").read_text()
    assert changes == CHANGES.replace("## Unreleased\n", "## Unreleased\n\n## 0.10.0 - 2026-03-09\n")
    assert (checkout / "qsuite/__init__.py").read_text().endswith('\n__version__ = "0.10.0"\n')


@pytest.mark.parametrize("version", ["0.9.1", "0.9.0", "0.2.3"])
def test_a_version_that_is_not_above_the_last_is_refused(checkout: Path, version: str) -> None:
    with pytest.raises(ReleaseError, match=r"not above 0\.9\.1"):
        cut(checkout, version, DAY)


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0rc1", "01.0.0", "1.0.0\n", ""])
def test_what_is_no_version_is_refused(checkout: Path, version: str) -> None:
    with pytest.raises(ReleaseError, match="is not a version"):
        cut(checkout, version, DAY)
    assert (checkout / "CHANGELOG.md").read_text() == CHANGES


def test_nothing_is_released_twice(checkout: Path) -> None:
    cut(checkout, "1.0.0", DAY)
    with pytest.raises(ReleaseError, match="nothing is under Unreleased"):
        cut(checkout, "1.0.1", DAY)


def test_a_tag_of_another_version_than_the_code_is_refused(checkout: Path) -> None:
    with pytest.raises(ReleaseError, match=r"is version 0\.9\.1, not 1\.0\.0"):
        notes(checkout, "1.0.0")


def test_a_version_the_changelog_does_not_know_is_refused(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n")
    with pytest.raises(ReleaseError, match=r"no section 0\.9\.1"):
        notes(checkout, "0.9.1")
