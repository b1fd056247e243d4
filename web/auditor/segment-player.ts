/** A segment as it is played: what restores its first screen, and what follows in time. */
export interface Played<E> {
  events: readonly E[]
}

export interface SegmentIndex {
  durationMs: number
  segments: readonly { number: number; t0Ms: number; t1Ms: number }[]
}

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
  skipsIdle: boolean
  ended: boolean
  error: unknown
}

/** Kept segments: the one that plays and the next one. */
const KEEP = 3
/** The next segment is fetched when so much of this one is left. */
const AHEAD_MS = 5_000
/** What is due within one frame is drawn in one go. */
const FRAME_MS = 16
/** Stillness longer than this is skipped on demand, but for its last second. */
const IDLE_MS = 3_000
const LEAD_MS = 1_000

/**
 * Plays a recording of many segments, of which each begins with a keyframe, so a seek reads one segment and nothing else.
 * What a screen is, and how it is drawn, is for the medium.
 */
export abstract class SegmentPlayer<S extends Played<E>, E> {
  readonly #index: SegmentIndex
  readonly #read: (number: number) => Promise<S>
  readonly #world: DriverWorld
  readonly #watch: (state: DriverState) => void
  readonly #kept = new Map<number, Promise<S>>()
  #timeMs = 0
  #playing = false
  #speed = 1
  #anchor = 0
  #at = 0
  #skipsIdle = false
  #segment: S | null = null
  #place = -1
  #cancel: (() => void) | null = null
  #turn = 0
  #loading = false
  #error: unknown = null

  constructor(
    index: SegmentIndex,
    read: (number: number) => Promise<S>,
    watch: (state: DriverState) => void = () => undefined,
    world: DriverWorld = browserWorld,
  ) {
    this.#index = index
    this.#read = read
    this.#watch = watch
    this.#world = world
  }

  /** Shows the keyframe, whatever was shown before, and what followed it until the sought moment, in one go. */
  protected abstract restore(segment: S, events: readonly E[]): void
  /** Shows what came next. */
  protected abstract show(events: readonly E[]): void
  /** Milliseconds since the session's start. */
  protected abstract timeOf(event: E): number
  /** What happens, in the order that asciinema-player's driver tells it. */
  protected happened(_what: 'play' | 'playing' | 'pause' | 'seeked' | 'ended'): void {}

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
    let segment: S
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
    this.happened('seeked')
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
    this.happened('play')
    this.happened('playing')
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
    this.happened('pause')
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

  /** Whether long stillness is passed over. */
  setSkipsIdle(skipsIdle: boolean): void {
    this.#skipsIdle = skipsIdle
    if (this.#playing && !this.#loading) this.#schedule()
    this.#tell()
  }

  /** To the next change or the one before, and stays there. */
  async step(by: 1 | -1): Promise<boolean> {
    this.pause()
    if (!this.#segment || this.#loading) return this.seek(this.#timeMs)
    const { segments } = this.#index
    const times = this.#segment.events.map((event) => this.timeOf(event))
    const now = this.#timeMs
    if (by === 1) {
      const next = times.find((timeMs) => timeMs > now) ?? segments[this.#place + 1]?.t0Ms
      return this.seek(next ?? this.#index.durationMs)
    }
    const before = times.findLast((timeMs) => timeMs < now)
    const start = segments[this.#place]?.t0Ms ?? 0
    // Before its first change a segment shows its keyframe, which is what the one before it ended with.
    return this.seek(before ?? (now > start ? start : Math.max(0, start - 1)))
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

  #get(number: number): Promise<S> {
    const kept = this.#kept.get(number)
    if (kept) {
      // Least recently used goes first.
      this.#kept.delete(number)
      this.#kept.set(number, kept)
      return kept
    }
    const reading = this.#read(number)
    this.#kept.set(number, reading)
    reading.catch(() => this.#kept.delete(number))
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= KEEP) break
      this.#kept.delete(old)
    }
    return reading
  }

  /** From the keyframe to `timeMs`, in one go. */
  #draw(segment: S, timeMs: number): void {
    this.#at = 0
    this.restore(segment, this.#until(segment, timeMs))
  }

  #showUntil(segment: S, timeMs: number): void {
    const events = this.#until(segment, timeMs)
    if (events.length > 0) this.show(events)
  }

  #until({ events }: S, timeMs: number): readonly E[] {
    const from = this.#at
    while (this.#at < events.length && this.timeOf(events[this.#at] as E) <= timeMs) this.#at += 1
    return events.slice(from, this.#at)
  }

  #schedule(): void {
    this.#cancel?.()
    const segment = this.#segment
    if (!segment) return
    const now = this.timeMs
    this.#showUntil(segment, now + FRAME_MS)
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
    const until = Math.min(due ? this.timeOf(due) : boundary, boundary)
    if (this.#skipsIdle && until - now > IDLE_MS) {
      this.#timeMs = until - LEAD_MS
      this.#anchor = this.#world.now()
      this.#schedule()
      return
    }
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
    this.happened('ended')
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
      skipsIdle: this.#skipsIdle,
      ended: this.#timeMs >= this.#index.durationMs,
      error: this.#error,
    })
  }
}
