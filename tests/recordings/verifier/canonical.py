"""JSON as the format document uses it: parsing, RFC 8785 canonical form, base64url, hashes (section 1)."""

import base64
import binascii
import hashlib
import json
import re

HEX64 = re.compile(r"[0-9a-f]{64}\Z")


def sha256(data):
    return hashlib.sha256(data).digest()


def sha256_hex(data):
    return hashlib.sha256(data).hexdigest()


def _no_constant(name):
    raise ValueError("not JSON: " + name)


def _no_fraction(text):
    raise ValueError("a number with a fraction or an exponent: " + text[:40])


def _unique(pairs):
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice")
    return value


def parse(data, unique=False, fractions=False):
    """Parse UTF-8 JSON (bytes or str). ValueError on anything else, a byte order mark too.

    The last of duplicate keys counts, as section 1 says, unless `unique` is set. Numbers with a fraction or an
    exponent are refused unless `fractions` is set (foreign JSON such as clientDataJSON)."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = bytes(data).decode("utf-8")  # UnicodeDecodeError is a ValueError
    if data.startswith("\ufeff"):
        raise ValueError("byte order mark")
    try:
        return json.loads(
            data,
            parse_constant=_no_constant,
            parse_float=None if fractions else _no_fraction,
            object_pairs_hook=_unique if unique else None,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def jcs(value):
    """RFC 8785 bytes of a value of strings, integers, booleans, null, arrays and objects."""
    return _text(value).encode("utf-8")  # a lone surrogate is a UnicodeEncodeError, so a ValueError


def _text(value):
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(_text(name) + ":" + _text(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, float):
        raise ValueError("only integers occur in these formats")
    return json.dumps(value, ensure_ascii=False)


def parse_canonical(data):
    """(value, whether the bytes are the JCS of the value). ValueError when it is no JSON."""
    value = parse(data)
    try:
        return value, jcs(value) == bytes(data)
    except (ValueError, RecursionError):
        return value, False


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64u(text):
    """Bytes of canonical base64url without padding; ValueError otherwise."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64url")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if b64u(data) != text:
        raise ValueError("base64url with stray bits")
    return data


def unb64(text):
    """Bytes of canonical standard base64 with padding; ValueError otherwise."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    if base64.b64encode(data).decode("ascii") != text:
        raise ValueError("base64 with stray bits")
    return data
