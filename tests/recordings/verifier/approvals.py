"""Approval records: reading, assertion, log entry (sections 9 and 16, check 8)."""
from typing import Dict, List, NamedTuple, Optional, Tuple

import base
import schemas as s
import webauthn
from context import Context
from formats import APPROVAL

MOST = 16384      # manifest.hashes.approvals holds no more, so more are undeclared


class Record(NamedTuple):
    """An approval that could be read and whose document hashes to its name."""

    name: str
    value: dict
    snapshot_hash: str

    @property
    def snapshot(self) -> dict:
        """S."""
        return self.value["document"]["snapshot"]

    @property
    def constraints(self) -> dict:
        """K."""
        return self.value["document"]["constraints"]

    @property
    def extension(self) -> Optional[dict]:
        """X, None for a base approval."""
        return self.snapshot["extension"]

    @property
    def approver(self) -> dict:
        """Who approved."""
        return self.value["approver"]

    @property
    def account(self) -> Tuple[str, str]:
        """(issuer, subject) of the approver."""
        return self.approver["issuer"], self.approver["subject"]

    @property
    def credential(self) -> Optional[str]:
        """The passkey's credential id, None with a password."""
        assertion = self.value["assertion"]
        return assertion["credentialId"] if assertion else None

    def is_requester(self) -> bool:
        """The approver is the requester: same id, or same (issuer, subject)."""
        requester = self.snapshot["requester"]
        return (self.approver["id"] == requester["id"]
                or self.account == (requester["issuer"], requester["subject"]))

    def is_vendor(self) -> bool:
        """The approver belongs to the vendor."""
        vendor = self.snapshot["requester"]["vendor"]["name"]
        return self.approver["role"] == "vendor" or self.approver["organisation"] == vendor

    def same_person(self, other: "Record") -> bool:
        """Same id, same account or same credential."""
        return (self.approver["id"] == other.approver["id"] or self.account == other.account
                or (self.credential is not None and self.credential == other.credential))

    def closes_at(self) -> Optional[int]:
        """closesAt of the constraints in ms."""
        return base.instant_ms(self.constraints.get("closesAt"))


class Approvals:
    """Reads and judges each record once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._known: Dict[str, Tuple[Optional[Record], List[str]]] = {}

    def get(self, name: str) -> Tuple[Optional[Record], List[str]]:
        """The record and the reasons that do not depend on a grant."""
        if name not in self._known:
            if len(self._known) >= MOST:
                return None, ["grant-undeclared"]
            self._known[name] = self._load(name)
        return self._known[name]

    def _load(self, name: str) -> Tuple[Optional[Record], List[str]]:
        path = "approvals/%s.json" % name
        if not self._ctx.package.has(path):
            return None, ["approval-missing"]
        if not self._ctx.package.readable(path):
            return None, ["package-unreadable"]
        value, wrong = s.read(self._ctx.package.read(path), APPROVAL)
        if wrong:
            return None, ["approval-" + wrong]
        document = base.jcs(value["document"])
        if base.sha256_hex(document) != name:
            return None, ["approval-hash"]
        record = Record(name, value, base.sha256_hex(base.jcs(value["document"]["snapshot"])))
        return record, self._judge(record, document)

    def _judge(self, record: Record, document: bytes) -> List[str]:
        reasons = []
        if record.value["document"]["decision"] != "granted":
            reasons.append("approval-not-granted")
        if record.is_requester():
            reasons.append("approval-by-requester")
        if record.is_vendor():
            reasons.append("approval-by-vendor")
        assertion = record.value["assertion"]
        if assertion is None:
            self._ctx.report.note("approval %s: password and code, no signature" % record.name)
        else:
            challenge = base.sha256(b"sallyport/approval/v1\0" + document)
            reasons += webauthn.verify(assertion, challenge, self._ctx.trust.rp_id,
                                       self._ctx.trust.origins)
        return reasons + self._entry(record, assertion)

    def _entry(self, record: Record, assertion: Optional[dict]) -> List[str]:
        """The first checked entry approval.granted of this approval."""
        entry = self._ctx.log.granted.get(record.name)
        if entry is None:
            return ["approval-entry-missing"]
        same = entry["actor"] == ("person", record.approver["id"])
        if assertion is not None:
            key = base.sha256_hex(base.b64url_decode(assertion["publicKey"]))
            same = (same and entry["credential"] == assertion["credentialId"]
                    and entry["details"].get("key") == key)
        return [] if same else ["approval-entry-mismatch"]


def counted(records: List[Record], roles: List[str]) -> int:
    """How many approvals count toward the rule (section 16, "enough people approved")."""
    counting: List[Record] = []
    for record in records:
        if (record.value["document"]["decision"] == "granted"
                and record.approver["role"] in roles
                and not record.is_requester() and not record.is_vendor()
                and not any(record.same_person(other) for other in counting)):
            counting.append(record)
    return len(counting)


def twice(records: List[Record]) -> bool:
    """Two of these approvals are by the same approver, account or credential."""
    ids = [record.approver["id"] for record in records]
    accounts = [record.account for record in records]
    credentials = [record.credential for record in records if record.credential is not None]
    return any(len(set(items)) < len(items) for items in (ids, accounts, credentials))
