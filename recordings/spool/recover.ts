import type { KeyObject } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import type { CryptoKey } from 'jose'
import type { Clock } from '../../broker/domain/clock.ts'
import { JWS_TYPES } from '../../broker/domain/grant.ts'
import { isId } from '../../broker/domain/ids.ts'
import type { SessionEnd, Stream } from '../../broker/domain/words.ts'
import { jwsHash, signJws } from '../format/jws.ts'
import { type Manifest, manifest as manifestSchema } from '../format/manifest.ts'
import { type Disk, nodeDisk } from '../recorder/disk.ts'
import { manifestFile, recordingFolder, sessionFile } from './layout.ts'
import { type Salvaged, salvage } from './salvage.ts'
import { type SessionRecord, sessionRecord } from './session-file.ts'

export interface RecoverOptions {
  spool: string
  /** The gateway's Ed25519 key. */
  signing: { kid: string; key: KeyObject | CryptoKey }
  clock: Clock
  /** Recordings of this process, which are not over. */
  isLive?: (recording: string) => boolean
  /** How a session ended, where that is known though its recording was not finished. */
  endOf?: (session: string) => SessionEnd | null
  disk?: Disk
}

export interface RecoveredRecording {
  recording: string
  manifest: Manifest
  jws: string
  /** SHA-256 of the JWS, hex. */
  hash: string
  /** Last moment that verifies, ms since the session's start. */
  lastMs: number
  tornBytes: number
  /** Every stretch that is missing, as the manifest declares it: the gaps, and what nothing is left of. */
  missing: { stream: Stream; reason: string }[]
  /** What doesn't fit a crash and somebody must look at. */
  problems: string[]
}

export interface Recovery {
  recovered: RecoveredRecording[]
  /** Folders that hold nothing to recover: a crash before the recording was open. */
  empty: string[]
  /** Those that can't be read, or finished: somebody must look at them. */
  unreadable: { recording: string; reason: string }[]
}

/** Why a recording stops, in its gaps. */
const REASON = 'gateway crash'

/**
 * Finishes the recordings that a crash left without a manifest, by verifying chains, without decrypting. Run before
 * the gateway takes sessions. Safe to repeat: what has a manifest is left alone, and files are never changed.
 */
export async function recoverSpool(options: RecoverOptions): Promise<Recovery> {
  const result: Recovery = { recovered: [], empty: [], unreadable: [] }
  for (const recording of (await readdir(options.spool)).filter(isId).sort()) {
    if (options.isLive?.(recording)) continue
    const folder = recordingFolder(options.spool, recording)
    if (await exists(manifestFile(folder))) continue
    try {
      const recovered = await recoverRecording(folder, recording, options)
      if (recovered) result.recovered.push(recovered)
      else result.empty.push(recording)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      result.unreadable.push({ recording, reason })
    }
  }
  return result
}

async function recoverRecording(
  folder: string,
  recording: string,
  { signing, clock, endOf, disk = nodeDisk }: RecoverOptions,
): Promise<RecoveredRecording | null> {
  const found = await salvage(folder, { reason: REASON, endedAtMs: null })
  const record = (await readRecord(folder)) ?? recordOf(found)
  if (!record) return null
  if (record.recording !== recording) throw new Error(`the folder holds the recording ${record.recording}`)
  const { grants, approvals, ticket, ...names } = record
  const manifest = manifestSchema.parse({
    ...names,
    ended: 'recovered',
    supersedes: null,
    session_end: endOf?.(record.session) ?? 'gateway-stopped',
    signed_at_ms: clock.wall(),
    ...found.parts,
    hashes: { grants, approvals, ticket, files: [] },
  } satisfies Manifest)
  const jws = await signJws(manifest, JWS_TYPES.manifest, signing.kid, signing.key)
  await disk.put(manifestFile(folder), jws)
  return {
    recording,
    manifest,
    jws,
    hash: jwsHash(jws),
    lastMs: found.lastMs,
    tornBytes: found.parts.segments.reduce((sum, segment) => sum + segment.torn_bytes, 0),
    missing: [
      ...manifest.gaps.map(({ stream, reason }) => ({ stream, reason })),
      ...manifest.discarded.map(({ stream, number }) => ({
        stream,
        reason: `${REASON}: nothing of segment ${number} was written`,
      })),
    ],
    problems: found.problems,
  }
}

async function readRecord(folder: string): Promise<SessionRecord | null> {
  try {
    const parsed = sessionRecord.safeParse(JSON.parse(await readFile(sessionFile(folder), 'utf8')))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

/** Without session.json the header still says whose recording it is; approvals are in the grant then. */
function recordOf({ header }: Salvaged): SessionRecord | null {
  if (!header) return null
  return {
    v: 1,
    deployment: header.deployment,
    site: header.site,
    gateway: header.gateway.id,
    recording: header.recording,
    session: header.session,
    grants: [header.grant],
    approvals: [],
    ticket: null,
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch {
    return false
  }
}
