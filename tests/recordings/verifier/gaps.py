"""Check 10: gaps of the chain and gaps of the manifest (section 16)."""
from typing import Dict, Optional, Set, Tuple

from chain import Observer
from context import Context
from segments import GAP, Frame, SegmentReader

Place = Tuple[str, int, int]


class GapCheck(Observer):
    """Each gap frame, and the end of each segment that is not final, is declared once."""

    def __init__(self, ctx: Context) -> None:
        self.check = ctx.report["gaps"]
        self.declared: Dict[Place, Tuple[int, int]] = {}
        self.founded: Set[Place] = set()
        for gap in ctx.manifest["gaps"]:
            place = (gap["stream"], gap["segment"], gap["seq"])
            if place in self.declared or gap["t0_ms"] > gap["t1_ms"]:
                self.check.fail("gap-unfounded", self._where(place))
            if place not in self.declared:
                self.declared[place] = (gap["t0_ms"], gap["t1_ms"])

    @staticmethod
    def _where(place: Place) -> str:
        return "%s-%d seq %d" % place

    def begin(self, item: dict, reader: Optional[SegmentReader]) -> None:
        if not item["final"]:
            place = (item["stream"], item["number"], item["chunks"])
            if place in self.declared:
                self.founded.add(place)
            else:
                self.check.fail("gap-undeclared", self._where(place))

    def frame(self, item: dict, reader: SegmentReader, frame: Frame, before: bytes) -> None:
        if not frame.flags & GAP:
            return
        place = (item["stream"], item["number"], frame.seq)
        if self.declared.get(place) == (frame.t0_ms, frame.t1_ms):
            self.founded.add(place)
        else:
            self.check.fail("gap-undeclared", self._where(place))

    def finish(self) -> None:
        """Gaps of the manifest that stand for nothing."""
        for place in self.declared:
            if place not in self.founded:
                self.check.fail("gap-unfounded", self._where(place))
