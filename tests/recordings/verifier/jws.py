"""Compact JWS with Ed25519 (section 5)."""
from typing import Any, NamedTuple, Optional, Tuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import base
import schemas as s

_HEADER = s.obj({"alg": s.one_of("Ed25519"), "typ": s.test(lambda value: type(value) is str),
                 "kid": s.text(200)})


class Jws(NamedTuple):
    """A JWS that could be read; nothing is said about its signature yet."""

    payload: Any
    hash: str
    kid: str
    signing_input: bytes
    signature: bytes


def ed25519(key: bytes, signature: bytes, message: bytes) -> bool:
    """RFC 8032 verification that never raises."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def parse(data: bytes, typ: str, schema: s.Schema) -> Tuple[Optional[Jws], Optional[str]]:
    """Read a compact JWS. Returns (jws, None) or (None, reason)."""
    try:
        parts = data.decode("ascii").split(".")
    except UnicodeDecodeError:
        return None, "jws-malformed"
    if len(parts) != 3:
        return None, "jws-malformed"
    signature = base.b64url_decode(parts[2])
    if signature is None or len(signature) != 64:
        return None, "jws-malformed"
    raw_header = base.b64url_decode(parts[0])
    if raw_header is None:
        return None, "jws-header"
    header, wrong = s.read(raw_header, _HEADER)
    if wrong:
        return None, "jws-header"
    if header["typ"] != typ:
        return None, "jws-type"
    raw_payload = base.b64url_decode(parts[1])
    if raw_payload is None:
        return None, "jws-payload"
    payload, wrong = s.read(raw_payload, schema)
    if wrong:
        return None, "jws-unknown-field" if wrong == s.UNKNOWN else "jws-payload"
    signed = (parts[0] + "." + parts[1]).encode("ascii")
    return Jws(payload, base.sha256_hex(data), header["kid"], signed, signature), None


def verify(jws: Jws, key: Optional[bytes]) -> Optional[str]:
    """The signature under a key of the trust file: a reason, or None when it is good."""
    if key is None:
        return "key-unknown"
    return None if ed25519(key, jws.signature, jws.signing_input) else "jws-signature"
