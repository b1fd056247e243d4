"""Check 9: input only inside what the grants allow."""

from schemas import instant_ms

EARLY_MS = 30000
LATE_MS = 1000


def wall(clock, screen0, t):
    own = clock["wall_ms"] + t - clock["t_ms"]
    return own if screen0 is None else max(own, screen0["wall_ms"] + t - screen0["t_ms"])


def spans(grants):
    """[(from, to)] of the grants in order of serial; from is None for the opening grant."""
    found = []
    for i, grant in enumerate(grants):
        grace = grant["ending"]["holdSeconds"] * 1000 if grant["ending"]["inputDuringGrace"] else 0
        to = grant["exp"] * 1000 + LATE_MS + grace
        if i + 1 < len(grants):
            to = min(to, grants[i + 1]["iat"] * 1000 + EARLY_MS)
        found.append((grant["iat"] * 1000 - EARLY_MS if i else None, to))
    return found


def check_window(chain, opening, later, approved, report):
    if not chain.inputs:
        return
    fail = lambda code, place="": report.fail("input-window", code, place)
    latest = max(wall(clock, chain.screen0_clock, t1) for clock, _, t1, _, _ in chain.inputs)
    report.facts["last_input_ms"] = latest
    jwss = ([opening] if opening else []) + later
    base = {one.hash: [a for a in approved.get(one.hash, ()) if a.extension is None] for one in jwss}
    if opening is None or not all(base.values()):
        fail("input-window-unknown")
        return
    if all(one.payload["viewOnly"] for one in jwss):
        fail("input-view-only")
        return
    opens = max(
        max(instant_ms(a.snapshot["window"]["opensAt"]), a.limit("opensAt", -(1 << 62)))
        for found in base.values() for a in found
    )
    allowed = spans([one.payload for one in jwss])
    covered = lambda w: any((start is None or start <= w) and w <= to for start, to in allowed)
    for clock, t0, t1, number, seq in chain.inputs:
        first, last = (wall(clock, chain.screen0_clock, t) for t in (t0, t1))
        place = f"input-{number} seq {seq}"
        if first < opens - EARLY_MS:
            fail("input-before-window", place)
        if not covered(first) or not covered(last):
            fail("input-after-window", place)
