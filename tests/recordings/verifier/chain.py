"""Check 3: the segments against the manifest, one pass for all observers (section 16)."""
from typing import Any, Dict, List, Optional, Set, Tuple

from context import Context
from segments import Frame, SegmentReader

SAME = ("grant", "policy", "asset", "target", "user", "account", "media")


class Observer:
    """Sees each segment of the manifest once: its header and its verified frames."""

    def begin(self, item: dict, reader: Optional[SegmentReader]) -> None:
        """A segment; reader is None when its file is missing or unreadable."""

    def frame(self, item: dict, reader: SegmentReader, frame: Frame, before: bytes) -> None:
        """A verified frame; before is the C that it continues."""

    def end(self, item: dict) -> None:
        """No more frames of this segment."""


def segment_name(stream: str, number: int) -> str:
    """Name of a segment file (section 15)."""
    return "segments/%s-%d.spr" % (stream, number)


def open_segment(ctx: Context, item: dict) -> Optional[SegmentReader]:
    """A reader over the first `bytes` bytes, its header read; None without a whole file."""
    name = segment_name(item["stream"], item["number"])
    if not ctx.package.readable(name):
        return None
    reader = SegmentReader(ctx.package.slice(name, item["bytes"]), bytes.fromhex(item["last_c"]))
    reader.open()
    return reader


def find_headers(ctx: Context) -> Tuple[Optional[dict], Optional[dict]]:
    """The first readable header in the manifest's order, and that of screen segment 0."""
    first = screen = None
    for item in ctx.manifest["segments"]:
        is_screen = item["stream"] == "screen" and item["number"] == 0
        if first is not None and (screen is not None or not is_screen):
            continue
        reader = open_segment(ctx, item)
        header = reader.header if reader else None
        if header is not None:
            first = first or header
            if is_screen and screen is None:
                screen = header
    return first, screen


class ChainCheck:
    """Check 3, driving the observers of checks 4, 7, 9 and 10."""

    def __init__(self, ctx: Context, observers: List[Observer]) -> None:
        self.ctx = ctx
        self.check = ctx.report["chain"]
        self.observers = observers
        self.common: Optional[Dict[str, Any]] = None
        self.before: Dict[str, Optional[str]] = {"screen": None, "input": None}
        self.last_t1: Dict[str, Optional[int]] = {"screen": None, "input": None}

    def run(self) -> None:
        """All segments in the manifest's order."""
        self._check_list()
        seen: Set[Tuple[str, int]] = set()
        for item in self.ctx.manifest["segments"]:
            name = (item["stream"], item["number"])
            if name not in seen:        # a file listed twice is segment-number, read once
                seen.add(name)
                self._segment(item)
        for stream, number in self.ctx.package.segments():
            if (stream, number) not in seen:
                self.check.fail("segment-undeclared", segment_name(stream, number))

    def _check_list(self) -> None:
        """What the manifest alone shows."""
        manifest, check = self.ctx.manifest, self.check
        order = [(item["stream"] == "input", item["number"]) for item in manifest["segments"]]
        if any(after <= before for before, after in zip(order, order[1:])):
            check.fail("segment-number", "the list is not sorted")
        for stream in ("screen", "input"):
            items = [item for item in manifest["segments"] if item["stream"] == stream]
            numbers = [item["number"] for item in items + manifest["discarded"]
                       if item["stream"] == stream]
            if sorted(numbers) != list(range(len(numbers))):
                check.fail("segment-number", stream)
            if stream == "screen" and not items:
                check.fail("segment-missing", "no screen segment")
            if manifest["ended"] == "clean" and items and not items[-1]["final"]:
                check.fail("final-missing", "last segment of " + stream)
        for item in manifest["segments"]:
            if item["final"] and item["torn_bytes"]:
                check.fail("segment-torn", segment_name(item["stream"], item["number"]))

    def _segment(self, item: dict) -> None:
        name = segment_name(item["stream"], item["number"])
        if not self.ctx.package.has(name):
            self.check.fail("segment-missing", name)
        elif not self.ctx.package.readable(name):
            self.check.fail("package-unreadable", name)
        elif self.ctx.package.size(name) != item["bytes"] + item["torn_bytes"]:
            self.check.fail("segment-length", name)
        reader = open_segment(self.ctx, item)
        for observer in self.observers:
            observer.begin(item, reader)
        if reader is not None:
            self._walk(item, reader, name)
        for observer in self.observers:
            observer.end(item)
        self.before[item["stream"]] = item["last_c"]

    def _walk(self, item: dict, reader: SegmentReader, name: str) -> None:
        if reader.header is not None:
            self._header(item, reader, name)
        before = reader.hh
        stream = item["stream"]
        earlier = self.last_t1[stream]
        for frame in reader.frames():
            if frame.seq == 0 and earlier is not None and frame.t1_ms < earlier:
                self.check.fail("frame-time", name + " begins before the segment before it ends")
            for observer in self.observers:
                observer.frame(item, reader, frame, before)
            before = frame.stored
        if reader.last_t1 is not None:
            self.last_t1[stream] = reader.last_t1
        if reader.fault:
            self.check.fail(reader.fault, "%s after %d frames" % (name, reader.chunks))
            return
        if reader.cut:
            self.check.fail("segment-cut", "%s after %d frames" % (name, reader.chunks))
        if self.ctx.package.digest_of(name, item["bytes"]) != item["sha256"]:
            self.check.fail("segment-hash", name)
        if reader.header is None:
            return
        if reader.chunks != item["chunks"]:
            self.check.fail("segment-chunks", name)
        if reader.last_c.hex() != item["last_c"]:
            self.check.fail("segment-last-chain", name)
        if reader.ends_final != item["final"]:
            self.check.fail("final-missing", name)

    def _header(self, item: dict, reader: SegmentReader, name: str) -> None:
        """Comparisons of the header: with the manifest, with the other segments, the link."""
        manifest, header = self.ctx.manifest, reader.header
        if reader.hh.hex() != item["hh"]:
            self.check.fail("segment-header-hash", name)
        own = [header[field] for field in ("deployment", "site", "recording", "session")]
        own += [header["gateway"]["id"], header["stream"], header["segment"]]
        wanted = [manifest[field] for field in ("deployment", "site", "recording", "session",
                                                "gateway")]
        if own != wanted + [item["stream"], item["number"]]:
            self.check.fail("segment-foreign", name)
        common = {field: header[field] for field in SAME}
        if self.common is None:
            self.common = common
        for field in SAME:
            if common[field] != self.common[field]:
                self.check.fail("segment-inconsistent", "%s: %s" % (name, field))
        if header["prev"] != self.before[item["stream"]]:
            self.check.fail("segment-link", name)
