import { describe, expect, it } from 'vitest'
import { endOfErrorInfo } from './error-info.ts'
import { characterOf, keyOf, scancodeOf } from './input/keys.ts'
import { readRequest, writeResponse } from './ironrdp/clean-path.ts'
import { readStart, writeStart } from './rdp-frames.ts'
import { desktopSize } from './size.ts'
import { connectionRequest, packetLength, readConfirm, requestedProtocols } from './x224.ts'

const confirm = (type: number, value: number) =>
  Buffer.from([3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, type, 0, 8, 0, value, 0, 0, 0])

describe('the first packets', () => {
  it('ask for protocols, and name nobody', () => {
    const request = connectionRequest(3)
    expect(request.toString('hex')).toBe('030000130ee000000000000100080003000000')
    expect(packetLength(request)).toBe(19)
    expect(requestedProtocols(request)).toBe(3)
    expect(requestedProtocols(confirm(2, 1))).toBeNull()
  })

  it('are answered by a choice, by a refusal, or by an old server', () => {
    expect(readConfirm(confirm(2, 2))).toEqual({ ok: true, protocol: 2 })
    expect(readConfirm(confirm(3, 5))).toEqual({ ok: false, why: 'nla-required' })
    expect(readConfirm(confirm(3, 2))).toEqual({ ok: false, why: 'refused' })
    expect(readConfirm(confirm(3, 2).subarray(0, 11))).toEqual({ ok: true, protocol: 0 })
    expect(readConfirm(confirm(9, 2))).toBeNull()
    expect(readConfirm(connectionRequest(1))).toBeNull()
    expect(readConfirm(Buffer.from([3, 0, 0, 5, 1]))).toBeNull()
  })

  it('are no TPKT when their head is another', () => {
    for (const head of [
      [4, 0, 0, 19],
      [3, 0, 0, 4],
      [0x16, 3, 1, 0],
    ])
      expect(packetLength(Buffer.from(head))).toBeNull()
  })
})

describe('RDCleanPath', () => {
  it('gives the packet of a request, once it is complete', () => {
    const packet = connectionRequest(11)
    // [0] version, [2] destination, [6] packet.
    const request = Buffer.concat([
      Buffer.from([0x30, 0x81, 6 + 9 + 4 + packet.length]),
      Buffer.from([0xa0, 4, 0x02, 2, 0x0d, 0x3e]),
      Buffer.from([0xa2, 7, 0x0c, 5, 0x61, 0x3a, 0x33, 0x33, 0x38]),
      Buffer.from([0xa6, packet.length + 2, 0x04, packet.length]),
      packet,
    ])
    expect(readRequest(request.subarray(0, 10))).toBeNull()
    expect(readRequest(request)?.equals(packet)).toBe(true)
    expect(() => readRequest(Buffer.from([0x30, 6, 0xa0, 4, 0x02, 2, 0x0d, 0x3e]))).toThrow(
      'without its packet',
    )
    expect(() => readRequest(Buffer.from([0x30, 0x84, 1, 1, 1, 1]))).toThrow('a length')
  })

  it('answers with the server’s packet and certificate', () => {
    const certificate = Buffer.alloc(900, 7)
    const response = writeResponse(confirm(2, 2), certificate)
    expect(response.subarray(0, 1).toString('hex')).toBe('30')
    expect(response.readUInt16BE(2) + 4).toBe(response.length)
    expect(response.includes(confirm(2, 2))).toBe(true)
    expect(response.includes(certificate)).toBe(true)
  })
})

describe('messages to the child', () => {
  it('come out as they went in', () => {
    const start = {
      user: 'operator',
      domain: 'PLANT',
      nla: true,
      keyboardLayout: 0x407,
      depth: 32 as const,
      clipboard: { in: true, out: false },
      width: 1280,
      height: 800,
      confirm: 'AA==',
      certificate: 'AQ==',
    }
    expect(readStart(writeStart(start, Buffer.from('pässword')))).toEqual({ start, password: 'pässword' })
  })
})

describe('keys without a place', () => {
  it('are special keys by their place, characters by themselves, commands by their key', () => {
    expect([scancodeOf(0xff0d, false, 0x409), scancodeOf(0xff52, false, 0x409)]).toEqual([0x1c, 0xc8])
    expect([scancodeOf(0xffbe, false, 0x409), scancodeOf(0xffc9, false, 0x409)]).toEqual([0x3b, 0x58])
    expect(scancodeOf(0xffb5, false, 0x409)).toBe(0x4c)
    expect([scancodeOf(0x63, false, 0x409), scancodeOf(0x63, true, 0x409)]).toEqual([null, 0x2e])
    // Ctrl+Z is where Z is printed.
    expect([
      scancodeOf(0x7a, true, 0x409),
      scancodeOf(0x7a, true, 0x407),
      scancodeOf(0x7a, true, 0x40c),
    ]).toEqual([0x2c, 0x15, 0x11])
    expect([characterOf(0xe4), characterOf(0x10020ac), characterOf(0x100d800), characterOf(0xff0d)]).toEqual([
      'ä',
      '€',
      null,
      null,
    ])
  })

  it('are keys of the layout where a server takes no characters', () => {
    expect(keyOf('A', 0x409)).toEqual({ scancode: 0x1e, isShifted: true })
    expect(keyOf('?', 0x409)).toEqual({ scancode: 0x35, isShifted: true })
    expect(keyOf('\\', 0x409)).toEqual({ scancode: 0x2b, isShifted: false })
    expect(keyOf('z', 0x407)).toEqual({ scancode: 0x15, isShifted: false })
    expect(keyOf('7', 0x40c)).toEqual({ scancode: 0x08, isShifted: true })
    for (const [character, layout] of [
      ['?', 0x407],
      ['m', 0x40c],
      ['ä', 0x407],
      ['€', 0x409],
    ] as const)
      expect(keyOf(character, layout)).toBeNull()
  })
})

describe('sizes and ends', () => {
  it('of a desktop are even and within what is of use', () => {
    expect(desktopSize()).toEqual({ width: 1280, height: 800 })
    expect(desktopSize(1013, 771)).toEqual({ width: 1012, height: 770 })
    expect(desktopSize(10, 10_000)).toEqual({ width: 640, height: 2160 })
  })

  it('are told apart by what the server says of them', () => {
    expect([0, 1, 5, 0x0c, 0x101, 0x10b, 0x112f].map(endOfErrorInfo)).toEqual([
      null,
      'dismissed',
      'taken-over',
      'shell-ended',
      'licence',
      null,
      null,
    ])
  })
})
