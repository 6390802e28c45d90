"""Write small ONNX models without the package onnx, which environments do not have: protobuf by hand, as onnx.proto3 numbers the fields.

Source of the numbers: onnx/onnx:onnx/onnx.proto of IR version 8.
"""

from __future__ import annotations

from typing import Union

INT32, INT64, FLOAT = 6, 7, 1
"""Types of elements, as `TensorProto.DataType` numbers them."""
_IR, _OPSET = 8, 13
Value = Union[int, str, bytes]


def message(*fields: tuple[int, Value]) -> bytes:
    """A protobuf message of numbered fields: whole numbers, texts, and messages or bytes."""
    return b"".join(_field(number, value) for number, value in fields)


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def node(kind: str, inputs: list[str], outputs: list[str], **whole: int) -> bytes:
    """A node with attributes that are whole numbers."""
    attributes = [(5, message((1, name), (3, value), (20, 2))) for name, value in whole.items()]
    return message(*((1, name) for name in inputs), *((2, name) for name in outputs), (4, kind), *attributes)


def value(name: str, kind: int, *shape: int | str) -> bytes:
    """What an input or output is; a dimension that is a text may have any size."""
    dimensions = message(*((1, message((1 if isinstance(size, int) else 2, size))) for size in shape))
    return message((1, name), (2, message((1, message((1, kind), (2, dimensions))))))


def constant(name: str, numbers: list[int]) -> bytes:
    """A row of whole numbers (int64)."""
    data = b"".join(number.to_bytes(8, "little", signed=True) for number in numbers)
    return message((1, len(numbers)), (2, INT64), (8, name), (9, data))


def model(
    nodes: list[bytes],
    inputs: list[bytes],
    outputs: list[bytes],
    constants: list[bytes],
    metadata: dict[str, str] | None = None,
) -> bytes:
    """The file of a model."""
    graph = message(
        *((1, part) for part in nodes),
        (2, "graph"),
        *((5, part) for part in constants),
        *((11, part) for part in inputs),
        *((12, part) for part in outputs),
    )
    notes = [(14, message((1, name), (2, text))) for name, text in (metadata or {}).items()]
    return message((1, _IR), (7, graph), (8, message((1, ""), (2, _OPSET))), *notes)
