"""Check 8: grants, the documents they name, and the approvals behind them."""

from approvals import Approval, ApprovalError, assertion_faults
from canonical import sha256_hex, unb64u
from jws import trusted_keys
from package import Unreadable
from limits import approval_rule, check_inside, count_approvers, hands, may_not_approve

KEPT = (("session",), ("recording",), ("gateway",), ("site", "id"), ("asset", "id"), ("endpoint",), ("protocol",),
        ("account",), ("person", "id"), ("snapshotHash",), ("request", "id"))


def _at(payload, path):
    for name in path:
        payload = payload[name]
    return payload


def check_authority(package, trust, manifest, receipt, opening, later, entries, chain, report):
    """Gives {grant hash: [readable approvals]} for check 9. `later` is [(name, JWS)] in order of serial."""
    if not manifest or not opening:
        return {}
    fail = lambda code, place="": report.fail("authority", code, place)
    header = chain.headers[0] if chain.headers else None
    grants = [("grant.jws", opening)] + later
    _signatures(trust, receipt, opening, later, entries, fail)
    _withheld(grants, entries, manifest.payload, fail)
    _declared(package, manifest.payload["hashes"], grants, fail)
    if header:
        if package.sha256("grant.jws") != header["grant"]:
            fail("grant-mismatch", "header grant")
        for name, grant in grants:
            _against_header(grant.payload, header, grant is opening, name, fail)
    documents = (("policy.json", opening.payload["policyHash"]), ("asset.json", opening.payload["asset"]["hash"]))
    for name, named in documents:
        if name in package and package.sha256(name) != named:
            fail("document-mismatch", name)
    _later_keep(opening, later, fail)
    read = _Reader(package, trust, entries, report, fail)
    try:
        rule = approval_rule(package.read("asset.json") or b"")
    except Unreadable:
        rule = None
    if rule is None:
        fail("approval-rule-missing", "asset.json")
    approved = {}
    for name, grant in grants:
        approved[grant.hash] = _grant(grant.payload, grant is opening, read, rule, name, fail)
    named = {one for _, grant in grants for one in grant.payload["approvals"]}
    for file in package.names("approvals/"):
        if file[len("approvals/"):-len(".json")] not in named:
            fail("approval-undeclared", file)
    tickets = {one.snapshot["ticket"]["hash"] for found in approved.values() for one in found}
    if manifest.payload["hashes"]["ticket"] is not None:
        tickets.add(manifest.payload["hashes"]["ticket"])
    if "ticket.json" in package and tickets - {package.sha256("ticket.json")}:
        fail("document-mismatch", "ticket.json")
    return approved


def _withheld(grants, entries, manifest, fail):
    """Every later grant that the log names for this session is shown."""
    shown = {grant.hash for _, grant in grants}
    for index, entry in entries.items():
        if entry["action"] == "session.extend" and entry["result"] == "ok" and (
                entry["correlation"]["session"] == manifest["session"]) and (
                entry["details"].get("grant") not in list(shown)):
            fail("grant-missing", f"index {index}")


def _signatures(trust, receipt, opening, later, entries, fail):
    if receipt is None:
        fail("grant-entry-missing", "grant.jws")
    else:
        code = opening.verify(trusted_keys(trust, "broker", opening.kid, receipt.payload["first_index"]))
        if code:
            fail(code, "grant.jws")
    for name, grant in later:
        index = next((index for index, entry in sorted(entries.items()) if (
            entry["action"] == "session.extend" and entry["result"] == "ok"
            and entry["details"].get("grant") == grant.hash
            and entry["details"].get("serial") == grant.payload["serial"]
            and entry["correlation"]["session"] == grant.payload["session"]
            and entry["correlation"]["recording"] == grant.payload["recording"]
        )), None)
        if index is None:
            fail("grant-entry-missing", name)
            continue
        code = grant.verify(trusted_keys(trust, "broker", grant.kid, index))
        if code:
            fail(code, name)


def _declared(package, hashes, grants, fail):
    if hashes["grants"] != [grant.hash for _, grant in grants]:
        fail("grant-undeclared", "manifest hashes.grants")
    named = {one for _, grant in grants for one in grant.payload["approvals"]}
    if set(hashes["approvals"]) != named:
        fail("grant-undeclared", "manifest hashes.approvals")


def _against_header(grant, header, is_opening, name, fail):
    same = [
        *((what, grant[what], header[what]) for what in ("deployment", "session", "recording")),
        ("site", grant["site"]["id"], header["site"]), ("gateway", grant["gateway"], header["gateway"]["id"]),
        ("account", grant["account"], header["account"]), ("user", grant["person"]["pseudonym"], header["user"]),
    ]
    if is_opening:
        same += [("asset", grant["asset"]["hash"], header["asset"]), ("policy", grant["policyHash"], header["policy"])]
    for what, mine, theirs in same:
        if mine != theirs:
            fail("grant-mismatch", f"{name} {what}")
    target = header["target"]
    pinned = {(one["algorithm"], one["fingerprint"]) for one in grant["identities"]}
    if target["kind"] != "ssh-host-key" or (
            pinned and (target.get("algorithm"), target.get("fingerprint")) not in pinned):
        fail("target-mismatch", name)


def _later_keep(opening, later, fail):
    last = opening.payload["serial"] if opening else None
    for name, grant in later:
        payload = grant.payload
        if last is not None and payload["serial"] <= last:
            fail("grant-mismatch", f"{name} serial")
        last = payload["serial"]
        if name != f"grants/{last}.jws":
            fail("grant-mismatch", f"{name} is not named by its serial")
        for path in KEPT if opening else ():
            if _at(payload, path) != _at(opening.payload, path):
                fail("grant-mismatch", f"{name} {'.'.join(path)}")


class _Reader:
    """Approval records by hash, each read and checked by itself once."""

    def __init__(self, package, trust, entries, report, fail):
        self.package, self.trust, self.fail, self.report = package, trust, fail, report
        self.known = {}
        self.granted = {}
        for _, entry in sorted(entries.items()):
            if entry["action"] == "approval.granted" and entry["result"] == "ok":
                self.granted.setdefault(entry["details"].get("approval") if isinstance(
                    entry["details"].get("approval"), str) else None, []).append(entry)

    def get(self, name):
        if name not in self.known:
            self.known[name] = self._read(name)
        return self.known[name]

    def _read(self, name):
        file = f"approvals/{name}.json"
        try:
            data = self.package.read(file)
            if data is None:
                self.fail("approval-missing", file)
                return None
            approval = Approval(data, name)
        except (ApprovalError, Unreadable) as error:
            self.fail(error.code, file)
            return None
        if approval.document["decision"] != "granted":
            self.fail("approval-not-granted", file)
        barred = may_not_approve(approval)
        if barred:
            self.fail(barred, file)
        if approval.assertion is None:
            self.report.note("authority", f"{name} was approved with a password, not signed")
        else:
            for code in assertion_faults(approval, self.trust["rp"]):
                self.fail(code, file)
        entries = self.granted.get(name)
        if not entries:
            self.fail("approval-entry-missing", file)
        elif not self._entry_fits(entries[0], approval):
            self.fail("approval-entry-mismatch", file)
        return approval

    @staticmethod
    def _entry_fits(entry, approval):
        if entry["actor"]["kind"] != "person" or entry["actor"]["id"] != approval.approver["id"]:
            return False
        if approval.assertion is None:
            return True
        authentication = entry["authentication"]
        return (
            authentication is not None and authentication["credential"] == approval.assertion["credentialId"]
            and entry["details"].get("key") == sha256_hex(unb64u(approval.assertion["publicKey"]))
        )


def _grant(grant, is_opening, read, rule, name, fail):
    """The rules of one grant; gives its readable approvals."""
    if not grant["approvals"]:
        fail("approval-missing", name)
    found = [one for one in map(read.get, grant["approvals"]) if one]
    for one in found:
        _against_snapshot(grant, one, is_opening, f"{name} {one.hash}", fail)
    base = [one for one in found if one.extension is None]
    extending = [one for one in found if one.extension is not None]
    if grant["approvals"] and not base and len(found) == len(grant["approvals"]):
        fail("approval-missing", f"{name}: no base approval")
    groups = {None: base}
    for one in extending:
        groups.setdefault(one.extension["id"], []).append(one)
    for group in groups.values():
        told = [tell for one in group for tell in hands(one)]
        if len(set(told)) != len(told):
            fail("approval-twice", name)
        if rule and group:
            need = max(rule[0], 2 if grant["asset"]["criticality"] == "C1" else 1)
            if count_approvers(group, rule[1]) < need:
                fail("approvals-too-few", name)
    if base:
        check_inside(grant, base, [group for key, group in groups.items() if key is not None], name, fail)
    return found


def _against_snapshot(grant, one, is_opening, place, fail):
    snapshot, extension = one.snapshot, one.extension
    right = one.base_hash == grant["snapshotHash"]
    if extension is not None:
        right = right and not is_opening and extension["of"] == grant["snapshotHash"] and (
            extension["session"] == grant["session"])
    right = right and (
        snapshot["deployment"] == grant["deployment"] and snapshot["request"]["id"] == grant["request"]["id"]
        and snapshot["request"]["version"] == grant["request"]["version"]
        and snapshot["requester"]["id"] == grant["person"]["id"] and snapshot["site"]["id"] == grant["site"]["id"]
        and all(snapshot["asset"][what] == grant["asset"][what] for what in ("id", "hash", "criticality")) and snapshot["endpoint"] == grant["endpoint"]
        and snapshot["protocol"] == grant["protocol"] and snapshot["account"] == grant["account"]
        and snapshot["ticket"]["key"] == grant["request"]["ticketKey"]
        and snapshot["purpose"] == grant["request"]["purpose"]
    )
    if not right:
        fail("approval-snapshot", place)
