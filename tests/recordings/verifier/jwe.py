"""Wraps of data keys (section 4): General JWE JSON, ECDH-ES+A256KW, A256GCM."""
import hmac
import hashlib
import struct
from typing import Any, NamedTuple, Optional, Tuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

import base
import schemas as s
from formats import WRAP

MAX_WRAP = 16384
_ALG = b"ECDH-ES+A256KW"


class PrivateKey(NamedTuple):
    """The recipient's private key (a JWK, P-256 or X25519)."""

    crv: str
    kid: Optional[str]
    key: Any


def load_private(data: bytes) -> PrivateKey:
    """Read a private JWK; ValueError when it is none (no verdict, section 17)."""
    jwk = base.parse_json(data)
    if type(jwk) is not dict:
        raise ValueError("the key is no JWK")
    kid = jwk.get("kid")
    if kid is not None and type(kid) is not str:
        raise ValueError("the key's kid is no string")
    secret, x = base.b64url_decode(jwk.get("d")), base.b64url_decode(jwk.get("x"))
    if secret is None or len(secret) != 32 or x is None or len(x) != 32:
        raise ValueError("the key has no usable d and x")
    if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
        key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        numbers = key.public_key().public_numbers()
        y = base.b64url_decode(jwk.get("y"))
        if numbers.x.to_bytes(32, "big") != x or numbers.y.to_bytes(32, "big") != y:
            raise ValueError("the key's public part is not that of d")
        return PrivateKey("P-256", kid, key)
    if jwk.get("kty") == "OKP" and jwk.get("crv") == "X25519":
        return PrivateKey("X25519", kid, x25519.X25519PrivateKey.from_private_bytes(secret))
    raise ValueError("the key is neither P-256 nor X25519")


def _agree(own: PrivateKey, epk: dict) -> bytes:
    """Step 1: Z. An epk that is no point of its curve raises ValueError."""
    x = base.b64url_decode(epk["x"])
    if own.crv == "X25519":
        return own.key.exchange(x25519.X25519PublicKey.from_public_bytes(x))
    y = base.b64url_decode(epk["y"])
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
    return own.key.exchange(ec.ECDH(), numbers.public_key())


def _open_one(own: PrivateKey, wrap: dict, recipient: dict) -> Optional[bytes]:
    """Steps 1 to 4 for one recipient; None when any of them fails."""
    try:
        shared = _agree(own, recipient["header"]["epk"])
        info = (struct.pack(">I", 1) + shared + struct.pack(">I", len(_ALG)) + _ALG
                + struct.pack(">III", 0, 0, 256))
        content_key = aes_key_unwrap(base.sha256(info),
                                     base.b64url_decode(recipient["encrypted_key"]))
        sealed = base.b64url_decode(wrap["ciphertext"]) + base.b64url_decode(wrap["tag"])
        aad = (wrap["protected"] + "." + wrap["aad"]).encode("ascii")
        return AESGCM(content_key).decrypt(base.b64url_decode(wrap["iv"]), sealed, aad)
    except (ValueError, InvalidUnwrap, InvalidTag):
        return None


def open_wrap(data: bytes, own: PrivateKey, recording: str, stream: str,
              number: int) -> Tuple[Optional[bytes], Optional[str]]:
    """Open a wrap. Returns (data key, None) or (None, reason)."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None, "wrap-malformed"
    if base.text_length(text) is None or base.text_length(text) > MAX_WRAP:
        return None, "wrap-malformed"
    wrap, wrong = s.read(text, WRAP)
    if wrong:
        return None, "wrap-malformed"
    expected = "%s/%s/%d" % (recording, stream, number)
    if base.b64url_decode(wrap["aad"]) != expected.encode("ascii"):
        return None, "wrap-wrong-segment"
    fitting = [item for item in wrap["recipients"]
               if item["header"]["epk"]["crv"] == own.crv
               and (own.kid is None or item["header"]["kid"] == own.kid)]
    if not fitting:
        return None, "wrap-no-recipient"
    for recipient in fitting:
        key = _open_one(own, wrap, recipient)
        if key is not None:
            return key, None
    return None, "wrap-failed"


def commits(data_key: bytes, commitment: str) -> bool:
    """Section 4: AES-GCM does not commit to its key, this HMAC does."""
    mac = hmac.new(data_key, b"sallyport/dek-commit/v1", hashlib.sha256).hexdigest()
    return hmac.compare_digest(mac, commitment)
