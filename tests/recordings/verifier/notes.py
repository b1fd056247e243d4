"""Checkpoints and cosignatures as C2SP signed notes (section 13)."""
import re
import unicodedata
from typing import Iterable, List, NamedTuple, Optional

import base
from jws import ed25519

MAX_NOTE = 65536
MAX_LINES = 16
LAST_SECOND = 253402300799      # end of the year 9999
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


class Signature(NamedTuple):
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes


class Checkpoint(NamedTuple):
    """A parsed checkpoint."""

    origin: str
    size: int
    root: bytes
    body: bytes
    signatures: List[Signature]


def is_name(name: str) -> bool:
    """A key's name: no white space, plus sign or control character, 1 to 200 characters."""
    length = base.text_length(name)
    if length is None or not 1 <= length <= 200 or "+" in name or "\ufeff" in name:
        return False
    return not any(char.isspace() or unicodedata.category(char) in ("Cc", "Zs", "Zl", "Zp")
                   for char in name)


def parse_lines(text: str) -> Optional[List[Signature]]:
    """1 to 16 signature lines; of the same name and key id the first counts."""
    if not text.endswith("\n"):
        return None
    lines = text[:-1].split("\n")
    if len(lines) > MAX_LINES:
        return None
    found, seen = [], set()
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not is_name(parts[1]):
            return None
        raw = base.b64_decode(parts[2])
        if raw is None or len(raw) < 5:
            return None
        if (parts[1], raw[:4]) not in seen:
            seen.add((parts[1], raw[:4]))
            found.append(Signature(parts[1], raw[:4], raw[4:]))
    return found


def parse(text: str) -> Optional[Checkpoint]:
    """Parse a checkpoint; None is `checkpoint-malformed`."""
    length = base.text_length(text)
    if length is None or length > MAX_NOTE:
        return None
    head, separator, tail = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or len(lines) != 3:
        return None
    origin, size, root_text = lines
    root = base.b64_decode(root_text)
    if not is_name(origin) or not _SIZE.fullmatch(size) or int(size) > base.MAX_INT:
        return None
    if root is None or len(root) != 32:
        return None
    signatures = parse_lines(tail)
    if signatures is None:
        return None
    return Checkpoint(origin, int(size), root, (head + "\n").encode("utf-8"), signatures)


def key_id(name: str, kind: int, key: bytes) -> bytes:
    """First 4 bytes of SHA-256(name || 0x0A || kind || public key)."""
    return base.sha256(name.encode("utf-8") + bytes([0x0A, kind]) + key)[:4]


def signed_by_log(note: Checkpoint, keys: Iterable[bytes]) -> bool:
    """At least one line is the log's, valid under one of these keys."""
    for key in keys:
        wanted = key_id(note.origin, 1, key)
        for line in note.signatures:
            if line.name == note.origin and line.key_id == wanted and len(line.signature) == 64:
                if ed25519(key, line.signature, note.body):
                    return True
    return False


def cosigned(note: Checkpoint, line: Signature, key: bytes) -> bool:
    """A witness's line: type 4, u64 time, Ed25519 over the timestamped body."""
    if line.key_id != key_id(line.name, 4, key) or len(line.signature) != 72:
        return False
    time = int.from_bytes(line.signature[:8], "big")
    if time > LAST_SECOND:
        return False
    message = b"cosignature/v1\ntime %d\n" % time + note.body
    return ed25519(key, line.signature[8:], message)
