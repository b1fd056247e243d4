import type { DesktopKeyframe } from '../../recordings/recorder/api.ts'
import { framebufferUpdates, rectsOf, type WireRect } from './encode/rects.ts'
import type { TileEncoder } from './encode/tile-encoder.ts'
import { cursorRect, desktopSizeRect, serverInit } from './rfb-server/server-messages.ts'
import type { Consumer } from './screen/consumer.ts'
import type { Screen } from './screen/screen.ts'

/** Given to the recorder too, whose header states it as `sampling_ms`. */
export const SAMPLING_MS = 100
/** A message and what a recording puts before it fit a chunk of 64 KiB. Only a very large pointer takes more (0.6 MB). */
export const MESSAGE_LIMIT = 60 * 1024

export interface DesktopFramesOptions {
  /** The desktop's name in ServerInit. */
  name: string
  samplingMs?: number
  /** Frames can't be made or kept any more; none comes after this. Told once. */
  failed(error: Error): void
}

/**
 * Takes what has changed since the frame or keyframe before, as complete RFB messages, before it returns. False: taken,
 * but no further sample until `resume`.
 */
export type TakeFrame = (messages: readonly Uint8Array[]) => boolean

/**
 * The recording's view of a desktop: a keyframe whenever one is asked for, and in between what changed, at most once per
 * sampling interval. All lossless, in encodings that need no state: Tight with its streams reset, Cursor, DesktopSize. No
 * copies: a player that seeks would have to make each of them, where of painted rectangles only the last one counts.
 *
 * Keyframes and frames come from one queue. Everything that was given before a keyframe settles is in it, and what comes
 * after is not, so it may stand at any place in the order in which it was received.
 */
export class DesktopFrames {
  readonly #screen: Screen
  readonly #encoder: TileEncoder
  readonly #options: DesktopFramesOptions
  readonly #consumer: Consumer
  readonly #samplingMs: number
  #work: Promise<void> = Promise.resolve()
  #give: TakeFrame | null = null
  #hasRoom = true
  #timer: NodeJS.Timeout | null = null
  #sampledAt = Number.NEGATIVE_INFINITY
  #isSampling = false
  #over: Error | null = null

  constructor(screen: Screen, encoder: TileEncoder, options: DesktopFramesOptions) {
    this.#screen = screen
    this.#encoder = encoder
    this.#options = options
    this.#samplingMs = options.samplingMs ?? SAMPLING_MS
    this.#consumer = screen.consumer({ onDamage: () => this.#schedule() })
  }

  /**
   * The whole screen. What has changed since the last frame is given first, so what a reader has come to by then is the
   * keyframe, pixel for pixel. It never waits for room, since a recorder may need it to make some. Rejects when the screen
   * cannot be encoded any more, or after `close`.
   */
  keyframe(): Promise<DesktopKeyframe> {
    return this.#next(async () => {
      const change = this.#change()
      this.#consumer.forget()
      const { width, height } = this.#screen.grid
      const taken = this.#consumer.take()
      const pointer = taken.pointer ?? { width: 0, height: 0, hotX: 0, hotY: 0, pixels: new Uint8Array(0) }
      const [changed, tiles] = await Promise.all([change, this.#encoder.encode(taken.tiles, taken.areas)])
      this.#hand(changed)
      const messages = [
        serverInit(width, height, this.#options.name),
        ...framebufferUpdates([cursorRect(pointer)], MESSAGE_LIMIT),
        ...framebufferUpdates(rectsOf(tiles), MESSAGE_LIMIT),
      ]
      return { width, height, messages }
    })
  }

  /** From now on what has changed since the last keyframe is given, of which there must be one. */
  start(give: TakeFrame): void {
    this.#give = give
    this.#schedule()
  }

  /** There is room for frames again. */
  resume(): void {
    this.#hasRoom = true
    this.#schedule()
  }

  /** Gives what has changed since the last frame, without waiting for the interval or for room: before a session ends. */
  sample(): Promise<void> {
    return this.#next(async () => this.#hand(await this.#change())).catch(() => {})
  }

  /** Takes no more of the screen; what has been taken is still given. */
  close(): Promise<void> {
    this.#consumer.close()
    this.#stopTimer()
    return this.#work.then(() => {
      this.#over ??= new Error('the frames of this desktop have been closed')
      this.#stopTimer()
    })
  }

  /** What has changed; taken before this returns, however long its encoding takes. */
  async #change(): Promise<Uint8Array[]> {
    this.#sampledAt = performance.now()
    if (!this.#give || !this.#consumer.isBehind) return []
    const { width, height } = this.#screen.grid
    const { isResized, pointer, tiles, areas } = this.#consumer.take()
    const encoded = await this.#encoder.encode(tiles, areas)
    // The new size in a message of its own: by RFB it is an update's last rectangle.
    const size: WireRect[] = isResized ? [desktopSizeRect(width, height)] : []
    const pictures = [...(pointer ? [cursorRect(pointer)] : []), ...rectsOf(encoded)]
    return [...framebufferUpdates(size, MESSAGE_LIMIT), ...framebufferUpdates(pictures, MESSAGE_LIMIT)]
  }

  #hand(messages: readonly Uint8Array[]): void {
    if (messages.length > 0 && this.#give?.(messages) === false) this.#hasRoom = false
  }

  #schedule(): void {
    if (this.#over || !this.#give || !this.#hasRoom || this.#timer || this.#isSampling) return
    if (!this.#consumer.isBehind) return
    const wait = Math.max(0, this.#sampledAt + this.#samplingMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#isSampling = true
      void this.sample().finally(() => {
        this.#isSampling = false
        this.#schedule()
      })
    }, wait)
    this.#timer.unref()
  }

  #stopTimer(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }

  /**
   * One after the other. The next begins in a later turn of the event loop: whoever awaited this one, through however
   * many promises, has then put it where it belongs.
   */
  #next<Result>(run: () => Promise<Result>): Promise<Result> {
    const done = this.#work.then(async () => {
      if (this.#over) throw this.#over
      try {
        return await run()
      } catch (error) {
        this.#fail(error instanceof Error ? error : new Error(String(error)))
        throw error
      }
    })
    const later = () => new Promise<void>((resolve) => setImmediate(resolve))
    this.#work = done.then(later, later)
    return done
  }

  #fail(error: Error): void {
    this.#over = error
    this.#consumer.close()
    this.#stopTimer()
    this.#options.failed(error)
  }
}
