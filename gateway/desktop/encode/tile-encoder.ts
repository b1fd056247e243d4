import type { Rect } from '../canvas.ts'
import { TILE, TILE_BYTES } from '../screen/grid.ts'
import type { Screen } from '../screen/screen.ts'
import { type EncodePool, JOB_TILES } from './pool.ts'
import type { EncodedRect } from './tight.ts'

export interface EncodedTile extends EncodedRect {
  rect: Rect
}

interface Wanted {
  tile: number
  area: Rect
}

/** Of each tile the whole and one part at most are kept: lookers who ask at the same time ask for the same. */
function keyOf({ tile, area }: Wanted): number {
  const isWhole = area.width === TILE && area.height === TILE
  return tile * 2 + (isWhole ? 1 : 0)
}

function isSame(one: Rect | undefined, other: Rect): boolean {
  return one?.x === other.x && one.y === other.y && one.width === other.width && one.height === other.height
}

/** What the encoded tiles of one screen may take while nobody waits for them. */
const KEPT_BYTES = 8 * 1024 * 1024
/** What a kept tile takes beside its bytes, roughly. */
const KEPT_OVERHEAD = 256

interface Kept {
  version: number
  /** The part of the screen that it shows. */
  area: Rect
  tile: Promise<EncodedTile>
  /** Null while it is being encoded. */
  bytes: number | null
}

/**
 * Encodes the tiles of one screen, each version and part once: the vendor, every observer and the recorder share the bytes
 * where they ask for the same, and who comes late gets what is already there.
 *
 * The pixels are copied when they are asked for, before anything else can be painted. That costs about half a
 * millisecond per megapixel here, a small part of what encoding takes on its own thread, and only once per version. In
 * return every update shows the screen as it was at one `flush`. Threads that read the screen itself would meet tiles
 * that are being painted; a check of versions finds those, but not two tiles of different flushes in one picture, and
 * a recording must not show a screen that never was.
 */
export class TileEncoder {
  readonly #screen: Screen
  readonly #pool: EncodePool
  /** The newest version of each tile, by the parts of it that were asked for, longest unused first. */
  readonly #kept = new Map<number, Kept>()
  #keptBytes = 0
  #sizeVersion = 0

  constructor(screen: Screen, pool: EncodePool) {
    this.#screen = screen
    this.#pool = pool
  }

  /**
   * Of the screen as it is now; in the order asked for. `areas`: of each tile the part that is wanted, all of it without.
   * Rejects when the pool has stopped or gives up.
   */
  encode(tiles: readonly number[], areas?: readonly Rect[]): Promise<EncodedTile[]> {
    if (this.#sizeVersion !== this.#screen.sizeVersion) this.#forget()
    const { grid } = this.#screen
    const wanted = tiles.map((tile, place) => ({ tile, area: areas?.[place] ?? grid.rect(tile) }))
    const missing = wanted.filter((one) => !this.#find(one))
    for (let at = 0; at < missing.length; at += JOB_TILES) this.#start(missing.slice(at, at + JOB_TILES))
    const asked = wanted.map((one) => {
      const kept = this.#find(one)
      if (!kept) throw new RangeError(`the screen has no tile ${one.tile}`)
      this.#kept.delete(keyOf(one))
      this.#kept.set(keyOf(one), kept)
      return kept.tile
    })
    return Promise.all(asked)
  }

  /** What is kept of it is of this version and of this very part. */
  #find(one: Wanted): Kept | null {
    const kept = this.#kept.get(keyOf(one))
    const isIt = kept?.version === this.#screen.versions[one.tile] && isSame(kept?.area, one.area)
    return kept && isIt ? kept : null
  }

  #start(wanted: readonly Wanted[]): void {
    const { versions } = this.#screen
    const block = this.#pool.block()
    const sizes = new Uint8Array(wanted.length * 2)
    wanted.forEach(({ tile, area }, place) => {
      this.#copyPixels(tile, area, new Int32Array(block, place * TILE_BYTES, area.width * area.height))
      sizes[place * 2] = area.width
      sizes[place * 2 + 1] = area.height
    })
    const job = this.#pool.encode(block, sizes)
    wanted.forEach(({ tile, area }, place) => {
      const key = keyOf({ tile, area })
      const encoded = job.then((done): EncodedTile => {
        const one = done[place]
        if (!one) throw new Error('an encoding thread answered with too few tiles')
        this.#account(key, kept, one.body.length)
        return { ...one, rect: { ...area } }
      })
      // Whoever asked hears of a failure; the next who asks tries again.
      encoded.catch(() => {
        if (this.#kept.get(key) === kept) this.#drop(key)
      })
      const kept: Kept = { version: versions[tile] ?? 0, area, tile: encoded, bytes: null }
      this.#drop(key)
      this.#kept.set(key, kept)
    })
  }

  #copyPixels(tile: number, area: Rect, into: Int32Array): void {
    const { x, y, width } = this.#screen.grid.rect(tile)
    const pixels = this.#screen.pixels(tile)
    for (let row = 0; row < area.height; row++) {
      const from = (area.y - y + row) * width + area.x - x
      into.set(pixels.subarray(from, from + area.width), row * area.width)
    }
  }

  #account(key: number, kept: Kept, bytes: number): void {
    if (this.#kept.get(key) !== kept) return
    kept.bytes = bytes + KEPT_OVERHEAD
    this.#keptBytes += kept.bytes
    if (this.#keptBytes <= KEPT_BYTES) return
    for (const [oldest, { bytes: size }] of this.#kept) {
      if (this.#keptBytes <= KEPT_BYTES) return
      if (size !== null) this.#drop(oldest)
    }
  }

  #drop(key: number): void {
    this.#keptBytes -= this.#kept.get(key)?.bytes ?? 0
    this.#kept.delete(key)
  }

  #forget(): void {
    this.#sizeVersion = this.#screen.sizeVersion
    this.#kept.clear()
    this.#keptBytes = 0
  }
}
