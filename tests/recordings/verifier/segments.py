"""Streaming reader of one segment file: header, frames, chain (section 2). Holds one frame at a time."""

import fields
from canonical import parse_canonical, sha256
from schemas import SAFE, strict

FINAL, GAP, CLOCK, KEYFRAME, DEFLATE = 1, 2, 4, 8, 16
FH = 29
MAX_BODY = 1048576
MAX_PLAIN = 4194304
CHUNK = b"sallyport/chunk/v1\0"


class SegmentError(ValueError):
    """A fault in the chain; frames read before it stand."""

    def __init__(self, code, detail=""):
        super().__init__(f"{code} {detail}".strip())
        self.code = code


class HeaderError(SegmentError):
    pass


class Frame:
    __slots__ = ("seq", "flags", "t0_ms", "t1_ms", "plain_len", "nonce", "body", "fh", "c", "p")

    def __init__(self, fh):
        number = lambda a, b: int.from_bytes(fh[a:b], "big")
        self.fh = fh
        self.seq, self.flags, self.t0_ms, self.t1_ms = number(4, 8), fh[8], number(9, 17), number(17, 25)
        self.plain_len = number(25, 29)

    @property
    def empty(self):
        return self.plain_len == 0


class Window:
    """The first `length` bytes of a seekable file."""

    def __init__(self, file, length, observe=None):
        self.file, self.left, self.at, self.observe = file, length, 0, observe

    def read(self, n):
        data = self.file.read(min(n, self.left))
        self.left -= len(data)
        self.at += len(data)
        if self.observe:
            self.observe(data)
        return data


def chain_input(hh, previous, fh, nonce):
    return CHUNK + hh + previous + fh + nonce


def check_fh(frame):
    """The rules on fh, before anything is allocated."""
    body_len = int.from_bytes(frame.fh[:4], "big")
    if not 16 <= body_len <= MAX_BODY:
        raise SegmentError("frame-body-length", str(body_len))
    if frame.flags & ~31:
        raise SegmentError("frame-unknown-flag", hex(frame.flags))
    if frame.flags & DEFLATE:
        if body_len == 16 or frame.plain_len == 0:
            raise SegmentError("frame-empty")
        if frame.plain_len > MAX_PLAIN or frame.plain_len > 100 * body_len:
            raise SegmentError("frame-plain-length", str(frame.plain_len))
    elif frame.plain_len != body_len - 16:
        raise SegmentError("frame-plain-length", str(frame.plain_len))
    if body_len == 16 and not frame.flags & (FINAL | GAP):
        raise SegmentError("frame-empty")
    if frame.flags & GAP and body_len != 16:
        raise SegmentError("frame-gap")
    return body_len


class Segment:
    """Header now, frames by iterating. `length` is the manifest's `bytes`, `last_c` its last_c (to name faults)."""

    def __init__(self, file, length, last_c=None, observe=None):
        self.input = Window(file, length, observe)
        self.manifest_last_c = last_c
        self.chunks = 0
        self.final = False
        start = self.input.read(8)
        if len(start) < 8:
            raise HeaderError("segment-cut")
        if start[:4] != b"SPR1":
            raise HeaderError("bad-magic")
        header_len = int.from_bytes(start[4:], "big")
        if not 2 <= header_len <= 16384:
            raise HeaderError("header-length", str(header_len))
        raw = self.input.read(header_len)
        if len(raw) < header_len:
            raise HeaderError("segment-cut")
        self.hh = self.c = sha256(b"sallyport/header/v1\0" + raw)
        try:
            value, canonical = parse_canonical(raw)
        except ValueError as error:
            raise HeaderError("header-malformed", str(error)) from None
        fault = strict(fields.HEADER, value)
        if fault:
            raise HeaderError("header-unknown-field" if fault == "unknown" else "header-malformed")
        if not canonical:
            raise HeaderError("header-not-canonical")
        self.header = value
        self.last_t1 = None
        self._keyframes = True

    def _next(self):
        """The next frame with its stored C, by its lengths alone; None at the end. SegmentError when it can't be."""
        fh = self.input.read(FH)
        if not fh:
            return None
        if len(fh) < FH:
            raise SegmentError("segment-cut")
        frame = Frame(fh)
        body_len = check_fh(frame)
        rest = self.input.read(12 + body_len + 32)
        if len(rest) < 12 + body_len + 32:
            raise SegmentError("segment-cut")
        frame.nonce, frame.body, frame.c = rest[:12], rest[12:-32], rest[-32:]
        return frame

    def drain(self):
        """Reads what is left, for the hash over it."""
        while self.input.read(1 << 16):
            pass

    def __iter__(self):
        """Verified frames in order; SegmentError at the first fault."""
        while True:
            if self.final:
                if self.input.left and self.input.read(1):
                    raise SegmentError("bytes-after-final")
                return
            frame = self._next()
            if frame is None:
                return
            frame.p = chain_input(self.hh, self.c, frame.fh, frame.nonce)
            computed = sha256(frame.p + frame.body)
            place = f"seq {self.chunks}"
            if frame.seq != self.chunks:
                raise SegmentError(self._name_seq_fault(frame), place)
            if computed != frame.c:
                raise SegmentError(self._name_chain_fault(frame, computed), place)
            self._check_time(frame, place)
            self._check_keyframe(frame, place)
            self.c = frame.c
            self.chunks += 1
            self.last_t1 = frame.t1_ms
            self.final = bool(frame.flags & FINAL)
            yield frame

    def _check_time(self, frame, place):
        if frame.t0_ms > frame.t1_ms or frame.t1_ms > SAFE:
            raise SegmentError("frame-time", place)
        if self.last_t1 is not None and frame.t1_ms < self.last_t1:
            raise SegmentError("frame-time", place)

    def _check_keyframe(self, frame, place):
        marked = bool(frame.flags & KEYFRAME)
        if self.chunks == 0:
            if not marked:
                raise SegmentError("keyframe-missing", place)
        elif marked and (self.header["stream"] == "input" or not self._keyframes):
            raise SegmentError("keyframe-misplaced", place)
        self._keyframes = marked

    def _name_seq_fault(self, frame):
        expected = frame.fh[:4] + self.chunks.to_bytes(4, "big") + frame.fh[8:]
        if sha256(chain_input(self.hh, self.c, expected, frame.nonce) + frame.body) == frame.c:
            return "chunk-altered"
        if frame.seq < self.chunks:
            return "chunk-reordered"
        try:
            while True:
                later = self._next()
                if later is None:
                    return "chunk-missing"
                if later.seq == self.chunks:
                    return "chunk-reordered"
        except SegmentError:
            return "chunk-missing"

    def _name_chain_fault(self, frame, computed):
        try:
            following = self._next()
        except SegmentError:
            return "chunk-altered"
        if following is None:
            return "chunk-altered" if self.manifest_last_c in (frame.c, computed) else "chunk-foreign"
        for previous in (frame.c, computed):
            p = chain_input(self.hh, previous, following.fh, following.nonce)
            if sha256(p + following.body) == following.c:
                return "chunk-altered"
        return "chunk-foreign"
