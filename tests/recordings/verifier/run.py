"""One verification: the ten checks in an order that lets each go on (section 16)."""
import os
import stat
from typing import Optional

import authority
import check_log
import check_package
import log
from anchors import AnchorCheck
from chain import ChainCheck, find_headers
from content import ContentCheck
from context import Context
from gaps import GapCheck
from inputs import InputCheck
from jwe import PrivateKey
from package import Broken, open_package
from report import NAMES, Report
from trust import Trust


def verify(path: str, trust: Trust, key: Optional[PrivateKey]) -> Report:
    """Verify a package file. OSError (no verdict) when there is no such file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file: " + path)
        return verify_descriptor(descriptor, trust, key)
    finally:
        os.close(descriptor)


def verify_descriptor(descriptor: int, trust: Trust, key: Optional[PrivateKey]) -> Report:
    """Verify an open package."""
    report = Report()
    package = open_package(descriptor)
    if isinstance(package, Broken):
        for code, where in package.reasons:
            report["package"].fail(code, where)
        for name in NAMES[1:]:
            report[name].absent("package-unreadable")
        return report
    package.digest_all()
    ctx = Context(package, trust, key, report)
    ctx.log = log.Log()
    check_package.load(ctx)
    authority.load_grants(ctx)
    log.read_checkpoint(ctx)
    log.read_entries(ctx)
    check_package.check_package(ctx)
    check_package.check_manifest(ctx)
    check_log.check_session_entries(ctx)
    check_log.check_checkpoints(ctx)
    check_log.check_witness(ctx)
    _recording(ctx)
    return report


def _recording(ctx: Context) -> None:
    """Checks 3, 4, 7, 8, 9 and 10, which need the manifest."""
    content = ContentCheck(ctx)
    if ctx.manifest is None:
        for name in ("chain", "anchors", "authority", "input-window", "gaps"):
            ctx.report[name].fail("manifest-unreadable", "manifest.jws")
        return
    segments = ctx.manifest["segments"]
    ctx.report.truncated = (ctx.manifest["ended"] == "recovered"
                            or not all(item["final"] for item in segments))
    header, screen = find_headers(ctx)
    windows = authority.AuthorityCheck(ctx, header).run()
    anchors = AnchorCheck(ctx)
    anchors.read()
    inputs = InputCheck(ctx, windows, screen)
    gaps = GapCheck(ctx)
    ChainCheck(ctx, [anchors, content, inputs, gaps]).run()
    for observer in (anchors, content, inputs, gaps):
        observer.finish()
