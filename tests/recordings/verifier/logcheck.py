"""Checks 4 (anchors), 5 (log) and 6 (witness)."""

import fields
import merkle
from canonical import parse_canonical, unb64u
from jws import valid_at
from notes import Note, NoteError, cosignature_time, signature_lines
from package import Unreadable
from schemas import strict


def log_keys(trust, index):
    return [unb64u(key["x"]) for key in trust["log"]["keys"] if valid_at(key, index)]


def hashes(path):
    return [bytes.fromhex(one) for one in path]


def note_faults(note, trust):
    """Codes of a parsed checkpoint's origin and signature."""
    found = []
    if note.size == 0:
        return ["checkpoint-malformed"]
    if note.origin != trust["log"]["origin"]:
        found.append("checkpoint-origin")
    if not note.signed_by_log(log_keys(trust, note.size - 1)):
        found.append("checkpoint-signature")
    return found


def read_checkpoint(package, report):
    """The checkpoint, or None with the reason reported in check 5."""
    try:
        data = package.read("audit/checkpoint")
        note = Note(data) if data is not None else None
        if note is not None and note.size > 0:
            return note
        code = "checkpoint-malformed" if data is not None else "package-file-missing"
    except NoteError:
        code = "checkpoint-malformed"
    except Unreadable as error:
        code = error.code
    report.fail("log", code, "audit/checkpoint")
    return None


def read_entries(package, note, report):
    """{index: entry} of the proven and readable entries; faults go to check 5."""
    entries, last = {}, -1
    for number, line in package.lines("audit/entries.ndjson", fields.ENTRY_LINE):
        place = f"entries.ndjson:{number}"
        if line is None:
            report.fail("log", "entry-malformed", place)
            continue
        index = line["index"]
        if index <= last:
            report.fail("log", "entry-order", place)
        last = max(last, index)
        try:
            raw = line["entry"].encode("utf-8")
            value, canonical = parse_canonical(raw)
        except ValueError:
            report.fail("log", "entry-malformed", place)
            continue
        fault = strict(fields.ENTRY, value)
        if fault or len(raw) > 65536:
            report.fail("log", "entry-unknown-field" if fault == "unknown" else "entry-malformed", place)
        elif not canonical:
            report.fail("log", "entry-not-canonical", place)
            fault = "canonical"
        proven = merkle.inclusion_ok(index, note.size, merkle.leaf_hash(raw), hashes(line["path"]), note.root)
        if not proven:
            report.fail("log", "entry-inclusion", place)
        if proven and not fault and len(raw) <= 65536:
            entries[index] = value
    return entries


def _session_entry(entries, index, action, ids, details):
    entry = entries.get(index)
    if entry is None:
        return "entry-missing"
    correlation = entry["correlation"]
    same = (
        entry["action"] == action and entry["result"] == "ok"
        and all(correlation[name] == value for name, value in ids.items())
        and all(entry["details"].get(name) == value for name, value in details.items())
    )
    return None if same else "entry-mismatch"


def check_log(package, note, trust, manifest, receipt, grant, report):
    """Check 5. Gives the entries for the other checks. The three JWS may be None."""
    fail = lambda code, place="": report.fail("log", code, place)
    if note is None:
        return {}
    for code in note_faults(note, trust):
        fail(code, "audit/checkpoint")
    entries = read_entries(package, note, report)
    if receipt and manifest:
        ids = {"session": manifest.payload["session"], "recording": manifest.payload["recording"]}
        first, last = receipt.payload["first_index"], receipt.payload["last_index"]
        code = _session_entry(entries, first, "session.start", ids, {"grant": grant.hash} if grant else {})
        if code:
            fail(code, f"index {first}")
        code = _session_entry(entries, last, "recording.manifest", ids, {"manifest": package.sha256("manifest.jws")})
        if code:
            fail(code, f"index {last}")
    earlier = _check_earlier(package, note, trust, fail)
    for text in trust["checkpoints"]:
        known = Note(text)
        if known.size == note.size:
            if known.root != note.root:
                fail("consistency-failed", f"known checkpoint of size {known.size}")
        elif known.size < note.size and known.size in earlier:
            if any(root != known.root for root in earlier[known.size]):
                fail("consistency-failed", f"known checkpoint of size {known.size}")
        else:
            report.note("log", f"known checkpoint of size {known.size} not compared")
    return entries


def _check_earlier(package, note, trust, fail):
    """{size: roots} of the earlier checkpoints whose proofs verify."""
    roots = {}
    for number, line in package.lines("audit/earlier.ndjson", fields.EARLIER_LINE):
        place = f"earlier.ndjson:{number}"
        try:
            old = Note(line["note"]) if line else None
        except NoteError:
            old = None
        if old is None or old.size == 0:
            fail("checkpoint-malformed", place)
            continue
        codes = note_faults(old, trust)
        if not merkle.consistency_ok(old.size, note.size, old.root, note.root, hashes(line["path"])):
            codes.append("consistency-failed")
        for code in codes:
            fail(code, place)
        roots.setdefault(old.size, []).append(old.root)
    return roots


def check_witness(package, note, trust, report):
    """Check 6."""
    if not trust["witnesses"] or not package.size("audit/cosignatures") or note is None:
        report.absent("witness", "witness-absent")
        return
    try:
        data = package.read("audit/cosignatures")
        lines = signature_lines(data.decode("utf-8"))
    except ValueError as error:
        report.fail("witness", "cosignature-malformed", str(error))
        return
    keys = {}
    for witness in trust["witnesses"]:
        keys.setdefault(witness["name"], []).append(unb64u(witness["x"]))
    good = False
    for name, key_id, blob in lines:
        if name not in keys:
            continue
        times = [cosignature_time(note.body, name, key_id, blob, key) for key in keys[name]]
        if all(time is None for time in times):
            report.fail("witness", "cosignature-invalid", name)
        else:
            good = True
            report.note("witness", f"cosigned by {name}")
    if not good:
        report.absent("witness", "witness-absent")


def read_anchors(package, report):
    """The anchor lines that parse, and whether there is any line at all."""
    lines, some = [], False
    for number, line in package.lines("audit/anchors.ndjson", fields.ANCHOR_LINE):
        some = True
        if line is None or number > 100000:
            report.fail("anchors", "anchor-malformed", f"anchors.ndjson:{number}")
        else:
            lines.append((number, line))
    return lines, some


def check_anchors(lines, some, entries, manifest, chain, report):
    """Check 4. `chain.heads` maps (stream, segment, seq) to (C, t1_ms) for every head that the lines name."""
    if not some:
        report.absent("anchors", "anchors-absent")
    anchored = {}
    for number, line in lines:
        place = f"anchors.ndjson:{number}"
        entry = entries.get(line["entry"])
        # The document gives another action no code of its own; the sample anchor-entry-missing takes it as missing.
        if entry is None or entry["action"] != "recording.anchor" or entry["result"] != "ok":
            report.fail("anchors", "anchor-entry-missing", place)
            continue
        leaf = merkle.anchor_leaf(
            manifest["recording"], line["stream"], line["segment"], line["seq"], bytes.fromhex(line["c"]))
        root = merkle.root_from_inclusion(line["index"], line["size"], merkle.leaf_hash(leaf), hashes(line["path"]))
        details = entry["details"]
        faults = []
        if not (
            entry["object"] == {"kind": "gateway", "id": manifest["gateway"]}
            and type(details.get("size")) is int and details["size"] == line["size"]
            and root is not None and details.get("root") == root.hex()
        ):
            faults.append("anchor-root")
        head = chain.heads.get((line["stream"], line["segment"], line["seq"]))
        if head is None:
            faults.append("anchor-head-missing")
        elif head[0].hex() != line["c"]:
            faults.append("anchor-head-mismatch")
        for code in faults:
            report.fail("anchors", code, place)
        if not faults:
            anchored[line["stream"]] = max(anchored.get(line["stream"], 0), head[1])
    tails = [last - anchored.get(stream, 0) for stream, last in chain.last_t1.items()]
    report.facts["unanchored_tail_ms"] = max(tails, default=0)
