"""Verification of a WebAuthn assertion over an approval document (section 9)."""
from typing import Any, List, Optional, Tuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

import base
import cbor


def _client_data(raw: bytes, challenge: bytes, origins: List[str]) -> Optional[str]:
    """Step 1."""
    try:
        data = base.parse_json(raw, fractions=True)
    except base.NotJson:
        return "assertion-type"
    if type(data) is not dict or data.get("type") != "webauthn.get":
        return "assertion-type"
    if data.get("challenge") != base.b64url_encode(challenge):
        return "assertion-challenge"
    origin = data.get("origin")
    if type(origin) is not str or origin not in origins:
        return "assertion-origin"
    if "crossOrigin" in data and data["crossOrigin"] is not False:
        return "assertion-origin"
    return None


def _authenticator_data(raw: bytes, assertion: dict, rp_id: str) -> Optional[str]:
    """Step 2."""
    if len(raw) < 37:
        return "assertion-malformed"
    if raw[:32] != base.sha256(rp_id.encode("utf-8")):
        return "assertion-rp"
    flags = raw[32]
    if flags & 0x05 != 0x05:
        return "assertion-flags"
    if bool(flags & 0x08) != assertion["backupEligible"]:
        return "assertion-flags"
    if bool(flags & 0x10) != assertion["backupState"]:
        return "assertion-flags"
    return None


def _public_key(raw: bytes) -> Tuple[str, Any]:
    """Step 3: (algorithm, key). ValueError is `assertion-key`."""
    key = cbor.read_map(raw)
    kind, algorithm, curve = key.get(1), key.get(3), key.get(-1)
    x, y = key.get(-2), key.get(-3)
    if (kind, algorithm, curve) == (2, -7, 1):
        if type(x) is not bytes or type(y) is not bytes or len(x) != 32 or len(y) != 32:
            raise ValueError("ES256")
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        return "ES256", numbers.public_key()
    if (kind, algorithm, curve) == (1, -8, 6):
        if type(x) is not bytes or len(x) != 32:
            raise ValueError("EdDSA")
        return "EdDSA", ed25519.Ed25519PublicKey.from_public_bytes(x)
    if (kind, algorithm) == (3, -257) and type(curve) is bytes and type(x) is bytes:
        modulus = int.from_bytes(curve, "big")
        if modulus.bit_length() < 2048:
            raise ValueError("RS256")
        return "RS256", rsa.RSAPublicNumbers(int.from_bytes(x, "big"), modulus).public_key()
    raise ValueError("algorithm")


def verify(assertion: dict, challenge: bytes, rp_id: str, origins: List[str]) -> List[str]:
    """Reasons why an assertion does not stand for the challenge; none when it does."""
    client_data = base.b64url_decode(assertion["clientDataJSON"])
    authenticator_data = base.b64url_decode(assertion["authenticatorData"])
    found = [_client_data(client_data, challenge, origins),
             _authenticator_data(authenticator_data, assertion, rp_id)]
    reasons = [code for code in found if code]
    try:
        algorithm, key = _public_key(base.b64url_decode(assertion["publicKey"]))
    except Exception:   # pylint: disable=broad-except  (the library names several)
        return reasons + ["assertion-key"]
    signature = base.b64url_decode(assertion["signature"])
    message = authenticator_data + base.sha256(client_data)
    try:
        if algorithm == "ES256":
            key.verify(signature, message, ec.ECDSA(SHA256()))
        elif algorithm == "EdDSA":
            key.verify(signature, message)
        else:
            key.verify(signature, message, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError):
        reasons.append("assertion-signature")
    return reasons
