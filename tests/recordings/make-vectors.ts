import { sign } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { ZipFile } from 'yazl'
import { type AnchorHead, anchorLeaf } from '../../broker/contract/anchor.ts'
import {
  type ApprovalRecord,
  approvalChallenge,
  approvalHash,
} from '../../broker/contract/approval-record.ts'
import { checkpointBody, noteKeyId } from '../../broker/contract/checkpoint.ts'
import { hashOf, jcs, sha256 } from '../../broker/domain/canonical.ts'
import { inclusionPath, leafHash, merkleRoot } from '../../broker/domain/merkle.ts'
import { anchorTree } from '../../recordings/format/anchor.ts'
import { dataKeyCommitment } from '../../recordings/format/data-key.ts'
import { FrameOpener } from '../../recordings/format/frame-opener.ts'
import { escapeJson } from '../../recordings/format/json-escape.ts'
import { PACKAGE_FILES, segmentPath } from '../../recordings/format/package-layout.ts'
import { SegmentReader } from '../../recordings/format/segment-reader.ts'
import { CASES } from './cases/index.ts'
import {
  consistencyPath,
  dataKeyOf,
  type Fixture,
  ids,
  keys,
  makeFixture,
  ORIGIN,
  trustOf,
  type ZipPlan,
} from './fixture.ts'
import { wrapByHand } from './fixture-jwe.ts'
import { hashHex, idOf } from './fixture-keys.ts'
import { keepSignatures } from './fixture-passkey.ts'

/**
 * The frozen test vectors of docs/evidence-format.md: `node tests/recordings/make-vectors.ts` writes them, and
 * vectors.test.ts makes them again and compares. They change only together with an ADR.
 */
export const VECTORS = new URL('./vectors/', import.meta.url)
const MADE = new Date(Date.UTC(2026, 10, 24))
const EXIT = { VALID: 0, 'VALID-TRUNCATED': 1, INVALID: 2 } as const

export interface VectorCase {
  name: string
  package: string
  trust: string
  verdict: string
  exit: number
  /** Failing checks, each with a reason that must be among those found. */
  fails: Record<string, string>
  /** Checks that are absent, each with its reason. */
  absent: Record<string, string>
}

export interface Vectors {
  /** JSON and text files by name. */
  texts: Map<string, string>
  packages: Map<string, Map<string, Buffer>>
  /** What is wrong with the zip of a package, by the package's name. */
  zips: Map<string, ZipPlan>
}

export async function makeVectors(): Promise<Vectors> {
  const texts = new Map<string, string>()
  const packages = new Map<string, Map<string, Buffer>>()
  const zips = new Map<string, ZipPlan>()
  const json = (name: string, value: unknown) => texts.set(name, `${JSON.stringify(value, null, 1)}\n`)
  const usual = JSON.stringify(trustOf())
  const index: VectorCase[] = []
  for (const { name, plan, verdict, fails, absent } of CASES) {
    const { files, trust } = await makeFixture(plan)
    packages.set(`packages/${name}.zip`, files)
    if (plan.zip) zips.set(`packages/${name}.zip`, plan.zip)
    const own = JSON.stringify(trust) === usual ? 'keys.json' : `packages/${name}.keys.json`
    if (own !== 'keys.json') json(own, trust)
    index.push({
      name,
      package: `packages/${name}.zip`,
      trust: own,
      verdict,
      exit: EXIT[verdict],
      fails,
      absent,
    })
  }
  json('keys.json', trustOf())
  json('recipient.jwk', keys.recipient.priv)
  json('index.json', { key: 'recipient.jwk', cases: index })
  json('primitives.json', await primitives())
  return { texts, packages, zips }
}

/** Every hash input and derived value of the document, one by one. */
async function primitives() {
  const fixture = await makeFixture({})
  return {
    about: 'All binary values are lower-case hex. Text inputs are UTF-8.',
    jcs: [
      { b: 1, a: [true, null, 'é\u0007"\\/\n\u007f'] },
      { '': -5, A: 9007199254740991 },
    ].map((value) => ({
      value,
      text: Buffer.from(jcs(value)).toString('utf8'),
      sha256: hashOf(value),
    })),
    escapes: ['1b5b33316d2278225c0d0a', 'e282ac', 'ff41c0af', 'e28241', 'efbbbf41', 'f09f9880f0'].map(
      (hex) => {
        const bytes = Buffer.from(hex, 'hex')
        const out = Buffer.alloc(bytes.length * 6)
        return { bytes: hex, json: out.subarray(0, escapeJson(bytes, out, 0)).toString('utf8') }
      },
    ),
    merkle: merkle(),
    anchor: anchor(),
    approval: approval(fixture),
    checkpoint: checkpoint(),
    segments: [
      { stream: 'screen', number: 0 } as const,
      { stream: 'screen', number: 1 } as const,
      { stream: 'input', number: 0 } as const,
    ].map((one) => segment(fixture, one)),
    wrap: {
      recording: ids.recording,
      stream: 'screen',
      segment: 0,
      data_key: dataKeyOf({ stream: 'screen', number: 0 }).toString('hex'),
      recipients: [keys.replay.priv, keys.escrow.priv],
      jwe: wrapByHand(
        dataKeyOf({ stream: 'screen', number: 0 }),
        { recording: ids.recording, stream: 'screen', segment: 0 },
        [keys.replay.pub, keys.escrow.pub],
      ),
    },
  }
}

function merkle() {
  const entries = Array.from({ length: 7 }, (_, n) => Buffer.from(`entry ${n}`))
  const leaves = entries.map(leafHash)
  return {
    leaves: entries.map((one) => one.toString('hex')),
    roots: [0, 1, 2, 3, 7].map((size) => ({ size, root: merkleRoot(leaves.slice(0, size)).toString('hex') })),
    inclusion: [0, 3, 6].map((index) => ({
      index,
      size: 7,
      path: inclusionPath(leaves, index).map((node) => node.toString('hex')),
    })),
    consistency: [1, 3, 4, 7].map((from) => ({
      from,
      to: 7,
      path: consistencyPath(leaves, from).map((node) => node.toString('hex')),
    })),
  }
}

function anchor() {
  const heads: AnchorHead[] = [
    { recording: ids.recording, stream: 'input', segment: 1, seq: 2, c: hashHex('c 1') },
    { recording: ids.recording, stream: 'screen', segment: 0, seq: 300, c: hashHex('c 0') },
    { recording: idOf('other recording'), stream: 'screen', segment: 7, seq: 0, c: hashHex('c 2') },
  ]
  const tree = anchorTree(heads)
  if (!tree) throw new Error('no heads')
  return {
    heads: heads.map((head) => ({ ...head, leaf: anchorLeaf(head).toString('hex') })),
    root: tree.root.toString('hex'),
    order: tree.heads.map((head) => heads.indexOf(head)),
    proofs: tree.heads.map((_, at) => {
      const { index, size, path } = tree.proof(at)
      return { index, size, path: path.map((node) => node.toString('hex')) }
    }),
  }
}

function approval({ files, trust }: Fixture) {
  const path = [...files.keys()].find((one) => one.startsWith('approvals/')) as string
  const record = JSON.parse((files.get(path) as Buffer).toString('utf8')) as ApprovalRecord
  return {
    rp: trust.rp,
    record,
    document_jcs: Buffer.from(jcs(record.document)).toString('utf8'),
    challenge: approvalChallenge(record.document).toString('hex'),
    approval_hash: approvalHash(record.document),
    snapshot_hash: hashOf(record.document.snapshot),
  }
}

function checkpoint() {
  const body = checkpointBody({ origin: ORIGIN, size: 3, root: Buffer.from(hashHex('root'), 'hex') })
  return {
    body,
    origin: ORIGIN,
    log_key: keys.log.raw.toString('hex'),
    key_id: noteKeyId({ name: ORIGIN, publicKey: keys.log.raw }).toString('hex'),
    signature: sign(null, Buffer.from(body), keys.log.key).toString('hex'),
    cosigner_key_id: noteKeyId({ name: ORIGIN, publicKey: keys.log.raw }, 4).toString('hex'),
  }
}

function segment({ files }: Fixture, { stream, number }: { stream: 'screen' | 'input'; number: number }) {
  const path = segmentPath(stream, number)
  const key = dataKeyOf({ stream, number })
  const reader = new SegmentReader()
  reader.push(files.get(path) as Buffer)
  const opener = new FrameOpener(key)
  return {
    package: 'packages/valid.zip',
    path,
    data_key: key.toString('hex'),
    dek_commitment: dataKeyCommitment(key),
    hh: reader.hh?.toString('hex'),
    frames: reader.frames().map((frame) => {
      const plain = opener.open(frame)
      return {
        offset: frame.offset,
        seq: frame.seq,
        flags: frame.flags,
        t0_ms: frame.t0Ms,
        t1_ms: frame.t1Ms,
        plain_len: frame.plainLength,
        nonce: frame.nonce.toString('hex'),
        p: frame.p.toString('hex'),
        c: frame.c.toString('hex'),
        plain_sha256: plain.ok ? sha256(plain.value).toString('hex') : null,
      }
    }),
  }
}

/** A zip of these files, stored, but for what the plan says. */
export async function zipOf(files: Map<string, Buffer>, plan: ZipPlan = {}): Promise<Buffer> {
  const zip = new ZipFile()
  for (const [path, content] of files) {
    const options = {
      compress: path === plan.compressed,
      mtime: MADE,
      mode: 0o100644,
    }
    zip.addBuffer(content, path, options)
    if (path === plan.twice) zip.addBuffer(content, path, options)
  }
  if (plan.directory !== undefined) zip.addEmptyDirectory(plan.directory, { mtime: MADE })
  zip.end({ comment: plan.comment ?? '', forceZip64Format: false })
  const pieces: Buffer[] = []
  for await (const piece of zip.outputStream) pieces.push(piece as Buffer)
  const whole = Buffer.concat(pieces)
  const rotten = plan.rotten === undefined ? undefined : files.get(plan.rotten)
  if (rotten) rot(whole.subarray(whole.indexOf(rotten), whole.indexOf(rotten) + rotten.length))
  return whole
}

/** Flips a bit of a file's last byte but one: what stands before it is whole. */
export function rot(bytes: Buffer): void {
  const at = bytes.length - 2
  bytes[at] = (bytes[at] as number) ^ 1
}

async function write(): Promise<void> {
  const { texts, packages, zips } = await makeVectors()
  keepSignatures()
  rmSync(new URL('packages/', VECTORS), { recursive: true, force: true })
  mkdirSync(new URL('packages/', VECTORS), { recursive: true })
  for (const [name, text] of texts) writeFileSync(new URL(name, VECTORS), text)
  for (const [name, files] of packages)
    writeFileSync(new URL(name, VECTORS), await zipOf(files, zips.get(name)))
  console.log(`${packages.size} packages, ${texts.size} documents; ${PACKAGE_FILES.package} signed in each`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await write()
