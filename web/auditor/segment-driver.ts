import { type DriverState, type DriverWorld, type SegmentIndex, SegmentPlayer } from './segment-player.ts'

/**
 * The terminal's driver. It feeds asciinema-player's terminal, which draws text only: links, titles, clipboard and
 * queries in the stream have no effect.
 *
 * A segment is asciicast v2: a header line, then `[t, code, data]` lines with t in seconds since the session's start.
 */
type Event = readonly [t: number, code: string, data: string]

export interface Segment {
  cols: number
  rows: number
  events: readonly Event[]
}

/** What asciinema-player 3.17 gives a driver. */
type Dispatch = (event: string, data?: unknown) => void

/** Reads a segment's asciicast; a line that cannot be read ends it (the rest is not guessed at). */
export function parseSegment(text: string): Segment {
  const lines = text.split('\n')
  const header = JSON.parse(lines[0] ?? '{}') as { width?: number; height?: number }
  const events: [number, string, string][] = []
  for (const line of lines.slice(1)) {
    if (line === '') continue
    let event: unknown
    try {
      event = JSON.parse(line)
    } catch {
      break
    }
    if (!Array.isArray(event) || typeof event[0] !== 'number') break
    events.push([event[0], String(event[1]), String(event[2])])
  }
  return { cols: header.width ?? 80, rows: header.height ?? 24, events }
}

type TerminalIndex = SegmentIndex & { cols: number; rows: number }

export class SegmentDriver extends SegmentPlayer<Segment, Event> {
  readonly #index: TerminalIndex
  #dispatch: Dispatch = () => undefined

  constructor(
    index: TerminalIndex,
    read: (number: number) => Promise<string>,
    watch?: (state: DriverState) => void,
    world?: DriverWorld,
  ) {
    super(index, (number) => read(number).then(parseSegment), watch, world)
    this.#index = index
  }

  /** The factory that `AsciinemaPlayer.create` takes as its source. */
  attach = (callbacks: { dispatch: Dispatch }) => {
    this.#dispatch = callbacks.dispatch
    return {
      init: async () => {
        this.#dispatch('metadata', {
          duration: this.#index.durationMs / 1000,
          size: { cols: this.#index.cols, rows: this.#index.rows },
        })
        this.#dispatch('reset', { size: { cols: this.#index.cols, rows: this.#index.rows } })
        await this.seek(this.timeMs)
      },
      play: () => this.play(),
      pause: () => this.pause(),
      seek: (where: unknown) => (typeof where === 'number' ? this.seek(where * 1000) : false),
      stop: () => this.stop(),
      getCurrentTime: () => this.timeMs / 1000,
      getDuration: () => this.#index.durationMs / 1000,
    }
  }

  protected restore({ cols, rows }: Segment, events: readonly Event[]): void {
    this.#dispatch('reset', { size: { cols, rows } })
    this.show(events)
  }

  protected show(events: readonly Event[]): void {
    let output = ''
    for (const [, code, data] of events) {
      if (code === 'o') output += data
      if (code !== 'r') continue
      if (output) this.#dispatch('output', output)
      output = ''
      const [cols, rows] = data.split('x').map(Number)
      if (cols && rows) this.#dispatch('resize', { cols, rows })
    }
    if (output) this.#dispatch('output', output)
  }

  protected timeOf([t]: Event): number {
    return t * 1000
  }

  protected override happened(what: string): void {
    if (what === 'ended') this.#dispatch('ended', { message: '' })
    else this.#dispatch(what)
  }
}
