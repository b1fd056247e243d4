/** Between TileEncoder's pool and an encoding thread. */
export interface EncodeJob {
  id: number
  /** The tiles' pixels, one after the other, each with TILE_BYTES of room. */
  pixels: SharedArrayBuffer
  /** Width and height of each tile in turn. */
  sizes: Uint8Array
}

export interface EncodedJob {
  id: number
  /** Of each tile: its one colour, or -1. */
  colours: Int32Array
  /** Length of each tile's body; the bodies stand one after the other in `bodies`. */
  lengths: Uint32Array
  bodies: Uint8Array<ArrayBuffer>
}
