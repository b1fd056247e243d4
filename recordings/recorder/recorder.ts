import { join } from 'node:path'
import { type Grant, JWS_TYPES } from '../../broker/domain/grant.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { AnchorHead, AnchorProof } from '../format/anchor.ts'
import type { AsciicastHeader } from '../format/asciicast.ts'
import { jwsHash, signJws } from '../format/jws.ts'
import { type Manifest, manifest as manifestSchema } from '../format/manifest.ts'
import type { Keyframe, ScreenHandle } from '../screen-model/port.ts'
import { anchorsFile, keysFolder, manifestFile, recordingFolder, sessionFile } from '../spool/layout.ts'
import { salvage } from '../spool/salvage.ts'
import type { SessionRecord } from '../spool/session-file.ts'
import {
  type ClosedRecording,
  RECORDER_LIMITS,
  type RecorderLimits,
  type RecorderOptions,
  type RecordingFailure,
  RecordingRefused,
  type SessionRecorder,
} from './api.ts'
import { ClockWatch } from './clock-watch.ts'
import { type Disk, nodeDisk } from './disk.ts'
import { failureOf } from './failure.ts'
import { flushGroupsOf } from './flush-groups.ts'
import { ModelFeed } from './model-feed.ts'
import { StreamRecorder } from './stream.ts'

/**
 * Opens the recording of one session: folders, session record and the first segments' wrapped keys are on disk when
 * it settles. Rejects when they cannot be, and then no session may open.
 */
export async function openRecorder(options: RecorderOptions): Promise<SessionRecorder> {
  const limits = { ...RECORDER_LIMITS, ...options.limits }
  const disk = options.disk ?? nodeDisk
  const folder = recordingFolder(options.spool, options.grant.recording)
  await disk.makeFolder(folder)
  for (const name of ['screen', 'input']) await disk.makeFolder(join(folder, name))
  await disk.makeFolder(keysFolder(folder))
  const recorder = new Recorder(options, limits, disk, folder)
  await recorder.open()
  return recorder
}

/** What came while a cut was asked for, in order. `position`: bytes of output before it. */
type Held =
  | { type: 'output'; position: number; atMs: number; bytes: Uint8Array<ArrayBuffer> }
  | { type: 'text'; position: number; atMs: number; code: 'r' | 'm'; text: string }

const MARKER_LIMIT = 1000
/** How long close waits for a write that hangs. */
const SETTLE_MS = 5000
const COLS = { min: 2, max: 500 }
const ROWS = { min: 1, max: 300 }

class Recorder implements SessionRecorder {
  readonly recording: string
  readonly failed: Promise<RecordingFailure>
  position = 0
  readonly #options: RecorderOptions
  readonly #limits: RecorderLimits
  readonly #disk: Disk
  readonly #folder: string
  readonly #startedAt: number
  readonly #wallAtStart: number
  readonly #clockWatch: ClockWatch
  readonly #screen: StreamRecorder
  readonly #input: StreamRecorder
  readonly #handle: ScreenHandle
  readonly #model: ModelFeed
  readonly #record: SessionRecord
  #size: { cols: number; rows: number }
  #resolveFailed: (failure: RecordingFailure) => void = () => {}
  #failure: RecordingFailure | null = null
  #closed: Promise<ClosedRecording> | null = null
  #drain: () => void = () => {}
  #isWaiting = false
  #waitingSince = 0
  #stopFlushing = () => {}
  /** Where the open segment's keyframe stands: with nothing after it there is nothing to rotate for. */
  #segmentPosition = 0
  /** The cut that is asked for; null when output goes straight into the open segment. */
  #cut: { askedAtMs: number; position: number } | null = null
  #held: Held[] = []
  #heldBytes = 0

  constructor(options: RecorderOptions, limits: RecorderLimits, disk: Disk, folder: string) {
    const { grant, gateway, clock } = options
    this.recording = grant.recording
    this.#options = options
    this.#limits = limits
    this.#disk = disk
    this.#folder = folder
    this.#startedAt = clock.monotonic()
    this.#wallAtStart = clock.wall()
    this.#clockWatch = new ClockWatch(clock, limits.clockJumpMs)
    this.#size = clamped(options.size)
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
    const { replay, input, escrow } = grant.recordingKeys
    const streamOf = (stream: 'screen' | 'input', recipients: (typeof replay)[]) =>
      new StreamRecorder({
        stream,
        folder,
        keys: { disk, folder, recording: grant.recording, stream, recipients },
        limits,
        now: () => this.#now(),
        header: () => this.#header(),
        clockJumped: () => this.#clockWatch.jumped(stream),
        onProgress: () => this.#progress(),
        onFailure: (error) => this.#fail(failureOf(error, this.#durableUntil())),
      })
    this.#screen = streamOf('screen', [replay, escrow])
    // Keystrokes spell passwords: never to the replay key.
    this.#input = streamOf('input', [input, escrow])
    this.#handle = options.screenModel.create(this.#size.cols, this.#size.rows)
    this.#model = new ModelFeed(this.#handle)
    this.#handle.onProgress(() => this.#progress())
    this.#handle.onFault(() =>
      this.marker('sallyport: the screen model failed on this output and began again'),
    )
  }

  async open(): Promise<void> {
    try {
      await this.#disk.put(sessionFile(this.#folder), JSON.stringify(this.#record))
      const [keyframe] = await Promise.all([
        this.#model.keyframe(),
        this.#screen.prepare(),
        this.#input.prepare(),
      ])
      this.#screen.begin((segment) => this.#cast('screen', segment), keyframe.bytes, this.#now())
      this.#input.begin((segment) => this.#cast('input', segment), null, this.#now())
    } catch (error) {
      this.#handle.dispose()
      throw error
    }
    const groups = flushGroupsOf(this.#options.clock, this.#limits.flushMs)
    this.#stopFlushing = groups.join(() => {
      try {
        this.#flush()
      } catch (error) {
        // One session's fault ends one session, not the worker with all of them.
        this.#fail(failureOf(error, this.#durableUntil()))
      }
    })
  }

  output(bytes: Uint8Array): boolean {
    this.#mustBeOpen()
    const atMs = this.#now()
    this.#model.feed(bytes)
    if (this.#cut) {
      this.#held.push({ type: 'output', position: this.position, atMs, bytes: new Uint8Array(bytes) })
      this.#heldBytes += bytes.length
      this.position += bytes.length
      if (this.#heldBytes > this.#limits.holdBytes && !this.#isAtCap()) this.#giveUpCut()
    } else {
      this.position += bytes.length
      this.#screen.bytes('o', atMs, bytes)
      this.#considerCut(atMs)
    }
    return this.#mayGoOn()
  }

  input(bytes: Uint8Array): boolean {
    this.#mustBeOpen()
    const atMs = this.#now()
    const { segmentBytes, segmentMs } = this.#limits
    const isFull =
      this.#input.segmentBytes >= segmentBytes || atMs - this.#input.segmentStartedAtMs >= segmentMs
    if (isFull && this.#input.isReady)
      this.#input.begin((segment) => this.#cast('input', segment), null, atMs)
    this.#input.bytes('i', atMs, bytes)
    return this.#mayGoOn()
  }

  resize(cols: number, rows: number): void {
    if (this.#failure || this.#closed) return
    const size = clamped({ cols, rows })
    if (size.cols === this.#size.cols && size.rows === this.#size.rows) return
    this.#size = size
    this.#model.resize(size.cols, size.rows)
    this.#text('r', `${size.cols}x${size.rows}`)
  }

  marker(text: string): void {
    if (this.#failure || this.#closed) return
    this.#text('m', text.slice(0, MARKER_LIMIT))
  }

  onDrain(run: () => void): void {
    this.#drain = run
  }

  heads(): AnchorHead[] {
    return [...this.#screen.heads(this.recording), ...this.#input.heads(this.recording)]
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

  screen(): Promise<Keyframe> {
    return this.#model.keyframe()
  }

  close(end: { reason: SessionEnd }): Promise<ClosedRecording> {
    this.#closed ??= this.#close(end.reason)
    return this.#closed
  }

  #now(): number {
    return this.#options.clock.monotonic() - this.#startedAt
  }

  #mustBeOpen(): void {
    if (this.#failure) throw new RecordingRefused(`recording has failed: ${this.#failure.message}`)
    if (this.#closed) throw new RecordingRefused('the recording is closed')
  }

  #text(code: 'r' | 'm', text: string): void {
    const atMs = this.#now()
    if (this.#cut) this.#held.push({ type: 'text', position: this.position, atMs, code, text })
    else this.#screen.text(code, atMs, text)
  }

  // Cutting: asked for at a position, answered by the model with the place where it could.

  #considerCut(atMs: number): void {
    const { segmentBytes, segmentMs, cutLagBytes } = this.#limits
    const isOld = atMs - this.#screen.segmentStartedAtMs >= segmentMs && this.position > this.#segmentPosition
    const isFull = isOld || this.#screen.segmentBytes >= segmentBytes
    if (!isFull || this.#cut || !this.#screen.isReady || this.#model.lag > cutLagBytes) return
    const cut = { askedAtMs: atMs, position: this.position }
    this.#cut = cut
    void this.#model.keyframe().then((keyframe) => {
      // An answer to a cut that was given up: its place has been written already.
      if (this.#cut === cut && !this.#failure && !this.#closed) this.#cutAt(keyframe)
    })
  }

  #cutAt(keyframe: Keyframe): void {
    const held = this.#takeHeld()
    let next = 0
    for (; next < held.length; next++) {
      const item = held[next]
      if (!item || item.position >= keyframe.position) break
      if (item.type === 'output' && item.position + item.bytes.length > keyframe.position) {
        const split = keyframe.position - item.position
        this.#screen.bytes('o', item.atMs, item.bytes.subarray(0, split))
        item.bytes = item.bytes.subarray(split)
        break
      }
      this.#replay(item)
    }
    // The moment of the keyframe is that of what follows it: times never go back inside a stream.
    const atMs = held[next]?.atMs ?? this.#now()
    this.#screen.begin((segment) => this.#cast('screen', segment, keyframe), keyframe.bytes, atMs)
    this.#segmentPosition = keyframe.position
    for (const item of held.slice(next)) this.#replay(item)
    this.#progress()
  }

  #giveUpCut(): void {
    for (const item of this.#takeHeld()) this.#replay(item)
  }

  #takeHeld(): Held[] {
    const held = this.#held
    this.#cut = null
    this.#held = []
    this.#heldBytes = 0
    return held
  }

  #replay(item: Held): void {
    if (item.type === 'text') {
      this.#screen.text(item.code, item.atMs, item.text)
      return
    }
    this.#screen.bytes('o', item.atMs, item.bytes)
    // Its copy is our own. Under flood there is one with every cut, too much to leave to the garbage collector.
    item.bytes.buffer.transfer(0)
  }

  // Flow: false from output() until none of these holds.

  #mayGoOn(): boolean {
    const isBlocked = this.#isBlocked()
    if (isBlocked && !this.#isWaiting) {
      this.#isWaiting = true
      this.#waitingSince = this.#now()
    }
    return !isBlocked
  }

  #isBlocked(): boolean {
    const { queueBytes, holdBytes, segmentBytes, modelBudgetBytes, stallMs } = this.#limits
    if (this.#screen.queue.queued + this.#input.queue.queued > queueBytes) return true
    // While a cut is asked for, some output flows into memory: the place for it may be a few bytes on.
    if (this.#isAtCap() && (!this.#cut || this.#heldBytes > holdBytes)) return true
    if (this.#model.lag > segmentBytes && this.#options.screenModel.outstanding > modelBudgetBytes)
      return true
    return this.#now() - this.#durableUntil() > stallMs
  }

  /** The open segment may not grow: only a cut helps. */
  #isAtCap(): boolean {
    return this.#screen.segmentBytes >= this.#limits.segmentCapBytes
  }

  /** Everything before this moment is on disk for certain. */
  #durableUntil(): number {
    return Math.min(this.#screen.queue.dirtySince ?? this.#now(), this.#input.queue.dirtySince ?? this.#now())
  }

  #progress(): void {
    if (this.#failure || this.#closed) return
    if (this.#screen.segmentBytes > 0) this.#considerCut(this.#now())
    if (!this.#isWaiting || this.#isBlocked()) return
    this.#isWaiting = false
    this.#drain()
  }

  #flush(): void {
    // It may have failed before it joined its group, and nothing may be sealed for a queue that was given up.
    if (this.#failure || this.#closed) return
    const isLate = this.#cut !== null && this.#now() - this.#cut.askedAtMs >= this.#limits.holdMs
    if (isLate && !this.#isAtCap()) this.#giveUpCut()
    this.#screen.flush()
    this.#input.flush()
    this.#checkStall()
    this.#progress()
  }

  #checkStall(): void {
    const { stallFailureMs } = this.#limits
    const atMs = this.#durableUntil()
    if (this.#now() - atMs > stallFailureMs) {
      const message = `the disk has confirmed nothing for ${Math.round(stallFailureMs / 1000)} s`
      this.#fail({ code: 'sync-stalled', message, atMs })
    } else if (this.#isWaiting && this.#handle.lag > 0 && this.#now() - this.#waitingSince > stallFailureMs) {
      this.#fail({ code: 'model-stalled', message: 'the screen model does not keep up any more', atMs })
    }
  }

  #fail(failure: RecordingFailure): void {
    if (this.#failure) return
    this.#failure = failure
    // While closing, close() itself tells.
    if (this.#closed) return
    this.#stopFlushing()
    this.#screen.queue.abandon()
    this.#input.queue.abandon()
    this.#takeHeld()
    this.#resolveFailed(failure)
  }

  async #close(reason: SessionEnd): Promise<ClosedRecording> {
    this.#stopFlushing()
    if (!this.#failure) {
      this.#giveUpCut()
      const atMs = this.#now()
      try {
        await Promise.all([this.#screen.close(atMs), this.#input.close(atMs)])
      } catch (error) {
        this.#failure ??= failureOf(error, this.#durableUntil())
      }
      if (this.#screen.queue.hasFailed || this.#input.queue.hasFailed) {
        this.#failure ??= failureOf(new Error('the last chunks could not be written'), this.#durableUntil())
      }
    }
    this.#handle.dispose()
    if (this.#failure) await this.#writesEnded()
    const payload = this.#failure ? await this.#salvaged(reason, this.#failure) : this.#manifest(reason)
    const { kid, key } = this.#options.gateway.signing
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
      const timer = this.#options.clock.after(SETTLE_MS, resolve)
      void Promise.all([this.#screen.queue.settled(), this.#input.queue.settled()]).then(() => {
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
      signed_at_ms: this.#options.clock.wall(),
      segments: [...this.#screen.segments, ...this.#input.segments],
      gaps: [],
      discarded: [],
      hashes: { grants, approvals, ticket, files: [] },
    }
  }

  /** After a failure only what can be read back counts. */
  async #salvaged(reason: SessionEnd, failure: RecordingFailure): Promise<Manifest> {
    const found = await salvage(this.#folder, {
      reason: `recording failed: ${failure.code}`,
      endedAtMs: Math.floor(this.#now()),
    })
    return { ...this.#manifest(reason), ended: 'recovered', ...found.parts }
  }

  #header() {
    const { grant, grantHash, gateway, target, clock, clockState } = this.#options
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
        t_ms: Math.floor(this.#now()),
        source: clockState.source,
        offset_ms: clockState.offsetMs,
      },
      media: 'asciicast-v2' as const,
      sampling_ms: 0,
    }
  }

  #cast(
    stream: 'screen' | 'input',
    segment: number,
    size: { cols: number; rows: number } = this.#size,
  ): AsciicastHeader {
    const { grant } = this.#options
    return {
      version: 2,
      width: size.cols,
      height: size.rows,
      timestamp: Math.floor(this.#wallAtStart / 1000),
      sallyport: {
        v: 1,
        recording: grant.recording,
        stream,
        segment,
        person: { name: grant.person.name, company: grant.person.company },
        asset: grant.asset.name,
        site: grant.site.name,
      },
    }
  }
}

/** Sizes come from a browser. */
function clamped({ cols, rows }: { cols: number; rows: number }): { cols: number; rows: number } {
  const within = (value: number, { min, max }: { min: number; max: number }) =>
    Math.min(max, Math.max(min, Number.isFinite(value) ? Math.floor(value) : min))
  return { cols: within(cols, COLS), rows: within(rows, ROWS) }
}
