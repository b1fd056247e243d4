"""Approval records and their WebAuthn assertions: ES256, EdDSA, RS256 (section 9)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

import fields
from canonical import b64u, jcs, parse, sha256, sha256_hex, unb64u
from jws import ed25519_ok
from schemas import instant_ms, strict


class ApprovalError(ValueError):
    def __init__(self, code, detail=""):
        super().__init__(f"{code} {detail}".strip())
        self.code = code


class Approval:
    """A record that has been read and whose document hashes to its name."""

    def __init__(self, data, name):
        try:
            record = parse(data)
        except ValueError as error:
            raise ApprovalError("approval-malformed", str(error)) from None
        fault = strict(fields.APPROVAL, record)
        if fault:
            raise ApprovalError("approval-unknown-field" if fault == "unknown" else "approval-malformed")
        self.record = record
        self.document = record["document"]
        self.snapshot = self.document["snapshot"]
        self.constraints = self.document["constraints"]
        self.extension = self.snapshot["extension"]
        self.approver = record["approver"]
        self.assertion = record["assertion"]
        document = jcs(self.document)
        self.hash = sha256_hex(document)
        if self.hash != name:
            raise ApprovalError("approval-hash")
        self.challenge = sha256(b"sallyport/approval/v1\0" + document)
        self.snapshot_hash = sha256_hex(jcs(self.snapshot))
        self.base_hash = sha256_hex(jcs({**self.snapshot, "extension": None}))

    def limit(self, name, default=None):
        """A constraint's instant in milliseconds, or the default."""
        return instant_ms(self.constraints[name]) if name in self.constraints else default


class _Cbor:
    """The little of CBOR that a COSE_Key needs: one map of integers to integers or byte strings."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        piece = self.data[self.at:self.at + n]
        if len(piece) < n:
            raise ValueError("the CBOR is cut off")
        self.at += n
        return piece

    def head(self):
        first = self.take(1)[0]
        kind, small = first >> 5, first & 31
        if small < 24:
            return kind, small
        if small > 26:
            raise ValueError("an indefinite length, or one of eight bytes")
        return kind, int.from_bytes(self.take(1 << (small - 24)), "big")

    def item(self):
        kind, number = self.head()
        if kind == 0:
            return number
        if kind == 1:
            return -1 - number
        if kind == 2:
            return self.take(number)
        raise ValueError("neither an integer nor a byte string")


def cose_key(data):
    reader = _Cbor(data)
    kind, count = reader.head()
    if kind != 5 or count > 16:
        raise ValueError("no CBOR map, or too many pairs")
    found = {}
    for _ in range(count):
        name = reader.item()
        if not isinstance(name, int) or name in found:
            raise ValueError("a key that is no integer, or twice")
        found[name] = reader.item()
    if reader.at != len(data):
        raise ValueError("bytes after the map")
    return found


def _fixed(key, name):
    value = key.get(name)
    if not isinstance(value, bytes) or len(value) != 32:
        raise ValueError("a coordinate is not 32 bytes")
    return value


def _verifier(key):
    """A function (signature, message) that raises InvalidSignature. ValueError when the key is not one of the three."""
    kind = (key.get(1), key.get(3))
    if kind == (2, -7) and key.get(-1) == 1:
        x, y = (int.from_bytes(_fixed(key, name), "big") for name in (-2, -3))
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        return lambda signature, message: public.verify(signature, message, ec.ECDSA(SHA256()))
    if kind == (1, -8) and key.get(-1) == 6:
        raw = _fixed(key, -2)

        def check(signature, message):
            if not ed25519_ok(raw, signature, message):
                raise InvalidSignature()
        return check
    if kind == (3, -257) and isinstance(key.get(-1), bytes) and isinstance(key.get(-2), bytes):
        n, e = (int.from_bytes(key[name], "big") for name in (-1, -2))
        if n.bit_length() < 2048:
            raise ValueError("an RSA key below 2048 bits")
        public = rsa.RSAPublicNumbers(e, n).public_key()
        return lambda signature, message: public.verify(signature, message, padding.PKCS1v15(), SHA256())
    raise ValueError("another algorithm")


def assertion_faults(approval, rp):
    """Codes of everything that is wrong with the assertion; an empty list when it verifies."""
    raw = approval.assertion
    found = []
    client_bytes = unb64u(raw["clientDataJSON"])
    try:
        client = parse(client_bytes, fractions=True)
    except ValueError:
        client = None
    if not isinstance(client, dict) or client.get("type") != "webauthn.get":
        found.append("assertion-type")
    if isinstance(client, dict):
        if client.get("challenge") != b64u(approval.challenge):
            found.append("assertion-challenge")
        if client.get("origin") not in rp["origins"] or client.get("crossOrigin", False) is not False:
            found.append("assertion-origin")
    data = unb64u(raw["authenticatorData"])
    if len(data) < 37:
        return found + ["assertion-malformed"]
    if data[:32] != sha256(rp["id"].encode("utf-8")):
        found.append("assertion-rp")
    flags = data[32]
    if (
        flags & 5 != 5 or bool(flags & 8) != raw["backupEligible"] or bool(flags & 16) != raw["backupState"]
    ):
        found.append("assertion-flags")
    try:
        verify = _verifier(cose_key(unb64u(raw["publicKey"])))
    except ValueError:
        return found + ["assertion-key"]
    try:
        verify(unb64u(raw["signature"]), data + sha256(client_bytes))
    except (InvalidSignature, ValueError):
        found.append("assertion-signature")
    return found
