"""Terminal content (section 3): an asciicast v2 file that comes in chunks of whole lines."""
import re
from typing import Optional, Tuple

import base
import schemas as s
from content_error import ContentError
from formats_log import CAST_HEADER
from segments import KEYFRAME, Frame

_EVENT = re.compile(r'\[((?:0|[1-9][0-9]{0,9})\.[0-9]{6}), "([a-z])", (".*")\]', re.S)
_SIZE = re.compile(r"[1-9][0-9]{0,4}x[1-9][0-9]{0,4}")
CODES = {"screen": ("o", "r", "m"), "input": ("i",)}


class Cast:
    """Checks one segment's content; feed it the plaintext of each verified frame."""

    def __init__(self, header: dict) -> None:
        self._segment = header
        self._stream = header["stream"]
        self._begun = False
        self._last: Tuple[int, int] = (0, 0)

    def feed(self, frame: Frame, plain: bytes) -> None:
        """One chunk. Raises ContentError."""
        if not plain:
            return
        if not plain.endswith(b"\n"):
            raise ContentError("content-line")
        lines = plain[:-1].split(b"\n")
        first = 0
        if not self._begun:
            self._header(lines[0])
            self._begun = True
            first = 1
            if self._stream == "input" and (frame.seq != 0 or len(lines) > 1):
                raise ContentError("content-keyframe")
        only_output = self._stream == "screen" and bool(frame.flags & KEYFRAME)
        for line in lines[first:]:
            code = self._event(line, frame)
            if only_output and code != "o":
                raise ContentError("content-keyframe")

    def _header(self, line: bytes) -> None:
        value, wrong = s.read(line, CAST_HEADER)
        if wrong:
            raise ContentError("content-header")
        own = value["sallyport"]
        if any(own[field] != self._segment[field]
               for field in ("recording", "stream", "segment")):
            raise ContentError("content-foreign")

    def _event(self, line: bytes, frame: Frame) -> str:
        """`[t, "code", "data"]`, its code, data and time."""
        match = self._match(line)
        if match is None:
            raise ContentError("content-line")
        time, code, quoted = match.groups()
        data: Optional[str] = None
        try:
            data = base.parse_json(quoted)
        except base.NotJson:
            pass
        if type(data) is not str or quoted[-1] != '"':
            raise ContentError("content-line")
        if code not in CODES[self._stream]:
            raise ContentError("content-code")
        if code == "r" and not _SIZE.fullmatch(data):
            raise ContentError("content-line")
        seconds, fraction = time.split(".")
        stamp = (int(seconds), int(fraction))
        milliseconds = stamp[0] * 1000 + int(fraction[:3])
        if stamp < self._last or not frame.t0_ms <= milliseconds <= frame.t1_ms:
            raise ContentError("content-time")
        self._last = stamp
        return code

    @staticmethod
    def _match(line: bytes) -> Optional["re.Match"]:
        try:
            return _EVENT.fullmatch(line.decode("utf-8"))
        except UnicodeDecodeError:
            return None
