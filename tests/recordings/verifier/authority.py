"""Check 8: grants against log, header, manifest and documents (section 16)."""
import base64
from typing import List, Optional, Set, Tuple

import base
import jws
from approvals import Approvals
from context import Context, GrantFile
from formats import GRANT, ROLES
from grant_rules import GrantRules, Rule
from inputs import Windows, coverage

MAX_GRANTS = 256        # manifest.hashes.grants holds no more, so more are undeclared
KEPT = (("session",), ("recording",), ("gateway",), ("site", "id"), ("asset", "id"),
        ("endpoint",), ("protocol",), ("account",), ("person", "id"), ("snapshotHash",),
        ("request", "id"))


def load_grants(ctx: Context) -> None:
    """Read grant.jws and grants/*.jws; reasons go to check 8."""
    check = ctx.report["authority"]
    found = ctx.load_jws("grant.jws", "sallyport-grant+jws", GRANT, check)
    if found is not None:
        ctx.opening = GrantFile("grant.jws", None, found)
    for serial in ctx.package.later_grants()[:MAX_GRANTS]:
        name = "grants/%d.jws" % serial
        found = ctx.load_jws(name, "sallyport-grant+jws", GRANT, check)
        if found is not None:
            ctx.later.append(GrantFile(name, serial, found))


def _part(value: dict, path: Tuple[str, ...]) -> object:
    for name in path:
        value = value[name]
    return value


class AuthorityCheck:
    """Check 8. Needs a readable manifest."""

    def __init__(self, ctx: Context, header: Optional[dict]) -> None:
        self.ctx = ctx
        self.check = ctx.report["authority"]
        self.header = header
        self.asset: dict = {}

    def run(self) -> Windows:
        """Everything; returns what check 9 needs."""
        ctx = self.ctx
        if ctx.opening is None:
            return Windows(False, False, None, [])
        self._signatures()
        self._extend_entries()
        self._declared()
        for grant in ctx.grants:
            self._against_header(grant)
            self._target(grant)
        self._later()
        rule = self._documents()
        ticket = self._hash("ticket.json")
        declared = ctx.manifest["hashes"]["ticket"]
        if ticket is not None and declared not in (None, ticket):
            self.check.fail("document-mismatch", "ticket.json and the manifest")
        rules = self._approvals(rule, ticket)
        openings = [item.opening() for item in rules]
        known = all(moment is not None for moment in openings)
        return Windows(known, all(grant.value["viewOnly"] for grant in ctx.grants),
                       max(openings) if known else None,
                       coverage([grant.value for grant in ctx.grants]))

    def _signatures(self) -> None:
        """Each grant under the broker key valid at its entry."""
        ctx = self.ctx
        for grant in ctx.grants:
            if grant.serial is None:
                index = ctx.receipt["first_index"] if ctx.receipt else None
            else:
                index = self._extend_index(grant)
            if index is None:
                self.check.fail("grant-entry-missing", grant.name)
                continue
            wrong = jws.verify(grant.jws, ctx.trust.broker(grant.jws.kid, index))
            if wrong:
                self.check.fail(wrong, grant.name)

    def _extend_index(self, grant: GrantFile) -> Optional[int]:
        """Index of the `session.extend` entry with this grant's hash and serial."""
        value = grant.value
        for entry in self.ctx.log.extends:
            if ((entry.session, entry.recording) == (value["session"], value["recording"])
                    and entry.grant == grant.jws.hash and type(entry.serial) is int
                    and entry.serial == value["serial"]):
                return entry.index
        return None

    def _extend_entries(self) -> None:
        """Every session.extend entry of the session names a grant of the package."""
        hashes = set(self._hashes())
        for entry in self.ctx.log.extends:
            if entry.session == self.ctx.manifest["session"] and entry.grant not in hashes:
                self.check.fail("grant-missing", "entry %d" % entry.index)

    def _hashes(self) -> List[str]:
        """JWS hashes of all grant files, the opening one first, by serial."""
        names = ["grant.jws"] + ["grants/%d.jws" % serial
                                 for serial in self.ctx.package.later_grants()]
        return [self.ctx.package.digests[name].sha256 for name in names
                if self.ctx.package.readable(name)]

    def _declared(self) -> None:
        """manifest.hashes: exactly these grants and the approvals they name."""
        hashes = self.ctx.manifest["hashes"]
        if hashes["grants"] != self._hashes():
            self.check.fail("grant-undeclared", "manifest.hashes.grants")
        if set(hashes["approvals"]) != self._named():
            self.check.fail("grant-undeclared", "manifest.hashes.approvals")

    def _named(self) -> Set[str]:
        return {name for grant in self.ctx.grants for name in grant.value["approvals"]}

    def _against_header(self, file: GrantFile) -> None:
        """grant-mismatch: what the recording says of its grant."""
        header, grant = self.header, file.value
        if header is None:
            return
        pairs = [("deployment", grant["deployment"], header["deployment"]),
                 ("session", grant["session"], header["session"]),
                 ("recording", grant["recording"], header["recording"]),
                 ("site", grant["site"]["id"], header["site"]),
                 ("gateway", grant["gateway"], header["gateway"]["id"]),
                 ("account", grant["account"], header["account"]),
                 ("user", grant["person"]["pseudonym"], header["user"])]
        if file.serial is None:
            pairs += [("grant", file.jws.hash, header["grant"]),
                      ("asset", grant["asset"]["hash"], header["asset"]),
                      ("policy", grant["policyHash"], header["policy"])]
        for field, one, other in pairs:
            if one != other:
                self.check.fail("grant-mismatch", "%s: %s" % (file.name, field))

    def _target(self, file: GrantFile) -> None:
        """The target is a pinned identity, and a host key exactly for ssh; so is the medium."""
        if self.header is None:
            return
        target, grant = self.header["target"], file.value
        pinned = [(item["algorithm"], item["fingerprint"]) for item in grant["identities"]]
        own = (target.get("algorithm"), target.get("fingerprint"))
        if target["kind"] == "certificate":
            digest = base64.b64encode(bytes.fromhex(target["fingerprint"])).decode("ascii")
            own = ("x509-sha256", "SHA256:" + digest.rstrip("="))
        is_ssh = grant["protocol"] == "ssh"
        if is_ssh != (self.header["media"] == "asciicast-v2"):
            self.check.fail("grant-mismatch", file.name + ": medium")
        if is_ssh != (target["kind"] == "ssh-host-key"):
            self.check.fail("target-mismatch", file.name + ": kind")
        elif pinned and own not in pinned:
            self.check.fail("target-mismatch", file.name)

    def _later(self) -> None:
        """Later grants: named by their serial, ascending, and about the same session."""
        opening = self.ctx.opening.value
        before = opening["serial"]
        for file in self.ctx.later:
            grant = file.value
            if grant["serial"] != file.serial or grant["serial"] <= before:
                self.check.fail("grant-mismatch", file.name + ": serial")
            before = grant["serial"]
            for path in KEPT:
                if _part(grant, path) != _part(opening, path):
                    self.check.fail("grant-mismatch", "%s: %s" % (file.name, ".".join(path)))

    def _hash(self, name: str) -> Optional[str]:
        data = self.ctx.read_file(name, self.check)
        return None if data is None else base.sha256_hex(data)

    def _documents(self) -> Optional[Rule]:
        """policy.json and asset.json are what the opening grant names; the asset's rule."""
        opening = self.ctx.opening.value
        for name, wanted in (("policy.json", opening["policyHash"]),
                             ("asset.json", opening["asset"]["hash"])):
            found = self._hash(name)
            if found is not None and found != wanted:
                self.check.fail("document-mismatch", name)
        try:
            data = self.ctx.read_file("asset.json", self.check)
            asset = base.parse_json(data) if data is not None else None
        except base.NotJson:
            asset = None
        self.asset = asset if type(asset) is dict else {}
        rule = self.asset.get("rule")
        if type(rule) is dict and self.asset.get("criticality") in ("C1", "C2", "C3", "C4"):
            need, roles = rule.get("need"), rule.get("roles")
            if (type(need) is int and 1 <= need <= base.MAX_INT and type(roles) is list
                    and 1 <= len(roles) <= 5
                    and all(type(role) is str and role in ROLES for role in roles)):
                return Rule(need, roles)
        self.check.fail("approval-rule-missing", "asset.json")
        return None

    def _approvals(self, rule: Optional[Rule], ticket: Optional[str]) -> List[GrantRules]:
        """The rules "for each grant", and approvals that no grant names."""
        store = Approvals(self.ctx)
        c1_asset = self.asset.get("criticality") == "C1"
        done = []
        for file in self.ctx.grants:
            rules = GrantRules(self.ctx, file, file.serial is None)
            rules.run(store, rule, c1_asset, ticket)
            done.append(rules)
        named = self._named()
        for name in self.ctx.package.approvals():
            if name not in named:
                self.check.fail("approval-undeclared", name)
        return done
