"""The schemas of the signed documents: sections 2, 4 and 6 to 9."""
from typing import Any

import schemas as s

STREAM = s.one_of("screen", "input")
ROLES = ("vendor", "approver", "operator", "auditor", "administrator")
CRITICALITY = s.one_of("C1", "C2", "C3", "C4")
FEATURE = s.one_of("clipboard-copy", "clipboard-paste")
ENDING = s.obj({"mode": s.one_of("operator-confirm", "grace", "cut"),
                "holdSeconds": s.integer(0, 1800), "inputDuringGrace": s.BOOLEAN})
SITE = s.obj({"id": s.UUID, "name": s.text(200), "timeZone": s.text(64)})
ASSET = s.obj({"id": s.UUID, "name": s.text(200), "criticality": CRITICALITY, "hash": s.HEX64})

# Section 2, header JSON.
TARGET = s.variant("kind", {
    "ssh-host-key": s.obj({"kind": s.one_of("ssh-host-key"), "algorithm": s.text(64),
                           "fingerprint": s.text(128)}),
    "certificate": s.obj({"kind": s.one_of("certificate"), "fingerprint": s.HEX64}),
    "none": s.obj({"kind": s.one_of("none")}),
}, ("kind", "algorithm", "fingerprint"))

_HEADER = s.obj({
    "v": s.ONE, "deployment": s.UUID, "site": s.UUID, "recording": s.UUID, "session": s.UUID,
    "stream": STREAM, "segment": s.U32, "prev": s.nullable(s.HEX64), "grant": s.HEX64,
    "policy": s.HEX64, "asset": s.HEX64, "target": TARGET, "user": s.text(200),
    "account": s.text(64),
    "gateway": s.obj({"id": s.UUID, "version": s.text(40), "boot": s.UUID}),
    "clock": s.obj({"wall_ms": s.INT, "t_ms": s.INT, "source": s.text(40),
                    "offset_ms": s.nullable(s.integer(-(2 ** 53 - 1)))}),
    "media": s.one_of("asciicast-v2", "rfb-v1"), "sampling_ms": s.integer(0, 100),
    "dek_commitment": s.HEX64,
    "key_object": s.pattern(r"[A-Za-z0-9][A-Za-z0-9/._-]{0,199}"),
})


def HEADER(value: Any, state: s.State) -> None:   # pylint: disable=invalid-name
    """Section 2, header JSON: a desktop is always sampled."""
    _HEADER(value, state)
    if type(value) is dict and value.get("media") == "rfb-v1" and value.get("sampling_ms") == 0:
        state.bad = True


# Section 4.
_COORDINATE = s.b64url(32, 32)
EPK = s.variant("kty", {
    "EC": s.obj({"kty": s.one_of("EC"), "crv": s.one_of("P-256"), "x": _COORDINATE,
                 "y": _COORDINATE}),
    "OKP": s.obj({"kty": s.one_of("OKP"), "crv": s.one_of("X25519"), "x": _COORDINATE}),
}, ("kty", "crv", "x", "y"))

WRAP = s.obj({
    "protected": s.one_of("eyJlbmMiOiJBMjU2R0NNIn0"), "aad": s.b64url(16384),
    "iv": s.b64url(12, 12), "ciphertext": s.b64url(32, 32), "tag": s.b64url(16, 16),
    "recipients": s.array(s.obj({
        "encrypted_key": s.b64url(40, 40),
        "header": s.obj({"alg": s.one_of("ECDH-ES+A256KW"), "kid": s.text(200), "epk": EPK}),
    }), 8, 1),
})

# Section 6.
SESSION_END = s.one_of(*(
    "vendor-left window-closed approval-withdrawn ticket-closed operator-stopped site-locked "
    "idle open-failed target-identity-changed protocol-violation decoder-failed "
    "recording-failed asset-lost browser-lost identity-revoked lease-lost gateway-stopped"
).split())

MANIFEST = s.obj({
    "v": s.ONE, "deployment": s.UUID, "site": s.UUID, "gateway": s.UUID, "recording": s.UUID,
    "session": s.UUID, "ended": s.one_of("clean", "recovered"),
    "supersedes": s.nullable(s.HEX64), "session_end": SESSION_END, "signed_at_ms": s.INT,
    "segments": s.array(s.obj({
        "stream": STREAM, "number": s.U32, "bytes": s.INT, "sha256": s.HEX64, "hh": s.HEX64,
        "last_c": s.HEX64, "chunks": s.U32, "final": s.BOOLEAN, "torn_bytes": s.INT}), 20000),
    "gaps": s.array(s.obj({
        "stream": STREAM, "segment": s.U32, "seq": s.U32, "t0_ms": s.INT, "t1_ms": s.INT,
        "reason": s.text(200)}), 20000),
    "discarded": s.array(s.obj({"stream": STREAM, "number": s.U32, "bytes": s.INT}), 64),
    "hashes": s.obj({
        "grants": s.array(s.HEX64, 256, 1), "approvals": s.array(s.HEX64, 16384),
        "ticket": s.nullable(s.HEX64),
        "files": s.array(s.obj({"name": s.text(500), "bytes": s.INT, "sha256": s.HEX64}), 1000),
    }),
})

# Section 7.
RECEIPT = s.obj({
    "v": s.ONE, "deployment": s.UUID, "recording": s.UUID, "session": s.UUID,
    "manifest": s.HEX64, "first_index": s.INT, "last_index": s.INT, "signed_at_ms": s.INT})

# Section 8.
_JWK_PART = s.b64url(32, 1)
RECORDING_KEY = s.variant("kty", {
    "EC": s.obj({"kty": s.one_of("EC"), "crv": s.one_of("P-256"), "x": _JWK_PART,
                 "y": _JWK_PART, "kid": s.text(200)}),
    "OKP": s.obj({"kty": s.one_of("OKP"), "crv": s.one_of("X25519", "Ed25519"),
                  "x": _JWK_PART, "kid": s.text(200)}),
}, ("kty", "crv", "x", "y", "kid"))

VNC = s.obj({"security": s.one_of("x509", "anonymous-tls", "plain"),
             "authentication": s.one_of("password", "none")})
RDP = s.obj({"security": s.one_of("nla", "tls")})
_GRANT = s.obj({
    "v": s.ONE, "jti": s.UUID, "serial": s.integer(1, 10000), "iat": s.INT, "exp": s.INT,
    "deployment": s.UUID, "session": s.UUID, "recording": s.UUID, "gateway": s.UUID,
    "endpoint": s.UUID, "site": SITE, "asset": ASSET, "protocol": s.one_of("ssh", "vnc", "rdp"),
    "address": s.obj({"host": s.text(255), "port": s.integer(1, 65535)}),
    "identities": s.array(s.obj({"algorithm": s.text(64), "fingerprint": s.text(128)}), 16),
    "account": s.text(64), "features": s.array(FEATURE, 2), "viewOnly": s.BOOLEAN,
    "person": s.obj({"id": s.UUID, "pseudonym": s.text(200), "name": s.text(200),
                     "company": s.text(200)}),
    "request": s.obj({"id": s.UUID, "version": s.integer(1), "ticketKey": s.text(80),
                      "purpose": s.text(500)}),
    "snapshotHash": s.HEX64, "approvals": s.array(s.HEX64, 64), "policyHash": s.HEX64,
    "ending": ENDING, "idleSeconds": s.integer(0, 86400),
    "browserHoldSeconds": s.integer(0, 3600),
    "recordingKeys": s.obj({"replay": RECORDING_KEY, "input": RECORDING_KEY,
                            "escrow": RECORDING_KEY}),
    "vnc": VNC, "rdp": RDP,
}, ("vnc", "rdp"))


def GRANT(value: Any, state: s.State) -> None:
    """Section 8, with exp > iat, vnc only and rdp exactly with that protocol, rdp pinned."""
    _GRANT(value, state)
    if state.bad:
        return
    if value["exp"] <= value["iat"] or ("vnc" in value and value["protocol"] != "vnc"):
        state.bad = True
    is_rdp = value["protocol"] == "rdp"
    if ("rdp" in value) != is_rdp or (is_rdp and not value["identities"]):
        state.bad = True


# Section 9.
EXTENSION = s.obj({"id": s.UUID, "session": s.UUID, "of": s.HEX64, "closesAt": s.INSTANT,
                   "reason": s.text(500)})
SNAPSHOT = s.obj({
    "v": s.ONE, "deployment": s.UUID,
    "request": s.obj({"id": s.UUID, "version": s.integer(1)}),
    "requester": s.obj({"id": s.UUID, "issuer": s.text(500), "subject": s.text(500),
                        "name": s.text(200),
                        "vendor": s.obj({"id": s.UUID, "name": s.text(200)})}),
    "site": SITE, "asset": ASSET, "endpoint": s.UUID, "protocol": s.one_of("ssh", "vnc", "rdp"),
    "account": s.text(64), "features": s.array(FEATURE, 2), "viewOnly": s.BOOLEAN,
    "purpose": s.text(500),
    "ticket": s.obj({"system": s.text(40), "key": s.text(80), "title": s.text(500, 0),
                     "hash": s.HEX64}),
    "window": s.obj({"opensAt": s.INSTANT, "closesAt": s.INSTANT}),
    "ending": ENDING, "extension": s.nullable(EXTENSION),
})
CONSTRAINTS = s.obj({
    "opensAt": s.INSTANT, "closesAt": s.INSTANT, "viewOnly": s.TRUE,
    "features": s.array(FEATURE, 2), "inputDuringGrace": s.TRUE,
}, ("opensAt", "closesAt", "viewOnly", "features", "inputDuringGrace"))
ASSERTION = s.obj({
    "credentialId": s.b64url(1023, 1), "authenticatorData": s.b64url(4096, 1),
    "clientDataJSON": s.b64url(8192, 1), "signature": s.b64url(1024, 1),
    "publicKey": s.b64url(2048, 1), "backupEligible": s.BOOLEAN, "backupState": s.BOOLEAN})
_APPROVAL = s.obj({
    "v": s.ONE, "id": s.UUID,
    "document": s.obj({
        "snapshot": SNAPSHOT, "constraints": CONSTRAINTS,
        "decision": s.one_of("granted", "declined", "withdrawn"), "meaning": s.text(2000),
        "nonce": s.b64url(32, 32)}),
    "approver": s.obj({"id": s.UUID, "issuer": s.text(500), "subject": s.text(500),
                       "name": s.text(200), "organisation": s.text(200),
                       "role": s.one_of(*ROLES)}),
    "method": s.one_of("passkey", "password-totp"), "assertion": s.nullable(ASSERTION),
    "at": s.INSTANT,
})


def APPROVAL(value: Any, state: s.State) -> None:
    """Section 9: assertion is null exactly when the method is password-totp."""
    _APPROVAL(value, state)
    if not state.bad and (value["assertion"] is None) != (value["method"] == "password-totp"):
        state.bad = True
