"""What was found: per check passed, failed or absent, and the verdict (sections 16 and 17)."""

CHECKS = ("package", "manifest", "chain", "anchors", "log", "witness", "content", "authority", "input-window", "gaps")
EXIT = {"VALID": 0, "VALID-TRUNCATED": 1, "INVALID": 2}


class Report:
    def __init__(self):
        self.reasons = {check: [] for check in CHECKS}
        self.absents = {}
        self.notes = []
        self.facts = {}
        self.truncated = False

    def fail(self, check, code, place=""):
        if (code, place) not in self.reasons[check]:
            self.reasons[check].append((code, str(place)))

    def absent(self, check, reason):
        self.absents[check] = reason

    def note(self, check, text):
        if (check, text) not in self.notes:
            self.notes.append((check, text))

    def status(self, check):
        if self.reasons[check]:
            return "failed"
        return "absent" if check in self.absents else "passed"

    @property
    def verdict(self):
        if any(self.reasons.values()):
            return "INVALID"
        return "VALID-TRUNCATED" if self.truncated else "VALID"

    def fails(self):
        """{check: set of codes} of the failed checks."""
        return {check: {code for code, _ in found} for check, found in self.reasons.items() if found}

    def as_json(self):
        return {
            "verdict": self.verdict,
            "checks": [{
                "check": check, "status": self.status(check),
                "reasons": [{"code": code, "place": place} for code, place in self.reasons[check]],
                "absent": self.absents.get(check),
            } for check in CHECKS],
            "notes": [{"check": check, "text": text} for check, text in self.notes],
            "facts": self.facts,
        }

    def as_text(self):
        lines = [self.verdict]
        for number, check in enumerate(CHECKS, 1):
            line = f"{number:2} {check:12} {self.status(check)}"
            if self.status(check) == "absent":
                line += " (" + self.absents[check] + ")"
            lines.append(line)
            lines += [f"     {code}  {place}".rstrip() for code, place in self.reasons[check]]
            lines += [f"     note: {text}" for of, text in self.notes if of == check]
        lines += [f"{name}: {value}" for name, value in self.facts.items()]
        return "\n".join(lines)
