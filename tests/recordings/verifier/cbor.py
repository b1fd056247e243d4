"""The small part of CBOR that a COSE_Key needs (section 9, step 3)."""
from typing import Dict, Tuple, Union

MAX_PAIRS = 16


class CborError(ValueError):
    """No such map."""


def _head(data: bytes, at: int) -> Tuple[int, int, int]:
    """Major type, argument and the next position; a head has 1, 2, 3 or 5 bytes."""
    if at >= len(data):
        raise CborError("cut")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info < 24:
        return major, info, at
    size = {24: 1, 25: 2, 26: 4}.get(info)
    if size is None or at + size > len(data):
        raise CborError("head")
    return major, int.from_bytes(data[at:at + size], "big"), at + size


def _integer(data: bytes, at: int) -> Tuple[int, int]:
    major, value, at = _head(data, at)
    if major > 1:
        raise CborError("no integer")
    return (value if major == 0 else -1 - value), at


def read_map(data: bytes) -> Dict[int, Union[int, bytes]]:
    """A map of definite length with integer keys, and nothing after it."""
    major, count, at = _head(data, 0)
    if major != 5 or count > MAX_PAIRS:
        raise CborError("no map")
    result: Dict[int, Union[int, bytes]] = {}
    for _ in range(count):
        key, at = _integer(data, at)
        if key in result:
            raise CborError("a key twice")
        major, size, after = _head(data, at)
        if major == 2:
            if after + size > len(data):
                raise CborError("cut")
            result[key], at = data[after:after + size], after + size
        else:
            result[key], at = _integer(data, at)
    if at != len(data):
        raise CborError("bytes after the map")
    return result
