import { inflateSync } from 'node:zlib'

/** A rectangle as it was read. */
export interface ReadRect {
  x: number
  y: number
  width: number
  height: number
  encoding: number
  /** Of Tight: how it was written. */
  form: 'fill' | 'mono' | 'indexed' | 'copy' | null
}

/** One message of a server. */
export type ReadMessage =
  | { type: 'init'; width: number; height: number; name: string }
  | { type: 'update'; rects: ReadRect[] }
  | { type: 'bell' }
  | { type: 'end-of-continuous-updates' }
  | { type: 'fence'; flags: number; payload: Buffer }
  | { type: 'cut-text'; latin1: string }
  | { type: 'extended-cut-text'; flags: number; data: Buffer }

/**
 * A second reading of what the server sends, written from the specifications alone and stricter than a client: each
 * Tight rectangle must reset all streams and stand for itself. Tests compare its picture with the screen. After
 * `init`, bytes are the normal phase.
 */
export class RfbReader {
  width = 0
  height = 0
  /** RGBX rows. */
  picture = new Uint8Array(0)
  cursor: { width: number; height: number; hotX: number; hotY: number; pixels: Buffer } | null = null
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  /** Reads one ServerInit, which must be all of `bytes`. */
  init(bytes: Uint8Array): ReadMessage {
    this.#begin(bytes)
    const width = this.#u16()
    const height = this.#u16()
    const format = this.#take(16)
    if (format.subarray(0, 13).toString('hex') !== '2018000100ff00ff00ff000810')
      throw new Error(`pixel format ${format.toString('hex')}`)
    const name = this.#take(this.#u32()).toString('utf8')
    this.#end()
    this.#size(width, height)
    return { type: 'init', width, height, name }
  }

  /** Reads messages, which must be complete. */
  read(bytes: Uint8Array): ReadMessage[] {
    this.#begin(bytes)
    const messages: ReadMessage[] = []
    while (this.#at < this.#bytes.length) messages.push(this.#message())
    return messages
  }

  #message(): ReadMessage {
    const type = this.#u8()
    switch (type) {
      case 0:
        this.#take(1)
        return { type: 'update', rects: Array.from({ length: this.#u16() }, () => this.#rect()) }
      case 2:
        return { type: 'bell' }
      case 3: {
        this.#take(3)
        const length = this.#take(4).readInt32BE(0)
        if (length >= 0) return { type: 'cut-text', latin1: this.#take(length).toString('latin1') }
        return { type: 'extended-cut-text', flags: this.#u32(), data: this.#take(-length - 4) }
      }
      case 150:
        return { type: 'end-of-continuous-updates' }
      case 248:
        this.#take(3)
        return { type: 'fence', flags: this.#u32(), payload: this.#take(this.#u8()) }
      default:
        throw new Error(`server message ${type}`)
    }
  }

  #rect(): ReadRect {
    const [x, y, width, height] = [this.#u16(), this.#u16(), this.#u16(), this.#u16()]
    const encoding = this.#take(4).readInt32BE(0)
    const rect: ReadRect = { x, y, width, height, encoding, form: null }
    switch (encoding) {
      case 7:
        rect.form = this.#tight(x, y, width, height)
        return rect
      case 1:
        this.#copy(rect, this.#u16(), this.#u16())
        return rect
      case -223:
        this.#size(width, height)
        return rect
      case -308: {
        const screens = this.#u8()
        this.#take(3 + 16 * screens)
        if (y === 0) this.#size(width, height)
        return rect
      }
      case -239: {
        const pixels = Buffer.from(this.#take(width * height * 4))
        const stride = Math.ceil(width / 8)
        const mask = this.#take(stride * height)
        for (let row = 0; row < height; row++)
          for (let column = 0; column < width; column++) {
            const bit = (mask[row * stride + (column >> 3)] ?? 0) & (0x80 >> (column & 7))
            pixels[(row * width + column) * 4 + 3] = bit ? 255 : 0
          }
        this.cursor = { width, height, hotX: x, hotY: y, pixels }
        return rect
      }
      case 0x574d5664: {
        if (this.#take(2)[0] !== 1) throw new Error('not the form with alpha')
        this.cursor = { width, height, hotX: x, hotY: y, pixels: this.#take(width * height * 4) }
        return rect
      }
      case -258:
      case -316:
        return rect
      default:
        throw new Error(`encoding ${encoding}`)
    }
  }

  #copy({ x, y, width, height }: ReadRect, fromX: number, fromY: number): void {
    const isInside = (left: number, top: number) => left + width <= this.width && top + height <= this.height
    if (!isInside(x, y) || !isInside(fromX, fromY)) throw new Error('a copy from or to outside')
    const before = this.picture.slice()
    for (let row = 0; row < height; row++) {
      const from = ((fromY + row) * this.width + fromX) * 4
      this.picture.set(before.subarray(from, from + width * 4), ((y + row) * this.width + x) * 4)
    }
  }

  #tight(x: number, y: number, width: number, height: number): ReadRect['form'] {
    if (width === 0 || height === 0) throw new Error('an empty rectangle')
    if (x + width > this.width || y + height > this.height) throw new Error('a rectangle outside')
    const control = this.#u8()
    if ((control & 0x0f) !== 0x0f) throw new Error('a stream goes on')
    const kind = control >> 4
    const set = (pixel: number, rgb: Uint8Array, at: number) => {
      const target = ((y + Math.floor(pixel / width)) * this.width + x + (pixel % width)) * 4
      this.picture.set([rgb[at] ?? 0, rgb[at + 1] ?? 0, rgb[at + 2] ?? 0, 255], target)
    }
    if (kind === 8) {
      const colour = this.#take(3)
      for (let pixel = 0; pixel < width * height; pixel++) set(pixel, colour, 0)
      return 'fill'
    }
    if (kind === 0) {
      const rgb = this.#data(width * height * 3)
      for (let pixel = 0; pixel < width * height; pixel++) set(pixel, rgb, pixel * 3)
      return 'copy'
    }
    if (kind !== 4 || this.#u8() !== 1) throw new Error(`control ${control}`)
    const colours = this.#u8() + 1
    if (colours < 2) throw new Error('a palette of one colour')
    const palette = this.#take(colours * 3)
    if (colours > 2) {
      const indexes = this.#data(width * height)
      for (let pixel = 0; pixel < width * height; pixel++) {
        const index = indexes[pixel] ?? 255
        if (index >= colours) throw new Error('outside the palette')
        set(pixel, palette, index * 3)
      }
      return 'indexed'
    }
    const stride = Math.ceil(width / 8)
    const bits = this.#data(stride * height)
    for (let pixel = 0; pixel < width * height; pixel++) {
      const column = pixel % width
      const byte = bits[Math.floor(pixel / width) * stride + (column >> 3)] ?? 0
      set(pixel, palette, ((byte >> (7 - (column & 7))) & 1) * 3)
    }
    return 'mono'
  }

  #data(length: number): Buffer {
    if (length < 12) return this.#take(length)
    let compressed = 0
    for (let shift = 0; shift <= 14; shift += 7) {
      const byte = this.#u8()
      compressed |= (shift < 14 ? byte & 0x7f : byte) << shift
      if (shift < 14 && (byte & 0x80) === 0) break
    }
    // A stream that has no end, or goes on after it, throws or leaves another length.
    const data = inflateSync(this.#take(compressed), { maxOutputLength: length + 1 })
    if (data.length !== length) throw new Error(`${data.length} bytes for ${length}`)
    return data
  }

  #size(width: number, height: number): void {
    if (width === this.width && height === this.height) return
    const picture = new Uint8Array(width * height * 4)
    for (let row = 0; row < Math.min(height, this.height); row++) {
      const from = row * this.width * 4
      picture.set(this.picture.subarray(from, from + Math.min(width, this.width) * 4), row * width * 4)
    }
    this.width = width
    this.height = height
    this.picture = picture
  }

  #begin(bytes: Uint8Array): void {
    this.#bytes = Buffer.from(bytes)
    this.#at = 0
  }

  #end(): void {
    if (this.#at !== this.#bytes.length) throw new Error(`${this.#bytes.length - this.#at} bytes too many`)
  }

  #take(length: number): Buffer {
    if (length < 0 || this.#at + length > this.#bytes.length) throw new Error('a message is incomplete')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  #u8(): number {
    return this.#take(1).readUInt8(0)
  }

  #u16(): number {
    return this.#take(2).readUInt16BE(0)
  }

  #u32(): number {
    return this.#take(4).readUInt32BE(0)
  }
}
