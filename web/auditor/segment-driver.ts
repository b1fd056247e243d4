/**
 * The player's own driver: a recording of many segments, of which each begins with a keyframe, so a seek reads one
 * segment and nothing else. It feeds asciinema-player's terminal, which draws text only: links, titles, clipboard and
 * queries in the stream have no effect.
 *
 * A segment is asciicast v2: a header line, then `[t, code, data]` lines with t in seconds since the session's start.
 */
export interface Segment {
  cols: number
  rows: number
  events: readonly [t: number, code: string, data: string][]
}

export interface SegmentIndex {
  durationMs: number
  cols: number
  rows: number
  segments: readonly { number: number; t0Ms: number; t1Ms: number }[]
}

/** What asciinema-player 3.17 gives a driver. */
type Dispatch = (event: string, data?: unknown) => void

export interface DriverWorld {
  now: () => number
  later: (does: () => void, ms: number) => () => void
}
const browserWorld: DriverWorld = {
  now: () => performance.now(),
  later: (does, ms) => {
    const timer = setTimeout(does, ms)
    return () => clearTimeout(timer)
  },
}

export interface DriverState {
  timeMs: number
  playing: boolean
  loading: boolean
  speed: number
  ended: boolean
  error: unknown
}

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

/** Kept segments: the one that plays and the next one. */
const KEEP = 3
/** The next segment is fetched when so much of this one is left. */
const AHEAD_MS = 5_000
/** Output that is due within one frame is drawn in one go. */
const FRAME_MS = 16

export class SegmentDriver {
  readonly #index: SegmentIndex
  readonly #read: (number: number) => Promise<string>
  readonly #world: DriverWorld
  readonly #watch: (state: DriverState) => void
  readonly #kept = new Map<number, Promise<Segment>>()
  #dispatch: Dispatch = () => undefined
  #timeMs = 0
  #playing = false
  #speed = 1
  #anchor = 0
  #at = 0
  #segment: Segment | null = null
  #place = -1
  #cancel: (() => void) | null = null
  #turn = 0
  #loading = false
  #error: unknown = null

  constructor(
    index: SegmentIndex,
    read: (number: number) => Promise<string>,
    watch: (state: DriverState) => void = () => undefined,
    world: DriverWorld = browserWorld,
  ) {
    this.#index = index
    this.#read = read
    this.#watch = watch
    this.#world = world
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
        await this.seek(this.#timeMs)
      },
      play: () => this.play(),
      pause: () => this.pause(),
      seek: (where: unknown) => (typeof where === 'number' ? this.seek(where * 1000) : false),
      stop: () => this.stop(),
      getCurrentTime: () => this.timeMs / 1000,
      getDuration: () => this.#index.durationMs / 1000,
    }
  }

  get timeMs(): number {
    if (!this.#playing || this.#loading) return this.#timeMs
    return Math.min(this.#index.durationMs, this.#timeMs + (this.#world.now() - this.#anchor) * this.#speed)
  }

  /** Shows the screen as it was at that time. Reads at most one segment, and none when it is already here. */
  async seek(timeMs: number): Promise<boolean> {
    const wanted = Math.max(0, Math.min(timeMs, this.#index.durationMs))
    const turn = this.#stopTimer()
    this.#timeMs = wanted
    const place = this.#placeOf(wanted)
    const entry = this.#index.segments[place]
    if (!entry) return false
    this.#loading = true
    this.#tell()
    let segment: Segment
    try {
      segment = await this.#get(entry.number)
    } catch (error) {
      if (turn === this.#turn) this.#fail(error)
      return false
    }
    // Another seek overtook this one while it was read.
    if (turn !== this.#turn) return false
    this.#loading = false
    this.#error = null
    this.#segment = segment
    this.#place = place
    this.#draw(segment, wanted)
    this.#dispatch('seeked')
    this.#anchor = this.#world.now()
    if (this.#playing) this.#schedule()
    this.#tell()
    return true
  }

  async play(): Promise<boolean> {
    if (this.#playing) return true
    const again = this.#timeMs >= this.#index.durationMs
    this.#playing = true
    this.#anchor = this.#world.now()
    this.#dispatch('play')
    this.#dispatch('playing')
    if (again || !this.#segment) await this.seek(again ? 0 : this.#timeMs)
    else if (!this.#loading) this.#schedule()
    this.#tell()
    return true
  }

  pause(): boolean {
    if (!this.#playing) return true
    this.#timeMs = this.timeMs
    this.#playing = false
    this.#cancel?.()
    this.#cancel = null
    this.#dispatch('pause')
    this.#tell()
    return true
  }

  /** Speed of play, 0.5 to 16. */
  setSpeed(speed: number): void {
    this.#timeMs = this.timeMs
    this.#anchor = this.#world.now()
    this.#speed = Math.min(16, Math.max(0.5, speed))
    if (this.#playing && !this.#loading) this.#schedule()
    this.#tell()
  }

  stop(): void {
    this.#stopTimer()
    this.#playing = false
    this.#kept.clear()
  }

  #placeOf(timeMs: number): number {
    const { segments } = this.#index
    let found = 0
    for (let place = 0; place < segments.length; place++) {
      const segment = segments[place]
      if (segment && segment.t0Ms <= timeMs) found = place
    }
    return found
  }

  #get(number: number): Promise<Segment> {
    const kept = this.#kept.get(number)
    if (kept) {
      // Least recently used goes first.
      this.#kept.delete(number)
      this.#kept.set(number, kept)
      return kept
    }
    const reading = this.#read(number).then(parseSegment)
    this.#kept.set(number, reading)
    reading.catch(() => this.#kept.delete(number))
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= KEEP) break
      this.#kept.delete(old)
    }
    return reading
  }

  /** From the keyframe to `timeMs`, in one go. */
  #draw(segment: Segment, timeMs: number): void {
    this.#dispatch('reset', { size: { cols: segment.cols, rows: segment.rows } })
    let output = ''
    let next = 0
    for (const [t, code, data] of segment.events) {
      if (t * 1000 > timeMs) break
      next++
      if (code === 'o') output += data
      else if (code === 'r') {
        if (output) this.#dispatch('output', output)
        output = ''
        this.#resize(data)
      }
    }
    if (output) this.#dispatch('output', output)
    this.#at = next
  }

  #resize(data: string): void {
    const [cols, rows] = data.split('x').map(Number)
    if (cols && rows) this.#dispatch('resize', { cols, rows })
  }

  #schedule(): void {
    this.#cancel?.()
    const segment = this.#segment
    if (!segment) return
    const now = this.timeMs
    let output = ''
    while (this.#at < segment.events.length) {
      const event = segment.events[this.#at]
      if (!event || event[0] * 1000 > now + FRAME_MS) break
      this.#at++
      if (event[1] === 'o') output += event[2]
      else if (event[1] === 'r') {
        if (output) this.#dispatch('output', output)
        output = ''
        this.#resize(event[2])
      }
    }
    if (output) this.#dispatch('output', output)
    const following = this.#index.segments[this.#place + 1]
    const due = segment.events[this.#at]
    const boundary = following ? following.t0Ms : this.#index.durationMs
    if (following && boundary - now < AHEAD_MS * this.#speed)
      void this.#get(following.number).catch(() => undefined)
    if (now >= boundary) {
      if (following) void this.#advance(following.t0Ms)
      else this.#finish()
      return
    }
    const until = Math.min(due ? due[0] * 1000 : boundary, boundary)
    // Woken at least four times a second, so that the fetch ahead starts in time.
    const wait = Math.min(250, Math.max(1, (until - now) / this.#speed))
    this.#cancel = this.#world.later(() => this.#schedule(), wait)
  }

  /** Into the next segment: its keyframe repaints what is already on the screen. */
  async #advance(t0Ms: number): Promise<void> {
    await this.seek(Math.max(t0Ms, this.timeMs))
  }

  #finish(): void {
    this.#timeMs = this.#index.durationMs
    this.#playing = false
    this.#dispatch('ended', { message: '' })
    this.#tell()
  }

  #fail(error: unknown): void {
    this.#loading = false
    this.#playing = false
    this.#error = error
    this.#tell()
  }

  #stopTimer(): number {
    this.#timeMs = this.timeMs
    this.#anchor = this.#world.now()
    this.#cancel?.()
    this.#cancel = null
    return ++this.#turn
  }

  #tell(): void {
    this.#watch({
      timeMs: this.timeMs,
      playing: this.#playing,
      loading: this.#loading,
      speed: this.#speed,
      ended: this.#timeMs >= this.#index.durationMs,
      error: this.#error,
    })
  }
}
