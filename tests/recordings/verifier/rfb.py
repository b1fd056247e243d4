"""Messages of desktop content (section 19), split without looking at pixels."""
import struct
from typing import List, NamedTuple, Optional, Tuple

from content_error import ContentError

MAX_AREA = 4194304
MAX_PIXELS = 16777216
COPY_RECT, TIGHT, TIGHT_PNG, CURSOR, DESKTOP_SIZE = 1, 7, -260, -239, -223
UPDATE, BELL, MARKER = 0, 2, 77
_FORMAT = bytes.fromhex("20180001" "00ff00ff00ff" "000810" "000000")


class Paint(NamedTuple):
    """What a Tight or TightPNG rectangle is made of."""

    kind: str                   # fill, jpeg, png or basic
    data: bytes = b""
    colours: int = 0            # of basic: 0 for three bytes a pixel
    size: int = 0               # of basic: bytes after inflating
    deflated: bool = False


class Rect(NamedTuple):
    """A rectangle of an update."""

    x: int
    y: int
    width: int
    height: int
    encoding: int
    paint: Optional[Paint] = None
    source: Optional[Tuple[int, int]] = None


class _Cut(ContentError):
    def __init__(self) -> None:
        super().__init__("content-message")


class _Bytes:
    """What is left of an update."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def take(self, length: int) -> bytes:
        """So many bytes. Raises ContentError when they are not there."""
        if self.at + length > len(self.data):
            raise _Cut
        self.at += length
        return self.data[self.at - length:self.at]

    def compact(self) -> bytes:
        """Bytes with their compact length before them."""
        length = 0
        for shift in (0, 7, 14):
            byte = self.take(1)[0]
            length |= (byte & 0x7F if shift < 14 else byte) << shift
            if byte < 128:
                break
        return self.take(length)


def is_screen_size(width: int, height: int) -> bool:
    """Whether a screen may have this size."""
    return 1 <= width <= 8192 and 1 <= height <= 8192 and width * height <= MAX_PIXELS


def server_init(message: bytes) -> Tuple[int, int]:
    """Width and height of ServerInit."""
    if len(message) < 24:
        raise _Cut
    width, height = struct.unpack_from(">HH", message)
    if not is_screen_size(width, height):
        raise ContentError("content-rectangle")
    name = int.from_bytes(message[20:24], "big")
    if message[4:20] != _FORMAT or name > 1000 or len(message) != 24 + name:
        raise ContentError("content-message")
    return width, height


def check_marker(message: bytes) -> None:
    """A marker: padding, length, UTF-8."""
    length = int.from_bytes(message[4:8], "big") if len(message) >= 8 else 0
    if not 1 <= length <= 4000 or len(message) != 8 + length or message[1:4] != b"\0\0\0":
        raise ContentError("content-message")
    try:
        message[8:].decode("utf-8")
    except UnicodeDecodeError:
        raise ContentError("content-message") from None


def check_client(message: bytes) -> None:
    """A message of the input stream."""
    kind = message[0]
    second = message[1] if len(message) > 1 else 0
    if kind == 4:
        length = 8
    elif kind == 5:
        length = 7 if second & 0x80 else 6
    elif kind == 6:
        text = struct.unpack_from(">i", message, 4)[0] if len(message) >= 8 else 0
        length = 8 + abs(text)
    elif kind == 255 and second == 0:
        length = 12
    else:
        raise ContentError("content-code")
    if len(message) != length:
        raise ContentError("content-message")


def update(message: bytes) -> List[Rect]:
    """The rectangles of a FramebufferUpdate."""
    if len(message) < 4:
        raise _Cut
    count = int.from_bytes(message[2:4], "big")
    if not 1 <= count <= 8192:
        raise ContentError("content-message")
    left = _Bytes(message, 4)
    rects = [_rect(left) for _ in range(count)]
    if left.at != len(message):
        raise ContentError("content-message")
    return rects


def _rect(left: _Bytes) -> Rect:
    rect = Rect(*struct.unpack(">HHHHi", left.take(12)))
    width, height = rect.width, rect.height
    if rect.encoding == DESKTOP_SIZE:
        return rect
    if rect.encoding == CURSOR:
        if width > 384 or height > 384:
            raise ContentError("content-rectangle")
        left.take(width * height * 4 + (width + 7) // 8 * height)
        return rect
    if rect.encoding == COPY_RECT:
        return rect._replace(source=struct.unpack(">HH", left.take(4)))
    if rect.encoding not in (TIGHT, TIGHT_PNG):
        raise ContentError("content-code")
    if not width or not height:
        raise ContentError("content-rectangle")
    return rect._replace(paint=_paint(left, rect))


def _paint(left: _Bytes, rect: Rect) -> Paint:
    control = left.take(1)[0]
    kind = control >> 4
    if kind == 8:
        left.take(3)
        return Paint("fill")
    if rect.width * rect.height > MAX_AREA:
        raise ContentError("content-rectangle")
    if kind == 9:
        return Paint("jpeg", left.compact())
    if kind == 10 and rect.encoding == TIGHT_PNG:
        return Paint("png", left.compact())
    if kind > 7 or rect.encoding != TIGHT or not control & (1 << (kind & 3)):
        raise ContentError("content-pixels")
    colours = _colours(left) if kind & 4 else 0
    row = rect.width
    if colours == 0:
        row = rect.width * 3
    elif colours == 2:
        row = (rect.width + 7) // 8
    size = row * rect.height
    data = left.take(size) if size < 12 else left.compact()
    return Paint("basic", data, colours, size, size >= 12)


def _colours(left: _Bytes) -> int:
    """Takes the filter and its palette; 0 for copy."""
    filter_id = left.take(1)[0]
    if filter_id == 0:
        return 0
    if filter_id != 1:
        raise ContentError("content-pixels")
    colours = left.take(1)[0] + 1
    left.take(colours * 3)
    if colours == 1:
        raise ContentError("content-pixels")
    return colours
