"""Messages between the two processes: a length, a header in JSON, and arrays as they lie in memory.

Nothing here is executed by being read, unlike a pickle. Both ends use this file; it needs the standard library and
NumPy alone.
"""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_LENGTHS = struct.Struct("<II")
_MOST_HEADER, _MOST_BODY = 1 << 20, 1 << 29
_TYPES = ("uint8", "uint16", "int64", "float32", "float64")


def send(pipe: socket.socket, message: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Send a message (of what JSON can hold) with arrays; raises OSError where nobody listens any more."""
    packed = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    told = [[name, array.dtype.name, list(array.shape)] for name, array in packed.items()]
    header = json.dumps({"message": dict(message), "arrays": told}).encode()
    body = b"".join(array.tobytes() for array in packed.values())
    pipe.sendall(_LENGTHS.pack(len(header), len(body)) + header + body)


def receive(pipe: socket.socket) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the next message and its arrays.

    Raises:
        EOFError: the other end is gone.
        ValueError: what came is no such message.
        TimeoutError: it takes longer than the timeout of the socket.
    """
    lengths = _LENGTHS.unpack(_exactly(pipe, _LENGTHS.size))
    if lengths[0] > _MOST_HEADER or lengths[1] > _MOST_BODY:
        raise ValueError(f"a message of {lengths[0]} + {lengths[1]} bytes is too long")
    header = json.loads(_exactly(pipe, lengths[0]))
    body = _exactly(pipe, lengths[1])
    arrays, at = {}, 0
    for name, kind, shape in header["arrays"]:
        if kind not in _TYPES:
            raise ValueError(f"array '{name}' is of {kind}, allowed: {', '.join(_TYPES)}")
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        if any(length < 0 for length in shape) or at + size > len(body):
            raise ValueError(f"array '{name}' of shape {shape} is longer than what came")
        arrays[name] = np.frombuffer(body, kind, size // np.dtype(kind).itemsize, at).reshape(shape)
        at += size
    return header["message"], arrays


def _exactly(pipe: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = pipe.recv(min(1 << 20, count - len(parts)))
        if not part:
            raise EOFError("the other end is gone")
        parts += part
    return bytes(parts)
