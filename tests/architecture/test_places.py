"""Every method of every route says where it is carried out."""

from qsuite.domain.throttling import ThrottleScope
from qsuite.handlers.places import ENGINE, HERE, PREFERRED, TABLE, Place, entry_of
from qsuite.handlers.routes import all_routes

CHANGES = frozenset({ThrottleScope.ORDERS, ThrottleScope.CANCELS})


def test_the_table_names_every_method_of_every_route_once() -> None:
    served = {
        (method, route.template)
        for route in all_routes()
        for method in route.handler.operations  # type: ignore[attr-defined]
    }
    assert served == TABLE.keys()
    named = sum(len(line.split()) - 1 for text in (ENGINE, PREFERRED, HERE) for line in text.strip().splitlines())
    assert named == len(TABLE)


def test_what_counts_as_an_order_or_a_cancel_goes_to_the_engine() -> None:
    for route in all_routes():
        for method, declared in route.handler.operations.items():  # type: ignore[attr-defined]
            if declared.scope in CHANGES:
                assert entry_of(method, route.template).place is Place.ENGINE, f"{method} {route.template}"


def test_a_handler_of_several_addresses_is_carried_out_in_one_place() -> None:
    places: dict[tuple[object, str], set[Place]] = {}
    for route in all_routes():
        for method in route.handler.operations:  # type: ignore[attr-defined]
            places.setdefault((route.handler, method), set()).add(entry_of(method, route.template).place)
    assert [key for key, found in places.items() if len(found) > 1] == []
