import { encodingNumbers, type Pictures } from './encodings.ts'

/** What a client says (RFC 6143 section 7.5, and the community's extensions), byte by byte. */

/** The canvas's own format: 32 bits, depth 24, little-endian, red at 0, green at 8, blue at 16. */
export function setPixelFormat(): Buffer {
  return Buffer.from([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0])
}

export function setEncodings(pictures: Pictures): Buffer {
  const numbers = encodingNumbers(pictures)
  const message = Buffer.alloc(4 + numbers.length * 4)
  message.writeUInt8(2, 0)
  message.writeUInt16BE(numbers.length, 2)
  numbers.forEach((number, n) => {
    message.writeInt32BE(number, 4 + n * 4)
  })
  return message
}

export function updateRequest(incremental: boolean, width: number, height: number): Buffer {
  const message = Buffer.alloc(10)
  message.writeUInt8(3, 0)
  message.writeUInt8(incremental ? 1 : 0, 1)
  message.writeUInt16BE(width, 6)
  message.writeUInt16BE(height, 8)
  return message
}

export function keyEvent(down: boolean, keysym: number): Buffer {
  const message = Buffer.alloc(8)
  message.writeUInt8(4, 0)
  message.writeUInt8(down ? 1 : 0, 1)
  message.writeUInt32BE(keysym >>> 0, 4)
  return message
}

/** QEMU's extended key event: the place on the keyboard beside the symbol. */
export function extendedKeyEvent(down: boolean, keysym: number, scancode: number): Buffer {
  const message = Buffer.alloc(12)
  message.writeUInt8(255, 0)
  message.writeUInt16BE(down ? 1 : 0, 2)
  message.writeUInt32BE(keysym >>> 0, 4)
  message.writeUInt32BE(scancode & 0xff, 8)
  return message
}

export function pointerEvent(x: number, y: number, buttons: number): Buffer {
  const message = Buffer.alloc(6)
  message.writeUInt8(5, 0)
  message.writeUInt8(buttons & 0xff, 1)
  message.writeUInt16BE(x, 2)
  message.writeUInt16BE(y, 4)
  return message
}

/** A key as it is recorded: with its place where the browser knew it. */
export function keyMessage(down: boolean, keysym: number, scancode: number | null): Buffer {
  return scancode === null ? keyEvent(down, keysym) : extendedKeyEvent(down, keysym, scancode)
}

/** The pointer as it is recorded: buttons above the seventh in a byte of their own (ExtendedMouseButtons). */
export function pointerMessage(x: number, y: number, buttons: number): Buffer {
  if (buttons < 0x80) return pointerEvent(x, y, buttons)
  const message = Buffer.alloc(7)
  pointerEvent(x, y, (buttons & 0x7f) | 0x80).copy(message)
  message.writeUInt8((buttons >> 7) & 0xff, 6)
  return message
}

/** Latin-1 with bare line feeds is all that this message knows; other characters become question marks. */
export function clientCutText(text: string, limit: number): Buffer {
  const latin = text
    .replace(/\r\n?/g, '\n')
    .replace(/[^\p{ASCII}\u0080-\u00ff]/gu, '?')
    .slice(0, limit)
  const message = Buffer.alloc(8 + latin.length)
  message.writeUInt8(6, 0)
  message.writeUInt32BE(latin.length, 4)
  message.write(latin, 8, 'latin1')
  return message
}

/** One screen that takes all of the new size; id and flags as the server named its own. */
export function setDesktopSize(width: number, height: number, screen: { id: number; flags: number }): Buffer {
  const message = Buffer.alloc(24)
  message.writeUInt8(251, 0)
  message.writeUInt16BE(width, 2)
  message.writeUInt16BE(height, 4)
  message.writeUInt8(1, 6)
  message.writeUInt32BE(screen.id, 8)
  message.writeUInt16BE(width, 16)
  message.writeUInt16BE(height, 18)
  message.writeUInt32BE(screen.flags, 20)
  return message
}
