/** What a client says, byte by byte from the specifications. */
export const say = {
  version: () => Buffer.from('RFB 003.008\n', 'latin1'),
  security: () => Buffer.from([1]),
  init: () => Buffer.from([1]),
  pixelFormat: (changed: { at?: number; to?: number } = {}) => {
    const message = Buffer.from([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0])
    if (changed.at !== undefined) message[changed.at] = changed.to ?? 0
    return message
  },
  encodings: (...encodings: number[]) => {
    const message = Buffer.alloc(4 + 4 * encodings.length)
    message[0] = 2
    message.writeUInt16BE(encodings.length, 2)
    for (const [at, encoding] of encodings.entries()) message.writeInt32BE(encoding | 0, 4 + 4 * at)
    return message
  },
  updateRequest: (incremental: boolean) => Buffer.from([3, incremental ? 1 : 0, 0, 0, 0, 0, 0, 64, 0, 64]),
  key: (down: boolean, keysym: number) => {
    const message = Buffer.from([4, down ? 1 : 0, 0, 0, 0, 0, 0, 0])
    message.writeUInt32BE(keysym, 4)
    return message
  },
  qemuKey: (down: boolean, keysym: number, scancode: number) => {
    const message = Buffer.alloc(12)
    message[0] = 255
    message.writeUInt16BE(down ? 1 : 0, 2)
    message.writeUInt32BE(keysym, 4)
    message.writeUInt32BE(scancode, 8)
    return message
  },
  pointer: (buttons: number, x: number, y: number) => Buffer.from([5, buttons, x >> 8, x, y >> 8, y]),
  extendedPointer: (buttons: number, x: number, y: number) =>
    Buffer.from([5, 0x80 | (buttons & 0x7f), x >> 8, x, y >> 8, y, buttons >> 7]),
  cutText: (text: string) => {
    const head = Buffer.from([6, 0, 0, 0, 0, 0, 0, 0])
    head.writeInt32BE(text.length, 4)
    return Buffer.concat([head, Buffer.from(text, 'latin1')])
  },
  extendedCutText: (flags: number, data: Uint8Array = new Uint8Array(0)) => {
    const head = Buffer.from([6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    head.writeInt32BE(-(data.length + 4), 4)
    head.writeUInt32BE(flags >>> 0, 8)
    return Buffer.concat([head, data])
  },
  continuousUpdates: (enable: boolean) => Buffer.from([150, enable ? 1 : 0, 0, 0, 0, 0, 0, 64, 0, 64]),
  fence: (flags: number, payload: Uint8Array) => {
    const head = Buffer.from([248, 0, 0, 0, 0, 0, 0, 0, payload.length])
    head.writeUInt32BE(flags >>> 0, 4)
    return Buffer.concat([head, payload])
  },
  desktopSize: (width: number, height: number) => {
    const message = Buffer.alloc(8 + 16)
    message[0] = 251
    message.writeUInt16BE(width, 2)
    message.writeUInt16BE(height, 4)
    message[6] = 1
    message.writeUInt16BE(width, 16)
    message.writeUInt16BE(height, 18)
    return message
  },
}

/** As noVNC 1.7 names them, less what does not matter here. */
export const NOVNC_ENCODINGS = [
  1, 7, -260, 16, 5, 0, -26, -254, -223, -224, -258, -261, -308, -312, -313, -307, 0xc0a1e5ce, -316,
  0x574d5664, -239,
]
