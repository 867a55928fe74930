"""Reports as files: exact decimals in Parquet, CSV that no spreadsheet runs, one JSON document."""

import csv
import io
import json
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qsuite.handlers.report_tables import table_of
from qsuite.handlers.row_formats.documents import JsonWriter, SafeCsvWriter
from qsuite.handlers.row_formats.parquet import Fit, ParquetWriter, digits_of


class Row(NamedTuple):
    """A row with a text and a decimal."""

    client_order_id: str | None
    price: Decimal | None


TABLE = table_of(Row)


def written(writer: Any, batches: list[list[Row]]) -> bytes:
    return bytes(writer.head() + b"".join(writer.rows(batch) for batch in batches) + writer.end())


def parquet(values: list[str | None]) -> Any:
    rows = [Row("x", None if value is None else Decimal(value)) for value in values]
    fit: Fit[Row] = Fit(TABLE)
    fit.see(rows)
    return pq.read_table(io.BytesIO(written(ParquetWriter(TABLE, fit), [rows[:1], rows[1:]])))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1.50", "-0.000000000000000001", None], pa.decimal128(38, 18)),
        (["99999999999999999999", "0.1"], pa.decimal128(38, 18)),
        (["0.0000000000000000000001", "12345678901234.5"], pa.decimal128(38, 22)),
        (["123456789012345678901234", "0.5"], pa.decimal128(38, 1)),
        (["1234567890123456789012345", "1E-34"], pa.string()),
    ],
)
def test_parquet_holds_every_digit(values: list[str | None], kind: pa.DataType) -> None:
    table = parquet(values)
    assert table.schema.field("price").type == kind
    found = [None if value is None else Decimal(value) for value in table["price"].to_pylist()]
    assert found == [None if value is None else Decimal(value) for value in values]


def test_what_does_not_fit_is_refused_and_not_rounded() -> None:
    fit: Fit[Row] = Fit(TABLE)
    fit.see([Row("x", Decimal("1.5"))])
    writer = ParquetWriter(TABLE, fit)
    writer.rows([Row("late", Decimal("1E-19"))])
    with pytest.raises(pa.ArrowInvalid):
        writer.end()


def test_digits_are_counted_on_both_sides_of_the_point() -> None:
    assert [digits_of(Decimal(text)) for text in ("150.25", "0.001", "1E+3", "-7", "0")] == [
        (3, 2), (0, 3), (4, 0), (1, 0), (1, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", " =1", "\r=1", "|calc", "'quoted"])
def test_a_text_that_begins_like_a_formula_is_none_in_csv(text: str) -> None:
    body = written(SafeCsvWriter(TABLE), [[Row(text, Decimal("-1.50")), Row(None, None)]]).decode()
    rows = list(csv.DictReader(io.StringIO(body, newline="")))
    assert rows[0]["client_order_id"] == f"'{text}"
    assert rows[0]["price"] == "-1.50"
    assert rows[1] == {"client_order_id": "", "price": ""}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_json_is_one_document_of_however_many_batches(count: int) -> None:
    batches = [[Row("a", Decimal("1.50")), Row(None, None)] for _ in range(count)]
    found = json.loads(written(JsonWriter(TABLE), batches))
    assert found == {
        "results": [{"client_order_id": "a", "price": "1.50"}, {"client_order_id": None, "price": None}] * count,
        "count": 2 * count, "next": None, "previous": None,
    }  # fmt: skip
