/** RFC 6143 section 7.7 and 7.8, and the community's registry. */
export const ENCODING = {
  raw: 0,
  copyRect: 1,
  hextile: 5,
  tight: 7,
  zrle: 16,
  desktopSize: -223,
  lastRect: -224,
  cursor: -239,
  extendedKeys: -258,
  extendedDesktopSize: -308,
} as const

export type PictureEncoding = 'tight' | 'zrle' | 'hextile' | 'copyRect' | 'raw'

export interface Pictures {
  /** In order of preference. */
  encodings: readonly PictureEncoding[]
  /** 0 (small) to 9 (fine) lets the server send JPEG; null keeps every pixel as it is. */
  jpegQuality: number | null
  /** Leaves the server its own pixel format, for those that know no other. */
  nativeFormat: boolean
}

/** Lossless: plants have the bandwidth, and a recording shows what the operator saw. */
export const PICTURES: Pictures = {
  encodings: ['tight', 'zrle', 'hextile', 'copyRect', 'raw'],
  jpegQuality: null,
  nativeFormat: false,
}

/** Compression level 2 of 0 to 9: more costs the asset's processor, which has other work. */
const COMPRESSION = -256 + 2
const LOWEST_QUALITY = -32

/** What SetEncodings says. */
export function encodingNumbers(pictures: Pictures): number[] {
  return [
    // A copy is better than any encoding of the same pixels, whatever the order among those.
    ...(pictures.encodings.includes('copyRect') ? [ENCODING.copyRect] : []),
    ...pictures.encodings.filter((name) => name !== 'copyRect').map((name) => ENCODING[name]),
    ENCODING.cursor,
    ENCODING.desktopSize,
    ENCODING.extendedDesktopSize,
    ENCODING.lastRect,
    ENCODING.extendedKeys,
    COMPRESSION,
    ...(pictures.jpegQuality === null ? [] : [LOWEST_QUALITY + pictures.jpegQuality]),
  ]
}
