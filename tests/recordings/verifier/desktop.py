"""Desktop content (section 19): records of RFB messages."""
from typing import List, Optional, Tuple

import pixels
import rfb
import schemas as s
from base import MAX_INT
from content_error import ContentError
from formats_log import DESKTOP_FACTS
from segments import FINAL, KEYFRAME, Frame


def records(plain: bytes) -> List[Tuple[int, bytes]]:
    """Time and message of each record of a chunk."""
    found = []
    at = 0
    while at < len(plain):
        micros = int.from_bytes(plain[at:at + 8], "big")
        length = int.from_bytes(plain[at + 8:at + 12], "big")
        if len(plain) - at < 12 or micros > MAX_INT or not 1 <= length <= 1000000 \
                or length > len(plain) - at - 12:
            raise ContentError("content-record")
        at += 12 + length
        found.append((micros, plain[at - length:at]))
    return found


class Desktop:
    """Checks one segment's content; feed it the plaintext of each verified frame."""

    def __init__(self, header: dict) -> None:
        self._segment = header
        self._screen = Screen() if header["stream"] == "screen" else None
        self._any = False
        self._last = 0
        self._restored = False

    def feed(self, frame: Frame, plain: bytes) -> None:
        """One chunk. Raises ContentError."""
        found = records(plain)
        keyframe = bool(frame.flags & KEYFRAME)
        if found and not keyframe:
            self._complete()
        for micros, message in found:
            if micros < self._last or not frame.t0_ms <= micros // 1000 <= frame.t1_ms:
                raise ContentError("content-time")
            self._last = micros
            self._message(message, keyframe)
            self._any = True
        if self._any and frame.flags & FINAL:
            self._complete()

    def _complete(self) -> None:
        """Once: nothing may follow a keyframe that does not restore the screen."""
        if self._restored:
            return
        self._restored = True
        if self._screen is not None:
            self._screen.complete()
        elif not self._any:
            raise ContentError("content-keyframe")

    def _message(self, message: bytes, keyframe: bool) -> None:
        if not self._any:
            self._facts(message)
        elif self._screen is None:
            if keyframe:
                raise ContentError("content-keyframe")
            rfb.check_client(message)
        else:
            read = self._screen.keyframe if keyframe else self._screen.change
            for rect in read(message):
                pixels.check(rect)

    def _facts(self, message: bytes) -> None:
        value, wrong = (None, "too long") if len(message) > 16384 \
            else s.read(message, DESKTOP_FACTS)
        if wrong:
            raise ContentError("content-header")
        if any(value[field] != self._segment[field]
               for field in ("recording", "stream", "segment")):
            raise ContentError("content-foreign")


class Screen:
    """Size of the screen, and what of it the keyframe has painted."""

    def __init__(self) -> None:
        self.width = self.height = 0
        self._painted: Optional[bytearray] = None
        self._expected = "init"

    def keyframe(self, message: bytes) -> List[rfb.Rect]:
        """A message of the keyframe after the facts."""
        if self._expected == "init":
            self.width, self.height = rfb.server_init(message)
            self._painted = bytearray(self.width * self.height)
            self._expected = "cursor"
            return []
        if message[0] != rfb.UPDATE:
            raise ContentError("content-keyframe")
        rects = rfb.update(message)
        if self._expected == "cursor":
            if len(rects) != 1 or rects[0].encoding != rfb.CURSOR:
                raise ContentError("content-keyframe")
            self._expected = "picture"
            return rects
        for rect in rects:
            self._inside(rect)
            if rect.paint is None:
                raise ContentError("content-keyframe")
            for row in range(rect.y, rect.y + rect.height):
                start = row * self.width + rect.x
                self._painted[start:start + rect.width] = b"\1" * rect.width
        return rects

    def complete(self) -> None:
        """The keyframe is over."""
        if self._expected != "picture" or (self._painted and 0 in self._painted):
            raise ContentError("content-keyframe")
        self._painted = None

    def change(self, message: bytes) -> List[rfb.Rect]:
        """A message after the keyframe."""
        if message[0] == rfb.BELL:
            if len(message) != 1:
                raise ContentError("content-message")
            return []
        if message[0] == rfb.MARKER:
            rfb.check_marker(message)
            return []
        if message[0] != rfb.UPDATE:
            raise ContentError("content-code")
        rects = rfb.update(message)
        for rect in rects:
            if rect.encoding == rfb.DESKTOP_SIZE:
                self._resize(rect, len(rects))
            else:
                self._inside(rect)
        return rects

    def _resize(self, rect: rfb.Rect, count: int) -> None:
        if count != 1 or rect.x or rect.y:
            raise ContentError("content-message")
        if not rfb.is_screen_size(rect.width, rect.height):
            raise ContentError("content-rectangle")
        self.width, self.height = rect.width, rect.height

    def _inside(self, rect: rfb.Rect) -> None:
        if rect.encoding == rfb.CURSOR:
            return
        places = [(rect.x, rect.y)] + ([rect.source] if rect.source else [])
        fits = all(left + rect.width <= self.width and top + rect.height <= self.height
                   for left, top in places)
        if not rect.width or not rect.height or not fits:
            raise ContentError("content-rectangle")
