"""A zip reader for evidence packages (section 15): stored files only, nothing is extracted.

The central directory counts. Zip64 is read, data descriptors are not needed. Sizes and
counts are bounded before anything is allocated.
"""
import os
import struct
from typing import Dict, List, NamedTuple, Tuple

MAX_FILES = 50000
_EOCD = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_EOCD64 = struct.Struct("<4sQ2H2I4Q")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000


class ZipError(ValueError):
    """The zip cannot be opened, or is not a package: `package-unreadable`."""


class Member(NamedTuple):
    """One file of the central directory."""

    name: bytes
    method: int
    encrypted: bool
    crc: int
    size: int
    offset: int


class Slice:
    """Buffered reading of a stretch of the file, by positions (no shared cursor)."""

    def __init__(self, descriptor: int, start: int, length: int, buffer: int = 1 << 18) -> None:
        self._fd = descriptor
        self._at = start
        self._end = start + length
        self._chunk = buffer
        self._data = b""
        self._used = 0

    def left(self) -> int:
        """Bytes that are still to come."""
        return self._end - self._at + len(self._data) - self._used

    def take(self, count: int) -> bytes:
        """The next count bytes, fewer at the end."""
        count = min(count, self.left())
        have = len(self._data) - self._used
        if have < count:
            parts, need = [self._data[self._used:]], count - have
            self._data, self._used = b"", 0
            want = min(max(need, self._chunk), self._end - self._at)
            got = read_at(self._fd, self._at, want)
            self._at += want
            parts.append(got[:need])
            self._data, self._used = got, need
            return b"".join(parts)
        piece = self._data[self._used:self._used + count]
        self._used += count
        return piece


def read_at(descriptor: int, start: int, count: int) -> bytes:
    """Exactly count bytes at a position; ZipError when the file is shorter."""
    parts = []
    while count > 0:
        piece = os.pread(descriptor, min(count, 1 << 24), start)
        if not piece:
            raise ZipError("the file ends too early")
        parts.append(piece)
        start += len(piece)
        count -= len(piece)
    return b"".join(parts)


def _find_end(descriptor: int, length: int) -> Tuple[int, tuple]:
    """The end of central directory record: the last 22 bytes, for there is no comment."""
    at = length - _EOCD.size
    fields = _EOCD.unpack(read_at(descriptor, at, _EOCD.size))
    if fields[0] != b"PK\x05\x06" or fields[7] != 0:
        raise ZipError("no end of central directory, or a comment after it")
    return at, fields


def _directory(descriptor: int, length: int) -> Tuple[int, int]:
    """Offset and count of the central directory."""
    end, fields = _find_end(descriptor, length)
    _, disk, start_disk, here, count, size, offset, _ = fields
    if 0xFFFF in (disk, start_disk, here, count) or 0xFFFFFFFF in (size, offset):
        if end < _LOCATOR.size:
            raise ZipError("no Zip64 locator")
        mark, _, end64, disks = _LOCATOR.unpack(
            read_at(descriptor, end - _LOCATOR.size, _LOCATOR.size))
        if mark == b"PK\x06\x07":
            if disks != 1 or end64 + _EOCD64.size > end - _LOCATOR.size:
                raise ZipError("bad Zip64 locator")
            fields = _EOCD64.unpack(read_at(descriptor, end64, _EOCD64.size))
            mark, _, _, _, disk, start_disk, here, count, size, offset = fields
            if mark != b"PK\x06\x06":
                raise ZipError("bad Zip64 end record")
            end = end64
    if disk or start_disk or here != count:
        raise ZipError("a zip of several disks")
    if count > MAX_FILES:
        raise ZipError("more than %d files" % MAX_FILES)
    if offset > end:
        raise ZipError("the central directory is out of bounds")
    return offset, count


def _zip64(extra: bytes, values: List[int]) -> List[int]:
    """Replace the 32-bit fields that say 'see Zip64' by those of extra field 1."""
    if 0xFFFFFFFF not in values:
        return values
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        body = extra[at + 4:at + 4 + size]
        at += 4 + size
        if kind != 1:
            continue
        used, result = 0, []
        for value in values:
            if value == 0xFFFFFFFF and used + 8 <= len(body):
                value = struct.unpack_from("<Q", body, used)[0]
                used += 8
            result.append(value)
        return result
    return values


def members(descriptor: int, length: int) -> List[Member]:
    """Read the central directory; ZipError when the zip cannot be opened."""
    if length < _EOCD.size:
        raise ZipError("too short for a zip")
    offset, count = _directory(descriptor, length)
    reader = Slice(descriptor, offset, length - offset)
    found = []
    for _ in range(count):
        raw = reader.take(_CENTRAL.size)
        if len(raw) < _CENTRAL.size:
            raise ZipError("the central directory is cut")
        (mark, _, _, flags, method, _, _, crc, packed, plain, name_size, extra_size,
         comment_size, disk, _, _, local) = _CENTRAL.unpack(raw)
        rest = reader.take(name_size + extra_size + comment_size)
        if mark != b"PK\x01\x02" or len(rest) < name_size + extra_size + comment_size or disk:
            raise ZipError("a bad record in the central directory")
        plain, packed, local = _zip64(rest[name_size:name_size + extra_size],
                                      [plain, packed, local])
        encrypted = bool(flags & _ENCRYPTED)
        if method == 0 and not encrypted and plain != packed:
            raise ZipError("a stored file of two sizes")
        found.append(Member(rest[:name_size], method, encrypted, crc, plain, local))
    return found


def check_overlap(files: List[Member], length: int) -> None:
    """No two files share bytes: hashing stays linear in the size of the zip."""
    end = 0
    for item in sorted(files, key=lambda member: member.offset):
        if item.offset < end:
            raise ZipError("files overlap")
        end = item.offset + _LOCAL.size + len(item.name) + item.size
        if end > length:
            raise ZipError("a file is out of bounds")


def data_offset(descriptor: int, member: Member, length: int) -> int:
    """Where the bytes of a file begin; ZipError when its local header is none."""
    raw = read_at(descriptor, member.offset, _LOCAL.size)
    fields = _LOCAL.unpack(raw)
    start = member.offset + _LOCAL.size + fields[9] + fields[10]
    if fields[0] != b"PK\x03\x04" or start + member.size > length:
        raise ZipError("no local header")
    return start


def by_name(files: List[Member]) -> Dict[str, Member]:
    """Index by decoded name (names are ASCII once section 15's pattern holds)."""
    return {item.name.decode("ascii"): item for item in files}
