"""``python -m benchmarks [--json FILE] [NAME ...]``: measure, print the table, write the figures as JSON."""

import argparse
import importlib
import sys
from pathlib import Path

from benchmarks.harness import Figure, save, show

SUITES = (
    "orders",
    "orders_beside_sweep",
    "gateways",
    "many_orders",
    "cells",
    "book",
    "startup",
    "recovery",
    "backup",
    "stream",
    "stream_compression",
    "memory",
    "tick_import",
    "tick_reads",
    "indicators",
    "backtest",
    "sweep",
)


def main() -> None:
    """Run the named suites, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(SUITES)}; all by default")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go")
    given = parser.parse_args()
    figures: list[Figure] = []
    for name in given.names or SUITES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures += importlib.import_module(f"benchmarks.{name}").figures()
    print(show(figures))
    save(figures, given.json)


if __name__ == "__main__":
    main()
