"""The package: zip reading with the document's names and limits, lines, and check 1 (sections 15 and 16)."""

import hashlib
import re
import struct
import zipfile

import fields
from canonical import parse
from jws import trusted_keys
from schemas import strict

MIB = 1 << 20
LINE = MIB
_U32 = "(0|[1-9][0-9]{0,9})"
_HEX = "[0-9a-f]{64}"
LIMITS = [
    (re.compile(expression + r"\Z", re.ASCII), limit * MIB) for expression, limit in (
        (r"README\.txt", 1),
        (r"(manifest|receipt|grant|package)\.jws", 8),
        (r"grants/[1-9][0-9]{0,4}\.jws", 8),
        (r"(ticket|policy|asset)\.json", 1),
        (rf"segments/(screen|input)-{_U32}\.spr", 72),
        (rf"keys/(screen|input)-{_U32}\.jwe", 1),
        (rf"approvals/{_HEX}\.json", 1),
        (r"audit/(entries|anchors|earlier)\.ndjson", 64),
        (r"audit/(checkpoint|cosignatures)", 1),
        (r"custody\.ndjson", 64),
    )
]
REQUIRED = (
    "README.txt", "manifest.jws", "receipt.jws", "grant.jws", "package.jws", "ticket.json", "policy.json",
    "asset.json", "audit/entries.ndjson", "audit/anchors.ndjson", "audit/checkpoint", "custody.ndjson",
)
ZIP_ERRORS = (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError, OSError,
               ValueError, struct.error)


class Unreadable(ValueError):
    """A file of the package that cannot be read whole."""

    code = "package-unreadable"


class PackageError(ValueError):
    """Breaks the rules for the zip itself: INVALID by check 1 alone."""

    def __init__(self, code, detail=""):
        super().__init__(f"{code} {detail}".strip())
        self.code = code


def limit_of(name):
    for expression, limit in LIMITS:
        if expression.match(name):
            return limit
    return None


class Package:
    def __init__(self, file):
        try:
            self.zip = zipfile.ZipFile(file)
            infos = self.zip.infolist()
        except ZIP_ERRORS as error:
            raise PackageError("package-unreadable", str(error)) from None
        self.infos = {}
        for info in infos:
            name = info.orig_filename
            limit = limit_of(name)
            if limit is None:
                raise PackageError("package-name", repr(name))
            if name in self.infos:
                raise PackageError("package-unreadable", "twice: " + name)
            if info.flag_bits & 0x41 or info.compress_type != zipfile.ZIP_STORED:
                raise PackageError("package-compressed", name)
            if info.file_size > limit:
                raise PackageError("package-size", name)
            if info.compress_size != info.file_size:
                raise PackageError("package-unreadable", "two lengths: " + name)
            self.infos[name] = info
        self.digests = {name: self._digest(name) for name in self.infos}

    def _digest(self, name):
        """(length, SHA-256) of a file, whose CRC-32 is compared on the way; (None, None) when it can't be read."""
        digest, length = hashlib.sha256(), 0
        try:
            with self.zip.open(self.infos[name]) as file:
                while data := file.read(1 << 16):
                    digest.update(data)
                    length += len(data)
        except ZIP_ERRORS:
            return None, None
        if length != self.infos[name].file_size:
            return None, None
        return length, digest.hexdigest()

    def __contains__(self, name):
        return name in self.infos

    def names(self, prefix):
        return [name for name in self.infos if name.startswith(prefix)]

    def size(self, name):
        return self.infos[name].file_size if name in self.infos else 0

    def sha256(self, name):
        return self.digests[name][1] if name in self.digests else None

    def open(self, name):
        return self.zip.open(self.infos[name])

    def read(self, name):
        """The bytes of a small file, or None when it isn't there. Unreadable when it can't be read whole."""
        if name not in self.infos:
            return None
        try:
            with self.open(name) as file:
                return file.read()
        except ZIP_ERRORS as error:
            raise Unreadable(str(error)) from None

    def lines(self, name, schema):
        """(line number, value or None when malformed) of an .ndjson file; nothing when it isn't there.

        A line that is too long, not ended, not UTF-8 or no JSON ends the reading."""
        if name not in self.infos:
            return
        number = 0
        try:
            with self.open(name) as file:
                while line := file.readline(LINE + 2):
                    number += 1
                    if not line.endswith(b"\n") or len(line) > LINE + 1:
                        raise ValueError("a line without an end, or too long")
                    value = parse(line[:-1])
                    yield number, value if strict(schema, value) is None else None
        except ZIP_ERRORS:  # ValueError is among them
            yield number + 1, None


def check_package(package, jws, checkpoint, trust, report):
    """Check 1. `jws` is the read package.jws, or None when it could not be (which has been reported)."""
    fail = lambda code, place="": report.fail("package", code, place)
    for name in REQUIRED:
        if name not in package:
            fail("package-file-missing", name)
    for number, value in package.lines("custody.ndjson", fields.CUSTODY_LINE):
        if value is None:
            fail("custody-malformed", f"custody.ndjson:{number}")
    if jws is None:
        return
    keys = trusted_keys(trust, "broker", jws.kid, checkpoint.size - 1) if checkpoint else []
    code = jws.verify(keys)
    if code:
        fail(code, "package.jws")
    listed = [entry["path"] for entry in jws.payload["files"]]
    encoded = [path.encode("utf-8") for path in listed]
    if any(a >= b for a, b in zip(encoded, encoded[1:])):
        fail("package-list", "package.jws")
    for entry in jws.payload["files"]:
        path = entry["path"]
        if path not in package or path == "package.jws":
            fail("package-file-missing", path)
        elif package.digests[path] != (entry["bytes"], entry["sha256"]):
            fail("package-file-changed", path)
    for path in sorted(set(package.infos) - set(listed) - {"package.jws"}):
        fail("package-file-extra", path)
