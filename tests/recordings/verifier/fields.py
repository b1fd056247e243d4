"""The schemas of the format document: header, JWS payloads, approval record, audit entry, package lines, trust."""

from schemas import (
    INT, KEY32, ONE, STREAM, U32, array, base64url, boolean, either, hex64, instant, integer, null_or, obj, one_of,
    pattern, text, text0, uuid, need, is_int, SAFE,
)

FEATURE = one_of("clipboard-copy", "clipboard-paste")
FEATURES = array(FEATURE, 2)
ROLE = one_of("vendor", "approver", "operator", "auditor", "administrator")
CRITICALITY = one_of("C1", "C2", "C3", "C4")

# section 2
_TARGETS = {
    "ssh-host-key": obj({"kind": text(20), "algorithm": text(64), "fingerprint": text(128)}),
    "certificate": obj({"kind": text(20), "fingerprint": hex64}),
    "none": obj({"kind": text(20)}),
}
HEADER = obj({
    "v": ONE, "deployment": uuid, "site": uuid, "recording": uuid, "session": uuid, "stream": STREAM, "segment": U32,
    "prev": null_or(hex64), "grant": hex64, "policy": hex64, "asset": hex64,
    "target": either(lambda v: _TARGETS.get(v.get("kind")) if isinstance(v.get("kind"), str) else None),
    "user": text(200), "account": text(64),
    "gateway": obj({"id": uuid, "version": text(40), "boot": uuid}),
    "clock": obj({"wall_ms": INT, "t_ms": INT, "source": text(40), "offset_ms": null_or(integer(-SAFE, SAFE))}),
    "media": one_of("asciicast-v2"), "sampling_ms": integer(0, 100), "dek_commitment": hex64,
    "key_object": pattern("[A-Za-z0-9][A-Za-z0-9/._-]{0,199}"),
})

# section 3
CAST_HEADER = obj({
    "version": one_of(2), "width": integer(1, 10000), "height": integer(1, 10000), "timestamp": U32,
    "title": text(500),
    "sallyport": obj({
        "v": ONE, "recording": uuid, "stream": STREAM, "segment": U32,
        "person": obj({"name": text(200), "company": text(200)}), "asset": text(200), "site": text(200),
    }),
}, optional=("timestamp", "title"))

# section 4
_EPK = either(lambda v: obj({"kty": one_of("EC"), "crv": one_of("P-256"), "x": KEY32, "y": KEY32})
              if v.get("kty") == "EC" else obj({"kty": one_of("OKP"), "crv": one_of("X25519"), "x": KEY32}))
WRAP = obj({
    "protected": one_of("eyJlbmMiOiJBMjU2R0NNIn0"), "aad": base64url(1, 256), "iv": base64url(12),
    "ciphertext": base64url(32), "tag": base64url(16),
    "recipients": array(obj({
        "encrypted_key": base64url(40),
        "header": obj({"alg": one_of("ECDH-ES+A256KW"), "kid": text(200), "epk": _EPK}),
    }), 8, 1),
})

# section 5
JWS_HEADER = obj({"alg": one_of("Ed25519"), "typ": text(80), "kid": text(200)})

# section 6
ENDS = (
    "vendor-left window-closed approval-withdrawn ticket-closed operator-stopped site-locked idle open-failed "
    "target-identity-changed protocol-violation decoder-failed recording-failed asset-lost browser-lost "
    "identity-revoked lease-lost gateway-stopped"
).split()
MANIFEST = obj({
    "v": ONE, "deployment": uuid, "site": uuid, "gateway": uuid, "recording": uuid, "session": uuid,
    "ended": one_of("clean", "recovered"), "supersedes": null_or(hex64), "session_end": one_of(*ENDS),
    "signed_at_ms": INT,
    "segments": array(obj({
        "stream": STREAM, "number": U32, "bytes": INT, "sha256": hex64, "hh": hex64, "last_c": hex64, "chunks": U32,
        "final": boolean, "torn_bytes": INT,
    }), 20000),
    "gaps": array(obj({"stream": STREAM, "segment": U32, "seq": U32, "t0_ms": INT, "t1_ms": INT,
                       "reason": text(200)}), 20000),
    "discarded": array(obj({"stream": STREAM, "number": U32, "bytes": INT}), 64),
    "hashes": obj({
        "grants": array(hex64, 256, 1), "approvals": array(hex64, 256), "ticket": null_or(hex64),
        "files": array(obj({"name": text(500), "bytes": INT, "sha256": hex64}), 1000),
    }),
})

# section 7
RECEIPT = obj({"v": ONE, "deployment": uuid, "recording": uuid, "session": uuid, "manifest": hex64,
               "first_index": INT, "last_index": INT, "signed_at_ms": INT})

# section 8
_SHORT_KEY = base64url(1, 32)
_OKP = obj({"kty": one_of("OKP"), "crv": one_of("X25519", "Ed25519"), "x": _SHORT_KEY, "kid": text(200)})
_EC = obj({"kty": one_of("EC"), "crv": one_of("P-256"), "x": _SHORT_KEY, "y": _SHORT_KEY, "kid": text(200)})
_RECORDING_KEY = either(lambda v: _EC if v.get("kty") == "EC" else _OKP)
SITE = obj({"id": uuid, "name": text(200), "timeZone": text(64)})
ASSET = obj({"id": uuid, "name": text(200), "criticality": CRITICALITY, "hash": hex64})
ENDING = obj({"mode": one_of("operator-confirm", "grace", "cut"), "holdSeconds": integer(0, 1800),
              "inputDuringGrace": boolean})
_GRANT = obj({
    "v": ONE, "jti": uuid, "serial": integer(1, 10000), "iat": INT, "exp": INT, "deployment": uuid, "session": uuid,
    "recording": uuid, "gateway": uuid, "endpoint": uuid, "site": SITE, "asset": ASSET, "protocol": one_of("ssh"),
    "address": obj({"host": text(255), "port": integer(1, 65535)}),
    "identities": array(obj({"algorithm": text(64), "fingerprint": text(128)}), 16),
    "account": text(64), "features": FEATURES, "viewOnly": boolean,
    "person": obj({"id": uuid, "pseudonym": text(200), "name": text(200), "company": text(200)}),
    "request": obj({"id": uuid, "version": integer(1, SAFE), "ticketKey": text(80), "purpose": text(500)}),
    "snapshotHash": hex64, "approvals": array(hex64, 64), "policyHash": hex64, "ending": ENDING,
    "idleSeconds": integer(0, 86400), "browserHoldSeconds": integer(0, 3600),
    "recordingKeys": obj({"replay": _RECORDING_KEY, "input": _RECORDING_KEY, "escrow": _RECORDING_KEY}),
})


def GRANT(value, place=""):
    _GRANT(value, place)
    need(value["exp"] > value["iat"], place + "exp", "after iat")


# section 9
_EXTENSION = obj({"id": uuid, "session": uuid, "of": hex64, "closesAt": instant, "reason": text(500)})
SNAPSHOT = obj({
    "v": ONE, "deployment": uuid, "request": obj({"id": uuid, "version": integer(1, SAFE)}),
    "requester": obj({"id": uuid, "issuer": text(500), "subject": text(500), "name": text(200),
                      "vendor": obj({"id": uuid, "name": text(200)})}),
    "site": SITE, "asset": ASSET, "endpoint": uuid, "protocol": one_of("ssh"), "account": text(64),
    "features": FEATURES, "viewOnly": boolean, "purpose": text(500),
    "ticket": obj({"system": text(40), "key": text(80), "title": text0(500), "hash": hex64}),
    "window": obj({"opensAt": instant, "closesAt": instant}), "ending": ENDING, "extension": null_or(_EXTENSION),
})
_K = {"opensAt": instant, "closesAt": instant, "viewOnly": one_of(True), "features": FEATURES,
      "inputDuringGrace": one_of(True)}
_APPROVAL = obj({
    "v": ONE, "id": uuid,
    "document": obj({"snapshot": SNAPSHOT, "constraints": obj(_K, optional=tuple(_K)),
                     "decision": one_of("granted", "declined", "withdrawn"), "meaning": text(2000), "nonce": KEY32}),
    "approver": obj({"id": uuid, "issuer": text(500), "subject": text(500), "name": text(200),
                     "organisation": text(200),
                     "role": ROLE}),
    "method": one_of("passkey", "password-totp"),
    "assertion": null_or(obj({
        "credentialId": base64url(1, 1023), "authenticatorData": base64url(1, 4096),
        "clientDataJSON": base64url(1, 8192), "signature": base64url(1, 1024), "publicKey": base64url(1, 2048),
        "backupEligible": boolean, "backupState": boolean,
    })),
    "at": instant,
})


def APPROVAL(value, place=""):
    _APPROVAL(value, place)
    need((value["assertion"] is None) == (value["method"] == "password-totp"), "assertion", "null with a password")


# section 12
_ACTION = r"[a-z][a-z0-9-]{0,39}(\.[a-z][a-z0-9-]{0,39}){1,3}"
_DETAIL_KEY = pattern("[a-z][A-Za-z0-9_]{0,63}")
_WHOLE = integer(-SAFE, SAFE)
_SHORT, _LONG = text0(512), text0(4096)


def _details(value, place=""):
    need(isinstance(value, dict), place, "an object")
    for name, item in value.items():
        _DETAIL_KEY(name, place)
        if isinstance(item, str):
            _LONG(item, place)
        elif isinstance(item, list):
            need(len(item) <= 256, place, "at most 256 elements")
            for element in item:
                (_SHORT if isinstance(element, str) else _WHOLE)(element, place)
        elif is_int(item):
            _WHOLE(item, place)
        else:
            need(item is None or isinstance(item, bool), place, "a simple value")


_ENTRY = obj({
    "v": ONE, "id": uuid, "type": pattern("[a-z][a-z0-9-]{0,39}"), "action": pattern(_ACTION),
    "actor": obj({"kind": one_of("person", "gateway", "broker", "system", "anonymous"), "id": text(200),
                  "name": null_or(text0(200)), "organisation": null_or(text0(200))}),
    "authentication": null_or(obj({"method": text(40), "credential": null_or(text0(1024)), "at": instant})),
    "source": null_or(text0(64)), "object": null_or(obj({"kind": text(40), "id": text(200)})),
    "result": one_of("ok", "denied", "failed"), "reason": null_or(text0(2000)), "before": null_or(hex64),
    "after": null_or(hex64),
    "correlation": obj({"request": null_or(text0(200)), "grant": null_or(uuid), "session": null_or(uuid),
                        "recording": null_or(uuid), "ticket": null_or(text0(200))}),
    "time": instant, "clock": one_of("ok", "suspect", "unknown"), "node": text(200), "boot": uuid,
    "policy": null_or(hex64), "details": _details,
})


def ENTRY(value, place=""):
    _ENTRY(value, place)
    need(value["type"] == value["action"].split(".")[0], "type", "the first part of action")


# section 14
_RANGE = {"x": KEY32, "from_index": INT, "to_index": null_or(INT)}
TRUST = obj({
    "v": ONE, "deployment": uuid, "rp": obj({"id": text(253), "origins": array(text(300), 16, 1)}),
    "log": obj({"origin": text(200), "keys": array(obj(_RANGE), 64, 1)}),
    "keys": array(obj({"kid": text(200), "use": one_of("broker", "gateway"), "gateway": null_or(uuid), **_RANGE}),
                  10000),
    "witnesses": array(obj({"name": text(200), "x": KEY32}), 16), "checkpoints": array(text(65536), 64),
})

# section 15
PACKAGE = obj({
    "v": ONE, "deployment": uuid, "recording": uuid, "session": uuid, "purpose": text(1000),
    "recipient": obj({"name": text(200), "kid": null_or(text(200))}), "created_at_ms": INT,
    "files": array(obj({"path": text(200), "bytes": INT, "sha256": hex64}), 50000),
})
ENTRY_LINE = obj({"index": INT, "entry": text(65536), "path": array(hex64, 64)})
ANCHOR_LINE = obj({"entry": INT, "stream": STREAM, "segment": U32, "seq": U32, "c": hex64, "index": INT, "size": INT,
                   "path": array(hex64, 64)})
EARLIER_LINE = obj({"note": text(65536), "path": array(hex64, 128)})
CUSTODY_LINE = obj({"v": ONE, "at": instant, "event": text(60), "by": text(300), "note": null_or(text(1000))})
