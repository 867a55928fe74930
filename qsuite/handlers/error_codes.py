"""Every code a problem can have, read from the code that raises it: the page behind a problem's ``type``.

Three places give codes: the classes of ``domain.errors``, ``code=`` where one of them is raised for a particular
reason, and the refusals of pre-trade controls.
"""

import ast
from collections.abc import Iterator
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

from qsuite.domain import errors
from qsuite.handlers.problems import HTTP_CODES, STATUS
from qsuite.services.outcomes import RATES


class ErrorCode(NamedTuple):
    """A code, its status, and what it means."""

    code: str
    status: int
    meaning: str


@cache
def error_codes() -> list[ErrorCode]:
    """Return all codes in alphabetical order. Reads the package's source once, so call it off the event loop."""
    found: dict[str, ErrorCode] = {}
    for status, (code, meaning) in HTTP_CODES.items():
        found[code] = ErrorCode(code, status, sentence(meaning))
    for kind, status in STATUS.items():
        if issubclass(kind, errors.QSuiteError) and status != 500:
            found.setdefault(kind.code, ErrorCode(kind.code, status, sentence(kind.title)))
    for tree in _sources(resources.files("qsuite")):
        for each in _codes_in(tree):
            found.setdefault(each.code, each)
    return sorted(found.values())


def sentence(text: str) -> str:
    """Write a detail as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _sources(folder: Traversable) -> Iterator[ast.Module]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _sources(entry)
        elif entry.name.endswith(".py"):
            yield ast.parse(entry.read_text(encoding="utf-8"))


def _codes_in(tree: ast.Module) -> Iterator[ErrorCode]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id == "Refusal" and len(node.args) >= 2:
            code, meaning = _text(node.args[0]), _text(node.args[1])
            status = STATUS[errors.OrderTooFast if code in RATES else errors.OrderRefused]
        else:
            kind = getattr(errors, node.func.id, None)
            if not (isinstance(kind, type) and issubclass(kind, errors.QSuiteError)):
                continue
            code = next((_text(keyword.value) for keyword in node.keywords if keyword.arg == "code"), "")
            meaning = _text(node.args[0]) if node.args else ""
            status = next(STATUS[each] for each in kind.__mro__ if each in STATUS)
        if code and status != 500:
            # A detail put together elsewhere cannot be read here; the code's own words then have to do.
            yield ErrorCode(code, status, sentence(meaning or code.replace(".", ": ").replace("_", " ")))


def _text(node: ast.expr) -> str:
    """Return a literal text; what an f-string puts in is shown as an ellipsis."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""
