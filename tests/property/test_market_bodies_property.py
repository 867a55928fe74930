"""For all bodies: rows or the named errors, nothing else; and what was written is what is read."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsuite.domain.errors import Invalid
from qsuite.domain.market import Trade
from qsuite.domain.times import format_rfc3339
from qsuite.services.files.bodies import TICK_FIELDS, decode_bars, decode_ticks
from qsuite.services.files.parts import MEDIA_TYPES

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.decimals().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ROWS = st.lists(st.dictionaries(st.sampled_from(TICK_FIELDS) | st.text(max_size=5), VALUES, max_size=8), max_size=4)


@settings(max_examples=200)
@given(ROWS, st.booleans())
def test_any_json_gives_rows_or_an_explained_refusal(rows: list[object], lines: bool) -> None:
    body = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
    for decode in (decode_ticks, decode_bars):
        try:
            decoded = decode(body.encode(), "application/x-ndjson" if lines else "application/json")
        except Invalid:
            continue
        assert len(decoded.rows) == len(decoded.lines)
        assert len(decoded.rows) + len(decoded.bad) == len(rows)
        json.dumps([bad._asdict() for bad in decoded.bad]).encode()


@settings(max_examples=200)
@given(st.binary(max_size=200), st.sampled_from(MEDIA_TYPES))
def test_any_bytes_give_rows_or_an_explained_refusal(body: bytes, media: str) -> None:
    try:
        decode_ticks(body, media)
    except Invalid:
        return


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**62),
            st.decimals(min_value=Decimal("0.0001"), max_value=10**9, places=8),
            st.integers(1, 10**12),
        ),
        max_size=5,
    )
)
def test_trades_come_back_from_every_encoding_as_they_were(rows: list[tuple[int, Decimal, int]]) -> None:
    trades = [Trade("X", ts_ns, price, Decimal(size)) for ts_ns, price, size in rows]
    fields = [
        {"symbol": "X", "ts": format_rfc3339(trade.ts_ns), "price": str(trade.price), "size": str(trade.size)}
        for trade in trades
    ]
    text = "symbol,ts,price,size\n" + "".join(",".join(row.values()) + "\n" for row in fields)
    assert decode_ticks(json.dumps(fields).encode(), "application/json").rows == trades
    assert decode_ticks("\n".join(map(json.dumps, fields)).encode(), "application/x-ndjson").rows == trades
    assert decode_ticks(text.encode(), "text/csv").rows == trades


def test_an_empty_array_is_no_rows() -> None:
    assert decode_ticks(b"[]", "application/json").rows == []
    with pytest.raises(Invalid):
        decode_ticks(b"", "application/json")
