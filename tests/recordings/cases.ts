import { sha256 } from '../../broker/domain/canonical.ts'
import { FrameSealer } from '../../recordings/format/frame-sealer.ts'
import { buildHeader } from '../../recordings/format/header.ts'
import type { ManifestSegment } from '../../recordings/format/manifest.ts'
import {
  approvalPath,
  keyPath,
  laterGrantPath,
  PACKAGE_FILES,
  segmentPath,
} from '../../recordings/format/package-layout.ts'
import { exampleHeader } from '../../recordings/format/testing/example-header.ts'
import type { CheckName, Verdict } from '../../recordings/verify/report.ts'
import {
  approverNamed,
  CLOSES,
  type FixtureAsset,
  ids,
  keys,
  noteOf,
  OPENS,
  type Plan,
  type SegmentPlan,
} from './fixture.ts'
import { bytesOf, hashHex, idOf } from './fixture-keys.ts'
import { passkey } from './fixture-passkey.ts'

/**
 * Packages that are whole, and packages that each break one rule: signed again after the change wherever an attacker
 * with that key could have, so that the check in question has to find it. `fails` lists every check that fails, with
 * its first code. The same table makes the frozen vectors.
 */
export interface Case {
  name: string
  plan: Plan
  verdict: Verdict
  fails: Partial<Record<CheckName, string>>
}

const invalid = (name: string, fails: Case['fails'], plan: Plan): Case => ({
  name,
  plan,
  verdict: 'INVALID',
  fails,
})
const valid = (name: string, plan: Plan, verdict: Verdict = 'VALID'): Case => ({
  name,
  plan,
  verdict,
  fails: {},
})

const SCREEN0 = segmentPath('screen', 0)
const SCREEN1 = segmentPath('screen', 1)

/** Changes the frames of one segment after it was sealed; the list of files is signed over the result. */
function reframed(segment: number, change: (parts: Buffer[]) => Buffer[]): Plan {
  return {
    frames: (parts, header) =>
      header.stream === 'screen' && header.segment === segment ? change(parts) : parts,
  }
}

function flipped(part: Buffer | undefined, at: number): Buffer {
  const copy = Buffer.from(part ?? [])
  const index = at < 0 ? copy.length + at : at
  copy[index] = (copy[index] as number) ^ 1
  return copy
}

function swapped<T>(parts: T[], a: number, b: number): T[] {
  const copy = [...parts]
  ;[copy[a], copy[b]] = [copy[b] as T, copy[a] as T]
  return copy
}

/** Frame 1 of another recording: same key, number, times and content, sealed under another header. */
function foreignFrame(): Buffer {
  const header = buildHeader(exampleHeader(bytesOf('foreign')))
  const sealer = new FrameSealer(
    bytesOf('foreign'),
    header.hh,
    (into) => void bytesOf('foreign nonce', 12).copy(into),
  )
  sealer.seal(Buffer.from('first\n'), { t0Ms: 0, t1Ms: 0, keyframe: true })
  return Buffer.concat(sealer.seal(Buffer.from('x'.repeat(98)), { t0Ms: 1_200, t1Ms: 2_000 }).parts)
}

const onSegment =
  (stream: string, number: number, change: (plan: SegmentPlan) => void) => (plans: SegmentPlan[]) => {
    const found = plans.find((plan) => plan.stream === stream && plan.number === number)
    if (found) change(found)
  }

/** The start of a segment file with other header JSON. */
function reworded(part: Buffer | undefined, from: string, to: string): Buffer {
  const json = Buffer.from((part ?? Buffer.alloc(8)).subarray(8).toString().replace(from, to))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([Buffer.from('SPR1'), length, json])
}

/** A frame with another u32 written at a place of its header. */
function overwritten(part: Buffer | undefined, at: number, value: number): Buffer {
  const copy = Buffer.from(part ?? [])
  copy.writeUInt32BE(value, at)
  return copy
}

const onFirstApproval = (change: (text: string) => string) => (files: Map<string, Buffer>) => {
  const path = [...files.keys()].find((name) => name.startsWith('approvals/')) as string
  files.set(path, Buffer.from(change((files.get(path) as Buffer).toString())))
}

const ruled = (need: number, role: string) => (asset: FixtureAsset) => {
  asset.rule = { id: idOf('rule'), need, roles: [role] }
}

const endsAt =
  (ms: number): NonNullable<Plan['laterGrant']> =>
  (grant) => {
    grant.exp = ms / 1000
  }

const extendedByTwo: Plan = {
  extended: true,
  extenders: [
    { by: approverNamed('approver', 'ES256'), constraints: {} },
    {
      by: approverNamed('second', 'EdDSA'),
      constraints: { closesAt: new Date(CLOSES + 900_000).toISOString() },
    },
  ],
}

export const CASES: Case[] = [
  valid('valid', {}),
  valid('valid-extended', { extended: true }),
  valid('valid-cosigned', { cosigned: true }),
  valid('valid-rs256', { approvers: [{ ...approverNamed('approver', 'RS256') }] }),
  valid('valid-password-approval', { approvers: [{ ...approverNamed('approver', 'ES256'), passkey: null }] }),
  valid('valid-known-checkpoint', {
    files(files) {
      const [first] = (files.get(PACKAGE_FILES.earlier) as Buffer).toString().split('\n')
      kept = (JSON.parse(first as string) as { note: string }).note
    },
    trust: (trust) => {
      trust.checkpoints = [kept]
    },
  }),
  valid('valid-c1-two-approvers', {
    asset: (asset) => {
      asset.criticality = 'C1'
    },
  }),
  // Two approvers of one extension: the one who gave less time counts.
  valid('valid-extended-by-two', { ...extendedByTwo, laterGrant: endsAt(CLOSES + 900_000) }),
  valid('valid-no-anchors', { anchors: (lines) => void lines.splice(0) }),
  valid(
    'valid-discarded-segment',
    {
      recovered: true,
      manifest: (m) => {
        m.discarded = [{ stream: 'screen', number: 2, bytes: 7 }]
      },
    },
    'VALID-TRUNCATED',
  ),
  valid('truncated-recovered', { recovered: true }, 'VALID-TRUNCATED'),

  // 1 package
  invalid(
    'package-file-changed',
    { package: 'package-file-changed' },
    {
      tamper: (files) => files.set(PACKAGE_FILES.readme, Buffer.from('another text')),
    },
  ),
  invalid(
    'package-file-extra',
    { package: 'package-file-extra', content: 'wrap-malformed' },
    {
      tamper: (files) => files.set(keyPath('input', 0), Buffer.from('{}')),
    },
  ),
  invalid(
    'package-file-missing',
    { package: 'package-file-missing' },
    {
      tamper: (files) => files.delete(PACKAGE_FILES.readme),
    },
  ),
  invalid(
    'package-signature',
    { package: 'jws-signature' },
    {
      signers: { package: { ...keys.broker, key: keys.stranger.key } },
    },
  ),
  invalid('package-key-unknown', { package: 'key-unknown' }, { signers: { package: keys.stranger } }),
  invalid(
    'package-unknown-field',
    { package: 'jws-unknown-field' },
    {
      list: (list) => Object.assign(list, { extra: 1 }),
    },
  ),
  invalid('package-unsorted', { package: 'package-list' }, { list: (list) => void list.files.reverse() }),
  invalid(
    'custody-malformed',
    { package: 'custody-malformed' },
    {
      files: (files) => files.set(PACKAGE_FILES.custody, Buffer.from('{"v":1}\n')),
    },
  ),

  invalid(
    'custody-fraction',
    { package: 'custody-malformed' },
    {
      files: (files) => {
        const line = (files.get(PACKAGE_FILES.custody) as Buffer).toString()
        files.set(PACKAGE_FILES.custody, Buffer.from(line.replace('"v":1', '"v":1.0')))
      },
    },
  ),
  invalid(
    'package-name',
    { package: 'package-name' },
    { files: (files) => files.set('README.html', Buffer.from('<p>')) },
  ),
  invalid(
    'package-size',
    { package: 'package-size' },
    { files: (files) => files.set(PACKAGE_FILES.readme, Buffer.alloc(1024 * 1024 + 1)) },
  ),
  invalid('package-compressed', { package: 'package-compressed' }, { compressed: PACKAGE_FILES.readme }),

  // 2 manifest
  invalid(
    'receipt-no-jws',
    { manifest: 'jws-malformed', authority: 'grant-entry-missing' },
    { files: (files) => files.set(PACKAGE_FILES.receipt, Buffer.from('receipt')) },
  ),
  invalid(
    'receipt-missing',
    { package: 'package-file-missing', manifest: 'package-file-missing', authority: 'grant-entry-missing' },
    { files: (files) => files.delete(PACKAGE_FILES.receipt) },
  ),
  invalid(
    'receipt-without-algorithm',
    { manifest: 'jws-header', authority: 'grant-entry-missing' },
    {
      files: (files) => {
        const parts = (files.get(PACKAGE_FILES.receipt) as Buffer).toString().split('.')
        const header = { alg: 'none', typ: 'sallyport-receipt+jws', kid: keys.broker.kid }
        parts[0] = Buffer.from(JSON.stringify(header)).toString('base64url')
        files.set(PACKAGE_FILES.receipt, Buffer.from(parts.join('.')))
      },
    },
  ),
  invalid(
    'receipt-of-another-version',
    { manifest: 'jws-payload', authority: 'grant-entry-missing' },
    { receipt: (receipt) => void Object.assign(receipt, { v: 2 }) },
  ),
  invalid('manifest-wrong-key', { manifest: 'key-unknown' }, { signers: { manifest: keys.stranger } }),
  invalid(
    'manifest-signature',
    { manifest: 'jws-signature' },
    {
      signers: { manifest: { ...keys.gateway, key: keys.stranger.key } },
    },
  ),
  invalid('manifest-by-broker-key', { manifest: 'key-unknown' }, { signers: { manifest: keys.broker } }),
  invalid(
    'manifest-key-revoked',
    { manifest: 'key-unknown' },
    {
      trust: (trust) => {
        for (const key of trust.keys) if (key.use === 'gateway') key.to_index = 2
      },
    },
  ),
  invalid(
    'receipt-for-another-manifest',
    { manifest: 'receipt-mismatch' },
    {
      receipt: (receipt) => {
        receipt.manifest = hashHex('another manifest')
      },
    },
  ),
  invalid(
    'receipt-of-another-session',
    { manifest: 'identifiers-differ' },
    {
      receipt: (receipt) => {
        receipt.session = idOf('another session')
      },
    },
  ),
  invalid(
    'another-deployment',
    { manifest: 'identifiers-differ' },
    {
      trust: (trust) => {
        trust.deployment = idOf('another deployment')
      },
    },
  ),
  invalid(
    'manifest-as-receipt',
    { manifest: 'jws-type', authority: 'grant-entry-missing' },
    {
      files: (files) => files.set(PACKAGE_FILES.receipt, files.get(PACKAGE_FILES.manifest) as Buffer),
    },
  ),

  // 3 chain
  invalid(
    'chunk-altered',
    { chain: 'chunk-altered', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, flipped(parts[2], 60))),
  ),
  invalid(
    'chunk-missing',
    { chain: 'chunk-missing', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.toSpliced(2, 1)),
  ),
  invalid(
    'chunk-reordered',
    { chain: 'chunk-reordered', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => swapped(parts, 2, 3)),
  ),
  invalid(
    'chunk-foreign',
    { chain: 'chunk-foreign', anchors: 'anchor-head-missing' },
    {
      ...reframed(0, (parts) => parts.with(2, foreignFrame())),
    },
  ),
  invalid(
    'segment-foreign',
    { chain: 'segment-foreign', content: 'wrap-wrong-segment', authority: 'grant-mismatch' },
    {
      header: (header) => {
        if (header.stream === 'screen') header.recording = idOf('another recording')
      },
    },
  ),
  invalid(
    'segment-link',
    { chain: 'segment-link' },
    {
      header: (header) => {
        if (header.segment === 1 && header.stream === 'screen') header.prev = hashHex('another chain')
      },
    },
  ),
  invalid(
    'segment-left-out',
    { chain: 'segment-number', anchors: 'anchor-head-missing' },
    {
      manifest: (m) => {
        m.segments = m.segments.filter((segment) => segment.stream !== 'screen' || segment.number !== 0)
      },
      files: (files) => files.delete(SCREEN0),
    },
  ),
  invalid(
    'segment-undeclared',
    { chain: 'segment-undeclared' },
    {
      files: (files) => files.set(segmentPath('input', 2), files.get(segmentPath('input', 1)) as Buffer),
    },
  ),
  invalid(
    'segment-missing',
    { chain: 'segment-missing', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    {
      files: (files) => files.delete(SCREEN1),
    },
  ),
  invalid(
    'final-missing',
    { chain: 'final-missing' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const last = plan.chunks.at(-1)
        if (last) last.meta = { ...last.meta, final: false }
      }),
    },
  ),
  invalid(
    'final-claimed',
    { chain: 'final-missing', gaps: 'gap-unfounded' },
    {
      recovered: true,
      manifest: (m) => {
        for (const segment of m.segments) segment.final = true
        for (const segment of m.segments) segment.torn_bytes = 0
      },
      frames: (parts) => parts.slice(0, -1),
    },
  ),
  invalid(
    'torn-bytes-undeclared',
    { chain: 'segment-length' },
    {
      recovered: true,
      manifest: (m) => {
        for (const segment of m.segments) segment.torn_bytes = 0
      },
    },
  ),
  invalid(
    'segment-cut',
    { chain: 'segment-cut' },
    {
      recovered: true,
      manifest: (m) => {
        const torn = m.segments.find((segment) => segment.torn_bytes > 0)
        if (torn) {
          torn.bytes += 5
          torn.torn_bytes -= 5
        }
      },
    },
  ),
  invalid(
    'segment-hash',
    { chain: 'segment-hash' },
    {
      manifest: (m) => {
        ;(m.segments[0] as { sha256: string }).sha256 = hashHex('other')
      },
    },
  ),
  invalid(
    'segment-last-chain',
    { chain: 'segment-last-chain' },
    {
      manifest: (m) => {
        ;(m.segments[3] as { last_c: string }).last_c = hashHex('other')
      },
    },
  ),
  invalid(
    'segment-inconsistent',
    { chain: 'segment-inconsistent' },
    {
      header: (header) => {
        if (header.stream === 'input') header.account = 'root'
      },
    },
  ),
  invalid(
    'header-unknown-field',
    { chain: 'header-unknown-field', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => {
      const json = (parts[0] as Buffer).subarray(8).toString().replace(/\}$/, ',"zz":1}')
      const length = Buffer.alloc(4)
      length.writeUInt32BE(json.length)
      return parts.with(0, Buffer.concat([Buffer.from('SPR1'), length, Buffer.from(json)]))
    }),
  ),
  invalid(
    'frame-time',
    { chain: 'frame-time' },
    {
      segments: onSegment('input', 1, (plan) => {
        for (const chunk of plan.chunks) {
          chunk.t0 = Math.min(chunk.t0, 299_000)
          chunk.t1 = Math.min(chunk.t1, 299_000)
        }
      }),
    },
  ),

  invalid(
    'bad-magic',
    { chain: 'bad-magic', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => parts.with(0, flipped(parts[0], 3))),
  ),
  invalid(
    'header-length',
    { chain: 'header-length', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => parts.with(0, flipped(parts[0], 4))),
  ),
  invalid(
    'header-malformed',
    { chain: 'header-malformed', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => parts.with(0, reworded(parts[0], '"v":1}', '"v":2}'))),
  ),
  invalid(
    'header-not-canonical',
    { chain: 'header-not-canonical', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    reframed(1, (parts) => parts.with(0, reworded(parts[0], '"v":1}', '"v": 1}'))),
  ),
  invalid(
    'frame-body-length',
    { chain: 'frame-body-length', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, overwritten(parts[2], 0, 15))),
  ),
  invalid(
    'frame-unknown-flag',
    { chain: 'frame-unknown-flag', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, overwritten(parts[2], 5, 32))),
  ),
  invalid(
    'frame-plain-length',
    { chain: 'frame-plain-length', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, overwritten(parts[2], 25, 1))),
  ),
  invalid(
    'frame-gap',
    { chain: 'frame-gap', anchors: 'anchor-head-missing' },
    reframed(0, (parts) => parts.with(2, overwritten(parts[2], 5, 2))),
  ),
  invalid(
    'keyframe-missing',
    { chain: 'keyframe-missing', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const [first] = plan.chunks
        if (first) first.meta = {}
      }),
    },
  ),
  invalid(
    'bytes-after-final',
    { chain: 'bytes-after-final' },
    {
      ...reframed(1, (parts) => [...parts, Buffer.from('more')]),
      manifest: (m) => {
        ;(m.segments[1] as ManifestSegment).bytes += 4
      },
    },
  ),
  invalid(
    'segment-cut-in-header',
    { chain: 'segment-cut', anchors: 'anchor-head-missing', gaps: 'gap-unfounded' },
    {
      ...reframed(1, (parts) => [(parts[0] as Buffer).subarray(0, 6)]),
      manifest: (m) => {
        ;(m.segments[1] as ManifestSegment).bytes = 6
      },
    },
  ),

  invalid(
    'segment-header-hash',
    { chain: 'segment-header-hash' },
    {
      manifest: (m) => {
        ;(m.segments[0] as ManifestSegment).hh = hashHex('other')
      },
    },
  ),

  // 4 anchors
  invalid(
    'anchor-malformed',
    { anchors: 'anchor-malformed' },
    { anchors: (lines) => void Object.assign(lines[0] as object, { stream: 'sound' }) },
  ),
  invalid(
    'anchor-of-another-gateway',
    { anchors: 'anchor-root' },
    {
      entries: (entries) => {
        const entry = entries.find(({ action }) => action === 'recording.anchor')
        if (entry) entry.object = { kind: 'gateway', id: idOf('another gateway') }
      },
    },
  ),
  invalid(
    'anchor-denied',
    { anchors: 'anchor-entry-missing' },
    {
      entries: (entries) => {
        const entry = entries.find(({ action }) => action === 'recording.anchor')
        if (entry) entry.result = 'denied'
      },
    },
  ),
  invalid(
    'anchor-of-another-chain',
    { anchors: 'anchor-root' },
    {
      anchors: (lines) => {
        ;(lines[0] as { c: string }).c = hashHex('another chain')
      },
    },
  ),
  invalid(
    'anchor-entry-missing',
    { anchors: 'anchor-entry-missing' },
    {
      anchors: (lines) => {
        ;(lines[0] as { entry: number }).entry = 0
      },
    },
  ),
  invalid(
    'anchored-chunk-cut-off',
    { anchors: 'anchor-head-missing' },
    {
      // The gateway's key signs, as if after a crash, a recording shorter than the one that was anchored.
      frames(parts, header) {
        if (header.stream !== 'screen' || header.segment !== 1) return parts
        cut = parts.slice(0, -2)
        return cut
      },
      manifest(m) {
        const file = Buffer.concat(cut)
        const last = m.segments[1] as ManifestSegment
        m.ended = 'recovered'
        Object.assign(last, {
          bytes: file.length,
          sha256: sha256(file).toString('hex'),
          last_c: file.subarray(-32).toString('hex'),
          chunks: last.chunks - 1,
          final: false,
        })
        const at = { t0_ms: 325_500, t1_ms: 325_500 }
        m.gaps.push({ stream: 'screen', segment: 1, seq: last.chunks, ...at, reason: 'gateway stopped' })
      },
    },
  ),

  // 5 log
  // Threat 11: the log was cut behind the auditor's checkpoint and has grown again.
  invalid(
    'log-tail-cut',
    { log: 'consistency-failed' },
    {
      trust: (trust) => {
        const lost = [hashHex('lost 0'), hashHex('lost 1'), hashHex('lost 2')].map((one) =>
          Buffer.from(one, 'hex'),
        )
        trust.checkpoints = [noteOf(lost, keys.log)]
      },
    },
  ),
  invalid(
    'log-consistency-forged',
    { log: 'consistency-failed' },
    {
      earlier: (lines) => {
        const line = lines[1] as { path: string[] }
        line.path = line.path.map(() => hashHex('forged'))
      },
    },
  ),
  invalid(
    'log-checkpoint-by-stranger',
    { log: 'checkpoint-signature' },
    { signers: { log: { ...keys.log, key: keys.stranger.key } } },
  ),
  invalid(
    'log-entry-altered',
    { log: 'entry-inclusion' },
    {
      entryLines: (lines) => {
        const line = lines[0] as { entry: string }
        line.entry = line.entry.replace('"ok"', '"denied"')
      },
    },
  ),
  invalid(
    'log-entry-unknown-field',
    { log: 'entry-unknown-field' },
    {
      entries: (entries) => Object.assign(entries[0] as object, { zz: 1 }),
    },
  ),
  invalid(
    'log-start-of-another-session',
    { log: 'entry-mismatch' },
    {
      entries: (entries) => {
        const start = entries.find((entry) => entry.action === 'session.start')
        if (start) start.correlation.session = idOf('another session')
      },
    },
  ),
  invalid(
    'log-entry-left-out',
    { log: 'entry-missing' },
    {
      entryLines: (lines) => {
        lines.splice(3, 1)
      },
    },
  ),

  invalid(
    'log-checkpoint-malformed',
    {
      package: 'key-unknown',
      anchors: 'anchor-entry-missing',
      log: 'checkpoint-malformed',
      authority: 'approval-entry-missing',
    },
    { files: (files) => files.set(PACKAGE_FILES.checkpoint, Buffer.from('12 entries\n')) },
  ),
  invalid(
    'log-entry-not-canonical',
    { log: 'entry-not-canonical' },
    { leafText: (text, index) => (index === 0 ? text.replace(':', ': ') : text) },
  ),
  invalid(
    'log-entry-malformed',
    { log: 'entry-malformed' },
    { leafText: (text, index) => (index === 0 ? '{}' : text) },
  ),
  invalid(
    'log-entries-swapped',
    { log: 'entry-order' },
    { entryLines: (lines) => void lines.splice(0, 2, ...lines.slice(0, 2).reverse()) },
  ),

  invalid(
    'log-of-another-epoch',
    { log: 'checkpoint-origin' },
    {
      trust: (trust) => {
        trust.log.origin = trust.log.origin.replace(/1$/, '2')
      },
    },
  ),

  // 6 witness
  invalid(
    'witness-forged',
    { witness: 'cosignature-invalid' },
    { cosigned: true, signers: { witness: keys.stranger } },
  ),
  invalid(
    'witness-malformed',
    { witness: 'cosignature-malformed' },
    {
      files: (files) => files.set(PACKAGE_FILES.cosignatures, Buffer.from('no signature line\n')),
    },
  ),

  // 7 content
  invalid(
    'wrap-missing',
    { content: 'wrap-missing' },
    { files: (files) => files.delete(keyPath('screen', 1)) },
  ),
  invalid(
    'wrap-of-another-segment',
    { content: 'wrap-wrong-segment' },
    { wrapName: (_, segment) => segment + 1 },
  ),
  invalid(
    'wrap-broken',
    { content: 'wrap-failed' },
    {
      files: (files) => {
        const wrap = JSON.parse((files.get(keyPath('screen', 0)) as Buffer).toString()) as { tag: string }
        wrap.tag = Buffer.alloc(16).toString('base64url')
        files.set(keyPath('screen', 0), Buffer.from(JSON.stringify(wrap)))
      },
    },
  ),
  invalid(
    'commitment-mismatch',
    { content: 'commitment-mismatch' },
    {
      header: (header) => {
        header.dek_commitment = hashHex('another key')
      },
    },
  ),
  invalid(
    'content-of-another-recording',
    { content: 'content-foreign' },
    {
      segments: onSegment('screen', 0, (plan) => {
        const [first] = plan.chunks
        const fill = first?.fill
        if (first)
          first.fill = (lines, header) => fill?.(lines, { ...header, recording: idOf('another recording') })
      }),
    },
  ),
  invalid(
    'content-input-on-screen',
    { content: 'content-code' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const last = plan.chunks.at(-1)
        if (last) last.fill = (lines) => lines.text('i', last.t0 * 1000, 'typed')
      }),
    },
  ),
  invalid(
    'content-time',
    { content: 'content-time' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const last = plan.chunks.at(-1)
        if (last) last.fill = (lines) => lines.text('o', (last.t1 + 1) * 1000, 'late')
      }),
    },
  ),

  invalid(
    'content-line',
    { content: 'content-line' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const last = plan.chunks.at(-1)
        if (last) last.fill = (lines) => lines.text('r', last.t0 * 1000, 'large')
      }),
    },
  ),
  invalid(
    'content-keyframe',
    { content: 'content-keyframe' },
    {
      segments: onSegment('screen', 1, (plan) => {
        const [first] = plan.chunks
        const fill = first?.fill
        if (first)
          first.fill = (lines, header) => {
            fill?.(lines, header)
            lines.text('m', first.t0 * 1000, 'a mark')
          }
      }),
    },
  ),
  invalid('decrypt-failed', { content: 'decrypt-failed' }, { sealKey: bytesOf('another data key') }),

  invalid(
    'wrap-for-another-key',
    { content: 'wrap-no-recipient' },
    {
      files: (files) => {
        const wrap = (files.get(keyPath('screen', 0)) as Buffer).toString()
        files.set(keyPath('screen', 0), Buffer.from(wrap.replace(keys.recipient.pub.kid, 'another')))
      },
    },
  ),

  // 8 authority
  invalid(
    'approval-malformed',
    { authority: 'approval-malformed' },
    { files: onFirstApproval((text) => text.replace('"v":1', '"v":2')) },
  ),
  invalid(
    'approval-hash',
    { authority: 'approval-hash' },
    { files: onFirstApproval((text) => text.replace('"meaning":"I let', '"meaning":"I gladly let')) },
  ),
  invalid(
    'approval-undeclared',
    { authority: 'approval-undeclared' },
    { files: (files) => files.set(approvalPath(hashHex('another')), Buffer.from('{}')) },
  ),
  invalid(
    'approval-alone-for-c1',
    { authority: 'approvals-too-few' },
    {
      asset: (asset) => {
        asset.criticality = 'C1'
      },
      approvers: [approverNamed('approver', 'ES256')],
    },
  ),
  invalid(
    'approval-alone-where-two-are-needed',
    { authority: 'approvals-too-few' },
    { asset: ruled(2, 'approver'), approvers: [approverNamed('approver', 'ES256')] },
  ),
  invalid(
    'approval-by-another-role',
    { authority: 'approvals-too-few' },
    { asset: ruled(1, 'administrator') },
  ),
  invalid(
    'approval-rule-missing',
    { authority: 'approval-rule-missing' },
    {
      asset: (asset) => {
        asset.rule = null
      },
    },
  ),
  invalid(
    'approval-of-another-asset-state',
    { authority: 'approval-snapshot' },
    {
      snapshot: (snapshot) => {
        snapshot.asset = { ...snapshot.asset, hash: hashHex('another state') }
      },
    },
  ),
  invalid(
    'grant-for-another-recording',
    { authority: 'grant-mismatch' },
    {
      grant: (grant) => {
        grant.recording = idOf('another recording')
      },
    },
  ),
  invalid('assertion-malformed', { authority: 'assertion-malformed' }, { assertion: { short: true } }),
  invalid(
    'extension-longer-than-strictest',
    { authority: 'grant-outside-approval' },
    { ...extendedByTwo, laterGrant: endsAt(CLOSES + 901_000) },
  ),
  invalid(
    'extension-alone-where-two-are-needed',
    { authority: 'approvals-too-few' },
    { extended: true, asset: ruled(2, 'approver') },
  ),
  invalid(
    'later-grant-withheld',
    { authority: 'grant-missing' },
    {
      // Gateway and broker leave it out together; the log still names it.
      extended: true,
      laterGrant: (grant) => {
        withheld = grant.approvals.slice(-1)
      },
      manifest: (m) => {
        m.hashes.grants.pop()
        m.hashes.approvals = m.hashes.approvals.filter((hash) => !withheld.includes(hash))
      },
      files: (files) => {
        files.delete(laterGrantPath(2))
        for (const hash of withheld) files.delete(approvalPath(hash))
      },
    },
  ),
  invalid(
    'grant-forged',
    { authority: 'jws-signature' },
    { signers: { grant: { ...keys.broker, key: keys.stranger.key } } },
  ),
  invalid(
    'grant-for-another-site',
    { authority: 'grant-mismatch' },
    {
      grant: (grant) => {
        grant.site = { ...grant.site, id: idOf('another site') }
      },
    },
  ),
  invalid(
    'grant-for-another-account',
    { authority: 'grant-mismatch' },
    {
      grant: (grant) => {
        grant.account = 'root'
      },
    },
  ),
  invalid(
    'grant-longer-than-approved',
    { authority: 'grant-outside-approval' },
    {
      grant: (grant) => {
        grant.exp = CLOSES / 1000 + 1
      },
    },
  ),
  invalid(
    'grant-not-narrowed',
    { authority: 'grant-outside-approval' },
    {
      constraints: { closesAt: new Date(CLOSES - 600_000).toISOString(), features: [] },
    },
  ),
  invalid(
    'grant-without-approval',
    { authority: 'approval-missing', 'input-window': 'input-window-unknown' },
    { approvers: [] },
  ),
  invalid(
    'target-not-pinned',
    { authority: 'target-mismatch' },
    {
      header: (header) => {
        header.target = { kind: 'ssh-host-key', algorithm: 'ssh-ed25519', fingerprint: 'SHA256:another' }
      },
    },
  ),
  invalid(
    'approval-by-requester',
    { authority: 'approval-by-requester' },
    {
      approvers: [
        {
          ...approverNamed('approver', 'ES256'),
          who: { ...approverNamed('approver', 'ES256').who, id: ids.requester },
        },
      ],
    },
  ),
  invalid(
    'approval-by-requester-second-account',
    { authority: 'approval-by-requester' },
    {
      approvers: [
        {
          ...approverNamed('approver', 'ES256'),
          who: {
            ...approverNamed('approver', 'ES256').who,
            issuer: 'https://idp.vendor.example',
            subject: 'kim',
          },
        },
      ],
    },
  ),
  invalid(
    'approval-by-vendor',
    { authority: 'approval-by-vendor' },
    {
      approvers: [
        {
          ...approverNamed('approver', 'ES256'),
          who: { ...approverNamed('approver', 'ES256').who, organisation: 'Packline GmbH' },
        },
      ],
    },
  ),
  invalid(
    'approval-twice',
    { authority: 'approval-twice' },
    {
      approvers: [
        approverNamed('approver', 'ES256'),
        { ...approverNamed('second', 'EdDSA'), passkey: passkey('ES256', 'approver') },
      ],
    },
  ),
  invalid(
    'approval-declined',
    { authority: 'approval-not-granted' },
    {
      approval: (record) => {
        record.document.decision = 'declined'
      },
    },
  ),
  invalid(
    'approval-of-another-snapshot',
    { authority: 'approval-snapshot' },
    {
      approval: (record) => {
        record.document = {
          ...record.document,
          snapshot: { ...record.document.snapshot, account: 'root' },
        }
      },
    },
  ),
  invalid(
    'approval-unknown-field',
    { authority: 'approval-unknown-field' },
    {
      files: (files) => {
        for (const [path, content] of files) {
          if (!path.startsWith('approvals/')) continue
          files.set(path, Buffer.from(content.toString().replace('{"v":1', '{"note":"x","v":1')))
          return
        }
      },
    },
  ),
  invalid(
    'approval-not-in-log',
    { authority: 'approval-entry-missing' },
    {
      entries: (entries) => {
        ;(entries[1] as { details: Record<string, string> }).details.approval = hashHex('another approval')
      },
    },
  ),
  invalid(
    'approval-passkey-not-in-log',
    { authority: 'approval-entry-mismatch' },
    {
      entries: (entries) => {
        ;(entries[1] as { details: Record<string, string> }).details.key = hashHex('another passkey')
      },
    },
  ),
  invalid(
    'assertion-wrong-origin',
    { authority: 'assertion-origin' },
    { assertion: { origin: 'https://sallyport.example.evil' } },
  ),
  invalid('assertion-cross-origin', { authority: 'assertion-origin' }, { assertion: { crossOrigin: true } }),
  invalid('assertion-wrong-rp', { authority: 'assertion-rp' }, { assertion: { rpId: 'evil.example' } }),
  invalid('assertion-unverified-user', { authority: 'assertion-flags' }, { assertion: { flags: 0x19 } }),
  invalid(
    'assertion-replayed',
    { authority: 'assertion-challenge' },
    {
      assertion: { challenge: Buffer.alloc(32, 7).toString('base64url') },
    },
  ),
  invalid(
    'assertion-wrong-type',
    { authority: 'assertion-type' },
    { assertion: { type: 'webauthn.create' } },
  ),
  invalid(
    'assertion-signature',
    { authority: 'assertion-signature' },
    { assertion: { breakSignature: true } },
  ),
  invalid(
    'ticket-replaced',
    { authority: 'document-mismatch' },
    {
      files: (files) => files.set(PACKAGE_FILES.ticket, Buffer.from('{"key":"CHG-1"}')),
    },
  ),
  invalid(
    'later-grant-not-in-log',
    { authority: 'grant-entry-missing' },
    {
      extended: true,
      entries: (entries) => {
        for (const entry of entries) if (entry.action === 'session.extend') entry.details = {}
      },
    },
  ),
  invalid(
    'later-grant-for-another-asset',
    { authority: 'grant-mismatch' },
    {
      extended: true,
      laterGrant: (grant) => {
        grant.asset = { ...grant.asset, id: idOf('another asset') }
      },
    },
  ),
  invalid(
    'later-grant-too-long',
    { authority: 'grant-outside-approval' },
    {
      extended: true,
      laterGrant: (grant) => {
        grant.exp += 1
      },
    },
  ),
  invalid(
    'later-grant-hidden',
    { authority: 'grant-undeclared' },
    {
      extended: true,
      files: (files) => files.delete(laterGrantPath(2)),
    },
  ),

  // 9 input window
  invalid(
    'input-after-window',
    { 'input-window': 'input-after-window' },
    {
      grant: (grant) => {
        grant.exp = OPENS / 1000 + 60 + 588
      },
    },
  ),
  invalid(
    'input-after-clock-set-back',
    { 'input-window': 'input-after-window' },
    {
      // The gateway's wall clock jumps back inside the session: the monotonic reckoning from its start still counts.
      grant: (grant) => {
        grant.exp = OPENS / 1000 + 60 + 588
      },
      header: (header) => {
        if (header.segment === 1) header.clock.wall_ms -= 7_200_000
      },
    },
  ),
  invalid(
    'input-between-grants',
    { 'input-window': 'input-after-window' },
    {
      // The first grant was over, and the extension came only after the input.
      extended: true,
      grant: (grant) => {
        grant.exp = OPENS / 1000 + 60 + 400
      },
      laterGrant: (grant) => {
        grant.iat = OPENS / 1000 + 60 + 650
      },
    },
  ),
  invalid(
    'input-after-shortened-grant',
    { 'input-window': 'input-after-window' },
    {
      // A later grant gave less time; the first one's end counts no more.
      extended: true,
      laterGrant: (grant) => {
        grant.exp = OPENS / 1000 + 60 + 400
      },
    },
  ),
  invalid(
    'input-before-window',
    { 'input-window': 'input-before-window' },
    {
      constraints: { opensAt: new Date(OPENS + 120_000).toISOString() },
    },
  ),
  invalid(
    'input-view-only',
    { 'input-window': 'input-view-only' },
    {
      grant: (grant) => {
        grant.viewOnly = true
      },
    },
  ),

  // 10 gaps
  invalid('gap-undeclared', { gaps: 'gap-undeclared' }, { manifest: (m) => void m.gaps.splice(0) }),
  invalid(
    'gap-shorter-than-real',
    { gaps: 'gap-undeclared' },
    {
      manifest: (m) => {
        ;(m.gaps[0] as { t1_ms: number }).t1_ms -= 5000
      },
    },
  ),
  invalid(
    'gap-unfounded',
    { gaps: 'gap-unfounded' },
    {
      manifest: (m) => {
        m.gaps.push({ stream: 'input', segment: 0, seq: 1, t0_ms: 0, t1_ms: 5, reason: 'claimed' })
      },
    },
  ),
  invalid(
    'gap-twice',
    { gaps: 'gap-unfounded' },
    { manifest: (m) => void m.gaps.push(...m.gaps.slice(0, 1)) },
  ),
  invalid(
    'truncation-undeclared',
    { gaps: 'gap-undeclared' },
    {
      recovered: true,
      manifest: (m) => {
        m.gaps = m.gaps.filter((gap) => gap.reason !== 'gateway stopped')
      },
    },
  ),
]

let kept = ''
let cut: Buffer[] = []
let withheld: string[] = []
