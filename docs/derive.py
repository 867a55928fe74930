"""Write docs/reference/ from the code: what can be derived is derived, so that it cannot be wrong.

``make docs`` writes the pages; ``python -m docs.derive --check`` names those that are out of date and exits with 1.
"""

import ast
import dataclasses
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from qsuite.cli import cli
from qsuite.domain.roles import Role
from qsuite.domain.scopes import Scope
from qsuite.handlers.error_codes import error_codes
from qsuite.handlers.openapi import document
from qsuite.handlers.routes import all_routes
from qsuite.repos.collections import COLLECTIONS
from qsuite.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES_AT = ROOT / "docs" / "reference"
NOTE = "*Written by `make docs` from the code. Change the code, not this page.*"


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them."""
    stale = [name for name in PAGES if written(name) != page(name)]
    if "--check" in arguments:
        for name in stale:
            print(f"docs/reference/{name}.md is out of date: run `make docs`")
        return 1 if stale else 0
    PAGES_AT.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (PAGES_AT / f"{name}.md").write_text(page(name), encoding="utf-8")
    print(f"{len(stale)} of {len(PAGES)} pages changed")
    return 0


def page(name: str) -> str:
    """Return a page as the code has it."""
    title, body = PAGES[name]
    return f"# {title}\n\n{NOTE}\n\n{body()}\n"


def written(name: str) -> str:
    """Return a page as it was last written, empty if it never was."""
    path = PAGES_AT / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def routes_page() -> str:
    """List every route and method, and who may call it."""
    described = document(all_routes())["paths"]
    rows = [
        (f"`{method.upper()}`", f"`{path}`", one["summary"], _roles(one["x-roles"]), _scopes(one))
        for path, methods in described.items()
        for method, one in methods.items()
        if method != "parameters"
    ]
    return _table(("", "address", "what", "who", "a limited key needs"), rows)


def _roles(names: list[str]) -> str:
    if not names:
        return "anyone, without a login"
    return "every role" if set(names) == {role.value for role in Role} else ", ".join(names)


def _scopes(one: dict[str, Any]) -> str:
    if not one["x-roles"]:
        return ""
    scopes = one["x-scopes"]
    return "nothing more" if len(scopes) == len(Scope) else " or ".join(scopes) or "is refused"


def errors_page() -> str:
    """List every code a problem can have."""
    return _table(("code", "status", "meaning"), [(f"`{e.code}`", str(e.status), e.meaning) for e in error_codes()])


def settings_page() -> str:
    """List every setting with its variable, default and bounds."""
    return _table(("variable", "default", "bounds", "what"), list(_settings(Settings, PREFIX)))


def _settings(cls: Any, prefix: str) -> Iterator[tuple[str, ...]]:
    kinds = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        name = prefix + item.name.upper()
        if dataclasses.is_dataclass(kinds[item.name]):
            yield from _settings(kinds[item.name], f"{name}__")
        else:
            shown = ",".join(item.default) if isinstance(item.default, tuple) else item.default
            default = "" if shown in (None, "") else f"`{shown}`"
            yield f"`{name}`", default, _bounds(item.metadata), item.metadata.get("help", "")


def _bounds(metadata: typing.Mapping[str, Any]) -> str:
    if metadata.get("choices"):
        return ", ".join(f"`{choice}`" for choice in metadata["choices"])
    low, high = metadata.get("low"), metadata.get("high")
    least = "" if low is None else f"≥ {low}"
    return " ".join(part for part in (least, "" if high is None else f"≤ {high}") if part)


def metrics_page() -> str:
    """List the figures that /metrics gives beside those of every Python process."""
    return _table(("figure", "what"), sorted(set(_metrics())))


def _metrics() -> Iterator[tuple[str, str]]:
    """Find the calls that name a figure and say what it is, there or in a text that was given a name before."""
    for path in (ROOT / "qsuite").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        for node in nodes:
            match node:
                case ast.Call(args=[ast.Constant(value=str(name)), ast.Constant(value=str(text)), *_]):
                    if name.startswith("qsuite_"):
                        yield f"`{name}`", text
                case ast.Call(args=[ast.Constant(value=str(name)), ast.Name(id=named), *_]):
                    if name.startswith("qsuite_"):
                        yield f"`{name}`", _last_text(nodes, named, node.lineno)


def _last_text(nodes: Iterable[ast.AST], named: str, before: int) -> str:
    """Return the text that a name was given last before a line."""
    given = [
        (node.lineno, node.value.value)
        for node in nodes
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and node.lineno < before
        and any(isinstance(target, ast.Name) and target.id == named for target in node.targets)
    ]
    return str(max(given)[1])


def documents_page() -> str:
    """List the collections with their indexes."""
    rows = [
        (f"`{spec.name}`", "<br>".join(_index(index.document) for index in spec.indexes), _validated(spec.schema))
        for spec in sorted(COLLECTIONS, key=lambda spec: spec.name)
    ]
    return _table(("collection", "indexes", "required fields"), rows)


def _index(index: dict[str, Any]) -> str:
    keys = ", ".join(f"{name} {'↓' if order == -1 else '↑'}" for name, order in index["key"].items())
    return f"`{index['name']}`: {keys}{', unique' if index.get('unique') else ''}"


def _validated(schema: dict[str, Any] | None) -> str:
    return ", ".join(schema["required"]) if schema else "no validator"


def commands_page() -> str:
    """Show the help of every command and of the commands in it."""
    # With the settings the command line itself runs with: click keeps a command's help option as it first was.
    return "\n\n".join(_help(cli, click.Context(cli, info_name="qsuite", **cli.context_settings)))


def _help(group: click.Group, parent: click.Context) -> Iterator[str]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command is not None
        context = click.Context(command, parent, info_name=name, terminal_width=100)
        yield f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```"
        if isinstance(command, click.Group):
            yield from _help(command, context)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "routes": ("Routes and who may call them", routes_page),
    "errors": ("Error codes", errors_page),
    "settings": ("Settings", settings_page),
    "metrics": ("Metrics", metrics_page),
    "documents": ("Collections and their indexes", documents_page),
    "commands": ("Commands", commands_page),
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
