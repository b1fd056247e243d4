import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { vncAuthAnswer } from '../../../gateway/desktop/vnc/vnc-auth.ts'
import { CANVAS, joined, rect, serverInit, u16, u32, update } from '../../lab/rfb-encoder.ts'
import { ARROW } from './arrow.ts'

/** What a server shows: `width` x `height` pixels of four bytes (red, green, blue, nothing). */
export interface Screen {
  name: string
  width: number
  height: number
  /** The picture of this moment. Asked ten times a second while somebody looks. */
  frame(): Uint8Array
  pointer(x: number, y: number, buttons: number): void
  key(keysym: number, isDown: boolean): void
}

export interface RfbServer {
  port: number
  stop(): Promise<void>
}

const TILE = 32
const FRAME_MS = 100
const HANDSHAKE_MS = 10_000
const MOST_CLIENTS = 8
const LONGEST_TEXT = 1 << 20
const ENCODING = { raw: 0, cursor: -239 } as const

/**
 * A VNC server (RFB 3.8, RFC 6143) on loopback for one screen: a password, raw tiles of what has changed, and an update
 * only when a client has asked for one. What a client may not say ends that client and nothing else.
 */
export async function startRfbServer(screen: Screen, password: string): Promise<RfbServer> {
  const tiles = new Tiles(screen)
  const clients = new Set<Client>()
  let timer: NodeJS.Timeout | null = null
  const paint = () => {
    tiles.take(screen.frame())
    for (const client of clients) client.serve()
  }
  const server = createServer((socket) => {
    if (clients.size >= MOST_CLIENTS) return void socket.destroy()
    const client = new Client(socket, screen, tiles)
    clients.add(client)
    if (timer === null) {
      paint()
      timer = setInterval(paint, FRAME_MS)
    }
    socket.once('close', () => {
      clients.delete(client)
      if (clients.size > 0 || timer === null) return
      clearInterval(timer)
      timer = null
    })
    void client.run(password).catch(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise<void>((done) => server.close(() => done()))
      for (const client of clients) client.end()
      await closed
    },
  }
}

/** The newest frame, and for each tile the number of the frame that last changed it. */
class Tiles {
  readonly columns: number
  readonly rows: number
  readonly changedIn: Uint32Array
  frame = 0
  readonly #screen: Screen
  #pixels: Buffer

  constructor(screen: Screen) {
    this.#screen = screen
    this.columns = Math.ceil(screen.width / TILE)
    this.rows = Math.ceil(screen.height / TILE)
    this.changedIn = new Uint32Array(this.columns * this.rows)
    this.#pixels = Buffer.alloc(screen.width * screen.height * 4)
  }

  take(pixels: Uint8Array): void {
    this.frame++
    for (let tile = 0; tile < this.changedIn.length; tile++) {
      const { x, y, width, height } = this.#placeOf(tile)
      for (let row = y; row < y + height; row++) {
        const from = (row * this.#screen.width + x) * 4
        if (this.#pixels.compare(pixels, from, from + width * 4, from, from + width * 4) === 0) continue
        this.changedIn[tile] = this.frame
        break
      }
    }
    this.#pixels.set(pixels)
  }

  /** A tile as a rectangle of raw pixels. */
  rectangle(tile: number): Buffer {
    const { x, y, width, height } = this.#placeOf(tile)
    const lines: Buffer[] = []
    for (let row = y; row < y + height; row++) {
      const from = (row * this.#screen.width + x) * 4
      lines.push(this.#pixels.subarray(from, from + width * 4))
    }
    return rect(x, y, width, height, ENCODING.raw, ...lines)
  }

  #placeOf(tile: number) {
    const x = (tile % this.columns) * TILE
    const y = Math.floor(tile / this.columns) * TILE
    return {
      x,
      y,
      width: Math.min(TILE, this.#screen.width - x),
      height: Math.min(TILE, this.#screen.height - y),
    }
  }
}

class Client {
  readonly #socket: Socket
  readonly #screen: Screen
  readonly #tiles: Tiles
  /** For each tile, the frame that this client has of it; 0 for none. */
  readonly #has: Uint32Array
  #wants = false
  #wantsCursor = false
  #hasCursor = false

  constructor(socket: Socket, screen: Screen, tiles: Tiles) {
    this.#socket = socket
    this.#screen = screen
    this.#tiles = tiles
    this.#has = new Uint32Array(tiles.changedIn.length)
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy())
  }

  end(): void {
    this.#socket.destroy()
  }

  async run(password: string): Promise<void> {
    const late = setTimeout(() => this.end(), HANDSHAKE_MS)
    try {
      await this.#handshake(password)
    } finally {
      clearTimeout(late)
    }
    for (;;) await this.#message()
  }

  /** Sends what has changed, if this client has asked and has taken what it was sent before. */
  serve(): void {
    if (!this.#wants || this.#socket.writableLength > 0) return
    const rectangles: Buffer[] = []
    if (this.#wantsCursor && !this.#hasCursor) rectangles.push(cursorRectangle())
    for (let tile = 0; tile < this.#has.length; tile++) {
      if ((this.#has[tile] ?? 0) >= (this.#tiles.changedIn[tile] ?? 0) && this.#has[tile] !== 0) continue
      this.#has[tile] = this.#tiles.frame
      rectangles.push(this.#tiles.rectangle(tile))
    }
    if (rectangles.length === 0) return
    this.#wants = false
    this.#hasCursor ||= this.#wantsCursor
    this.#socket.write(update(...rectangles))
  }

  async #handshake(password: string): Promise<void> {
    this.#socket.write('RFB 003.008\n')
    if ((await this.#read(12)).toString('latin1') !== 'RFB 003.008\n') throw new Error('another version')
    const vncAuth = 2
    this.#socket.write(Uint8Array.of(1, vncAuth))
    if ((await this.#read(1))[0] !== vncAuth) throw new Error('another security type')
    const challenge = randomBytes(16)
    this.#socket.write(challenge)
    const answer = await this.#read(16)
    if (!timingSafeEqual(answer, vncAuthAnswer(challenge, Buffer.from(password)))) {
      const reason = 'Wrong password'
      const refusal = joined(u32(1, reason.length), Buffer.from(reason))
      await new Promise<void>((done) => this.#socket.end(refusal, done))
      throw new Error(reason)
    }
    this.#socket.write(Buffer.from(u32(0)))
    // Whether it would share: everybody does here.
    await this.#read(1)
    const { width, height, name } = this.#screen
    this.#socket.write(serverInit(width, height, name))
  }

  async #message(): Promise<void> {
    const [type] = await this.#read(1)
    switch (type) {
      case 0:
        return this.#pixelFormat(await this.#read(19))
      case 2: {
        const count = (await this.#read(3)).readUInt16BE(1)
        const numbers = await this.#read(count * 4)
        for (let n = 0; n < count; n++)
          if (numbers.readInt32BE(n * 4) === ENCODING.cursor) this.#wantsCursor = true
        return
      }
      case 3: {
        const [incremental] = await this.#read(9)
        // All of it: a client that asks for a part may be sent more (RFC 6143 section 7.5.3).
        if (incremental === 0) this.#has.fill(0)
        this.#wants = true
        if (incremental === 0) this.serve()
        return
      }
      case 4: {
        const key = await this.#read(7)
        return this.#screen.key(key.readUInt32BE(3), key[0] !== 0)
      }
      case 5: {
        const pointer = await this.#read(5)
        const x = pointer.readUInt16BE(1)
        const y = pointer.readUInt16BE(3)
        if (x < this.#screen.width && y < this.#screen.height) this.#screen.pointer(x, y, pointer[0] ?? 0)
        return
      }
      case 6: {
        const length = (await this.#read(7)).readUInt32BE(3)
        if (length > LONGEST_TEXT) throw new Error('text too long')
        // A panel has no clipboard.
        await this.#read(length)
        return
      }
      default:
        throw new Error('an unknown message')
    }
  }

  /** The one format that this server has, and offers. */
  #pixelFormat(message: Buffer): void {
    const expected = serverInit(0, 0, '', CANVAS).subarray(4, 17)
    if (!message.subarray(3, 16).equals(expected)) throw new Error('another pixel format')
  }

  async #read(count: number): Promise<Buffer> {
    if (count === 0) return Buffer.alloc(0)
    const socket = this.#socket
    for (;;) {
      const bytes: Buffer | null = socket.read(count)
      if (bytes?.length === count) return bytes
      if (bytes || socket.readableEnded || socket.destroyed) throw new Error('the client has gone')
      await new Promise<void>((done) => {
        const next = () => {
          for (const event of ['readable', 'end', 'close']) socket.removeListener(event, next)
          done()
        }
        for (const event of ['readable', 'end', 'close']) socket.once(event, next)
      })
    }
  }
}

/** The pointer's shape (RFC 6143 section 7.8.1): pixels, and a bit for each that shows. */
function cursorRectangle(): Buffer {
  const width = ARROW[0]?.length ?? 0
  const height = ARROW.length
  const pixels = Buffer.alloc(width * height * 4)
  const mask = Buffer.alloc(Math.ceil(width / 8) * height)
  for (const [y, line] of ARROW.entries())
    for (const [x, sign] of [...line].entries()) {
      if (sign === ' ') continue
      if (sign === '.') pixels.fill(255, (y * width + x) * 4, (y * width + x) * 4 + 3)
      const at = y * Math.ceil(width / 8) + (x >> 3)
      mask[at] = (mask[at] ?? 0) | (0x80 >> (x & 7))
    }
  return joined(u16(0, 0, width, height), u32(ENCODING.cursor), pixels, mask)
}
