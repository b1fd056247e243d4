/**
 * Fast-path input (MS-RDPBCGR 2.2.8.1.2). Past TLS it needs nothing of what the server has said, so the session writes it by
 * itself: it waits behind no picture, and what is held down can be let go whatever has become of the decoder.
 */
const EVENT = { scancode: 0, mouse: 1, extendedMouse: 2, synchronize: 3, unicode: 4 } as const
const RELEASE = 1
const EXTENDED = 2
const LOCK = { num: 2, caps: 4 } as const
/** More in one packet need a count of their own. */
const MAX_EVENTS = 15

/** Pointer flags (2.2.8.1.1.3.1.1.3), and those of the two buttons at the side (2.2.8.1.1.3.1.1.4). */
export const POINTER = {
  move: 0x0800,
  down: 0x8000,
  left: 0x1000,
  right: 0x2000,
  middle: 0x4000,
  wheelUp: 0x0200 | 0x78,
  wheelDown: 0x0200 | 0x0100 | 0x88,
  wheelRight: 0x0400 | 0x78,
  wheelLeft: 0x0400 | 0x0100 | 0x88,
  back: 0x0001,
  forward: 0x0002,
} as const

/** `scancode`: XT set 1, 0xe0 prefix as bit 7. */
export function scancodeEvent(down: boolean, scancode: number): Buffer {
  const flags = (down ? 0 : RELEASE) | (scancode & 0x80 ? EXTENDED : 0)
  return Buffer.from([(EVENT.scancode << 5) | flags, scancode & 0x7f])
}

/** One for each unit of UTF-16. */
export function unicodeEvents(down: boolean, character: string): Buffer[] {
  return Array.from({ length: character.length }, (_, n) => {
    const unit = character.charCodeAt(n)
    return Buffer.from([(EVENT.unicode << 5) | (down ? 0 : RELEASE), unit & 0xff, unit >> 8])
  })
}

export function mouseEvent(flags: number, x: number, y: number, isExtended = false): Buffer {
  const event = Buffer.alloc(7)
  event.writeUInt8((isExtended ? EVENT.extendedMouse : EVENT.mouse) << 5, 0)
  event.writeUInt16LE(flags, 1)
  event.writeUInt16LE(x, 3)
  event.writeUInt16LE(y, 5)
  return event
}

export function locksEvent({ num, caps }: { num: boolean; caps: boolean }): Buffer {
  return Buffer.from([(EVENT.synchronize << 5) | (num ? LOCK.num : 0) | (caps ? LOCK.caps : 0)])
}

/** The events in as many packets as they need, in their order. */
export function inputPackets(events: readonly Buffer[]): Buffer {
  const packets: Buffer[] = []
  for (let at = 0; at < events.length; at += MAX_EVENTS) {
    const some = events.slice(at, at + MAX_EVENTS)
    const length = 3 + some.reduce((sum, event) => sum + event.length, 0)
    packets.push(Buffer.from([some.length << 2, 0x80 | (length >> 8), length & 0xff]), ...some)
  }
  return Buffer.concat(packets)
}
