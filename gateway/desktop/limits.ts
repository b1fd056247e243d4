/** A desktop larger than this is refused: it would hold 64 MB a session in this process. */
export const MAX_SIDE = 8192
export const MAX_PIXELS = 16 * 1024 * 1024
/** RDP's largest; with its mask one is 0.6 MB, so it fits a message of a recording. */
export const MAX_CURSOR_SIDE = 384
export const MAX_CLIPBOARD_BYTES = 1024 * 1024

export function isDesktopSize(width: number, height: number): boolean {
  return (
    Number.isInteger(width) &&
    Number.isInteger(height) &&
    width >= 1 &&
    height >= 1 &&
    width <= MAX_SIDE &&
    height <= MAX_SIDE &&
    width * height <= MAX_PIXELS
  )
}
