import type { GatewayEvent } from '../../broker/contract/link.ts'
import type { Clock } from '../../broker/domain/clock.ts'
import type { Grant } from '../../broker/domain/grant.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../../recordings/format/anchor.ts'
import {
  type ClosedRecording,
  RecordingRefused,
  type SessionRecorder,
} from '../../recordings/recorder/api.ts'
import type { Keyframe } from '../../recordings/screen-model/port.ts'

/** Sealing a recording takes milliseconds; a disk that hangs does not keep the session from being reported closed. */
const SEAL_LIMIT_MS = 10_000

export interface RecordingEvents {
  report(event: GatewayEvent): void
  /** Reading may go on. */
  drained(): void
  /** Once: what comes now is not recorded any more. */
  failed(): void
}

/** The session's recording, from its start to its seal. A failure is reported here, and followed by the session. */
export class RecordingSide {
  readonly #session: string
  readonly #clock: Clock
  readonly #events: RecordingEvents
  #recorder: SessionRecorder | null = null
  #over = false
  #sealed: Promise<ClosedRecording | null> | null = null

  constructor(session: string, clock: Clock, events: RecordingEvents) {
    this.#session = session
    this.#clock = clock
    this.#events = events
  }

  /** False when it could not be started. `endedAs`: how the session has ended meanwhile, or null. */
  async start(open: () => Promise<SessionRecorder>, endedAs: () => SessionEnd | null): Promise<boolean> {
    let recorder: SessionRecorder
    try {
      recorder = await open()
    } catch (error) {
      this.#gap(`recording did not start: ${error instanceof Error ? error.message : 'unknown'}`)
      return false
    }
    const end = endedAs()
    if (end !== null) {
      this.#sealed = recorder.close({ reason: end }).catch(() => null)
      return true
    }
    this.#recorder = recorder
    recorder.onDrain(() => this.#events.drained())
    void recorder.failed.then((failure) => this.#failed(failure.code))
    return true
  }

  /**
   * False: pause the asset until `drained`. A refusal means that the recording has failed: the asset's rule is applied
   * before the bytes go anywhere, and only a class that is held for an operator lets its screen go on.
   */
  take(what: 'output' | 'input', bytes: Buffer): boolean {
    try {
      return this.#recorder?.[what](bytes) ?? true
    } catch (error) {
      this.#failed(error instanceof RecordingRefused ? error.code : 'internal')
      return true
    }
  }

  resize(cols: number, rows: number): void {
    this.#recorder?.resize(cols, rows)
  }

  /** A line on the timeline. */
  mark(text: string): void {
    try {
      this.#recorder?.marker(text)
    } catch {
      // A recorder that has failed says so through `failed`.
    }
  }

  extend(grant: Grant, grantHash: string): void {
    void this.#recorder?.addGrant(grant, grantHash).catch(() => this.#failed('write-failed'))
  }

  async screen(): Promise<Keyframe> {
    if (!this.#recorder) throw new Error('there is no screen yet')
    return await this.#recorder.screen()
  }

  heads(): AnchorHead[] {
    return this.#recorder?.heads() ?? []
  }

  /** Null when there is none, or it could not be sealed. */
  async seal(end: SessionEnd): Promise<ClosedRecording | null> {
    this.#over = true
    const late = Promise.withResolvers<null>()
    const timer = this.#clock.after(SEAL_LIMIT_MS, () => late.resolve(null))
    try {
      const closing = this.#recorder?.close({ reason: end }) ?? this.#sealed
      return await Promise.race([closing, late.promise])
    } catch (error) {
      this.#gap(`recording not sealed: ${error instanceof Error ? error.message : 'unknown'}`)
      return null
    } finally {
      timer.cancel()
    }
  }

  #failed(reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#gap(reason)
    this.#events.failed()
  }

  #gap(reason: string): void {
    this.#events.report({
      kind: 'recording-gap',
      session: this.#session,
      stream: 'screen',
      reason: reason.slice(0, 200),
      at: this.#clock.wall(),
    })
  }
}
