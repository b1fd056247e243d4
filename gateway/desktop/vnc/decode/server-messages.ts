import type { Rect } from '../../canvas.ts'
import type { Painter } from '../../child/paint-writer.ts'
import { isDesktopSize, MAX_CLIPBOARD_BYTES, MAX_CURSOR_SIDE } from '../../limits.ts'
import { Violation } from '../../violation.ts'
import { ENCODING } from '../encodings.ts'
import type { ByteSource } from './byte-source.ts'
import { decodeHextile } from './hextile.ts'
import { InflateStream } from './inflate-stream.ts'
import type { JpegDecoder } from './jpeg.ts'
import { CANVAS_FORMAT, Pixels, readPixelFormat } from './pixel-format.ts'
import { decodeRaw } from './raw.ts'
import { TightDecoder } from './tight.ts'
import { decodeZrle } from './zrle.ts'

/** What a VNC server lets the session do beyond painting. */
export interface VncPainter extends Painter {
  /** ServerInit has been read: the session may ask for pictures. */
  opened(): void
  /** The server takes SetDesktopSize; it names its first screen so. */
  resizable(screen: number, flags: number): void
  /** The server takes QEMU's extended key events. */
  scancodes(): void
}

const MAX_NAME = 64 * 1024
/** Longer texts are read past and not kept; what is longer still is no text. */
const MAX_CUT_TEXT = 64 * 1024 * 1024

/** Everything that a server says from ServerInit on (RFC 6143 section 7.3.2 and 7.6). Ends by EndOfInput or Violation. */
export class ServerMessages {
  readonly #source: ByteSource
  readonly #painter: VncPainter
  readonly #native: boolean
  readonly #tight: TightDecoder
  readonly #zrle = new InflateStream()
  #pixels = new Pixels(CANVAS_FORMAT)
  #width = 0
  #height = 0

  /** `native`: the server was not asked for another pixel format than its own. */
  constructor(source: ByteSource, painter: VncPainter, native: boolean, jpeg: JpegDecoder) {
    this.#source = source
    this.#painter = painter
    this.#native = native
    this.#tight = new TightDecoder(jpeg)
  }

  run(): never {
    this.#serverInit()
    for (;;) this.#message()
  }

  #serverInit(): void {
    const source = this.#source
    const width = source.u16()
    const height = source.u16()
    const format = readPixelFormat(source.take(16))
    const nameLength = source.u32()
    if (nameLength > MAX_NAME) throw new Violation('a desktop name of an impossible length')
    source.skip(nameLength)
    if (this.#native) this.#pixels = new Pixels(format)
    this.#resize(width, height)
    this.#painter.flush()
    this.#painter.opened()
  }

  #message(): void {
    const type = this.#source.u8()
    switch (type) {
      case 0:
        this.#update()
        return
      case 1:
        this.#colourMap()
        return
      case 2:
        this.#painter.bell()
        return
      case 3:
        this.#cutText()
        return
      default:
        throw new Violation('a message of unknown type')
    }
  }

  #colourMap(): void {
    this.#source.skip(1)
    const first = this.#source.u16()
    const count = this.#source.u16()
    for (let n = 0; n < count; n++)
      this.#pixels.setColour(first + n, this.#source.u16(), this.#source.u16(), this.#source.u16())
  }

  #cutText(): void {
    this.#source.skip(3)
    const length = this.#source.i32()
    // A negative length is the extended clipboard's, which is only for clients that asked for it.
    if (length < 0 || length > MAX_CUT_TEXT) throw new Violation('a clipboard text of an impossible length')
    if (length > MAX_CLIPBOARD_BYTES / 2) {
      this.#source.skip(length)
      return
    }
    // Latin-1, of which one character is two bytes of UTF-8 at most.
    this.#painter.clipboard(Buffer.from(this.#source.copy(length)).toString('latin1'))
  }

  #update(): void {
    const source = this.#source
    source.skip(1)
    const count = source.u16()
    // 65535 rectangles mean "until LastRect" (-224); no server needs as many as that.
    for (let n = 0; n < count; n++) {
      const rect = { x: source.u16(), y: source.u16(), width: source.u16(), height: source.u16() }
      const encoding = source.i32()
      if (encoding === ENCODING.lastRect) {
        this.#painter.flush()
        return
      }
      this.#rectangle(rect, encoding)
    }
    if (count === 0xffff) throw new Violation('an update without an end')
    this.#painter.flush()
  }

  #rectangle(rect: Rect, encoding: number): void {
    switch (encoding) {
      case ENCODING.cursor:
        this.#cursor(rect)
        return
      case ENCODING.desktopSize:
        this.#resize(rect.width, rect.height)
        return
      case ENCODING.extendedDesktopSize:
        this.#extendedDesktopSize(rect)
        return
      case ENCODING.extendedKeys:
        this.#painter.scancodes()
        return
    }
    const { x, y, width, height } = rect
    if (x + width > this.#width || y + height > this.#height)
      throw new Violation('a rectangle outside the screen')
    const empty = width === 0 || height === 0
    if (encoding === ENCODING.raw) {
      if (!empty) decodeRaw(this.#source, rect, this.#pixels, this.#painter)
      return
    }
    if (encoding === ENCODING.copyRect) {
      const fromX = this.#source.u16()
      const fromY = this.#source.u16()
      if (fromX + width > this.#width || fromY + height > this.#height)
        throw new Violation('a copy from outside the screen')
      if (!empty) this.#painter.copy(rect, fromX, fromY)
      return
    }
    if (empty) throw new Violation('an empty rectangle')
    switch (encoding) {
      case ENCODING.hextile:
        decodeHextile(this.#source, rect, this.#pixels, this.#painter)
        return
      case ENCODING.zrle:
        decodeZrle(this.#source, rect, this.#pixels, this.#painter, this.#zrle)
        return
      case ENCODING.tight:
        this.#tight.decode(this.#source, rect, this.#pixels, this.#painter)
        return
      default:
        throw new Violation('a rectangle of unknown encoding')
    }
  }

  #resize(width: number, height: number): void {
    if (!isDesktopSize(width, height)) throw new Violation('a screen of an impossible size')
    this.#width = width
    this.#height = height
    this.#painter.size(width, height)
  }

  #extendedDesktopSize({ x: reason, y: status, width, height }: Rect): void {
    const source = this.#source
    const screens = source.u8()
    source.skip(3)
    for (let n = 0; n < screens; n++) {
      const id = source.u32()
      source.skip(8)
      const flags = source.u32()
      if (n === 0) this.#painter.resizable(id, flags)
    }
    // Reason 1 is the answer to our own wish, whose status says whether anything has changed.
    if (reason === 1 && status !== 0) return
    if (width !== this.#width || height !== this.#height) this.#resize(width, height)
  }

  /** Pixels, then one bit a pixel that says which of them are seen. */
  #cursor({ x: hotX, y: hotY, width, height }: Rect): void {
    if (width > MAX_CURSOR_SIDE || height > MAX_CURSOR_SIDE)
      throw new Violation('a cursor of an impossible size')
    if (width === 0 || height === 0) {
      this.#painter.cursor({ width: 0, height: 0, hotX: 0, hotY: 0, pixels: new Uint8Array(0) })
      return
    }
    const colours = new Uint32Array(width * height)
    for (let row = 0; row < height; row++)
      this.#pixels.row(this.#source.take(width * this.#pixels.size), colours, row * width, width)
    const stride = Math.ceil(width / 8)
    for (let row = 0; row < height; row++) {
      const mask = this.#source.take(stride)
      for (let column = 0; column < width; column++)
        if ((((mask[column >> 3] ?? 0) >> (7 - (column & 7))) & 1) === 0) colours[row * width + column] = 0
    }
    this.#painter.cursor({
      width,
      height,
      hotX: Math.min(hotX, width - 1),
      hotY: Math.min(hotY, height - 1),
      pixels: new Uint8Array(colours.buffer),
    })
  }
}
