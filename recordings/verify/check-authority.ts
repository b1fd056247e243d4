import { type AuditEntry, EVIDENCE_ACTIONS } from '../../broker/contract/audit-entry.ts'
import { type Grant, JWS_TYPES } from '../../broker/domain/grant.ts'
import { grantSchema } from '../format/grant-schema.ts'
import type { SegmentHeader } from '../format/header.ts'
import { decodeJws, jwsHash, verifyJws } from '../format/jws.ts'
import { approvalPath, grantSerialOf, laterGrantPath, PACKAGE_FILES } from '../format/package-layout.ts'
import { pinOf } from '../format/target.ts'
import { findKey, type TrustFile } from '../format/trust.ts'
import { readApprovalRule } from './approval-rule.ts'
import { type ApprovalContext, type BaseLimits, checkApprovals } from './check-approvals.ts'
import type { LogFacts } from './check-log.ts'
import type { Sealed } from './check-manifest.ts'
import type { InputWindow } from './check-window.ts'
import { type IndexedPackage, readText } from './package-reader.ts'
import type { Findings } from './report.ts'

const CHECK = 'authority'
/** As many as a manifest may name. */
const GRANTS_LIMIT = 256

export interface ReadGrant {
  path: string
  hash: string
  kid: string
  jws: string
  grant: Grant
}

/** The opening grant and the later ones by serial, decoded only: their signatures are checked with the rest. */
export async function readGrants(reader: IndexedPackage, findings: Findings): Promise<ReadGrant[]> {
  const serials = reader
    .files()
    .map((file) => grantSerialOf(file.path))
    .filter((serial) => serial !== null)
    .sort((a, b) => a - b)
  if (serials.length >= GRANTS_LIMIT) {
    findings.fail(CHECK, 'grant-undeclared', 'grants/', 'there are more grants than a manifest declares')
  }
  const paths = [PACKAGE_FILES.grant, ...serials.slice(0, GRANTS_LIMIT - 1).map(laterGrantPath)]
  const grants: ReadGrant[] = []
  for (const path of paths) {
    const text = await readText(reader, path)
    const decoded = text.ok ? decodeJws(text.value, JWS_TYPES.grant, grantSchema) : text
    if (!text.ok || !decoded.ok) {
      const problem = decoded as Exclude<typeof decoded, { ok: true }>
      findings.fail(CHECK, problem.code, path, problem.message)
      continue
    }
    const { kid, payload } = decoded.value
    grants.push({ path, hash: jwsHash(text.value), kid, jws: text.value, grant: payload as Grant })
  }
  return grants
}

export interface AuthorityContext {
  reader: IndexedPackage
  trust: TrustFile
  log: LogFacts
  sealed: Sealed
  header: SegmentHeader | null
  grants: ReadGrant[]
}

/** Check 8: somebody who may approve approved exactly this, and it was not the one who asked. */
export async function checkAuthority(
  context: AuthorityContext,
  findings: Findings,
): Promise<InputWindow | null> {
  const { grants, header, sealed, reader } = context
  const [opening] = grants
  if (opening?.path !== PACKAGE_FILES.grant) return null
  await checkSignatures(context, findings)
  checkDeclared(context, findings)
  checkWithheld(context, findings)
  if (header) checkHeader(opening, grants, header, findings)
  for (const later of grants.slice(1)) checkLater(opening, later, findings)
  checkDocument(reader, PACKAGE_FILES.policy, opening.grant.policyHash, findings)
  checkDocument(reader, PACKAGE_FILES.asset, opening.grant.asset.hash, findings)
  checkDocument(reader, PACKAGE_FILES.ticket, sealed.manifest.hashes.ticket, findings)
  const ticket = reader.digest(PACKAGE_FILES.ticket)

  const rule = await readApprovalRule(reader)
  if (!rule)
    findings.fail(CHECK, 'approval-rule-missing', PACKAGE_FILES.asset, 'it names no rule of who approves')
  const limits: (BaseLimits | null)[] = []
  const named = new Set<string>()
  for (const grant of grants) {
    for (const approval of grant.grant.approvals) named.add(approvalPath(approval))
    const approvals: ApprovalContext = {
      ...context,
      ticketHash: ticket?.sha256 ?? null,
      rule,
      opening: opening.grant,
    }
    limits.push(await checkApprovals(approvals, grant, grant !== opening, findings))
  }
  for (const { path } of reader.files()) {
    if (path.startsWith('approvals/') && !named.has(path)) {
      findings.fail(CHECK, 'approval-undeclared', path, 'no grant names this approval')
    }
  }
  const { grant } = opening
  findings.passed(
    CHECK,
    `${grant.person.name} (${grant.person.company}) as ${grant.account} on ${grant.asset.name}, ticket ${grant.request.ticketKey}`,
  )
  return windowOf(grants, limits)
}

function windowOf(grants: ReadGrant[], limits: (BaseLimits | null)[]): InputWindow | null {
  const known = limits.filter((one) => one !== null)
  if (known.length === 0 || known.length < grants.length) return null
  return {
    opensAtMs: Math.max(...known.map((one) => one.opensAtMs)),
    viewOnly: grants.every(({ grant }) => grant.viewOnly),
  }
}

async function checkSignatures(
  { grants, trust, log, sealed }: AuthorityContext,
  findings: Findings,
): Promise<void> {
  for (const [at, one] of grants.entries()) {
    const index = at === 0 ? (sealed.receipt?.first_index ?? null) : extensionIndex(log, one)
    if (index === null) {
      findings.fail(CHECK, 'grant-entry-missing', one.path, 'the log has no entry for this grant')
      continue
    }
    const key = findKey(trust, one.kid, 'broker', index)
    if (!key) {
      findings.fail(
        CHECK,
        'key-unknown',
        one.path,
        `no broker key "${one.kid}" is trusted at this place of the log`,
      )
      continue
    }
    const verified = await verifyJws(one.jws, JWS_TYPES.grant, grantSchema, key.x)
    if (!verified.ok) findings.fail(CHECK, verified.code, one.path, verified.message)
  }
}

function extensionIndex(log: LogFacts, { hash, grant }: ReadGrant): number | null {
  const matches = (entry: AuditEntry) =>
    entry.action === EVIDENCE_ACTIONS.sessionExtend &&
    entry.details.grant === hash &&
    entry.details.serial === grant.serial &&
    entry.correlation.session === grant.session &&
    entry.correlation.recording === grant.recording
  for (const [index, entry] of log.entries) if (matches(entry)) return index
  return null
}

/** The gateway's manifest names the same grants and approvals as the broker's package carries. */
function checkDeclared({ grants, sealed }: AuthorityContext, findings: Findings): void {
  const { hashes } = sealed.manifest
  const same = (a: string[], b: string[]) => a.length === b.length && a.every((one, at) => one === b[at])
  const approvals = new Set(grants.flatMap(({ grant }) => grant.approvals))
  const declared = new Set(hashes.approvals)
  if (
    !same(
      hashes.grants,
      grants.map((one) => one.hash),
    )
  ) {
    findings.fail(CHECK, 'grant-undeclared', 'manifest.jws', 'its grants are not the grants of the package')
  }
  if (!same([...approvals].sort(), [...declared].sort())) {
    findings.fail(
      CHECK,
      'grant-undeclared',
      'manifest.jws',
      'its approvals are not those that the grants name',
    )
  }
}

/** What the log says was granted in this session is shown: a shorter or narrower grant cannot be left out. */
function checkWithheld({ log, grants, sealed }: AuthorityContext, findings: Findings): void {
  const shown = new Set(grants.map(({ hash }) => hash))
  for (const [index, { action, correlation, details }] of log.entries) {
    if (action !== EVIDENCE_ACTIONS.sessionExtend || correlation.session !== sealed.manifest.session) continue
    if (typeof details.grant === 'string' && shown.has(details.grant)) continue
    findings.fail(
      CHECK,
      'grant-missing',
      `${PACKAGE_FILES.entries} index ${index}`,
      'the log names a later grant of this session that the package lacks',
    )
  }
}

function checkHeader(
  opening: ReadGrant,
  grants: ReadGrant[],
  header: SegmentHeader,
  findings: Findings,
): void {
  const mismatch = (path: string, message: string) => findings.fail(CHECK, 'grant-mismatch', path, message)
  if (opening.hash !== header.grant) mismatch(opening.path, 'the recording was opened under another grant')
  const { asset, policyHash } = opening.grant
  if (asset.hash !== header.asset || policyHash !== header.policy) {
    mismatch(opening.path, "the recording's asset or policy is another than the grant's")
  }
  for (const { path, grant } of grants) {
    const same =
      grant.deployment === header.deployment &&
      grant.recording === header.recording &&
      grant.session === header.session &&
      grant.site.id === header.site &&
      grant.gateway === header.gateway.id &&
      grant.account === header.account &&
      grant.person.pseudonym === header.user
    if (!same) mismatch(path, 'the grant is for another session, site, gateway, account or person')
    if ((grant.protocol === 'ssh') !== (header.media === 'asciicast-v2'))
      mismatch(path, 'the recording is of another kind than the protocol of the grant')
  }
  const { target } = header
  for (const { path, grant } of grants) {
    const own = pinOf(target)
    const pinned = grant.identities.some(
      (one) => one.fingerprint === own?.fingerprint && one.algorithm === own.algorithm,
    )
    const isKind = (grant.protocol === 'ssh') === (target.kind === 'ssh-host-key')
    if (!isKind || (!pinned && grant.identities.length > 0)) {
      findings.fail(CHECK, 'target-mismatch', path, 'the machine reached is not one that the grant pins')
    }
  }
}

function checkLater(opening: ReadGrant, later: ReadGrant, findings: Findings): void {
  const facts = ({ grant }: ReadGrant) =>
    JSON.stringify([
      grant.session,
      grant.recording,
      grant.gateway,
      grant.site.id,
      grant.asset.id,
      grant.endpoint,
      grant.protocol,
      grant.account,
      grant.person.id,
      grant.snapshotHash,
      grant.request.id,
    ])
  const ascends =
    later.grant.serial > opening.grant.serial && later.path === laterGrantPath(later.grant.serial)
  if (!ascends || facts(later) !== facts(opening)) {
    findings.fail(
      CHECK,
      'grant-mismatch',
      later.path,
      'it does not prolong the grant that opened the session',
    )
  }
}

function checkDocument(
  reader: IndexedPackage,
  path: string,
  expected: string | null,
  findings: Findings,
): void {
  if (reader.size(path) === null) {
    findings.fail(CHECK, 'package-file-missing', path, 'the file is missing')
    return
  }
  if (expected === null) return
  if (reader.digest(path)?.sha256 !== expected) {
    findings.fail(
      CHECK,
      'document-mismatch',
      path,
      'it is not the document that the recording names by its hash',
    )
  }
}
