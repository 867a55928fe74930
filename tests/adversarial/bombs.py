"""Bodies that are small to send and dear to read, or as large as may be and full of mistakes."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import pyarrow as pa

from qsuite.handlers.base import OFF_LOOP_BYTES
from qsuite.handlers.operations import ARROW, CSV, JSON, NDJSON
from tests.adversarial.fields_of import DOCUMENT, Field, body_fields, resolve
from tests.adversarial.targets import Target, targets

ON_LOOP = OFF_LOOP_BYTES - 1
"""The longest body that is read on the loop itself."""
MEBIBYTE = 1_048_576
TICK = b'{"symbol":"IBM","ts":"2026-01-31T14:30:00Z","price":"10","size":"1"}'


class Bomb(NamedTuple):
    """What makes a body, since all of them at once would be too much for us too, and what it is sent as."""

    why: str
    target: Target
    make: Callable[[], bytes]
    media: str = JSON
    encoding: str = ""

    @property
    def always(self) -> bool:
        """Say whether it is thrown at every size of the test: there are few of its kind."""
        return self.why.startswith("arrow ")

    @property
    def headers(self) -> bytes:
        """Return its header lines."""
        encoding = f"Content-Encoding: {self.encoding}\r\n" if self.encoding else ""
        return f"Content-Type: {self.media}\r\n{encoding}".encode()


def bombs() -> Iterator[Bomb]:
    """Give every bomb for every target that takes a body."""
    arrays: dict[str, list[Field]] = {}
    for field in body_fields():
        if "array" in field.types or not field.types:
            arrays.setdefault(str(field.target), []).append(field)
    for target in targets():
        declared = target.declared
        if declared is None or not declared.reads_body:
            continue
        if declared.body is not None:
            yield from _json(target)
            for field in arrays.get(str(target), ()):
                yield from _lists(target, field)
        if declared.bulk:
            yield from _bulk(target)
        yield from _inflating(target, declared.media)


def _json(target: Target) -> Iterator[Bomb]:
    for size in (ON_LOOP, MEBIBYTE):
        for item in ("{}", "1", '"x"', "[]", "null", '{"a":{}}'):
            yield Bomb(f"array of {item}", target, partial(filled, "[", item, "]", size))
        yield Bomb("unknown fields", target, partial(_unknown, size))
        yield Bomb("deep lists", target, partial(repeated, b"", b"[", size // 2, b""))
        yield Bomb("deep lists in order", target, partial(_deep, b"[", b"", b"]", size // 2))
        yield Bomb("deep objects", target, partial(_deep, b'{"a":', b"1", b"}", size // 6))
        yield Bomb("one text", target, partial(repeated, b'{"a":"', b"x", size - 8, b'"}'))
        yield Bomb("escapes", target, partial(repeated, b'{"a":"', rb"\u0041", size // 6 - 2, b'"}'))
        yield from _one_value(target, size)
    yield Bomb("a part of many", target, _multipart, "multipart/form-data; boundary=x")


def _one_value(target: Target, size: int) -> Iterator[Bomb]:
    schema = DOCUMENT["paths"][target.template][target.method.lower()]["requestBody"]["content"][JSON]["schema"]
    for name in list(resolve(schema).get("properties", {}))[:3]:
        begin = b'{"%b":' % name.encode()
        yield Bomb("digits", target, partial(repeated, begin, b"1", size - 40, b"}"))
        yield Bomb("digits after a point", target, partial(repeated, begin + b"1.", b"1", size - 40, b"}"))
        yield Bomb("a wild exponent", target, partial(repeated, begin + b"1e", b"9", 18, b"}"))
        yield Bomb("one text", target, partial(repeated, begin + b'"', b"x", size - 40, b'"}'))


def _lists(target: Target, field: Field) -> Iterator[Bomb]:
    for item in ("1", '"x"', "{}", "null", "[]", '{"a":1}', '"IBM"'):
        yield Bomb(f"{'.'.join(map(str, field.place))} of {item}", target, partial(_listed, field, item))


def _bulk(target: Target) -> Iterator[Bomb]:
    row = b"symbol,ts,price,size\n"
    yield Bomb("a line without end", target, partial(repeated, b'{"symbol":"', b"x", 3_000_000, b""), NDJSON)
    yield Bomb("many empty lines", target, partial(repeated, b"", b"\n", 1_000_000, b""), NDJSON)
    yield Bomb("many short lines", target, partial(repeated, b"", b"1\n", 300_000, b""), NDJSON)
    yield Bomb(
        "a field without end",
        target,
        partial(repeated, row + b"IBM,2026-01-31T14:30:00Z,1,", b"1", 3_000_000, b""),
        CSV,
    )
    yield Bomb("a quoted field without end", target, partial(repeated, row + b'"', b"x\n", 1_500_000, b""), CSV)
    yield Bomb("many columns", target, partial(repeated, b"", b"c,", 200_000, b"\n1"), CSV)
    yield Bomb("many columns alike", target, partial(repeated, b"", b"symbol,", 100_000, b"\nIBM"), CSV)
    number, after = TICK.split(b'"10"')
    yield Bomb("a number without end", target, partial(repeated, number, b"1", 1_000_000, after), NDJSON)
    yield Bomb("a wild number", target, partial(repeated, number + b"1e", b"9", 9, after), NDJSON)
    yield Bomb("deep", target, partial(_deep, b"[", b"", b"]", 500_000), JSON)
    for why, make in _arrow():
        yield Bomb(why, target, make, ARROW)


def _arrow() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Give streams that lie about how much there is, or say little many times."""
    texts = {"symbol": "IBM", "ts": "2026-01-31T14:30:00Z", "price": "1", "size": "1"}
    plain = stream_of(pa.RecordBatch.from_pydict({name: [text] * 3 for name, text in texts.items()}))
    for at in range(0, len(plain), 7):
        yield f"byte {at} set", partial(_overwritten, plain, at, b"\xff")
    for at in range(8, len(plain) - 8, 37):
        yield f"eight bytes at {at} set", partial(_overwritten, plain, at, b"\xff\xff\xff\x7f" * 2)
        yield f"cut at {at}", partial(repeated, plain[:at], b"", 0, b"")
    for codec in ("lz4", "zstd"):
        yield f"a compressed buffer ({codec})", partial(_compressed, codec)
    for make in (_word_many_times, _views, _endless_run, _rows_of_nothing, _nested):
        yield f"arrow {make.__name__}", make


def _compressed(codec: str) -> bytes:
    zeros = pa.RecordBatch.from_pydict({"symbol": ["\x00" * 20_000_000]})
    return stream_of(zeros, pa.ipc.IpcWriteOptions(compression=codec))


def _word_many_times() -> bytes:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 1_000_000]))
    return stream_of(pa.RecordBatch.from_arrays([words], ["symbol"]))


def _views() -> bytes:
    return stream_of(pa.RecordBatch.from_arrays([pa.array(["y" * 100] * 9_000).cast(pa.string_view())], ["symbol"]))


def _endless_run() -> bytes:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2_000_000_000], pa.int32()), pa.array(["IBM"]))
    return stream_of(pa.RecordBatch.from_arrays([runs], ["symbol"]))


def _rows_of_nothing() -> bytes:
    return stream_of(pa.RecordBatch.from_arrays([pa.nulls(2_000_000_000)], ["symbol"]))


def _nested() -> bytes:
    return stream_of(pa.RecordBatch.from_arrays([pa.array([[[[["IBM"]]]]])], ["symbol"]))


def _overwritten(plain: bytes, at: int, data: bytes) -> bytes:
    return plain[:at] + data + plain[at + len(data) :]


def _inflating(target: Target, media: tuple[str, ...]) -> Iterator[Bomb]:
    for encoding in ("gzip", "deflate"):
        yield Bomb("inflates", target, partial(_packed, encoding), media[0], encoding)
        yield Bomb("inflates twice", target, partial(_packed_twice, encoding), media[0], f"{encoding}, gzip")
    for encoding in ("br", "zstd", "compress", "identity, gzip", "x-gzip", "gzip;q=1"):
        yield Bomb(f"said to be {encoding}", target, partial(repeated, b"{", b" ", 9, b"}"), media[0], encoding)


@cache
def _packed(encoding: str) -> bytes:
    zeros = b"[" + b"0," * 5_000_000 + b"0]"
    return gzip.compress(zeros, 6) if encoding == "gzip" else zlib.compress(zeros, 6)


def _packed_twice(encoding: str) -> bytes:
    return gzip.compress(_packed(encoding))


def repeated(begin: bytes, part: bytes, count: int, end: bytes) -> bytes:
    """Return a part many times between two others."""
    return begin + part * count + end


def _deep(opening: bytes, middle: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + middle + closing * depth


def _unknown(size: int) -> bytes:
    fields = (f'"u{number}":1' for number in range(size // 11))
    return b"{%b}" % ",".join(fields).encode()


def _listed(field: Field, item: str) -> bytes:
    return field.body(filled("[", item, "]", ON_LOOP - len(field.body("1")) - 8).decode())


def stream_of(batch: Any, options: Any = None) -> bytes:
    """Write a record batch as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue())


def filled(opening: str, item: str, closing: str, size: int) -> bytes:
    """Return as many items as fit."""
    count = (size - 2) // (len(item) + 1)
    return f"{opening}{','.join([item] * count)}{closing}".encode()


def _multipart() -> bytes:
    part = b"--x\r\nContent-Disposition: form-data; name=%b\r\n\r\n1\r\n" % json.dumps("a").encode()
    return part * 10_000 + b"--x--\r\n"
