"""Checks 5 and 6: session entries, earlier checkpoints, witnesses (section 16)."""
from typing import Dict, List, Optional, Tuple

import merkle
import notes
from context import Context
from formats_log import EARLIER_LINE
from log import judge_note


def check_session_entries(ctx: Context) -> None:
    """Check 5: the entries at first_index and last_index."""
    if ctx.receipt is None or ctx.manifest_jws is None:
        return
    start = {"grant": ctx.opening.jws.hash} if ctx.opening else {}
    _compare(ctx, ctx.receipt["first_index"], "session.start", start)
    end = {"manifest": ctx.manifest_jws.hash}
    _compare(ctx, ctx.receipt["last_index"], "recording.manifest", end)
    for index, recording, manifest in ctx.log.manifests:
        if (index > ctx.receipt["last_index"] and recording == ctx.manifest["recording"]
                and manifest != ctx.manifest_jws.hash):
            ctx.report["log"].fail("manifest-superseded", "entry %d" % index)


def _compare(ctx: Context, index: int, action: str, details: Dict[str, str]) -> None:
    check, where = ctx.report["log"], "entry %d (%s)" % (index, action)
    entry = ctx.log.at.get(index)
    if entry is None:
        check.fail("entry-missing", where)
        return
    ids = ctx.manifest
    same = (entry["ok"] and entry["action"] == action
            and entry["session"] == ids["session"] and entry["recording"] == ids["recording"]
            and all(entry["details"].get(name) == value for name, value in details.items()))
    if not same:
        check.fail("entry-mismatch", where)


def check_checkpoints(ctx: Context) -> None:
    """Check 5: earlier checkpoints, and those that the auditor kept."""
    earlier = _read_earlier(ctx)
    check, log = ctx.report["log"], ctx.log
    if log.size is None:
        return
    for known in ctx.trust.checkpoints:
        where = "known checkpoint of size %d" % known.size
        if known.size == log.size:
            if known.root != log.root:
                check.fail("consistency-failed", where)
            continue
        roots = [root for size, root in earlier if size == known.size]
        if any(root != known.root for root in roots):
            check.fail("consistency-failed", where)
        elif not roots:
            ctx.report.note("not compared: " + where)
            check.absent("checkpoint-not-compared", where)


def _read_earlier(ctx: Context) -> List[Tuple[int, bytes]]:
    """Size and root of each earlier checkpoint that parses."""
    check, log, name = ctx.report["log"], ctx.log, "audit/earlier.ndjson"
    found: List[Tuple[int, bytes]] = []
    if not ctx.package.has(name):
        return found
    for number, line in ctx.package.objects(name, EARLIER_LINE):
        where = "%s:%d" % (name, number)
        note: Optional[notes.Checkpoint] = notes.parse(line["note"]) if line else None
        if note is None or note.size == 0:
            check.fail("checkpoint-malformed", where)
            continue
        judge_note(ctx, note, where)
        if log.size is None:
            continue
        if merkle.consistent(note.size, note.root, log.size, log.root, line["path"]):
            found.append((note.size, note.root))
        else:
            check.fail("consistency-failed", where)
    return found


def check_witness(ctx: Context) -> None:
    """Check 6."""
    check, name = ctx.report["witness"], "audit/cosignatures"
    if not ctx.trust.witnesses or ctx.log.note is None or not ctx.package.has(name) \
            or ctx.package.size(name) == 0:
        check.absent("witness-absent")
    elif not ctx.package.readable(name):
        check.fail("package-unreadable", name)
    else:
        _judge_lines(ctx, ctx.package.read(name))
    if check.status != "passed":
        ctx.report.note("no trusted witness cosigned: whoever holds both the database and "
                        "the log key could have rewritten history")


def _judge_lines(ctx: Context, raw: bytes) -> None:
    check, name = ctx.report["witness"], "audit/cosignatures"
    try:
        lines = notes.parse_lines(raw.decode("utf-8"))
    except UnicodeDecodeError:
        lines = None
    if lines is None:
        check.fail("cosignature-malformed", name)
        return
    trusted = 0
    for line in lines:
        keys = [key for witness, key in ctx.trust.witnesses if witness == line.name]
        if not keys:
            continue
        if any(notes.cosigned(ctx.log.note, line, key) for key in keys):
            trusted += 1
            ctx.report.note("cosigned by " + line.name)
        else:
            check.fail("cosignature-invalid", line.name)
    if not trusted:
        check.absent("witness-absent")
