"""The evidence package as a set of named, bounded files (section 15)."""
import hashlib
import os
import re
import zlib
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import base
import schemas as s
import zipread

MIB = 1024 * 1024
MAX_LINE = MIB
MAX_LINES = 100000
MAX_EARLIER = 10000
REQUIRED = ("README.txt", "manifest.jws", "receipt.jws", "grant.jws", "package.jws",
            "ticket.json", "policy.json", "asset.json", "audit/entries.ndjson",
            "audit/anchors.ndjson", "audit/checkpoint", "custody.ndjson")
_LIMITS = {"README.txt": 1, "manifest.jws": 16, "receipt.jws": 8, "grant.jws": 8,
           "package.jws": 16, "ticket.json": 1, "policy.json": 1, "asset.json": 1,
           "audit/entries.ndjson": 64, "audit/anchors.ndjson": 64, "audit/checkpoint": 1,
           "audit/earlier.ndjson": 64, "audit/cosignatures": 1, "custody.ndjson": 64}
_GRANT = re.compile(r"grants/([1-9][0-9]{0,4})\.jws")
_SEGMENT = re.compile(r"segments/(screen|input)-(0|[1-9][0-9]{0,9})\.spr")
_KEY = re.compile(r"keys/(screen|input)-(0|[1-9][0-9]{0,9})\.jwe")
_APPROVAL = re.compile(r"approvals/([0-9a-f]{64})\.json")


class Broken(NamedTuple):
    """Why a zip is no package: check 1 fails with these and the rest is absent."""

    reasons: List[Tuple[str, str]]


class Digest(NamedTuple):
    """Length and SHA-256 of a file as it was read."""

    size: int
    sha256: str


def limit_of(name: str) -> Optional[int]:
    """Limit in bytes for a name of section 15's table; None when the name is not allowed."""
    if name in _LIMITS:
        return _LIMITS[name] * MIB
    match = _GRANT.fullmatch(name)
    if match:
        return 8 * MIB if int(match.group(1)) <= 10000 else None
    match = _SEGMENT.fullmatch(name)
    if match:
        return 72 * MIB if int(match.group(2)) <= base.MAX_U32 else None
    match = _KEY.fullmatch(name)
    if match:
        return MIB if int(match.group(2)) <= base.MAX_U32 else None
    return MIB if _APPROVAL.fullmatch(name) else None


class Package:
    """Files by name. Everything is read by position; nothing is written anywhere."""

    def __init__(self, descriptor: int, files: Dict[str, zipread.Member], length: int) -> None:
        self._fd = descriptor
        self._files = files
        self._length = length
        self._start: Dict[str, int] = {}
        self.digests: Dict[str, Digest] = {}
        self.damaged: Dict[str, str] = {}

    def names(self) -> List[str]:
        """All names, sorted."""
        return sorted(self._files)

    def has(self, name: str) -> bool:
        """Whether the file is in the package."""
        return name in self._files

    def readable(self, name: str) -> bool:
        """There, whole, and with the right CRC-32."""
        return name in self._files and name not in self.damaged

    def size(self, name: str) -> int:
        """Length of a file."""
        return self._files[name].size

    def digest_all(self) -> None:
        """Read every file once: SHA-256 and CRC-32 (section 15)."""
        for name, member in self._files.items():
            try:
                self._start[name] = zipread.data_offset(self._fd, member, self._length)
                reader = self.slice(name)
                digest, crc = hashlib.sha256(), 0
                while reader.left():
                    piece = reader.take(1 << 18)
                    digest.update(piece)
                    crc = zlib.crc32(piece, crc)
            except zipread.ZipError as error:
                self.damaged[name] = str(error)
                continue
            self.digests[name] = Digest(member.size, digest.hexdigest())
            if crc != member.crc:
                self.damaged[name] = "CRC-32 differs"

    def slice(self, name: str, length: Optional[int] = None) -> zipread.Slice:
        """A reader over the first length bytes of a file."""
        size = self._files[name].size
        return zipread.Slice(self._fd, self._start[name],
                             size if length is None else min(size, length))

    def digest_of(self, name: str, length: int) -> str:
        """SHA-256 of the first length bytes of a file."""
        if length >= self.size(name):
            return self.digests[name].sha256
        reader, digest = self.slice(name, length), hashlib.sha256()
        while reader.left():
            digest.update(reader.take(1 << 18))
        return digest.hexdigest()

    def read(self, name: str) -> bytes:
        """A small file as a whole (its limit is that of the table)."""
        return self.slice(name).take(self._files[name].size)

    def lines(self, name: str) -> Iterator[Tuple[int, Optional[bytes]]]:
        """Lines of an .ndjson file with their number; None ends it: malformed."""
        if not self.readable(name):
            yield 0, None
            return
        most = MAX_EARLIER if name == "audit/earlier.ndjson" else MAX_LINES
        reader, rest, number = self.slice(name), b"", 0
        while reader.left():
            pieces = (rest + reader.take(1 << 18)).split(b"\n")
            rest = pieces.pop()
            for piece in pieces:
                number += 1
                if len(piece) > MAX_LINE or number > most:
                    yield number, None
                    return
                yield number, piece
            if len(rest) > MAX_LINE:
                break
        if rest:
            yield number + 1, None

    def objects(self, name: str, schema: s.Schema) -> Iterator[Tuple[int, object]]:
        """Objects of an .ndjson file; (line, None) for a malformed line (section 15).

        A line that is too long, not ended or no JSON ends the reading; one that only
        breaks its schema is left out.
        """
        for number, line in self.lines(name):
            if line is None:
                yield number, None
                return
            try:
                value = base.parse_json(line)
            except base.NotJson:
                yield number, None
                return
            yield number, (None if s.violation(schema, value) else value)

    def segments(self) -> Iterator[Tuple[str, int]]:
        """(stream, number) of every segment file."""
        for name in self.names():
            match = _SEGMENT.fullmatch(name)
            if match:
                yield match.group(1), int(match.group(2))

    def later_grants(self) -> List[int]:
        """Serials of grants/<serial>.jws, ascending."""
        found = (_GRANT.fullmatch(name) for name in self._files)
        return sorted(int(match.group(1)) for match in found if match)

    def approvals(self) -> List[str]:
        """Hashes that name approvals/<hash>.json."""
        found = (_APPROVAL.fullmatch(name) for name in self.names())
        return [match.group(1) for match in found if match]


def open_package(descriptor: int) -> object:
    """Package, or Broken when the zip breaks the rules for names, sizes and storing."""
    length = os.fstat(descriptor).st_size
    try:
        found = zipread.members(descriptor, length)
    except zipread.ZipError as error:
        return Broken([("package-unreadable", str(error))])
    reasons, seen = [], set()
    for member in found:
        shown = ascii(member.name[:120])
        if member.name in seen:
            reasons.append(("package-unreadable", "twice: " + shown))
        elif member.name.endswith(b"/"):
            reasons.append(("package-unreadable", "directory: " + shown))
        seen.add(member.name)
        limit = limit_of(member.name.decode("ascii")) if member.name.isascii() else None
        if limit is None and not member.name.endswith(b"/"):
            reasons.append(("package-name", shown))
        elif limit is not None and member.size > limit:
            reasons.append(("package-size", shown))
        if member.method != 0 or member.encrypted:
            reasons.append(("package-compressed", shown))
    if not reasons:
        try:
            zipread.check_overlap(found, length)
        except zipread.ZipError as error:
            reasons.append(("package-unreadable", str(error)))
    if reasons:
        return Broken(reasons)
    return Package(descriptor, zipread.by_name(found), length)
