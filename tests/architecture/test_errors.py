"""Every error has its row: a status, a place in the tree's drawing, a line in the documentation."""

import ast
import inspect
from pathlib import Path

import pytest

import qsuite
from qsuite.domain import errors
from qsuite.domain.errors import QSuiteError
from qsuite.handlers.error_codes import error_codes
from qsuite.handlers.problems import HTTP_CODES, STATUS, problem, status_of

CLASSES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, QSuiteError) and kind.__module__ == errors.__name__
]
INTERNAL = {QSuiteError, errors.SetupError}
"""No client ever meets these: the root, and what stops a command."""


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_status_of_its_own_and_is_drawn_in_the_tree(kind: type[QSuiteError]) -> None:
    assert kind in STATUS
    assert (STATUS[kind] == 500) == (kind in INTERNAL)
    drawing = errors.__doc__ or ""
    assert kind.__name__ in drawing
    assert kind.__doc__


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind not in INTERNAL])
def test_every_error_is_in_the_documentation(kind: type[QSuiteError]) -> None:
    documented = {each.code for each in error_codes()}
    assert kind.code in documented
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "errors.md"
    assert f"`{kind.code}`" in page.read_text(encoding="utf-8")


def test_the_documentation_says_what_each_code_means() -> None:
    for each in error_codes():
        assert 400 <= each.status <= 503
        assert len(each.meaning) > 5
        assert each.meaning.endswith(".")


def test_what_the_engine_could_not_do_is_documented_too() -> None:
    known = {each.code: each for each in error_codes()}
    assert known["order.duplicate_id"].status == 409
    assert known["order.duplicate_id"].meaning == "client_order_id … was used for another order."
    assert known["order.already_processed"].status == 409


def test_a_code_given_for_several_reasons_tells_all_of_them() -> None:
    meaning = {each.code: each.meaning for each in error_codes()}
    assert meaning["order.tif"] == "A … order waits, so it cannot be …. expires_at has passed."
    assert "needs a price" in meaning["order.price"]
    assert "The take profit must lie beyond the stop loss." in meaning["order.price"]


def test_codes_are_plain_words_and_mean_one_status() -> None:
    known: dict[str, int] = {}
    for each in error_codes():
        assert known.setdefault(each.code, each.status) == each.status
        assert all(part.isidentifier() for part in each.code.replace("-", "_").split(".")), each.code


def test_the_status_is_found_along_the_errors_ancestors() -> None:
    class TickerMissing(errors.NotFound):
        """A class nobody gave a row."""

    assert status_of(TickerMissing()) == 404
    assert status_of(errors.OutcomeUnknown()) == 503
    assert status_of(errors.Malformed()) == 400
    assert status_of(ZeroDivisionError()) == 500


def test_of_an_unexpected_error_nothing_is_told() -> None:
    body = problem(KeyError("secret"), 500, instance="/x", request_id="r")
    assert "secret" not in str(body)
    assert body["code"] == HTTP_CODES[500][0]


def test_no_code_outside_the_handlers_names_a_status() -> None:
    """Errors are turned into statuses in one place: the layers below know none."""
    package = Path(qsuite.__file__).parent
    for path in [*(package / "domain").rglob("*.py"), *(package / "repos").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name and name.split(".")[0] in ("http", "tornado")], path


@pytest.mark.parametrize("path", sorted(Path(qsuite.__file__).parent.rglob("*.py")), ids=lambda path: path.name)
def test_no_exception_is_swallowed(path: Path) -> None:
    """A bare ``except`` or an ``except Exception`` must do something: log, count, re-raise, answer."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            )
            silent = all(isinstance(each, (ast.Pass, ast.Continue)) for each in node.body)
            assert not (broad and silent), f"{path}:{node.lineno} swallows what it does not know"
