"""Labelled texts of a user's own: what is read, and what stops it."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from qsuite.domain.analytics.sentiment import Label
from qsuite.domain.errors import Invalid, TooLarge
from qsuite.services.sentiment import labelled
from qsuite.services.sentiment.labelled import Labelled, label_from, pack, read_labelled, read_rows, unpack

ROWS = [Labelled("Profit, at last", Label.POSITIVE), Labelled("So so", Label.NEUTRAL), Labelled("Bäh", Label.NEGATIVE)]
CSV = 'id,sentence,label\n1,"Profit, at last",positive\n2,So so, Neutral \n3,Bäh,neg\n'


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", CSV),
        ("a.csv.gz", CSV),
        ("a.csv", "\ufeff" + CSV.replace("\n", "\r\n")),
        ("a.csv", 'score,title\n0.3,"Profit, at last"\n0,So so\n-1,Bäh\n'),
        (
            "a.jsonl",
            '{"text": "Profit, at last", "label": "pos"}\n\n{"text": "So so", "label": 0.049}\n'
            '{"text": "Bäh", "label": -0.05, "more": []}\n',
        ),
    ],
)
def test_texts_are_read_from_csv_and_json_lines(tmp_path: Path, name: str, text: str) -> None:
    assert read_labelled(written(tmp_path, name, text)) == ROWS


def test_columns_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "text,what,mood\nx,So so,neutral\n")
    assert read_labelled(path, "what", "mood") == [Labelled("So so", Label.NEUTRAL)]


@pytest.mark.parametrize(
    ("name", "text", "where", "why"),
    [
        ("a.csv", "text,label\nfine,positive\nbad,grand\n", "line 3", "'grand' is no label"),
        ("a.csv", "text,label\nbad,1.01\n", "line 2", "'1.01' is no label"),
        ("a.csv", "text,label\nbad,nan\n", "line 2", "'nan' is no label"),
        ("a.csv", "text,label\nbad\n", "line 2", "'None' is no label"),
        ("a.csv", "text,label\n ,positive\n", "line 2", "no text"),
        ("a.csv", f"text,label\n{'x' * 4_001},positive\n", "line 2", "4,000 characters"),
        ("a.csv", "words,label\nx,positive\n", "text column", "words, label"),
        ("a.csv", "text,x\nx,positive\n", "label column", "--label-column"),
        ("a.jsonl", '{"text": "x", "label": "positive"}\n{"text"\n', "line 2", "Expecting"),
        ("a.jsonl", "[1]\n", "line 1", "object"),
        ("a.jsonl", '{"text": "x", "label": true}\n', "line 1", "'True' is no label"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str, where: str, why: str) -> None:
    with pytest.raises(Invalid) as raised:
        read_labelled(written(tmp_path, name, text))
    assert list(raised.value.errors) == [where]
    assert why in raised.value.errors[where][0]


def test_what_is_no_text_or_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "a.csv"
    for data in (b"text,label\n\xff,positive\n", b"\x1f\x8b"):
        broken.write_bytes(data)
        with pytest.raises(Invalid, match="no text in UTF-8"):
            read_labelled(broken)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(CSV.encode())[:-10])
    with pytest.raises(Invalid, match="no text in UTF-8"):
        read_labelled(tmp_path / "b.csv.gz")
    monkeypatch.setattr(labelled, "MOST_ROWS", 2)
    with pytest.raises(TooLarge):
        read_labelled(written(tmp_path, "c.csv", CSV))
    monkeypatch.setattr(labelled, "MOST_BYTES", 10)
    with pytest.raises(TooLarge):
        read_labelled(written(tmp_path, "c.csv.gz", CSV))


def test_rows_are_read_as_they_are_sent() -> None:
    assert read_rows([{"text": "a", "label": "negative"}, {"text": "b", "label": Decimal("0.5")}]) == [
        Labelled("a", Label.NEGATIVE),
        Labelled("b", Label.POSITIVE),
    ]
    for wrong in (None, ["a", "positive"], {"text": "a"}, {"text": "a", "label": None}, {"text": 1, "label": 1}):
        with pytest.raises(Invalid) as raised:
            read_rows([{"text": "a", "label": "negative"}, wrong])
        assert list(raised.value.errors) == ["rows.1"]


def test_what_is_stored_comes_back() -> None:
    assert unpack(pack(ROWS)) == ROWS


@pytest.mark.parametrize(
    ("value", "label"), [(1, "positive"), ("-0.3", "negative"), (0.0, "neutral"), ("POS", "positive")]
)
def test_labels_are_words_or_numbers(value: object, label: str) -> None:
    assert label_from(value).value == label
