import { join } from 'node:path'
import { type Grant, JWS_TYPES } from '../../broker/domain/grant.ts'
import type { SessionEnd, Stream } from '../../broker/domain/words.ts'
import type { AnchorHead, AnchorProof } from '../format/anchor.ts'
import type { Media } from '../format/header.ts'
import { jwsHash, signJws } from '../format/jws.ts'
import { type Manifest, manifest as manifestSchema } from '../format/manifest.ts'
import { anchorsFile, keysFolder, manifestFile, recordingFolder, sessionFile } from '../spool/layout.ts'
import { salvage } from '../spool/salvage.ts'
import type { SessionRecord } from '../spool/session-file.ts'
import {
  type ClosedRecording,
  RECORDER_LIMITS,
  type RecorderLimits,
  type Recording,
  type RecordingFailure,
  type RecordingOptions,
  RecordingRefused,
} from './api.ts'
import { ClockWatch } from './clock-watch.ts'
import { type Disk, nodeDisk } from './disk.ts'
import { failureOf } from './failure.ts'
import { flushGroupsOf } from './flush-groups.ts'
import { type SegmentContent, type SegmentStart, StreamRecorder } from './stream.ts'

/** What a medium says of itself to the recording around it. */
export interface MediaOptions<Content extends SegmentContent> {
  media: Media
  samplingMs: number
  content: () => Content
  /** Whether small chunks of the screen are worth deflating. */
  deflateScreen: boolean
}

/** How long close waits for a write that hangs. */
const SETTLE_MS = 5000
const MARKER_LIMIT = 1000

/**
 * What the recordings of terminals and desktops share: folders, keys, two streams, flushing, back-pressure, failure,
 * and the manifest at the end. What comes in, and where a segment is cut, is for the medium.
 */
export abstract class MediaRecording<Options extends RecordingOptions, Content extends SegmentContent>
  implements Recording
{
  readonly recording: string
  readonly failed: Promise<RecordingFailure>
  protected readonly options: Options
  protected readonly limits: RecorderLimits
  protected readonly screenStream: StreamRecorder<Content>
  protected readonly inputStream: StreamRecorder<Content>
  readonly #media: MediaOptions<Content>
  readonly #disk: Disk
  readonly #folder: string
  readonly #startedAt: number
  readonly #wallAtStart: number
  readonly #record: SessionRecord
  #resolveFailed: (failure: RecordingFailure) => void = () => {}
  #failure: RecordingFailure | null = null
  #closed: Promise<ClosedRecording> | null = null
  #drain: () => void = () => {}
  #isWaiting = false
  #waitingSince = 0
  #stopFlushing = () => {}

  constructor(options: Options, media: MediaOptions<Content>) {
    const { grant, gateway, clock } = options
    this.recording = grant.recording
    this.options = options
    this.limits = { ...RECORDER_LIMITS, ...options.limits }
    this.#media = media
    this.#disk = options.disk ?? nodeDisk
    const folder = recordingFolder(options.spool, grant.recording)
    this.#folder = folder
    this.#startedAt = clock.monotonic()
    this.#wallAtStart = clock.wall()
    this.failed = new Promise((resolve) => {
      this.#resolveFailed = resolve
    })
    this.#record = {
      v: 1,
      deployment: grant.deployment,
      site: grant.site.id,
      gateway: gateway.id,
      recording: grant.recording,
      session: grant.session,
      grants: [options.grantHash],
      approvals: [...grant.approvals],
      ticket: options.ticketHash,
    }
    const clockWatch = new ClockWatch(clock, this.limits.clockJumpMs)
    const { replay, input, escrow } = grant.recordingKeys
    const streamOf = (stream: Stream, recipients: (typeof replay)[], deflate: boolean) =>
      new StreamRecorder({
        stream,
        folder,
        keys: { disk: this.#disk, folder, recording: grant.recording, stream, recipients },
        content: media.content,
        deflate,
        limits: this.limits,
        now: () => this.now(),
        header: () => this.#header(),
        clockJumped: () => clockWatch.jumped(stream),
        onProgress: () => this.progress(),
        onFailure: (error) => this.fail(failureOf(error, this.durableUntil())),
      })
    this.screenStream = streamOf('screen', [replay, escrow], media.deflateScreen)
    // Keystrokes spell passwords: never to the replay key.
    this.inputStream = streamOf('input', [input, escrow], true)
  }

  /** A line on the timeline, at most `MARKER_LIMIT` characters. */
  protected abstract mark(text: string): void
  /** Whether the medium itself can take no more now. */
  protected abstract isBehind(): boolean
  /** Something was written, synced or parsed: a place to begin the next segment. */
  protected abstract progressed(): void
  /** Every `flushMs`, before the streams are flushed. */
  protected abstract beforeFlush(): void
  /** What keeps the medium from going on, when that is a failure. `blockedForMs`: null when nothing waits. */
  protected abstract stall(blockedForMs: number | null): string | null
  /** Writes what the medium still holds, when the recording goes well, or lets go of it. */
  protected abstract release(isWritten: boolean): void

  /** Puts the session's record and the first keys on disk. */
  protected async prepare(): Promise<void> {
    await this.#disk.makeFolder(this.#folder)
    for (const name of ['screen', 'input']) await this.#disk.makeFolder(join(this.#folder, name))
    await this.#disk.makeFolder(keysFolder(this.#folder))
    await this.#disk.put(sessionFile(this.#folder), JSON.stringify(this.#record))
    await Promise.all([this.screenStream.prepare(), this.inputStream.prepare()])
  }

  /** From here on what comes in is flushed in time. */
  protected begin(): void {
    const groups = flushGroupsOf(this.options.clock, this.limits.flushMs)
    this.#stopFlushing = groups.join(() => {
      try {
        this.#flush()
      } catch (error) {
        // One session's fault ends one session, not the worker with all of them.
        this.fail(failureOf(error, this.durableUntil()))
      }
    })
  }

  marker(text: string): void {
    if (!this.isOver) this.mark(text.slice(0, MARKER_LIMIT))
  }

  onDrain(run: () => void): void {
    this.#drain = run
  }

  heads(): AnchorHead[] {
    return [...this.screenStream.heads(this.recording), ...this.inputStream.heads(this.recording)]
  }

  async addAnchorProof(proof: AnchorProof): Promise<void> {
    await this.#disk.append(anchorsFile(this.#folder), `${JSON.stringify(proof)}\n`)
  }

  async addGrant(grant: Grant, grantHash: string): Promise<void> {
    if (grant.session !== this.#record.session) throw new TypeError('the grant is for another session')
    if (!this.#record.grants.includes(grantHash)) this.#record.grants.push(grantHash)
    for (const approval of grant.approvals) {
      if (!this.#record.approvals.includes(approval)) this.#record.approvals.push(approval)
    }
    await this.#disk.put(sessionFile(this.#folder), JSON.stringify(this.#record))
  }

  close(end: { reason: SessionEnd }): Promise<ClosedRecording> {
    this.#closed ??= this.#close(end.reason)
    return this.#closed
  }

  protected now(): number {
    return this.options.clock.monotonic() - this.#startedAt
  }

  protected get isOver(): boolean {
    return this.#failure !== null || this.#closed !== null
  }

  protected mustBeOpen(): void {
    if (this.#failure) throw new RecordingRefused(`recording has failed: ${this.#failure.message}`)
    if (this.#closed) throw new RecordingRefused('the recording is closed')
  }

  /** Begins the next input segment when the open one is full. Its first chunk holds `write`'s line or record alone. */
  protected considerInputCut(atMs: number, write: SegmentStart<Content>): void {
    const { segmentBytes, segmentMs } = this.limits
    const { inputStream } = this
    const isFull =
      inputStream.segmentBytes >= segmentBytes || atMs - inputStream.segmentStartedAtMs >= segmentMs
    if (isFull && inputStream.isReady) inputStream.begin(atMs, write)
  }

  /** What both media say of a segment inside the seal: the names that the clear header leaves out. */
  protected facts(stream: Stream, segment: number) {
    const { grant } = this.options
    return {
      v: 1 as const,
      recording: grant.recording,
      stream,
      segment,
      person: { name: grant.person.name, company: grant.person.company },
      asset: grant.asset.name,
      site: grant.site.name,
    }
  }

  /** Seconds since the epoch at the session's start. */
  protected get startedAtSeconds(): number {
    return Math.floor(this.#wallAtStart / 1000)
  }

  // Flow: false from what takes something until none of these holds.

  protected mayGoOn(): boolean {
    const isBlocked = this.#isBlocked()
    if (isBlocked && !this.#isWaiting) {
      this.#isWaiting = true
      this.#waitingSince = this.now()
    }
    return !isBlocked
  }

  #isBlocked(): boolean {
    const { queueBytes, stallMs } = this.limits
    if (this.screenStream.queue.queued + this.inputStream.queue.queued > queueBytes) return true
    return this.isBehind() || this.now() - this.durableUntil() > stallMs
  }

  /** The open segment may not grow: only the next one helps. */
  protected isAtCap(): boolean {
    return this.screenStream.segmentBytes >= this.limits.segmentCapBytes
  }

  /** Everything before this moment is on disk for certain. */
  protected durableUntil(): number {
    const { screenStream, inputStream } = this
    return Math.min(screenStream.queue.dirtySince ?? this.now(), inputStream.queue.dirtySince ?? this.now())
  }

  protected progress(): void {
    if (this.isOver) return
    this.progressed()
    if (!this.#isWaiting || this.#isBlocked()) return
    this.#isWaiting = false
    this.#drain()
  }

  #flush(): void {
    this.beforeFlush()
    this.screenStream.flush()
    this.inputStream.flush()
    this.#checkStall()
    this.progress()
  }

  #checkStall(): void {
    const { stallFailureMs } = this.limits
    const atMs = this.durableUntil()
    if (this.now() - atMs > stallFailureMs) {
      const message = `the disk has confirmed nothing for ${Math.round(stallFailureMs / 1000)} s`
      this.fail({ code: 'sync-stalled', message, atMs })
      return
    }
    const message = this.stall(this.#isWaiting ? this.now() - this.#waitingSince : null)
    if (message !== null) this.fail({ code: 'model-stalled', message, atMs })
  }

  protected fail(failure: RecordingFailure): void {
    if (this.#failure) return
    this.#failure = failure
    // While closing, close() itself tells.
    if (this.#closed) return
    this.#stopFlushing()
    this.screenStream.queue.abandon()
    this.inputStream.queue.abandon()
    this.release(false)
    this.#resolveFailed(failure)
  }

  async #close(reason: SessionEnd): Promise<ClosedRecording> {
    this.#stopFlushing()
    const { screenStream, inputStream } = this
    if (!this.#failure) {
      const atMs = this.now()
      try {
        this.release(true)
        await Promise.all([screenStream.close(atMs), inputStream.close(atMs)])
      } catch (error) {
        this.#failure ??= failureOf(error, this.durableUntil())
      }
      if (screenStream.queue.hasFailed || inputStream.queue.hasFailed) {
        this.#failure ??= failureOf(new Error('the last chunks could not be written'), this.durableUntil())
      }
    }
    if (this.#failure) await this.#writesEnded()
    const payload = this.#failure ? await this.#salvaged(reason, this.#failure) : this.#manifest(reason)
    const { kid, key } = this.options.gateway.signing
    const jws = await signJws(manifestSchema.parse(payload), JWS_TYPES.manifest, kid, key)
    let stored = true
    try {
      await this.#disk.put(manifestFile(this.#folder), jws)
    } catch {
      stored = false
    }
    return {
      recording: this.recording,
      manifest: payload,
      jws,
      hash: jwsHash(jws),
      stored,
      failure: this.#failure,
    }
  }

  /** A write that is under way may still land; one that hangs is not waited for long. */
  #writesEnded(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.options.clock.after(SETTLE_MS, resolve)
      void Promise.all([this.screenStream.queue.settled(), this.inputStream.queue.settled()]).then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #manifest(reason: SessionEnd): Manifest {
    const { grants, approvals, ticket, ...record } = this.#record
    return {
      ...record,
      ended: 'clean',
      supersedes: null,
      session_end: reason,
      signed_at_ms: this.options.clock.wall(),
      segments: [...this.screenStream.segments, ...this.inputStream.segments],
      gaps: [],
      discarded: [],
      hashes: { grants, approvals, ticket, files: [] },
    }
  }

  /** After a failure only what can be read back counts. */
  async #salvaged(reason: SessionEnd, failure: RecordingFailure): Promise<Manifest> {
    const found = await salvage(this.#folder, {
      reason: `recording failed: ${failure.code}`,
      endedAtMs: Math.floor(this.now()),
    })
    return { ...this.#manifest(reason), ended: 'recovered', ...found.parts }
  }

  #header() {
    const { grant, grantHash, gateway, target, clock, clockState } = this.options
    return {
      v: 1 as const,
      deployment: grant.deployment,
      site: grant.site.id,
      recording: grant.recording,
      session: grant.session,
      grant: grantHash,
      policy: grant.policyHash,
      asset: grant.asset.hash,
      target,
      user: grant.person.pseudonym,
      account: grant.account,
      gateway: { id: gateway.id, version: gateway.version, boot: gateway.bootId },
      clock: {
        wall_ms: clock.wall(),
        t_ms: Math.floor(this.now()),
        source: clockState.source,
        offset_ms: clockState.offsetMs,
      },
      media: this.#media.media,
      sampling_ms: this.#media.samplingMs,
    }
  }
}
