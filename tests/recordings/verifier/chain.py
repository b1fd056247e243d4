"""Checks 3 (chain), 7 (content) and 10 (gaps): one pass over the segment files."""

import hashlib

import jwe
from content import Cast, ContentError
from package import ZIP_ERRORS, Unreadable
from segments import GAP, HeaderError, Segment, SegmentError

IDENTITY = (("deployment", "deployment"), ("site", "site"), ("recording", "recording"), ("session", "session"))
CONSTANT = ("grant", "policy", "asset", "target", "user", "account")


class Chain:
    """What the other checks need of the verified frames."""

    def __init__(self):
        self.headers = []          # readable headers in the manifest's order
        self.heads = {}            # wanted (stream, segment, seq) -> (C, t1_ms)
        self.last_t1 = {}          # stream -> t1_ms of its last verified frame
        self.gaps = []             # (stream, segment, seq, t0_ms, t1_ms) of frames with flag gap
        self.inputs = []           # (clock of the segment, t0_ms, t1_ms, segment, seq) of input frames
        self.screen0_clock = None


class Content:
    """Check 7 of one segment; stops at its first fault."""

    def __init__(self, package, header, number, key, report):
        self.report, self.place = report, f"{header['stream']}-{number}"
        self.cast = None
        name = f"keys/{self.place}.jwe"
        if name not in package:
            if header["stream"] == "screen":
                report.fail("content", "wrap-missing", name)
            else:
                report.note("content", f"{self.place} stays sealed")
            return
        try:
            self.data_key = jwe.open_wrap(package.read(name), key, header["recording"], header["stream"], number)
        except (jwe.WrapError, Unreadable) as error:
            report.fail("content", error.code, name)
            return
        if jwe.commitment(self.data_key) != header["dek_commitment"]:
            report.fail("content", "commitment-mismatch", name)
            return
        self.cast = Cast(header)

    def frame(self, frame):
        if self.cast:
            try:
                self.cast.frame(frame, self.data_key)
            except ContentError as error:
                self.report.fail("content", error.code, f"{self.place} seq {frame.seq}")
                self.cast = None


def check_chain(package, manifest, wanted, key, report):
    """Check 3 over all segments of the manifest's payload, and 7 when a key is given."""
    chain = Chain()
    fail = lambda code, place="": report.fail("chain", code, place)
    previous = None
    for listed in manifest["segments"]:
        place = f"{listed['stream']}-{listed['number']}"
        if previous is not None and previous["stream"] != listed["stream"]:
            previous = None
        name = f"segments/{place}.spr"
        if name not in package:
            fail("segment-missing", place)
        else:
            if package.size(name) != listed["bytes"] + listed["torn_bytes"]:
                fail("segment-length", place)
            with package.open(name) as file:
                _segment(chain, package, manifest, listed, previous, file, wanted, key, report, fail, place)
        if listed["final"] and listed["torn_bytes"]:
            fail("segment-torn", place)
        previous = listed
    _list_rules(package, manifest, fail)
    return chain


def _segment(chain, package, manifest, listed, previous, file, wanted, key, report, fail, place):
    digest = hashlib.sha256()
    stream, number = listed["stream"], listed["number"]
    try:
        segment = Segment(file, listed["bytes"], bytes.fromhex(listed["last_c"]), digest.update)
    except HeaderError as error:
        fail(error.code, place)
        return
    except ZIP_ERRORS as error:
        fail("package-unreadable", f"{place} {error}")
        return
    header = segment.header
    if segment.hh.hex() != listed["hh"]:
        fail("segment-header-hash", place)
    if (
        any(header[mine] != manifest[theirs] for mine, theirs in IDENTITY)
        or header["gateway"]["id"] != manifest["gateway"]
        or header["stream"] != stream or header["segment"] != number
    ):
        fail("segment-foreign", place)
    if chain.headers and any(header[field] != chain.headers[0][field] for field in CONSTANT):
        fail("segment-inconsistent", place)
    chain.headers.append(header)
    if header["prev"] != (previous["last_c"] if previous else None):
        fail("segment-link", place)
    if stream == "screen" and number == 0:
        chain.screen0_clock = header["clock"]
    content = Content(package, header, number, key, report) if key else None
    try:
        for frame in segment:
            if frame.seq == 0 and frame.t1_ms < chain.last_t1.get(stream, 0):
                fail("frame-time", place)
            head = (stream, number, frame.seq)
            if head in wanted:
                chain.heads[head] = (frame.c, frame.t1_ms)
            if frame.flags & GAP:
                chain.gaps.append((*head, frame.t0_ms, frame.t1_ms))
            if stream == "input" and frame.plain_len > 0 and frame.seq > 0:
                chain.inputs.append((header["clock"], frame.t0_ms, frame.t1_ms, number, frame.seq))
            chain.last_t1[stream] = frame.t1_ms
            if content:
                content.frame(frame)
    except SegmentError as error:
        fail(error.code, f"{place} {error}")
        if error.code != "segment-cut":  # a piece of a frame at the end is no chain fault
            return
        segment.drain()
    except ZIP_ERRORS as error:
        fail("package-unreadable", f"{place} {error}")
        return
    if digest.hexdigest() != listed["sha256"]:
        fail("segment-hash", place)
    if segment.chunks != listed["chunks"]:
        fail("segment-chunks", place)
    if segment.c.hex() != listed["last_c"]:
        fail("segment-last-chain", place)
    if segment.final != listed["final"]:
        fail("final-missing", place)


def _list_rules(package, manifest, fail):
    listed = manifest["segments"]
    order = [(0 if one["stream"] == "screen" else 1, one["number"]) for one in listed]
    if any(a >= b for a, b in zip(order, order[1:])):
        fail("segment-number", "the list is not sorted")
    for stream in ("screen", "input"):
        own = [one for one in listed if one["stream"] == stream]
        numbers = [one["number"] for one in own + manifest["discarded"] if one["stream"] == stream]
        if sorted(numbers) != list(range(len(numbers))):
            fail("segment-number", stream)
        if manifest["ended"] == "clean" and own and not own[-1]["final"]:
            fail("final-missing", f"{stream}-{own[-1]['number']}")
    if not any(one["stream"] == "screen" for one in listed):
        fail("segment-missing", "no screen segment")
    names = {f"segments/{one['stream']}-{one['number']}.spr" for one in listed}
    for name in package.names("segments/"):
        if name not in names:
            fail("segment-undeclared", name)


def check_gaps(manifest, chain, report):
    """Check 10."""
    fail = lambda code, place: report.fail("gaps", code, place)
    place_of = lambda gap: f"{gap[0]}-{gap[1]} seq {gap[2]}"
    declared = [(g["stream"], g["segment"], g["seq"], g["t0_ms"], g["t1_ms"]) for g in manifest["gaps"]]
    last = {gap[:3]: gap for gap in declared}
    if len(last) != len(declared):
        fail("gap-unfounded", "one stands twice")
    for gap in chain.gaps:
        if last.get(gap[:3]) != gap:
            fail("gap-undeclared", place_of(gap))
    frames = {gap[:3] for gap in chain.gaps}
    open_ends = {(s["stream"], s["number"], s["chunks"]) for s in manifest["segments"] if not s["final"]}
    for end in sorted(open_ends):
        if end not in last:
            fail("gap-undeclared", place_of(end))
    for gap in declared:
        if gap[3] > gap[4] or (gap[:3] not in frames and gap[:3] not in open_ends):
            fail("gap-unfounded", place_of(gap))
