"""Wraps of data keys: General JWE JSON, ECDH-ES+A256KW and A256GCM (section 4)."""

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import fields
from canonical import b64u, parse, sha256, unb64u
from schemas import strict


class WrapError(ValueError):
    def __init__(self, code, detail=""):
        super().__init__(f"{code} {detail}".strip())
        self.code = code


def commitment(data_key):
    return hmac.new(data_key, b"sallyport/dek-commit/v1", hashlib.sha256).hexdigest()


class PrivateKey:
    """A recipient's private JWK (P-256 or X25519). ValueError when it is none."""

    def __init__(self, jwk):
        if not isinstance(jwk, dict):
            raise ValueError("the key is no JWK")
        self.kid = jwk.get("kid")
        if self.kid is not None and not isinstance(self.kid, str):
            raise ValueError("the key's kid is no string")
        self.kind = (jwk.get("kty"), jwk.get("crv"))
        secret = unb64u(jwk.get("d"))
        x = unb64u(jwk.get("x"))
        if self.kind == ("EC", "P-256"):
            self._key = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
            numbers = self._key.public_key().public_numbers()
            same = (numbers.x, numbers.y) == (int.from_bytes(x, "big"), int.from_bytes(unb64u(jwk.get("y")), "big"))
        elif self.kind == ("OKP", "X25519"):
            self._key = X25519PrivateKey.from_private_bytes(secret)
            same = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) == x
        else:
            raise ValueError("the key is neither P-256 nor X25519")
        if not same:
            raise ValueError("the key's two halves don't belong together")

    def shared(self, epk):
        x = unb64u(epk["x"])
        if self.kind[0] == "EC":
            point = ec.EllipticCurvePublicNumbers(
                int.from_bytes(x, "big"), int.from_bytes(unb64u(epk["y"]), "big"), ec.SECP256R1())
            return self._key.exchange(ec.ECDH(), point.public_key())  # ValueError when not on the curve
        return self._key.exchange(X25519PublicKey.from_public_bytes(x))


def _u32(n):
    return n.to_bytes(4, "big")


def kek_of(z):
    alg = b"ECDH-ES+A256KW"
    return sha256(_u32(1) + z + _u32(len(alg)) + alg + _u32(0) + _u32(0) + _u32(256))


def read_wrap(data):
    try:
        if len(bytes(data).decode("utf-8").encode("utf-16-le")) > 2 * 16384:
            raise ValueError("longer than 16,384 characters")
        wrap = parse(data)
    except ValueError as error:
        raise WrapError("wrap-malformed", str(error)) from None
    if strict(fields.WRAP, wrap):
        raise WrapError("wrap-malformed")
    return wrap


def open_wrap(data, key, recording, stream, segment):
    """The 32-byte data key inside a wrap. WrapError otherwise."""
    wrap = read_wrap(data)
    if wrap["aad"] != b64u(f"{recording}/{stream}/{segment}".encode("ascii")):
        raise WrapError("wrap-wrong-segment")
    aad = (wrap["protected"] + "." + wrap["aad"]).encode("ascii")
    sealed = unb64u(wrap["ciphertext"]) + unb64u(wrap["tag"])
    fitting = [
        one for one in wrap["recipients"]
        if one["header"]["epk"]["crv"] == key.kind[1] and key.kid in (None, one["header"]["kid"])
    ]
    if not fitting:
        raise WrapError("wrap-no-recipient")
    for recipient in fitting:
        epk = recipient["header"]["epk"]
        try:
            cek = aes_key_unwrap(kek_of(key.shared(epk)), unb64u(recipient["encrypted_key"]))
            return AESGCM(cek).decrypt(unb64u(wrap["iv"]), sealed, aad)
        except (ValueError, InvalidUnwrap, InvalidTag):
            continue
    raise WrapError("wrap-failed")
