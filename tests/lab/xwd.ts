/**
 * An X window dump (XWD version 7) as RGBA: the X server's own account of its screen. Reads what our lab's servers
 * write: one plane set (ZPixmap), 8, 16 or 32 bits, true colour or a colour map.
 */
export function readXwd(dump: Buffer): { width: number; height: number; pixels: Uint8Array } {
  const field = (n: number) => dump.readUInt32BE(n * 4)
  const headerSize = field(0)
  const width = field(4)
  const height = field(5)
  const little = field(7) === 0
  const bits = field(11)
  const stride = field(12)
  const mapped = field(13) !== 4 && field(13) !== 5
  const masks = [field(14), field(15), field(16)]
  const colours = field(19)
  const map = new Map<number, [number, number, number]>()
  for (let n = 0; n < colours; n++) {
    const at = headerSize + n * 12
    const part = (offset: number) => dump.readUInt16BE(at + offset) >> 8
    map.set(dump.readUInt32BE(at), [part(4), part(6), part(8)])
  }
  const start = headerSize + colours * 12
  const parts = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask)
    return { shift, max: mask >>> shift }
  })
  const pixels = new Uint8Array(width * height * 4)
  // Screens are read again and again until they show something, so nothing is made for a pixel whose like is known.
  const known = new Map<number, number>()
  const out = new DataView(pixels.buffer)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = start + y * stride + (x * bits) / 8
      const value =
        bits === 8
          ? dump.readUInt8(at)
          : bits === 16
            ? little
              ? dump.readUInt16LE(at)
              : dump.readUInt16BE(at)
            : little
              ? dump.readUInt32LE(at)
              : dump.readUInt32BE(at)
      let rgba = known.get(value)
      if (rgba === undefined) {
        const [red = 0, green = 0, blue = 0] = mapped
          ? (map.get(value) ?? [])
          : parts.map(({ shift, max }) => Math.round((((value >>> shift) & max) * 255) / max))
        rgba = ((red << 24) | (green << 16) | (blue << 8) | 255) >>> 0
        known.set(value, rgba)
      }
      out.setUint32((y * width + x) * 4, rgba)
    }
  return { width, height, pixels }
}

/** A picture of depth 24 as a dump that `xwud` shows. `colour` gives red, green, blue of a place. */
export function writeXwd(
  width: number,
  height: number,
  colour: (x: number, y: number) => readonly [number, number, number],
): Buffer {
  const name = Buffer.from('lab\0')
  const header = Buffer.alloc(100)
  const fields = [
    ...[100 + name.length, 7, 2, 24, width, height, 0, 0, 32, 0, 32, 32, width * 4],
    ...[4, 0xff0000, 0xff00, 0xff, 8, 256, 0, width, height, 0, 0, 0],
  ]
  fields.forEach((value, n) => {
    header.writeUInt32BE(value, n * 4)
  })
  const pixels = Buffer.alloc(width * height * 4)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [red, green, blue] = colour(x, y)
      pixels.writeUInt32LE((red << 16) | (green << 8) | blue, (y * width + x) * 4)
    }
  return Buffer.concat([header, name, pixels])
}
