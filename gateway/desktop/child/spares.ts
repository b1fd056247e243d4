import type { Clock } from '../../../broker/domain/clock.ts'
import { CHILD_LIMITS, type ChildLimits, DecodingChild } from './decoding-child.ts'
import { type ChildProgram, mayTry, SANDBOXES, type SandboxReport } from './sandbox.ts'

/**
 * Keeps one child started and waiting, so that a session opens without the half second that Node takes to start. A
 * child decodes for one session only and is never used again.
 */
export class DecoderSpares {
  /** The level that was reached when the pool was started; every child of it stands there. */
  readonly sandbox: SandboxReport
  readonly #program: ChildProgram
  readonly #clock: Clock
  readonly #limits: ChildLimits
  #spare: Promise<DecodingChild>
  #stopped = false

  private constructor(
    program: ChildProgram,
    clock: Clock,
    limits: ChildLimits,
    sandbox: SandboxReport,
    first: DecodingChild,
  ) {
    this.#program = program
    this.#clock = clock
    this.#limits = limits
    this.sandbox = sandbox
    this.#spare = Promise.resolve(first)
  }

  /** Tries the levels from the best one down. Rejects when not even the lowest works. */
  static async start(
    program: ChildProgram,
    clock: Clock,
    options: { limits?: ChildLimits; sandboxes?: readonly SandboxReport[] } = {},
  ): Promise<DecoderSpares> {
    const limits = options.limits ?? CHILD_LIMITS
    let last: unknown = new Error('no sandbox can be tried here')
    // Twice each: a start that was late on a busy machine must not lower what holds every later child of this thread.
    for (const sandbox of (options.sandboxes ?? SANDBOXES).filter(mayTry).flatMap((one) => [one, one])) {
      try {
        const first = await DecodingChild.start(program, sandbox, clock, limits)
        return new DecoderSpares(program, clock, limits, sandbox, first)
      } catch (error) {
        last = error
      }
    }
    throw last
  }

  /** A fresh child; the next one is started at once. Null when none can be started. */
  async take(): Promise<DecodingChild | null> {
    if (this.#stopped) return null
    const spare = this.#spare
    this.#spare = this.#begin()
    const child = await spare.catch(() => null)
    if (child?.alive) return child
    // A spare that died while it waited is replaced once.
    return await this.#begin().catch(() => null)
  }

  /** Ends the spare; children that were taken belong to their sessions. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#spare.then(
      (child) => child.kill(),
      () => {},
    )
  }

  #begin(): Promise<DecodingChild> {
    const starting = DecodingChild.start(this.#program, this.sandbox, this.#clock, this.#limits)
    starting.then(
      (child) => {
        if (this.#stopped) child.kill()
      },
      () => {},
    )
    return starting
  }
}
