"""The bill of materials names what the lock file pins, by hash; it is valid, and says nothing of when or where."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "run.lock"


def target() -> list[str]:
    """Return the arguments that `make sbom` gives."""
    shown = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.installed-test", "sbom"], cwd=ROOT, capture_output=True, text=True
    )
    [line] = [line for line in shown.stdout.splitlines() if "cyclonedx-py" in line]
    return line.split()[1:]


def test_the_bill_of_materials_is_the_lock_file(tmp_path: Path) -> None:
    arguments = target()
    arguments[arguments.index("--output-file") + 1] = str(tmp_path / "sbom.json")
    made = subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", *arguments, "--validate"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    bill = json.loads((tmp_path / "sbom.json").read_text())
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*?\])?==([^ ;\\]+)", LOCK.read_text(), re.MULTILINE))
    listed = {item["name"]: item for item in bill["components"]}
    assert {name: item["version"] for name, item in listed.items()} == pinned
    for item in listed.values():
        hashes = [each for place in item["externalReferences"] for each in place.get("hashes", [])]
        assert any(each["alg"] == "SHA-256" and len(each["content"]) == 64 for each in hashes), item["name"]
    assert "timestamp" not in bill["metadata"]
    assert "serialNumber" not in bill
    assert str(ROOT) not in json.dumps(bill)
