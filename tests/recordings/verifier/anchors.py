"""Check 4: anchored chain heads (sections 11 and 16)."""
from typing import Dict, List, NamedTuple, Optional, Tuple

import merkle
from chain import Observer
from context import Context
from formats_log import ANCHOR_LINE
from segments import Frame, SegmentReader

NAME = "audit/anchors.ndjson"


class Head(NamedTuple):
    """A head that an anchor line names."""

    line: int
    c: bytes
    good: bool


class AnchorCheck(Observer):
    """Reads the lines first, then meets the frames they name."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.check = ctx.report["anchors"]
        self.wanted: Dict[Tuple[str, int], Dict[int, List[Head]]] = {}
        self.current: Dict[int, List[Head]] = {}
        self.last: Dict[str, int] = {}
        self.anchored: Dict[str, int] = {}
        self.count = 0

    def read(self) -> None:
        """All lines, each with its proof."""
        if not self.ctx.package.has(NAME):
            return
        for number, line in self.ctx.package.objects(NAME, ANCHOR_LINE):
            self.count += 1
            if line is None:
                self.check.fail("anchor-malformed", "%s:%d" % (NAME, number))
                continue
            head = Head(number, bytes.fromhex(line["c"]), self._proven(number, line))
            segment = self.wanted.setdefault((line["stream"], line["segment"]), {})
            segment.setdefault(line["seq"], []).append(head)

    def _proven(self, number: int, line: dict) -> bool:
        """The entry and the proof that leads to its root."""
        where = "%s:%d" % (NAME, number)
        entry = self.ctx.log.at.get(line["entry"])
        if entry is None or entry["action"] != "recording.anchor" or not entry["ok"]:
            self.check.fail("anchor-entry-missing", where)
            return False
        manifest = self.ctx.manifest
        leaf = merkle.anchor_leaf(manifest["recording"], line["stream"], line["segment"],
                                  line["seq"], bytes.fromhex(line["c"]))
        root = merkle.root_from_inclusion(leaf, line["index"], line["size"], line["path"])
        details = entry["details"]
        good = (entry["object"] == {"kind": "gateway", "id": manifest["gateway"]}
                and type(details.get("size")) is int and details["size"] == line["size"]
                and root is not None and details.get("root") == root.hex())
        if not good:
            self.check.fail("anchor-root", where)
        return good

    def begin(self, item: dict, reader: Optional[SegmentReader]) -> None:
        self.current = self.wanted.get((item["stream"], item["number"]), {})

    def frame(self, item: dict, reader: SegmentReader, frame: Frame, before: bytes) -> None:
        self.last[item["stream"]] = frame.t1_ms
        for head in self.current.pop(frame.seq, ()):
            if head.c != frame.stored:
                self.check.fail("anchor-head-mismatch", "%s:%d" % (NAME, head.line))
            elif head.good:
                self.anchored[item["stream"]] = frame.t1_ms

    def finish(self) -> None:
        """Heads that the chain does not have, and the unanchored tail."""
        for segment in self.wanted.values():
            for heads in segment.values():
                for head in heads:
                    self.check.fail("anchor-head-missing", "%s:%d" % (NAME, head.line))
        if not self.count:
            self.check.absent("anchors-absent")
        tail = [self.last[stream] - self.anchored.get(stream, 0) for stream in self.last]
        self.ctx.report.note("unanchored tail: %d ms" % max(tail, default=0))
