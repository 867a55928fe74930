"""What a stack must have again at its next start: the ports its members know each other by, secrets, passwords."""

import json
import secrets
from pathlib import Path
from typing import Any

from ops.stack.process import free_port


class Kept:
    """The file ``stack.json`` of a stack's folder, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "stack.json"
        self._values: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def port(self, name: str) -> int:
        """Return the port that a process has, chosen at its first start."""
        return int(self._values.setdefault(f"port of {name}", free_port()))

    def set_ports(self, ports: dict[str, int]) -> None:
        """Take these from now on."""
        self._values |= {f"port of {name}": port for name, port in ports.items()}

    def secret(self, name: str) -> str:
        """Return a secret made at the first start, of 43 characters."""
        return str(self._values.setdefault(name, secrets.token_urlsafe(32)))

    def save(self) -> None:
        """Write it down."""
        self._path.touch(mode=0o600)
        self._path.write_text(json.dumps(self._values, indent=2) + "\n")
