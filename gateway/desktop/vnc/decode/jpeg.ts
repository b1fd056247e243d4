import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import createMozJpeg from '@jsquash/jpeg/codec/dec/mozjpeg_dec.js'
import { Violation } from '../../violation.ts'

/** The picture's RGBA rows; throws Violation when the data is not a JPEG of exactly this size. */
export type JpegDecoder = (data: Uint8Array, width: number, height: number) => Uint8Array

/** A rectangle of Tight has 65,536 pixels in the servers we know; some send whole bands. */
const MAX_JPEG_PIXELS = 4 * 1024 * 1024

/** The codec makes its result with this browser class. */
class Picture {
  readonly data: Uint8ClampedArray
  readonly width: number
  readonly height: number

  constructor(data: Uint8ClampedArray, width: number, height: number) {
    this.data = data
    this.width = width
    this.height = height
  }
}

/** MozJPEG in WebAssembly: what a malformed picture could take over there has no way out of its own memory. */
export async function loadJpeg(): Promise<JpegDecoder> {
  Object.assign(globalThis, { ImageData: Picture })
  const file = createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm')
  const compiled = new WebAssembly.Module(readFileSync(file))
  const codec = await createMozJpeg({
    noInitialRun: true,
    instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) {
      const instance = new WebAssembly.Instance(compiled, imports)
      done(instance)
      return instance.exports
    },
  })
  return (data, width, height) => {
    checkHeader(data, width, height)
    let picture: { data: Uint8ClampedArray; width: number; height: number } | null
    try {
      picture = codec.decode(data as Uint8Array<ArrayBuffer>, false)
    } catch {
      throw new Violation('a JPEG that cannot be decoded')
    }
    if (picture?.width !== width || picture.height !== height || picture.data.length !== width * height * 4)
      throw new Violation('a JPEG that cannot be decoded')
    return new Uint8Array(picture.data.buffer, picture.data.byteOffset, picture.data.length)
  }
}

/**
 * Walks the segments up to the first scan (ITU T.81 annex B) before any decoder sees them. Only a sequential Huffman
 * picture in one scan passes: no server sends others, and each further scan would cost a pass over all pixels.
 */
export function checkHeader(data: Uint8Array, width: number, height: number): void {
  if (width * height > MAX_JPEG_PIXELS) throw new Violation('a JPEG of too many pixels')
  const at = (index: number) => data[index] ?? 0
  if (at(0) !== 0xff || at(1) !== 0xd8) throw new Violation('a JPEG that is none')
  let components = 0
  let offset = 2
  while (offset + 4 < data.length && at(offset) === 0xff) {
    const marker = at(offset + 1)
    if (marker === 0xff) {
      offset += 1
      continue
    }
    if (marker === 0xda) {
      if (components === 0 || at(offset + 4) !== components)
        throw new Violation('a JPEG of more than one scan')
      return
    }
    if (marker === 0xc0 || marker === 0xc1) {
      const rows = at(offset + 5) * 256 + at(offset + 6)
      const columns = at(offset + 7) * 256 + at(offset + 8)
      if (at(offset + 4) !== 8 || rows !== height || columns !== width)
        throw new Violation('a JPEG of another size than its rectangle')
      if (components !== 0) throw new Violation('a JPEG of more than one frame')
      components = at(offset + 9)
    } else if (marker >= 0xc2 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc)
      throw new Violation('a JPEG that is not sequential')
    const length = at(offset + 2) * 256 + at(offset + 3)
    if (length < 2) break
    offset += 2 + length
  }
  throw new Violation('a JPEG without a scan')
}
