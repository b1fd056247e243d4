"""What the checks share: the package, the trust, the documents that could be read."""
from typing import Any, List, NamedTuple, Optional

import jws
import schemas as s
from jwe import PrivateKey
from package import Package
from report import Check, Report
from trust import Trust


class GrantFile(NamedTuple):
    """A grant that could be read, with the serial that its file name gives."""

    name: str
    serial: Optional[int]       # None for grant.jws
    jws: jws.Jws

    @property
    def value(self) -> dict:
        """The grant."""
        return self.jws.payload


class Context:
    """State of one run."""

    def __init__(self, package: Package, trust: Trust, key: Optional[PrivateKey],
                 report: Report) -> None:
        self.package = package
        self.trust = trust
        self.key = key
        self.report = report
        self.package_jws: Optional[jws.Jws] = None
        self.manifest_jws: Optional[jws.Jws] = None
        self.receipt_jws: Optional[jws.Jws] = None
        self.opening: Optional[GrantFile] = None
        self.later: List[GrantFile] = []
        self.log: Any = None            # log.Log

    @property
    def manifest(self) -> Optional[dict]:
        """The manifest, None when it could not be read."""
        return self.manifest_jws.payload if self.manifest_jws else None

    @property
    def receipt(self) -> Optional[dict]:
        """The receipt, None when it could not be read."""
        return self.receipt_jws.payload if self.receipt_jws else None

    @property
    def grants(self) -> List[GrantFile]:
        """All readable grants, the opening one first, then by serial."""
        return ([self.opening] if self.opening else []) + self.later

    def load_jws(self, name: str, typ: str, schema: s.Schema,
                 check: Check) -> Optional[jws.Jws]:
        """Read a JWS file of section 5's table; reasons go to the check that reads it."""
        if not self.package.has(name):
            check.fail("package-file-missing", name)
            return None
        if not self.package.readable(name):
            check.fail("package-unreadable", name)
            return None
        found, wrong = jws.parse(self.package.read(name), typ, schema)
        if wrong:
            check.fail(wrong, name)
        return found

    def read_file(self, name: str, check: Check) -> Optional[bytes]:
        """Read a small file, with the reason why it cannot be read."""
        if not self.package.has(name):
            check.fail("package-file-missing", name)
            return None
        if not self.package.readable(name):
            check.fail("package-unreadable", name)
            return None
        return self.package.read(name)
