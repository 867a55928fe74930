"""Two engines on one MongoDB, each with a database, a lease and symbols of its own, beside one engine alone.

Few clients, so that an engine mostly waits for its commits: with many, two engines and their clients share the cores of
this machine, and nothing is learnt about what they share in the database.
"""

from concurrent.futures import ThreadPoolExecutor

from benchmarks.harness import Figure, in_pairs
from benchmarks.orders import load, order_request
from benchmarks.server import Running, running_qsuite

CLIENTS = 4
REQUESTS = 800


def figures() -> list[Figure]:
    """Measure what a second engine adds."""
    with (
        running_qsuite() as one,
        running_qsuite(QSUITE_MONGODB_URI=one.mongodb_uri, QSUITE_DATABASE="second_cell") as two,
        ThreadPoolExecutor(2) as pool,
    ):
        orders_per_s(one), orders_per_s(two)  # warm up
        return [
            in_pairs(
                f"orders of two engines on one MongoDB, {CLIENTS} clients each",
                unit="1/s",
                measure=lambda: sum(pool.map(orders_per_s, (one, two))),
                peer=f"one engine alone, {CLIENTS} clients",
                measure_peer=lambda: orders_per_s(one),
                first_bar="-",
                aim="-",
            )
        ]


def orders_per_s(cell: Running) -> float:
    """Send orders to one of them."""
    return float(load(cell.port, REQUESTS, CLIENTS, order_request(cell.trader))["per_s"])
