"""Check 8: enough people approved, and a grant stays inside what they approved."""

from canonical import parse
from fields import CRITICALITY, ROLE
from schemas import SAFE, array, instant_ms, integer, need


def end_of(base, extending):
    """The latest millisecond that the approvals allow."""
    end = min(min(instant_ms(one.snapshot["window"]["closesAt"]), one.limit("closesAt", 1 << 62)) for one in base)
    for group in extending:
        end = max(end, min(min(instant_ms(one.extension["closesAt"]), one.limit("closesAt", 1 << 62)) for one in group))
    return end


def approval_rule(data):
    """(need, roles) of asset.json's bytes, or None when it names no rule. C1 needs two people."""
    try:
        asset = parse(data)
        _RULED(asset)
    except (ValueError, TypeError):
        return None
    return max(asset["rule"]["need"], 2 if asset["criticality"] == "C1" else 1), asset["rule"]["roles"]


def _RULED(asset):
    need(isinstance(asset, dict) and isinstance(asset.get("rule"), dict), "rule", "an object")
    CRITICALITY(asset.get("criticality"), "criticality")
    integer(1, SAFE)(asset["rule"].get("need"), "need")
    array(ROLE, 5, 1)(asset["rule"].get("roles"), "roles")


def hands(one):
    """What tells one approver from another."""
    who = one.approver
    found = {("id", who["id"]), ("account", who["issuer"], who["subject"])}
    return found | ({("passkey", one.assertion["credentialId"])} if one.assertion else set())


def may_not_approve(one):
    """Why the one who approved could not approve this, or None."""
    who, requester = one.approver, one.snapshot["requester"]
    if who["id"] == requester["id"] or (who["issuer"], who["subject"]) == (requester["issuer"], requester["subject"]):
        return "approval-by-requester"
    if who["role"] == "vendor" or who["organisation"] == requester["vendor"]["name"]:
        return "approval-by-vendor"
    return None


def count_approvers(approvals, roles):
    """How many people approved of those who may; each person, account and passkey counts once."""
    counted, seen = 0, set()
    for one in approvals:
        fits = one.document["decision"] == "granted" and one.approver["role"] in roles and not may_not_approve(one)
        if fits and not seen & hands(one):
            seen |= hands(one)
            counted += 1
    return counted


def check_inside(grant, base, extending, name, fail):
    def outside(what):
        fail("grant-outside-approval", f"{name} {what}")
    snapshots = [one.snapshot for one in base]
    constraints = [one.constraints for one in base]
    if not grant["viewOnly"] and (any(s["viewOnly"] for s in snapshots) or any("viewOnly" in c for c in constraints)):
        outside("viewOnly")
    allowed = [s["features"] for s in snapshots] + [c["features"] for c in constraints if "features" in c]
    if any(feature not in one for one in allowed for feature in grant["features"]):
        outside("features")
    if any(grant["ending"]["mode"] != s["ending"]["mode"] for s in snapshots):
        outside("ending.mode")
    if any(grant["ending"]["holdSeconds"] > s["ending"]["holdSeconds"] for s in snapshots):
        outside("ending.holdSeconds")
    if grant["ending"]["inputDuringGrace"] and not (
            all(s["ending"]["inputDuringGrace"] for s in snapshots)
            or all("inputDuringGrace" in c for c in constraints)):
        outside("ending.inputDuringGrace")
    if grant["exp"] * 1000 > end_of(base, extending):
        outside("exp")
