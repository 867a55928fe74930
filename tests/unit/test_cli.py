"""The command line's manners: help everywhere, one line for what a person did wrong, nothing imported too early."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from qsuite import cli
from qsuite.domain.errors import Invalid, NotFound, SetupError, Unavailable

CHECKOUT = Path(__file__).resolve().parents[2]


def raised(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Run the program with a command that raises; return exit code and standard error."""

    @click.command()
    def broken() -> None:
        raise error

    monkeypatch.setattr(cli, "cli", broken)
    monkeypatch.setattr(sys, "argv", ["qsuite"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli.cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example:" in result.output
    assert f"qsuite {name}" in result.output


def test_the_help_lists_every_command_without_importing_any() -> None:
    code = (
        "import sys; sys.argv = ['qsuite', '--help']\n"
        "from qsuite.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tornado', 'motor', 'pymongo', 'structlog', 'numpy', 'pandas', 'rich'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy), [name for name in sys.modules if name.startswith('qsuite.cli.')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True
    ).stdout
    assert "HEAVY [] []" in shown
    assert all(f"  {name} " in shown for name in cli.COMMANDS)


def test_the_server_starts_without_what_only_analysis_needs() -> None:
    code = (
        "import qsuite.app, sys\n"
        "qsuite.app.all_routes()\n"
        "print(sorted({'pandas', 'pyarrow', 'mongomock', 'dask', 'redis', 'zxcvbn'} & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True
    ).stdout
    assert shown.strip() == "[]"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (SetupError("the port is taken"), "Error: the port is taken"),
        (NotFound("there is no user eve"), "Error: there is no user eve"),
        (Unavailable("the database\nis away"), "Error: the database is away"),
        (Invalid("some fields are wrong", errors={"cash": ["at least 0"]}), "(cash: at least 0)"),
        (FileNotFoundError(2, "No such file or directory", "ticks.csv"), "Error: ticks.csv: No such file or directory"),
        (PermissionError(13, "Permission denied", "data"), "Error: data: Permission denied"),
        (OSError(28, "No space left on device"), "Error: No space left on device"),
    ],
)
def test_what_went_wrong_is_one_line_and_exit_1(
    error: BaseException, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = raised(error, monkeypatch, capsys)
    assert code == 1
    assert line in told
    assert told.count("\n") == 1


def test_ctrl_c_is_exit_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = raised(KeyboardInterrupt(), monkeypatch, capsys)
    assert (code, told.strip()) == (130, "Interrupted")


def test_wrong_usage_is_exit_2_and_says_how(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["qsuite", "frobnicate"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "No such command 'frobnicate'" in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError):
        raised(ZeroDivisionError(), monkeypatch, capsys)
