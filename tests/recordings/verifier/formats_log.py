"""The schemas of sections 3 (header line), 12, 14, 15 and 19 (facts)."""
from typing import Any

import schemas as s
from formats import STREAM

# Section 3, the first line.
CAST_HEADER = s.obj({
    "version": s.test(lambda value: type(value) is int and value == 2),
    "width": s.integer(1, 10000), "height": s.integer(1, 10000), "timestamp": s.U32,
    "title": s.text(500),
    "sallyport": s.obj({
        "v": s.ONE, "recording": s.UUID, "stream": STREAM, "segment": s.U32,
        "person": s.obj({"name": s.text(200), "company": s.text(200)}),
        "asset": s.text(200), "site": s.text(200)}),
}, ("timestamp", "title"))

# Section 19, the first message.
DESKTOP_FACTS = s.obj({
    "v": s.ONE, "recording": s.UUID, "stream": STREAM, "segment": s.U32, "timestamp": s.U32,
    "person": s.obj({"name": s.text(200), "company": s.text(200)}),
    "asset": s.text(200), "site": s.text(200)})

# Section 12.
_DETAIL_KEY = s.pattern(r"[a-z][A-Za-z0-9_]{0,63}")
_SIGNED_INT = s.integer(-(2 ** 53 - 1))
_LONG_TEXT = s.text(4096, 0)
_SHORT_TEXT = s.text(512, 0)


def _details(value: Any, state: s.State) -> None:
    """Section 12: the flat object `details`."""
    if type(value) is not dict:
        state.bad = True
        return
    for key, item in value.items():
        _DETAIL_KEY(key, state)
        if item is None or type(item) is bool:
            continue
        if type(item) is int:
            _SIGNED_INT(item, state)
        elif type(item) is list:
            if len(item) > 256:
                state.bad = True
            for element in item:
                (_SIGNED_INT if type(element) is int else _SHORT_TEXT)(element, state)
        else:
            _LONG_TEXT(item, state)


def _maybe(most: int) -> s.Schema:
    return s.nullable(s.text(most, 0))


_ENTRY = s.obj({
    "v": s.ONE, "id": s.UUID, "type": s.pattern(r"[a-z][a-z0-9-]{0,39}"),
    "action": s.pattern(r"[a-z][a-z0-9-]{0,39}(\.[a-z][a-z0-9-]{0,39}){1,3}"),
    "actor": s.obj({
        "kind": s.one_of("person", "gateway", "broker", "system", "anonymous"),
        "id": s.text(200), "name": _maybe(200), "organisation": _maybe(200)}),
    "authentication": s.nullable(s.obj({
        "method": s.text(40), "credential": _maybe(1364), "at": s.INSTANT})),
    "source": _maybe(64),
    "object": s.nullable(s.obj({"kind": s.text(40), "id": s.text(200)})),
    "result": s.one_of("ok", "denied", "failed"), "reason": _maybe(2000),
    "before": s.nullable(s.HEX64), "after": s.nullable(s.HEX64),
    "correlation": s.obj({
        "request": _maybe(200), "grant": s.nullable(s.UUID), "session": s.nullable(s.UUID),
        "recording": s.nullable(s.UUID), "ticket": _maybe(200)}),
    "time": s.INSTANT, "clock": s.one_of("ok", "suspect", "unknown"), "node": s.text(200),
    "boot": s.UUID, "policy": s.nullable(s.HEX64), "details": _details,
})


def ENTRY(value: Any, state: s.State) -> None:
    """Section 12: type is the part of action before its first dot."""
    _ENTRY(value, state)
    if not state.bad and value["type"] != value["action"].split(".", 1)[0]:
        state.bad = True


# Section 14.
_K = s.b64url(32, 32)
TRUST = s.obj({
    "v": s.ONE, "deployment": s.UUID,
    "rp": s.obj({"id": s.text(253), "origins": s.array(s.text(300), 16, 1)}),
    "log": s.obj({"origin": s.text(200), "keys": s.array(s.obj({
        "x": _K, "from_index": s.INT, "to_index": s.nullable(s.INT)}), 64, 1)}),
    "keys": s.array(s.obj({
        "kid": s.text(200), "use": s.one_of("broker", "gateway"),
        "gateway": s.nullable(s.UUID), "x": _K, "from_index": s.INT,
        "to_index": s.nullable(s.INT)}), 10000),
    "witnesses": s.array(s.obj({"name": s.text(200), "x": _K}), 16),
    "checkpoints": s.array(s.text(65536), 64),
})

# Section 15.
ENTRY_LINE = s.obj({"index": s.INT, "entry": s.text(65536), "path": s.array(s.HEX64, 64)})
ANCHOR_LINE = s.obj({
    "entry": s.INT, "stream": STREAM, "segment": s.U32, "seq": s.U32, "c": s.HEX64,
    "index": s.INT, "size": s.INT, "path": s.array(s.HEX64, 64)})
EARLIER_LINE = s.obj({"note": s.text(65536), "path": s.array(s.HEX64, 128)})
CUSTODY_LINE = s.obj({"v": s.ONE, "at": s.INSTANT, "event": s.text(60), "by": s.text(300),
                      "note": s.nullable(s.text(1000))})
PACKAGE = s.obj({
    "v": s.ONE, "deployment": s.UUID, "recording": s.UUID, "session": s.UUID,
    "purpose": s.text(1000),
    "recipient": s.obj({"name": s.text(200), "kid": s.nullable(s.text(200))}),
    "created_at_ms": s.INT,
    "files": s.array(s.obj({"path": s.text(200), "bytes": s.INT, "sha256": s.HEX64}), 50000),
})
