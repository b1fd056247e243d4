import { describe, expect, it } from 'vitest'
import { inputPackets, scancodeEvent } from './fast-path-input.ts'
import { RdpInput } from './rdp-input.ts'

const US = 0x409
const SHIFT = 0x2a

/** Events of packets, in words. */
function read(packets: Buffer): string[] {
  const events: string[] = []
  for (let at = 0; at < packets.length; ) {
    const count = (packets[at] ?? 0) >> 2
    const end = at + (packets.readUInt16BE(at + 1) & 0x7fff)
    let from = at + 3
    let seen = 0
    for (; from < end; seen++) {
      const code = (packets[from] ?? 0) >> 5
      const flags = (packets[from] ?? 0) & 31
      const way = flags & 1 ? 'up' : 'down'
      const u16 = (n: number) => packets.readUInt16LE(from + n)
      if (code === 0) events.push(`${way} ${flags & 2 ? 'e0 ' : ''}${packets[from + 1]?.toString(16)}`)
      if (code === 1 || code === 2)
        events.push(`${code === 1 ? 'mouse' : 'side'} ${u16(1).toString(16)} ${u16(3)},${u16(5)}`)
      if (code === 3) events.push(`locks ${flags & 2 ? 'num ' : ''}${flags & 4 ? 'caps' : ''}`.trim())
      if (code === 4) events.push(`${way} ${String.fromCharCode(u16(1))}`)
      from += [2, 7, 7, 1, 3][code] ?? Number.NaN
    }
    expect([seen, from]).toEqual([count, end])
    at = end
  }
  return events
}

describe('keys', () => {
  it('go by their place, with its prefix', () => {
    const input = new RdpInput(US)
    expect(read(input.key(true, 0xff0d, 0x1c))).toEqual(['down 1c'])
    expect(read(input.key(false, 0xff0d, 0x1c))).toEqual(['up 1c'])
    expect(read(input.key(true, 0xff51, 0xcb))).toEqual(['down e0 4b'])
  })

  it('without a place are characters where the server takes them, else keys with their Shift', () => {
    const input = new RdpInput(US)
    expect(read(input.key(true, 0x3f, null))).toEqual([`down ${SHIFT.toString(16)}`, 'down 35'])
    expect(read(input.key(false, 0x3f, null))).toEqual(['up 35', 'up 2a'])
    expect(read(input.key(true, 0x10020ac, null))).toEqual([])
    input.takes = 0x10
    expect(read(input.key(true, 0x10020ac, null))).toEqual(['down €'])
    expect(read(input.key(true, 0x101f600, null))).toEqual(['down \ud83d', 'down \ude00'])
    // With Ctrl it is a command.
    input.key(true, 0xffe3, 0x1d)
    expect(read(input.key(true, 0x63, null))).toEqual(['down 2e'])
  })

  it('tell the server how the locks of the person’s keyboard are', () => {
    const input = new RdpInput(US)
    expect(read(input.key(true, 0x61, 0x1e))).toEqual(['down 1e'])
    expect(read(input.key(true, 0x41, 0x1e))).toEqual(['locks caps', 'down 1e'])
    expect(read(input.key(true, 0x41, 0x1e))).toEqual(['down 1e'])
    // With Shift the same letter says the opposite.
    input.key(true, 0xffe1, SHIFT)
    expect(read(input.key(true, 0x41, 0x1e))).toEqual(['locks', 'down 1e'])
    expect(read(input.key(false, 0x41, 0x1e))).toEqual(['up 1e'])
    // A digit of the keypad has Num Lock on; Caps Lock pressed here is known.
    expect(read(input.key(true, 0xffb7, 0x47))).toEqual(['locks num', 'down 47'])
    input.key(false, 0xffe1, SHIFT)
    expect(read(input.key(true, 0xffe5, 0x3a))).toEqual(['down 3a'])
    expect(read(input.key(true, 0x41, 0x1e))).toEqual(['down 1e'])
  })
})

describe('the pointer', () => {
  it('moves, presses, turns its wheel, and says nothing of what the server does not take', () => {
    const input = new RdpInput(US)
    expect(read(input.pointer(30, 40, 0))).toEqual(['mouse 800 30,40'])
    expect(read(input.pointer(30, 40, 1))).toEqual(['mouse 9000 30,40'])
    expect(read(input.pointer(31, 40, 0))).toEqual(['mouse 800 31,40', 'mouse 1000 31,40'])
    expect(read(input.pointer(31, 40, 2 | 4))).toEqual(['mouse c000 31,40', 'mouse a000 31,40'])
    expect(read(input.pointer(31, 40, 8))).toEqual([
      'mouse 4000 31,40',
      'mouse 2000 31,40',
      'mouse 278 31,40',
    ])
    expect(read(input.pointer(31, 40, 16))).toEqual(['mouse 388 31,40'])
    expect(read(input.pointer(31, 40, 32 | 128))).toEqual([])
    input.pointer(31, 40, 0)
    input.takes = 0x104
    expect(read(input.pointer(31, 40, 32 | 128))).toEqual(['mouse 588 31,40', 'side 8001 31,40'])
  })
})

describe('letting go', () => {
  it('covers all that is down, and then nothing', () => {
    const input = new RdpInput(US)
    input.key(true, 0xffe1, SHIFT)
    input.key(true, 0x41, 0x1e)
    input.key(true, 0x3f, null)
    input.pointer(5, 6, 3)
    expect(read(input.release())).toEqual(['up 2a', 'up 1e', 'up 35', 'mouse 1000 5,6', 'mouse 4000 5,6'])
    expect(input.release().length).toBe(0)
  })

  it('of more than a packet holds takes two', () => {
    const events = Array.from({ length: 20 }, (_, n) => scancodeEvent(false, n + 1))
    expect(read(inputPackets(events)).length).toBe(20)
  })
})
