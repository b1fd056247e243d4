import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { decodeJws, jwsHash, verifyJws } from '../format/jws.ts'
import {
  type Manifest,
  manifest as manifestSchema,
  type PackageList,
  type Receipt,
  receipt as receiptSchema,
} from '../format/manifest.ts'
import { PACKAGE_FILES } from '../format/package-layout.ts'
import type { Fault } from '../format/result.ts'
import { findKey, type TrustFile, validAt } from '../format/trust.ts'
import { type IndexedPackage, readText } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'manifest'

export interface Sealed {
  manifest: Manifest
  manifestHash: string
  receipt: Receipt | null
}

/** Check 2: the gateway signed the manifest, the broker answered it, and both speak of one recording. */
export async function checkManifest(
  reader: IndexedPackage,
  trust: TrustFile,
  list: PackageList | null,
  findings: Findings,
): Promise<Sealed | null> {
  const fail = (path: string, problem: Fault) => findings.fail(CHECK, problem.code, path, problem.message)
  const manifestJws = await readText(reader, PACKAGE_FILES.manifest)
  const receiptJws = await readText(reader, PACKAGE_FILES.receipt)
  const manifest = manifestJws.ok
    ? decodeJws(manifestJws.value, JWS_TYPES.manifest, manifestSchema)
    : manifestJws
  const receipt = receiptJws.ok ? decodeJws(receiptJws.value, JWS_TYPES.receipt, receiptSchema) : receiptJws
  if (!manifest.ok) fail(PACKAGE_FILES.manifest, manifest)
  if (!receipt.ok) fail(PACKAGE_FILES.receipt, receipt)

  const index = receipt.ok ? receipt.value.payload.last_index : null
  if (receipt.ok && receiptJws.ok) {
    const key = findKey(trust, receipt.value.kid, 'broker', receipt.value.payload.last_index)
    const verified = key && (await verifyJws(receiptJws.value, JWS_TYPES.receipt, receiptSchema, key.x))
    if (!verified) unknownKey(findings, PACKAGE_FILES.receipt, receipt.value.kid)
    else if (!verified.ok) fail(PACKAGE_FILES.receipt, verified)
  }
  if (!manifest.ok || !manifestJws.ok) return null
  const { payload, kid } = manifest.value
  if (index !== null) {
    const key = trust.keys.find(
      (one) =>
        one.kid === kid && one.use === 'gateway' && one.gateway === payload.gateway && validAt(one, index),
    )
    const verified = key && (await verifyJws(manifestJws.value, JWS_TYPES.manifest, manifestSchema, key.x))
    if (!verified) unknownKey(findings, PACKAGE_FILES.manifest, kid)
    else if (!verified.ok) fail(PACKAGE_FILES.manifest, verified)
  }
  const sealed: Sealed = {
    manifest: payload,
    manifestHash: jwsHash(manifestJws.value),
    receipt: receipt.ok ? receipt.value.payload : null,
  }
  checkReceipt(sealed, findings)
  checkIdentifiers(sealed, trust, list, findings)
  findings.passed(
    CHECK,
    `signed by gateway ${payload.gateway}, ended ${payload.ended} (${payload.session_end})`,
  )
  return sealed
}

function unknownKey(findings: Findings, path: string, kid: string): void {
  findings.fail(
    CHECK,
    'key-unknown',
    path,
    `no trusted key "${kid}" of the right use counts at this place of the log`,
  )
}

function checkReceipt({ manifestHash, receipt }: Sealed, findings: Findings): void {
  if (!receipt) return
  if (receipt.manifest !== manifestHash) {
    findings.fail(CHECK, 'receipt-mismatch', PACKAGE_FILES.receipt, 'the receipt is for another manifest')
  }
  if (receipt.first_index >= receipt.last_index) {
    findings.fail(CHECK, 'receipt-mismatch', PACKAGE_FILES.receipt, 'first_index is not before last_index')
  }
}

function checkIdentifiers(
  { manifest, receipt }: Sealed,
  trust: TrustFile,
  list: PackageList | null,
  findings: Findings,
): void {
  const others = [
    [PACKAGE_FILES.receipt, receipt],
    [PACKAGE_FILES.package, list],
  ] as const
  for (const [path, other] of others) {
    if (!other) continue
    const same =
      other.recording === manifest.recording &&
      other.session === manifest.session &&
      other.deployment === manifest.deployment
    if (!same)
      findings.fail(CHECK, 'identifiers-differ', path, 'speaks of another recording than the manifest')
  }
  if (manifest.deployment !== trust.deployment) {
    findings.fail(
      CHECK,
      'identifiers-differ',
      PACKAGE_FILES.manifest,
      'is of another deployment than the trust file',
    )
  }
}
