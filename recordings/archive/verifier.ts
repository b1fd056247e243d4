import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose'
import { z } from 'zod'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { decodeJws } from '../format/jws.ts'
import { type Manifest, manifest as manifestSchema } from '../format/manifest.ts'
import type { CustodyLine } from '../format/package-layout.ts'
import { buildPackage } from '../package/build-package.ts'
import type { EvidenceDesk } from './dossier.ts'
import { type EvidenceStore, manifestKey, receiptKey, segmentKey } from './evidence-store.ts'
import type { ArchivePorts, RecordedSession } from './ports.ts'
import type { PackageRecipient, Replay } from './replay.ts'

/** Earlier checkpoints in a package: what an auditor may have kept from packages before this one. */
const EARLIER_CHECKPOINTS = 100

export type EvidenceVerdict = 'VALID' | 'VALID-TRUNCATED' | 'INVALID'

export interface EvidenceCheck {
  name: string
  result: 'passed' | 'failed' | 'absent'
  code: string | null
  text: string
}

export interface PackageRequest {
  recipient: PackageRecipient
  name: string
  purpose: string
}

export interface Verifier {
  /**
   * Checks a recording as an auditor would: builds the evidence package for a throw-away key and runs the offline
   * verifier over it. What is not complete yet is INVALID with the reason.
   */
  verify(session: RecordedSession): Promise<{ verdict: EvidenceVerdict; checks: EvidenceCheck[] }>
  /** The package as a file: its stream (the file goes when the stream ends) and the SHA-256 of all its bytes. */
  packageFor(session: RecordedSession, request: PackageRequest): Promise<{ stream: Readable; sha256: string }>
  /** Milliseconds of screen after the last anchored chunk; null while it is arriving. */
  unanchoredTailMs(recording: string): Promise<number | null>
}

export function verifier(
  store: EvidenceStore,
  replay: Replay,
  ports: ArchivePorts,
  desk: EvidenceDesk,
  workFolder: string,
): Verifier {
  /** The package in a file of its own, removed by the caller. */
  async function writePackage(
    session: RecordedSession,
    request: PackageRequest,
  ): Promise<{ path: string; sha256: string }> {
    const { recording } = session
    const manifestJws = await readText(store, manifestKey(recording))
    const receiptJws = await readText(store, receiptKey(recording))
    const decoded = decodeJws(manifestJws, JWS_TYPES.manifest, manifestSchema)
    if (!decoded.ok) throw new Error(`the stored manifest is ${decoded.code}`)
    const manifest: Manifest = decoded.value.payload
    const dossier = await desk.dossier(session.session)
    if (!dossier) throw new Error('the session of this recording is not known')
    const anchors = await desk.anchors(recording)
    const checkpoint = await desk.checkpoint()
    const entries = (
      await desk.entries(
        session.session,
        recording,
        anchors.map((anchor) => anchor.entry),
      )
    ).filter((entry) => entry.index < checkpoint.size)
    const kid = request.recipient.kid ?? (await calculateJwkThumbprint({ ...request.recipient, kid: '' }))
    const recipient = { ...request.recipient, kid }
    const stream = await buildPackage(
      {
        manifest,
        manifestJws,
        receiptJws,
        grants: dossier.grants,
        approvals: dossier.approvals,
        ticket: dossier.ticket,
        policy: dossier.policy,
        asset: dossier.asset,
        segment: (name, number) => store.read(segmentKey(recording, name, number)),
        // The input stream stays sealed: only its custodians open it, two together.
        wrap: async (name, number) => (name === 'screen' ? rewrapped(recording, number, recipient) : null),
        log: {
          entries: entryLines(entries, checkpoint.size),
          anchors,
          checkpoint: checkpoint.note,
          earlier: await desk.earlier(checkpoint.size, EARLIER_CHECKPOINTS),
          cosignatures: null,
        },
        custody: custodyOf(entries),
      },
      {
        purpose: request.purpose,
        recipient: { name: request.name, kid },
        createdAtMs: Math.floor(ports.now()),
      },
      (list) => ports.sign(list, JWS_TYPES.package),
    )
    await mkdir(workFolder, { recursive: true, mode: 0o700 })
    const path = join(workFolder, `${randomUUID()}.zip`)
    const file = await open(path, 'wx', 0o600)
    const hash = createHash('sha256')
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        hash.update(chunk)
        await file.writeFile(chunk)
      }
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await file.close()
    }
    return { path, sha256: hash.digest('hex') }
  }

  async function rewrapped(
    recording: string,
    segment: number,
    recipient: PackageRecipient & { kid: string },
  ) {
    const answer = await replay.rewrap(recording, segment, recipient)
    if (!answer.ok) throw new Error(`segment ${segment}: ${answer.code}`)
    return answer.wrap
  }

  async function* entryLines(entries: readonly { index: number; bytes: Uint8Array }[], size: number) {
    for (const { index, bytes } of entries) {
      yield { index, entry: Buffer.from(bytes).toString('utf8'), path: await desk.inclusion(index, size) }
    }
  }

  return {
    async verify(session) {
      if ((await store.size(receiptKey(session.recording))) === null) {
        return {
          verdict: 'INVALID',
          checks: [
            {
              name: 'manifest',
              result: 'failed',
              code: 'recording-arriving',
              text: 'The gateway has not delivered the manifest yet, so completeness cannot be said.',
            },
          ],
        }
      }
      const pair = await generateKeyPair('ECDH-ES+A256KW', { crv: 'P-256', extractable: true })
      const [publicJwk, privateJwk] = await Promise.all([
        exportJWK(pair.publicKey),
        exportJWK(pair.privateKey),
      ])
      const { path } = await writePackage(session, {
        recipient: recipientSchema.parse({ kty: 'EC', crv: 'P-256', x: publicJwk.x, y: publicJwk.y }),
        name: 'self-check',
        purpose: 'verification in the product',
      })
      try {
        const answer = await replay.verify(path, await desk.trust(), privateJwk)
        if (!answer.ok) {
          return {
            verdict: 'INVALID',
            checks: [
              {
                name: 'package',
                result: 'failed',
                code: answer.code,
                text: 'The check itself could not be run.',
              },
            ],
          }
        }
        return {
          verdict: answer.verdict,
          checks: answer.checks.map(({ name, result, code, text }) => ({ name, result, code, text })),
        }
      } finally {
        await rm(path, { force: true })
      }
    },

    async packageFor(session, request) {
      const { path, sha256 } = await writePackage(session, request)
      const stream = createReadStream(path, { highWaterMark: 256 * 1024 })
      stream.once('close', () => void rm(path, { force: true }))
      return { stream, sha256 }
    },

    async unanchoredTailMs(recording) {
      const anchors = await desk.anchors(recording)
      const [row] = await ports.db.sql<{ last: number | null }[]>`
        SELECT max(t1_ms) AS last FROM recording_segment WHERE recording = ${recording} AND stream = 'screen'`
      if (row?.last === null || row === undefined) return null
      const screen = anchors.filter((anchor) => anchor.stream === 'screen')
      if (screen.length === 0) return row.last
      const newest = screen.reduce((a, b) =>
        b.segment > a.segment || (b.segment === a.segment && b.seq > a.seq) ? b : a,
      )
      const answer = await replay.scan(recording, 'screen', newest.segment)
      if (!answer.ok) return null
      const covered = answer.scan.chunkEnds[newest.seq]
      return covered === undefined ? null : Math.max(0, row.last - covered)
    },
  }
}

const recipientSchema = z.object({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.string(),
  y: z.string(),
})

async function readText(store: EvidenceStore, key: Parameters<EvidenceStore['read']>[0]): Promise<string> {
  let text = ''
  for await (const chunk of store.read(key)) text += String(chunk)
  return text
}

/** Who had the evidence in hand, for a reader of the package; the entries themselves are the proof. */
function custodyOf(entries: readonly { bytes: Uint8Array }[]): CustodyLine[] {
  const lines: CustodyLine[] = []
  for (const { bytes } of entries) {
    const entry = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      action: string
      time: string
      actor: { id: string; name: string | null }
      details: Record<string, unknown>
    }
    if (!/^recording\.(view|play|search|verify|export|manifest)$/.test(entry.action)) continue
    const note = typeof entry.details.recipient === 'string' ? `for ${entry.details.recipient}` : null
    lines.push({ v: 1, at: entry.time, event: entry.action, by: entry.actor.name ?? entry.actor.id, note })
  }
  return lines
}
