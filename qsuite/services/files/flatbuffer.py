"""Whether an Arrow stream has compressed buffers, read from its message headers before anything is inflated.

An Arrow stream is a row of messages, each ``0xFFFFFFFF, length, flatbuffer, body``. In the flatbuffer a table starts
with the distance back to its vtable, which holds the position of each field or 0 (flatbuffers' "internals" page;
field numbers from Arrow's ``Message.fbs``).
"""

import struct

_CONTINUATION = 0xFFFFFFFF
# Message: version, header_type, header, bodyLength. Header types: 2 a dictionary batch, 3 a record batch.
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
# DictionaryBatch: id, data (a RecordBatch). RecordBatch: length, nodes, buffers, compression.
_DICTIONARY_DATA, _COMPRESSION = 1, 3


def is_compressed(stream: bytes) -> bool:
    """Say whether any batch is compressed. ValueError or struct.error when the bytes are no Arrow stream."""
    at = 0
    while at + 8 <= len(stream):
        mark, length = struct.unpack_from("<II", stream, at)
        if mark != _CONTINUATION:
            raise ValueError("a message does not start with its mark")
        if length == 0:
            return False
        message = at + 8
        if message + length > len(stream):
            raise ValueError("it ends inside a message")
        compressed, body_length = _read_message(memoryview(stream)[message : message + length])
        if compressed:
            return True
        if body_length < 0:
            raise ValueError("a negative length")
        at = message + length + body_length
    return False


def _read_message(data: memoryview) -> tuple[bool, int]:
    table = _uint32(data, 0)
    kind_at, header_at = _field(data, table, _HEADER_TYPE), _field(data, table, _HEADER)
    body_at = _field(data, table, _BODY_LENGTH)
    kind = struct.unpack_from("<B", data, kind_at)[0] if kind_at else 0
    body_length = int(struct.unpack_from("<q", data, body_at)[0]) if body_at else 0
    if kind not in (_DICTIONARY_BATCH, _RECORD_BATCH) or not header_at:
        return False, body_length
    batch = header_at + _uint32(data, header_at)
    if kind == _DICTIONARY_BATCH:
        data_at = _field(data, batch, _DICTIONARY_DATA)
        if not data_at:
            return False, body_length
        batch = data_at + _uint32(data, data_at)
    return _field(data, batch, _COMPRESSION) != 0, body_length


def _field(data: memoryview, table: int, number: int) -> int:
    """Return where a table's field lies, 0 where it is absent."""
    vtable = table - int(struct.unpack_from("<i", data, table)[0])
    if vtable < 0:
        raise ValueError("a table without its field list")
    size = struct.unpack_from("<H", data, vtable)[0]
    slot = 4 + 2 * number
    offset = struct.unpack_from("<H", data, vtable + slot)[0] if slot + 2 <= size else 0
    return table + offset if offset else 0


def _uint32(data: memoryview, at: int) -> int:
    return int(struct.unpack_from("<I", data, at)[0])
