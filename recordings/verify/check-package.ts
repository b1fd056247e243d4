import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { decodeJws, verifyJws } from '../format/jws.ts'
import { type PackageList, packageList } from '../format/manifest.ts'
import { custodyLine, PACKAGE_FILES, sizeLimit } from '../format/package-layout.ts'
import { findKey, type TrustFile } from '../format/trust.ts'
import { type IndexedPackage, readLines, readText } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'package'
const REQUIRED = [
  PACKAGE_FILES.readme,
  PACKAGE_FILES.manifest,
  PACKAGE_FILES.receipt,
  PACKAGE_FILES.grant,
  PACKAGE_FILES.ticket,
  PACKAGE_FILES.policy,
  PACKAGE_FILES.asset,
  PACKAGE_FILES.custody,
  PACKAGE_FILES.package,
  PACKAGE_FILES.entries,
  PACKAGE_FILES.anchors,
  PACKAGE_FILES.checkpoint,
]

/** Check 1: the list is signed, and every file is what the list says. */
export async function checkPackage(
  reader: IndexedPackage,
  trust: TrustFile,
  logSize: number | null,
  findings: Findings,
): Promise<PackageList | null> {
  checkNames(reader, findings)
  const list = await readList(reader, trust, logSize, findings)
  if (list) {
    checkFiles(reader, list, findings)
    findings.passed(CHECK, `all ${list.files.length} files are as the broker signed them`)
  }
  await checkCustody(reader, findings)
  return list
}

function checkNames(reader: IndexedPackage, findings: Findings): void {
  const seen = new Set<string>()
  for (const { path, size } of reader.files()) {
    const limit = sizeLimit(path)
    if (limit === null) findings.fail(CHECK, 'package-name', path, 'no such file belongs in a package')
    else if (size > limit) findings.fail(CHECK, 'package-size', path, `larger than ${limit} bytes`)
    if (seen.has(path)) findings.fail(CHECK, 'package-unreadable', path, 'stands twice in the package')
    seen.add(path)
  }
  for (const path of REQUIRED) {
    if (!seen.has(path)) findings.fail(CHECK, 'package-file-missing', path, 'the file is missing')
  }
}

async function readList(
  reader: IndexedPackage,
  trust: TrustFile,
  logSize: number | null,
  findings: Findings,
): Promise<PackageList | null> {
  const path = PACKAGE_FILES.package
  const text = await readText(reader, path)
  const decoded = text.ok ? decodeJws(text.value, JWS_TYPES.package, packageList) : text
  if (!text.ok || !decoded.ok) {
    const problem = decoded as Exclude<typeof decoded, { ok: true }>
    findings.fail(CHECK, problem.code, path, problem.message)
    return null
  }
  const key = logSize === null ? undefined : findKey(trust, decoded.value.kid, 'broker', logSize - 1)
  if (!key) {
    findings.fail(
      CHECK,
      'key-unknown',
      path,
      `no broker key "${decoded.value.kid}" is trusted at this place of the log`,
    )
  } else {
    const verified = await verifyJws(text.value, JWS_TYPES.package, packageList, key.x)
    if (!verified.ok) findings.fail(CHECK, verified.code, path, verified.message)
  }
  return decoded.value.payload
}

function checkFiles(reader: IndexedPackage, list: PackageList, findings: Findings): void {
  const present = new Set(reader.files().map((file) => file.path))
  const listed = new Set<string>()
  let last: string | null = null
  for (const file of list.files) {
    if (last !== null && Buffer.compare(Buffer.from(last), Buffer.from(file.path)) >= 0) {
      findings.fail(
        CHECK,
        'package-list',
        PACKAGE_FILES.package,
        'the list is not sorted, or names a file twice',
      )
    }
    last = file.path
    listed.add(file.path)
    if (!present.has(file.path) || file.path === PACKAGE_FILES.package) {
      findings.fail(
        CHECK,
        'package-file-missing',
        file.path,
        'the signed list names it, the package lacks it',
      )
      continue
    }
    const digest = reader.digest(file.path)
    if (digest?.bytes !== file.bytes || digest.sha256 !== file.sha256) {
      findings.fail(CHECK, 'package-file-changed', file.path, 'its length or SHA-256 is not the signed one')
    }
  }
  for (const path of present) {
    if (!listed.has(path) && path !== PACKAGE_FILES.package) {
      findings.fail(CHECK, 'package-file-extra', path, 'the signed list does not name it')
    }
  }
}

async function checkCustody(reader: IndexedPackage, findings: Findings): Promise<void> {
  if (reader.size(PACKAGE_FILES.custody) === null) return
  for await (const { line, value } of readLines(reader, PACKAGE_FILES.custody)) {
    if (!custodyLine.safeParse(value).success) {
      findings.fail(CHECK, 'custody-malformed', `${PACKAGE_FILES.custody} line ${line}`, 'not a custody line')
    }
  }
}
