import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HandshakeReader } from '../../gateway/desktop/handshake/reader.ts'
import { setPixelFormat, updateRequest } from '../../gateway/desktop/vnc/client-messages.ts'
import { vncAuthAnswer } from '../../gateway/desktop/vnc/vnc-auth.ts'
import { BUTTONS, COLOUR, HEIGHT, PUMP_LAMP, WIDTH } from '../demo/hmi/picture.ts'
import type { RfbServer } from '../demo/hmi/rfb-server.ts'
import { startHmi } from '../demo/hmi.ts'
import { until } from '../lab/until.ts'

const PASSWORD = 'panel-pw'
const TILES = (WIDTH / 32) * (HEIGHT / 32)

/** The VNC server of the demo's operator panel, spoken to without the product in between. */
describe('the demo’s operator panel', () => {
  let hmi: RfbServer
  const sockets: Socket[] = []
  beforeAll(async () => {
    hmi = await startHmi({ password: PASSWORD, timeZone: 'Europe/Vienna' })
  })
  afterAll(async () => {
    for (const socket of sockets) socket.destroy()
    await hmi.stop()
  })

  const dial = (): Socket => {
    const socket = connect(hmi.port, '127.0.0.1')
    socket.on('error', () => undefined)
    sockets.push(socket)
    return socket
  }
  /** Up to the security result: 0 is good. */
  const signIn = async (password: string): Promise<{ client: Client; result: number }> => {
    const client = new Client(dial())
    await client.read(12)
    client.socket.write('RFB 003.008\n')
    await client.read(2)
    client.socket.write(Uint8Array.of(2))
    client.socket.write(vncAuthAnswer(await client.read(16), Buffer.from(password)))
    return { client, result: (await client.read(4)).readUInt32BE() }
  }
  const enter = async (): Promise<Client> => {
    const { client, result } = await signIn(PASSWORD)
    expect(result).toBe(0)
    client.socket.write(Uint8Array.of(1))
    const init = await client.read(24)
    expect([init.readUInt16BE(0), init.readUInt16BE(2)]).toEqual([WIDTH, HEIGHT])
    expect((await client.read(init.readUInt32BE(20))).toString()).toBe('Mixing station 3')
    client.socket.write(setPixelFormat())
    return client
  }

  it('lets nobody in with a wrong password', async () => {
    const { client, result } = await signIn('another')
    expect(result).toBe(1)
    client.socket.resume()
    await until(() => client.socket.destroyed, 'the line is closed')
  })

  it('sends all of the picture once, then what has changed, and only when asked', async () => {
    const client = await enter()
    expect(await client.update(false)).toBe(TILES)
    expect(client.at(600, 10)).toBe(COLOUR.title)
    expect(client.at(PUMP_LAMP.x, PUMP_LAMP.y)).toBe(COLOUR.running)
    const changed = await client.update(true)
    expect(changed).toBeGreaterThan(0)
    expect(changed).toBeLessThan(TILES / 4)
    // Nothing comes unasked: what is there after some frames is nothing at all.
    const other = await enter()
    await other.update(false)
    for (let n = 0; n < 5; n++) await other.update(true)
    expect(client.socket.readableLength).toBe(0)
  })

  it('is worked by pointer and keys', async () => {
    const client = await enter()
    await client.update(false)
    const lamp = async () => {
      await client.update(true)
      return client.at(PUMP_LAMP.x, PUMP_LAMP.y)
    }
    const { x, y } = BUTTONS.stop
    client.socket.write(Uint8Array.of(5, 1, (x + 9) >> 8, (x + 9) & 255, 0, y + 9))
    client.socket.write(Uint8Array.of(5, 0, (x + 9) >> 8, (x + 9) & 255, 0, y + 9))
    await until(async () => (await lamp()) === COLOUR.stopped, 'it is stopped')
    client.socket.write(Uint8Array.of(4, 1, 0, 0, 0, 0, 0, 0x73))
    await until(async () => (await lamp()) === COLOUR.running, 'it is running')
  })

  it('ends a client that says what nobody may, and no other', async () => {
    const good = await enter()
    await good.update(false)
    const foreign = setPixelFormat()
    foreign.writeUInt8(16, 4)
    for (const bad of [Uint8Array.of(99), foreign, Uint8Array.of(6, 0, 0, 0, 255, 255, 255, 255)]) {
      const client = await enter()
      client.socket.resume().write(bad)
      await until(() => client.socket.destroyed, 'the line is closed')
    }
    // One that leaves in the middle of a message.
    const short = await enter()
    short.socket.resume().end(Uint8Array.of(2, 0, 255, 255))
    await until(() => short.socket.destroyed, 'the line is closed')
    const stranger = dial()
    stranger.resume().write('GET / HTTP/1.1\r\n')
    await until(() => stranger.destroyed, 'the line is closed')
    expect(await good.update(true)).toBeGreaterThan(0)
  })
})

class Client {
  readonly socket: Socket
  readonly #reader: HandshakeReader
  readonly #picture = Buffer.alloc(WIDTH * HEIGHT * 4)

  constructor(socket: Socket) {
    this.socket = socket
    this.#reader = new HandshakeReader(socket)
  }

  async read(count: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let left = count; left > 0; left -= 1024) parts.push(await this.#reader.read(Math.min(left, 1024)))
    return Buffer.concat(parts)
  }

  /** Asks for an update and takes it; answers how many rectangles it had. */
  async update(incremental: boolean): Promise<number> {
    this.socket.write(updateRequest(incremental, WIDTH, HEIGHT))
    const count = (await this.read(4)).readUInt16BE(2)
    for (let n = 0; n < count; n++) {
      const head = await this.read(12)
      const [x, y, width, height] = [0, 2, 4, 6].map((at) => head.readUInt16BE(at)) as [
        number,
        number,
        number,
        number,
      ]
      const pixels = await this.read(width * height * 4)
      for (let row = 0; row < height; row++)
        pixels.copy(this.#picture, ((y + row) * WIDTH + x) * 4, row * width * 4, (row + 1) * width * 4)
    }
    return count
  }

  at(x: number, y: number): number {
    return this.#picture.readUIntBE((y * WIDTH + x) * 4, 3)
  }
}
