"""C2SP signed notes: checkpoints, log signatures and witness cosignatures (section 13)."""

import re

from canonical import sha256, unb64
from jws import ed25519_ok

_NAME = re.compile(r"[^\s+\x00-\x1f\x7f-\x9f]{1,200}\Z")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,15})\Z", re.ASCII)


class NoteError(ValueError):
    pass


def signature_lines(text):
    """[(name, key id, signature)] of lines that each end with a newline; 1 to 16 of them."""
    if not text.endswith("\n"):
        raise NoteError("the last line has no end")
    lines = text[:-1].split("\n")
    if not 1 <= len(lines) <= 16:
        raise NoteError("1 to 16 signature lines")
    found = []
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not _NAME.match(parts[1]):
            raise NoteError("not a signature line")
        try:
            blob = unb64(parts[2])
        except ValueError as error:
            raise NoteError(str(error)) from None
        if len(blob) < 5:
            raise NoteError("no signature")
        found.append((parts[1], blob[:4], blob[4:]))
    return found


class Note:
    def __init__(self, text):
        """Read a signed note (str or bytes). NoteError when it is none."""
        if isinstance(text, bytes):
            try:
                text = text.decode("utf-8")
            except UnicodeDecodeError:
                raise NoteError("not UTF-8") from None
        if len(text) > 65536:
            raise NoteError("too long")
        head, empty, tail = text.partition("\n\n")
        lines = head.split("\n")
        if not empty or len(lines) != 3:
            raise NoteError("not three lines and an empty one")
        self.origin, size, root = lines
        if not _NAME.match(self.origin) or not _SIZE.match(size) or int(size) > 2**53 - 1:
            raise NoteError("origin or size")
        self.size = int(size)
        try:
            self.root = unb64(root)
        except ValueError as error:
            raise NoteError(str(error)) from None
        if len(self.root) != 32:
            raise NoteError("the root is not 32 bytes")
        self.body = (head + "\n").encode("utf-8")
        self.signatures = signature_lines(tail)

    def signed_by_log(self, keys):
        """Whether one line is valid under one of the raw public keys, with name = origin."""
        for key in keys:
            own = (self.origin, log_key_id(self.origin, key))
            first = next((signature for *line, signature in self.signatures if tuple(line) == own), b"")
            if ed25519_ok(key, first, self.body):
                return True
        return False


def log_key_id(name, key):
    return sha256(name.encode("utf-8") + b"\n\x01" + key)[:4]


def witness_key_id(name, key):
    return sha256(name.encode("utf-8") + b"\n\x04" + key)[:4]


def cosignature_time(body, name, key_id, blob, key):
    """The time of a valid cosignature of a note's body, else None."""
    if key_id != witness_key_id(name, key) or len(blob) != 72:
        return None
    time = int.from_bytes(blob[:8], "big")
    message = f"cosignature/v1\ntime {time}\n".encode("ascii") + body
    return time if ed25519_ok(key, blob[8:], message) else None
