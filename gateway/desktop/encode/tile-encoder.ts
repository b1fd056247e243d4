import type { Rect } from '../canvas.ts'
import { TILE_BYTES } from '../screen/grid.ts'
import type { Screen } from '../screen/screen.ts'
import { type EncodePool, JOB_TILES } from './pool.ts'
import type { EncodedRect } from './tight.ts'

export interface EncodedTile extends EncodedRect {
  rect: Rect
}

/** What the encoded tiles of one screen may take while nobody waits for them. */
const KEPT_BYTES = 8 * 1024 * 1024
/** What a kept tile takes beside its bytes, roughly. */
const KEPT_OVERHEAD = 256

interface Kept {
  version: number
  tile: Promise<EncodedTile>
  /** Null while it is being encoded. */
  bytes: number | null
}

/**
 * Encodes the tiles of one screen, each version once: the vendor, every observer and the recorder share the bytes, and
 * who comes late gets what is already there.
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
  /** The newest version of each tile that was asked for, longest unused first. */
  readonly #kept = new Map<number, Kept>()
  #keptBytes = 0
  #sizeVersion = 0

  constructor(screen: Screen, pool: EncodePool) {
    this.#screen = screen
    this.#pool = pool
  }

  /** Of the screen as it is now; in the order asked for. Rejects when the pool has stopped or gives up. */
  encode(tiles: readonly number[]): Promise<EncodedTile[]> {
    if (this.#sizeVersion !== this.#screen.sizeVersion) this.#forget()
    const missing = tiles.filter((tile) => this.#kept.get(tile)?.version !== this.#screen.versions[tile])
    for (let at = 0; at < missing.length; at += JOB_TILES) this.#start(missing.slice(at, at + JOB_TILES))
    const asked = tiles.map((tile) => {
      const kept = this.#kept.get(tile)
      if (!kept) throw new RangeError(`the screen has no tile ${tile}`)
      this.#kept.delete(tile)
      this.#kept.set(tile, kept)
      return kept.tile
    })
    return Promise.all(asked)
  }

  #start(tiles: readonly number[]): void {
    const { grid, versions } = this.#screen
    const block = this.#pool.block()
    const sizes = new Uint8Array(tiles.length * 2)
    const rects = tiles.map((tile) => grid.rect(tile))
    tiles.forEach((tile, place) => {
      const pixels = this.#screen.pixels(tile)
      new Int32Array(block, place * TILE_BYTES, pixels.length).set(pixels)
      sizes[place * 2] = rects[place]?.width ?? 0
      sizes[place * 2 + 1] = rects[place]?.height ?? 0
    })
    const job = this.#pool.encode(block, sizes)
    tiles.forEach((tile, place) => {
      const encoded = job.then((done): EncodedTile => {
        const one = done[place]
        const rect = rects[place]
        if (!one || !rect) throw new Error('an encoding thread answered with too few tiles')
        this.#account(tile, kept, one.body.length)
        return { ...one, rect }
      })
      // Whoever asked hears of a failure; the next who asks tries again.
      encoded.catch(() => {
        if (this.#kept.get(tile) === kept) this.#drop(tile)
      })
      const kept: Kept = { version: versions[tile] ?? 0, tile: encoded, bytes: null }
      this.#drop(tile)
      this.#kept.set(tile, kept)
    })
  }

  #account(tile: number, kept: Kept, bytes: number): void {
    if (this.#kept.get(tile) !== kept) return
    kept.bytes = bytes + KEPT_OVERHEAD
    this.#keptBytes += kept.bytes
    if (this.#keptBytes <= KEPT_BYTES) return
    for (const [oldest, { bytes: size }] of this.#kept) {
      if (this.#keptBytes <= KEPT_BYTES) return
      if (size !== null) this.#drop(oldest)
    }
  }

  #drop(tile: number): void {
    this.#keptBytes -= this.#kept.get(tile)?.bytes ?? 0
    this.#kept.delete(tile)
  }

  #forget(): void {
    this.#sizeVersion = this.#screen.sizeVersion
    this.#kept.clear()
    this.#keptBytes = 0
  }
}
