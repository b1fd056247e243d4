"""The audit log's part of a package: checkpoint and proven entries (sections 12, 13)."""
from typing import Dict, List, NamedTuple, Optional, Tuple

import merkle
import notes
import schemas as s
from context import Context
from formats_log import ENTRY, ENTRY_LINE

MAX_ENTRY = 65536


class Extend(NamedTuple):
    """A `session.extend` entry with result ok."""

    index: int
    session: Optional[str]
    recording: Optional[str]
    grant: object
    serial: object


class Log:
    """Checkpoint (its size, root and body when it could be read) and the checked entries.

    Of the entries only what section 12's second table names is kept.
    """

    def __init__(self) -> None:
        self.note: Optional[notes.Checkpoint] = None
        self.size: Optional[int] = None
        self.root: Optional[bytes] = None
        self.at: Dict[int, dict] = {}             # entries of interest by index
        self.extends: List[Extend] = []
        self.manifests: List[Tuple[int, Optional[str], object]] = []  # index, recording, hash
        self.granted: Dict[str, dict] = {}        # first approval.granted of each approval


def read_checkpoint(ctx: Context) -> None:
    """Check 5, first part. Without size and root no entry can be proven."""
    check, log = ctx.report["log"], ctx.log
    raw = ctx.read_file("audit/checkpoint", check)
    if raw is None:
        return
    try:
        note = notes.parse(raw.decode("utf-8"))
    except UnicodeDecodeError:
        note = None
    if note is None or note.size == 0:
        check.fail("checkpoint-malformed", "audit/checkpoint")
        return
    log.note, log.size, log.root = note, note.size, note.root
    judge_note(ctx, note, "audit/checkpoint")


def judge_note(ctx: Context, note: notes.Checkpoint, where: str) -> None:
    """Origin and signature of a checkpoint."""
    check = ctx.report["log"]
    if note.origin != ctx.trust.origin:
        check.fail("checkpoint-origin", where)
    if not ctx.trust.signs(note):
        check.fail("checkpoint-signature", where)


def _summary(entry: dict) -> dict:
    """The parts of an entry that a verifier reads."""
    details = entry["details"]
    authentication = entry["authentication"] or {}
    return {
        "action": entry["action"], "ok": entry["result"] == "ok",
        "session": entry["correlation"]["session"],
        "recording": entry["correlation"]["recording"], "object": entry["object"],
        "actor": (entry["actor"]["kind"], entry["actor"]["id"]),
        "credential": authentication.get("credential"),
        "details": {name: details[name] for name in
                    ("grant", "serial", "manifest", "approval", "key", "root", "size")
                    if name in details},
    }


def read_entries(ctx: Context) -> None:
    """Check 5, second part: audit/entries.ndjson."""
    check, log = ctx.report["log"], ctx.log
    name = "audit/entries.ndjson"
    if log.size is None:
        return
    if not ctx.package.has(name):
        check.fail("package-file-missing", name)
        return
    receipt = ctx.receipt or {}
    wanted = {receipt.get("first_index"), receipt.get("last_index")}
    last = -1
    for number, line in ctx.package.objects(name, ENTRY_LINE):
        where = "%s:%d" % (name, number)
        if line is None:
            check.fail("entry-malformed", where)
            continue
        index, raw = line["index"], line["entry"].encode("utf-8")
        if index <= last:
            check.fail("entry-order", where)
        last = index
        proven = merkle.root_from_inclusion(raw, index, log.size, line["path"]) == log.root
        if not proven:
            check.fail("entry-inclusion", where)
        entry, wrong = (None, s.MALFORMED) if len(raw) > MAX_ENTRY else s.read(
            line["entry"], ENTRY, canonical=True)
        if wrong:
            check.fail("entry-" + wrong, where)
        elif proven:
            _keep(log, index, entry, index in wanted)


def _keep(log: Log, index: int, entry: dict, wanted: bool) -> None:
    """Remember an entry when some check reads it."""
    action, details = entry["action"], entry["details"]
    if wanted or action == "recording.anchor":
        log.at[index] = _summary(entry)
    if entry["result"] != "ok":
        return
    if action == "session.extend":
        log.extends.append(Extend(index, entry["correlation"]["session"],
                                  entry["correlation"]["recording"],
                                  details.get("grant"), details.get("serial")))
    elif action == "recording.manifest":
        log.manifests.append((index, entry["correlation"]["recording"], details.get("manifest")))
    elif action == "approval.granted" and type(details.get("approval")) is str:
        log.granted.setdefault(details["approval"], _summary(entry))
