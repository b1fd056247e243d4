import { sign } from 'node:crypto'
import {
  type ApprovalConstraints,
  type ApprovalRecord,
  approvalHash,
  type RequestSnapshot,
} from '../../broker/contract/approval-record.ts'
import { type AuditEntry, EVIDENCE_ACTIONS } from '../../broker/contract/audit-entry.ts'
import {
  checkpointBody,
  logOrigin,
  noteKeyId,
  noteSignatureLine,
  signedNote,
} from '../../broker/contract/checkpoint.ts'
import { hashOf, jcs, sha256 } from '../../broker/domain/canonical.ts'
import { type Grant, JWS_TYPES } from '../../broker/domain/grant.ts'
import { inclusionPath, leafHash, merkleRoot, splitPoint } from '../../broker/domain/merkle.ts'
import type { Stream } from '../../broker/domain/words.ts'
import { type AnchorHead, type AnchorProof, anchorTree } from '../../recordings/format/anchor.ts'
import { AsciicastEncoder } from '../../recordings/format/asciicast.ts'
import { dataKeyCommitment } from '../../recordings/format/data-key.ts'
import { type ChunkMeta, FrameSealer } from '../../recordings/format/frame-sealer.ts'
import { buildHeader, type SegmentHeader } from '../../recordings/format/header.ts'
import { jwsHash, signJws } from '../../recordings/format/jws.ts'
import type { Manifest, ManifestSegment, PackageList, Receipt } from '../../recordings/format/manifest.ts'
import {
  approvalPath,
  type EarlierLine,
  type EntryLine,
  keyPath,
  laterGrantPath,
  PACKAGE_FILES,
  segmentPath,
} from '../../recordings/format/package-layout.ts'
import type { TrustFile } from '../../recordings/format/trust.ts'
import { README } from '../../recordings/package/readme.ts'
import { type ForgedContent, ForgingSealer } from './fixture-frame.ts'
import { wrapByHand } from './fixture-jwe.ts'
import { bytesOf, type Ed25519Pair, ed25519, hashHex, idOf, p256, x25519 } from './fixture-keys.ts'
import { type AssertionChange, assertionOf, type Passkey, passkey } from './fixture-passkey.ts'

/** A small believable session with every key and random value fixed, as a map of package files. */
export const OPENS = Date.UTC(2026, 10, 24, 1, 0, 0)
export const CLOSES = Date.UTC(2026, 10, 24, 3, 0, 0)
const START = OPENS + 60_000
const iso = (ms: number) => new Date(ms).toISOString()

export const ids = {
  deployment: idOf('deployment'),
  site: idOf('site'),
  gateway: idOf('gateway'),
  recording: idOf('recording'),
  session: idOf('session'),
  asset: idOf('asset'),
  endpoint: idOf('endpoint'),
  request: idOf('request'),
  vendor: idOf('vendor'),
  requester: idOf('requester'),
  approver: idOf('approver'),
  second: idOf('second approver'),
  boot: idOf('boot'),
}

export const keys = {
  broker: ed25519('broker-1'),
  gateway: ed25519('gateway-1'),
  log: ed25519('log-1'),
  witness: ed25519('witness-1'),
  stranger: ed25519('stranger'),
  replay: p256('replay-1'),
  input: p256('input-1'),
  escrow: x25519('escrow-1'),
  recipient: p256('recipient-1'),
}

export const RP = { id: 'sallyport.example', origins: ['https://sallyport.example'] }
export const ORIGIN = logOrigin(ids.deployment, 1)
export const WITNESS = 'witness.example/w1'

const policy = { v: 1, rules: [{ criticality: 'C2', approvals: 1, roles: ['approver'] }] }
/** As much of an asset snapshot as a verifier reads, and a little for people. */
export interface FixtureAsset {
  v: 1
  id: string
  name: string
  type: string
  criticality: 'C1' | 'C2'
  rule: { id: string; need: number; roles: string[] } | null
}
function assetOf(plan: Plan): FixtureAsset {
  const asset: FixtureAsset = {
    v: 1,
    id: ids.asset,
    name: 'Packaging PLC 4',
    type: 'plc',
    criticality: 'C2',
    rule: { id: idOf('rule'), need: 1, roles: ['approver'] },
  }
  plan.asset?.(asset)
  return asset
}
const ticket = { v: 1, system: 'file', key: 'CHG-4711', title: 'Firmware 2.4 for line 4', state: 'approved' }

/** One chunk: its lines are written by `fill`. */
export interface ChunkPlan {
  t0: number
  t1: number
  fill?: (lines: AsciicastEncoder, header: SegmentHeader) => void
  /** What stands in place of lines. */
  content?: (header: SegmentHeader) => Buffer
  meta?: Partial<ChunkMeta>
  /** What the chunk really holds, from the lines that `fill` wrote. */
  forge?: (plain: Buffer) => ForgedContent
}
export interface SegmentPlan {
  stream: Stream
  number: number
  chunks: ChunkPlan[]
  /** Bytes that a crash left after the last chunk. */
  torn?: number
}

type Hook<T> = (value: T) => void

/** What a test or vector changes. Hooks run before the thing is sealed, hashed or signed, so one check alone fails. */
export interface Plan {
  recovered?: boolean
  extended?: boolean
  cosigned?: boolean
  segments?: Hook<SegmentPlan[]>
  header?: Hook<SegmentHeader>
  asset?: Hook<FixtureAsset>
  /** Seals the frames with another key than the one that header and wrap name. */
  sealKey?: Buffer
  /** The parts of a built segment file: the start, then its frames. */
  frames?: (parts: Buffer[], header: SegmentHeader) => Buffer[]
  wrapName?: (stream: Stream, segment: number) => number
  snapshot?: Hook<RequestSnapshot>
  constraints?: ApprovalConstraints
  assertion?: AssertionChange
  approval?: Hook<ApprovalRecord>
  /** The snapshot that asks for more time. */
  extension?: Hook<RequestSnapshot>
  approvers?: Approver[]
  /** Who approves the extension; the first approver when left out. */
  extenders?: { by: Approver; constraints: ApprovalConstraints }[]
  grant?: Hook<Grant>
  laterGrant?: Hook<Grant>
  /** The heads of each anchor, before the log takes their root. */
  anchored?: Hook<(AnchorHead | undefined)[][]>
  anchors?: Hook<AnchorProof[]>
  manifest?: Hook<Manifest>
  receipt?: Hook<Receipt>
  entries?: Hook<AuditEntry[]>
  /** The bytes of a log entry, before the log takes them in. */
  leafText?: (text: string, index: number) => string
  entryLines?: Hook<EntryLine[]>
  earlier?: Hook<EarlierLine[]>
  signers?: Partial<Record<'manifest' | 'receipt' | 'grant' | 'package' | 'log' | 'witness', Ed25519Pair>>
  /** Before package.jws lists the files. */
  files?: Hook<Map<string, Buffer>>
  list?: Hook<PackageList>
  /** After package.jws. */
  tamper?: Hook<Map<string, Buffer>>
  trust?: Hook<TrustFile>
  zip?: ZipPlan
}

/** What is wrong with the zip itself; each names a file. */
export interface ZipPlan {
  compressed?: string
  /** Stands in the zip twice. */
  twice?: string
  /** Has one bit flipped after the zip was made, so that its CRC-32 differs. */
  rotten?: string
  /** Of the whole zip. */
  comment?: string
  /** An entry that is a directory. */
  directory?: string
}

export interface Approver {
  passkey: Passkey | null
  who: ApprovalRecord['approver']
}

export function approverNamed(label: 'approver' | 'second', kind: Passkey['kind']): Approver {
  const name = label === 'approver' ? 'Ingrid Holm' : 'Ravi Menon'
  return {
    passkey: passkey(kind, label),
    who: {
      id: ids[label],
      issuer: 'https://idp.plant.example',
      subject: label,
      name,
      organisation: 'Nordfjord Packaging',
      role: 'approver',
    },
  }
}

export interface Fixture {
  files: Map<string, Buffer>
  trust: TrustFile
}

export async function makeFixture(plan: Plan = {}): Promise<Fixture> {
  const files = new Map<string, Buffer>()
  const signers = {
    ...keys,
    manifest: keys.gateway,
    receipt: keys.broker,
    grant: keys.broker,
    package: keys.broker,
    ...plan.signers,
  }
  const put = (path: string, content: Uint8Array | string) => files.set(path, Buffer.from(content as string))

  // The request, who approved it, and the grants.
  const asset = assetOf(plan)
  const snapshot = baseSnapshot(asset)
  plan.snapshot?.(snapshot)
  const approvers = plan.approvers ?? [approverNamed('approver', 'ES256'), approverNamed('second', 'EdDSA')]
  const base = approvers.map((one, at) => record(plan, one, snapshot, at))
  const extenders = plan.extenders ?? [{ by: approvers[0] as Approver, constraints: plan.constraints ?? {} }]
  const extensions = plan.extended
    ? extenders.map(({ by, constraints }, at) => extension({ ...plan, constraints }, by, snapshot, 9 + at))
    : []
  const grant = baseGrant(snapshot, base, asset)
  plan.grant?.(grant)
  const grantJws = await signJws(grant, JWS_TYPES.grant, signers.grant.kid, signers.grant.key)
  const later = plan.extended ? laterGrant(grant, extensions) : null
  if (later) plan.laterGrant?.(later)
  const laterJws = later && (await signJws(later, JWS_TYPES.grant, signers.grant.kid, signers.grant.key))
  put(PACKAGE_FILES.grant, grantJws)
  if (later && laterJws) put(laterGrantPath(later.serial), laterJws)
  for (const one of [...base, ...extensions])
    put(approvalPath(approvalHash(one.document)), JSON.stringify(one))

  // The recording.
  const segmentPlans = plannedSegments(plan)
  plan.segments?.(segmentPlans)
  const segments: ManifestSegment[] = []
  const heads: AnchorHead[] = []
  for (const one of segmentPlans) {
    const previous = segments.findLast((segment) => segment.stream === one.stream)
    const built = buildSegment(plan, one, previous?.last_c ?? null, jwsHash(grantJws))
    segments.push(built.segment)
    heads.push(...built.heads)
    files.set(segmentPath(one.stream, one.number), built.file)
    if (one.stream === 'screen') {
      const name = {
        recording: ids.recording,
        stream: one.stream,
        segment: plan.wrapName?.(one.stream, one.number) ?? one.number,
      }
      put(
        keyPath(one.stream, one.number),
        JSON.stringify(wrapByHand(dataKeyOf(one), name, [keys.recipient.pub])),
      )
    }
  }

  // Anchors: one in the middle, one at the end, each beside another gateway's recording.
  const anchored: (AnchorHead | undefined)[][] = plan.recovered
    ? [[heads[1]]]
    : [[heads[1]], [lastHead(heads, 'screen'), lastHead(heads, 'input')]]
  plan.anchored?.(anchored)
  const trees = anchored.map((own, at) => {
    const other: AnchorHead = {
      recording: idOf('other recording'),
      stream: 'screen',
      segment: at,
      seq: at,
      c: hashHex(`other ${at}`),
    }
    const tree = anchorTree([other, ...own.filter((head) => head !== undefined)])
    if (!tree) throw new Error('no heads')
    return { tree, own }
  })

  const manifest: Manifest = {
    v: 1,
    deployment: ids.deployment,
    site: ids.site,
    gateway: ids.gateway,
    recording: ids.recording,
    session: ids.session,
    ended: plan.recovered ? 'recovered' : 'clean',
    supersedes: null,
    session_end: plan.recovered ? 'gateway-stopped' : 'vendor-left',
    signed_at_ms: START + 700_000,
    segments,
    gaps: declaredGaps(segmentPlans, segments),
    discarded: [],
    hashes: {
      grants: [grantJws, laterJws].filter((jws) => jws !== null).map(jwsHash),
      approvals: [...base, ...extensions].map((one) => approvalHash(one.document)),
      ticket: hashOf(ticket),
      files: [],
    },
  }
  plan.manifest?.(manifest)
  const manifestJws = await signJws(manifest, JWS_TYPES.manifest, signers.manifest.kid, signers.manifest.key)
  put(PACKAGE_FILES.manifest, manifestJws)

  // The log.
  const entries: AuditEntry[] = [entry('request.created', START - 50_000)]
  entries.push(...base.map(approvalEntry))
  entries.push(entry('session.start', START, { details: { grant: jwsHash(grantJws) }, grant: grant.jti }))
  const anchorIndexes = trees.map(({ tree }, at) => {
    entries.push(anchorEntry(tree.root.toString('hex'), tree.size, START + 30_000 * (at + 1)))
    return entries.length - 1
  })
  if (later && laterJws) {
    entries.push(...extensions.map(approvalEntry))
    const details = { grant: jwsHash(laterJws), serial: later.serial }
    entries.push(entry('session.extend', START + 100_000, { details, grant: later.jti }))
  }
  entries.push(
    entry('session.end', START + 690_000, { details: { end: manifest.session_end }, grant: grant.jti }),
  )
  const ended = { manifest: jwsHash(manifestJws), ended: manifest.ended }
  entries.push(entry('recording.manifest', START + 701_000, { details: ended }))
  const sessionEntries = entries.length
  entries.push(entry('recording.export', START + 900_000), entry('request.created', START + 950_000))
  const first = entries.findIndex((one) => one.action === 'session.start')
  const last = entries.findIndex((one) => one.action === 'recording.manifest')
  plan.entries?.(entries)
  const receipt: Receipt = {
    v: 1,
    deployment: ids.deployment,
    recording: ids.recording,
    session: ids.session,
    manifest: jwsHash(manifestJws),
    first_index: first,
    last_index: last,
    signed_at_ms: START + 702_000,
  }
  plan.receipt?.(receipt)
  put(
    PACKAGE_FILES.receipt,
    await signJws(receipt, JWS_TYPES.receipt, signers.receipt.kid, signers.receipt.key),
  )

  const texts = entries.map((one, index) => {
    const text = Buffer.from(jcs(one)).toString('utf8')
    return plan.leafText?.(text, index) ?? text
  })
  const leaves = texts.map((text) => leafHash(Buffer.from(text)))
  const note = noteOf(leaves, signers.log)
  const lines: EntryLine[] = texts.slice(0, sessionEntries + 1).map((text, index) => ({
    index,
    entry: text,
    path: inclusionPath(leaves, index).map((node) => node.toString('hex')),
  }))
  plan.entryLines?.(lines)
  const earlier: EarlierLine[] = [3, first + 1].map((size) => ({
    note: noteOf(leaves.slice(0, size), signers.log),
    path: consistencyPath(leaves, size).map((node) => node.toString('hex')),
  }))
  plan.earlier?.(earlier)
  const proofs: AnchorProof[] = trees.flatMap(({ tree, own }, at) =>
    own.flatMap((head) => {
      const index = head ? tree.heads.indexOf(head) : -1
      if (!head || index < 0) return []
      const { size, path } = tree.proof(index)
      const { stream, segment, seq, c } = head
      const entry = anchorIndexes[at] as number
      return [{ entry, stream, segment, seq, c, index, size, path: path.map((node) => node.toString('hex')) }]
    }),
  )
  plan.anchors?.(proofs)
  const ndjson = (values: unknown[]) => values.map((value) => `${JSON.stringify(value)}\n`).join('')
  put(PACKAGE_FILES.entries, ndjson(lines))
  put(PACKAGE_FILES.anchors, ndjson(proofs))
  put(PACKAGE_FILES.checkpoint, note)
  put(PACKAGE_FILES.earlier, ndjson(earlier))
  if (plan.cosigned) put(PACKAGE_FILES.cosignatures, cosignature(note, signers.witness))

  put(PACKAGE_FILES.readme, README)
  put(PACKAGE_FILES.policy, jcs(policy))
  put(PACKAGE_FILES.asset, jcs(asset))
  put(PACKAGE_FILES.ticket, jcs(ticket))
  put(
    PACKAGE_FILES.custody,
    ndjson([{ v: 1, at: iso(START + 900_000), event: 'exported', by: 'Aud Itor', note: null }]),
  )
  plan.files?.(files)
  const list: PackageList = {
    v: 1,
    deployment: ids.deployment,
    recording: ids.recording,
    session: ids.session,
    purpose: 'Quarterly review of vendor access',
    recipient: { name: 'Aud Itor', kid: keys.recipient.pub.kid },
    created_at_ms: START + 900_000,
    files: [...files]
      .map(([path, content]) => ({ path, bytes: content.length, sha256: sha256(content).toString('hex') }))
      .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))),
  }
  plan.list?.(list)
  put(PACKAGE_FILES.package, await signJws(list, JWS_TYPES.package, signers.package.kid, signers.package.key))
  plan.tamper?.(files)

  const trust = trustOf()
  plan.trust?.(trust)
  return { files, trust }
}

export function trustOf(): TrustFile {
  const open = { from_index: 0, to_index: null }
  return {
    v: 1,
    deployment: ids.deployment,
    rp: RP,
    log: { origin: ORIGIN, keys: [{ x: keys.log.x, ...open }] },
    keys: [
      { kid: keys.broker.kid, use: 'broker', gateway: null, x: keys.broker.x, ...open },
      { kid: keys.gateway.kid, use: 'gateway', gateway: ids.gateway, x: keys.gateway.x, ...open },
    ],
    witnesses: [{ name: WITNESS, x: keys.witness.x }],
    checkpoints: [],
  }
}

function baseSnapshot(asset: FixtureAsset): RequestSnapshot {
  return {
    v: 1,
    deployment: ids.deployment,
    request: { id: ids.request, version: 1 },
    requester: {
      id: ids.requester,
      issuer: 'https://idp.vendor.example',
      subject: 'kim',
      name: 'Kim Sørensen',
      vendor: { id: ids.vendor, name: 'Packline GmbH' },
    },
    site: { id: ids.site, name: 'Nordfjord', timeZone: 'Europe/Oslo' },
    asset: { id: ids.asset, name: asset.name, criticality: asset.criticality, hash: hashOf(asset) },
    endpoint: ids.endpoint,
    protocol: 'ssh',
    account: 'service',
    features: ['clipboard-paste'],
    viewOnly: false,
    purpose: 'Firmware update to 2.4',
    ticket: { system: ticket.system, key: ticket.key, title: ticket.title, hash: hashOf(ticket) },
    window: { opensAt: iso(OPENS), closesAt: iso(CLOSES) },
    ending: { mode: 'operator-confirm', holdSeconds: 1800, inputDuringGrace: false },
    extension: null,
  }
}

function record(
  plan: Plan,
  { passkey: key, who }: Approver,
  snapshot: RequestSnapshot,
  at: number,
): ApprovalRecord {
  const document = {
    snapshot,
    constraints: { ...plan.constraints },
    decision: 'granted' as const,
    meaning: `I let ${snapshot.requester.name} reach ${snapshot.asset.name}.`,
    nonce: bytesOf(`nonce ${who.id} ${snapshot.extension?.id ?? ''}`).toString('base64url'),
  }
  const made: ApprovalRecord = {
    v: 1,
    id: idOf(`approval ${at} ${snapshot.extension?.id ?? ''}`),
    document,
    approver: who,
    method: key ? 'passkey' : 'password-totp',
    assertion: null,
    at: iso(START - 40_000 + at),
  }
  if (at === 0) plan.approval?.(made)
  if (key) made.assertion = assertionOf(key, made.document, RP, at === 0 ? plan.assertion : {})
  return made
}

function extension(plan: Plan, by: Approver, snapshot: RequestSnapshot, at: number): ApprovalRecord {
  const more = {
    ...snapshot,
    extension: {
      id: idOf('extension'),
      session: ids.session,
      of: hashOf(snapshot),
      closesAt: iso(CLOSES + 1_800_000),
      reason: 'Checksum test still running',
    },
  }
  plan.extension?.(more)
  return record({ ...plan, approval: () => {} }, by, more, at)
}

function baseGrant(snapshot: RequestSnapshot, approvals: ApprovalRecord[], asset: FixtureAsset): Grant {
  return {
    v: 1,
    jti: idOf('grant'),
    serial: 1,
    iat: START / 1000 - 1,
    exp: CLOSES / 1000,
    deployment: ids.deployment,
    session: ids.session,
    recording: ids.recording,
    gateway: ids.gateway,
    site: snapshot.site,
    asset: { ...snapshot.asset, hash: hashOf(asset) },
    endpoint: snapshot.endpoint,
    protocol: 'ssh',
    address: { host: '10.20.4.17', port: 22 },
    identities: [
      { algorithm: 'ssh-ed25519', fingerprint: 'SHA256:y7Tq0hWcZxkq0U3m0nJkzJc1s1i4yRk8v0r5mJp9cXo' },
    ],
    account: snapshot.account,
    features: ['clipboard-paste'],
    viewOnly: false,
    person: {
      id: snapshot.requester.id,
      pseudonym: 'p-5c1e',
      name: snapshot.requester.name,
      company: 'Packline GmbH',
    },
    request: { id: ids.request, version: 1, ticketKey: ticket.key, purpose: snapshot.purpose },
    snapshotHash: hashOf(snapshot),
    approvals: approvals.map((one) => approvalHash(one.document)),
    policyHash: hashOf(policy),
    ending: { ...snapshot.ending },
    idleSeconds: 900,
    browserHoldSeconds: 600,
    recordingKeys: { replay: keys.replay.pub, input: keys.input.pub, escrow: keys.escrow.pub },
  }
}

function laterGrant(grant: Grant, extensions: ApprovalRecord[]): Grant {
  return {
    ...grant,
    jti: idOf('later grant'),
    serial: 2,
    iat: START / 1000 + 100,
    exp: CLOSES / 1000 + 1800,
    approvals: [...grant.approvals, ...extensions.map((one) => approvalHash(one.document))],
  }
}

function dataKeyOf({ stream, number }: { stream: Stream; number: number }): Buffer {
  return bytesOf(`data key ${stream} ${number}`)
}

export { dataKeyOf }

const headerLine = (lines: AsciicastEncoder, header: SegmentHeader) =>
  lines.header({
    version: 2,
    width: 80,
    height: 24,
    timestamp: Math.floor(START / 1000),
    sallyport: {
      v: 1,
      recording: header.recording,
      stream: header.stream,
      segment: header.segment,
      person: { name: 'Kim Sørensen', company: 'Packline GmbH' },
      asset: 'Packaging PLC 4',
      site: 'Nordfjord',
    },
  })

function plannedSegments(plan: Plan): SegmentPlan[] {
  const out = (t0: number, t1: number, text: string, meta: Partial<ChunkMeta> = {}): ChunkPlan => ({
    t0,
    t1,
    meta,
    fill: (lines) => {
      lines.bytes('o', t0 * 1000, Buffer.from(text))
      if (t1 > t0) lines.bytes('o', t1 * 1000, Buffer.from('service@plc4:~$ '))
    },
  })
  const begin = (t0: number, keyframe = ''): ChunkPlan => ({
    t0,
    t1: t0,
    meta: { keyframe: true },
    fill: (lines, header) => {
      headerLine(lines, header)
      if (keyframe !== '') lines.text('o', t0 * 1000, keyframe)
    },
  })
  const typed = (t0: number, t1: number, text: string): ChunkPlan => ({
    t0,
    t1,
    fill: (lines) => lines.bytes('i', t0 * 1000, Buffer.from(text)),
  })
  const end = (t: number): ChunkPlan => ({ t0: t, t1: t, meta: { final: true } })
  const resize: ChunkPlan = {
    t0: 310_000,
    t1: 310_020,
    meta: { clockAnomaly: true },
    fill: (lines) => {
      lines.text('r', 310_000_500, '132x43')
      lines.text('m', 310_020_000, 'operator Ola Vik watches')
    },
  }
  const gap: ChunkPlan = { t0: 320_000, t1: 325_500, meta: { gap: true } }
  const long = 'Verifying block …\r\n'.repeat(60)
  const screen0: SegmentPlan = {
    stream: 'screen',
    number: 0,
    chunks: [
      begin(0, '\u001b[2J\u001b[H'),
      out(1_200, 2_000, 'Welcome to PLC 4 \u001b[1m"line 4"\u001b[0m\r\n'),
      out(60_000, 61_000, long, { deflate: true }),
      end(300_000),
    ],
  }
  const screen1: SegmentPlan = {
    stream: 'screen',
    number: 1,
    chunks: [
      begin(300_000, '\u001b[2J\u001b[H$ '),
      resize,
      gap,
      out(330_000, 600_000, 'grün ✓ 完了\r\n', { final: true }),
    ],
  }
  const input: SegmentPlan[] = [
    { stream: 'input', number: 0, chunks: [begin(0), typed(1_500, 1_900, 'uname -a\r'), end(300_000)] },
    {
      stream: 'input',
      number: 1,
      chunks: [begin(300_000), typed(330_000, 590_000, 'flash --verify\r'), end(600_000)],
    },
  ]
  if (plan.recovered) {
    screen1.chunks.pop()
    screen1.torn = 61
    input[1]?.chunks.pop()
  }
  return [screen0, screen1, ...input]
}

function buildSegment(plan: Plan, segmentPlan: SegmentPlan, prev: string | null, grant: string) {
  const { stream, number } = segmentPlan
  const key = dataKeyOf(segmentPlan)
  const start = segmentPlan.chunks[0]?.t0 ?? 0
  const header: SegmentHeader = {
    v: 1,
    deployment: ids.deployment,
    site: ids.site,
    recording: ids.recording,
    session: ids.session,
    stream,
    segment: number,
    prev,
    grant,
    policy: hashOf(policy),
    asset: hashOf(assetOf(plan)),
    target: {
      kind: 'ssh-host-key',
      algorithm: 'ssh-ed25519',
      fingerprint: 'SHA256:y7Tq0hWcZxkq0U3m0nJkzJc1s1i4yRk8v0r5mJp9cXo',
    },
    user: 'p-5c1e',
    account: 'service',
    gateway: { id: ids.gateway, version: '0.1.0', boot: ids.boot },
    clock: { wall_ms: START + start, t_ms: start, source: 'system', offset_ms: -12 },
    media: 'asciicast-v2',
    sampling_ms: 0,
    dek_commitment: dataKeyCommitment(key),
    key_object: `${stream}-${number}.jwe`,
  }
  plan.header?.(header)
  const built = buildHeader(header)
  let frame = 0
  const nonce = (into: Buffer) => void bytesOf(`frame nonce ${stream} ${number} ${frame++}`, 12).copy(into)
  const isForged = segmentPlan.chunks.some(({ forge }) => forge)
  const sealer = new (isForged ? ForgingSealer : FrameSealer)(plan.sealKey ?? key, built.hh, nonce)
  const heads: AnchorHead[] = []
  const lines = new AsciicastEncoder()
  const frames = segmentPlan.chunks.map(({ t0, t1, fill, content, meta, forge }) => {
    fill?.(lines, header)
    const plain = content?.(header) ?? lines.view()
    const sealed = sealer.seal(plain, { t0Ms: t0, t1Ms: t1, ...meta }, forge?.(plain))
    lines.clear()
    heads.push({
      recording: ids.recording,
      stream,
      segment: number,
      seq: sealed.seq,
      c: sealed.c.toString('hex'),
    })
    return Buffer.concat(sealed.parts)
  })
  const good = Buffer.concat([built.bytes, ...frames])
  const torn = bytesOf('torn', segmentPlan.torn ?? 0)
  const parts = [built.bytes, ...frames, torn]
  const segment: ManifestSegment = {
    stream,
    number,
    bytes: good.length,
    sha256: sha256(good).toString('hex'),
    hh: built.hh.toString('hex'),
    last_c: sealer.head.toString('hex'),
    chunks: sealer.chunks,
    final: sealer.closed,
    torn_bytes: torn.length,
  }
  return { segment, heads, file: Buffer.concat(plan.frames?.(parts, header) ?? parts) }
}

function lastHead(heads: AnchorHead[], stream: Stream): AnchorHead | undefined {
  return heads.findLast((head) => head.stream === stream)
}

function declaredGaps(plans: SegmentPlan[], segments: ManifestSegment[]): Manifest['gaps'] {
  return plans.flatMap(({ stream, number, chunks }, at) => {
    const inside = chunks.flatMap(({ t0, t1, meta }, seq) =>
      meta?.gap ? [{ stream, segment: number, seq, t0_ms: t0, t1_ms: t1, reason: 'spool full' }] : [],
    )
    const segment = segments[at]
    const lastT1 = chunks.at(-1)?.t1 ?? 0
    const cut = {
      stream,
      segment: number,
      seq: chunks.length,
      t0_ms: lastT1,
      t1_ms: lastT1,
      reason: 'gateway stopped',
    }
    return segment?.final ? inside : [...inside, cut]
  })
}

function entry(
  action: string,
  at: number,
  more: { details?: AuditEntry['details']; grant?: string } = {},
): AuditEntry {
  return {
    v: 1,
    id: idOf(`entry ${action} ${at}`),
    type: action.split('.')[0] as string,
    action,
    actor: { kind: 'broker', id: 'broker-1', name: null, organisation: null },
    authentication: null,
    source: null,
    object: { kind: 'session', id: ids.session },
    result: 'ok',
    reason: null,
    before: null,
    after: null,
    correlation: {
      request: ids.request,
      grant: more.grant ?? null,
      session: ids.session,
      recording: ids.recording,
      ticket: ticket.key,
    },
    time: iso(at),
    clock: 'ok',
    node: 'broker-1',
    boot: idOf('broker boot'),
    policy: hashOf(policy),
    details: more.details ?? {},
  }
}

function approvalEntry({ document, approver, assertion, at }: ApprovalRecord): AuditEntry {
  const key = assertion && sha256(Buffer.from(assertion.publicKey, 'base64url')).toString('hex')
  const made = entry(EVIDENCE_ACTIONS.approvalGranted, Date.parse(at), {
    details: { approval: approvalHash(document), ...(key ? { key } : {}) },
  })
  return {
    ...made,
    actor: { kind: 'person', id: approver.id, name: approver.name, organisation: approver.organisation },
    authentication: { method: 'passkey', credential: assertion?.credentialId ?? null, at },
    source: '10.1.2.3',
    object: { kind: 'request', id: ids.request },
    correlation: { ...made.correlation, session: null, recording: null },
  }
}

function anchorEntry(root: string, size: number, at: number): AuditEntry {
  return {
    ...entry(EVIDENCE_ACTIONS.anchor, at, { details: { root, size } }),
    actor: { kind: 'gateway', id: ids.gateway, name: 'gw-nordfjord-1', organisation: null },
    object: { kind: 'gateway', id: ids.gateway },
    correlation: { request: null, grant: null, session: null, recording: null, ticket: null },
  }
}

/** A signed checkpoint over leaf hashes. */
export function noteOf(leaves: Buffer[], log: Ed25519Pair): string {
  const body = checkpointBody({ origin: ORIGIN, size: leaves.length, root: merkleRoot(leaves) })
  const signature = sign(null, Buffer.from(body), log.key)
  return signedNote(body, [noteSignatureLine({ name: ORIGIN, publicKey: log.raw }, signature)])
}

function cosignature(note: string, witness: Ed25519Pair): string {
  const body = note.slice(0, note.indexOf('\n\n') + 1)
  const seconds = START / 1000 + 1000
  const time = Buffer.alloc(8)
  time.writeBigUInt64BE(BigInt(seconds))
  const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${seconds}\n${body}`), witness.key)
  const id = noteKeyId({ name: WITNESS, publicKey: keys.witness.raw }, 4)
  return `\u2014 ${WITNESS} ${Buffer.concat([id, time, signature]).toString('base64')}\n`
}

/** RFC 6962 section 2.1.2, PROOF(m, D[n]). */
export function consistencyPath(leaves: Buffer[], from: number): Buffer[] {
  const proof = (m: number, part: Buffer[], whole: boolean): Buffer[] => {
    if (m === part.length) return whole ? [] : [merkleRoot(part)]
    const k = splitPoint(part.length)
    return m <= k
      ? [...proof(m, part.slice(0, k), whole), merkleRoot(part.slice(k))]
      : [...proof(m - k, part.slice(k), false), merkleRoot(part.slice(0, k))]
  }
  return proof(from, leaves, true)
}
