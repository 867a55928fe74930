"""Every route has a scope: deny by default holds only while nobody forgets one."""

from qsuite.domain.channels import ACCOUNT_CHANNELS, MARKET_KINDS, USER_CHANNELS, parse_channel, scopes_of
from qsuite.domain.scopes import EVERY_SCOPE, Scope
from qsuite.handlers import scopes
from qsuite.handlers.routes import all_routes


def with_login() -> list[tuple[str, str]]:
    return [
        (method, route.template)
        for route in all_routes()
        for method, declared in route.handler.operations.items()  # type: ignore[attr-defined]
        if declared.roles
    ]


def test_every_route_that_needs_a_login_is_in_the_table_of_scopes() -> None:
    routes = with_login()
    assert len(routes) > 100
    forgotten = [each for each in routes if scopes.scopes_of(each[1], each[0]) is None]
    assert not forgotten, f"name the scope of {forgotten} in qsuite/handlers/scopes.py"


def test_what_the_table_does_not_name_has_no_scope() -> None:
    assert scopes.scopes_of("/api/v1/secrets/", "GET") is None
    assert scopes.scopes_of("/api/v1/ordersx/", "GET") is None


def test_no_route_that_changes_something_is_open_to_a_scope_that_reads() -> None:
    reading = {scope for scope in Scope if scope.value.endswith(":read")}
    asked = {("POST", "/api/v1/risk/check/")}
    for method, template in with_login():
        sufficient = scopes.scopes_of(template, method) or frozenset()
        if method not in scopes.READING and (method, template) not in asked and "/reports/" not in template:
            assert not sufficient & reading, (method, template)


def test_every_channel_takes_one_scope() -> None:
    names = [*ACCOUNT_CHANNELS, *USER_CHANNELS, *(f"{kind}:IBM" for kind in MARKET_KINDS), "bars:1m:IBM", "trades:*"]
    found = {name: scopes_of(parse_channel(name)) for name in names}
    assert all(len(each) == 1 for each in found.values())
    assert EVERY_SCOPE not in found.values()
    assert found["trades:*"] == found["depth:IBM"] == found["bars:1m:IBM"] == {Scope.MARKET_READ}
    assert found["signals:IBM"] == found["jobs"] == {Scope.ANALYTICS}
    assert {frozenset(found[name]) for name in ACCOUNT_CHANNELS} == {frozenset({Scope.TRADING_READ})}
