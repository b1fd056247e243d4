import type { Cursor, Rect } from '../canvas.ts'
import { FROM_CHILD, MAX_PIXEL_BYTES } from './frames.ts'

/** What a decoder paints with: `Canvas`, as messages to the session. Pixels are RGBA, as there. */
export interface Painter {
  size(width: number, height: number): void
  put(rect: Rect, pixels: Uint8Array): void
  fill(rect: Rect, colour: number): void
  copy(rect: Rect, fromX: number, fromY: number): void
  cursor(cursor: Cursor): void
  flush(): void
  bell(): void
  clipboard(text: string): void
}

const words = (...values: number[]) => new Uint8Array(Uint16Array.from(values).buffer)
const double = (value: number) => new Uint8Array(Uint32Array.of(value).buffer)

export function paintWriter(send: (type: number, ...parts: Uint8Array[]) => void): Painter {
  return {
    size: (width, height) => send(FROM_CHILD.size, words(width, height)),
    put({ x, y, width, height }, pixels) {
      const stride = width * 4
      const rows = Math.max(1, Math.floor(MAX_PIXEL_BYTES / stride))
      for (let top = 0; top < height; top += rows) {
        const count = Math.min(rows, height - top)
        send(
          FROM_CHILD.put,
          words(x, y + top, width, count),
          pixels.subarray(top * stride, (top + count) * stride),
        )
      }
    },
    fill: ({ x, y, width, height }, colour) =>
      send(FROM_CHILD.fill, words(x, y, width, height), double(colour)),
    copy: ({ x, y, width, height }, fromX, fromY) =>
      send(FROM_CHILD.copy, words(x, y, width, height, fromX, fromY)),
    cursor: ({ width, height, hotX, hotY, pixels }) =>
      send(FROM_CHILD.cursor, words(width, height, hotX, hotY), pixels),
    flush: () => send(FROM_CHILD.flush),
    bell: () => send(FROM_CHILD.bell),
    clipboard: (text) => send(FROM_CHILD.clipboard, new TextEncoder().encode(text)),
  }
}
