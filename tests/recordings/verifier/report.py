"""Checks with their reasons (section 16), verdict and exit status (section 17)."""
import json
from typing import Dict, List, Optional, Tuple

NAMES = ("package", "manifest", "chain", "anchors", "log", "witness", "content", "authority",
         "input-window", "gaps")
EXIT = {"VALID": 0, "VALID-TRUNCATED": 1, "INVALID": 2}
NO_VERDICT = 3
MOST_OF_A_CODE = 50


def printable(text: str) -> str:
    """Text from a package, made safe for a terminal and cut to a bearable length."""
    return "".join(char if " " <= char <= "~" else char.encode("unicode_escape").decode("ascii")
                   for char in text[:300])


class Check:
    """One of the ten checks: failed as soon as it has a reason, unless it is absent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reasons: List[Tuple[str, str]] = []
        self.is_absent = False
        self._count: Dict[str, int] = {}

    def fail(self, code: str, where: str = "") -> None:
        """Note a reason. Only so many of one code are kept."""
        if self.is_absent:
            self.is_absent, self.reasons = False, []
        self._count[code] = self._count.get(code, 0) + 1
        if self._count[code] <= MOST_OF_A_CODE:
            self.reasons.append((code, printable(where)))

    def absent(self, code: Optional[str] = None, where: str = "") -> None:
        """The check could not be made; that is no failure."""
        if not self.reasons:
            self.is_absent = True
            if code:
                self.reasons = [(code, printable(where))]

    @property
    def status(self) -> str:
        """passed, failed or absent."""
        if self.is_absent:
            return "absent"
        return "failed" if self.reasons else "passed"


class Report:
    """All checks of one package, and what the report says beside them."""

    def __init__(self) -> None:
        self.checks = {name: Check(name) for name in NAMES}
        self.notes: List[str] = []
        self.truncated = False

    def __getitem__(self, name: str) -> Check:
        return self.checks[name]

    def note(self, text: str) -> None:
        """Something a person should read; never a failure."""
        if len(self.notes) < 500:
            self.notes.append(printable(text))

    @property
    def verdict(self) -> str:
        """Section 17."""
        if any(check.status == "failed" for check in self.checks.values()):
            return "INVALID"
        return "VALID-TRUNCATED" if self.truncated else "VALID"

    @property
    def exit_status(self) -> int:
        """Section 17."""
        return EXIT[self.verdict]

    def as_json(self) -> str:
        """The report for machines."""
        return json.dumps({
            "verdict": self.verdict,
            "checks": [{"check": check.name, "status": check.status,
                        "reasons": [{"code": code, "where": where}
                                    for code, where in check.reasons]}
                       for check in self.checks.values()],
            "notes": self.notes,
        }, indent=1)

    def as_text(self) -> str:
        """The report for people."""
        lines = [self.verdict]
        for check in self.checks.values():
            lines.append("%-13s %s" % (check.name, check.status))
            lines += ["    %s  %s" % reason for reason in check.reasons]
        lines += ["note: " + note for note in self.notes]
        return "\n".join(lines)
