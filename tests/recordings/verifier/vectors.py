"""Runs the cases of a vectors directory (section 18)."""
import os
from typing import List

import base
import jwe
import run
import trust


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _differences(case: dict, directory: str, key: jwe.PrivateKey) -> List[str]:
    trusted = trust.load(_read(os.path.join(directory, case["trust"])))
    report = run.verify(os.path.join(directory, case["package"]), trusted, key)
    found = []
    if report.verdict != case["verdict"]:
        found.append("verdict %s, expected %s" % (report.verdict, case["verdict"]))
    if report.exit_status != case["exit"]:
        found.append("exit %d, expected %d" % (report.exit_status, case["exit"]))
    for name, check in report.checks.items():
        codes = {code for code, _ in check.reasons}
        wanted = case["fails"].get(name)
        if check.status == "failed" and wanted is None:
            found.append("%s fails (%s), expected not to" % (name, " ".join(sorted(codes))))
        elif wanted is not None and check.status != "failed":
            found.append("%s %s, expected %s" % (name, check.status, wanted))
        elif wanted is not None and wanted not in codes:
            found.append("%s: %s, expected %s" % (name, " ".join(sorted(codes)), wanted))
        if check.status == "absent" and case["absent"].get(name) not in codes:
            found.append("%s absent (%s), expected %s"
                         % (name, " ".join(sorted(codes)), case["absent"].get(name)))
        elif check.status != "absent" and name in case["absent"]:
            found.append("%s %s, expected absent" % (name, check.status))
    return found


def run_all(directory: str) -> bool:
    """Run every case, print the differences and a last line; whether all passed."""
    index = base.parse_json(_read(os.path.join(directory, "index.json")))
    key = jwe.load_private(_read(os.path.join(directory, index["key"])))
    passed = failed = 0
    for case in index["cases"]:
        try:
            found = _differences(case, directory, key)
        except Exception as error:   # pylint: disable=broad-except
            found = ["raised %r" % (error,)]
        if found:
            failed += 1
            for line in found:
                print("%s: %s" % (case["name"], line))
        else:
            passed += 1
    print("%d passed, %d failed" % (passed, failed))
    return failed == 0
