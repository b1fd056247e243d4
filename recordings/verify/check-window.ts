import type { Grant } from '../../broker/domain/grant.ts'
import type { FrameHeader } from '../format/frame.ts'
import type { Media, SegmentHeader } from '../format/header.ts'
import { RECORD_HEADER_BYTES } from '../format/rfb-record.ts'
import type { Findings } from './report.ts'

const CHECK = 'input-window'
/** Gateway and broker may be this far apart before new sessions are denied. */
const CLOCK_TOLERANCE_MS = 30_000

/** Chunk times are whole milliseconds on another clock than `exp`. */
const ROUNDING_MS = 1000

/** What the approvals allow, from check 8. */
export interface InputWindow {
  /** Milliseconds since the epoch. */
  opensAtMs: number
  viewOnly: boolean
}

type GrantTimes = Pick<Grant, 'iat' | 'exp' | 'ending' | 'person' | 'asset' | 'site' | 'recording'>

/** The input stream's times; its content stays sealed. */
export class InputTimes {
  #start: SegmentHeader['clock'] | null = null
  #firstMs: number | null = null
  #lastMs: number | null = null
  /** The first moment of input that no grant covers. */
  #uncoveredMs: number | null = null
  readonly #covered: { fromMs: number; toMs: number }[]
  /** The longest first chunk by media; Infinity without a grant to say whose names stand in it. */
  readonly #headerBytes: Record<Media, number>

  /** `grants`: the opening grant, then later ones by serial. */
  constructor(grants: readonly GrantTimes[]) {
    const longest = (media: Media) =>
      grants.length === 0
        ? Number.POSITIVE_INFINITY
        : Math.max(...grants.map((grant) => headerBytes(media, grant)))
    this.#headerBytes = { 'asciicast-v2': longest('asciicast-v2'), 'rfb-v1': longest('rfb-v1') }
    this.#covered = grants.map((grant, at) => {
      const next = grants[at + 1]
      const grace = grant.ending.inputDuringGrace ? grant.ending.holdSeconds * 1000 : 0
      const limit = grant.exp * 1000 + ROUNDING_MS + grace
      // A later grant takes over when it is issued, whether it gives more time or less.
      const taken = next ? next.iat * 1000 + CLOCK_TOLERANCE_MS : Number.POSITIVE_INFINITY
      const from = at === 0 ? Number.NEGATIVE_INFINITY : grant.iat * 1000 - CLOCK_TOLERANCE_MS
      return { fromMs: from, toMs: Math.min(limit, taken) }
    })
  }

  /** Called for every segment; screen segment 0 comes first and gives the session's own start. */
  segment(header: SegmentHeader): void {
    if (header.stream === 'screen' && header.segment === 0) this.#start = header.clock
  }

  /**
   * Chunk 0 of an input segment holds its header line or facts only; every other chunk with content was sent by
   * someone, and so was a chunk 0 that is longer than these can be: it is sealed, and nobody sees what a gateway hid in it.
   */
  frame(header: SegmentHeader, frame: FrameHeader): void {
    if (frame.plainLength === 0 || (frame.seq === 0 && frame.plainLength <= this.#headerBytes[header.media]))
      return
    const from = this.#wall(header, frame.t0Ms)
    const to = this.#wall(header, frame.t1Ms)
    this.#firstMs = Math.min(this.#firstMs ?? from, from)
    this.#lastMs = Math.max(this.#lastMs ?? to, to)
    for (const ms of [from, to]) {
      const covered = this.#covered.some(({ fromMs, toMs }) => fromMs <= ms && ms <= toMs)
      if (!covered) this.#uncoveredMs ??= ms
    }
  }

  /** The later of two reckonings: a wall clock set back during the session gains nothing. */
  #wall({ clock }: SegmentHeader, t: number): number {
    const own = clock.wall_ms + t - clock.t_ms
    return this.#start ? Math.max(own, this.#start.wall_ms + t - this.#start.t_ms) : own
  }

  /** Check 9. Returns the time of the last input, or null. */
  finish(window: InputWindow | null, findings: Findings): number | null {
    if (this.#firstMs === null || this.#lastMs === null) {
      findings.passed(CHECK, 'nothing was sent to the asset')
      return null
    }
    const place = `input stream at ${isoOf(this.#lastMs)}`
    if (!window) {
      findings.fail(
        CHECK,
        'input-window-unknown',
        place,
        'there is input, but no readable grant with its approval',
      )
    } else if (window.viewOnly) {
      findings.fail(CHECK, 'input-view-only', place, 'there is input in a view-only session')
    } else {
      if (this.#firstMs < window.opensAtMs - CLOCK_TOLERANCE_MS) {
        const opens = new Date(window.opensAtMs).toISOString()
        findings.fail(CHECK, 'input-before-window', place, `input began before the window opened at ${opens}`)
      }
      if (this.#uncoveredMs !== null) {
        const at = `input stream at ${isoOf(this.#uncoveredMs)}`
        findings.fail(CHECK, 'input-after-window', at, 'there is input after the time that was granted')
      }
    }
    findings.passed(CHECK, `the last input was at ${isoOf(this.#lastMs)}, inside the window`)
    return this.#lastMs
  }
}

/** Bytes of the longest header line, or record of facts, of an input segment that this grant's names give. */
function headerBytes(media: Media, { recording, person, asset, site }: GrantTimes): number {
  const most = 0xffff_ffff
  const { name, company } = person
  const own = { v: 1, recording, stream: 'input', segment: most, person: { name, company } }
  const sallyport = { ...own, asset: asset.name, site: site.name }
  if (media === 'rfb-v1')
    return RECORD_HEADER_BYTES + Buffer.byteLength(JSON.stringify({ ...sallyport, timestamp: most }))
  const line = JSON.stringify({ version: 2, width: 10_000, height: 10_000, timestamp: most, sallyport })
  return Buffer.byteLength(line) + 1
}

/** A gateway's clock may say any number, also one that is no date. */
function isoOf(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms} ms`
}
