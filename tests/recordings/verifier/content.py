"""Decryption of frames and the asciicast rules (sections 2 to 4), one frame at a time."""

import json
import re
import zlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import fields
from canonical import parse
from schemas import strict
from segments import DEFLATE, KEYFRAME

_LINE = re.compile(r'\[(0|[1-9][0-9]{0,9})\.([0-9]{6}), "([a-z])", (".*")\]\Z', re.ASCII)
_SIZE = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}\Z", re.ASCII)


class ContentError(ValueError):
    def __init__(self, code, detail=""):
        super().__init__(f"{code} {detail}".strip())
        self.code = code


def open_frame(frame, data_key):
    try:
        plain = AESGCM(data_key).decrypt(frame.nonce, frame.body, frame.p)
    except (InvalidTag, ValueError):
        raise ContentError("decrypt-failed", f"seq {frame.seq}") from None
    if not frame.flags & DEFLATE:
        return plain
    inflater = zlib.decompressobj(-15)
    try:
        out = inflater.decompress(plain, frame.plain_len + 1)
    except zlib.error as error:
        raise ContentError("inflate-failed", str(error)) from None
    if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail or len(out) != frame.plain_len:
        raise ContentError("inflate-failed", f"seq {frame.seq}")
    return out


class Cast:
    """Checks the joined plaintext of one segment as it comes."""

    def __init__(self, header):
        self.header = header
        self.stream = header["stream"]
        self.started = False
        self.time = (0, 0)

    def frame(self, frame, data_key):
        plain = open_frame(frame, data_key)
        if not plain:
            return
        place = f"seq {frame.seq}"
        if not plain.endswith(b"\n"):
            raise ContentError("content-line", place)
        try:
            lines = plain[:-1].decode("utf-8").split("\n")
        except UnicodeDecodeError:
            raise ContentError("content-line", place) from None
        if not self.started:
            self._first(lines.pop(0))
            self.started = True
        if lines and self.stream == "input" and frame.seq == 0:
            raise ContentError("content-keyframe", place)
        for line in lines:
            self._line(line, frame, place)

    def _first(self, line):
        try:
            value = parse(line)
        except ValueError as error:
            raise ContentError("content-header", str(error)) from None
        if strict(fields.CAST_HEADER, value):
            raise ContentError("content-header")
        own = value["sallyport"]
        if any(own[name] != self.header[name] for name in ("recording", "stream", "segment")):
            raise ContentError("content-foreign")

    def _line(self, line, frame, place):
        match = _LINE.match(line)
        if not match:
            raise ContentError("content-line", place)
        seconds, micros, code, quoted = match.groups()
        try:
            data = json.loads(quoted)
        except ValueError:
            raise ContentError("content-line", place) from None
        if not isinstance(data, str):
            raise ContentError("content-line", place)
        if code not in ("o", "r", "m") if self.stream == "screen" else code != "i":
            raise ContentError("content-code", place)
        if code == "r" and not _SIZE.match(data):
            raise ContentError("content-line", place)
        if frame.flags & KEYFRAME and self.stream == "screen" and code != "o":
            raise ContentError("content-keyframe", place)
        time = (int(seconds), int(micros))
        milliseconds = time[0] * 1000 + time[1] // 1000
        if time < self.time or not frame.t0_ms <= milliseconds <= frame.t1_ms:
            raise ContentError("content-time", place)
        self.time = time
