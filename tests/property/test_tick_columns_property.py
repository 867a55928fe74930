"""Columns give what rows give, whatever the ticks: sorting, merging and decoding of rows are the judge."""

import heapq
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import bson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qsuite.domain.market import Quote, Tick, Trade, kind_of
from qsuite.domain.tick_columns.columns import TickColumns, to_columns, to_ticks
from qsuite.domain.tick_columns.runs import between, cut, each_once, in_order, joined, only_kind, without
from qsuite.repos import tick_series_columns
from qsuite.repos.tick_block_reads import iterate_blocks, once
from qsuite.repos.tick_blocks import Span
from qsuite.repos.tick_column_reads import block_columns, merged
from qsuite.repos.tick_documents import encode_tick
from qsuite.repos.tick_queries import TickQuery, order_of
from qsuite.repos.tick_series_columns import batch_columns
from tests.property.test_tick_blocks_property import MONEY, TICKS

# Few instants, numbers and figures, so that places and ticks meet again.
NEAR = st.integers(1_000, 1_012)
ALIKE = st.sampled_from([Decimal(text) for text in ("1.5", "1.50", "2", "-0.0", "0.12345678901234567890")])
MET_AGAIN = st.lists(
    st.builds(Trade, st.just("IBM"), NEAR, ALIKE, ALIKE, st.integers(0, 1))
    | st.builds(
        Quote, st.just("IBM"), NEAR, st.none() | ALIKE, st.none() | ALIKE, st.none(), st.none(), st.integers(0, 1)
    ),
    max_size=25,
)
EDGE = st.none() | st.integers(998, 1_015)


def ordered(ticks: list[Tick]) -> list[Tick]:
    return sorted(ticks, key=order_of)


def same(found: TickColumns | list[TickColumns], wanted: list[Tick]) -> None:
    runs = found if isinstance(found, list) else [found]
    # repr, because 1.5 and 1.50 are equal.
    assert repr([tick for run in runs for tick in to_ticks(run)]) == repr(wanted)


@settings(max_examples=80, deadline=None)
@given(TICKS | MET_AGAIN, st.data())
def test_a_cut_is_the_rows_from_one_to_the_other(ticks: list[Tick], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(ticks)))
    stop = data.draw(st.integers(start, len(ticks)))
    same(cut(to_columns("IBM", ticks), start, stop), ticks[start:stop])


@settings(max_examples=80, deadline=None)
@given(st.lists(TICKS | MET_AGAIN, min_size=1, max_size=4))
@example([[Trade("IBM", 1, Decimal("1.50"), Decimal(1))], [Trade("IBM", 0, Decimal("1E-16"), Decimal("1E+3"))]])
@example([[Trade("IBM", 1, Decimal(10**17), Decimal(1))], [Trade("IBM", 0, Decimal("-1E-9"), Decimal("-0"))]])
def test_runs_put_together_are_the_ticks_behind_each_other(runs: list[list[Tick]]) -> None:
    same(joined([to_columns("IBM", run) for run in runs]), [tick for run in runs for tick in run])


@settings(max_examples=100, deadline=None)
@given(TICKS | MET_AGAIN, EDGE, EDGE, st.sampled_from(["trade", "quote"]))
def test_sorted_without_the_equal_ones_and_bounded_it_is_as_with_rows(
    ticks: list[Tick], start_ns: int | None, end_ns: int | None, kind: str
) -> None:
    run, rows = in_order(to_columns("IBM", ticks)), ordered(ticks)
    same(run, rows)
    same(each_once(run), list(once(iter(rows))))
    bounded = [t for t in rows if start_ns is None or t.ts_ns >= start_ns if end_ns is None or t.ts_ns < end_ns]
    same(between(run, start_ns, end_ns), bounded)
    same(only_kind(run, kind == "trade"), [tick for tick in rows if kind_of(tick) == kind])


class MadeBlocks:
    """Blocks in memory, where ``TickBlocks`` has them in a database."""

    def __init__(self, blocks: list[list[Tick]]) -> None:
        self._columns = {number: to_columns("IBM", block) for number, block in enumerate(blocks)}
        spans = [
            Span(block[-1].ts_ns, block[0].ts_ns, 1, 1, None, None, True, number)  # type: ignore[arg-type]
            for number, block in enumerate(blocks)
        ]
        self.spans = sorted(spans, key=lambda span: (span.first_ns, span.id))

    def open(self, span: Any) -> TickColumns:
        return self._columns[span.id]


@settings(max_examples=80, deadline=None)
@given(st.lists(MET_AGAIN.filter(bool).map(ordered), max_size=5), EDGE, EDGE, st.sampled_from([None, "trade", "quote"]))
def test_blocks_that_overlap_are_merged_as_with_rows(
    given_blocks: list[list[Tick]], start_ns: int | None, end_ns: int | None, kind: str | None
) -> None:
    blocks: Any = MadeBlocks(given_blocks)
    query = TickQuery("IBM", start_ns, end_ns, kind)
    runs = [each_once(run) for run in block_columns(blocks, blocks.spans, query)]
    same(runs, list(once(iterate_blocks(blocks, blocks.spans, query))))
    whole_instants(runs)


@settings(max_examples=80, deadline=None)
@given(MET_AGAIN, MET_AGAIN, st.lists(st.integers(999, 1_014)), st.lists(st.integers(999, 1_014)))
def test_two_streams_are_merged_as_with_rows(
    first: list[Tick], second: list[Tick], cuts: list[int], other_cuts: list[int]
) -> None:
    runs = list(merged(stream(first, cuts), stream(second, other_cuts)))
    same(runs, list(heapq.merge(ordered(first), ordered(second), key=order_of)))
    whole_instants(runs)


def stream(ticks: list[Tick], cuts: list[int]) -> Any:
    """Yield ticks in order as runs that end at these times."""
    run = to_columns("IBM", ordered(ticks))
    edges = [None, *sorted(set(cuts)), None]
    parts: Iterator[TickColumns] = (between(run, *edges[place : place + 2]) for place in range(len(edges) - 1))
    yield from (part for part in parts if len(part))


def whole_instants(runs: list[TickColumns]) -> None:
    assert all(len(run) for run in runs)
    assert all(run.ts_ns[-1] < then.ts_ns[0] for run, then in pairwise(runs))


# What a Decimal128 holds, which columns of BSON are made of.
STORED = MONEY.filter(lambda value: len(value.as_tuple().digits) <= 34)
DOCUMENTS = st.lists(
    st.builds(Trade, st.just("IBM"), st.integers(0, 2**60), STORED, STORED, st.integers(0, 2**50))
    | st.builds(
        Quote,
        st.just("IBM"),
        st.integers(0, 2**60),
        *[st.none() | STORED for _ in range(4)],
        st.integers(-(2**63), 2**63 - 1),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
@example([Trade("IBM", 1, Decimal("-0.00"), Decimal("9" * 34)), Quote("IBM", 1, Decimal("-1E-30"), None)])
@example([Trade("IBM", 1, Decimal(10**18), Decimal(10**18 - 1)), Trade("IBM", 1, Decimal(-1), Decimal("0E+3"))])
def test_documents_become_columns_as_they_become_ticks(ticks: list[Tick]) -> None:
    batch = b"".join(map(encode_tick, ticks))
    tick_series_columns._Batch("IBM", batch).columns()  # all that QSuite writes is cut, not decoded
    same(batch_columns("IBM", batch), ticks)


def test_documents_of_another_make_are_decoded() -> None:
    typed: dict[str, Any] = bson.decode(encode_tick(Trade("IBM", 7, Decimal("1.50"), Decimal(3), 2)))
    cases = [
        typed | {"seq": 2, "note": "typed into a shell"},
        {name: typed[name] for name in reversed(typed)},
        typed | {"ts_ns": 7},  # an int of 32 bits
    ]
    for document in cases:
        batch = encode_tick(Trade("IBM", 7, Decimal("1.50"), Decimal(3), 1)) + bson.encode(document)
        same(
            batch_columns("IBM", batch),
            [Trade("IBM", 7, Decimal("1.50"), Decimal(3), seq) for seq in (1, 2)],
        )
    with pytest.raises(KeyError):
        batch_columns("IBM", bson.encode({name: typed[name] for name in typed if name != "price"}))


@settings(max_examples=80, deadline=None)
@given(MET_AGAIN, MET_AGAIN)
def test_without_what_is_known_it_is_as_with_rows(ticks: list[Tick], known: list[Tick]) -> None:
    run, there = each_once(in_order(to_columns("IBM", ticks))), in_order(to_columns("IBM", known))
    same(without(run, there), [tick for tick in once(iter(ordered(ticks))) if tick not in known])
