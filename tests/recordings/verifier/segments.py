"""Segment files (section 2): header, frames, the hash chain and the names of its faults."""
import struct
from typing import Any, Iterator, NamedTuple, Optional, Tuple

import schemas as s
from base import MAX_INT, sha256
from formats import HEADER
from zipread import Slice

FINAL, GAP, CLOCK_ANOMALY, KEYFRAME, DEFLATE = 1, 2, 4, 8, 16
KNOWN_FLAGS = 31
FH = struct.Struct(">IIBQQI")
MAX_BODY = 1048576
MAX_PLAIN = 4194304
_CHUNK = b"sallyport/chunk/v1\0"
_HEADER = b"sallyport/header/v1\0"


class Frame(NamedTuple):
    """A frame as it stands in the file, with the fields of its fh."""

    fh: bytes
    nonce: bytes
    body: bytes
    stored: bytes
    seq: int
    flags: int
    t0_ms: int
    t1_ms: int
    plain_len: int

    def associated(self, hh: bytes, before: bytes, fh: Optional[bytes] = None) -> bytes:
        """P[i]."""
        return _CHUNK + hh + before + (self.fh if fh is None else fh) + self.nonce

    def chain(self, hh: bytes, before: bytes, fh: Optional[bytes] = None) -> bytes:
        """C[i] = SHA-256(P[i] || body)."""
        return sha256(self.associated(hh, before, fh) + self.body)


class Cut(Exception):
    """The bytes end inside a header or a frame."""


class Fault(Exception):
    """A chain fault; its argument is the reason code."""


def read_header(reader: Slice) -> Tuple[bytes, dict]:
    """Header of a segment: (HH, header). Raises Cut or Fault."""
    head = reader.take(8)
    if len(head) < 8:
        raise Cut
    length = int.from_bytes(head[4:], "big")
    if head[:4] != b"SPR1":
        raise Fault("bad-magic")
    if not 2 <= length <= 16384:
        raise Fault("header-length")
    raw = reader.take(length)
    if len(raw) < length:
        raise Cut
    value, wrong = s.read(raw, HEADER, canonical=True)
    if wrong:
        raise Fault("header-" + wrong)
    return sha256(_HEADER + raw), value


def _check_fh(body_len: int, flags: int, plain_len: int) -> Optional[str]:
    """The rules on fh that hold before anything is allocated, in the table's order."""
    if not 16 <= body_len <= MAX_BODY:
        return "frame-body-length"
    if flags & ~KNOWN_FLAGS:
        return "frame-unknown-flag"
    if flags & DEFLATE:
        if plain_len > MAX_PLAIN or plain_len > 100 * body_len:
            return "frame-plain-length"
        if body_len == 16 or plain_len == 0:
            return "frame-empty"
    elif plain_len != body_len - 16:
        return "frame-plain-length"
    if body_len == 16 and not flags & (FINAL | GAP):
        return "frame-empty"
    if flags & GAP and body_len != 16:
        return "frame-gap"
    return None


def read_frame(reader: Slice) -> Frame:
    """The next frame, its fh checked. Raises Cut or Fault."""
    fh = reader.take(FH.size)
    if len(fh) < FH.size:
        raise Cut
    body_len, seq, flags, t0_ms, t1_ms, plain_len = FH.unpack(fh)
    nonce = reader.take(12)
    if len(nonce) < 12:
        raise Cut
    wrong = _check_fh(body_len, flags, plain_len)
    if wrong:
        raise Fault(wrong)
    rest = reader.take(body_len + 32)
    if len(rest) < body_len + 32:
        raise Cut
    return Frame(fh, nonce, rest[:-32], rest[-32:], seq, flags, t0_ms, t1_ms, plain_len)


class SegmentReader:
    """Verifies one segment frame by frame; holds two frames at most.

    After `open` and the exhaustion of `frames`: fault (reason code) or None, cut, header,
    hh, chunks, last_c, last_t1 and ends_final describe what was verified.
    """

    def __init__(self, reader: Slice, declared_last_c: Optional[bytes] = None) -> None:
        self._reader = reader
        self._declared = declared_last_c
        self._run = False
        self.header: Any = None
        self.hh = b""
        self.fault: Optional[str] = None
        self.cut = False
        self.chunks = 0
        self.last_c = b""
        self.last_t1: Optional[int] = None
        self.ends_final = False

    def open(self) -> None:
        """Read the header."""
        try:
            self.hh, self.header = read_header(self._reader)
            self.last_c = self.hh
        except Cut:
            self.cut = True
        except Fault as fault:
            self.fault = fault.args[0]

    def frames(self) -> Iterator[Frame]:
        """The verified frames, those before the first chain fault."""
        if self.header is None:
            return
        try:
            while self._reader.left():
                if self.ends_final:
                    raise Fault("bytes-after-final")
                frame = read_frame(self._reader)
                self._verify(frame)
                yield frame
        except Cut:
            self.cut = True
        except Fault as fault:
            self.fault = fault.args[0]

    def _verify(self, frame: Frame) -> None:
        """Seq, then C, then time and keyframe (section 2)."""
        if frame.seq != self.chunks:
            raise Fault(self._name_seq(frame))
        computed = frame.chain(self.hh, self.last_c)
        if computed != frame.stored:
            raise Fault(self._name_chain(frame, computed))
        if frame.t0_ms > frame.t1_ms or frame.t1_ms > MAX_INT:
            raise Fault("frame-time")
        if self.last_t1 is not None and frame.t1_ms < self.last_t1:
            raise Fault("frame-time")
        keyframe = bool(frame.flags & KEYFRAME)
        if frame.seq == 0:
            if not keyframe:
                raise Fault("keyframe-missing")
            self._run = True
        elif keyframe and (self.header["stream"] == "input" or not self._run):
            raise Fault("keyframe-misplaced")
        self._run = self._run and keyframe
        self.chunks += 1
        self.last_c = computed
        self.last_t1 = frame.t1_ms
        self.ends_final = bool(frame.flags & FINAL)

    def _name_seq(self, frame: Frame) -> str:
        """Which fault it is when seq is not the expected one."""
        expected = frame.fh[:4] + struct.pack(">I", self.chunks & 0xFFFFFFFF) + frame.fh[8:]
        if frame.chain(self.hh, self.last_c, expected) == frame.stored:
            return "chunk-altered"
        if frame.seq < self.chunks:
            return "chunk-reordered"
        while True:
            head = self._reader.take(FH.size)
            if len(head) < FH.size:
                return "chunk-missing"
            body_len, seq = struct.unpack_from(">II", head)
            if not 16 <= body_len <= MAX_BODY:
                return "chunk-missing"
            if seq == self.chunks:
                return "chunk-reordered"
            self._reader.take(12 + body_len + 32)

    def _name_chain(self, frame: Frame, computed: bytes) -> str:
        """Which fault it is when seq is right and C is not."""
        if not self._reader.left():
            known = self._declared in (frame.stored, computed)
            return "chunk-altered" if known else "chunk-foreign"
        try:
            after = read_frame(self._reader)
        except (Cut, Fault):
            return "chunk-altered"
        for taken in (frame.stored, computed):
            if after.chain(self.hh, taken) == after.stored:
                return "chunk-altered"
        return "chunk-foreign"
