import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Cursor } from '../../canvas.ts'
import { bitmapUpdate, fastPath, onChannel, slowPath } from '../../testing/rdp-server.ts'
import { Violation } from '../../violation.ts'
import { ClientStream } from './client-stream.ts'
import { PacketReader } from './packets.ts'
import { ARROW, Pointers } from './pointers.ts'
import { ServerStream } from './server-stream.ts'

const IO = 1003

function server(hasClipboard = true) {
  const heard = {
    cursors: [] as Cursor[],
    errors: [] as number[],
    takes: [] as number[],
    sizes: [] as number[][],
  }
  const stream = new ServerStream({
    pointers: new Pointers((cursor) => heard.cursors.push(cursor)),
    desktop: () => ({ width: 640, height: 480 }),
    hasClipboard,
    ioChannel: () => IO,
    takes: (flags) => heard.takes.push(flags),
    size: (width, height) => heard.sizes.push([width, height]),
    errorInfo: (code) => heard.errors.push(code),
  })
  return { heard, stream }
}

const EXACT = { left: 0, top: 0, right: 3, bottom: 0, width: 4, height: 1, bits: 16, flags: 0 }
const PADDED = { ...EXACT, right: 2 }
const PIXELS = Buffer.from([1, 0, 2, 0, 3, 0, 4, 0])

describe('packets', () => {
  it('come out whole, whatever the borders of the chunks', () => {
    const packets = [fastPath(1, Buffer.alloc(300, 1)), Buffer.from([0, 5, 1, 2, 3]), slowPath(IO, 2, PIXELS)]
    const all = Buffer.concat(packets)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 80 })), (sizes) => {
        const reader = new PacketReader()
        const seen: string[] = []
        let at = 0
        for (const size of [...sizes, all.length]) {
          const chunk = Buffer.from(all.subarray(at, at + size))
          at += chunk.length
          reader.push(chunk, (packet) => seen.push(packet.toString('hex')))
          chunk.fill(0)
        }
        expect(seen).toEqual(packets.map((packet) => packet.toString('hex')))
      }),
    )
  })

  it('of impossible lengths are refused', () => {
    for (const bytes of [
      [0, 1],
      [0, 0],
      [3, 0, 0, 3],
      [0, 0x80, 2],
    ])
      expect(() => new PacketReader().push(Buffer.from(bytes), () => {})).toThrow(Violation)
  })
})

describe('what a server says', () => {
  it('passes as it is where nothing is wrong with it', () => {
    const { stream } = server()
    const said = Buffer.concat([
      fastPath(1, bitmapUpdate([{ ...EXACT, data: PIXELS }])),
      fastPath(4, Buffer.alloc(50, 9)),
      slowPath(IO, 2, bitmapUpdate([{ ...EXACT, data: PIXELS }])),
      onChannel(0x68, 1004, Buffer.concat([Buffer.from([40, 0, 0, 0]), Buffer.alloc(40, 7)])),
    ])
    expect(stream.push(said).equals(said)).toBe(true)
  })

  it('has its padded bitmaps put right, on either path and in pieces', () => {
    const update = bitmapUpdate([{ ...PADDED, data: PIXELS }])
    const right = server().stream.push(fastPath(1, update))
    expect(right.equals(fastPath(1, update))).toBe(false)
    expect(
      server()
        .stream.push(slowPath(IO, 2, update))
        .equals(right),
    ).toBe(true)
    const { stream } = server()
    expect(stream.push(fastPath(1, update.subarray(0, 9), 2)).length).toBe(0)
    expect(stream.push(fastPath(1, update.subarray(9, 15), 3)).length).toBe(0)
    expect(stream.push(fastPath(1, update.subarray(15), 1)).equals(right)).toBe(true)
  })

  it('keeps exact bitmaps in pieces as the pieces that they were', () => {
    const update = bitmapUpdate([{ ...EXACT, data: PIXELS }])
    const pieces = [fastPath(1, update.subarray(0, 9), 2), fastPath(1, update.subarray(9), 1)]
    const { stream } = server()
    const out = Buffer.concat(pieces.map((piece) => stream.push(piece)))
    expect(out.equals(Buffer.concat(pieces))).toBe(true)
  })

  it('keeps the order of what stands in one packet', () => {
    const padded = fastPath(1, bitmapUpdate([{ ...PADDED, data: PIXELS }]))
    const other = fastPath(4, Buffer.alloc(20, 5))
    const joined = Buffer.concat([other, padded.subarray(3), other.subarray(3)])
    joined.writeUInt16BE(0x8000 | joined.length, 1)
    const right = server().stream.push(padded)
    expect(
      server()
        .stream.push(joined)
        .equals(Buffer.concat([other, right, other])),
    ).toBe(true)
  })

  it('comes in pieces of one update after the other, and none without an end', () => {
    const piece = (code: number, fragment: number) => fastPath(code, Buffer.alloc(16_000), fragment)
    for (const pieces of [
      [piece(1, 3)],
      [piece(4, 1)],
      [piece(1, 2), piece(1, 2)],
      [piece(1, 2), piece(4, 1)],
      [piece(4, 2), piece(4, 0)],
      [piece(4, 2), ...Array.from({ length: 1100 }, () => piece(4, 3))],
    ])
      expect(() => server().stream.push(Buffer.concat(pieces))).toThrow(Violation)
  })

  it('has no surface that ends before it begins', () => {
    const words = (...values: number[]) => Buffer.from(Uint16Array.from(values).buffer)
    // A frame's begin, then a pixel of raw data.
    const marker = words(4, 0, 1, 0)
    const bits = (right: number) =>
      Buffer.concat([words(1, 5, 5, right, 6, 32, 0, 1, 1, 4, 0), Buffer.alloc(4)])
    const good = fastPath(4, Buffer.concat([marker, bits(6), bits(6)]))
    expect(server().stream.push(good).equals(good)).toBe(true)
    for (const bad of [Buffer.concat([marker, bits(6), bits(4)]), bits(5), bits(6).subarray(0, 20)])
      expect(() => server().stream.push(fastPath(4, bad))).toThrow(Violation)
  })

  it('is told that what was copied cannot be had, where it is too large to hold', () => {
    const part = (total: number, flags: number, type: number) => {
      const data = Buffer.alloc(1600, type)
      data.writeUInt32LE(total, 0)
      data.writeUInt32LE(flags, 4)
      data.writeUInt16LE(type, 8)
      return onChannel(0x68, 1004, data)
    }
    const { stream } = server()
    const answer = stream.push(part(2 ** 31, 1, 5))
    expect(answer.subarray(15).toString('hex')).toBe('08000000030000000500020000000000')
    expect([answer.readUInt16BE(2), answer.readUInt16BE(13) & 0x7fff]).toEqual([answer.length, 16])
    expect(stream.push(Buffer.concat([part(2 ** 31, 0, 0), part(2 ** 31, 2, 0)])).length).toBe(0)
    const small = part(1592, 3, 5)
    expect(stream.push(small).equals(small)).toBe(true)
    expect(() => stream.push(part(2 ** 31, 1, 2))).toThrow(Violation)
    // Nor where it says less than it is.
    expect(() => stream.push(Buffer.concat([part(1, 1, 5), ...Array(700).fill(part(1, 0, 0))]))).toThrow(
      Violation,
    )
  })

  it('comes on no channel that nobody asked for', () => {
    const other = onChannel(0x68, 1004, Buffer.alloc(40))
    expect(() => server(false).stream.push(other)).toThrow('a channel that nobody asked for')
    expect(server().stream.push(other).equals(other)).toBe(true)
  })

  it('is read for its errors, on the picture’s channel only', () => {
    const { heard, stream } = server()
    stream.push(slowPath(IO, 0x2f, Buffer.from([5, 0, 0, 0])))
    stream.push(slowPath(1004, 0x2f, Buffer.from([6, 0, 0, 0])))
    expect(heard.errors).toEqual([5])
  })

  it('is read for what it takes as input', () => {
    const capability = (type: number, data: number[]) => {
      const one = Buffer.alloc(4 + data.length)
      one.writeUInt16LE(type, 0)
      one.writeUInt16LE(one.length, 2)
      one.set(data, 4)
      return one
    }
    const demand = (flags: number) => {
      const caps = [capability(1, [0, 0]), capability(0x0d, [flags & 0xff, flags >> 8, 0, 0])]
      const head = Buffer.alloc(14)
      head.writeUInt16LE(0x11, 2)
      head.writeUInt16LE(4, 10)
      return onChannel(
        0x68,
        IO,
        Buffer.concat([head, Buffer.from('RDP\0'), Buffer.from([2, 0, 0, 0]), ...caps]),
      )
    }
    const { heard, stream } = server()
    stream.push(demand(0x15))
    stream.push(demand(0x05))
    expect(heard.takes).toEqual([0x15, 0x05])
  })

  it('says what was copied only after the answer to our own list, whatever its length', () => {
    const part = (flags: number, ...bytes: number[]) =>
      onChannel(0x68, 1004, Buffer.from([20, 0, 0, 0, flags, 0, 0, 0, ...bytes]))
    const ready = part(3, 1, 0)
    const list = [part(1, 2, 0, 7), part(0, 2, 0, 8), part(2, 9)]
    const answer = part(3, 3, 0)
    const { stream } = server()
    const out = [ready, ...list, part(3, 7, 0), answer].map((packet) => stream.push(packet).toString('hex'))
    const hex = (packets: Buffer[]) => Buffer.concat(packets).toString('hex')
    expect(out).toEqual([hex([ready]), '', '', '', hex([part(3, 7, 0)]), hex([answer, ...list])])
    expect(stream.push(part(3, 2, 0)).equals(part(3, 2, 0))).toBe(true)
    const flood = server().stream
    const long = onChannel(0x68, 1004, Buffer.alloc(20_000).fill(1, 4, 5).fill(2, 8, 9))
    expect(() => {
      for (let n = 0; n < 20; n++) flood.push(long)
    }).toThrow(Violation)
  })

  it('never ends in anything but a violation', () => {
    const kinds = [1, 5, 6, 9, 10, 11, 12]
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.constantFrom(...kinds),
            fc.uint8Array({ maxLength: 120 }),
            fc.integer({ min: 0, max: 3 }),
          ),
          { maxLength: 6 },
        ),
        fc.array(fc.tuple(fc.constantFrom(2, 0x1b, 0x2f), fc.uint8Array({ minLength: 2, maxLength: 120 }))),
        (fast, slow) => {
          const { stream } = server()
          try {
            for (const [code, data, fragment] of fast) stream.push(fastPath(code, data, fragment))
            for (const [type, data] of slow) stream.push(slowPath(IO, type, data))
          } catch (error) {
            expect(error).toBeInstanceOf(Violation)
          }
        },
      ),
    )
  })
})

describe('pointers', () => {
  const pointer = (
    place: number,
    bits: number,
    width: number,
    height: number,
    xor: number[],
    and: number[],
  ) => {
    const head = Buffer.from(Uint16Array.of(bits, place, 1, 0, width, height, and.length, xor.length).buffer)
    return Buffer.concat([head, Buffer.from(xor), Buffer.from(and)])
  }

  it('of 32 bits are drawn from the bottom up, clear where they are clear', () => {
    const { heard, stream } = server()
    // Bottom row first: a red pixel and a clear one; above it a blue one and a half clear one.
    const xor = [0, 0, 255, 255, 0, 0, 0, 0, 255, 0, 0, 255, 0, 255, 0, 100]
    stream.push(fastPath(11, pointer(3, 32, 2, 2, xor, [0, 0, 0, 0])))
    expect(heard.cursors).toMatchObject([{ width: 2, height: 2, hotX: 1, hotY: 0 }])
    expect([...(heard.cursors[0]?.pixels ?? [])]).toEqual([
      ...[0, 0, 255, 255],
      ...[0, 0, 0, 0],
      ...[255, 0, 0, 255],
      ...[0, 0, 0, 0],
    ])
    stream.push(fastPath(5, Buffer.alloc(0)))
    stream.push(fastPath(10, Buffer.from([3, 0])))
    expect([heard.cursors[1]?.width, heard.cursors[2]]).toEqual([0, heard.cursors[0]])
    stream.push(fastPath(10, Buffer.from([4, 0])))
    expect(heard.cursors[3]).toBe(ARROW)
  })

  it('of one bit that invert what lies below are drawn so that they show on anything', () => {
    const { heard, stream } = server()
    stream.push(fastPath(11, pointer(0, 1, 2, 1, [0b1100_0000, 0], [0b1100_0000, 0])))
    expect([...(heard.cursors[0]?.pixels ?? [])]).toEqual([0, 0, 0, 255, 255, 255, 255, 255])
  })

  it('too large, or shorter than they say, are refused', () => {
    for (const bad of [
      pointer(0, 32, 385, 1, [], []),
      pointer(0, 32, 4, 4, [1, 2, 3], []),
      pointer(0, 7, 1, 1, [1, 2], [0, 0]),
      pointer(0, 32, 2, 2, Array(16).fill(1), [0, 0, 0, 0]).subarray(0, 20),
    ])
      expect(() => server().stream.push(fastPath(11, bad))).toThrow(Violation)
  })
})

describe('what IronRDP says', () => {
  const block = (type: number, data: Buffer) => {
    const one = Buffer.alloc(4 + data.length)
    one.writeUInt16LE(type, 0)
    one.writeUInt16LE(one.length, 2)
    one.set(data, 4)
    return one
  }
  const initial = (channels: string[]) => {
    const core = Buffer.alloc(212)
    core.writeUInt16LE(16, 136)
    core.writeUInt16LE(2, 138)
    core.writeUInt16LE(1, 140)
    const net = Buffer.alloc(4 + channels.length * 12)
    net.writeUInt32LE(channels.length, 0)
    for (const [n, name] of channels.entries()) net.write(name, 4 + n * 12, 'latin1')
    const blocks = Buffer.concat([block(0xc001, core), block(0xc004, Buffer.alloc(8)), block(0xc003, net)])
    const body = Buffer.concat([
      Buffer.from([0x7f, 0x65, 0x82, 1, 1]),
      Buffer.from('Duca'),
      Buffer.from([0x80 | (blocks.length >> 8), blocks.length & 0xff]),
      blocks,
    ])
    const packet = Buffer.concat([Buffer.from([3, 0, 0, 0, 2, 0xf0, 0x80]), body])
    packet.writeUInt16BE(packet.length, 2)
    return packet
  }
  const info = (flags: number) => {
    const data = Buffer.alloc(40)
    data.writeUInt16LE(0x40, 0)
    data.writeUInt32LE(flags, 8)
    return onChannel(0x64, IO, data)
  }

  it('has its depth, its keyboard and its sign-in put right, and nothing else', () => {
    const client = new ClientStream({ depth: 32, keyboardLayout: 0x407 })
    const credssp = Buffer.from([0x30, 3, 1, 2, 3])
    expect(client.push(credssp)).toBe(credssp)
    expect(client.isPackets).toBe(false)
    const said = client.push(initial(['cliprdr']))
    const core = said.indexOf('Duca') + 4 + 2 + 4
    expect(client.isPackets).toBe(true)
    expect(said.readUInt32LE(core + 12)).toBe(0x407)
    expect(said.readUInt16LE(core + 136)).toBe(24)
    expect(said.readUInt16LE(core + 138)).toBe(2 | 1 | 8)
    expect(said.readUInt16LE(core + 140)).toBe(1 | 2)
    const join = onChannel(0x64, IO, Buffer.alloc(20))
    expect(client.push(join).equals(join)).toBe(true)
    expect(client.ioChannel).toBeNull()
    expect(client.push(info(0x10)).equals(info(0x18))).toBe(true)
    expect(client.ioChannel).toBe(IO)
    expect(client.push(info(0x10)).equals(info(0x10))).toBe(true)
  })

  it('offers no channel but the clipboard', () => {
    for (const name of ['rdpdr', 'rdpsnd', 'drdynvc', 'audin', 'scard'])
      expect(() =>
        new ClientStream({ depth: 16, keyboardLayout: 0x409 }).push(initial(['cliprdr', name])),
      ).toThrow(name)
  })
})
