"""Check 8: a grant stays inside what was approved."""

from schemas import instant_ms


def end_of(base, extending):
    """The latest millisecond that the approvals allow."""
    end = min(min(instant_ms(one.snapshot["window"]["closesAt"]), one.limit("closesAt", 1 << 62)) for one in base)
    for one in extending:
        closes = instant_ms(one.extension["closesAt"])
        end = max(end, min(closes, one.limit("closesAt", closes)))
    return end


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
