"""Write ``.env.example`` from the settings: every one, with its default, its bounds and what it is for.

``python -m docs.env_example`` writes the file.
"""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qsuite.settings import PREFIX, Settings

PATH = Path(__file__).resolve().parent.parent / ".env.example"
HEAD = """\
# Every setting of QSuite with its default. Written by `python -m docs.env_example`: change qsuite/settings.py instead.
# Copy to .env and take the # away from what you change; the environment wins over .env, and both over config/*.toml.
"""


def env_example() -> str:
    """Return the file as the settings have it."""
    return "\n".join([HEAD, *_lines(Settings, PREFIX)]) + "\n"


def _lines(cls: Any, prefix: str) -> Iterator[str]:
    kinds = typing.get_type_hints(cls)
    sections = []
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(kinds[item.name]):
            sections.append((kinds[item.name], f"{prefix}{item.name.upper()}__"))
            continue
        yield f"# {_sentence(item)}"
        yield f"#{prefix}{item.name.upper()}={_shown(item.default)}"
    for section, inner in sections:
        yield f"\n# ---- {_first_line(section)}\n"
        yield from _lines(section, inner)


def _sentence(item: "dataclasses.Field[Any]") -> str:
    bounds = []
    low, high, choices = (item.metadata.get(name) for name in ("low", "high", "choices"))
    if choices:
        bounds.append(f"one of {', '.join(map(str, choices))}")
    if low is not None:
        bounds.append(f"at least {low}")
    if high is not None:
        bounds.append(f"at most {high}")
    text = str(item.metadata["help"])
    return text[:1].upper() + text[1:] + (f" ({', '.join(bounds)})" if bounds else "")


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default)
    return "" if default is None else str(default)


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0].rstrip(".")


if __name__ == "__main__":
    PATH.write_text(env_example(), encoding="utf-8")
