"""Checks 1 and 2: the package and the manifest with its receipt (section 16)."""
import jws
from context import Context
from formats import MANIFEST, RECEIPT
from formats_log import CUSTODY_LINE, PACKAGE
from package import REQUIRED


def load(ctx: Context) -> None:
    """Read package.jws, manifest.jws and receipt.jws; reasons go to checks 1 and 2."""
    ctx.package_jws = ctx.load_jws("package.jws", "sallyport-package+jws", PACKAGE,
                                   ctx.report["package"])
    check = ctx.report["manifest"]
    ctx.manifest_jws = ctx.load_jws("manifest.jws", "sallyport-manifest+jws", MANIFEST, check)
    ctx.receipt_jws = ctx.load_jws("receipt.jws", "sallyport-receipt+jws", RECEIPT, check)


def check_package(ctx: Context) -> None:
    """Check 1, once the zip is open and audit/checkpoint is read."""
    check, package = ctx.report["package"], ctx.package
    for name in sorted(package.damaged):
        check.fail("package-file-changed", "%s: %s" % (name, package.damaged[name]))
    for name in REQUIRED:
        if not package.has(name) and name != "package.jws":      # that one is told by load
            check.fail("package-file-missing", name)
    if package.has("custody.ndjson"):
        for number, value in package.objects("custody.ndjson", CUSTODY_LINE):
            if value is None:
                check.fail("custody-malformed", "custody.ndjson:%d" % number)
    if ctx.package_jws is None:
        return
    key = None
    if ctx.log.size is not None:
        key = ctx.trust.broker(ctx.package_jws.kid, ctx.log.size - 1)
    wrong = jws.verify(ctx.package_jws, key)
    if wrong:
        check.fail(wrong, "package.jws")
    _check_list(ctx)


def _check_list(ctx: Context) -> None:
    """Every file is listed and every listed file is there, unchanged; sorted, unique."""
    check, package = ctx.report["package"], ctx.package
    listed, before = set(), None
    for item in ctx.package_jws.payload["files"]:
        path = item["path"]
        encoded = path.encode("utf-8")
        if before is not None and encoded <= before:
            check.fail("package-list", path)
        before = encoded
        listed.add(path)
        if path == "package.jws" or not package.has(path):
            check.fail("package-file-missing", path)
            continue
        digest = package.digests.get(path)
        if digest is None or (digest.size, digest.sha256) != (item["bytes"], item["sha256"]):
            check.fail("package-file-changed", path)
    for name in package.names():
        if name not in listed and name != "package.jws":
            check.fail("package-file-extra", name)


def check_manifest(ctx: Context) -> None:
    """Check 2, once the documents are read."""
    check = ctx.report["manifest"]
    if ctx.receipt is not None:
        index = ctx.receipt["last_index"]
        wrong = jws.verify(ctx.receipt_jws, ctx.trust.broker(ctx.receipt_jws.kid, index))
        if wrong:
            check.fail(wrong, "receipt.jws")
        if ctx.receipt["first_index"] >= index:
            check.fail("receipt-mismatch", "first_index")
    if ctx.receipt is not None and ctx.manifest is not None:
        key = ctx.trust.gateway(ctx.manifest["gateway"], ctx.manifest_jws.kid,
                                ctx.receipt["last_index"])
        wrong = jws.verify(ctx.manifest_jws, key)
        if wrong:
            check.fail(wrong, "manifest.jws")
        if ctx.receipt["manifest"] != ctx.manifest_jws.hash:
            check.fail("receipt-mismatch", "manifest")
    documents = [item.payload for item in (ctx.manifest_jws, ctx.receipt_jws, ctx.package_jws)
                 if item is not None]
    for field in ("deployment", "recording", "session"):
        if len({document[field] for document in documents}) > 1:
            check.fail("identifiers-differ", field)
    if any(document["deployment"] != ctx.trust.deployment for document in documents):
        check.fail("identifiers-differ", "deployment of the trust file")
