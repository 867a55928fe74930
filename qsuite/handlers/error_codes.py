"""Every code a problem can have, read from the code that raises it: the page behind a problem's ``type``.

Four places give codes: the classes of ``domain.errors``, ``code=`` where one of them is raised for a particular reason,
the refusals of pre-trade controls, and what the engine could not do (``Outcome(error=...)``). A code that is given for
several reasons tells all of them.
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

GIVING = ("code=", "Refusal(", "error=")
"""What a file that gives a code holds somewhere."""


class ErrorCode(NamedTuple):
    """A code, its status, and what it means."""

    code: str
    status: int
    meaning: str


@cache
def error_codes() -> list[ErrorCode]:
    """Return all codes in alphabetical order. Reads the package's source once, so call it off the event loop."""
    general: dict[str, ErrorCode] = {}
    for status, (code, meaning) in HTTP_CODES.items():
        general[code] = ErrorCode(code, status, sentence(meaning))
    for kind, status in STATUS.items():
        if issubclass(kind, errors.QSuiteError) and status != 500:
            general.setdefault(kind.code, ErrorCode(kind.code, status, sentence(kind.title)))
    given: dict[str, list[ErrorCode]] = {}
    for tree in _sources(resources.files("qsuite")):
        for each in _codes_in(tree):
            if each.code not in general:
                given.setdefault(each.code, []).append(each)
    return sorted([*general.values(), *map(_all_reasons, given.values())])


def sentence(text: str) -> str:
    """Write a detail as a sentence. A field's name in front keeps its spelling."""
    first = text[:1] if "_" in text.partition(" ")[0] else text[:1].upper()
    return first + text[1:] + ("" if text.endswith(".") else ".")


def _sources(folder: Traversable) -> Iterator[ast.Module]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _sources(entry)
        elif entry.name.endswith(".py"):
            text = entry.read_text(encoding="utf-8")
            # To parse all of it would hold the interpreter for most of a second.
            if any(mark in text for mark in GIVING):
                yield ast.parse(text)


def _all_reasons(same: list[ErrorCode]) -> ErrorCode:
    """Join what one code is given for; of its statuses the first one found counts."""
    meanings = dict.fromkeys(each.meaning for each in same if each.meaning)
    # A detail put together elsewhere cannot be read here; the code's own words then have to do.
    words = same[0].code.replace(".", ": ").replace("_", " ")
    return same[0]._replace(meaning=" ".join(meanings) or sentence(words))


def _codes_in(tree: ast.Module) -> Iterator[ErrorCode]:
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            texts = _named_texts(scope)
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield from _code_of(node, node.func.id, texts)


def _code_of(call: ast.Call, name: str, texts: dict[str, list[tuple[int, str]]]) -> Iterator[ErrorCode]:
    keywords = {each.arg: each.value for each in call.keywords}
    kind = getattr(errors, name, None)
    detail: ast.expr | None
    if name == "Refusal" and len(call.args) >= 2:
        code, detail = _text(call.args[0]), call.args[1]
        kind = errors.OrderTooFast if code in RATES else errors.OrderRefused
    elif name == "Outcome" and "error" in keywords:
        code, detail, kind = _text(keywords["error"]), keywords.get("detail"), errors.Conflict
    elif isinstance(kind, type) and issubclass(kind, errors.QSuiteError) and "code" in keywords:
        code, detail = _text(keywords["code"]), call.args[0] if call.args else None
    else:
        return
    status = next(STATUS[each] for each in kind.__mro__ if each in STATUS)
    if code and status != 500:
        meaning = _detail(detail, texts) if detail is not None else ""
        yield ErrorCode(code, status, sentence(meaning) if meaning else "")


def _named_texts(scope: ast.AST) -> dict[str, list[tuple[int, str]]]:
    """Return the texts that a function gives names to, with the line of each."""
    named: dict[str, list[tuple[int, str]]] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _text(node.value):
            named.setdefault(node.targets[0].id, []).append((node.lineno, _text(node.value)))
    return named


def _detail(node: ast.expr, texts: dict[str, list[tuple[int, str]]]) -> str:
    """Return a text given in place, or the one last given its name above."""
    if not isinstance(node, ast.Name):
        return _text(node)
    return max((each for each in texts.get(node.id, []) if each[0] < node.lineno), default=(0, ""))[1]


def _text(node: ast.expr) -> str:
    """Return a literal text; what an f-string puts in is shown as an ellipsis."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return ""
