"""Conventions of section 1: base64url, hashes, instants, JSON and its canonical form."""
import base64
import hashlib
import json
import re
from typing import Any, Optional

MAX_INT = 2 ** 53 - 1
MAX_U32 = 2 ** 32 - 1
MAX_DEPTH = 64           # nesting (section 1)

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
HEX64 = re.compile(r"[0-9a-f]{64}")
INSTANT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
                     r"\.([0-9]{3})Z")
_B64URL = re.compile(r"[A-Za-z0-9_-]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ASTRAL = re.compile(r"[\U00010000-\U0010ffff]")
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.S)
_HUGE = 1 << 70


class NotJson(ValueError):
    """The bytes are no JSON in the sense of section 1."""


def sha256(data: bytes) -> bytes:
    """SHA-256 of data."""
    return hashlib.sha256(data).digest()


def sha256_hex(data: bytes) -> str:
    """SHA-256 as hex64 (section 1)."""
    return hashlib.sha256(data).hexdigest()


def b64url_decode(text: Any) -> Optional[bytes]:
    """Section 1: no padding, unused trailing bits zero; None when it is not that."""
    if not isinstance(text, str) or not _B64URL.fullmatch(text) or len(text) % 4 == 1:
        return None
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return raw if b64url_encode(raw) == text else None


def b64url_encode(data: bytes) -> str:
    """Section 1: RFC 4648 section 5 without padding."""
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def b64_decode(text: str) -> Optional[bytes]:
    """Standard base64 with padding (section 13), strict; None when it is not that."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, UnicodeError):
        return None
    return raw if base64.b64encode(raw).decode("ascii") == text else None


def text_length(value: str) -> Optional[int]:
    """Length in UTF-16 code units, None for a string with a lone surrogate (section 1)."""
    if value.isascii():
        return len(value)
    if _SURROGATE.search(value):
        return None
    return len(value) + len(_ASTRAL.findall(value))


def instant_ms(value: Any) -> Optional[int]:
    """Section 1 instant as milliseconds since 1970 UTC; None when it is none."""
    match = INSTANT.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    year, month, day, hour, minute, second, milli = (int(part) for part in match.groups())
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days_in = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= day <= days_in[month - 1]:
        return None
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400
    days += sum(days_in[:month - 1]) + day - 1 - 719162
    return ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000 + milli


def _integer(text: str) -> int:
    if len(text) <= 20:
        return int(text)
    return -_HUGE if text.startswith("-") else _HUGE     # out of every range of the formats


def _refuse(text: str) -> Any:
    raise NotJson("number with a fraction or an exponent, or no number: " + text[:20])


_STRICT = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
_FLOATS = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse)


def parse_json(data: Any, fractions: bool = False) -> Any:
    """Parse UTF-8 bytes (or text) as section 1 wants it; raises NotJson.

    A number with a fraction or an exponent makes the document no JSON, unless fractions
    is set (clientDataJSON). Of duplicate keys the last one counts.
    """
    try:
        text = data if isinstance(data, str) else bytes(data).decode("utf-8")
        value = (_FLOATS if fractions else _STRICT).decode(text)
    except NotJson:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)[:100]) from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise NotJson("nested too deep")
    return value


def _depth(text: str) -> int:
    """Nesting depth of a text that is known to be JSON."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        mark = match.group()[0]
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def jcs(value: Any) -> bytes:
    """RFC 8785 for the documents of this format (section 1)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"),
                      ensure_ascii=False).encode("utf-8")
