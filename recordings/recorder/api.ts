import type { KeyObject } from 'node:crypto'
import type { CryptoKey } from 'jose'
import type { Clock } from '../../broker/domain/clock.ts'
import type { Grant } from '../../broker/domain/grant.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { AnchorHead, AnchorProof } from '../format/anchor.ts'
import type { TargetIdentity } from '../format/header.ts'
import type { Manifest } from '../format/manifest.ts'
import type { Keyframe, ScreenModelPort } from '../screen-model/port.ts'
import type { Disk } from './disk.ts'

/** What the recording of any session is opened with. */
export interface RecordingOptions {
  /** The grant that opens the session; names recording, keys and all that the header says. */
  grant: Grant
  /** SHA-256 of the grant's compact JWS, hex (`jwsHash`). */
  grantHash: string
  /** SHA-256 of the ticket snapshot's canonical JSON, hex; null when the gateway was not told. */
  ticketHash: string | null
  gateway: {
    id: string
    version: string
    bootId: string
    /** Ed25519, signs the manifest. */
    signing: { kid: string; key: KeyObject | CryptoKey }
  }
  /** What the asset proved to be. */
  target: TargetIdentity
  /** Folder for all recordings of this gateway. */
  spool: string
  clock: Clock
  /** Where the wall clock comes from and how far it is off the broker's (gateway minus broker, ms). */
  clockState: { source: string; offsetMs: number | null }
  limits?: Partial<RecorderLimits>
  /** For tests that delay or break the disk. */
  disk?: Disk
}

/** A terminal's. */
export interface RecorderOptions extends RecordingOptions {
  screenModel: ScreenModelPort
  size: { cols: number; rows: number }
}

/** A whole desktop as RFB messages: ServerInit, the pointer alone, then updates that paint every pixel. */
export interface DesktopKeyframe {
  width: number
  height: number
  messages: Uint8Array[]
}

export interface DesktopRecorderOptions extends RecordingOptions {
  /**
   * The whole screen. It takes its place in the order of what `frame` is given: everything that `frame` got before this
   * settles is in it, and nothing that comes after is. So what paints must answer both from one queue.
   */
  keyframe(): Promise<DesktopKeyframe>
  /** Time between two samples of the screen, 1 to 100 ms. Default 100. */
  samplingMs?: number
}

export interface RecorderLimits {
  /** Plaintext of a chunk, bytes. */
  chunkBytes: number
  /** Longest time until a chunk is cut and synced. */
  flushMs: number
  /** Bytes after which fdatasync runs early. */
  syncBytes: number
  /** A segment is rotated after this size or age ... */
  segmentBytes: number
  segmentMs: number
  /** ... and may grow to this while the screen model is behind; then back-pressure. */
  segmentCapBytes: number
  /** Sealed bytes that wait for the disk; then back-pressure. */
  queueBytes: number
  /** A cut is asked for when no more than this waits at the screen model. */
  cutLagBytes: number
  /** Output held in memory between asking for a cut and getting it; then it goes into the old segment. */
  holdBytes: number
  holdMs: number
  /** What all sessions of a worker may have waiting at the model before each is held to `segmentBytes`. */
  modelBudgetBytes: number
  /** Back-pressure when written bytes have not been synced for this long ... */
  stallMs: number
  /** ... and failure after this. */
  stallFailureMs: number
  /** A change of the wall clock against the monotonic one that flags a chunk. */
  clockJumpMs: number
}

export const RECORDER_LIMITS: RecorderLimits = {
  chunkBytes: 256 * 1024,
  flushMs: 1000,
  syncBytes: 4 * 1024 * 1024,
  segmentBytes: 4 * 1024 * 1024,
  segmentMs: 5 * 60_000,
  segmentCapBytes: 64 * 1024 * 1024,
  queueBytes: 16 * 1024 * 1024,
  cutLagBytes: 1024 * 1024,
  holdBytes: 4 * 1024 * 1024,
  holdMs: 1000,
  modelBudgetBytes: 256 * 1024 * 1024,
  stallMs: 3000,
  stallFailureMs: 30_000,
  clockJumpMs: 1000,
}

/** The recording of one session, whatever its media. Not shared between threads. */
export interface Recording {
  readonly recording: string
  /** A line on the timeline: watchers, holds, warnings, extensions. At most 1,000 characters count. */
  marker(text: string): void
  /** Called whenever reading may go on after something was taken with false. */
  onDrain(run: () => void): void
  /** Heads for the anchor: only what fdatasync has confirmed. Empty before the first chunk is durable. */
  heads(): AnchorHead[]
  /** Keeps an inclusion proof beside the recording. */
  addAnchorProof(proof: AnchorProof): Promise<void>
  /** A later grant of the same session (an extension): named in the manifest. */
  addGrant(grant: Grant, grantHash: string): Promise<void>
  /** Final chunks, fdatasync, signed manifest. Safe to call more than once; after a failure it says what is left. */
  close(end: { reason: SessionEnd }): Promise<ClosedRecording>
  /** Settles when recording is not possible any more; never rejects, and stays pending when all goes well. */
  readonly failed: Promise<RecordingFailure>
}

/** Records one terminal session. */
export interface SessionRecorder extends Recording {
  /** Bytes of output taken so far. */
  readonly position: number
  /**
   * Takes output of the asset: when this has returned, the bytes may be forwarded. False: taken, but read no more
   * from the asset until `onDrain`. Throws RecordingRefused after a failure or close: what isn't recorded must not
   * be forwarded.
   */
  output(bytes: Uint8Array): boolean
  /** Takes what the person sent, before it goes to the asset. Like `output`. */
  input(bytes: Uint8Array): boolean
  resize(cols: number, rows: number): void
  /**
   * The screen for a late observer or a returning browser: `bytes`, then output from `position` on (bytes that
   * `output` took since; keep what passes between call and answer).
   */
  screen(): Promise<Keyframe>
}

/** Records one desktop session. */
export interface DesktopRecorder extends Recording {
  /** Bytes of messages taken so far. */
  readonly position: number
  /**
   * Takes what changed on the screen between two samples, as whole RFB messages (docs/evidence-format.md says which).
   * False: taken, but sample no more until `onDrain`. A message that the format has no place for fails the recording,
   * and throws RecordingRefused as everything does after a failure or close.
   */
  frame(messages: readonly Uint8Array[]): boolean
  /** Takes one whole message of the person's client, before it goes to the asset. Like `frame`. */
  input(message: Uint8Array): boolean
}

export interface RecordingFailure {
  code: 'disk-full' | 'write-failed' | 'sync-stalled' | 'model-stalled' | 'internal'
  message: string
  /** First moment that is not on disk for certain, ms since the session's start. */
  atMs: number
}

export interface ClosedRecording {
  recording: string
  manifest: Manifest
  jws: string
  /** SHA-256 of the JWS, hex. */
  hash: string
  /** False when the manifest could not be written either: send it to the broker, recovery will write it again. */
  stored: boolean
  failure: RecordingFailure | null
}

/** Thrown when something is given to a recording that is closed or has failed. */
export class RecordingRefused extends Error {
  readonly code = 'recording-refused'
}
