"""Check 9: input only inside the approved window (section 16)."""
from typing import List, NamedTuple, Optional, Tuple

import base
from chain import Observer
from context import Context
from segments import Frame, SegmentReader

TOLERANCE = 30000


class Windows(NamedTuple):
    """What check 8 found out for check 9."""

    known: bool                 # the opening grant, and a base approval of each grant
    view_only: bool
    opening: Optional[int]      # greatest opensAt
    covered: List[Tuple[Optional[int], int]]


def coverage(grants: List[dict]) -> List[Tuple[Optional[int], int]]:
    """from and to of each grant, in order of serial; None is minus infinity."""
    result = []
    for index, grant in enumerate(grants):
        low = None if index == 0 else grant["iat"] * 1000 - TOLERANCE
        high = grant["exp"] * 1000 + 1000
        if grant["ending"]["inputDuringGrace"]:
            high += grant["ending"]["holdSeconds"] * 1000
        if index + 1 < len(grants):
            high = min(high, grants[index + 1]["iat"] * 1000 + TOLERANCE)
        result.append((low, high))
    return result


def longest_header(grants: List[dict], media: str) -> Optional[int]:
    """Bytes of the longest header line or facts that frame 0 can hold; None without a grant."""
    return max((_header_bytes(grant, media) for grant in grants), default=None)


def _header_bytes(grant: dict, media: str) -> int:
    most = 2 ** 32 - 1
    own = {"v": 1, "recording": grant["recording"], "stream": "input", "segment": most,
           "asset": grant["asset"]["name"], "site": grant["site"]["name"],
           "person": {"name": grant["person"]["name"], "company": grant["person"]["company"]}}
    if media == "rfb-v1":
        return 12 + len(base.jcs({**own, "timestamp": most}))
    return 1 + len(base.jcs({"version": 2, "width": 10000, "height": 10000, "timestamp": most,
                             "sallyport": own}))


class InputCheck(Observer):
    """Looks at the times of input frames; their content stays sealed."""

    def __init__(self, ctx: Context, windows: Windows, screen: Optional[dict]) -> None:
        self.ctx = ctx
        self.check = ctx.report["input-window"]
        self.windows = windows
        self.screen = screen
        self.any = False
        self.header_bytes = {media: longest_header([grant.value for grant in ctx.grants], media)
                             for media in ("asciicast-v2", "rfb-v1")}
        self.last: Optional[int] = None

    def _wall(self, header: dict, moment: int) -> int:
        """The greater of the two clocks' readings."""
        clocks = [header["clock"]] + ([self.screen["clock"]] if self.screen else [])
        return max(clock["wall_ms"] + moment - clock["t_ms"] for clock in clocks)

    def _is_covered(self, wall: int) -> bool:
        return any((low is None or low <= wall) and wall <= high
                   for low, high in self.windows.covered)

    def frame(self, item: dict, reader: SegmentReader, frame: Frame, before: bytes) -> None:
        if item["stream"] != "input" or frame.plain_len == 0:
            return
        most = self.header_bytes[reader.header["media"]]
        if frame.seq == 0 and (most is None or frame.plain_len <= most):
            return
        start, stop = (self._wall(reader.header, moment)
                       for moment in (frame.t0_ms, frame.t1_ms))
        self.last = stop if self.last is None else max(self.last, stop)
        if not self.windows.known:
            if not self.any:
                self.check.fail("input-window-unknown")
            self.any = True
            return
        self.any = True
        where = "input-%d frame %d" % (item["number"], frame.seq)
        if self.windows.view_only:
            self.check.fail("input-view-only", where)
            return
        if start < self.windows.opening - TOLERANCE:
            self.check.fail("input-before-window", where)
        if not self._is_covered(start) or not self._is_covered(stop):
            self.check.fail("input-after-window", where)

    def finish(self) -> None:
        """The report gives the last input's time."""
        if self.last is not None:
            self.ctx.report.note("last input at %d ms since 1970 UTC" % self.last)
