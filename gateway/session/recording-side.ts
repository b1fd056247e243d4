import type { GatewayEvent } from '../../broker/contract/link.ts'
import type { Clock } from '../../broker/domain/clock.ts'
import type { Grant } from '../../broker/domain/grant.ts'
import type { SessionEnd } from '../../broker/domain/words.ts'
import type { AnchorHead } from '../../recordings/format/anchor.ts'
import { type ClosedRecording, RecordingRefused } from '../../recordings/recorder/api.ts'
import type { Recording } from './medium.ts'

/** Sealing a recording takes milliseconds; a disk that hangs does not keep the session from being reported closed. */
const SEAL_LIMIT_MS = 10_000

export interface RecordingEvents {
  report(event: GatewayEvent): void
  /** Reading may go on. */
  drained(): void
  /** Once: what comes now is not recorded any more. */
  failed(): void
}

/** `recording`: null when there is none, or it could not be sealed; `late`: it is being sealed still. */
export interface Sealed {
  recording: ClosedRecording | null
  late: Promise<ClosedRecording | null> | null
}

/** The session's recording, from its start to its seal. A failure is reported here, and followed by the session. */
export class RecordingSide {
  readonly #session: string
  readonly #clock: Clock
  readonly #events: RecordingEvents
  #recorder: Recording | null = null
  #opening: Promise<Recording> | null = null
  #over = false

  constructor(session: string, clock: Clock, events: RecordingEvents) {
    this.#session = session
    this.#clock = clock
    this.#events = events
  }

  /** False when it could not be started. A session that has ended meanwhile seals it. */
  async start(open: () => Promise<Recording>): Promise<boolean> {
    let recorder: Recording
    try {
      this.#opening = open()
      recorder = await this.#opening
    } catch (error) {
      this.#gap(`recording did not start: ${error instanceof Error ? error.message : 'unknown'}`)
      return false
    }
    this.#recorder = recorder
    recorder.onDrain(() => this.#events.drained())
    void recorder.failed.then((failure) => this.#failed(failure.code))
    return true
  }

  /**
   * Gives the recorder something. False: pause the asset until `drained`. A refusal means that the recording has
   * failed: the asset's rule is applied before the bytes go anywhere, and only a class that is held for an operator
   * lets its screen go on.
   */
  take(give: () => boolean): boolean {
    if (!this.#recorder) return true
    try {
      return give()
    } catch (error) {
      this.#failed(error instanceof RecordingRefused ? error.code : 'internal')
      return true
    }
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

  heads(): AnchorHead[] {
    return this.#recorder?.heads() ?? []
  }

  /**
   * Sealed in time, or `late`: the recorder alone finishes it then, whenever its disk answers, and nobody recovers it
   * meanwhile, so that one manifest is written and not two. The session does not wait for it, and it is told.
   */
  async seal(end: SessionEnd): Promise<Sealed> {
    this.#over = true
    const sealing = this.#finish(end)
    const isLate = Promise.withResolvers<'late'>()
    const timer = this.#clock.after(SEAL_LIMIT_MS, () => isLate.resolve('late'))
    const first = await Promise.race([sealing, isLate.promise])
    timer.cancel()
    if (first !== 'late') return { recording: first, late: null }
    this.#events.report({
      kind: 'gateway-problem',
      code: 'recording-not-sealed',
      detail: `not finished within ${SEAL_LIMIT_MS / 1000} s of the end`,
      session: this.#session,
      at: this.#clock.wall(),
    })
    return { recording: null, late: sealing }
  }

  async #finish(end: SessionEnd): Promise<ClosedRecording | null> {
    try {
      // It may just be opening. Why it did not open has been told.
      const recorder = this.#recorder ?? (await this.#opening?.catch(() => null)) ?? null
      return recorder ? await recorder.close({ reason: end }) : null
    } catch (error) {
      this.#gap(`recording not sealed: ${error instanceof Error ? error.message : 'unknown'}`)
      return null
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
