"""Whether pixels of desktop content can be drawn (section 19), without drawing them."""
import zlib
from typing import List, Optional, Tuple

from content_error import ContentError
from rfb import Paint, Rect

_PNG = b"\x89PNG\r\n\x1a\n"


def check(rect: Rect) -> None:
    """Raises ContentError."""
    paint = rect.paint
    if paint is None or paint.kind == "fill":
        return
    good = {"basic": _basic, "jpeg": _jpeg, "png": _png}[paint.kind](paint, rect)
    if not good:
        raise ContentError("content-pixels")


def _inflate(data: bytes, size: int) -> Optional[bytes]:
    """One whole zlib stream of exactly this size."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, size + 1)
    except zlib.error:
        return None
    whole = stream.eof and not stream.unused_data and not stream.unconsumed_tail
    return plain if whole and len(plain) == size else None


def _basic(paint: Paint, _: Rect) -> bool:
    plain = _inflate(paint.data, paint.size) if paint.deflated else paint.data
    if plain is None:
        return False
    return not 2 < paint.colours < 256 or max(plain) < paint.colours


def _jpeg(paint: Paint, rect: Rect) -> bool:
    data = paint.data
    if len(data) < 4 or data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        return False
    frames = 0
    at = 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        length = int.from_bytes(data[at + 2:at + 4], "big")
        if data[at] != 0xFF or not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xD9:
            return False
        if length < 2 or at + 2 + length > len(data):
            return False
        if marker == 0xDA:
            return frames == 1
        if marker in (0xC0, 0xC1, 0xC2):
            frames += 1
            size = (int.from_bytes(data[at + 7:at + 9], "big"),
                    int.from_bytes(data[at + 5:at + 7], "big"))
            if length < 8 or data[at + 4] != 8 or size != (rect.width, rect.height) \
                    or data[at + 9] not in (1, 3):
                return False
        at += 2 + length
    return False


def _chunks(data: bytes) -> Optional[List[Tuple[bytes, bytes]]]:
    if data[:8] != _PNG:
        return None
    found = []
    at = 8
    while at < len(data):
        length = int.from_bytes(data[at:at + 4], "big")
        if len(data) - at < 12 or length > len(data) - at - 12:
            return None
        end = at + 8 + length
        if zlib.crc32(data[at + 4:end]) != int.from_bytes(data[end:end + 4], "big"):
            return None
        found.append((data[at + 4:at + 8], data[at + 8:end]))
        at = end + 4
    return found


def _png(paint: Paint, rect: Rect) -> bool:
    chunks = _chunks(paint.data)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        return False
    head = chunks.pop(0)[1]
    depth, colour = head[8], head[9]
    if head[:8] != rect.width.to_bytes(4, "big") + rect.height.to_bytes(4, "big"):
        return False
    if (colour, depth) not in ((2, 8), (3, 1), (3, 2), (3, 4), (3, 8)) or any(head[10:]):
        return False
    if colour == 3:
        name, palette = chunks.pop(0) if chunks else (b"", b"")
        if name != b"PLTE" or len(palette) % 3 or not 1 <= len(palette) // 3 <= 2 ** depth:
            return False
    if not chunks or chunks.pop() != (b"IEND", b""):
        return False
    if any(name != b"IDAT" for name, _ in chunks):
        return False
    bits = depth if colour == 3 else 24
    row = 1 + (rect.width * bits + 7) // 8
    plain = _inflate(b"".join(part for _, part in chunks), row * rect.height)
    return plain is not None and max(plain[::row]) <= 4
