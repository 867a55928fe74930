"""Ticks in another store: run as a script by the interpreter that has it.

``python tick_peers.py NAME URI COUNT``: prints "ready", then for each line read ("write", "frame" or "table") one
figure, ticks a second. Only the standard library and the named store's packages are imported, since a peer's
interpreter has nothing else. What comes back has a nanosecond time and four floats a tick, and is counted.
"""

import datetime
import importlib
import re
import sys
import time
from typing import Any

SYMBOL = "BENCH"
T0_NS = 1_398_920_400_000_000_000
SIDES = ("bid", "ask", "bid_size", "ask_size")


def numbers(count: int) -> dict[str, Any]:
    """Return quotes of a made-up dealer as integers: milliseconds apart, prices in steps of 10^-5, whole sizes."""
    np: Any = importlib.import_module("numpy")
    chance = np.random.default_rng(20261121)
    bid = 138_000 + np.cumsum(chance.integers(-2, 3, count))
    return {
        "ts_ns": T0_NS + 1_000_000 * np.cumsum(chance.integers(1, 200, count)),
        "bid": bid,
        "ask": bid + chance.integers(1, 4, count),
        "bid_size": chance.integers(1, 100, count),
        "ask_size": chance.integers(1, 100, count),
    }


def frame_of(given: dict[str, Any]) -> Any:
    """Return them as the DataFrame that all of them give back."""
    pd: Any = importlib.import_module("pandas")
    prices = {side: given[side] / (100_000.0 if side in ("bid", "ask") else 1.0) for side in SIDES}
    return pd.DataFrame(prices, index=pd.DatetimeIndex(given["ts_ns"].view("M8[ns]"), name="ts"))


class ArcticDB:
    """ArcticDB over the same mongod: a DataFrame in, the same out."""

    def __init__(self, uri: str, given: dict[str, Any]) -> None:
        port = re.findall(r":(\d+)", uri)[0]
        arctic = importlib.import_module("arcticdb").Arctic(f"mongodb://127.0.0.1:{port}/?maxPoolSize=10")
        self._library = arctic.get_library("bench", create_if_missing=True)
        self._frame = frame_of(given)

    def write(self) -> int:
        """Write all as a new version, the one before removed."""
        self._library.write(SYMBOL, self._frame, prune_previous_versions=True)
        return len(self._frame)

    def frame(self) -> int:
        """Read all."""
        return len(self._library.read(SYMBOL).data)


class PlainSeries:
    """A plain time-series collection with floats, as its manual has it, by pymongo or pymongoarrow."""

    def __init__(self, uri: str, given: dict[str, Any]) -> None:
        self._pymongo: Any = importlib.import_module("pymongo")
        database = self._pymongo.MongoClient(uri)["plain_series"]
        if "ticks" not in database.list_collection_names():
            series = {"timeField": "ts", "metaField": "symbol", "granularity": "seconds"}
            database.create_collection("ticks", timeseries=series)
            for start in range(0, len(given["ts_ns"]), 20_000):
                database.ticks.insert_many(_documents(given, start, start + 20_000), ordered=False)
        self._ticks = database.ticks


class Pymongo(PlainSeries):
    """``find`` into a DataFrame."""

    def frame(self) -> int:
        """Read all into a DataFrame."""
        pd: Any = importlib.import_module("pandas")
        found = self._ticks.find({"symbol": SYMBOL}, {"_id": 0, "symbol": 0}).sort("ts", 1)
        return len(pd.DataFrame(list(found)).set_index("ts"))


class Pymongoarrow(PlainSeries):
    """``find_arrow_all`` with a schema."""

    def table(self) -> int:
        """Read all into an Arrow Table."""
        api: Any = importlib.import_module("pymongoarrow.api")
        schema = api.Schema({"ts": datetime.datetime} | dict.fromkeys(SIDES, float))
        table = api.find_arrow_all(self._ticks, {"symbol": SYMBOL}, schema=schema, sort={"ts": 1})
        return int(table.num_rows)


def _documents(given: dict[str, Any], start: int, stop: int) -> list[dict[str, Any]]:
    part = frame_of({name: values[start:stop] for name, values in given.items()})
    times = [time.to_pydatetime() for time in part.index]
    return [
        {"ts": ts, "symbol": SYMBOL} | dict(zip(SIDES, row, strict=True))
        for ts, row in zip(times, part[list(SIDES)].values.tolist(), strict=True)
    ]


STORES: dict[str, Any] = {"arcticdb": ArcticDB, "pymongo": Pymongo, "pymongoarrow": Pymongoarrow}


def main() -> None:
    """Answer each line on standard input with a figure."""
    _, name, uri, count = sys.argv
    store = STORES[name](uri, numbers(int(count)))
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        done = getattr(store, line.strip())()
        took = time.perf_counter() - began
        assert done == int(count), f"{done} ticks, not {count}"
        print(done / took, flush=True)


if __name__ == "__main__":
    main()
