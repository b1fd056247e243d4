/** Numbers of RFC 6143 and of the community RFB specification, as far as they are spoken towards the browser. */
export const ENCODING = {
  copyRect: 1,
  tight: 7,
  desktopSize: -223,
  cursor: -239,
  qemuKeys: -258,
  extendedDesktopSize: -308,
  fence: -312,
  continuousUpdates: -313,
  extendedMouseButtons: -316,
  extendedClipboard: 0xc0a1e5ce | 0,
  vmwareCursor: 0x574d5664,
} as const

export const FROM_CLIENT = {
  setPixelFormat: 0,
  setEncodings: 2,
  updateRequest: 3,
  key: 4,
  pointer: 5,
  cutText: 6,
  enableContinuousUpdates: 150,
  fence: 248,
  setDesktopSize: 251,
  qemu: 255,
} as const

export const TO_CLIENT = { bell: 2, cutText: 3, endOfContinuousUpdates: 150, fence: 248 } as const

export const VERSION_LINE = 'RFB 003.008\n'
export const SECURITY_NONE = 1

export const FENCE = { blockBefore: 1, blockAfter: 2, syncNext: 4, request: 0x80000000 } as const
export const FENCE_PAYLOAD_LIMIT = 64

/** 32 bits, depth 24, little-endian, true colour, red lowest: what a Canvas holds, and the only format spoken. */
export const PIXEL_FORMAT = Buffer.from([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0])

export const CLIPBOARD = {
  text: 1,
  caps: 1 << 24,
  request: 1 << 25,
  peek: 1 << 26,
  notify: 1 << 27,
  provide: 1 << 28,
} as const
