"""Compact JWS with Ed25519 (section 5) and the trust file's keys (section 14)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import fields
from canonical import parse, sha256_hex, unb64u
from schemas import strict


class JwsError(ValueError):
    def __init__(self, code, detail=""):
        super().__init__(f"{code} {detail}".strip())
        self.code = code


def ed25519_ok(public_key, signature, message):
    if len(signature) != 64:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


class Jws:
    """A JWS that has been read; nothing is verified yet."""

    def __init__(self, data, typ, schema):
        try:
            text = bytes(data).decode("ascii")
            parts = text.split(".")
            if len(parts) != 3:
                raise ValueError("not three parts")
            self.signature = unb64u(parts[2])
            if len(self.signature) != 64:
                raise ValueError("the signature is not 64 bytes")
        except ValueError as error:
            raise JwsError("jws-malformed", str(error)) from None
        try:
            header = parse(unb64u(parts[0]))
        except ValueError as error:
            raise JwsError("jws-header", str(error)) from None
        if strict(fields.JWS_HEADER, header):
            raise JwsError("jws-header")
        if header["typ"] != typ:
            raise JwsError("jws-type", header["typ"])
        try:
            payload = parse(unb64u(parts[1]))
        except ValueError as error:
            raise JwsError("jws-payload", str(error)) from None
        fault = strict(schema, payload)
        if fault:
            raise JwsError("jws-unknown-field" if fault == "unknown" else "jws-payload")
        self.kid = header["kid"]
        self.payload = payload
        self.signed = (parts[0] + "." + parts[1]).encode("ascii")
        self.hash = sha256_hex(bytes(data))

    def verify(self, keys):
        """None, or the code. `keys` are the raw keys that may have signed (kid, use and validity already looked at)."""
        if not keys:
            return "key-unknown"
        return None if any(ed25519_ok(key, self.signature, self.signed) for key in keys) else "jws-signature"


def valid_at(key, index):
    return key["from_index"] <= index and (key["to_index"] is None or index < key["to_index"])


def trusted_keys(trust, use, kid, index, gateway=None):
    """Raw public keys of a use that bear the kid and are valid at a log index."""
    return [
        unb64u(key["x"]) for key in trust["keys"]
        if key["use"] == use and key["kid"] == kid and valid_at(key, index)
        and (use != "gateway" or key["gateway"] == gateway)
    ]


TYPES = {
    "manifest": ("sallyport-manifest+jws", fields.MANIFEST),
    "receipt": ("sallyport-receipt+jws", fields.RECEIPT),
    "grant": ("sallyport-grant+jws", fields.GRANT),
    "package": ("sallyport-package+jws", fields.PACKAGE),
}


def read_jws(data, kind):
    return Jws(data, *TYPES[kind])
