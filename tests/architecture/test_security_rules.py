"""Rules about this code that no general scanner knows, read from the source; each is shown to catch what it is for.

They stand here and not in a scanner's own language so that they run with the other checks, in a second, without another
environment (docs/adr/0038). What general scanners find, bandit and ruff look for in `make check`.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture.test_imports import PACKAGE, sources

Rule = Callable[[ast.AST], bool]
SECRET = re.compile(r"(?:^|_)(?:secret|password|token|digest|signature|mac|api_key|key_hash|secret_hash)(?:$|_hash$)")
ACCESS = re.compile(r"\b(?:caller|role|roles|scope|scopes|permitted|may_\w+|is_admin|owner)\b")
TLS_OFF = {"verify", "check_hostname", "validate_cert", "tls", "ssl"}
FORMS = {"get_argument", "get_arguments", "get_query_argument", "get_body_argument", "get_cookie", "get_secure_cookie"}
SCRIPTED = re.compile(r"^\$(?:where|function|accumulator)$")


def name_of(node: ast.AST) -> str:
    """Return a dotted name, or the last part of what is called."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def unpickles(node: ast.AST) -> bool:
    """Find what makes objects or code of bytes: pickle, marshal, yaml's full loader, eval."""
    if not isinstance(node, ast.Call):
        return False
    called = name_of(node.func)
    module, _, function = called.rpartition(".")
    if module.rpartition(".")[2] in ("pickle", "cPickle", "dill", "marshal", "shelve", "joblib"):
        return function in ("load", "loads", "open", "Unpickler")
    return called in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen")


def trusts_anybody(node: ast.AST) -> bool:
    """Find TLS without looking who is there."""
    if isinstance(node, ast.keyword) and node.arg in TLS_OFF:
        return isinstance(node.value, ast.Constant) and node.value.value is False and node.arg != "ssl"
    if isinstance(node, ast.Assign):
        off = isinstance(node.value, ast.Constant) and node.value.value is False
        return off and any(name_of(target).endswith(".check_hostname") for target in node.targets)
    return isinstance(node, ast.Attribute) and node.attr in ("CERT_NONE", "_create_unverified_context")


def compares_secrets(node: ast.AST) -> bool:
    """Find == between secrets: how long it takes tells how much of one is right."""
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
        return False
    sides = [node.left, *node.comparators]
    if any(isinstance(side, ast.Constant) for side in sides):
        return False
    return any(SECRET.search(name_of(side).rpartition(".")[2]) for side in sides)


def asserts_access(node: ast.AST) -> bool:
    """Find access decided by an assertion, which `python -O` leaves out. That something is there may be asserted."""
    if not isinstance(node, ast.Assert) or "is not None" in ast.unparse(node.test):
        return False
    return ACCESS.search(ast.unparse(node.test)) is not None


def builds_operators(node: ast.AST) -> bool:
    """Find a query's operator made of parts: a key that begins with $ and is not written out."""
    if isinstance(node, ast.Dict):
        return any(key is not None and _computed(key, "$") for key in node.keys)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and SCRIPTED.match(node.value) is not None


def _computed(node: ast.AST, first: str) -> bool:
    if isinstance(node, ast.JoinedStr) and node.values:
        head = node.values[0]
        return isinstance(head, ast.Constant) and str(head.value).startswith(first)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
        left = node.left
        return isinstance(left, ast.Constant) and isinstance(left.value, str) and left.value.startswith(first)
    return False


def reads_past_declarations(node: ast.AST) -> bool:
    """Find values of a request that no schema has seen."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FORMS:
        return True
    parts = ("arguments", "query_arguments", "body_arguments", "files", "cookies")
    return isinstance(node, ast.Attribute) and node.attr in parts and name_of(node.value).endswith("request")


def believes_unsigned(node: ast.AST) -> bool:
    """Find a JWT read without a fixed algorithm, or without its signature."""
    if not isinstance(node, ast.Call):
        return False
    called = name_of(node.func)
    if called.endswith(("jwt.get_unverified_header", "decode_complete")):
        return True
    if called != "jwt.decode":
        return False
    text = ast.unparse(node)
    return "algorithms=" not in text or "'verify_signature': False" in text


def shows_inside(node: ast.AST) -> bool:
    """Find what would show code or restart by itself: Tornado's debug switches."""
    on = isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant) and node.value.value is True
    return on and node.arg in ("debug", "autoreload", "serve_traceback")


def throws_dice(node: ast.AST) -> bool:
    """Find the ordinary random generator; where secrets are made, only `secrets` and `os.urandom` will do."""
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    return "random" in names or (isinstance(node, ast.ImportFrom) and node.module == "random")


WHERE_SECRETS_ARE_MADE = (
    "services/tokens.py", "services/keyring.py", "services/secrets.py", "services/api_keys.py", "services/auth.py",
    "services/passwords.py", "services/demo_users.py", "handlers/wire.py",
)  # fmt: skip

RULES: dict[Rule, tuple[str, list[str]]] = {
    unpickles: ("", ["pickle.loads(x)", "yaml.load(x)", "eval(x)", "os.system(x)", "joblib.load(path)"]),
    trusts_anybody: ("", ["get(url, verify=False)", "ctx.check_hostname = False", "ctx.verify_mode = ssl.CERT_NONE"]),
    compares_secrets: ("", ["self.secret == given", "token != other.token", "found.secret_hash == digest"]),
    asserts_access: ("", ["assert caller.role in roles", "assert self.permitted(user)"]),
    builds_operators: ("repos", ['{f"${name}": 1}', '{"$" + name: 1}', '{"$where": text}']),
    reads_past_declarations: ("handlers", ["self.get_argument('x')", "self.request.arguments['x']"]),
    believes_unsigned: ("", ["jwt.decode(token, key)", "jwt.get_unverified_header(token)"]),
    shows_inside: ("", ["Application(routes, debug=True)", "Application(routes, serve_traceback=True)"]),
}


def found_in(rule: Rule, paths: list[Path]) -> Iterator[str]:
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if rule(node):
                where = getattr(node, "lineno", "?")
                yield f"{path.relative_to(PACKAGE.parent)}:{where} {ast.unparse(node)[:100]}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    folder, _ = RULES[rule]
    assert list(found_in(rule, sources(folder))) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_finds_what_it_is_for(rule: Rule) -> None:
    for bad in RULES[rule][1]:
        assert any(rule(node) for node in ast.walk(ast.parse(bad))), bad


def test_where_secrets_are_made_no_dice_are_thrown() -> None:
    assert list(found_in(throws_dice, [PACKAGE / path for path in WHERE_SECRETS_ARE_MADE])) == []
    assert any(map(throws_dice, ast.walk(ast.parse("from random import choice"))))
