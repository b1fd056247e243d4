#!/usr/bin/env python3
"""Verifies a Sallyport evidence package: the ten checks in order, the verdict, the command line.

verify.py FILE.zip --trust keys.json [--key recipient.jwk] [--json]
verify.py --vectors DIR
"""

import argparse
import json
import os
import sys

import fields
from authority import check_authority
from canonical import parse
from chain import Chain, check_chain, check_gaps
from jwe import PrivateKey
from jws import JwsError, read_jws, trusted_keys
from logcheck import check_anchors, check_log, check_witness, note_faults, read_anchors, read_checkpoint
from notes import Note
from package import Package, PackageError, Unreadable, check_package
from report import CHECKS, EXIT, Report
from schemas import strict
from window import check_window

NO_VERDICT = 3


class NoVerdict(Exception):
    pass


def load_trust(path):
    try:
        with open(path, "rb") as file:
            trust = parse(file.read())
        if strict(fields.TRUST, trust):
            raise ValueError("not the documented fields")
        for text in trust["checkpoints"]:
            if note_faults(Note(text), trust):
                raise ValueError("a checkpoint of another log")
        _one_key_at_a_place(trust["keys"])
    except (OSError, ValueError) as error:
        raise NoVerdict(f"trust file: {error}") from None
    return trust


def _one_key_at_a_place(keys):
    """One kid of one use (and gateway) stands for one key at each place of the log."""
    end = {}
    for key in sorted(keys, key=lambda one: one["from_index"]):
        name = (key["use"], key["gateway"], key["kid"])
        if key["from_index"] < end.get(name, 0):
            raise ValueError("two keys of one name at the same place of the log")
        end[name] = float("inf") if key["to_index"] is None else key["to_index"]


def load_key(path):
    try:
        with open(path, "rb") as file:
            return PrivateKey(parse(file.read()))
    except (OSError, ValueError) as error:
        raise NoVerdict(f"key: {error}") from None


def _read(package, name, kind, check, report):
    try:
        data = package.read(name)
        if data is None:
            report.fail(check, "package-file-missing", name)
            return None
        return read_jws(data, kind)
    except (JwsError, Unreadable) as error:
        report.fail(check, error.code, name)
        return None


def check_manifest(manifest, receipt, listing, trust, report):
    """Check 2, after reading."""
    fail = lambda code, place="": report.fail("manifest", code, place)
    if receipt:
        index = receipt.payload["last_index"]
        code = receipt.verify(trusted_keys(trust, "broker", receipt.kid, index))
        if code:
            fail(code, "receipt.jws")
        if receipt.payload["first_index"] >= index:
            fail("receipt-mismatch", "first_index")
        if manifest:
            keys = trusted_keys(trust, "gateway", manifest.kid, index, manifest.payload["gateway"])
            code = manifest.verify(keys)
            if code:
                fail(code, "manifest.jws")
            if receipt.payload["manifest"] != manifest.hash:
                fail("receipt-mismatch", "manifest")
    everywhere = [one.payload for one in (manifest, receipt, listing) if one] if manifest else []
    for name in ("deployment", "recording", "session"):
        values = {payload[name] for payload in everywhere}
        if name == "deployment":
            values.add(trust["deployment"])
        if len(values) > 1:
            fail("identifiers-differ", name)


def verify(path, trust, key=None):
    report = Report()
    try:
        file = open(path, "rb")
    except OSError as error:
        raise NoVerdict(str(error)) from None
    with file:
        try:
            package = Package(file)
        except PackageError as error:
            report.fail("package", error.code, str(error))
            for check in CHECKS[1:]:
                report.absent(check, "package-unreadable")
            return report
        _run(package, trust, key, report)
    return report


def _run(package, trust, key, report):
    listing = _read(package, "package.jws", "package", "package", report)
    manifest = _read(package, "manifest.jws", "manifest", "manifest", report)
    receipt = _read(package, "receipt.jws", "receipt", "manifest", report)
    grant = _read(package, "grant.jws", "grant", "authority", report)
    later = [(name, _read(package, name, "grant", "authority", report)) for name in package.names("grants/")]
    later = sorted(((name, one) for name, one in later if one), key=lambda pair: int(pair[0][len("grants/"):-len(".jws")]))
    note = read_checkpoint(package, report)

    check_package(package, listing, note, trust, report)
    check_manifest(manifest, receipt, listing, trust, report)
    lines, some_anchor = read_anchors(package, report)
    wanted = {(line["stream"], line["segment"], line["seq"]) for _, line in lines}
    entries = check_log(package, note, trust, manifest, receipt, grant, report)
    check_witness(package, note, trust, report)

    kid = listing.payload["recipient"]["kid"] if listing else None
    if not key:
        report.absent("content", "content-not-checked")
    elif kid is None or (key.kid is not None and key.kid != kid):
        report.absent("content", "key-not-recipient")
        key = None
    if manifest:
        payload = manifest.payload
        chain = check_chain(package, payload, wanted, key, report)
        check_anchors(lines, some_anchor, entries, payload, chain, report)
        check_gaps(payload, chain, report)
        report.truncated = payload["ended"] == "recovered" or any(not one["final"] for one in payload["segments"])
        report.facts["recording"] = payload["recording"]
    else:
        chain = Chain()
        for check in ("chain", "anchors", "authority", "input-window", "gaps"):
            report.fail(check, "manifest-unreadable", "manifest.jws")
        report.absent("content", "content-not-checked")
    approved = check_authority(package, trust, manifest, receipt, grant, later, entries, chain, report)
    if manifest:
        check_window(chain, grant, [one for _, one in later], approved, report)


def run_vectors(directory):
    with open(os.path.join(directory, "index.json"), "rb") as file:
        index = json.load(file)
    key = load_key(os.path.join(directory, index["key"]))
    passed = failed = 0
    for case in index["cases"]:
        report = verify(os.path.join(directory, case["package"]),
                        load_trust(os.path.join(directory, case["trust"])), key)
        found, expected = report.fails(), case["fails"]
        right = (
            report.verdict == case["verdict"] and EXIT[report.verdict] == case["exit"]
            and set(found) == set(expected) and all(expected[check] in found[check] for check in expected)
        )
        passed, failed = passed + right, failed + (not right)
        if not right:
            print(f"{case['name']}: expected {case['verdict']} {expected}, found {report.verdict} {found}")
    print(f"{passed} passed, {failed} failed")
    return 0 if not failed else 1


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        raise NoVerdict(message)


def main(argv):
    parser = Arguments(description="Verifies a Sallyport evidence package.")
    parser.add_argument("file", nargs="?")
    parser.add_argument("--trust")
    parser.add_argument("--key")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--vectors")
    try:
        options = parser.parse_args(argv)
        if options.vectors and not options.file:
            return run_vectors(options.vectors)
        if not options.file or not options.trust or options.vectors:
            raise NoVerdict("verify.py FILE.zip --trust keys.json [--key recipient.jwk] [--json]")
        trust = load_trust(options.trust)
        report = verify(options.file, trust, load_key(options.key) if options.key else None)
    except NoVerdict as error:
        print(f"no verdict: {error}", file=sys.stderr)
        return NO_VERDICT
    if options.json:
        print(json.dumps(report.as_json(), indent=1, ensure_ascii=False))
    else:
        print(report.as_text())
    return EXIT[report.verdict]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
