"""Check 8 for one grant: its approvals, and that it stays inside them (section 16)."""
from typing import Dict, List, NamedTuple, Optional

import approvals
import base
from approvals import Approvals, Record
from context import Context, GrantFile


class Rule(NamedTuple):
    """What asset.json demands."""

    need: int
    roles: List[str]


class GrantRules:
    """Judges one grant; `bases` are its readable base approvals."""

    def __init__(self, ctx: Context, grant: GrantFile, is_opening: bool) -> None:
        self.ctx = ctx
        self.check = ctx.report["authority"]
        self.file = grant
        self.grant = grant.value
        self.is_opening = is_opening
        self.bases: List[Record] = []
        self.extensions: Dict[str, List[Record]] = {}

    def fail(self, code: str, where: str = "") -> None:
        """A reason of this grant."""
        self.check.fail(code, (self.file.name + " " + where).strip())

    def run(self, store: Approvals, rule: Optional[Rule], c1_asset: bool,
            ticket_hash: Optional[str]) -> None:
        """All rules "for each grant"."""
        if not self.grant["approvals"]:
            self.fail("approval-missing", "names none")
        for name in dict.fromkeys(self.grant["approvals"]):
            record, reasons = store.get(name)
            for code in reasons:
                self.fail(code, name)
            if record is not None:
                self._sort_in(record)
                self._snapshot(record, ticket_hash)
        if not self.bases:
            self.fail("approval-missing", "no base approval")
        for group in [self.bases] + list(self.extensions.values()):
            if approvals.twice(group):
                self.fail("approval-twice")
        if rule is not None:
            self._enough(rule, c1_asset)
        if self.bases:
            self._inside()

    def _sort_in(self, record: Record) -> None:
        """Base or extension, and whether its snapshot is the grant's."""
        extension = record.extension
        if extension is None:
            self.bases.append(record)
            if record.snapshot_hash != self.grant["snapshotHash"]:
                self.fail("approval-snapshot", record.name)
            return
        self.extensions.setdefault(extension["id"], []).append(record)
        prolonged = base.sha256_hex(base.jcs(dict(record.snapshot, extension=None)))
        if (self.is_opening or extension["of"] != self.grant["snapshotHash"]
                or extension["session"] != self.grant["session"]
                or prolonged != extension["of"]):
            self.fail("approval-snapshot", record.name)

    def _snapshot(self, record: Record, ticket_hash: Optional[str]) -> None:
        """The snapshot's fields are the grant's; ticket.json is the snapshot's ticket."""
        snapshot, grant = record.snapshot, self.grant
        pairs = (
            (snapshot["deployment"], grant["deployment"]),
            (snapshot["request"]["id"], grant["request"]["id"]),
            (snapshot["request"]["version"], grant["request"]["version"]),
            (snapshot["requester"]["id"], grant["person"]["id"]),
            (snapshot["site"]["id"], grant["site"]["id"]),
            (snapshot["asset"]["id"], grant["asset"]["id"]),
            (snapshot["asset"]["hash"], grant["asset"]["hash"]),
            (snapshot["asset"]["criticality"], grant["asset"]["criticality"]),
            (snapshot["endpoint"], grant["endpoint"]),
            (snapshot["protocol"], grant["protocol"]),
            (snapshot["account"], grant["account"]),
            (snapshot["ticket"]["key"], grant["request"]["ticketKey"]),
            (snapshot["purpose"], grant["request"]["purpose"]),
        )
        if any(one != other for one, other in pairs):
            self.fail("approval-snapshot", record.name)
        if ticket_hash is not None and snapshot["ticket"]["hash"] != ticket_hash:
            self.fail("document-mismatch", "ticket.json, " + record.name)

    def _enough(self, rule: Rule, c1_asset: bool) -> None:
        """approvals-too-few: the base approvals, and those of each extension."""
        c1 = c1_asset or self.grant["asset"]["criticality"] == "C1"
        need = max(rule.need, 2 if c1 else 0)
        for group in [self.bases] + list(self.extensions.values()):
            if approvals.counted(group, rule.roles) < need:
                self.fail("approvals-too-few")

    def _inside(self) -> None:
        """grant-outside-approval."""
        grant = self.grant
        constraints = [record.constraints for record in self.bases]
        for record in self.bases:
            snapshot = record.snapshot
            if snapshot["viewOnly"] and not grant["viewOnly"]:
                self.fail("grant-outside-approval", "viewOnly")
            if not set(grant["features"]) <= set(snapshot["features"]):
                self.fail("grant-outside-approval", "features")
            if (grant["ending"]["mode"] != snapshot["ending"]["mode"]
                    or grant["ending"]["holdSeconds"] > snapshot["ending"]["holdSeconds"]):
                self.fail("grant-outside-approval", "ending")
            if (grant["ending"]["inputDuringGrace"]
                    and not snapshot["ending"]["inputDuringGrace"]
                    and not all("inputDuringGrace" in item for item in constraints)):
                self.fail("grant-outside-approval", "inputDuringGrace")
        for item in constraints:
            if "viewOnly" in item and not grant["viewOnly"]:
                self.fail("grant-outside-approval", "viewOnly of a constraint")
            if "features" in item and not set(grant["features"]) <= set(item["features"]):
                self.fail("grant-outside-approval", "features of a constraint")
        if grant["exp"] * 1000 > self._end():
            self.fail("grant-outside-approval", "exp")

    def _end(self) -> int:
        """The end of what was approved, in ms."""
        ends = [base.instant_ms(record.snapshot["window"]["closesAt"]) for record in self.bases]
        ends += [record.closes_at() for record in self.bases if record.closes_at() is not None]
        latest = min(ends)
        for group in self.extensions.values():
            ends = [base.instant_ms(record.extension["closesAt"]) for record in group]
            ends += [record.closes_at() for record in group if record.closes_at() is not None]
            latest = max(latest, min(ends))
        return latest

    def opening(self) -> Optional[int]:
        """The greatest of window.opensAt and the base constraints' opensAt (check 9)."""
        moments = []
        for record in self.bases:
            moments.append(base.instant_ms(record.snapshot["window"]["opensAt"]))
            if "opensAt" in record.constraints:
                moments.append(base.instant_ms(record.constraints["opensAt"]))
        return max(moments, default=None)
